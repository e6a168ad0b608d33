"""The gate: it waits until all is ready, says what is not and why, and always ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.engines.fake import NO_ANSWER, FakeEngine
from lcompose.errors import EngineError, LcomposeError, NotReadyError
from lcompose.gate import verdicts_now, wait_until_ready
from lcompose.host import Finished
from lcompose.readiness import Verdict
from lcompose.spec.events import Event
from lcompose.spec.project import Probe
from lcompose.spec.run import Container, Gated, GateSpec, Observed
from lcompose.spec.secrets import Secrets
from tests.unit.given import Ticking, container

PROBE = Probe(80, "/")
YES, DEGRADED = Finished(0, "200\n{}", ""), Finished(0, '503\n{"overall_status": "degraded"}', "")
HANGS = EngineError("docker container inspect did not end within 20 s")


def spec(*names: str, timeout: float = 60) -> GateSpec:
    """Services that are probed and must be ready."""
    return GateSpec("demo", tuple(Gated(name, PROBE) for name in names), timeout)


def wait(
    wanted: GateSpec, engine: FakeEngine, time: Ticking | None = None, secrets: Secrets | None = None
) -> tuple[list[Event], NotReadyError | None]:
    """What happens until the gate ends, and the error that it ends with."""
    events = []
    try:
        for event in wait_until_ready(wanted, engine, (time or Ticking()).clock(), secrets or Secrets({})):
            events.append(event)
    except NotReadyError as error:
        return events, error
    return events, None


def states(events: list[Event]) -> list[str]:
    """The changes of state among the events."""
    return [f"{event.subject}: {event.text}" for event in events if event.kind == "state"]


def engine(*found: Container, **inside: list[Finished]) -> FakeEngine:
    """An engine with containers, and what each answers, one question after the other."""
    return FakeEngine(list(found), inside=inside)


def test_it_ends_when_all_services_answer() -> None:
    events, error = wait(spec("web", "db"), engine(container("web"), container("db"), web=[YES], db=[YES]))
    assert error is None
    assert sorted(states(events)) == ["db: ready", "web: ready"]


def test_a_service_is_asked_until_it_answers() -> None:
    time = Ticking()
    events, error = wait(spec("web"), engine(container("web"), web=[NO_ANSWER, NO_ANSWER, YES]), time)
    assert error is None
    assert states(events) == ["web: ready"]
    assert time.slept == [0.05, 0.0625]


def test_questions_come_less_often_with_time() -> None:
    time = Ticking()
    wait(spec("web"), engine(container("web")), time)
    assert time.slept[0] == 0.05
    assert max(time.slept) == 0.2


def test_a_service_that_is_ready_is_not_asked_again() -> None:
    fake = engine(container("web"), container("db"), web=[YES], db=[NO_ANSWER] * 5 + [YES])
    wait(spec("web", "db"), fake)
    assert fake.calls.count("execute web") == 1


def test_a_service_without_a_probe_is_ready_when_it_runs() -> None:
    fake = engine(container("web"))
    events, error = wait(GateSpec("demo", (Gated("web"),)), fake)
    assert (states(events), error) == (["web: ready"], None)


def test_nothing_is_waited_for_where_there_is_no_service() -> None:
    assert wait(spec(), engine()) == ([], None)


def test_what_is_waited_for_is_told_each_second() -> None:
    events, _ = wait(spec("web", timeout=5), engine(container("web")))
    told = [event for event in events if event.kind == "waiting"]
    assert 3 <= len(told) <= 5
    assert {(one.subject, one.text) for one in told} == {
        ("web", "does not answer yet (ConnectionRefusedError: [Errno 111] Connection refused)")
    }


def test_it_ends_at_the_deadline_with_a_table_and_the_last_lines() -> None:
    fake = engine(container("web"), container("db"), db=[YES])
    fake.printed = {"web": "\n".join(f"line {number}" for number in range(40))}
    time = Ticking()
    _, error = wait(spec("web", "db", timeout=10), fake, time)
    assert error
    assert time.time == pytest.approx(1010)
    assert error.what == "the stack is not ready: it was not ready within 10 s"
    assert error.exit_code == 5
    assert error.details == (
        "SERVICE            STATE       EXIT  RESTARTS  REASON",
        "web                running           0         "
        "does not answer yet (ConnectionRefusedError: [Errno 111] Connection refused)",
        "db                 running           0         HTTP 200",
        "--- the last lines of web:",
        *(f"line {number}" for number in range(25, 40)),
    )


def test_a_service_that_ends_is_a_failure_at_once() -> None:
    time = Ticking()
    _, error = wait(spec("web"), engine(container("web", "exited", exit_code=3)), time)
    assert error
    assert error.what == "the stack is not ready: a service failed"
    assert error.details[1:] == (
        "web                exited      3     0         it exited with code 3",
        "--- the last lines of web:",
        "(it printed nothing)",
    )
    assert time.slept == []


def test_a_service_that_dies_after_it_was_ready_is_a_failure() -> None:
    fake = engine(container("web"), container("db"), db=[YES])
    fake.script = {"db": [container("db"), container("db", "exited", exit_code=1)]}
    events, error = wait(spec("web", "db"), fake)
    assert states(events) == ["db: ready", "db: no longer ready: it exited with code 1"]
    assert error
    assert "db                 exited      1     0         it exited with code 1" in error.details


def test_a_service_that_dies_just_before_the_last_one_is_ready_is_a_failure() -> None:
    fake = engine(container("web"), container("db"), web=[NO_ANSWER, NO_ANSWER, YES], db=[YES])
    fake.script = {"db": [container("db"), container("db", "exited", exit_code=1)]}
    _, error = wait(spec("web", "db"), fake)
    assert error
    assert error.what == "the stack is not ready: a service failed"


@pytest.mark.parametrize("later", [container("db", "restarting"), container("db", restarts=1)])
def test_a_service_that_is_started_again_must_answer_again(later: Container) -> None:
    fake = engine(container("web"), container("db"), web=[NO_ANSWER] * 12 + [YES], db=[YES, NO_ANSWER, NO_ANSWER, YES])
    fake.script = {"db": [container("db"), later, container("db", restarts=1)]}
    events, error = wait(spec("web", "db"), fake)
    assert error is None
    assert [line for line in states(events) if line.startswith("db")][0::2] == ["db: ready", "db: ready"]
    assert fake.calls.count("execute db") == 4


def test_a_service_that_keeps_dying_is_a_failure() -> None:
    fake = engine(container("web"))
    fake.script = {"web": [container("web", "restarting", exit_code=1, restarts=number) for number in range(9)]}
    time = Ticking()
    _, error = wait(spec("web"), fake, time)
    assert error
    assert "it keeps dying: 3 restarts, it exited with code 1" in error.details[1]
    assert time.time < 1010


def test_a_degraded_service_is_a_failure_at_once() -> None:
    time = Ticking()
    wanted = GateSpec("demo", (Gated("web", replace(PROBE, field="overall_status", expected="healthy")),), 60)
    _, error = wait(wanted, engine(container("web"), web=[DEGRADED]), time)
    assert error
    assert "degraded: it started without Llama Stack" in error.details[1]
    assert time.slept == []


def test_a_service_whose_container_is_gone_is_a_failure() -> None:
    _, error = wait(spec("web"), engine())
    assert error
    assert error.details[1:] == ("web                absent",)


def test_secrets_are_shown_neither_in_the_last_lines_nor_in_the_reasons() -> None:
    fake = engine(container("web"), web=[Finished(1, "", "wrong key: abcdef")])
    fake.printed = {"web": "key=abcdef\nok"}
    _, error = wait(spec("web", timeout=1), fake, secrets=Secrets({"API_KEY": "abcdef"}))
    assert error
    assert error.details[-3:] == ("--- the last lines of web:", "key=<API_KEY>", "ok")
    assert "abcdef" not in repr(error.details)


def test_logs_that_cannot_be_read_do_not_hide_the_failure() -> None:
    fake = engine(container("web", "exited", exit_code=1))
    fake.failures = {"logs": EngineError("docker logs did not end within 60 s")}
    _, error = wait(spec("web"), fake)
    assert error
    assert error.details[-1] == "docker logs did not end within 60 s"


def test_an_engine_that_fails_while_it_is_looked_at_ends_the_waiting() -> None:
    fake = engine(container("web"))
    fake.failures = {"look": HANGS}
    with pytest.raises(EngineError) as caught:
        wait(spec("web"), fake)
    assert caught.value is HANGS


def test_an_engine_that_cannot_run_a_probe_is_waited_for_until_the_deadline() -> None:
    fake = engine(container("web"))
    fake.failures = {"execute": EngineError("docker exec web did not end within 5 s")}
    time = Ticking()
    _, error = wait(spec("web", timeout=10), fake, time)
    assert error
    assert "docker exec web did not end within 5 s" in error.details[1]
    assert time.time == pytest.approx(1010)


@dataclass
class SlowEngine(FakeEngine):
    """An engine in which every question takes all the time that it may."""

    time: Ticking = field(default_factory=Ticking)

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        self.time.time += timeout
        raise EngineError(f"docker exec {container} did not end within {timeout:g} s")


@pytest.mark.parametrize("timeout", [1, 2, 7, 10.5])
def test_questions_that_hang_delay_the_end_by_a_second_at_most(timeout: float) -> None:
    time = Ticking()
    _, error = wait(spec("web", timeout=timeout), SlowEngine([container("web")], time=time), time)
    assert error
    assert time.time <= 1000 + timeout + 1


ANSWERS = st.lists(st.sampled_from([YES, NO_ANSWER, DEGRADED, Finished(0, "", ""), Finished(0, "nonsense", "")]))
LIVES = st.lists(
    st.builds(
        container,
        st.just("web"),
        st.sampled_from(["running", "running", "running", "created", "restarting", "paused", "exited", "odd"]),
        restarts=st.integers(0, 4),
    ),
    min_size=1,
    max_size=6,
)
FAILURES = st.dictionaries(st.sampled_from(["execute", "logs", "look"]), st.just(HANGS), max_size=1)


@given(LIVES, ANSWERS, FAILURES, st.floats(0.1, 20))
def test_whatever_the_engine_says_the_gate_ends_in_time(
    life: list[Container], answers: list[Finished], failures: dict[str, LcomposeError], timeout: float
) -> None:
    time = Ticking()
    fake = FakeEngine([life[0]], script={"web": life}, inside={"web": answers}, failures=failures)
    try:
        _, error = wait(spec("web", timeout=timeout), fake, time)
    except EngineError:
        assert "look" in failures
    else:
        assert error or fake.held[0].state == "running"
    assert time.time <= 1000 + timeout + 1


def test_a_verdict_may_be_asked_for_without_waiting() -> None:
    fake = engine(web=[YES])
    observed = Observed((container("web"), container("db", "exited", exit_code=1)))
    assert verdicts_now(spec("web", "db"), fake, observed) == {
        "web": Verdict("ready", "HTTP 200"),
        "db": Verdict("failed", "it exited with code 1"),
    }


def test_a_service_of_two_containers_is_ready_when_both_are() -> None:
    one, two = replace(container("web"), id="w1"), replace(container("web"), id="w2")
    fake = engine(one, two, w1=[YES], w2=[NO_ANSWER, YES])
    assert wait(spec("web"), fake)[1] is None
    assert fake.calls.count("execute w2") == 2
