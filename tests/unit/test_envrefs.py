"""``${env.NAME}`` with Llama Stack's rules; that they are its rules is tested against its own image."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcompose.lightspeed.envrefs import Reference, Trace, converted, expanded, references, replace
from lcompose.load import Path


def filled(tree: Any, **env: str) -> Any:
    """The tree with variables filled in, none of them missing."""
    trace = Trace()
    value = replace(tree, env, trace)
    assert trace.found == []
    return value


def missing(tree: Any, **env: str) -> list[str]:
    """The variables without which the tree cannot be filled in."""
    trace = Trace()
    replace(tree, env, trace)
    return [reference.name for reference in trace.found]


def required(tree: Any) -> list[str]:
    """The variables that a start needs for sure."""
    return [reference.name for reference in references(tree) if reference.required]


def mentioned(tree: Any) -> list[str]:
    """The variables that are looked at."""
    return [reference.name for reference in references(tree)]


@pytest.mark.parametrize(
    ("text", "env", "value"),
    [
        ("no variable", {}, "no variable"),
        ("007", {}, "007"),
        ("", {}, ""),
        ("${env.A}", {"A": "a"}, "a"),
        ("http://${env.A}:${env.B:=80}/", {"A": "host"}, "http://host:80/"),
        ("${env.A:=b}", {}, "b"),
        ("${env.A:=b}", {"A": ""}, "b"),
        ("${env.A:=b}", {"A": "a"}, "a"),
        ("${env.A:=}", {}, None),
        ("${env.A:+b}", {}, None),
        ("${env.A:+b}", {"A": ""}, None),
        ("${env.A:+b}", {"A": "a"}, "b"),
        ("x${env.A:+b}", {}, "x"),
        ("${env.A:={x}}", {}, "{x}"),
        ("${env.A:=${env.B}}", {"B": "b"}, "${env.B}"),
        ("${env.A}", {"A": "${env.B}", "B": "b"}, "${env.B}"),
        ("${env.a}", {"a": "x"}, "${env.a}"),
        ("${env.A:-b}", {"A": "x"}, "${env.A:-b}"),
        ("${A} $env.A $${env.A}", {"A": "x"}, "${A} $env.A $x"),
        ("${env.A}", {"A": "~"}, "/root"),
        ("${env.A}", {"A": "~/x"}, "/root/x"),
        ("x${env.A}", {"A": "~/x"}, "x/root/x"),
        ("~/x", {}, "~/x"),
        ("~/${env.A}", {"A": "x"}, "~/x"),
    ],
)
def test_a_reference_is_filled_in(text: str, env: dict[str, str], value: Any) -> None:
    assert filled(text, HOME="/root", **env) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("007", 7),
        ("1_000", 1000),
        (" 1 ", 1),
        ("-0", 0),
        ("1e5", 100000.0),
        ("Infinity", float("inf")),
        ("1__0", "1__0"),
        ("0x1f", "0x1f"),
        ("null", "null"),
        (" ", " "),
    ],
)
def test_a_text_with_a_variable_gets_the_type_that_it_looks_like(text: str, value: Any) -> None:
    result = converted(text)
    assert (type(result), result) == (type(value), value)


def test_nan_is_a_number() -> None:
    assert str(converted("nan")) == "nan"


@pytest.mark.parametrize(
    ("path", "home", "result"),
    [
        ("~", "/root", "/root"),
        ("~/", "/root", "/root/"),
        ("~/x", "/root/", "/root/x"),
        ("~/x", "/", "/x"),
        ("~", "/", "/"),
        ("~other/x", "/root", "~other/x"),
        ("/a/~", "/root", "/a/~"),
    ],
)
def test_a_leading_tilde_is_the_home_in_the_container(path: str, home: str, result: str) -> None:
    assert expanded(path, home) == result


@pytest.mark.parametrize(("text", "env"), [("${env.A}", {}), ("${env.A}", {"A": ""}), ("x${env.B:=b}${env.A}", {})])
def test_a_text_that_needs_a_missing_variable_is_none(text: str, env: dict[str, str]) -> None:
    trace = Trace()
    assert (replace({"k": [text]}, env, trace), trace.found) == (
        {"k": [None]},
        [Reference("A", "", "", ("k", 0), required=True)],
    )


def test_every_missing_variable_of_a_text_is_told() -> None:
    assert missing("${env.A}${env.B}${env.C}", B="b") == ["A", "C"]


def test_what_is_no_text_and_what_is_a_key_is_left_alone() -> None:
    tree = {"${env.A}": 1, "n": None, "b": True, "f": 1.5, "l": [], "m": {}}
    assert filled(tree) == tree


@pytest.mark.parametrize(
    ("item", "env"),
    [
        ({"provider_id": "__disabled__", "url": "${env.URL}"}, {}),
        ({"provider_id": "${env.ON:=__disabled__}", "url": "${env.URL}"}, {}),
        ({"provider_id": "${env.ON}", "url": "${env.URL}"}, {"ON": "__disabled__"}),
        ({"model_id": "", "url": "${env.URL}"}, {}),
        ({"model_id": None, "url": "${env.URL}"}, {}),
        ({"model_id": "${env.MODEL:+m}", "url": "${env.URL}"}, {}),
        ({"vector_store_id": "${env.STORE:=}", "url": "${env.URL}"}, {}),
        ({"vector_store_id": "${env.STORE}", "model_id": ""}, {}),
    ],
)
def test_a_disabled_item_of_a_list_is_dropped_before_its_variables_matter(item: Any, env: dict[str, str]) -> None:
    assert filled([item, "kept"], **env) == ["kept"]


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        ({"provider_id": ""}, {"provider_id": ""}),
        ({"provider_id": "${env.ON:+real}"}, {"provider_id": None}),
        ({"model_id": "${env.ZERO:=0}"}, {"model_id": 0}),
        ({"model_id": "${env.MODEL:=m}"}, {"model_id": "m"}),
        ({"shield_id": ""}, {"shield_id": ""}),
    ],
)
def test_an_item_that_is_not_disabled_is_kept(item: Any, kept: Any) -> None:
    assert filled([item]) == [kept]


def test_only_an_item_of_a_list_can_be_dropped() -> None:
    assert filled({"model_id": "", "provider_id": "__disabled__"}) == {"model_id": "", "provider_id": "__disabled__"}


def test_dropped_items_leave_a_gap_when_paths_must_stay_true() -> None:
    trace = Trace(aligned=True)
    value = replace({"models": [{"model_id": ""}, "${env.A}"]}, {}, trace)
    assert (value, trace.unknown) == ({"models": [None, None]}, frozenset({("models", 0), ("models", 1)}))


def auth(kind: Any) -> dict[str, Any]:
    """A server that checks tokens, or does not."""
    return {"server": {"auth": {"provider_config": {"type": kind, "uri": "${env.JWKS}"}, "x": "${env.X:=x}"}}}


@pytest.mark.parametrize("kind", ["${env.AUTH:+oauth2}", "${env.AUTH:=}", "", None])
def test_authentication_without_a_type_is_off_and_its_variables_do_not_matter(kind: Any) -> None:
    assert filled(auth(kind)) == {"server": {"auth": {"provider_config": None, "x": "x"}}}


@pytest.mark.parametrize("kind", ["oauth2", "${env.AUTH:=oauth2}", "${env.AUTH:=false}", "${env.AUTH:=0}"])
def test_authentication_with_any_type_is_on(kind: str) -> None:
    assert missing(auth(kind)) == ["JWKS"]


def test_a_provider_config_elsewhere_is_an_ordinary_key() -> None:
    assert missing({"other": auth("")["server"]}) == ["JWKS"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("${env.A}", [Reference("A", "", "", ("k",), required=True)]),
        ("${env.A:=b}", [Reference("A", "=", "b", ("k",), required=False)]),
        ("${env.A:+b}", [Reference("A", "+", "b", ("k",), required=False)]),
        ("${env.A:=}", [Reference("A", "=", "", ("k",), required=False)]),
        ("${env.A}-${env.B}", [Reference(name, "", "", ("k",), required=True) for name in "AB"]),
        ("${env.a} ${A}", []),
    ],
)
def test_every_reference_is_listed_with_its_operator_and_place(text: str, found: list[Reference]) -> None:
    assert list(references({"k": text})) == found


@pytest.mark.parametrize(
    ("tree", "names", "needed"),
    [
        ([{"provider_id": "__disabled__", "url": "${env.URL}"}], [], []),
        ([{"model_id": "", "provider_id": "${env.P}"}], [], []),
        ([{"provider_id": "${env.ON:=__disabled__}", "url": "${env.URL}"}], ["ON", "URL"], []),
        ([{"provider_id": "${env.ON}", "url": "${env.URL}"}], ["ON", "URL"], ["ON"]),
        ([{"model_id": "${env.MODEL}"}], ["MODEL"], ["MODEL"]),
        ([{"model_id": "${env.M}", "provider_id": "${env.P}"}], ["M", "P"], []),
        ([{"provider_id": "p", "url": "${env.URL}"}], ["URL"], ["URL"]),
        ({"provider_id": "${env.ON:+p}", "url": "${env.URL}"}, ["ON", "URL"], ["URL"]),
        (auth("${env.AUTH:+oauth2}"), ["AUTH", "JWKS", "X"], []),
        (auth("oauth2"), ["JWKS", "X"], ["JWKS"]),
        (auth(""), ["X"], []),
    ],
)
def test_what_may_be_dropped_does_not_need_its_variables(tree: Any, names: list[str], needed: list[str]) -> None:
    assert (mentioned(tree), required(tree)) == (names, needed)


NAMES = ["A", "B", "C"]
TEXTS = st.lists(
    st.sampled_from(
        ["x", "", "__disabled__", "0", *(f"${{env.{n}{o}}}" for n in NAMES for o in ("", ":=", ":=d", ":+p"))]
    ),
    max_size=2,
).map("".join)
KEYS = st.sampled_from(["provider_id", "model_id", "vector_store_id", "type", "url"])
TREES = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
AUTHS = st.dictionaries(KEYS, TEXTS, max_size=3).map(lambda one: {"server": {"auth": {"provider_config": one}}})
ENVS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "v", "__disabled__"]))


@settings(max_examples=300)
@given(TREES | AUTHS, ENVS)
def test_without_a_required_variable_a_start_fails_whatever_else_is_set(tree: Any, env: dict[str, str]) -> None:
    for name in required(tree):
        assert missing(tree, **{**env, name: ""})


@settings(max_examples=300)
@given(TREES | AUTHS, ENVS)
def test_every_variable_that_can_be_missing_is_listed(tree: Any, env: dict[str, str]) -> None:
    assert set(missing(tree, **env)) <= set(mentioned(tree))


@given(TREES | AUTHS)
def test_with_every_variable_set_nothing_is_missing(tree: Any) -> None:
    assert missing(tree, A="a", B="b", C="c") == []


def _paths(tree: Any, path: Path = ()) -> set[Path]:
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return {path}.union(*(_paths(child, (*path, step)) for step, child in steps))


@given(TREES | AUTHS, ENVS)
def test_an_aligned_result_has_every_path_of_the_tree_that_is_known(tree: Any, env: dict[str, str]) -> None:
    trace = Trace(aligned=True)
    known = _paths(replace(tree, env, trace))
    assert all(path in known for path in trace.unknown)
