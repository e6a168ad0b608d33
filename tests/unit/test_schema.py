"""The check of a document against the table: types as the services read them, and findings at true places."""

from __future__ import annotations

from typing import Any

import pytest

from lcompose.errors import Finding, Position
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.load import Path, parse, plain
from lcompose.schema import (
    Checked,
    Key,
    Kind,
    amount,
    anything,
    by_generation,
    check,
    choice,
    either,
    flag,
    known_keys,
    listing,
    mapping,
    number,
    optional,
    positive,
    record,
    roles,
    suggestion,
    tagged,
    text,
    url,
    whole,
)

TABLE = record(
    {
        "name": Key(text(min_length=1), required=True),
        "port": Key(positive(le=65535)),
        "ratio": Key(number()),
        "on": Key(flag()),
        "mode": Key(choice("fast", "slow")),
        "url": Key(url()),
        "cpus": Key(amount(r"^\d+(\.\d+)?$")),
        "maybe": Key(optional(text())),
        "any": Key(anything()),
        "tags": Key(listing(text())),
        "headers": Key(mapping(text())),
        "approval": Key(either(choice("always", "never"), record({"always": Key(listing(text()))}))),
        "items": Key(listing(record({"id": Key(text(), required=True), "token": Key(text(), role="secret")}))),
        "old": Key(text(), until="0.6"),
        "new": Key(text(), since="0.7"),
    }
)


def checked(source: str, kind: Kind = TABLE, generation: str = "0.7", skip: frozenset[Path] = frozenset()) -> Checked:
    """The check of a text as it stands."""
    node = parse(source.encode(), "f.yaml")
    return check(node, plain(node), kind, generation, skip)


def complaints(source: str, **how: Any) -> list[str]:
    """What is wrong with a text, as people see it."""
    return [str(found) for found in checked(source, **how).findings]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("port: 8080", 8080),
        ("port: '8080'", 8080),
        ("port: 8080.0", 8080),
        ("ratio: 1", 1.0),
        ("on: 'yes'", True),
        ("on: 0", False),
        ("mode: slow", "slow"),
        ("cpus: 1.5", "1.5"),
        ("cpus: '2'", "2"),
        ("maybe: null", None),
        ("any: {x: [1]}", {"x": [1]}),
        ("headers: {A: b}", {"A": "b"}),
        ("approval: never", "never"),
        ("approval: {always: [a]}", {"always": ["a"]}),
        ("new: x", "x"),
    ],
)
def test_a_value_gets_the_type_that_the_services_give_it(source: str, value: Any) -> None:
    result = checked(f"name: n\n{source}")
    assert (result.findings, result.value) == ((), {"name": "n", source.split(":")[0]: value})


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("port: 0", "port: error: input should be greater than 0\n    Here stands a whole number; correct it."),
        ("port: many", "port: error: input should be a valid integer, unable to parse string as an integer\n"
                       "    Here stands text; correct it."),
        ("port: [1]", "port: error: input should be a valid integer\n    Here stands a list; correct it."),
        ("port:", "port: error: input should be a valid integer\n    Here stands nothing; correct it."),
        ("on: maybe", "on: error: input should be a valid boolean, unable to interpret input\n"
                      "    Here stands text; correct it."),
        ("mode: fats", "mode: error: input should be 'fast' or 'slow'\n    Here stands text; correct it."),
        ("maybe: 1", "maybe: error: input should be a valid string\n    Here stands a whole number; put it in quotes."),
        ("maybe: no", "maybe: error: input should be a valid string\n    Here stands true or false; put it in quotes."),
        ("maybe: 2024-01-01", "maybe: error: input should be a valid string\n"
                              "    Here stands a date; put it in quotes."),
        ("maybe: {}", "maybe: error: input should be a valid string\n    Here stands a mapping; correct it."),
        ("url: ftp://x", "url: error: URL scheme should be 'http' or 'https'\n    Here stands text; correct it."),
        ("old: x", "old: error: unknown key\n    Known here: any, approval, cpus, headers, items, maybe, mode, name, "
                   "new, on, port, ratio, tags, url."),
        ("prot: 1", "prot: error: unknown key\n    Did you mean 'port'?"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_stands_there_and_what_to_do(source: str, complaint: str) -> None:
    assert complaints(f"name: n\n{source}") == [f"f.yaml:2:1: {complaint}"]


def test_a_missing_key_is_asked_for_at_the_mapping_that_lacks_it() -> None:
    assert complaints("name: n\nitems:\n- id: a\n- token: b\n") == [
        "f.yaml:4:3: items[1].id: error: this key must be there\n    Add 'id' here."
    ]


def test_what_is_no_mapping_is_refused_as_a_whole() -> None:
    assert complaints("- a") == [
        "f.yaml:1:1: error: input should be a valid dictionary\n    Here stands a list; correct it."
    ]


def test_every_finding_of_a_document_is_there() -> None:
    assert [found.path for found in checked("port: 0\nmode: x\nitems: [{}]\nheaders: {A: 1}\nextra: 1").findings] == [
        "name",
        "port",
        "mode",
        "headers.A",
        "items[0].id",
        "extra",
    ]


def test_a_union_is_one_finding_and_not_one_for_each_choice() -> None:
    assert complaints("name: n\napproval: 3") == [
        "f.yaml:2:1: approval: error: input should be 'always' or 'never'\n    Here stands a whole number; correct it."
    ]


def test_an_unknown_key_inside_a_union_is_found_where_it_stands() -> None:
    assert complaints("name: n\napproval:\n  alway: [a]") == [
        "f.yaml:3:3: approval.alway: error: unknown key\n    Did you mean 'always'?"
    ]


def test_a_wrong_value_is_never_repeated_because_it_may_be_a_secret() -> None:
    assert "hunter2" not in "".join(complaints("name: n\nport: hunter2\nmode: hunter2\nmaybe: [hunter2]"))


@pytest.mark.parametrize("unknown", [("items", 0, "id"), ("items", 0), ("items",), ()])
def test_what_a_missing_variable_would_hold_is_not_judged(unknown: Path) -> None:
    assert checked("name: n\nitems: [{id: null}]", skip=frozenset({unknown})).findings == ()


def test_skipping_one_place_leaves_its_neighbours_judged() -> None:
    found = checked("name: n\nitems: [{id: 1}, {id: 2}]", skip=frozenset({("items", 0)})).findings
    assert found == (
        Finding(
            Position("f.yaml", 2, 19),
            "items[1].id",
            "input should be a valid string",
            "Here stands a whole number; put it in quotes.",
        ),
    )


@pytest.mark.parametrize(("generation", "known"), [("0.6", "old"), ("0.7", "new")])
def test_a_key_belongs_to_some_generations(generation: str, known: str) -> None:
    found = checked("name: n\nold: a\nnew: b", generation=generation).findings
    assert {"old", "new"} - {one.path for one in found} == {known}


def test_unknown_keys_pass_where_the_table_allows_them() -> None:
    kind = record({"a": Key(whole())}, extra="allow")
    assert checked("a: 1\nb: 2", kind=kind).value == {"a": 1, "b": 2}


def test_roles_are_found_wherever_they_are_nested() -> None:
    node = parse(b"name: n\nitems:\n- {id: a, token: s}\n- {id: b}\n", "f.yaml")
    assert [(path, leaf.value, key.role) for path, leaf, key in roles(node, TABLE)] == [
        (("items", 0, "token"), "s", "secret")
    ]


def test_a_role_of_a_mapping_or_list_is_one_of_each_of_its_values() -> None:
    kind = record({"h": Key(mapping(text()), role="header"), "f": Key(optional(listing(text())), role="file")})
    node = parse(b"h: {A: x, B: y}\nf: [p, q]\n", "f.yaml")
    assert [(path, leaf.value) for path, leaf, _ in roles(node, kind)] == [
        (("h", "A"), "x"),
        (("h", "B"), "y"),
        (("f", 0), "p"),
        (("f", 1), "q"),
    ]


@pytest.mark.parametrize("source", ["name: [1]", "items: {id: 1}", "items: text", "- 1", "x", ""])
def test_roles_of_a_misshapen_document_are_none(source: str) -> None:
    assert list(roles(parse(source.encode(), "f.yaml"), TABLE)) == []


@pytest.mark.parametrize(
    ("path", "known"),
    [(("items", 0), ["id", "token"]), (("approval",), ["always"]), (("tags",), []), (("any", "x"), [])],
)
def test_the_known_keys_of_a_place(path: Path, known: list[str]) -> None:
    assert known_keys(TABLE, path, "0.7") == known


@pytest.mark.parametrize(
    ("word", "known", "advice"),
    [
        ("wait_timout", ["wait_timeout", "model"], "Did you mean 'wait_timeout'?"),
        ("xyz", ["b", "a"], "Known here: a, b."),
        ("xyz", [], "Remove it."),
    ],
)
def test_an_unknown_word_gets_the_near_miss_or_the_list(word: str, known: list[str], advice: str) -> None:
    assert suggestion(word, known) == advice


@pytest.mark.parametrize("table", [LIGHTSPEED, RUN], ids=["lightspeed-stack.yaml", "run.yaml"])
def test_the_tables_of_both_services_can_be_checked_against(table: dict[str, Key]) -> None:
    for generation in ("0.6", "0.7"):
        assert checked("no_such_key: 1", kind=record(table), generation=generation).findings


STORE = tagged(
    "type",
    {
        "file": record({"type": Key(choice("file"), required=True), "path": Key(text(), required=True, role="file")}),
        "server": record({"type": Key(choice("server"), required=True), "key": Key(text(), role="secret")}),
    },
)
CHANGED = by_generation({"": choice("a"), "0.7": record({"path": Key(text(), role="file")})})
VARYING = record({"stores": Key(listing(STORE)), "changed": Key(CHANGED)})


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("stores: [{path: p}]", "f.yaml:1:10: stores[0].type: error: this key must be there\n    Add 'type' here."),
        ("stores: [{type: fiel}]", "f.yaml:1:11: stores[0].type: error: input should be one of 'file', 'server'\n"
                                   "    Here stands text; correct it."),
        ("stores: [{type: server, kye: a}]", "f.yaml:1:25: stores[0].kye: error: unknown key\n    Did you mean 'key'?"),
        ("stores: [{type: file}]", "f.yaml:1:10: stores[0].path: error: this key must be there\n    Add 'path' here."),
    ],
)  # fmt: skip
def test_a_tag_says_which_record_it_is(source: str, complaint: str) -> None:
    assert complaints(source, kind=VARYING) == [complaint]


@pytest.mark.parametrize(("generation", "wrong"), [("", False), ("0.6", False), ("0.7", True)])
def test_a_kind_changes_with_the_generation(generation: str, wrong: bool) -> None:
    assert bool(complaints("changed: a", kind=VARYING, generation=generation)) == wrong


def test_roles_follow_the_tag_and_the_newest_generation() -> None:
    source = (
        b"stores: [{type: file, path: a}, {type: server, key: b}, {type: '?', path: c, key: d}]\nchanged: {path: e}"
    )
    found = [(leaf.value, key.role) for _, leaf, key in roles(parse(source, "f.yaml"), VARYING)]
    assert found == [("a", "file"), ("b", "secret"), ("c", "file"), ("d", "secret"), ("e", "file")]


def test_a_strict_flag_takes_no_words_for_it() -> None:
    assert [
        complaints(f"x: {word}", kind=record({"x": Key(flag(strict=True))})) == [] for word in ("true", "'yes'")
    ] == [
        True,
        False,
    ]
