"""A run.yaml while it is made: a tree that remembers, for each part of it, who put it there and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lcompose.load import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in lightspeed-stack.yaml something comes from, and why it is in run.yaml."""

    source: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """What stands at a path of run.yaml, and below it, comes from there; the longest path that fits is right."""

    path: Path
    source: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What cannot be made into a part of run.yaml; the path is one of lightspeed-stack.yaml."""

    path: Path
    what: str
    fix: str


class Draft:
    """Starts as a copy of a tree.

    An origin is kept by the identity of what it belongs to: an index of a list is no name for
    anything while the list still changes.
    """

    def __init__(self, tree: Any, origin: Origin) -> None:
        self.tree: dict[str, Any] = copied(tree) if isinstance(tree, dict) else {}
        self.problems: list[Problem] = []
        self._origins: dict[tuple[int, str | None], Origin] = {}
        self._held: list[Any] = []  # What is remembered by its id must not be thrown away.
        self._remember(self.tree, None, origin)

    def mapping(self, *path: str) -> dict[str, Any]:
        """The mapping at a path, made where nothing stands. See ``listing``."""
        held = self._opened(path, {})
        return held if isinstance(held, dict) else {}

    def listing(self, *path: str) -> list[Any]:
        """The list at a path, made where nothing stands.

        Where something else stands it is one of nowhere: what is put in is lost, and the check of
        the finished run.yaml tells what is wrong.
        """
        held = self._opened(path, [])
        return held if isinstance(held, list) else []

    def put(self, held: dict[str, Any], key: str, value: Any, origin: Origin) -> None:
        """Sets a key of a mapping of this tree."""
        held[key] = copied(value)
        self._remember(held, key, origin)

    def add(self, held: list[Any], item: Any, origin: Origin, index: int | None = None) -> None:
        """Appends to a list of this tree, or replaces what is at the index."""
        item = copied(item)
        if index is None:
            held.append(item)
        else:
            held[index] = item
        if isinstance(item, str):
            self._remember(held, item, origin)
        else:
            self._remember(item, None, origin)

    def merge(self, overlay: dict[str, Any], origin: Origin) -> None:
        """Lays a tree over this one: mappings are merged, everything else is replaced."""
        self._merge(self.tree, overlay, origin)

    def _merge(self, held: dict[str, Any], overlay: dict[str, Any], origin: Origin) -> None:
        for key, value in overlay.items():
            below = Origin((*origin.source, key), origin.reason)
            if isinstance(held.get(key), dict) and isinstance(value, dict):
                self._merge(held[key], value, below)
            else:
                self.put(held, key, value, below)

    def _opened(self, path: tuple[str, ...], make: Any) -> Any:
        held: Any = self.tree
        for position, key in enumerate(path):
            if not isinstance(held, dict):
                return None
            if held.get(key) is None:
                held[key] = make if position == len(path) - 1 else {}
            held = held[key]
        return held

    def _remember(self, held: Any, key: str | None, origin: Origin) -> None:
        self._held.append(held)
        self._origins[id(held), key] = origin

    def steps(self) -> tuple[Step, ...]:
        """Who put what there, for everything that is still there; from the top."""
        return tuple(self._steps(self.tree, ()))

    def _steps(self, tree: Any, path: Path) -> Iterator[Step]:
        yield from self._step(tree, None, path)
        if isinstance(tree, dict):
            for key, value in tree.items():
                yield from self._step(tree, key, (*path, key))
                yield from self._steps(value, (*path, key))
        elif isinstance(tree, list):
            for index, value in enumerate(tree):
                if isinstance(value, str):
                    yield from self._step(tree, value, (*path, index))
                yield from self._steps(value, (*path, index))

    def _step(self, held: Any, key: str | None, path: Path) -> Iterator[Step]:
        origin = self._origins.get((id(held), key))
        if origin and isinstance(held, (dict, list)):
            yield Step(path, origin.source, origin.reason)


def copied(tree: Any) -> Any:
    """A copy in which nothing is the same object twice, as it may be where YAML has an alias."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [copied(value) for value in tree]
    return tree
