"""The nine states of a service: which may follow which, and what an engine's words mean."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.lifecycle import EDGES, FORCED, Health, State, health_of, may_follow, observed_state
from tests.unit.given import container

STATES: tuple[State, ...] = get_args(State)
LEGAL: tuple[tuple[State, State], ...] = (
    ("offline", "pulling"),
    ("offline", "starting"),
    ("pulling", "starting"),
    ("pulling", "error"),
    ("pulling", "offline"),
    ("starting", "warming"),
    ("starting", "error"),
    ("starting", "offline"),
    ("warming", "ready"),
    ("warming", "error"),
    ("warming", "offline"),
    ("warming", "idle"),
    ("ready", "serving"),
    ("ready", "idle"),
    ("ready", "unloading"),
    ("ready", "error"),
    ("serving", "ready"),
    ("serving", "idle"),
    ("serving", "error"),
    ("idle", "serving"),
    ("idle", "unloading"),
    ("idle", "ready"),
    ("unloading", "offline"),
    ("unloading", "error"),
    ("error", "offline"),
    ("error", "pulling"),
    ("error", "starting"),
)


def test_there_are_nine_states_and_each_has_its_edges() -> None:
    assert len(STATES) == 9
    assert set(EDGES) == set(STATES)


def test_there_are_just_these_27_edges() -> None:
    assert {(before, after) for before, edges in EDGES.items() for after in edges} == set(LEGAL)
    assert len(LEGAL) == 27


@pytest.mark.parametrize(("before", "after"), LEGAL)
def test_a_command_may_take_a_service_along_an_edge(before: State, after: State) -> None:
    assert may_follow(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (before, after)
        for before in STATES
        for after in STATES
        if (before, after) not in LEGAL and after not in ("unloading", "offline")
    ],
)
def test_a_command_may_not_skip_a_state(before: State, after: State) -> None:
    assert not may_follow(before, after)


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", ["unloading", "offline"])
def test_a_person_may_take_down_whatever_there_is(before: State, after: State) -> None:
    assert may_follow(before, after)


@given(st.lists(st.sampled_from(STATES), min_size=2, max_size=12))
def test_a_path_may_be_commanded_if_each_of_its_steps_may(path: list[State]) -> None:
    steps = list(pairwise(path))
    wrong = [(before, after) for before, after in steps if not may_follow(before, after)]
    assert all((before, after) not in LEGAL and after not in FORCED for before, after in wrong)
    assert wrong or all(step in LEGAL or step[1] in FORCED for step in steps)


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=30))
def test_wherever_refusing_wrong_commands_leads_a_service_can_be_started_again(wishes: list[State]) -> None:
    state: State = "offline"
    for wish in wishes:
        state = wish if may_follow(state, wish) else state
    assert may_follow(state, "offline")
    assert may_follow("offline", "starting")


@pytest.mark.parametrize("state", [one for one in STATES if one not in FORCED])
def test_no_state_follows_itself(state: State) -> None:
    assert not may_follow(state, state)


@pytest.mark.parametrize(
    ("word", "ready", "more", "state"),
    [
        ("running", True, {}, "ready"),
        ("running", False, {}, "warming"),
        ("running", None, {}, "warming"),
        ("created", None, {}, "offline"),
        ("created", None, {"error": "port is taken"}, "error"),
        ("configured", None, {}, "offline"),
        ("initialized", None, {}, "offline"),
        ("restarting", None, {"exit_code": 1}, "starting"),
        ("restarting", True, {}, "starting"),
        ("starting", None, {}, "starting"),
        ("exited", None, {}, "offline"),
        ("exited", True, {}, "offline"),
        ("exited", None, {"exit_code": 143}, "offline"),
        ("exited", None, {"exit_code": 137}, "offline"),
        ("exited", None, {"exit_code": 137, "oom_killed": True}, "error"),
        ("exited", None, {"exit_code": 0, "oom_killed": True}, "error"),
        ("exited", None, {"exit_code": 1}, "error"),
        ("exited", None, {"exit_code": 127, "error": "no such file"}, "error"),
        ("stopped", None, {}, "offline"),
        ("stopped", None, {"exit_code": 3}, "error"),
        ("paused", True, {}, "offline"),
        ("stopping", None, {}, "unloading"),
        ("removing", None, {}, "unloading"),
        ("dead", None, {}, "error"),
        ("a word of tomorrow", None, {}, "offline"),
        ("", None, {}, "offline"),
    ],
)
def test_what_an_engine_says_is_told_in_our_words(
    word: str, ready: bool | None, more: dict[str, Any], state: State
) -> None:
    assert observed_state(container("web", word, **more), ready) == state


@pytest.mark.parametrize(
    ("state", "health"),
    [
        ("offline", "unknown"),
        ("pulling", "unknown"),
        ("starting", "unknown"),
        ("warming", "unknown"),
        ("ready", "healthy"),
        ("serving", "healthy"),
        ("idle", "healthy"),
        ("unloading", "unknown"),
        ("error", "unhealthy"),
    ],
)
def test_a_state_says_of_a_services_health_what_is_known(state: State, health: Health) -> None:
    assert health_of(state) == health
