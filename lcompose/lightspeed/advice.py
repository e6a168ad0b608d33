"""What is wrong with the documents and what only seems right, in the words that help with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from lcompose.errors import Finding
from lcompose.lightspeed import wiring
from lcompose.lightspeed.config import NOTHING, Configuration, findings, is_within, server_is_ours
from lcompose.lightspeed.envrefs import PATTERN
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.load import Node, Path, dotted, leaves, locate, value_at
from lcompose.schema import record

Place: TypeAlias = tuple[str, str]  # a file, and a path in it
ARRIVES = {bool: "true or false", int: "a number", float: "a number"}


def judged(config: Configuration) -> list[Finding]:
    """Everything that is wrong; where it is the value of a variable that does not fit, that is said."""
    retyped = {_place(one): one for one in _retyped(config)}
    found = [retyped[_place(one)] if _wants_text(one) and _place(one) in retyped else one for one in findings(config)]
    # A provider that no table knows may want text there, or not.
    others = sorted(_secret_places(config) & retyped.keys() - {_place(one) for one in found})
    return [*found, *(replace(retyped[place], severity="warning") for place in others)]


def _place(one: Finding) -> Place:
    return one.where.file, one.path


def _wants_text(one: Finding) -> bool:
    return one.severity == "error" and "string" in one.what


def _retyped(config: Configuration) -> Iterator[Finding]:
    """A finding for each text with a variable in it that its service sees as something else than text."""
    for node, values in _documents(config):
        for path, leaf in leaves(node):
            value = value_at(values, path) if path else None
            if isinstance(leaf.value, str) and type(value) in ARRIVES and PATTERN.search(leaf.value):
                names = " and ".join(dict.fromkeys(match[1] for match in PATTERN.finditer(leaf.value)))
                what = f"text must be here, and the value of {names} arrives as {ARRIVES[type(value)]}"
                fix = f"Give {names} a value that is not just digits, true or a number, or write it here in quotes."
                yield Finding(leaf.where, dotted(path), what, fix)


def _secret_places(config: Configuration) -> set[Place]:
    kinds = record(LIGHTSPEED), record(RUN, extra="allow")
    pairs = zip(_documents(config), kinds, strict=False)
    return {
        (leaf.where.file, dotted(path)) for (node, _), kind in pairs for path, leaf in wiring.secrets_in(node, kind)
    }


def _documents(config: Configuration) -> list[tuple[Node, Any]]:
    """The documents that are read here, with the values that their services see."""
    own = [(config.lightspeed, config.values)]
    return [*own, (config.run, config.run_values)] if server_is_ours(config) else own


def advice(config: Configuration, rewritten: Sequence[Set[Path] | None] = NOTHING) -> list[Finding]:
    """Addresses that mean this machine here, and the container itself in a container.

    ``rewritten`` are the paths of both documents at which another address will stand; None for a document
    that no container reads.
    """
    return [
        _local_address(node, path)
        for (node, values), changed in zip(_documents(config), rewritten, strict=False)
        if changed is not None
        for path, leaf in leaves(node)
        if path
        and not is_within(path, changed)
        and _is_address(path)
        and _is_local(value_at(values, path) or leaf.value)
    ]


def _local_address(node: Node, path: Path) -> Finding:
    what = "in a container this is the container itself, and not this machine"
    fix = "Use the name of a service, or host.docker.internal / host.containers.internal for this machine."
    return Finding(locate(node, path), dotted(path), what, fix, "warning")


def _is_address(path: Path) -> bool:
    inside = [str(step) for step in path[:-1]]
    if path[-1] == "url":
        return "mcp_servers" in inside
    return path[-1] == "base_url" or (path[-1] == "host" and ("postgres" in inside or "backends" in inside))


def _is_local(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        name = urlsplit(value).hostname if "://" in value else value
    except ValueError:
        return False
    return name in ("localhost", "127.0.0.1", "::1")
