"""The comments and empty lines of a YAML text: taken off, known by what they stand at, and put back."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from lcompose.errors import Position
from lcompose.load import Loader, Node, Path

LINE_END = re.compile(r"\r\n|\r|\n")
COMMENT = re.compile(r"(?:^|(?<=[ \t]))#")


@dataclass(frozen=True, slots=True)
class Comment:
    """What stands above a key or an item, with each line's column, and what stands beside it."""

    line: int
    column: int
    above: tuple[tuple[int, str], ...] = ()
    beside: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Its words, without empty lines."""
        return tuple(text for text in (*(text for _, text in self.above), self.beside.strip()) if text)


@dataclass(frozen=True, slots=True)
class Commented:
    """A text without comments; they, by path; and those at its beginning and end, which belong to nothing."""

    bare: str
    comments: dict[Path, Comment]
    head: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()


class Lines:
    """The lines of a text, and where its scalars are: a # in one is no comment."""

    def __init__(self, text: str) -> None:
        self.lines = LINE_END.split(text)
        self.starts = [0, *(found.end() for found in LINE_END.finditer(text))]
        self.spans = list(_spans(text))
        self._begins = [begin for begin, _ in self.spans]

    def span_at(self, index: int) -> tuple[int, int] | None:
        """The scalar that a place is inside of, or at the beginning of."""
        found = bisect_right(self._begins, index) - 1
        return self.spans[found] if found >= 0 and index < self.spans[found][1] else None

    def goes_on(self, number: int) -> bool:
        """Whether a line begins inside a scalar."""
        span = self.span_at(self.starts[number])
        return bool(span and span[0] < self.starts[number])

    def comment(self, number: int) -> int:
        """The column at which a line's comment begins, or -1."""
        for found in COMMENT.finditer(self.lines[number]):
            if not self.span_at(self.starts[number] + found.start()):
                return found.start()
        return -1

    def index(self, where: Position) -> int:
        """A position as an index into the text."""
        return self.starts[where.line - 1] + where.column - 1


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for token in yaml.scan(text, Loader=Loader):
        if isinstance(token, yaml.ScalarToken):
            begin, end = token.start_mark.index, token.end_mark.index
            # Behind the | of a block there may be a comment.
            yield (text.find("\n", begin, end) + 1 or end, end) if token.style in ("|", ">") else (begin, end)


def places(node: Node, path: Path = ()) -> Iterator[tuple[Path, Position]]:
    """Every key and item with its place, in the order of the text; an alias has that of what it means."""
    if isinstance(node.value, dict):
        for key, where in node.keys.items():
            yield (*path, key), where
            if key in node.value:
                yield from places(node.value[key], (*path, key))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield (*path, index), child.where
            yield from places(child, (*path, index))


def taken_off(text: str, node: Node) -> Commented:
    """The text without its comments, and what each of them stands at."""
    lines = Lines(text)
    owners: dict[int, tuple[Path, Position]] = {}
    for path, where in places(node):
        owners.setdefault(where.line - 1, (path, where))
    bare: list[str] = []
    found: dict[Path, Comment] = {}
    pending: list[tuple[int, str]] = []
    last: Path | None = None
    for number, line in enumerate(lines.lines):
        at = lines.comment(number)
        content = line if at < 0 else line[:at]
        if lines.goes_on(number) or content.strip():
            kept = content.rstrip(" \t") if at >= 0 else line
            bare.append(kept)
            beside = line[len(kept) :] if at >= 0 else ""
            if number in owners and not lines.goes_on(number):
                last, where = owners[number]
                found[last] = Comment(where.line, where.column, tuple(pending), beside)
                pending = []
            elif beside and last is not None and not found[last].beside:
                found[last] = replace(found[last], beside=beside)
            elif beside:
                pending.append((at, beside.strip()))
        else:
            pending.append((at if at >= 0 else 0, line[at:] if at >= 0 else ""))
    tail = tuple(" " * column + words for column, words in pending)
    kept_comments = {path: one for path, one in found.items() if one.above or one.beside}
    head, kept_comments = _without_head(kept_comments)
    return Commented("\n".join(bare) + "\n", kept_comments, head, tail[:-1] if tail and not tail[-1] else tail)


def _without_head(comments: dict[Path, Comment]) -> tuple[tuple[str, ...], dict[Path, Comment]]:
    """The lines of the file's own at its beginning: those that an empty line parts from the first key."""
    first = next(iter(comments), None)
    above = comments[first].above if first is not None and len(first) == 1 else ()
    if first is None or comments[first].line - 1 != len(above) or ("" not in [text for _, text in above]):
        return (), comments
    end = max(index for index, (_, text) in enumerate(above) if not text) + 1
    head = tuple(" " * column + text for column, text in above[:end])
    return head, {**comments, first: replace(comments[first], above=above[end:])}


def put_back(
    text: str, node: Node, commented: Commented, comments: Mapping[Path, Comment]
) -> tuple[str, list[Comment]]:
    """The text with comments at the paths where they belong now, and those for which there is no place."""
    lines = Lines(text)
    where = dict(places(node))
    above: dict[int, list[str]] = {}
    beside: dict[int, str] = {}
    lost: list[Comment] = []
    for path, comment in comments.items():
        if path not in where:
            lost.append(comment)
            continue
        number, shift = where[path].line - 1, where[path].column - comment.column
        over = [(max(0, column + shift), words) for column, words in comment.above]
        while shift and over and not over[0][1]:
            # It parted the key from another one, in another place.
            over.pop(0)
        if comment.beside and (number in beside or _is_cut(lines, number)):
            over.append((where[path].column - 1, comment.beside.strip()))
        elif comment.beside:
            beside[number] = comment.beside
        above.setdefault(number, []).extend(" " * column + words if words else "" for column, words in over)
    written = [*commented.head]
    for number, line in enumerate(lines.lines[:-1] if not lines.lines[-1] else lines.lines):
        written += [*above.get(number, ()), line + beside.get(number, "")]
    return "\n".join([*written, *commented.tail]) + "\n", lost


def _is_cut(lines: Lines, number: int) -> bool:
    """Whether a line ends inside a scalar, where a # is none of a comment's."""
    end = lines.starts[number] + len(lines.lines[number])
    span = lines.span_at(end)
    return bool(span and span[0] < end)


def indentation(text: str, node: Node) -> dict[str, Any]:
    """How far a text indents most of its mappings and lists, in the words of its writer."""
    from collections import Counter

    lines = LINE_END.split(text)
    mappings, lists = Counter({2: 0}), Counter({(2, 0): 0})
    for key_column, child in _below(node):
        first = next(iter(child.keys.values()), None) if isinstance(child.value, dict) else None
        if first and first.column > key_column and lines[first.line - 1][: first.column - 1].strip() == "":
            mappings[first.column - key_column] += 1
        for item in child.value[:1] if isinstance(child.value, list) else ():
            dash = lines[item.where.line - 1][: item.where.column - 1].find("-") + 1
            if dash >= key_column:
                lists[(item.where.column - key_column, dash - key_column)] += 1
    sequence, offset = lists.most_common(1)[0][0]
    return {"mapping": mappings.most_common(1)[0][0], "sequence": sequence, "offset": offset}


def _below(node: Node) -> Iterator[tuple[int, Node]]:
    """Every value of a mapping, with the column of its key."""
    for key, where in node.keys.items():
        child = node.value.get(key) if isinstance(node.value, dict) else None
        if child is not None:
            yield where.column, child
    children = (
        node.value.values() if isinstance(node.value, dict) else node.value if isinstance(node.value, list) else ()
    )
    for child in children:
        yield from _below(child)
