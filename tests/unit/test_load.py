"""What load makes of text, good and bad: values in plain types, and true places in every error."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lcompose.errors import ConfigError, Finding, Position
from lcompose.load import Node, dotted, leaves, locate, lookup, parse, plain

TAB = "a tab is used for indentation"
DEEP = "more than 64 levels of nesting"
MANY = "more than 100,000 values, counted as often as an alias repeats them"


def read(text: str | bytes) -> Any:
    """The plain value of a text."""
    return plain(parse(text if isinstance(text, bytes) else text.encode(), "f.yaml"))


def refusal(text: str | bytes) -> list[str]:
    """Everything that is wrong with a text, as ``place: what``."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [f"{found.where}: {found.what}" for found in caught.value.findings]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("  \n# only a comment\n", None),
        ("---\n", None),
        ("a: 1\nb: [x, 2.5, true, null]\n", {"a": 1, "b": ["x", 2.5, True, None]}),
        ("a: 1\n...\n", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a:\t1", {"a": 1}),
        ("a: 'it''s # text'", {"a": "it's # text"}),
        ("a: !!str 1", {"a": "1"}),
        ("a: 😀", {"a": "😀"}),
    ],
)
def test_a_document_becomes_plain_values(text: str, value: Any) -> None:
    assert read(text) == value


def test_a_date_stays_a_date() -> None:
    assert read("a: 2024-02-29\nb: 2024-02-29T10:00:00Z") == {
        "a": date(2024, 2, 29),
        "b": datetime(2024, 2, 29, 10, tzinfo=UTC),
    }


def test_words_are_read_as_yaml_1_1_has_them_like_in_the_services() -> None:
    assert read("[yes, off, 010, 0x1f, 1:20, .inf, 1e5]") == [True, False, 8, 31, 80, float("inf"), "1e5"]


def test_keys_are_text_as_it_stands_in_the_file() -> None:
    assert read("1: a\ntrue: b\nnull: c\n2024-01-01: d\n? \n: e") == {
        "1": "a",
        "true": "b",
        "null": "c",
        "2024-01-01": "d",
        "": "e",
    }


def test_a_merge_key_brings_in_what_is_not_said_here() -> None:
    assert read("b: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3")["c"] == {"x": 1, "y": 3}


def test_of_several_merged_mappings_the_first_wins() -> None:
    assert read("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}")["c"] == {"x": 1, "y": 2}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read('"<<": {b: 1}') == {"<<": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\tb: 1", [f"f.yaml:2:1: {TAB}"]),
        ("a: 1\n\tb: 1", [f"f.yaml:2:1: {TAB}"]),
        ("\ta: 1", [f"f.yaml:1:1: {TAB}"]),
        ("a: 1\nb: 2\na: 3", ["f.yaml:3:1: the key 'a' is here twice; the first is in line 1"]),
        ("x:\n- a: 1\n  a: 2", ["f.yaml:3:3: the key 'a' is here twice; the first is in line 2"]),
        (
            "a: 1\na: 2\na: 3",
            [f"f.yaml:{n}:1: the key 'a' is here twice; the first is in line {n - 1}" for n in (2, 3)],
        ),
        ("😀: 1\nb: 1\nb: 2", ["f.yaml:3:1: the key 'b' is here twice; the first is in line 2"]),
        ("c: {<<: {}, <<: {}}", ["f.yaml:1:13: the key '<<' is here twice; the first is in line 1"]),
        ("a: {<<: 3}", ["f.yaml:1:9: << needs a mapping"]),
        ("? [a, b]\n: 1", ["f.yaml:1:3: a key must be plain text"]),
        ("a: &a [1, *a]", ["f.yaml:1:4: a value contains itself"]),
        ("&a {x: {y: *a}}", ["f.yaml:1:1: a value contains itself"]),
        ("&a\n<<: *a\nb: 1", ["f.yaml:1:1: a value contains itself"]),
        ("a: *b", ["f.yaml:1:4: not readable as YAML: found undefined alias"]),
        ("a: 1\n---\nb: 2", ["f.yaml:2:1: not readable as YAML: but found another document"]),
        ("a: [1", ["f.yaml:1:6: not readable as YAML: did not find expected ',' or ']'"]),
        ('a: "\\ud800"', ["f.yaml:1:7: not readable as YAML: found invalid Unicode character escape code"]),
        ("a: x\nb: @y", ["f.yaml:2:4: not readable as YAML: found character that cannot start any token"]),
    ],
)
def test_a_broken_document_is_refused_at_the_place_where_it_breaks(text: str, expected: list[str]) -> None:
    assert refusal(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a: \x00", "f.yaml:1:4: the character U+0000 may not stand in YAML"),
        ("a: 😀\nb: é\x1b".encode(), "f.yaml:2:5: the character U+001B may not stand in YAML"),
        (b"a: 1\nb: caf\xe9", "f.yaml:2:7: this is not UTF-8 text"),
        ("é: é\n".encode() + b"\xff", "f.yaml:2:1: this is not UTF-8 text"),
        (b"\xef\xbb\xbfa: \xff", "f.yaml:1:4: this is not UTF-8 text"),
        ("a: 1".encode("utf-16"), "f.yaml:1:1: this is not UTF-8 text"),
        (bytes(range(128, 256)), "f.yaml:1:1: this is not UTF-8 text"),
        (b"\x7fELF\x02\x01\x01", "f.yaml:1:1: the character U+007F may not stand in YAML"),
    ],
)
def test_what_is_not_text_is_refused_with_its_line_and_column_in_characters(text: bytes, expected: str) -> None:
    assert refusal(text) == [expected]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("!foo bar", "the tag !foo is not known"),
        ("!foo {b: 1}", "the tag !foo is not known"),
        ("!!python/object/apply:os.system [true]", "the tag !!python/object/apply:os.system is not known"),
        ("!!binary aGVsbG8=", "the tag !!binary is not known"),
        ("!!set {x, y}", "the tag !!set is not known"),
        ("=", "the tag !!value is not known"),
        ("{!foo k: 1}", "the tag !foo is not known"),
        ("2024-13-45", "this is not a valid date"),
        ("2024-01-01T00:00:00+99:99", "this is not a valid date"),
        ("!!timestamp x", "this is not a valid date"),
        ("!!bool maybe", "this is not a valid true or false"),
        ("!!int many", "this is not a valid whole number"),
        ("!!int ''", "this is not a valid whole number"),
        ("!!float ''", "this is not a valid number"),
        ("0x_", "this is not a valid whole number"),
        ("9" * 101, "this is too long for a whole number"),
        ("0x" + "f" * 5000, "this is too long for a whole number"),
        ('"a\\0b"', "a NUL character cannot be passed on"),
        ('{"a\\0b": 1}', "a NUL character cannot be passed on"),
    ],
)
def test_a_value_that_cannot_be_made_out_is_refused(value: str, what: str) -> None:
    column = 2 if value.startswith("{") else 1
    assert refusal(f"- 1\n- {value}") == [f"f.yaml:2:{column + 2}: {what}"]


def test_an_error_never_repeats_a_value_that_may_be_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        read("password: !!int hunter2")
    assert "hunter2" not in "".join(map(str, caught.value.findings))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert refusal("a: !x 1\nb: 1\nb: 2\n? [c]\n: 2024-99-99") == [
        "f.yaml:1:4: the tag !x is not known",
        "f.yaml:3:1: the key 'b' is here twice; the first is in line 2",
        "f.yaml:4:3: a key must be plain text",
        "f.yaml:5:3: this is not a valid date",
    ]


def test_a_wrong_value_behind_many_aliases_is_told_once() -> None:
    assert refusal("a: &a [!x 1]\nb: [*a, *a, *a]") == ["f.yaml:1:8: the tag !x is not known"]


def test_lines_are_counted_as_editors_count_them() -> None:
    assert refusal('a: "b\u2028c\x85d"\nx: 1\nx: 2') == [
        "f.yaml:3:1: the key 'x' is here twice; the first is in line 2"
    ]


def _bomb() -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(rows)


def _deep_through_aliases() -> str:
    rows = ["a0: &a0 x"]
    rows += [f"a{n}: &a{n} {'[' * 50}*a{n - 1} {']' * 50}" for n in range(1, 40)]
    return "\n".join(rows)


def _staircase(end: str) -> str:
    return end.join(" " * level + "a:" for level in range(1000))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param(_bomb(), MANY, id="alias bomb"),
        pytest.param("[" + "1," * 200_000 + "]", MANY, id="list of 200,000"),
        pytest.param(_deep_through_aliases(), DEEP, id="2,000 levels by aliases"),
        pytest.param("[" * 100_000, DEEP, id="opening brackets"),
        pytest.param("[" * 100_000 + "]" * 100_000, DEEP, id="balanced brackets"),
        pytest.param("{" * 100_000, DEEP, id="braces"),
        pytest.param("- " * 100_000, DEEP, id="dashes"),
        pytest.param("? " * 100_000, DEEP, id="question marks"),
        pytest.param("? a\n: " + "- " * 100_000, DEEP, id="dashes behind a colon"),
        pytest.param(_staircase("\n"), DEEP, id="staircase"),
        pytest.param(_staircase("\r"), DEEP, id="staircase of another system"),
        pytest.param(_staircase("\x85"), DEEP, id="staircase in one line"),
        pytest.param("a: x\n" + "# c\n" * 2_500_000, "the file has more than 1,048,576 bytes", id="10 MB"),
        pytest.param("a: " + "1:" * 500_000 + "1", "this is too long for a whole number", id="base 60"),
        pytest.param("a: " + "9" * 1_000_000, "this is too long for a whole number", id="a million digits"),
    ],
)
def test_a_document_that_would_exhaust_the_machine_is_refused(text: str, what: str) -> None:
    [found] = refusal(text)
    assert found.endswith(what)


def test_64_levels_are_read() -> None:
    value = read("[" * 64 + "]" * 64)
    depth = 0
    while value is not None:
        value = value[0] if value else None
        depth += 1
    assert depth == 64


def test_deep_nesting_does_not_bring_the_interpreter_down() -> None:
    # In a process of its own: what this guards against is a segmentation fault.
    program = "from lcompose.load import parse; parse(b'? a\\n: ' + b'- ' * 200_000, 'f')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, "ConfigError" in done.stderr) == (1, True)


def places(data: bytes) -> list[Position]:
    """Where a document is broken; nowhere when it can be read."""
    try:
        parse(data, "f.yaml")
    except ConfigError as error:
        return [found.where for found in error.findings]
    return []


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert all(where.line >= 1 and where.column >= 1 for where in places(data))


PIECES = st.sampled_from([
    "a", "b: ", "a:", ": ", "- ", "? ", "[", "]", "{", "}", ", ", "&x ", "*x", "!t ", "!!int ", "!!bool ", "!!set ",
    "!!timestamp ", "!!float ", "<<: ", '"', "'", "|", ">", "#", "\\", "%", "---", "...", "=", "~", "1", "0x", "_",
    "2024-01-01", "1:1", "\n", "\n ", "\n  ", " ", "\t", "\r", "\x85", "\u2028", "\ufeff", "\x00", "é", "😀", ".inf",
])  # fmt: skip


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=25).map("".join))
@example("!!float ''")
@example("&a {*a : 1}")
def test_any_pieces_of_yaml_are_read_or_refused_at_a_place_that_exists(text: str) -> None:
    lines = re.split("\r\n|\r|\n", text.removeprefix("\ufeff"))
    for where in places(text.encode()):
        assert 1 <= where.line <= len(lines)
        assert 1 <= where.column <= len(lines[where.line - 1]) + 1


WORDS = st.text("abcdé😀", min_size=1, max_size=6).map(lambda word: f"k{word}k")
TREES = st.recursive(
    WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


def _flow(tree: Any, gap: str) -> str:
    if isinstance(tree, dict):
        inside = ",".join(f"{gap}'{key}': {_flow(value, gap + ' ')}" for key, value in tree.items())
        return f"{{{inside}}}"
    if isinstance(tree, list):
        return "[" + ",".join(f"{gap}{_flow(item, gap + ' ')}" for item in tree) + "]"
    return f"'{tree}'"


@given(TREES, st.sampled_from(["\n", "\r", "\r\n", "\u2028", "\x85", " "]))
def test_every_value_and_key_is_where_its_position_says(tree: Any, gap: str) -> None:
    text = _flow(tree, gap)
    lines = re.split("\r\n|\r|\n", text)
    root = parse(text.encode(), "f.yaml")
    assert plain(root) == tree
    for path, leaf in leaves(root):
        for where, word in ((leaf.where, leaf.value), *_key_places(root, path)):
            assert lines[where.line - 1][where.column - 1 :].startswith(f"'{word}'")


def _key_places(root: Node, path: tuple[str | int, ...]) -> list[tuple[Position, str]]:
    steps = [(path[: depth + 1], step) for depth, step in enumerate(path)]
    return [(locate(root, upto), step) for upto, step in steps if isinstance(step, str)]


DOCUMENT = parse(b"a:\n  b:\n  - c: 1\n  - d\n", "f.yaml")


@pytest.mark.parametrize(
    ("path", "value", "line", "column"),
    [
        ((), {"a": {"b": [{"c": 1}, "d"]}}, 1, 1),
        (("a",), {"b": [{"c": 1}, "d"]}, 1, 1),
        (("a", "b", 0, "c"), 1, 3, 5),
        (("a", "b", 1), "d", 4, 5),
    ],
)
def test_a_path_leads_to_its_value_and_place(path: tuple[str | int, ...], value: Any, line: int, column: int) -> None:
    node = lookup(DOCUMENT, path)
    assert node is not None
    assert (plain(node), locate(DOCUMENT, path)) == (value, Position("f.yaml", line, column))


@pytest.mark.parametrize("path", [("x",), ("a", "b", 7), ("a", "b", "c"), ("a", "b", 0, "c", "d")])
def test_a_path_that_leads_nowhere_has_no_value(path: tuple[str | int, ...]) -> None:
    assert lookup(DOCUMENT, path) is None


def test_what_is_missing_is_located_at_the_nearest_thing_above_it() -> None:
    assert locate(DOCUMENT, ("a", "b", 0, "x", "y")) == Position("f.yaml", 3, 5)


def test_paths_are_shown_as_people_write_them() -> None:
    assert dotted(("mcp_servers", 0, "url")) == "mcp_servers[0].url"


def test_every_scalar_is_a_leaf_with_its_path() -> None:
    assert [(path, leaf.value) for path, leaf in leaves(DOCUMENT)] == [(("a", "b", 0, "c"), 1), (("a", "b", 1), "d")]


def test_a_finding_reads_as_place_path_verdict_and_way_out() -> None:
    finding = Finding(Position("f.yaml", 3, 5), "a.b", "unknown key", "Did you mean 'c'?")
    assert str(finding) == "f.yaml:3:5: a.b: error: unknown key\n    Did you mean 'c'?"


TAGS = {"own": frozenset({"!a", "!b"})}


def test_tags_that_are_known_below_a_key_are_kept_and_their_values_are_what_they_would_be() -> None:
    text = "own: {l: !a [1, !b x], m: !b {k: !a 5}, n: !a '5', o: !a , p: &p !b true, q: *p}"
    own = parse(text.encode(), "f", TAGS).value["own"]  # type: ignore[index, call-overload]
    assert plain(own) == {"l": [1, "x"], "m": {"k": 5}, "n": "5", "o": None, "p": True, "q": True}
    tags = {name: one.tag for name, one in own.value.items()}
    assert tags == {"l": "!a", "m": "!b", "n": "!a", "o": "!a", "p": "!b", "q": "!b"}
    assert (own.value["l"].value[1].tag, own.value["m"].value["k"].tag, own.tag) == ("!b", "!a", "")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{other: !a x}", "1:9"),
        ("{other: {own: !a x}}", "1:15"),
        ("!a {own: x}", "1:1"),
        ("own: x\nother: [!a x]", "2:9"),
    ],
)
def test_tags_that_are_known_below_a_key_are_unknown_elsewhere(text: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "f", TAGS)
    assert [f"{one.where}: {one.what}" for one in caught.value.findings] == [f"f:{where}: the tag !a is not known"]
