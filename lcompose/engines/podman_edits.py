"""How somebody else's compose file is changed for podman-compose without touching it.

Two files of ours are read after it: in the first stands what is taken out, in the second what comes in
its place. Both are needed, since podman-compose cannot put a list of mappings in the place of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lcompose.emit import Tagged, yaml_text

RESET = Tagged("!reset")
HEADER = "# Made by lcompose for Podman; read after your own file, and made again each time.\n"


@dataclass(frozen=True, slots=True)
class Beside:
    """A file that a container reads, and that podman-compose would not give it."""

    name: str
    text: str
    mode: int = 0o444
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Edit:
    """What is taken out, by path; what is put in, as a tree; the files that this needs."""

    resets: tuple[tuple[str, ...], ...] = ()
    adds: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Beside, ...] = ()

    @property
    def removals_text(self) -> str:
        """The first file."""
        tree: dict[str, Any] = {}
        for path in self.resets:
            _put(tree, path, RESET)
        return yaml_text(tree or {"services": {}}, HEADER)

    @property
    def additions_text(self) -> str:
        """The second file."""
        return yaml_text(_literal(self.adds), HEADER)


def set_in(service: str, key: str, value: Any) -> Edit:
    """Puts a value into a service that says nothing of it, or the same kind of scalar."""
    return Edit(adds={"services": {service: {key: value}}})


def replace_in(service: str, key: str, value: Any) -> Edit:
    """Puts a value in the place of one that is of another kind, or a list."""
    return Edit((("services", service, key),), {"services": {service: {key: value}}})


def joined(edits: Iterable[Edit]) -> Edit:
    """All of them as one; lists follow each other."""
    resets: list[tuple[str, ...]] = []
    files: dict[str, Beside] = {}
    adds: dict[str, Any] = {}
    for edit in edits:
        resets += [path for path in edit.resets if path not in resets]
        files |= {one.name: one for one in edit.files}
        adds = _joined(adds, edit.adds)
    return Edit(tuple(resets), adds, tuple(files.values()))


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        both = {key: _joined(first[key], second[key]) for key in first if key in second}
        return {**first, **second, **both}
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    return second


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = value


def _literal(tree: Any) -> Any:
    """Text that podman-compose reads back as it is: it fills in variables in our file too."""
    if isinstance(tree, Mapping):
        return {key: _literal(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_literal(value) for value in tree]
    return tree.replace("$", "$$") if isinstance(tree, str) else tree
