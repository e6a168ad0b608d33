"""What the keys for knowledge and shields must have to do with each other, a part of ``rules``."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

from lcompose.errors import Finding
from lcompose.lightspeed.documents import Documents, at, is_open, items, lacks, repeated, texts, value
from lcompose.load import Path

OKP_SOURCE = "okp"


def knowledge_has_a_file(config: Documents) -> Iterator[Finding]:
    """A store of faiss has a file."""
    stores = ((("rag", "byok", "stores"), "backend", "faiss"), (("byok_rag",), "rag_type", "inline::faiss"))
    for places, key, faiss in stores:
        for path, store in items(config, *places):
            if store.get(key, faiss) == faiss and lacks(config, *path, "db_path"):
                yield at(config, (*path, "db_path"), f"{faiss} needs a file", "Add 'db_path'.")


def knowledge_is_known(config: Documents) -> Iterator[Finding]:
    """Each store has its own id, and only these are searched."""
    stores = [((*path, "rag_id"), store.get("rag_id")) for path, store in items(config, "rag", "byok", "stores")]
    yield from repeated(config, stores)
    if any(is_open(config, *path) for path, _ in stores):
        return
    known = {OKP_SOURCE, *texts([name for _, name in stores])}
    for strategy in ("inline", "tool"):
        path: Path = ("rag", "retrieval", strategy, "sources")
        for index, name in enumerate(texts(value(config, *path))):
            if name not in known:
                fix = f"Known here: {', '.join(sorted(known))}."
                yield at(config, (*path, index), f"no store has the rag_id {name!r}", fix)


def default_store_provider(config: Documents) -> Iterator[Finding]:
    """Each provider has its own id, and one of them is the default."""
    path: Path = ("vector_store", "default_provider")
    providers = [((*place, "id"), one.get("id")) for place, one in items(config, "vector_store", "providers")]
    ids = [(place, name.strip()) for place, name in providers if isinstance(name, str)]
    yield from repeated(config, ids)
    default, known = value(config, *path), [name for _, name in ids]
    if is_open(config, *path) or any(is_open(config, *place) for place, _ in providers):
        return
    if providers and default is None:
        yield at(config, path, "with providers, one must be the default", "Add 'vector_store.default_provider'.")
    elif not providers and default is not None:
        yield at(config, path, "there are no providers", "Add 'vector_store.providers', or remove this.")
    elif isinstance(default, str) and default.strip() not in known:
        yield at(config, path, "no provider has this id", f"Known here: {', '.join(known)}.")


def shields_are_right(config: Documents) -> Iterator[Finding]:
    """Each shield has its own name; patterns can be read; a key travels by https."""
    shields = list(items(config, "shields"))
    yield from repeated(config, (((*path, "name"), shield.get("name")) for path, shield in shields))
    for path, _ in shields:
        for place, rule in items(config, *path, "config", "rules"):
            if isinstance(rule.get("pattern"), str):
                yield from pattern_is_right(config, (*place, "pattern"))
        url, key = (value(config, *path, "config", name) for name in ("url", "api_key"))
        if isinstance(url, str) and key is not None and not url.startswith("https://"):
            yield at(config, (*path, "config", "url"), "a key may not travel in clear", "Write an https address.")


def pattern_is_right(config: Documents, path: Path) -> Iterator[Finding]:
    """What stands there is a regular expression."""
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(value(config, *path))
    except (TypeError, re.error, OverflowError, RecursionError):
        fix = "Correct it; a backslash is safe in 'single quotes'."
        yield at(config, path, "this is not a regular expression", fix)
