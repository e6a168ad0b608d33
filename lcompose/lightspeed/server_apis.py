"""What each version of Llama Stack knows: its APIs, what its providers need, and where they keep what they know.

As its versions 0.6 to 1.5 have it. What was there before 0.6 is not told from what was there in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lcompose.load import Path

Version: TypeAlias = tuple[int, ...]
Family: TypeAlias = Literal["kv", "sql"]
KV: Family = "kv"
SQL: Family = "sql"
# The versions that the tables are of.
OLDEST: Version = (0, 6)
NEWEST: Version = (1, 6)
ENDLESS: Version = (10**6,)
# Since then prompts and connectors are kept in an SQL database, and shields are nobody's business here.
SQL_PROMPTS: Version = (1, 0)
# Since then a model's name is made of its model_id, before of its provider_model_id; and a model may be of "all".
NAMED_BY_ID: Version = (0, 8)


@dataclass(frozen=True, slots=True)
class Api:
    """An API: since and until which version there is one, and who serves it.

    ``own``: Llama Stack itself, always. ``router``: Llama Stack with any number of providers, none too.
    ``table``: Llama Stack together with that router. ``providers``: the last of its providers. ``nobody``.
    """

    served: Literal["own", "router", "table", "providers", "nobody"]
    since: Version = ()
    until: Version = ENDLESS
    router: str = ""
    instead: str = ""


def _table(router: str, until: Version = ENDLESS) -> Api:
    return Api("table", until=until, router=router)


APIS: Mapping[str, Api] = {
    **dict.fromkeys(("inspect", "providers", "prompts", "conversations", "connectors", "admin"), Api("own")),
    **dict.fromkeys(("inference", "vector_io", "tool_runtime"), Api("router")),
    **dict.fromkeys(("datasetio", "scoring", "eval"), Api("router", until=(0, 8))),
    "safety": Api("router", until=(1, 0), instead="shields of lightspeed-stack.yaml"),
    "models": _table("inference"),
    "vector_stores": _table("vector_io"),
    "tool_groups": _table("tool_runtime"),
    "shields": _table("safety", (1, 0)),
    "datasets": _table("datasetio", (0, 8)),
    "scoring_functions": _table("scoring", (0, 8)),
    "benchmarks": _table("eval", (0, 8)),
    **dict.fromkeys(("batches", "files", "file_processors"), Api("providers")),
    "agents": Api("providers", until=(0, 7), instead="responses"),
    "post_training": Api("providers", until=(0, 7)),
    "telemetry": Api("providers", until=OLDEST),
    "responses": Api("providers", since=(0, 7), instead="agents"),
    **dict.fromkeys(("messages", "interactions"), Api("providers", since=(0, 8))),
    "skills": Api("providers", since=(1, 1)),
    "container_runtime": Api("providers", since=(1, 2)),
    "containers": Api("nobody", since=(1, 2)),
}
# Providers that others use, so that they are of use when nobody is served.
USED_INSIDE = ("files", "file_processors", "skills", "container_runtime")
# Of each of these all providers are used, and not only the last.
USED_TOGETHER: Mapping[str, Version] = {"file_processors": (1, 2)}


@dataclass(frozen=True, slots=True)
class Store:
    """Where something is kept: its path, the family of its database, the key that names its place there."""

    path: Path
    family: Family
    key: str
    required: bool = True
    since: Version = ()
    until: Version = ENDLESS


def _kv(*path: str, required: bool = True, until: Version = ENDLESS) -> Store:
    return Store(path, KV, "namespace", required, until=until)


def _sql(*path: str, required: bool = True, since: Version = ()) -> Store:
    return Store(path, SQL, "table_name", required, since)


# Responses have a table already.
_RESPONSES = Store(("persistence", "responses"), SQL, "")
_VECTORS = (_kv("persistence"), _sql("metadata_store", required=False, since=(1, 0)))
_ANY_VECTORS = (_kv("persistence", required=False), _sql("metadata_store", required=False, since=(1, 0)))
VECTOR_TYPES = (
    *("inline::faiss", "inline::sqlite-vec", "inline::sqlite_vec", "inline::meta-reference", "inline::chromadb"),
    *("remote::chromadb", "inline::qdrant", "remote::qdrant", "inline::milvus", "remote::milvus"),
    *("remote::oci", "remote::infinispan"),
)
SERVED_VECTOR_TYPES = ("remote::pgvector", "remote::weaviate", "remote::elasticsearch")

# By API and type of provider.
PROVIDER_STORES: Mapping[tuple[str, str], tuple[Store, ...]] = {
    **{("vector_io", kind): _VECTORS for kind in VECTOR_TYPES},
    **{("vector_io", kind): _ANY_VECTORS for kind in SERVED_VECTOR_TYPES},
    **{("files", kind): (_sql("metadata_store"),) for kind in ("inline::localfs", "remote::s3", "remote::openai")},
    ("responses", "inline::builtin"): (_RESPONSES,),
    ("agents", "inline::meta-reference"): (_kv("persistence", "agent_state"), _RESPONSES),
    ("batches", "inline::reference"): (_kv("kvstore", until=(1, 0)), _sql("sqlstore", since=(1, 0))),
    ("interactions", "inline::builtin"): (_sql("store", required=False, since=(1, 0)),),
    ("datasetio", "inline::localfs"): (_kv("kvstore"),),
    ("datasetio", "remote::huggingface"): (_kv("kvstore"),),
    ("eval", "inline::meta-reference"): (_kv("kvstore"),),
}

# What Llama Stack itself keeps; what is required is kept somewhere if nothing is said, and may not be null.
SERVER_STORES: Mapping[str, Store] = {
    "metadata": _kv("kv_default"),
    "inference": _sql("sql_default"),
    "conversations": _sql("sql_default"),
    "responses": Store(("sql_default",), SQL, "", required=False),
    "vector_stores": _sql("sql_default", required=False, since=(1, 0)),
}
PROMPT_STORES = ("prompts", "connectors")
DEFAULT_BACKENDS: Mapping[str, str] = {"kv_default": "kv_sqlite", "sql_default": "sql_sqlite"}


def server_stores(version: Version) -> dict[str, Store]:
    """The stores of Llama Stack itself, by name; the path of each is the backend that it has by itself."""
    prompts = _sql("sql_default") if version >= SQL_PROMPTS else _kv("kv_default")
    known = {name: store for name, store in SERVER_STORES.items() if version >= store.since}
    return {**known, **dict.fromkeys(PROMPT_STORES, prompts)}


_LEADS = ("inference", "vector_io", "tool_runtime", "files")
# The APIs that a provider cannot be without, by its own API and type.
NEEDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    **{("vector_io", kind): ("inference",) for kind in (*VECTOR_TYPES, *SERVED_VECTOR_TYPES)},
    **{("file_processors", f"inline::{kind}"): ("files",) for kind in ("auto", "pypdf", "markitdown", "docling")},
    ("responses", "inline::builtin"): _LEADS,
    ("agents", "inline::meta-reference"): _LEADS,
    ("batches", "inline::reference"): ("inference", "files"),
    ("tool_runtime", "inline::file-search"): ("vector_io", "inference", "files"),
    ("tool_runtime", "inline::rag-runtime"): ("vector_io", "inference", "files"),
    ("messages", "inline::builtin"): ("inference",),
    ("interactions", "inline::builtin"): ("inference",),
    ("skills", "inline::builtin"): ("files",),
    ("safety", "inline::llama-guard"): ("inference",),
    ("scoring", "inline::basic"): ("datasetio",),
    ("scoring", "inline::braintrust"): ("datasetio",),
    ("scoring", "inline::llm-as-judge"): ("datasetio", "inference"),
    ("eval", "inline::meta-reference"): ("datasetio", "scoring", "inference", "agents"),
}

# Types that a version does not know any more, and what is there instead.
RETIRED: Mapping[tuple[str, str], tuple[Version, str]] = {
    ("responses", "inline::meta-reference"): ((0, 7), "inline::builtin"),
    ("tool_runtime", "inline::rag-runtime"): ((0, 7), "inline::file-search"),
    ("vector_io", "inline::meta-reference"): ((0, 7), "inline::faiss"),
    ("vector_io", "inline::sqlite_vec"): ((0, 8), "inline::sqlite-vec"),
    ("inference", "remote::tgi"): ((0, 7), ""),
    ("inference", "remote::hf::endpoint"): ((0, 7), ""),
    ("inference", "remote::hf::serverless"): ((0, 7), ""),
    ("inference", "inline::transformers"): ((1, 2), ""),
}


@dataclass(frozen=True, slots=True)
class Resource:
    """What can be registered: the API whose providers have it, its own name's key, until when."""

    api: str
    name: str
    until: Version = ENDLESS


RESOURCES: Mapping[str, Resource] = {
    "models": Resource("inference", "model_id"),
    "vector_stores": Resource("vector_io", "vector_store_id"),
    "tool_groups": Resource("tool_runtime", "toolgroup_id", (0, 7)),
    "shields": Resource("safety", "shield_id", (1, 0)),
    "datasets": Resource("datasetio", "dataset_id", (0, 8)),
    "scoring_fns": Resource("scoring", "scoring_fn_id", (0, 8)),
    "benchmarks": Resource("eval", "benchmark_id", (0, 8)),
}

# Keys that a version does not read any more.
GONE: Mapping[Path, Version] = {
    **{(key,): OLDEST for key in ("metadata_store", "inference_store", "conversations_store", "telemetry")},
    **{(key,): OLDEST for key in ("models", "shields", "tool_groups", "vector_dbs", "datasets", "scoring_fns")},
    ("benchmarks",): OLDEST,
    ("safety",): (1, 0),
    ("server", "quota"): (1, 0),
    ("server", "cors"): (1, 0),
}
