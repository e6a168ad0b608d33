"""run.yaml of any age to the form that a generation's Llama Stack reads.

Since Llama Stack 0.3 databases are named once, in ``storage.backends``, and everything else refers to
them. Before, each store said its own. Every database stays where it is: one of its own becomes a
backend of its own, and keys that had no prefix get none, so what was stored is found again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from posixpath import basename, dirname
from typing import Any

from lcompose.lightspeed.images import Generation
from lcompose.lightspeed.rewrite import Rewrite
from lcompose.load import Path

Family = str
KV, SQL = "kv", "sql"
OLD_TYPES = ("sqlite", "postgres", "redis", "mongodb")
NO_SQL = ("redis", "mongodb")
# Where a store was that did not say it.
OLD_PLACES: Mapping[Family, str] = {KV: "~/.llama/runtime/kvstore.db", SQL: "~/.llama/runtime/sqlstore.db"}
DEFAULT_FILES: Mapping[Family, str] = {KV: "kv_store.db", SQL: "sql_store.db"}
NAMED = "databases are named once, in storage.backends, and referred to"


@dataclass(frozen=True, slots=True)
class Store:
    """A store: where it was said, where it is said now, of which family it is, and its table or prefix."""

    old: Path
    new: Path
    family: Family
    name: str = ""
    default: bool = False


SERVER_STORES = (
    Store(("metadata_store",), ("storage", "stores", "metadata"), KV, "registry", default=True),
    Store(("inference_store",), ("storage", "stores", "inference"), SQL, "inference_store", default=True),
    Store(("conversations_store",), ("storage", "stores", "conversations"), SQL, "openai_conversations", default=True),
    Store(("server", "quota", "kvstore"), ("server", "quota", "kvstore"), KV),
)
# By API; an empty one is every other. The tables are those that were written before.
PROVIDER_STORES: Mapping[str, tuple[Store, ...]] = {
    "agents": (
        Store(("persistence_store",), ("persistence", "agent_state"), KV),
        Store(("responses_store",), ("persistence", "responses"), SQL, "openai_responses"),
    ),
    "responses": (Store(("responses_store",), ("persistence", "responses"), SQL, "openai_responses"),),
    "files": (Store(("metadata_store",), ("metadata_store",), SQL, "files_metadata"),),
    "vector_io": (Store(("kvstore",), ("persistence",), KV),),
    "": (Store(("kvstore",), ("kvstore",), KV),),
}
# Where something is put; anything else there is in the way.
MAPPINGS: tuple[Path, ...] = tuple(
    tuple(path.split("."))
    for path in ("providers", "storage", "storage.backends", "storage.stores", "registered_resources")
)
RESOURCES = ("models", "shields", "vector_dbs", "datasets", "scoring_fns", "benchmarks", "tool_groups")
RESOURCE_NAMES = {"vector_dbs": "vector_stores"}
VECTOR_STORE_KEYS = {
    "vector_db_id": "vector_store_id",
    "provider_vector_db_id": "provider_vector_store_id",
    "vector_db_name": "vector_store_name",
}
NOT_KNOWN = "Llama Stack does not know it any more"
GONE_RESOURCES: Mapping[Generation, Mapping[str, str]] = {
    "0.6": {},
    "0.7": {
        "tool_groups": "Llama Stack finds the tools of each provider itself; MCP servers are LCORE's mcp_servers",
        "shields": "shields are LCORE's own now: the key shields of lightspeed-stack.yaml",
        "datasets": NOT_KNOWN,
        "scoring_fns": NOT_KNOWN,
        "benchmarks": NOT_KNOWN,
    },
}
GONE_APIS: Mapping[Generation, tuple[str, ...]] = {
    "0.6": ("telemetry",),
    "0.7": ("telemetry", "safety", "scoring", "eval", "datasetio", "post_training"),
}
# By API and type of provider.
TYPES: Mapping[Generation, Mapping[tuple[str, str], str]] = {
    "0.6": {},
    "0.7": {
        ("responses", "inline::meta-reference"): "inline::builtin",
        ("tool_runtime", "inline::rag-runtime"): "inline::file-search",
        ("vector_io", "inline::meta-reference"): "inline::faiss",
        ("vector_io", "inline::sqlite_vec"): "inline::sqlite-vec",
    },
}
_BASE_URL = {"url": "base_url"}
SETTINGS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("remote::cerebras", "remote::databricks", "remote::fireworks", "remote::groq", "remote::nvidia"),
            *("remote::ollama", "remote::passthrough", "remote::runpod", "remote::sambanova", "remote::tgi"),
            *("remote::together", "remote::vllm", "remote::watsonx"),
        ),
        _BASE_URL,
    ),
    "remote::azure": {"api_base": "base_url"},
    "remote::llama-openai-compat": {"openai_compat_api_base": "base_url"},
}
# Written ``${env.NAME:default}`` until Llama Stack 0.2.
OLD_DEFAULT = re.compile(r"(\$\{env\.[A-Z0-9_]+:)(?![=+-])([^}]*\})")


def migrate_run(doc: Rewrite, target: Generation) -> None:
    """Brings run.yaml to the form of a generation; what it does not know it leaves alone."""
    for path in MAPPINGS:
        _needs_mapping(doc, path)
    for step in STEPS if not doc.obstacles else ():
        step(doc, target)


def _needs_mapping(doc: Rewrite, path: Path) -> None:
    if not doc.obstacles and not isinstance(doc.get(*path), dict | None):
        doc.refuse(path, "this must hold keys and values", "Correct it first.")


def _variables(doc: Rewrite, _: Generation) -> None:
    for path, text in list(_texts(doc.tree)):
        changed = OLD_DEFAULT.sub(r"\1=\2", text)
        if changed != text:
            doc.put(path, changed, "a variable's default is written with := now")


def _texts(tree: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, dict | list):
        pairs: Iterable[tuple[Any, Any]] = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for step, child in pairs:
            yield from _texts(child, (*path, step))


def _distribution(doc: Rewrite, _: Generation) -> None:
    if not doc.has("image_name"):
        return
    if doc.has("distro_name"):
        doc.drop(("image_name",), "distro_name is here too, and wins")
    else:
        doc.rename(("image_name",), "distro_name", "Llama Stack's own name for it; image_name is the old one")


def _agents(doc: Rewrite, target: Generation) -> None:
    if target < "0.7" or not doc.has("providers", "agents"):
        return
    if doc.has("providers", "responses"):
        what = "agents and responses are both here, and are the same API"
        doc.refuse(("providers", "agents"), what, "Keep one of the two.")
        return
    doc.rename(("providers", "agents"), "responses", "the API is called responses now")
    for index, provider in enumerate(doc.listing("providers", "responses")):
        for path in (("persistence_store",), ("persistence", "agent_state")):
            if isinstance(provider, dict) and doc.has("providers", "responses", index, "config", *path):
                place = ("providers", "responses", index, "config", *path)
                doc.drop(place, "responses keep no state of agents")


def _apis(doc: Rewrite, target: Generation) -> None:
    listed = doc.listing("apis")
    if target >= "0.7" and "agents" in listed:
        at = listed.index("agents")
        if "responses" in listed:
            doc.drop(("apis", at), "responses is here too")
        else:
            doc.put(("apis", at), "responses", "the API is called responses now")
    for api in GONE_APIS[target]:
        if doc.has("providers", api):
            doc.drop(("providers", api), f"Llama Stack has no {api} any more")
        while api in doc.listing("apis"):
            doc.drop(("apis", doc.listing("apis").index(api)), f"Llama Stack has no {api} any more")


def _types(doc: Rewrite, target: Generation) -> None:
    for api, path, provider in _providers(doc):
        kind = provider.get("provider_type")
        new = TYPES[target].get((api, kind)) if isinstance(kind, str) else None
        if new:
            doc.put((*path, "provider_type"), new, f"{kind} is called {new} now")


def _settings(doc: Rewrite, _: Generation) -> None:
    for api, path, provider in _providers(doc):
        kind, config = provider.get("provider_type"), provider.get("config")
        if api != "inference" or not isinstance(kind, str) or not isinstance(config, dict):
            continue
        for old, new in SETTINGS.get(kind, {}).items():
            if old in config and new not in config:
                doc.rename((*path, "config", old), new, f"{kind} reads {new}, which includes the path, such as /v1")


def _providers(doc: Rewrite) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for api in list(doc.mapping("providers")):
        for index, provider in enumerate(doc.listing("providers", api)):
            if isinstance(provider, dict):
                yield api, ("providers", api, index), provider


def _server_stores(doc: Rewrite, _: Generation) -> None:
    for store in SERVER_STORES:
        if not doc.has(*store.old):
            continue
        if store.old != store.new and doc.has(*store.new):
            doc.drop(store.old, f"{'.'.join(map(str, store.new))} is here too, and wins")
        elif store.old != store.new and doc.get(*store.old) is None:
            doc.drop(store.old, "it says nothing")
        else:
            _name_database(doc, store)


def _provider_stores(doc: Rewrite, _: Generation) -> None:
    for api, path, provider in _providers(doc):
        config = provider.get("config")
        for store in PROVIDER_STORES.get(api, PROVIDER_STORES[""]) if isinstance(config, dict) else ():
            inside = Store((*path, "config", *store.old), (*path, "config", *store.new), store.family, store.name)
            if doc.has(*inside.old):
                _name_database(doc, inside)


def _name_database(doc: Rewrite, store: Store) -> None:
    """Makes a store's own database a backend, and refers to it."""
    config = doc.get(*store.old)
    if not isinstance(config, dict):
        return
    if "backend" in config:
        if store.old != store.new and not doc.has(*store.new) and isinstance(doc.get(*store.new[:-1]), dict | None):
            doc.move(store.old, store.new, "this is its name now")
        return
    kind = config.get("type", "sqlite")
    if kind not in OLD_TYPES or (store.family == SQL and kind in NO_SQL):
        doc.refuse(
            (*store.old, "type"), "what kind of database this is, is not known", f"Write one of: {_kinds(store)}."
        )
        return
    if store.old != store.new and doc.has(*store.new):
        doc.refuse(store.old, f"{store.new[-1]} is here too, and says the same", "Keep one of the two.")
        return
    if not isinstance(doc.get(*store.new[:-1]), dict | None):
        doc.refuse(store.new[:-1], "this must hold keys and values", "Correct it first.")
        return
    prefix = config.get("namespace") or store.name
    backend = _backend(doc, store, config, str(kind))
    doc.put(store.new, _reference(store.family, backend, prefix if store.family == KV else store.name))


def _kinds(store: Store) -> str:
    return ", ".join(kind for kind in OLD_TYPES if store.family == KV or kind not in NO_SQL)


def _reference(family: Family, backend: str, name: Any) -> dict[str, Any]:
    return {"backend": backend, "namespace" if family == KV else "table_name": name}


def _backend(doc: Rewrite, store: Store, config: dict[str, Any], kind: str) -> str:
    """The name of the backend that a store's own database has become, or was already."""
    wanted = _plain_backend(store.family, config, kind)
    names = [str(name) for name, known in doc.mapping("storage", "backends").items() if known == wanted]
    name = names[0] if names else _new_name(doc, store, wanted)
    place = ("storage", "backends", name)
    here = store.old
    if store.old != store.new and store.old[:-1] == store.new[:-1]:
        doc.rename(store.old, str(store.new[-1]), f"it is called {store.new[-1]} now")
        here = store.new
    if names:
        doc.put(here, None, f"{NAMED}: here {name}")
        if here != store.new:
            doc.drop(here)
        return name
    (doc.hand_over if here == store.new else doc.move)(here, place, NAMED)
    doc.put((*place, "type"), wanted["type"])
    if "namespace" in config:
        doc.drop((*place, "namespace"))
    if "db_path" in wanted and "db_path" not in config:
        doc.put((*place, "db_path"), wanted["db_path"])
    return name


def _plain_backend(family: Family, config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    place = {"db_path": OLD_PLACES[family]} if kind == "sqlite" else {}
    own = {key: value for key, value in config.items() if key != "namespace"}
    return {**place, **own, "type": f"{family}_{kind}"}


def _new_name(doc: Rewrite, store: Store, wanted: Mapping[str, Any]) -> str:
    taken = doc.mapping("storage", "backends")
    if store.default and f"{store.family}_default" not in taken:
        return f"{store.family}_default"
    path = wanted.get("db_path")
    stem = basename(path).partition(".")[0] if isinstance(path, str) else wanted["type"].partition("_")[2]
    word = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_") or "own"
    name, number = f"{store.family}_{word}", 1
    while name in taken:
        number += 1
        name = f"{store.family}_{word}_{number}"
    return name


def _batches(doc: Rewrite, target: Generation) -> None:
    for api, path, provider in _providers(doc):
        if target < "0.7" or api != "batches" or not isinstance(provider.get("config"), dict):
            continue
        if "kvstore" in provider["config"] and "sqlstore" not in provider["config"]:
            doc.rename((*path, "config", "kvstore"), "sqlstore", "batches are kept in an SQL database now")
            doc.put((*path, "config", "sqlstore"), _reference(SQL, "sql_default", "batches"))


def _responses(doc: Rewrite, target: Generation) -> None:
    """Since 1.0 the provider does not start without a place for its responses."""
    for api, path, provider in _providers(doc):
        if target < "0.7" or api != "responses" or provider.get("provider_type") != "inline::builtin":
            continue
        if not isinstance(doc.get(*path, "config", "persistence"), dict | None):
            continue
        if not doc.has(*path, "config", "persistence", "responses"):
            place = (*path, "config", "persistence", "responses")
            doc.put(place, _reference(SQL, "sql_default", "openai_responses"), "responses must be kept somewhere")


def _prompts(doc: Rewrite, target: Generation) -> None:
    for name in ("prompts", "connectors") if target >= "0.7" else ():
        place = ("storage", "stores", name)
        found = doc.mapping(*place)
        if "namespace" not in found or "table_name" in found:
            continue
        doc.rename((*place, "namespace"), "table_name", f"{name} are kept in an SQL database now")
        backend = str(found.get("backend")).replace("kv_", "sql_", 1)
        known = backend in doc.mapping("storage", "backends")
        doc.put((*place, "backend"), backend if known else "sql_default", f"{name} are kept in an SQL database now")


def _default_backends(doc: Rewrite, _: Generation) -> None:
    """What is not said is kept in these two; a list of backends without them does not start."""
    backends = doc.mapping("storage", "backends")
    if not doc.moves or not (backends or _refers(doc.tree)):
        return
    places = [one.get("db_path") for one in backends.values() if isinstance(one, dict)]
    folder = next((dirname(one) for one in places if isinstance(one, str) and dirname(one)), "~/.llama")
    for family in (KV, SQL):
        if f"{family}_default" not in backends:
            value = {"type": f"{family}_sqlite", "db_path": f"{folder}/{DEFAULT_FILES[family]}"}
            doc.put(
                ("storage", "backends", f"{family}_default"), value, "what names no backend of its own is kept here"
            )


def _refers(tree: Any) -> bool:
    """Whether something refers to a default backend."""
    if isinstance(tree, dict):
        return tree.get("backend") in ("kv_default", "sql_default") or any(map(_refers, tree.values()))
    return isinstance(tree, list) and any(map(_refers, tree))


def _resources(doc: Rewrite, target: Generation) -> None:
    for name in RESOURCES:
        new = RESOURCE_NAMES.get(name, name)
        if name in doc.tree:
            _register(doc, target, name, new)
        if new in GONE_RESOURCES[target] and doc.has("registered_resources", new):
            doc.drop(("registered_resources", new), GONE_RESOURCES[target][new])
    for index, item in enumerate(doc.listing("registered_resources", "vector_stores")):
        for old in [key for key in VECTOR_STORE_KEYS if isinstance(item, dict) and key in item]:
            place = ("registered_resources", "vector_stores", index, old)
            doc.rename(place, VECTOR_STORE_KEYS[old], "what was a vector database is called a vector store now")
    if target >= "0.7" and doc.has("safety"):
        doc.drop(("safety",), NOT_KNOWN)


def _register(doc: Rewrite, target: Generation, name: str, new: str) -> None:
    held = doc.get(name)
    place = ("registered_resources", new)
    if new in GONE_RESOURCES[target]:
        doc.drop((name,), GONE_RESOURCES[target][new])
    elif not held:
        doc.drop((name,), "it lists nothing")
    elif not isinstance(held, list) or doc.get(*place) or not isinstance(doc.get(place[0]), dict | None):
        doc.refuse((name,), f"registered_resources.{new} is here too", "Put all of them there.")
    else:
        if doc.has(*place):
            doc.drop(place)
        doc.move((name,), place, "resources are listed in registered_resources")


STEPS: tuple[Callable[[Rewrite, Generation], None], ...] = (
    _variables,
    _distribution,
    _agents,
    _apis,
    _types,
    _settings,
    _server_stores,
    # Before the stores of providers: what is not kept needs no backend.
    _batches,
    _provider_stores,
    _responses,
    _prompts,
    _default_backends,
    _resources,
)
