"""Containers or processes: which one is taken for a service, and what is told of the choice."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.errors import MachineError, UsageError
from lcompose.modes import MODES, Selected, Ways, Wish, select

BOTH = ("container", "local")
SUBSETS = list(chain.from_iterable(combinations(BOTH, n) for n in range(3)))


def ways(**more: object) -> Ways:
    return Ways("web", **{"supported": BOTH, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        (ways(), "container"),
        (ways(supported=("local",)), "local"),
        (ways(wishes=[Wish("default", "local")]), "local"),
        (ways(wishes=[Wish("you", "container"), Wish("default", "local")]), "container"),
        (ways(wishes=[Wish("you", ""), Wish("its own", "local"), Wish("default", "container")]), "local"),
        # What a person wants cannot be: then what the service itself prefers, before the default.
        (
            ways(
                disabled=("local",),
                wishes=[Wish("you", "local"), Wish("its own", "container"), Wish("default", "local")],
            ),
            "container",
        ),
        (ways(allowed=("local",)), "local"),
        (ways(allowed=(), disabled=("container",)), "local"),
        (ways(problems={"container": "no engine answers"}), "local"),
    ],
)
def test_the_first_wish_that_can_be_met_decides(given: Ways, mode: str) -> None:
    assert select(given).mode == mode


def test_each_thing_that_decided_is_told() -> None:
    asked = ways(
        supported=("container",),
        wishes=[Wish("runtime in lcompose.yaml", "local"), Wish("runtimes.default says so", "container")],
    )
    assert select(asked) == Selected(
        "container",
        (
            "local is out: web cannot be run so",
            "local is wanted, and cannot be: runtime in lcompose.yaml",
            "container is taken: runtimes.default says so",
        ),
        Wish("runtime in lcompose.yaml", "local"),
    )


@pytest.mark.parametrize(
    "unknown",
    [
        ways(supported=("binary",)),
        ways(allowed=("ollama",)),
        ways(disabled=("cpu",)),
        ways(wishes=[Wish("you", "native")]),
    ],
)
def test_a_runtime_that_there_is_not_is_refused_wherever_it_stands(unknown: Ways) -> None:
    with pytest.raises(UsageError, match="no runtime is called"):
        select(unknown)


def test_where_settings_leave_none_they_are_to_be_changed() -> None:
    with pytest.raises(UsageError) as caught:
        select(ways(allowed=("local",), disabled=("local",)))
    assert caught.value.details == (
        "container is out: runtimes.allowed does not have it",
        "local is out: runtimes.disabled has it",
    )


def test_where_the_machine_is_in_the_way_it_is_the_machine_that_lacks_something() -> None:
    with pytest.raises(MachineError) as caught:
        select(ways(supported=("container",), problems={"container": "Docker does not answer"}))
    assert caught.value.details == (
        "container is out: Docker does not answer",
        "local is out: web cannot be run so",
    )


some = st.sampled_from(SUBSETS)
wishes = st.lists(st.builds(Wish, st.sampled_from(["you", "default"]), st.sampled_from(["", *BOTH])), max_size=3)


@given(supported=some, allowed=some, disabled=some, wished=wishes, broken=some)
def test_what_is_taken_is_supported_and_allowed_and_not_disabled(
    supported: tuple[str, ...],
    allowed: tuple[str, ...],
    disabled: tuple[str, ...],
    wished: list[Wish],
    broken: tuple[str, ...],
) -> None:
    asked = Ways("web", supported, allowed, disabled, wished, dict.fromkeys(broken, "it does not answer"))
    possible = (set(supported) & set(allowed or BOTH)) - set(disabled) - set(broken)
    if not possible:
        with pytest.raises((UsageError, MachineError)):
            select(asked)
        return
    found = select(asked)
    assert found.mode in possible
    assert found == select(asked)
    # The trace names each runtime that is out, and ends with the one that is taken.
    assert {line.split()[0] for line in found.trace if " is out: " in line} == set(MODES) - possible
    assert found.trace[-1].startswith(f"{found.mode} is taken: ")
    met = next((one for one in wished if one.mode in possible), None)
    before = wished[: wished.index(met)] if met else wished
    assert found.unmet == next((one for one in before if one.mode), None)
