"""The states of a service: which may follow which, and what an engine's words mean."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest

from lcompose.lifecycle import EDGES, State, may_follow, observed_state


def test_every_state_has_its_edges_and_each_leads_to_a_state() -> None:
    states = set(get_args(State))
    assert set(EDGES) == states
    assert {after for edges in EDGES.values() for after in edges} == states


@pytest.mark.parametrize(
    "path",
    [
        ("absent", "created", "starting", "ready", "stopping", "stopped", "absent"),
        ("created", "starting", "failed", "starting", "ready", "failed", "stopping", "stopped", "starting"),
        ("starting", "stopping", "failed", "absent"),
        ("created", "absent"),
    ],
)
def test_a_command_may_take_a_service_along_a_path(path: tuple[State, ...]) -> None:
    assert all(may_follow(before, after) for before, after in pairwise(path))


@pytest.mark.parametrize(
    ("before", "after"),
    [("absent", "starting"), ("created", "ready"), ("ready", "starting"), ("ready", "absent"), ("stopped", "ready")],
)
def test_a_command_may_not_skip_a_state(before: State, after: State) -> None:
    assert not may_follow(before, after)


def test_no_state_follows_itself() -> None:
    assert not any(may_follow(state, state) for state in EDGES)


@pytest.mark.parametrize(
    ("word", "ready", "state"),
    [
        ("running", True, "ready"),
        ("running", False, "starting"),
        ("created", False, "created"),
        ("configured", False, "created"),
        ("initialized", False, "created"),
        ("restarting", False, "starting"),
        ("exited", False, "stopped"),
        ("stopped", False, "stopped"),
        ("paused", False, "stopped"),
        ("stopping", False, "stopping"),
        ("removing", False, "stopping"),
        ("dead", False, "failed"),
        ("a word of tomorrow", False, "failed"),
        ("exited", True, "stopped"),
    ],
)
def test_what_an_engine_says_is_told_in_our_words(word: str, ready: bool, state: State) -> None:
    assert observed_state(word, ready=ready) == state
