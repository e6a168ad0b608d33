"""What the emitter writes comes back equal from any reader, whatever the strings hold."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lcompose.emit import Tagged, yaml_text
from lcompose.errors import UsageError
from lcompose.load import parse, plain

AWKWARD = [
    "", " ", "\t", "\n", "\n\n", "\r", "\r\n", "a\r\nb",
    "#", "a #b", "#a\n#b", ":", ": ", "a: b", "a:", "-", "- a", "?", "? a", "=", "<<", "|", ">",
    "yes", "No", "on", "y", "N", "true", "False", "null", "~", "None", ".inf", "NaN", "nan",
    "1e5", "1e+5", "0x1f", "0o7", "012", "0b1", "1.", ".5", "+1", "_1", "1_0", "1:20", "2024-01-01",
    " lead", "trail ", "\tlead", "trail\t", "a\nb", "a\n", "\na", "a\n\n", " a\nb", "a \nb", "a\n   ", "a\n b\n  c",
    "a\tb\nc", "a\n\tb", "---", "---\nfoo\n...\n", "--- a\nb", "...", "%YAML 1.1\n", "$", "$$", "${A:-b}", "{{ x }}",
    "!t", "&a", "*a", "%a", "@", "`", "'", '"', "\\", "\\n", ",", "[a", "{a", "a]", "a, b",
    "\x07", "\x1b[0m", "\x7f", "\x85", "a\x85b", "\xa0", "\u2028", "a\u2028b\nc", "\u2029", "\ufeff", "\ufeffa\nb",
    "😀", "😀\nb", "日本\n語", "\uff01\nx", "é", "d:/data", "/abs/path", "-1", "1\n2", "true\nfalse",
    "x" * 300 + " " + "y" * 300,
]  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD)
def test_an_awkward_string_comes_back_equal_wherever_it_stands(text: str) -> None:
    tree = {"value": text, "list": [text, [text]], "keys": {text: {text: text}}}
    assert yaml.safe_load(yaml_text(tree)) == tree


TEXTS = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.lists(st.sampled_from([*AWKWARD, "\n", " ", "a"]), max_size=5).map("".join),
)
SCALARS = TEXTS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=15
)


@settings(max_examples=250)
@given(TREES)
def test_any_tree_comes_back_equal(tree: Any) -> None:
    assert yaml.safe_load(yaml_text(tree)) == tree


@given(
    st.dictionaries(TEXTS.filter(lambda text: "\0" not in text), SCALARS.filter(lambda one: one != "\0"), max_size=4)
)
def test_what_is_written_can_be_loaded_by_lcompose_itself(tree: dict[str, Any]) -> None:
    tree = {key: value for key, value in tree.items() if "\0" not in str(value) and len(str(value)) < 100}
    assert plain(parse(yaml_text(tree).encode(), "f.yaml")) == tree


def test_words_stay_plain_and_everything_doubtful_is_quoted() -> None:
    tree = {"image": "quay.io/a/b", "tag": "1.2", "port": 8080, "on": True, "version": "yes", "nothing": None}
    assert yaml_text(tree) == (
        'image: quay.io/a/b\ntag: "1.2"\nport: 8080\n"on": true\nversion: "yes"\nnothing: null\n'
    )


def test_text_of_several_lines_is_a_block() -> None:
    assert yaml_text({"script": "set -e\n  go: 1\n"}) == "script: |\n  set -e\n    go: 1\n"


def test_text_that_a_block_cannot_hold_for_every_reader_is_quoted() -> None:
    assert yaml_text({"a": "x\u2028y\nz"}) == 'a: "x\\Ly\\nz"\n'


def test_long_text_is_never_folded() -> None:
    assert yaml_text({"a": "word " * 200}).count("\n") == 1


def test_keys_keep_their_order() -> None:
    assert yaml_text({"b": 1, "a": 2, "c": 3}) == "b: 1\na: 2\nc: 3\n"


def test_the_same_value_twice_is_written_twice() -> None:
    shared = {"x": [1]}
    assert yaml_text({"a": shared, "b": shared}) == "a:\n  x:\n  - 1\nb:\n  x:\n  - 1\n"


def test_a_header_comes_first() -> None:
    assert yaml_text({"a": 1}, "# Made by lcompose\n") == "# Made by lcompose\na: 1\n"


def test_a_date_stays_a_date() -> None:
    assert yaml.safe_load(yaml_text({"a": date(2024, 2, 29)})) == {"a": date(2024, 2, 29)}


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", 1j])
def test_what_is_no_plain_tree_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=f"a {type(value).__name__} has no place in a document"):
        yaml_text({"a": value})


def test_a_file_name_that_is_not_utf_8_is_refused_with_a_way_out() -> None:
    with pytest.raises(UsageError) as caught:
        yaml_text({"source": "/data/caf\udce9"})
    assert (caught.value.where, caught.value.fix) == (
        "'/data/caf\\udce9'",
        "Rename the file or folder, or correct the variable.",
    )


def test_a_tag_of_composes_is_written_before_its_text() -> None:
    assert yaml_text({"a": Tagged("!reset"), "b": Tagged("!override", "x")}) == "a: !reset\nb: !override x\n"
