"""Names that become part of paths and of containers' names: as a whole, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.errors import UsageError
from lcompose.names import NAME, checked_name, name_from_directory


@pytest.mark.parametrize("name", ["a", "7", "my-stack_2", "a" * 32])
def test_a_good_name_is_taken_as_it_is(name: str) -> None:
    assert checked_name(name, "project") == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/", "a\\b", "-a", "_a", "A", "é", "a.b", "a b", "a\n", "\na", "a\0", "a" * 33,
     "$(id)", "a;b", "--force", "٣"],
)  # fmt: skip
def test_a_name_that_could_mean_something_else_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_name(name, "project")
    assert caught.value.what == f"{name!r} is not a name for a project"


def test_a_name_of_200_characters_is_not_repeated_in_full() -> None:
    with pytest.raises(UsageError) as caught:
        checked_name("x" * 200, "project")
    assert caught.value.what == f"'{'x' * 40}…' is not a name for a project"


@given(st.text(max_size=200))
def test_a_name_is_good_only_as_a_whole_and_in_32_plain_characters(name: str) -> None:
    try:
        assert set(checked_name(name, "project")) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
        assert 0 < len(name) <= 32
    except UsageError:
        assert not NAME.fullmatch(name)


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("my-stack", "my-stack"),
        ("My Stack", "my-stack"),
        ("", "lightspeed"),
        ("..", "lightspeed"),
        ("ÄÖ", "lightspeed"),
    ],
)
def test_a_directory_gives_a_project_its_name(directory: str, name: str) -> None:
    assert name_from_directory(directory) == name


@given(st.text(max_size=200))
def test_any_directory_gives_a_good_name(directory: str) -> None:
    name = name_from_directory(directory)
    assert checked_name(name, "project") == name
