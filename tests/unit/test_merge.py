"""Layers: the later one wins, key by key; some lists grow; and where each value came from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.merge import Layer, Merged, merge


def merged(*trees: dict[str, Any]) -> Merged:
    """Trees as layers called 1, 2, 3."""
    return merge([Layer(str(number), tree) for number, tree in enumerate(trees, 1)])


@pytest.mark.parametrize(
    ("trees", "tree"),
    [
        ([], {}),
        ([{"a": 1}, {"a": 2}], {"a": 2}),
        ([{"a": {"b": 1, "c": 1}}, {"a": {"b": 2}}], {"a": {"b": 2, "c": 1}}),
        ([{"a": [1, 2]}, {"a": [3]}], {"a": [3]}),
        ([{"a": {"b": 1}}, {"a": None}], {"a": None}),
        ([{"a": 1}, {"a": {"b": 1}}], {"a": {"b": 1}}),
        ([{"a": 1}, {"a": False}], {"a": False}),
        ([{"a": {"b": 1}}, {"a": {}}], {"a": {"b": 1}}),
    ],
)
def test_later_layers_win_key_by_key(trees: list[dict[str, Any]], tree: dict[str, Any]) -> None:
    assert merged(*trees).tree == tree


@pytest.mark.parametrize("key", ["volumes", "tmpfs"])
def test_mounts_of_a_service_add_up_and_none_is_there_twice(key: str) -> None:
    first = {"services": {"s": {key: ["a", "b"]}}}
    second = {"services": {"s": {key: ["b", "c"]}}}
    assert merged(first, second).tree == {"services": {"s": {key: ["a", "b", "c"]}}}


def test_ports_of_a_service_replace_what_was_published_before() -> None:
    first = {"services": {"s": {"ports": ["1:1"]}}}
    second = {"services": {"s": {"ports": ["2:2"]}}}
    assert merged(first, second).tree == {"services": {"s": {"ports": ["2:2"]}}}


def test_a_variable_that_is_called_like_a_growing_list_is_a_plain_value() -> None:
    first = {"services": {"s": {"env": {"volumes": "old", "tmpfs": None}}}}
    second = {"services": {"s": {"env": {"volumes": "new"}}}}
    assert merged(first, second).tree == {"services": {"s": {"env": {"volumes": "new", "tmpfs": None}}}}


def test_the_origin_of_a_value_is_the_layer_that_set_it_last() -> None:
    first = {"model": "a", "services": {"s": {"image": "x", "restart": "no"}}}
    second = {"services": {"s": {"image": "y"}}}
    assert merged(first, second).origin == {"model": "1", "services.s.image": "2", "services.s.restart": "1"}


# A key holds either a mapping or a leaf in every layer, as the table of settings has it.
TREES = st.recursive(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 3), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["s", "t", "services"]), inner, max_size=3),
    max_leaves=6,
)
MOUNTS = st.lists(st.sampled_from("abcd"), max_size=3, unique=True)
SERVICES = st.dictionaries(
    st.sampled_from("xy"), st.fixed_dictionaries({}, optional={"volumes": MOUNTS, "tmpfs": MOUNTS})
)
LAYERS = TREES | st.fixed_dictionaries({"services": SERVICES})


def _is_uniform(*trees: dict[str, Any]) -> bool:
    return len({kind for tree in trees for kind in _kinds(tree, ())}) == len(
        {path for tree in trees for path, _ in _kinds(tree, ())}
    )


def _kinds(tree: dict[str, Any], path: tuple[str, ...]) -> set[tuple[tuple[str, ...], type]]:
    found = {((*path, key), type(value)) for key, value in tree.items()}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _kinds(value, (*path, key))
    return found


@given(LAYERS, LAYERS, LAYERS)
def test_it_does_not_matter_which_neighbours_are_merged_first(
    one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    if _is_uniform(one, two, three):
        left = merged(merged(one, two).tree, three).tree
        assert left == merged(one, merged(two, three).tree).tree == merged(one, two, three).tree


@given(LAYERS)
def test_an_empty_layer_changes_nothing(tree: dict[str, Any]) -> None:
    assert merged(tree, {}).tree == merged({}, tree).tree == tree


@given(LAYERS)
def test_a_layer_on_top_of_itself_changes_nothing(tree: dict[str, Any]) -> None:
    assert merged(tree, tree).tree == tree


@given(TREES, TREES)
def test_every_value_of_the_last_layer_is_in_the_result(one: dict[str, Any], two: dict[str, Any]) -> None:
    origin = merged(one, two).origin
    assert {path for path, layer in origin.items() if layer == "2"} >= set(merged(two).origin)


@given(LAYERS, LAYERS)
def test_the_layers_themselves_are_left_as_they_were(one: dict[str, Any], two: dict[str, Any]) -> None:
    before = repr((one, two))
    merged(one, two)
    assert repr((one, two)) == before
