"""What the databases of run.yaml must have to do with what is kept in them, a part of ``run_rules``."""

from __future__ import annotations

from collections.abc import Iterator

from lcompose.errors import Finding
from lcompose.lightspeed.documents import is_open, value
from lcompose.lightspeed.run_document import ADDED, Run, at, backends, is_served, mapping_at, name_at, sure_providers
from lcompose.lightspeed.server_apis import (
    KV,
    PROMPT_STORES,
    PROVIDER_STORES,
    SQL,
    SQL_PROMPTS,
    Store,
    Version,
    server_stores,
)
from lcompose.load import Path
from lcompose.schema import suggestion

STORES: Path = ("storage", "stores")


def server_stores_are_right(run: Run) -> Iterator[Finding]:
    """What Llama Stack itself keeps is kept in a database that is there, of the right family."""
    known = server_stores(run.version)
    stores = mapping_at(run, *STORES)
    for name in stores:
        if name not in known:
            what = f"{run.server} does not know this store and ignores it"
            yield at(run, (*STORES, name), what, suggestion(name, list(known)), "warning")
    for name, store in known.items() if not is_open(run, *STORES) else ():
        path = (*STORES, name)
        if name not in stores:
            yield from _default_is_there(run, path, store)
        elif stores[name] is None:
            yield from _is_not_null(run, path, store)
        elif isinstance(stores[name], dict):
            yield from _reference(run, path, store, moved=name if run.version >= SQL_PROMPTS else "")


def _default_is_there(run: Run, path: Path, store: Store) -> Iterator[Finding]:
    known = backends(run)
    name = str(store.path[0])
    if not store.required or known is None:
        return
    if name not in known:
        what = f"{path[-1]} is kept in the backend {name!r} if nothing is said, and there is none"
        yield at(run, path, what, f"Add 'storage.stores.{path[-1]}', or a backend {name}.")
    elif not _fits(known[name], store):
        what = (
            f"{path[-1]} is kept in the backend {name!r} if nothing is said, and needs one of a type {store.family}_…"
        )
        yield at(run, path, what, f"Add 'storage.stores.{path[-1]}'.")


def _fits(kind: str, store: Store) -> bool:
    # An unknown one is another finding, or hangs on a variable.
    return kind.startswith(f"{store.family}_") or not kind.startswith((f"{KV}_", f"{SQL}_"))


def _is_not_null(run: Run, path: Path, store: Store) -> Iterator[Finding]:
    if store.required and not is_open(run, *path) and (path[-1] != "inference" or is_served(run, "inference")):
        yield at(run, path, "Llama Stack does not start without this store", "Remove it, or name a backend.")


def provider_stores_are_right(run: Run) -> Iterator[Finding]:
    """What providers keep is kept in a database that is there, of the right family."""
    for provider in sure_providers(run):
        for store in _stores_of(provider.api, provider.kind, run.version):
            path = (*provider.path, "config", *store.path)
            held = value(run, *path)
            if isinstance(held, dict):
                yield from _reference(run, path, store)
            elif held is None and store.required and not is_open(run, *path):
                key = f", {store.key}: …" if store.key else ""
                fix = f"Add '{path[-1]}: {{backend: {store.family}_default{key}}}'."
                yield at(run, path, f"{provider.kind} does not start without this", fix)


def _stores_of(api: str, kind: str, version: Version) -> list[Store]:
    return [store for store in PROVIDER_STORES.get((api, kind), ()) if store.since <= version < store.until]


def _reference(run: Run, path: Path, store: Store, moved: str = "") -> Iterator[Finding]:
    """``moved`` is the store of Llama Stack that it may have moved to an SQL database itself."""
    held = mapping_at(run, *path)
    moves = moved in PROMPT_STORES and "namespace" in held and "table_name" not in held
    for key in ("backend", store.key):
        if key and held.get(key) is None and not moves and not is_open(run, *path, key):
            yield at(run, (*path, key), f"the key {key!r} must be there", f"Add '{key}'.")
    name, known = name_at(run, *path, "backend"), backends(run)
    name = name.replace("kv_", "sql_", 1) if moves else name
    if known is None or not name or (run.library and name.startswith(ADDED)):
        return
    if name not in known:
        fix = f"Known here: {', '.join(sorted(known))}." if known else "Add it to 'storage.backends'."
        yield at(run, (*path, "backend"), f"there is no backend {name!r}", fix)
    elif not _fits(known[name], store):
        what = f"this needs a backend of a type {store.family}_…, and {name!r} is {known[name]}"
        yield at(run, (*path, "backend"), what, f"Name a backend of a type {store.family}_….")
