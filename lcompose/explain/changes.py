"""What the services' documents say differently from the person's own, as lines of a diff."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lcompose.emit import yaml_text
from lcompose.explain.values import HIDDEN, without_passwords
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.derive import RUN_FILE
from lcompose.load import Node, Path, locate, lookup, value_at
from lcompose.resolve import Resolved
from lcompose.spec.project import Change
from lcompose.spec.secrets import SECRET_NAME
from lcompose.spec.text import Address

# A mapping that a document got is shown as it is, up to so many lines.
MOST_LINES = 6


@dataclass(frozen=True, slots=True)
class Told:
    """One change of a document: the person's own and where in it, and the change as lines of a diff."""

    change: Change
    source: str
    where: str
    lines: tuple[str, ...]


def changes(resolved: Resolved) -> tuple[Told, ...]:
    """Every change of the person's documents, in its order."""
    paths = [(change.document, change.path) for change in resolved.project.changes]
    return tuple(
        Told(
            change,
            _source(change, resolved.configuration).where.file,
            place_of(change, resolved.configuration),
            _lines(change, resolved, paths),
        )
        for change in resolved.project.changes
    )


def place_of(change: Change, config: Configuration) -> str:
    """Where the person's own document says what was changed, or the nearest thing to it."""
    node = _source(change, config)
    path = _steps(change.path)
    # It was renamed: the person's file has it under its older name.
    if path[:1] == ("ogx",) and not lookup(node, ("ogx",)):
        path = (config.section, *path[1:])
    return str(locate(node, path))


def _source(change: Change, config: Configuration) -> Node:
    return config.run if change.document == RUN_FILE else config.lightspeed


def _lines(change: Change, resolved: Resolved, paths: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    name = str(_steps(change.path)[-1]) if change.path else ""
    before = [f"-{name}: {without_passwords(change.before)}"] if change.before else []
    after = [f"+{line}" for line in _written(change, name, resolved, paths)] if change.after else []
    return (*before, *after)


def _written(change: Change, name: str, resolved: Resolved, paths: Sequence[tuple[str, str]]) -> list[str]:
    """What stands there now; a small mapping or list is written out, unless more changes are inside it."""
    short = [f"{name}: {without_passwords(change.after)}"]
    if change.after not in ("{…}", "[…]") or any(_is_inside(change, one) for one in paths):
        return short
    tree = next((one.tree for one in resolved.project.documents if one.name == change.document), None)
    held = value_at(tree, _steps(change.path))
    lines = without_passwords(yaml_text(_as_plain({name: held}, frozenset(resolved.kept.values())))).splitlines()
    return lines if held is not None and len(lines) <= MOST_LINES else short


def _is_inside(change: Change, other: tuple[str, str]) -> bool:
    document, path = other
    return document == change.document and path.startswith((f"{change.path}.", f"{change.path}["))


def _as_plain(tree: Any, kept: frozenset[str], key: str = "") -> Any:
    """The tree without secrets: some cannot travel as variables, and stay in the document."""
    if isinstance(tree, Address):
        return f"{tree.scheme}://{tree.service}:{tree.port}{tree.path}"
    if isinstance(tree, dict):
        return {name: _as_plain(value, kept, name) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_as_plain(value, kept, key) for value in tree]
    return HIDDEN if str(tree) in kept or _is_secret(key, tree) else tree


def _is_secret(key: str, value: Any) -> bool:
    return isinstance(value, str) and "${env." not in value and bool(SECRET_NAME.search(key))


def _steps(path: str) -> Path:
    """The steps of a path as ``dotted`` writes it."""
    return tuple(int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)(?!\])|\[(\d+)\]", path))
