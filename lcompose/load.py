"""YAML text to nodes that know where they stand: file, line and column for every value and key."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, TypeAlias

import yaml

from lcompose.errors import ConfigError, Finding, Position

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 64
# PyYAML reads 1:1:1:… as a number to base 60, in quadratic time.
MAX_NUMBER = 100

TOO_DEEP_TO_READ = "exceeded maximum nesting depth"

# What YAML does not allow, and what no variable, path or container takes.
NOT_YAML = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NOT_PASSED_ON = re.compile(r"[\0\ud800-\udfff]")

Path: TypeAlias = tuple[str | int, ...]
Value: TypeAlias = "bool | int | float | str | date | list[Node] | dict[str, Node] | None"

STANDARD = "tag:yaml.org,2002:"
MERGE_TAG = f"{STANDARD}merge"
TEXT_TAG = f"{STANDARD}str"
COLLECTION_TAGS = frozenset({f"{STANDARD}map", f"{STANDARD}seq"})
SCALAR_TAGS = {
    TEXT_TAG: "text",
    f"{STANDARD}null": "null",
    f"{STANDARD}bool": "true or false",
    f"{STANDARD}int": "whole number",
    f"{STANDARD}float": "number",
    f"{STANDARD}timestamp": "date",
}
NO_TAGS: Mapping[str, frozenset[str]] = {}
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document and where it stands; ``keys`` has the places of a mapping's keys.

    ``tag`` is one that means something to whoever reads the document.
    """

    value: Value
    where: Position
    keys: dict[str, Position] = field(default_factory=dict)
    tag: str = ""


def parse(data: bytes, name: str, tagged: Mapping[str, frozenset[str]] = NO_TAGS) -> Node:
    """Reads one YAML document; an empty one is a node whose value is None.

    ``tagged`` are tags that may stand in what is below a key of the document, and nowhere else.

    Raises: ConfigError with everything that is wrong with the text.
    """
    places = _Places(name, _decode(data, name))
    _refuse_foreign_characters(places)
    try:
        _refuse_too_much(places)
        loader = Loader(places.text)
        try:
            root = loader.get_single_node()
            return _Builder(loader, places, tagged).finish(root) if root else Node(None, places.at(0))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_finding(error, places)]) from error


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


def value_at(tree: Any, path: Path) -> Any:
    """What stands at a path of a plain tree, or None."""
    for step in path:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


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


class _Places:
    """Where things stand in a text, in the lines that an editor shows: YAML knows more line ends."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.starts = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", text))]

    def at(self, index: int) -> Position:
        line = bisect_right(self.starts, index)
        return Position(self.name, line, index - self.starts[line - 1] + 1)

    def indentation(self, where: Position) -> str:
        rest = self.text[self.starts[where.line - 1] :]
        return rest[: len(rest) - len(rest.lstrip(" \t"))]


def _decode(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        fix = "Is this the right file? A configuration of that size is surely a mistake."
        raise ConfigError([Finding(Position(name), "", f"the file has more than {MAX_BYTES:,} bytes", fix)])
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        where = _Places(name, before).at(len(before))
        fix = "Save the file as UTF-8."
        raise ConfigError([Finding(where, "", "this is not UTF-8 text", fix)]) from error


def _refuse_foreign_characters(places: _Places) -> None:
    found = NOT_YAML.search(places.text)
    if found:
        what = f"the character U+{ord(found[0]):04X} may not stand in YAML"
        fix = "Remove it, or check that this is the right file."
        raise ConfigError([Finding(places.at(found.start()), "", what, fix)])


def _refuse_too_much(places: _Places) -> None:
    """Stops before the recursive composer does: on ``[[[[…`` it brings down the interpreter."""
    depth = count = 0
    events: Iterator[Any] = yaml.parse(places.text, Loader=Loader)
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConfigError([_too_deep(places.at(event.start_mark.index))])
        count += isinstance(event, yaml.NodeEvent)
        # Each value may have a key.
        if count > 2 * MAX_NODES:
            raise ConfigError([_too_many(places.at(event.start_mark.index))])


def _too_deep(where: Position) -> Finding:
    return Finding(where, "", f"more than {MAX_DEPTH} levels of nesting", "Flatten the structure here.")


def _too_many(where: Position) -> Finding:
    what = f"more than {MAX_NODES:,} values, counted as often as an alias repeats them"
    return Finding(where, "", what, "Use fewer nested aliases, or check that this is the right file.")


def _syntax_finding(error: yaml.MarkedYAMLError, places: _Places) -> Finding:
    mark = error.problem_mark or error.context_mark
    where = places.at(mark.index) if mark else Position(places.name)
    what = error.problem or error.context or "broken"
    # libyaml since 0.2.6 reads ahead and counts brackets itself, before the first of them is an event.
    if what == TOO_DEEP_TO_READ:
        return _too_deep(where)
    if mark and "\t" in places.indentation(where):
        return Finding(where, "", "a tab is used for indentation", "YAML indents with spaces only.")
    fix = "Check the indentation, quotes and colons on this line and the one before it."
    return Finding(where, "", f"not readable as YAML: {what}", fix)


class _Builder:
    """Turns PyYAML's nodes into ours, and collects what is wrong on the way."""

    def __init__(self, loader: Any, places: _Places, tagged: Mapping[str, frozenset[str]]) -> None:
        self.loader = loader
        self.places = places
        self.tagged = tagged
        self.allowed: frozenset[str] = frozenset()
        self.findings: dict[Finding, None] = {}
        self.count = 0
        self.open: set[int] = set()

    def finish(self, root: Any) -> Node:
        node = self.build(root)
        if self.findings:
            raise ConfigError(self.findings)
        return node

    def where(self, node: Any) -> Position:
        return self.places.at(node.start_mark.index)

    def report(self, node: Any, what: str, fix: str, path: str = "") -> None:
        # A dict: an alias to something wrong says it once, however often it is used.
        self.findings[Finding(self.where(node), path, what, fix)] = None

    def build(self, node: Any) -> Node:
        self.count += 1
        if self.count > MAX_NODES:
            raise ConfigError([_too_many(self.where(node))])
        tag = node.tag if node.tag in self.allowed else ""
        if isinstance(node, yaml.ScalarNode):
            return Node(self.scalar(self.untagged(node) if tag else node), self.where(node), tag=tag)
        return replace(self.collection(node, known=bool(tag)), tag=tag)

    def untagged(self, node: Any) -> Any:
        """The scalar as it would be read without its tag."""
        tag = self.loader.resolve(yaml.ScalarNode, node.value, (not node.style, bool(node.style)))
        return yaml.ScalarNode(tag, node.value, node.start_mark, node.end_mark, node.style)

    def collection(self, node: Any, *, known: bool) -> Node:
        if id(node) in self.open:
            fix = "An alias may not stand inside what it refers to."
            raise ConfigError([Finding(self.where(node), "", "a value contains itself", fix)])
        if len(self.open) == MAX_DEPTH:
            raise ConfigError([_too_deep(self.where(node))])
        if node.tag not in COLLECTION_TAGS and not known:
            self.report(node, *_unknown_tag(node.tag))
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
            key = self.key(key_node)
            if key in keys:
                what = f"the key {key!r} is here twice; the first is in line {keys[key].line}"
                self.report(key_node, what, "Remove one of the two.", key)
            keys[key] = self.where(key_node)
            if len(self.open) == 1:
                self.allowed = self.tagged.get(key, frozenset())
            if key_node.tag == MERGE_TAG:
                merged = self.merge_key(value_node)
            else:
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
                self.report(source, "<< needs a mapping", "Refer to a mapping here.")
        return result

    def key(self, node: Any) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.report(node, "a key must be plain text", "Use plain text as the key.")
            return ""
        wrong = _wrong_scalar(node.tag, node.value) if node.tag != MERGE_TAG else None
        if wrong:
            self.report(node, *wrong)
        return str(node.value)

    def scalar(self, node: Any) -> Any:
        wrong = _wrong_scalar(node.tag, node.value)
        if not wrong:
            try:
                return self.loader.construct_object(node)
            # PyYAML's own constructors let all of these through.
            except (yaml.YAMLError, ValueError, OverflowError, KeyError, IndexError, AttributeError):
                wrong = (f"this is not a valid {SCALAR_TAGS[node.tag]}", "Quote this value.")
        self.report(node, *wrong)
        return None


def _wrong_scalar(tag: str, value: str) -> tuple[str, str] | None:
    if tag not in SCALAR_TAGS:
        return _unknown_tag(tag)
    if tag != TEXT_TAG and len(value) > MAX_NUMBER:
        return f"this is too long for a {SCALAR_TAGS[tag]}", "Quote this value."
    if NOT_PASSED_ON.search(value):
        return "a NUL character cannot be passed on", "Remove it."
    return None


def _unknown_tag(tag: str) -> tuple[str, str]:
    shown = tag.replace(STANDARD, "!!")
    return f"the tag {shown} is not known", "Quote this value." if shown == "!!value" else "Remove the tag."
