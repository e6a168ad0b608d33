"""A document while it is rewritten: what was moved where and why, and the remarks that move along.

A remark is whatever belongs to a place of the document and is no value of it: its comments. It is
known by the path of that place, so whatever changes a path changes the remark's path too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from lcompose.load import Path, dotted, value_at

Kind = Literal["renamed", "moved", "changed", "added", "removed"]


@dataclass(frozen=True, slots=True)
class Move:
    """One change: where it was (empty for what is new), where it is (empty for what is gone), and why."""

    document: str
    kind: Kind
    before: str
    after: str
    why: str

    @property
    def what(self) -> str:
        """The change in a few words."""
        arrow = f"{self.before} -> {self.after}" if self.before and self.after else self.before or self.after
        return f"{self.kind} {self.after if self.kind == 'changed' else arrow}"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What a person must decide first: where, what, and one thing to do."""

    path: Path
    what: str
    fix: str


@dataclass
class Rewrite:
    """A tree that is changed in place, beside what was done to it.

    Containers keep their identity, so a tree that knows more than values (quotes, anchors) keeps that.
    """

    document: str
    tree: Any
    remarks: dict[Path, Any] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)
    lost: list[Any] = field(default_factory=list)

    def get(self, *path: str | int) -> Any:
        """What stands at a path, or None."""
        return value_at(self.tree, path)

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """The mapping at a path; one without keys when something else stands there."""
        found = self.get(*path)
        return found if isinstance(found, dict) else {}

    def listing(self, *path: str | int) -> list[Any]:
        """The list at a path; an empty one when something else stands there."""
        found = self.get(*path)
        return found if isinstance(found, list) else []

    def has(self, *path: str | int) -> bool:
        """Whether there is something at a path, be it null."""
        parent = self.get(*path[:-1])
        return isinstance(parent, dict) and path[-1] in parent

    def rename(self, path: Path, name: str, why: str) -> None:
        """Gives a key another name; it stays where it is in the text."""
        parent, old, new = self.get(*path[:-1]), path[-1], (*path[:-1], name)
        items = list(parent.items())
        parent.clear()
        for key, value in items:
            parent[name if key == old else key] = value
        self._carry(path, new)
        self._tell("renamed", path, new, why)

    def move(self, path: Path, new: Path, why: str) -> None:
        """Takes what stands at a path, and puts it elsewhere."""
        value = self._take(path)
        self._give(new, value)
        self._carry(path, new)
        self._tell("moved", path, new, why)

    def hand_over(self, path: Path, new: Path, why: str) -> None:
        """Puts what stands at a path elsewhere; its key stays, for what is put there next."""
        self._give(new, self.get(*path))
        self.get(*path[:-1])[path[-1]] = None
        self._rekey(lambda one: (*new, *one[len(path) :]) if one[: len(path)] == path and one != path else one)
        self._tell("moved", path, new, why)

    def put(self, path: Path, value: Any, why: str = "") -> None:
        """Puts a value at a path; without a reason it is part of what was told just before."""
        there = self.get(*path) is not None
        self._leave(path, keep_own=True)
        self._give(path, value)
        if why:
            self._tell("changed" if there else "added", path if there else (), path, why)

    def drop(self, path: Path, why: str = "") -> None:
        """Removes what stands at a path."""
        self._take(path)
        self._leave(path)
        if isinstance(path[-1], int):
            self._rekey(lambda one: _closed_up(one, path))
        if why:
            self._tell("removed", path, (), why)

    def refuse(self, path: Path, what: str, fix: str) -> None:
        """Notes what stands in the way."""
        self.obstacles.append(Obstacle(path, what, fix))

    def _take(self, path: Path) -> Any:
        return self.get(*path[:-1]).pop(path[-1])

    def _give(self, path: Path, value: Any) -> None:
        place = self.tree
        for step in path[:-1]:
            if isinstance(place, dict) and place.get(step) is None:
                place[step] = {}
            place = place[step]
        place[path[-1]] = value

    def _carry(self, path: Path, new: Path) -> None:
        self._rekey(lambda one: (*new, *one[len(path) :]) if one[: len(path)] == path else one)

    def _leave(self, path: Path, *, keep_own: bool = False) -> None:
        gone = [one for one in self.remarks if one[: len(path)] == path and not (keep_own and one == path)]
        self.lost += [self.remarks.pop(one) for one in gone]

    def _rekey(self, new: Callable[[Path], Path]) -> None:
        self.remarks = {new(path): remark for path, remark in self.remarks.items()}

    def _tell(self, kind: Kind, before: Path, after: Path, why: str) -> None:
        self.moves.append(Move(self.document, kind, dotted(before), dotted(after), why))


def _closed_up(one: Path, gone: Path) -> Path:
    """A path after an item of a list before it has gone."""
    depth, step, index = len(gone) - 1, one[len(gone) - 1 : len(gone)], gone[-1]
    if one[:depth] != gone[:-1] or not step or not isinstance(step[0], int) or not isinstance(index, int):
        return one
    return (*one[:depth], step[0] - 1, *one[depth + 1 :]) if step[0] > index else one
