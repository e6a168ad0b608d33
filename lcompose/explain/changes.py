"""What the services' documents say differently from the person's own, as lines of a diff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lcompose.emit import yaml_text
from lcompose.explain.evidence import document, is_made, source_of, steps_of
from lcompose.explain.values import HIDDEN, without_passwords
from lcompose.lightspeed.derive import LIGHTSPEED_FILE, RUN_FILE
from lcompose.lightspeed.wiring import NO_SECRET
from lcompose.load import Node, Path, dotted, locate, plain, value_at
from lcompose.resolve import Resolved
from lcompose.spec.project import Change
from lcompose.spec.secrets import SECRET_NAME
from lcompose.spec.text import Address

# How a change tells that there is a mapping or a list.
STRUCTURES = ("{…}", "[…]")


@dataclass(frozen=True, slots=True)
class Told:
    """One change of a document: the person's own and where in it, and the change as lines of a diff."""

    change: Change
    source: str
    where: str
    lines: tuple[str, ...]


def changes(resolved: Resolved, lightspeed: Node | None = None) -> tuple[Told, ...]:
    """Every change of the person's documents, in its order.

    ``lightspeed`` is the whole lightspeed-stack.yaml, with the settings of lcompose that may be in it.
    """
    every = resolved.project.changes
    return tuple(_told(change, resolved, lightspeed or resolved.configuration.lightspeed, every) for change in every)


def _told(change: Change, resolved: Resolved, lightspeed: Node, every: Sequence[Change]) -> Told:
    name = change.document
    node = lightspeed if name == LIGHTSPEED_FILE else document(resolved.configuration, name)
    path = _added_from(change, resolved)
    where = str(locate(lightspeed, path)) if path else place_of(change, resolved, node)
    source = "what lcompose made" if name == RUN_FILE and is_made(resolved) else node.where.file
    return Told(change, source, where, _lines(change, resolved, node, every, added=bool(path)))


def place_of(change: Change, resolved: Resolved, node: Node) -> str:
    """Where the person's own document says what was changed, or the nearest thing to it."""
    path = steps_of(change.path)
    if change.document == LIGHTSPEED_FILE and value_at(plain(node), path[:1]) is not None:
        return str(locate(node, path))
    layer, where = source_of(resolved, change.document, path)
    return where if layer in where else f"{layer}: {where}"


def _added_from(change: Change, resolved: Resolved) -> Path:
    """The key of lightspeed-stack.yaml for which something was added to run.yaml."""
    found = [
        one for one in resolved.run_steps if dotted(one.path) == change.path and dotted(one.source) == change.after
    ]
    return found[0].source if found and change.document == RUN_FILE and not change.before else ()


# --- lines ---


def _lines(change: Change, resolved: Resolved, node: Node, every: Sequence[Change], *, added: bool) -> tuple[str, ...]:
    path = steps_of(change.path)
    name = path[-1] if path else ""
    hidden = frozenset([*resolved.kept.values(), *resolved.lifted.values()])
    before = after = None
    if not _is_renamed(change, every):
        before = value_at(plain(node), path) if change.before in STRUCTURES else None
        if (change.after in STRUCTURES or added) and not _has_more(change, every):
            after = value_at(_tree(change.document, resolved), path)
    old = _written(name, before, change.before, hidden)
    new = _written(name, after, change.after, hidden)
    return (*(f"-{line}" for line in old), *(f"+{line}" for line in new))


def _tree(name: str, resolved: Resolved) -> Any:
    return next((one.tree for one in resolved.project.documents if one.name == name), None)


def _is_renamed(change: Change, every: Sequence[Change]) -> bool:
    """Of a section that has another name now, its content stays where it is, and is not told."""
    both = {one.path for one in every if one.document == change.document and "renamed" in one.reason}
    return change.path in both and {"ogx", "llama_stack"} <= both


def _has_more(change: Change, every: Sequence[Change]) -> bool:
    """Whether more changes are inside it, each of which is told by itself."""
    inside = (f"{change.path}.", f"{change.path}[")
    return any(one.document == change.document and one.path.startswith(inside) for one in every)


def _written(name: str | int, held: Any, said: str, hidden: frozenset[str]) -> list[str]:
    """What stands there, as lines of YAML."""
    if held is None:
        mark = "-" if isinstance(name, int) else f"{name}:"
        return [f"{mark} {without_passwords(said)}"] if said else []
    tree = _as_plain(held, hidden, str(name))
    return without_passwords(yaml_text([tree] if isinstance(name, int) else {name: tree})).splitlines()


def _as_plain(tree: Any, hidden: frozenset[str], key: str = "") -> Any:
    """The tree without secrets: some cannot travel as variables, and stay in the document."""
    if isinstance(tree, Address):
        return f"{tree.scheme}://{tree.service}:{tree.port}{tree.path}"
    if isinstance(tree, dict):
        return {name: _as_plain(value, hidden, name) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_as_plain(value, hidden, key) for value in tree]
    return HIDDEN if str(tree) in hidden or _is_secret(key, tree) else tree


def _is_secret(key: str, value: Any) -> bool:
    named = SECRET_NAME.search(key) and not NO_SECRET.search(key)
    return isinstance(value, str) and "${env." not in value and bool(named)
