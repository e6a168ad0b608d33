"""What an observation means: waiting, ready or failed, and a line that says why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.readiness import Observation, Verdict, judge
from lcompose.spec.project import Probe
from lcompose.spec.run import Answer, Container, Gated
from tests.unit.given import container

PROBED, UNPROBED = Gated("web", Probe(80, "/")), Gated("web")
YES, NO = Answer(ok=True, detail="HTTP 200"), Answer(ok=False, detail="HTTP 503")
DEGRADED = Answer(ok=False, detail="overall_status: degraded (no server)")


def verdict(*containers: Container, answer: Answer | None = None, service: Gated = PROBED) -> Verdict:
    """The verdict on one observation."""
    return judge(Observation(service, containers, answer))


def web(state: str = "running", **more: Any) -> Container:
    """A container of the service."""
    return container("web", state, **more)


@pytest.mark.parametrize(
    ("found", "answer", "expected"),
    [
        ((), None, Verdict("failed", "it has no container: something removed it")),
        ((web("exited", exit_code=1),), None, Verdict("failed", "it exited with code 1")),
        ((web("exited"),), YES, Verdict("failed", "it exited with code 0")),
        ((web("exited", exit_code=127, error="no x"),), None, Verdict("failed", "it exited with code 127: no x")),
        (
            (web("exited", exit_code=137),),
            None,
            Verdict("failed", "it was killed (exit code 137), perhaps out of memory"),
        ),
        (
            (web("exited", exit_code=1, oom_killed=True),),
            None,
            Verdict("failed", "it was killed (exit code 1), perhaps out of memory"),
        ),
        ((web("dead"),), None, Verdict("failed", "it exited with code 0")),
        ((web("stopped", exit_code=2),), None, Verdict("failed", "it exited with code 2")),
        (
            (web("restarting", restarts=3, exit_code=1),),
            None,
            Verdict("failed", "it keeps dying: 3 restarts, it exited with code 1"),
        ),
        ((web(restarts=3),), NO, Verdict("failed", "it keeps dying: 3 restarts")),
        ((web(restarts=3),), YES, Verdict("ready", "HTTP 200")),
        ((web("restarting", restarts=2, exit_code=1),), None, Verdict("waiting", "restarting")),
        ((web("created"),), None, Verdict("waiting", "not started yet")),
        ((web("configured"),), None, Verdict("waiting", "not started yet")),
        (
            (web("created", error="port is taken"),),
            None,
            Verdict("failed", "it could not be started: port is taken"),
        ),
        ((web("paused"),), None, Verdict("waiting", "paused")),
        ((web(),), None, Verdict("waiting", "not asked yet")),
        ((web(),), NO, Verdict("waiting", "HTTP 503")),
        ((web(),), YES, Verdict("ready", "HTTP 200")),
        (
            (web(),),
            DEGRADED,
            Verdict("failed", "degraded: it started without Llama Stack, and stays so until it is restarted"),
        ),
        ((web(), web("created")), YES, Verdict("waiting", "not started yet")),
        ((web(), web("exited")), YES, Verdict("failed", "it exited with code 0")),
    ],
)
def test_an_observation_has_its_verdict(found: tuple[Container, ...], answer: Answer, expected: Verdict) -> None:
    assert verdict(*found, answer=answer) == expected


def test_a_service_that_nobody_can_ask_is_ready_when_it_runs() -> None:
    assert verdict(web(), service=UNPROBED) == Verdict("ready", "running")


def test_a_service_that_nobody_can_ask_and_that_keeps_dying_has_failed() -> None:
    assert verdict(web(restarts=3), service=UNPROBED).state == "failed"


ANSWERS = st.none() | st.sampled_from([YES, NO, DEGRADED, Answer(ok=True), Answer(ok=False)])
STATES = st.sampled_from(
    ["running", "created", "configured", "initialized", "starting", "removing", "restarting", "paused", "exited"]
) | st.sampled_from(["stopped", "stopping", "dead", "", "unknown", "a word of tomorrow"])
CONTAINERS = st.lists(
    st.builds(
        container,
        st.just("web"),
        STATES,
        exit_code=st.integers(0, 255),
        restarts=st.integers(0, 9),
        oom_killed=st.booleans(),
        error=st.sampled_from(["", "no such file"]),
    ),
    max_size=3,
).map(tuple)
OBSERVATIONS = st.builds(Observation, st.sampled_from([PROBED, UNPROBED]), CONTAINERS, ANSWERS)


@given(OBSERVATIONS)
def test_nothing_is_ready_that_does_not_run(seen: Observation) -> None:
    if judge(seen).state == "ready":
        assert seen.containers
        assert {one.state for one in seen.containers} == {"running"}


@given(OBSERVATIONS)
def test_nothing_that_is_probed_is_ready_before_it_said_so(seen: Observation) -> None:
    if judge(seen).state == "ready" and seen.service.probe:
        assert seen.answer and seen.answer.ok


@given(OBSERVATIONS)
def test_every_observation_has_a_verdict(seen: Observation) -> None:
    assert judge(seen).state in ("waiting", "ready", "failed")


@given(OBSERVATIONS)
def test_what_has_ended_has_failed(seen: Observation) -> None:
    if any(one.state in ("exited", "stopped", "dead") for one in seen.containers):
        assert judge(seen).state == "failed"


@given(OBSERVATIONS)
def test_every_failure_says_why(seen: Observation) -> None:
    found = judge(seen)
    assert found.reason or found.state != "failed"
