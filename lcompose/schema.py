"""The notation in which known keys are written down, and the check of a document against it.

A table row says what a key may hold and what the key means for a deployment (its role), so that
validation and wiring read the same data. The values are checked by pydantic's core, which is also
what reads them in the services: the verdict on ``"8080"`` for a number is theirs, not a copy of it.
The core is used without its model layer, which alone costs more time than rendering may take.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lcompose.errors import Finding
from lcompose.load import Node, Path, dotted, locate, lookup

Kind: TypeAlias = dict[str, Any]
Record: TypeAlias = "dict[str, Key]"

NEWEST = "9"  # a generation after all that there are


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it holds, whether it must be there, what it means, since and until when.

    ``role`` is ``secret`` (never shown), ``file`` (a file or directory that is read from the host),
    ``header`` (the same, unless it is one of some words), ``written`` (a directory that is written),
    ``database`` (a file that is written) or ``index`` (a database that Llama Stack reads and writes,
    wherever that runs). ``default`` is what the service takes where the key is absent.
    """

    kind: Kind
    required: bool = False
    role: str = ""
    since: str = ""
    until: str = ""
    default: Any = None
    doc: str = ""

    def known_in(self, generation: str) -> bool:
        """Whether a generation has the key."""
        return self.since <= generation and (not self.until or generation <= self.until)


def text(**bounds: Any) -> Kind:
    """A string; ``min_length``, ``max_length`` and ``pattern`` bound it."""
    return {"type": "str", **bounds}


def amount(pattern: str) -> Kind:
    """A string that may also be written as a bare number, such as ``cpus: 2``."""
    return {"type": "str", "pattern": pattern, "coerce_numbers_to_str": True}


def whole(**bounds: Any) -> Kind:
    """An integer; ``gt``, ``ge`` and ``le`` bound it."""
    return {"type": "int", **bounds}


def positive(**bounds: Any) -> Kind:
    """An integer above 0."""
    return whole(gt=0, **bounds)


def number(**bounds: Any) -> Kind:
    """A floating point number."""
    return {"type": "float", **bounds}


def flag(**bounds: Any) -> Kind:
    """True or false; ``strict`` refuses the words for them."""
    return {"type": "bool", **bounds}


def url() -> Kind:
    """An http or https URL."""
    return {"type": "url", "allowed_schemes": ["http", "https"]}


def choice(*values: str) -> Kind:
    """One of some words."""
    return {"type": "literal", "expected": list(values)}


def anything() -> Kind:
    """Whatever it is, it is passed on."""
    return {"type": "any"}


def optional(kind: Kind) -> Kind:
    """The same, or null."""
    return {"type": "nullable", "schema": kind}


def listing(kind: Kind, **bounds: Any) -> Kind:
    """A list; ``min_length`` bounds it."""
    return {"type": "list", "items_schema": kind, **bounds}


def mapping(kind: Kind, names: Kind | None = None) -> Kind:
    """A mapping from names that the person chooses."""
    return {"type": "dict", "keys_schema": names or text(), "values_schema": kind}


def record(keys: Record, *, extra: str = "forbid") -> Kind:
    """A mapping with known keys; ``extra`` is ``forbid`` or ``allow``."""
    return {"type": "record", "keys": keys, "extra": extra}


def either(*kinds: Kind) -> Kind:
    """The first kind that fits."""
    return {"type": "union", "mode": "left_to_right", "choices": list(kinds)}


def tagged(tag: str, records: Mapping[str, Kind]) -> Kind:
    """One of some records; what stands at the key ``tag``, which must be there, says which."""
    return {"type": "tagged-union", "discriminator": tag, "choices": dict(records)}


def by_generation(kinds: Mapping[str, Kind]) -> Kind:
    """A kind that changed: under each generation the kind that holds since then, the oldest first."""
    return {"type": "by_generation", "kinds": dict(kinds)}


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found, and the values as the table types them (None when something is wrong)."""

    value: Any
    findings: tuple[Finding, ...]


def check(node: Node, value: Any, kind: Kind, generation: str = "", skip: frozenset[Path] = frozenset()) -> Checked:
    """Checks ``value`` (of ``node``, variables filled in) against the table.

    Findings at or below a path in ``skip`` are left out: what a missing variable would hold is
    not known.
    """
    from pydantic_core import SchemaValidator, ValidationError

    try:
        return Checked(SchemaValidator(_core(kind, generation)).validate_python(value), ())
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    found: dict[Path, Finding] = {}
    for problem in problems:
        path, finding = _finding(node, kind, generation, problem)
        if not any(path[: len(unknown)] == unknown for unknown in skip):
            found.setdefault(path, finding)
    # A union reports each of its choices; the one that came deepest says most.
    above = {path[:depth] for path in found for depth in range(len(path))}
    return Checked(None, tuple(finding for path, finding in found.items() if path not in above))


def roles(node: Node, kind: Kind, path: Path = ()) -> Iterator[tuple[Path, Node, Key]]:
    """Every leaf of a document that the table gives a role, in whichever generation."""
    for child_path, child, key in _keyed(node, kind, path):
        if key.role:
            yield from ((p, n, key) for p, n in _elements(child, child_path))
        else:
            yield from roles(child, key.kind, child_path)


def _elements(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    if isinstance(node.value, list):
        yield from (((*path, index), child) for index, child in enumerate(node.value))
    elif isinstance(node.value, dict):
        yield from (((*path, key), child) for key, child in node.value.items())
    else:
        yield path, node


def _keyed(node: Node, kind: Kind, path: Path) -> Iterator[tuple[Path, Node, Key]]:
    inner = _inner(kind, node)
    if inner["type"] == "record" and isinstance(node.value, dict):
        for name, child in node.value.items():
            if name in inner["keys"]:
                yield (*path, name), child, inner["keys"][name]
    elif inner["type"] == "list" and isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _keyed(child, inner["items_schema"], (*path, index))
    elif inner["type"] == "dict" and isinstance(node.value, dict):
        for name, child in node.value.items():
            yield from _keyed(child, inner["values_schema"], (*path, name))


def _inner(kind: Kind, node: Node | None, generation: str = NEWEST) -> Kind:
    """What a kind says of a mapping or a list: null and the other choices of a union left out."""
    while kind["type"] in _CHOOSE:
        chosen = _CHOOSE[kind["type"]](kind, node, generation)
        if chosen is kind:
            break
        kind = chosen
    return kind


def _choose_value(kind: Kind, node: Node | None, generation: str) -> Kind:
    value: Kind = kind["schema"]
    return value


def _choose_record(kind: Kind, node: Node | None, generation: str) -> Kind:
    return next((one for one in kind["choices"] if one["type"] == "record"), kind)


def _choose_tagged(kind: Kind, node: Node | None, generation: str) -> Kind:
    """The record that the document's own tag means; where none does, all of them in one, so that no role is missed."""
    tag = lookup(node, (kind["discriminator"],)) if node else None
    chosen: Kind | None = kind["choices"].get(tag.value) if tag and isinstance(tag.value, str) else None
    if chosen:
        return chosen
    keys = [one["keys"] for one in kind["choices"].values()]
    return record({name: key for known in reversed(keys) for name, key in known.items()})


def _choose_since(kind: Kind, node: Node | None, generation: str) -> Kind:
    known: list[Kind] = [one for since, one in kind["kinds"].items() if since <= generation]
    return known[-1]


_CHOOSE: Mapping[str, Callable[[Kind, Node | None, str], Kind]] = {
    "nullable": _choose_value,
    "union": _choose_record,
    "tagged-union": _choose_tagged,
    "by_generation": _choose_since,
}


def _core(kind: Kind, generation: str) -> dict[str, Any]:
    """The table's kind as a schema of pydantic's core."""
    build = _CORE.get(kind["type"])
    return build(kind, generation) if build else kind


def _core_record(kind: Kind, generation: str) -> dict[str, Any]:
    fields = {
        name: {"type": "typed-dict-field", "schema": _core(key.kind, generation), "required": key.required}
        for name, key in kind["keys"].items()
        if key.known_in(generation)
    }
    return {"type": "typed-dict", "fields": fields, "extra_behavior": kind["extra"]}


def _core_inside(*parts: str) -> Callable[[Kind, str], dict[str, Any]]:
    def build(kind: Kind, generation: str) -> dict[str, Any]:
        return kind | {part: _core(kind[part], generation) for part in parts}

    return build


def _core_union(kind: Kind, generation: str) -> dict[str, Any]:
    return kind | {"choices": [_core(one, generation) for one in kind["choices"]]}


def _core_tagged(kind: Kind, generation: str) -> dict[str, Any]:
    return kind | {"choices": {tag: _core(one, generation) for tag, one in kind["choices"].items()}}


def _core_since(kind: Kind, generation: str) -> dict[str, Any]:
    return _core(_choose_since(kind, None, generation), generation)


_CORE: Mapping[str, Callable[[Kind, str], dict[str, Any]]] = {
    "record": _core_record,
    "nullable": _core_inside("schema"),
    "list": _core_inside("items_schema"),
    "dict": _core_inside("values_schema"),
    "union": _core_union,
    "tagged-union": _core_tagged,
    "by_generation": _core_since,
}


def _finding(node: Node, kind: Kind, generation: str, problem: Any) -> tuple[Path, Finding]:
    path = _existing(node, problem["loc"])
    where = locate(node, path)
    if problem["type"] == "extra_forbidden":
        known = known_keys(kind, path[:-1], generation, node)
        return path, Finding(where, dotted(path), "unknown key", suggestion(str(path[-1]), known))
    if problem["type"] in ("missing", "union_tag_not_found"):
        path = (*path, _missing_key(problem))
        return path, Finding(where, dotted(path), "this key must be there", f"Add {path[-1]!r} here.")
    if problem["type"] == "union_tag_invalid":
        path = (*path, _missing_key(problem))
        what = f"input should be one of {problem['ctx']['expected_tags']}"
        return path, Finding(locate(node, path), dotted(path), what, _correction(lookup(node, path), ""))
    held = lookup(node, path)
    if problem["type"] == "string_pattern_mismatch":
        return path, Finding(where, dotted(path), "this is not written as it must be", _doc_of(kind, path, node))
    what = re.sub(r"^[A-Z](?=[a-z])", lambda first: first[0].lower(), problem["msg"])
    return path, Finding(where, dotted(path), what, _correction(held, problem["type"]))


def _missing_key(problem: Any) -> str:
    """The key that is not there; of a tag, pydantic tells it in quotes."""
    tag = problem.get("ctx", {}).get("discriminator", "")
    return tag.strip("'") if tag else str(problem["loc"][-1])


def _correction(node: Node | None, problem: str) -> str:
    if node is None:
        return "Correct this value."
    # The value itself is not repeated: it may be a secret.
    held = _WORDS.get(type(node.value), "a date")
    quotes = problem == "string_type" and not isinstance(node.value, dict | list | None)
    return f"Here stands {held}; {'put it in quotes' if quotes else 'correct it'}."


_WORDS: Mapping[type, str] = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "nothing",
}


def _existing(node: Node, loc: tuple[Any, ...]) -> Path:
    """The part of an error's location that is in the document; unions add steps that are not."""
    path: Path = ()
    for step in loc:
        if lookup(node, (*path, step)) is not None:
            path = (*path, step)
    return path


def known_keys(kind: Kind, path: Path, generation: str, node: Node | None = None) -> list[str]:
    """The keys that the table knows for the mapping at a path of a document."""
    inner, _ = _at(kind, path, node, generation)
    if inner["type"] != "record":
        return []
    return [name for name, key in inner["keys"].items() if key.known_in(generation)]


def _doc_of(kind: Kind, path: Path, node: Node | None) -> str:
    """What the table says of the key at a path, or of the list that it is in."""
    return _at(kind, path, node, NEWEST)[1] or "Correct this value."


def _at(kind: Kind, path: Path, node: Node | None, generation: str) -> tuple[Kind, str]:
    """The kind at a path, and what is said of the nearest key."""
    inner, doc = _inner(kind, node, generation), ""
    for step in path:
        node = lookup(node, (step,)) if node else None
        if inner["type"] == "record":
            key = inner["keys"][str(step)]
            below, doc = key.kind, key.doc
        else:
            below = inner.get("items_schema") or inner.get("values_schema") or anything()
        inner = _inner(below, node, generation)
    return inner, doc


def suggestion(word: str, known: list[str]) -> str:
    """What to do about an unknown word: the near miss, or the list of known ones."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known here: {', '.join(sorted(known))}." if known else "Remove it."
