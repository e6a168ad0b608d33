"""What LCORE adds to any run.yaml: knowledge stores, the offline portal, vector stores, Azure's sign-in.

The names that are made here (``byok_…``, ``vsprov_…``, ``okp_solr``) are those that LCORE asks Llama
Stack for, so they must be exactly these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from lcompose.lightspeed.draft import Draft, Origin, Problem
from lcompose.lightspeed.envrefs import PATTERN, Trace, replace
from lcompose.load import Path, value_at

FAISS, PGVECTOR = "inline::faiss", "remote::pgvector"
PROVIDER_TYPES = {"faiss": FAISS, "pgvector": PGVECTOR}
EMBEDDER = "sentence-transformers"
DEFAULT_EMBEDDING = f"{EMBEDDER}/all-mpnet-base-v2"
# LCORE's own default, which its synthesis forgets: Llama Stack does not start without a number.
DEFAULT_DIMENSION = 768
# What a pgvector store does not say comes from these.
PGVECTOR_FIELDS = {
    "host": "${env.POSTGRES_HOST}",
    "port": "${env.POSTGRES_PORT}",
    "db": "${env.POSTGRES_DATABASE}",
    "user": "${env.POSTGRES_USER}",
    "password": "${env.POSTGRES_PASSWORD}",
}
OKP = "okp"
OKP_PROVIDER = "okp_solr"
OKP_STORE = "portal-rag"
OKP_URL = "http://localhost:8081"
OKP_FILTER = "is_chunk:true"
OKP_EMBEDDING = "ibm-granite/granite-embedding-30m-english"
OKP_DIMENSION = 384
OKP_WINDOW = {
    "chunk_parent_id_field": "parent_id",
    "chunk_content_field": "chunk_field",
    "chunk_index_field": "chunk_index",
    "chunk_token_count_field": "num_tokens",
    "chunk_online_source_url_field": "online_source_url",
    "chunk_source_path_field": "source_path",
    "parent_total_chunks_field": "total_chunks",
    "parent_total_tokens_field": "total_tokens",
    "chunk_family_fields": ["headings"],
}
SEARCH_MODES = {"semantic": "vector", "lexical": "keyword"}
PROVIDERS_DIRECTORY = "${env.EXTERNAL_PROVIDERS_DIR:=/opt/app-root/providers.d}"


@dataclass(frozen=True, slots=True)
class Rules:
    """How one range of LCORE's releases makes a run.yaml.

    ``aliases``: each store's embedding model is registered under a name of its own. Before, a store
    named the model itself; and there were no vector_store and no tool runtime that is added.
    ``override_first``: native_override is laid over before the enrichment, which then adds to its
    lists. Before, a list in native_override replaced what the enrichment had put there.
    """

    aliases: bool
    override_first: bool


def rules_for(generation: str, server_version: tuple[int, ...]) -> Rules:
    """LCORE 0.7 has both; 0.6 was released with Llama Stack 0.6, and moved to OGX later."""
    return Rules(generation >= "0.7" or server_version >= (0, 8), generation >= "0.7")


def enrich(draft: Draft, lightspeed: Mapping[str, Any], rules: Rules, env: Mapping[str, str]) -> None:
    """Adds all that does not depend on how run.yaml was made.

    ``env`` is looked at only to see that two ids of vector stores are the same.
    """
    dedupe(draft)
    _azure(draft, lightspeed)
    _byok(draft, lightspeed, rules, env)
    _okp(draft, lightspeed, rules)


def dedupe(draft: Draft) -> None:
    """Of several vector_io providers with one id, Llama Stack takes the first."""
    providers = value_at(draft.tree, ("providers", "vector_io"))
    if not isinstance(providers, list):
        return
    kept: list[Any] = []
    seen: set[str] = set()
    for provider in providers:
        name = _name(provider)
        if isinstance(provider, dict) and (not name or name not in seen):
            seen.add(name)
            kept.append(provider)
    providers[:] = kept


def _azure(draft: Draft, lightspeed: Mapping[str, Any]) -> None:
    if lightspeed.get("azure_entra_id") is None:
        return
    origin = Origin(("azure_entra_id",), "there is no token yet to ask for models with when Llama Stack starts")
    for provider in _dicts(value_at(draft.tree, ("providers", "inference"))):
        if provider.get("provider_type") != "remote::azure":
            continue
        if provider.get("config") is None:
            provider["config"] = {}
        if isinstance(provider["config"], dict):
            draft.put(provider["config"], "model_validation", False, origin)


def byok_stores(lightspeed: Mapping[str, Any]) -> list[tuple[Path, Mapping[str, Any]]]:
    """The knowledge stores and where they are written: ``rag.byok.stores``, or 0.6's ``byok_rag``."""
    for path in (("rag", "byok", "stores"), ("byok_rag",)):
        stores = value_at(lightspeed, path)
        if isinstance(stores, list) and stores:
            return [((*path, index), store) for index, store in enumerate(stores) if isinstance(store, dict)]
    return []


def _byok(draft: Draft, lightspeed: Mapping[str, Any], rules: Rules, env: Mapping[str, str]) -> None:
    stores = [(path, store) for path, store in byok_stores(lightspeed) if _is_complete(draft, path, store)]
    if not stores:
        return
    backends = draft.mapping("storage", "backends")
    providers = draft.listing("providers", "vector_io")
    vector_stores = draft.listing("registered_resources", "vector_stores")
    models = draft.listing("registered_resources", "models")
    known = {_known(one.get("vector_store_id"), env) for one in _dicts(vector_stores)}
    names = {_name(provider) for provider in _dicts(providers)}
    for path, store in stores:
        origin = Origin(path, f"the knowledge store {store['rag_id']}")
        name = f"byok_{_text(store['rag_id'])}"
        kind = store_type(store)
        if kind == FAISS:
            database = store.get("db_path") or f".llama/{_text(store['rag_id'])}.db"
            draft.put(backends, f"{name}_storage", {"type": "kv_sqlite", "db_path": database}, origin)
        if name not in names:
            names.add(name)
            draft.add(providers, _vector_io(name, kind, f"{name}_storage", store), origin)
        if _known(store["vector_db_id"], env) not in known:
            known.add(_known(store["vector_db_id"], env))
            draft.add(vector_stores, _byok_store(name, store, rules), origin)
        model = _embedding_model(f"{name}_embedding", _byok_embedding(store), _dimension(store))
        if _byok_embedding(store) and not _is_registered(model, models, rules):
            draft.add(models, model, origin)


def _is_complete(draft: Draft, path: Path, store: Mapping[str, Any]) -> bool:
    missing = [key for key in ("rag_id", "vector_db_id") if not store.get(key)]
    for key in missing:
        draft.problems.append(Problem(path, f"a knowledge store needs {key!r}", f"Add '{key}: my-documents'."))
    kind = store_type(store)
    if kind not in PROVIDER_TYPES.values():
        what = f"a knowledge store of the kind {kind!r} is not known"
        draft.problems.append(Problem(path, what, "Use 'backend: faiss' or 'backend: pgvector'."))
    return not missing and kind in PROVIDER_TYPES.values()


def store_type(store: Mapping[str, Any]) -> str:
    """The provider of a knowledge store, by ``backend`` or 0.6's ``rag_type``."""
    if "rag_type" in store:
        return str(store["rag_type"])
    backend = str(store.get("backend", "faiss"))
    return PROVIDER_TYPES.get(backend, backend)


def _byok_embedding(store: Mapping[str, Any]) -> str:
    return str(store.get("embedding_model", DEFAULT_EMBEDDING) or "")


def _dimension(store: Mapping[str, Any]) -> Any:
    held = store.get("embedding_dimension")
    return DEFAULT_DIMENSION if held is None else held


def _byok_store(name: str, store: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    embedding = f"{EMBEDDER}/{name}_embedding" if rules.aliases else _byok_embedding(store)
    return {
        "vector_store_id": store["vector_db_id"],
        "provider_id": name,
        "embedding_model": embedding,
        "embedding_dimension": _dimension(store),
    }


def _is_registered(model: Mapping[str, Any], models: Iterable[Any], rules: Rules) -> bool:
    field = "model_id" if rules.aliases else "provider_model_id"
    return any(one.get(field) == model[field] for one in _dicts(models))


def _embedding_model(name: str, model: str, dimension: Any) -> dict[str, Any]:
    return {
        "model_id": name,
        "model_type": "embedding",
        "provider_id": EMBEDDER,
        "provider_model_id": model.removeprefix(f"{EMBEDDER}/"),
        "metadata": {"embedding_dimension": dimension},
    }


def _vector_io(name: str, kind: str, backend: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    own = PGVECTOR_FIELDS if kind == PGVECTOR else {}
    persistence = {
        "namespace": f"vector_io::{kind.partition('::')[2]}",
        "backend": backend if kind == FAISS else "kv_default",
    }
    config = {"persistence": persistence, **{key: _filled(fields.get(key), default) for key, default in own.items()}}
    return {"provider_id": name, "provider_type": kind, "config": config}


def _filled(value: Any, default: str) -> Any:
    return default if value is None or (isinstance(value, str) and not value.strip()) else value


def vector_stores(draft: Draft, lightspeed: Mapping[str, Any]) -> None:
    """Adds the providers of ``vector_store``; an own one of the same name is replaced."""
    found = value_at(lightspeed, ("vector_store", "providers"))
    entries = list(enumerate(found)) if isinstance(found, list) else []
    if not entries:
        return
    backends = draft.mapping("storage", "backends")
    draft.listing("registered_resources", "models")
    for index, entry in entries:
        path: Path = ("vector_store", "providers", index)
        if _is_vector_store(draft, path, entry):
            _vector_store(draft, backends, entry, Origin(path, f"the vector store {_text(entry['id'])}"))
    chosen = _text(value_at(lightspeed, ("vector_store", "default_provider")))
    for _, entry in entries:
        if chosen and isinstance(entry, dict) and _text(entry.get("id")) == chosen:
            _make_default(draft, chosen, entry)
            return


def _is_vector_store(draft: Draft, path: Path, entry: Any) -> bool:
    if not isinstance(entry, dict) or not _text(entry.get("id")) or _text(entry.get("type")) not in PROVIDER_TYPES:
        fix = "Write 'id: my-documents' and 'type: faiss' or 'type: pgvector'."
        draft.problems.append(Problem(path, "a vector store needs an id and a type", fix))
        return False
    if entry["type"] == "faiss" and not value_at(entry, ("config", "path")):
        fix = "Add 'config: {path: /opt/app-root/src/.llama/storage/my-documents.db}'."
        draft.problems.append(Problem(path, "a faiss vector store needs a path", fix))
        return False
    return True


def _vector_store(draft: Draft, backends: dict[str, Any], entry: Mapping[str, Any], origin: Origin) -> None:
    name, kind = _text(entry["id"]), PROVIDER_TYPES[_text(entry["type"])]
    held = entry.get("config")
    fields = held if isinstance(held, dict) else {}
    backend = f"vsprov_{name}_storage"
    if kind == FAISS:
        draft.put(backends, backend, {"type": "kv_sqlite", "db_path": fields["path"]}, origin)
    providers = draft.mapping("providers")
    if not isinstance(providers.get("vector_io"), list):
        providers["vector_io"] = []
    _place(draft, providers["vector_io"], _vector_io(name, kind, backend, fields), "provider_id", origin)
    model, dimension = entry.get("embedding_model"), entry.get("embedding_dimension")
    if model and dimension is not None:
        registered = _embedding_model(f"vsprov_{name}_embedding", str(model), dimension)
        _place(draft, draft.listing("registered_resources", "models"), registered, "model_id", origin)


def _place(draft: Draft, held: list[Any], item: dict[str, Any], key: str, origin: Origin) -> None:
    """Replaces the item with the same name, or appends."""
    names = [_text(one.get(key)) if isinstance(one, dict) else "" for one in held]
    draft.add(held, item, origin, names.index(item[key]) if item[key] in names else None)


def _make_default(draft: Draft, name: str, entry: Mapping[str, Any]) -> None:
    origin = Origin(("vector_store", "default_provider"), "the vector store that is used where none is named")
    if not isinstance(draft.tree.get("vector_stores"), dict):
        draft.tree["vector_stores"] = {}
    defaults = draft.tree["vector_stores"]
    draft.put(defaults, "default_provider_id", name, origin)
    if entry.get("embedding_model"):
        model = {"provider_id": EMBEDDER, "model_id": f"vsprov_{name}_embedding"}
        draft.put(defaults, "default_embedding_model", model, origin)


def okp_sources(lightspeed: Mapping[str, Any]) -> list[Path]:
    """Where the offline knowledge portal is asked for, in either shape; nowhere if it is not."""
    both = [("rag", "retrieval", way, "sources") for way in ("inline", "tool")]
    flat = [("rag", way) for way in ("inline", "tool")]
    return [path for path in (*both, *flat) if OKP in _listed(value_at(lightspeed, path))]


def okp_section(lightspeed: Mapping[str, Any]) -> Path:
    """Where the portal's settings are: ``rag.okp``, or 0.6's ``okp``."""
    return (OKP,) if isinstance(lightspeed.get(OKP), dict) else ("rag", OKP)


def _okp(draft: Draft, lightspeed: Mapping[str, Any], rules: Rules) -> None:
    asked = okp_sources(lightspeed)
    if not asked:
        return
    held = value_at(lightspeed, okp_section(lightspeed))
    settings = held if isinstance(held, dict) else {}
    origin = Origin(asked[0], "the offline knowledge portal is a source")
    if "external_providers_dir" not in draft.tree:
        draft.put(draft.tree, "external_providers_dir", PROVIDERS_DIRECTORY, origin)
    providers = draft.listing("providers", "vector_io")
    if OKP_PROVIDER not in [one.get("provider_id") for one in _dicts(providers)]:
        draft.add(providers, _okp_provider(settings), origin)
    stores = draft.listing("registered_resources", "vector_stores")
    if OKP_STORE not in [one.get("vector_store_id") for one in _dicts(stores)]:
        draft.add(stores, _okp_store(rules), origin)
    models = draft.listing("registered_resources", "models")
    if OKP_EMBEDDING not in [one.get("provider_model_id") for one in _dicts(models)]:
        name = _okp_model(rules)
        model = _embedding_model(name, f"${{env.SOLR_EMBEDDING_MODEL:={OKP_EMBEDDING}}}", OKP_DIMENSION)
        draft.add(models, model, origin)
    mode = _text(settings.get("search_mode"))
    if mode and rules.aliases:
        origin = Origin((*okp_section(lightspeed), "search_mode"), "file search uses the portal's search mode")
        parameters = draft.mapping("vector_stores", "chunk_retrieval_params")
        draft.put(parameters, "default_search_mode", SEARCH_MODES.get(mode, mode), origin)


def _okp_model(rules: Rules) -> str:
    return f"{EMBEDDER}/solr_embedding" if rules.aliases else "solr_embedding"


def _okp_store(rules: Rules) -> dict[str, Any]:
    direct = f"${{env.SOLR_EMBEDDING_MODEL:={EMBEDDER}/{OKP_EMBEDDING}}}"
    return {
        "vector_store_id": OKP_STORE,
        "provider_id": OKP_PROVIDER,
        "embedding_model": _okp_model(rules) if rules.aliases else direct,
        "embedding_dimension": OKP_DIMENSION,
    }


def _okp_provider(settings: Mapping[str, Any]) -> dict[str, Any]:
    own = settings.get("chunk_filter_query")
    config = {
        "solr_url": _solr_url(_text(settings.get("rhokp_url")) or OKP_URL),
        "collection_name": f"${{env.SOLR_COLLECTION:={OKP_STORE}}}",
        "vector_field": "${env.SOLR_VECTOR_FIELD:=chunk_vector}",
        "content_field": "${env.SOLR_CONTENT_FIELD:=chunk}",
        "embedding_model": f"${{env.SOLR_EMBEDDING_MODEL:={EMBEDDER}/{OKP_EMBEDDING}}}",
        "embedding_dimension": f"${{env.SOLR_EMBEDDING_DIM:={OKP_DIMENSION}}}",
        "chunk_window_config": {**OKP_WINDOW, "chunk_filter_query": f"{OKP_FILTER} AND {own}" if own else OKP_FILTER},
        "persistence": {"namespace": OKP_STORE, "backend": "kv_default"},
    }
    return {"provider_id": OKP_PROVIDER, "provider_type": "remote::solr_vector_io", "config": config}


def _solr_url(base: str) -> str:
    """The address of Solr on the portal's host; variables in it stay."""
    found: list[str] = []

    def masked(text: str) -> str:
        found.append(text)
        return f"variable{len(found) - 1}."

    # A name of a variable may stand for a whole address, of which only the host's end is known.
    text = PATTERN.sub(lambda match: masked(match[0]), base)
    whole = "" if "://" in text else "//"
    try:
        joined = urljoin(f"{whole}{text}", "/solr").removeprefix(whole)
    except ValueError:
        return base  # No address: the check of lightspeed-stack.yaml tells so.
    for index, reference in enumerate(found):
        joined = joined.replace(f"variable{index}.", reference)
    return joined


def _known(name: Any, env: Mapping[str, str]) -> str:
    """The id of a vector store, as far as its variables are known."""
    filled = replace(name, env, Trace()) if isinstance(name, str) else name
    return str(name if filled is None else filled)


def _dicts(items: Any) -> Iterator[dict[str, Any]]:
    return (item for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(provider: Any) -> str:
    return _text(provider.get("provider_id")) if isinstance(provider, dict) else ""


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
