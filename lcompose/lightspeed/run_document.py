"""run.yaml as its rules look at it: who provides what, which databases there are, and what is not sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lcompose.errors import Finding, Severity
from lcompose.lightspeed.documents import is_open, texts, value
from lcompose.lightspeed.envrefs import DISABLED, PATTERN
from lcompose.lightspeed.server_apis import APIS, DEFAULT_BACKENDS, Version
from lcompose.load import Node, Path, dotted, locate, lookup

# What LCORE adds by itself where it runs Llama Stack inside itself.
ADDED = ("byok_", "vsprov_", "okp_")
NAMELESS = (None, "", DISABLED)


@dataclass(frozen=True, slots=True)
class Run:
    """run.yaml as it stands and filled in, the version that reads it, and whether LCORE has that inside itself."""

    node: Node
    values: Mapping[str, Any]
    unknown: frozenset[Path]
    version: Version
    library: bool

    @property
    def server(self) -> str:
        """Who reads it."""
        return f"Llama Stack {'.'.join(map(str, self.version))}"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that is there, for sure or perhaps.

    ``names`` are all that it may have; none means that its name is not known.
    """

    api: str
    path: Path
    kind: str
    names: frozenset[str]
    sure: bool


def at(run: Run, path: Path, what: str, fix: str, severity: Severity = "error") -> Finding:
    """A finding at a path of run.yaml."""
    return Finding(locate(run.node, path), dotted(path), what, fix, severity)


def mapping_at(run: Run, *path: str | int) -> Mapping[str, Any]:
    """The mapping there, or an empty one."""
    held = value(run, *path)
    return held if isinstance(held, dict) else {}


def hangs(run: Run, *path: str | int) -> bool:
    """Whether what stands there is made of a variable, so that it may be something else another time."""
    held = lookup(run.node, path)
    return is_open(run, *path) or (
        held is not None and isinstance(held.value, str) and bool(PATTERN.search(held.value))
    )


def name_at(run: Run, *path: str | int) -> str:
    """The text there; empty if there is none, or if it is not sure which."""
    held = value(run, *path)
    return held if isinstance(held, str) and not is_open(run, *path) else ""


def providers(run: Run, *apis: str) -> Iterator[Provider]:
    """Those of some APIs, or of all, that are not left out for sure."""
    for api in apis or mapping_at(run, "providers"):
        held = value(run, "providers", api)
        for index in range(len(held)) if isinstance(held, list) else ():
            path: Path = ("providers", api, index)
            known = _names(run, (*path, "provider_id"))
            if known is not None:
                yield Provider(api, path, name_at(run, *path, "provider_type"), *known)


def sure_providers(run: Run, *apis: str) -> Iterator[Provider]:
    """Those that are there for sure, of APIs that the version may know."""
    for provider in providers(run, *apis):
        known = APIS.get(provider.api)
        if provider.sure and (known is None or known.since <= run.version < known.until):
            yield provider


def _names(run: Run, path: Path) -> tuple[frozenset[str], bool] | None:
    """The names that a provider may have and whether it is there for sure; None if it is left out."""
    held, found = lookup(run.node, path), value(run, *path)
    written = held.value if held else None
    operators = {match[2] or "" for match in PATTERN.finditer(written)} if isinstance(written, str) else set()
    if not operators:
        return None if written in NAMELESS else (frozenset({str(written)}), True)
    if "+" in operators:
        if_set = PATTERN.sub(lambda match: match[3] or "", str(written))
        return frozenset(str(name) for name in (if_set, found) if name not in NAMELESS), False
    if found in NAMELESS or DISABLED in str(written):
        return frozenset(), False
    return frozenset({str(found)}), True


def known_names(run: Run, api: str) -> frozenset[str]:
    """Every name that a provider of an API may have; empty if that is not known."""
    found = [provider.names for provider in providers(run, api)]
    return frozenset().union(*found) if all(found) else frozenset()


def is_provider(run: Run, api: str, name: str) -> bool:
    """Whether a provider of an API may have this name."""
    if run.library and name.startswith(ADDED):
        return True
    return is_open(run, "providers", api) or any(not one.names or name in one.names for one in providers(run, api))


def listed_apis(run: Run) -> list[str]:
    """The APIs that are named; none if all are meant, or if a name is not known."""
    held = value(run, "apis")
    items = held if isinstance(held, list) else []
    return [] if any(is_open(run, "apis", index) for index in range(len(items))) else texts(items)


def is_served(run: Run, api: str) -> bool:
    """Whether an API may be there for providers and callers."""
    known, listed = APIS.get(api), listed_apis(run)
    if known is None or known.served == "own":
        return True
    if known.served == "providers":
        return is_open(run, "providers", api) or any(providers(run, api))
    router = known.router or api
    return known.served != "nobody" and (not listed or router in listed)


def backends(run: Run) -> dict[str, str] | None:
    """The databases by name, each with its type; None if they are not known."""
    if is_open(run, "storage", "backends"):
        return None
    held = value(run, "storage", "backends")
    if held is None:
        return dict(DEFAULT_BACKENDS)
    return {name: name_at(run, "storage", "backends", name, "type") for name in mapping_at(run, "storage", "backends")}
