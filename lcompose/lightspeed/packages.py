"""What Llama Stack's providers need beside Llama Stack, where nobody made an image of it."""

from __future__ import annotations

from collections.abc import Iterable

# Readers of documents, which everything has that keeps vectors.
_READERS = ("chardet", "pypdf")
# By type of provider. What is named there and never imported, such as plotting, is left out: the baseline
# starts and answers without it. None of them is needed by a type that is not here.
PACKAGES: dict[str, tuple[str, ...]] = {
    "inline::sentence-transformers": ("sentence-transformers", "einops"),
    "inline::faiss": ("faiss-cpu", "numpy", *_READERS),
    "inline::sqlite-vec": ("sqlite-vec", "numpy", *_READERS),
    "inline::chromadb": ("chromadb", *_READERS),
    "inline::qdrant": ("qdrant-client", *_READERS),
    "inline::milvus": ("pymilvus[milvus-lite]>=2.6.2", *_READERS),
    "inline::file-search": ("numpy", "scikit-learn", "scipy", "nltk", "tqdm", "transformers", *_READERS),
    "inline::auto": ("markitdown[all]", *_READERS),
    "inline::pypdf": _READERS,
    "inline::markitdown": ("markitdown[all]",),
    "inline::docling": ("docling",),
    "inline::unstructured": ("unstructured[all-docs]>=0.21.0",),
    "remote::chromadb": ("chromadb-client", *_READERS),
    "remote::pgvector": ("asyncpg", "pgvector>=0.3.0", "psycopg2-binary", *_READERS),
    "remote::weaviate": ("weaviate-client>=4.16.5", *_READERS),
    "remote::qdrant": ("qdrant-client", *_READERS),
    "remote::milvus": ("pymilvus>=2.6.2", *_READERS),
    "remote::elasticsearch": ("elasticsearch>=8.16.0,<9.0.0", *_READERS),
    "remote::infinispan": _READERS,
    "remote::ollama": ("ollama", "aiohttp"),
    "remote::fireworks": ("fireworks-ai<=0.17.16",),
    "remote::together": ("together>=2",),
    "remote::bedrock": ("boto3",),
    "remote::databricks": ("databricks-sdk",),
    "remote::anthropic": ("anthropic",),
    "remote::vertexai": ("google-genai>=1.69.0,<2",),
    "remote::oci": ("oci",),
    "remote::s3": ("boto3",),
    "remote::docling-serve": ("docling-slim[service-client]>=2.103.0",),
    "remote::unstructured-api": ("unstructured-client>=0.25.0",),
    "remote::brave-search": ("requests",),
    "remote::bing-search": ("requests",),
    "remote::tavily-search": ("requests",),
    "remote::wolfram-alpha": ("requests",),
}
# It breaks on 2.x.
ALWAYS = ("mcp<2",)


def packages(kinds: Iterable[str]) -> tuple[str, ...]:
    """The packages for providers of these types, in one order."""
    needed = {one for kind in kinds for one in PACKAGES.get(kind, ())}
    return (*ALWAYS, *sorted(needed))
