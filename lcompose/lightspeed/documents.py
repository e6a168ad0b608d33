"""The documents as rules look at them: what stands where, and what is not known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from lcompose.errors import Finding, Position, Severity
from lcompose.load import Node, Path, dotted, locate, value_at
from lcompose.schema import check, flag


class Filled(Protocol):
    """A document with variables filled in."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What stands in it then."""

    @property
    def unknown(self) -> frozenset[Path]:
        """Paths of it whose value is not known."""


class Documents(Filled, Protocol):
    """The part of a configuration that rules look at; what is filled in is lightspeed-stack.yaml."""

    @property
    def lightspeed(self) -> Node:
        """lightspeed-stack.yaml as it stands."""

    @property
    def generation(self) -> str:
        """The generation of LCORE that reads it."""


def section_of(config: Documents) -> str:
    """The key under which Llama Stack is configured."""
    return "ogx" if config.generation >= "0.7" and value(config, "ogx") is not None else "llama_stack"


def synthesis_inputs(config: Documents) -> list[Path]:
    """The places that make LCORE write a run.yaml of its own."""
    lists: tuple[Path, ...] = (("inference", "providers"), ("vector_store", "providers"))
    found = [path for path in lists if any(items(config, *path))]
    block: Path = (section_of(config), "config")
    return found if value(config, *block) is None else [block, *found]


def value(config: Filled, *path: str | int) -> Any:
    """What stands there, or None."""
    return value_at(config.values, path)


def is_open(config: Filled, *path: str | int) -> bool:
    """Whether the value hangs on a variable that is not set."""
    return any(path[:depth] in config.unknown for depth in range(len(path) + 1))


def lacks(config: Filled, *path: str | int) -> bool:
    """Whether nothing stands there, for sure."""
    return not value(config, *path) and not is_open(config, *path)


def is_true(held: Any) -> bool:
    """Whether the services read it as ``true``."""
    return check(Node(None, Position("")), held, flag()).value is True


def items(config: Filled, *path: str | int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The mappings of a list, each with its path."""
    held = value(config, *path)
    for index, item in enumerate(held if isinstance(held, list) else ()):
        if isinstance(item, dict):
            yield (*path, index), item


def texts(held: Any) -> list[str]:
    """The texts of a list."""
    return [item for item in held if isinstance(item, str)] if isinstance(held, list) else []


def at(config: Documents, path: Path, what: str, fix: str, severity: Severity = "error") -> Finding:
    """A finding at a path of lightspeed-stack.yaml."""
    return Finding(locate(config.lightspeed, path), dotted(path), what, fix, severity)


def repeated(config: Documents, named: Iterable[tuple[Path, Any]], severity: Severity = "error") -> Iterator[Finding]:
    """A finding for each value that stood earlier already."""
    seen: dict[str, Path] = {}
    for path, name in named:
        if isinstance(name, str):
            first = seen.setdefault(name, path)
            if first != path:
                yield at(config, path, f"this is {dotted(first)} again", "Give each its own.", severity)
