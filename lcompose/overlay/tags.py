"""``!reset`` and ``!override`` in a person's words of Compose: what goes before theirs is laid over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lcompose.load import Node, Path
from lcompose.overlay.merging import INSTEAD

RESET, OVERRIDE = "!reset", "!override"
# Under which key of a settings file they may stand.
TAGGED: Mapping[str, frozenset[str]] = {"compose": frozenset({RESET, OVERRIDE})}


def tagged(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every value with a tag, with its path; what is below one may have another."""
    if node.tag:
        yield path, node
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from tagged(child, (*path, key))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from tagged(child, (*path, index))


def without_reset(node: Node) -> Node:
    """The same without what is only there to be taken away."""
    if not isinstance(node.value, dict):
        return node
    kept = {key: without_reset(child) for key, child in node.value.items() if child.tag != RESET}
    return replace(node, value=kept)


def with_paths(tree: Mapping[str, Any], document: Node) -> dict[str, Any]:
    """A settings tree whose words of Compose say at which paths they do not merge."""
    found = document.value.get("compose") if isinstance(document.value, dict) else None
    paths = [list(path) for path, _ in tagged(found)] if found else []
    return {**tree, "compose": {**tree["compose"], INSTEAD: paths}} if paths else dict(tree)
