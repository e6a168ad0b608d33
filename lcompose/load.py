"""YAML text to nodes that know where they stand: file, line and column for every value and key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeAlias

import yaml

from lcompose.errors import ConfigError, Finding, Position

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 64
# Block nesting needs at least one column a level.
DEEP_INDENT = re.compile(rf"^[ ?-]{{{MAX_DEPTH},}}", re.MULTILINE)

Path: TypeAlias = tuple[str | int, ...]
Value: TypeAlias = "None | bool | int | float | str | date | list[Node] | dict[str, Node]"

MERGE_TAG = "tag:yaml.org,2002:merge"
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document and where it stands; ``keys`` has the places of a mapping's keys."""

    value: Value
    where: Position
    keys: dict[str, Position] = field(default_factory=dict)


def parse(data: bytes, name: str) -> Node:
    """Reads one YAML document; an empty one is a node whose value is None.

    Raises: ConfigError with everything that is wrong with the text.
    """
    text = _decode(data, name)
    loader = Loader(text)
    try:
        _refuse_deep_nesting(text, name)
        root = loader.get_single_node()
        if root is None:
            return Node(None, Position(name, 1, 1))
        return _Builder(loader, name).finish(root)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_finding(error, name, text)]) from error
    except (yaml.YAMLError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError([_finding(name, f"not readable as YAML: {first}")]) from error
    finally:
        loader.dispose()


def plain(node: Node) -> Any:
    """The value without its places: dicts, lists and scalars."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def lookup(node: Node, path: Path) -> Node | None:
    """The node at a path, or None."""
    for step in path:
        found = _child(node, step)
        if found is None:
            return None
        node = found
    return node


def locate(node: Node, path: Path) -> Position:
    """The place of a path, or of the nearest thing above it that exists."""
    where = node.where
    for step in path:
        found = _child(node, step)
        if found is None:
            return where
        where = node.keys.get(str(step), found.where)
        node = found
    return where


def dotted(path: Iterable[str | int]) -> str:
    """A path as people write it: ``mcp_servers[0].url``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def leaves(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every scalar below a node, with its path."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from leaves(child, (*path, key))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from leaves(child, (*path, index))
    else:
        yield path, node


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(node.value, dict):
        return node.value.get(str(step))
    if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None


def _decode(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        fix = "Is this the right file? A configuration of that size is surely a mistake."
        size = f"{len(data):,} bytes, and at most {MAX_BYTES:,} are read"
        raise ConfigError([_finding(name, f"the file has {size}", fix)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        where = Position(name, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        fix = "Save the file as UTF-8."
        raise ConfigError([Finding(where, "", "this is not UTF-8 text", fix)]) from error


def _refuse_deep_nesting(text: str, name: str) -> None:
    """Stops before the recursive composer does: it would exhaust the stack on ``[[[[…``."""
    if text.count("[") + text.count("{") <= MAX_DEPTH and not DEEP_INDENT.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            mark = event.start_mark
            where = Position(name, mark.line + 1, mark.column + 1)
            what = f"more than {MAX_DEPTH} levels of nesting"
            raise ConfigError([Finding(where, "", what, "Flatten the structure here.")])


def _syntax_finding(error: yaml.MarkedYAMLError, name: str, text: str) -> Finding:
    mark = error.problem_mark or error.context_mark
    where = Position(name, mark.line + 1, mark.column + 1) if mark else Position(name)
    what = error.problem or error.context or "not readable as YAML"
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "\\t" in what:
        return Finding(where, "", "a tab is used for indentation", "YAML indents with spaces only.")
    fix = "Check the indentation, quotes and colons on this line and the one before it."
    return Finding(where, "", f"not readable as YAML: {what}", fix)


def _finding(name: str, what: str, fix: str = "") -> Finding:
    return Finding(Position(name), "", what, fix or "Check that this is the right file.")


class _Builder:
    """Turns PyYAML's nodes into ours, and collects what is wrong on the way."""

    def __init__(self, loader: Any, name: str) -> None:
        self.loader = loader
        self.name = name
        self.findings: list[Finding] = []
        self.count = 0
        self.open: set[int] = set()

    def finish(self, root: Any) -> Node:
        node = self.build(root)
        if self.findings:
            raise ConfigError(self.findings)
        return node

    def where(self, node: Any) -> Position:
        return Position(self.name, node.start_mark.line + 1, node.start_mark.column + 1)

    def build(self, node: Any) -> Node:
        self.count += 1
        if self.count > MAX_NODES:
            what = f"aliases expand to more than {MAX_NODES:,} values"
            fix = "Write the values out, or use fewer nested aliases."
            raise ConfigError([Finding(self.where(node), "", what, fix)])
        if isinstance(node, yaml.ScalarNode):
            return Node(self.scalar(node), self.where(node))
        return self.collection(node)

    def collection(self, node: Any) -> Node:
        if id(node) in self.open:
            fix = "An alias may not stand inside what it refers to."
            raise ConfigError([Finding(self.where(node), "", "a value contains itself", fix)])
        self.open.add(id(node))
        built = self.mapping(node) if isinstance(node, yaml.MappingNode) else self.sequence(node)
        self.open.discard(id(node))
        return built

    def sequence(self, node: Any) -> Node:
        return Node([self.build(child) for child in node.value], self.where(node))

    def mapping(self, node: Any) -> Node:
        merged: dict[str, Node] = {}
        own: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE_TAG:
                merged = self.merge_key(value_node) | merged
                continue
            key = self.key(key_node)
            if key in own:
                self.duplicate(key_node, key, keys[key])
            keys[key] = self.where(key_node)
            own[key] = self.build(value_node)
        return Node({**merged, **own}, self.where(node), keys)

    def merge_key(self, node: Any) -> dict[str, Node]:
        """What ``<<`` brings in; of several mappings the first wins, as YAML 1.1 has it."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, Node] = {}
        for source in sources:
            built = self.build(source)
            if isinstance(built.value, dict):
                result = {**built.value, **result}
            else:
                what = "<< needs a mapping"
                self.findings.append(Finding(built.where, "", what, "Refer to a mapping here."))
        return result

    def key(self, node: Any) -> str:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        fix = "Use plain text as the key."
        self.findings.append(Finding(self.where(node), "", "a key must be plain text", fix))
        return ""

    def duplicate(self, node: Any, key: str, first: Position) -> None:
        what = f"the key {key!r} is here twice; the first is in line {first.line}"
        self.findings.append(Finding(self.where(node), key, what, "Remove one of the two."))

    def scalar(self, node: Any) -> Any:
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            text = getattr(error, "problem", None) or str(error)
            self.findings.append(Finding(self.where(node), "", str(text), "Quote this value."))
            return None
