"""The gate: it starts in order, waits until all is ready, says what is not and why, and always ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.engines import EngineEvent
from lcompose.engines.fake import NO_ANSWER
from lcompose.errors import EngineError, LcomposeError, NotReadyError
from lcompose.gate import FORGIVING, LAST_WORDS, MOST_STARTS, MOST_TOLD, Gate, Passed
from lcompose.host import Finished
from lcompose.readiness import Verdict
from lcompose.reasons import MOST_QUOTED
from lcompose.spec.events import Event
from lcompose.spec.project import Dependency, Healthcheck, Probe
from lcompose.spec.run import Container, Gated, GateSpec, Observed
from lcompose.spec.secrets import Secrets
from tests.unit.given import NEVER, LivingEngine, Ticking, container

PROBE = Probe(80, "/")
CHECK = Healthcheck(("CMD", "check"), interval=2, timeout=1, retries=3, start_period=0)
YES, DEGRADED = Finished(0, "200\n{}", ""), Finished(0, '503\n{"overall_status": "degraded"}', "")
FINE, SICK = Finished(0, "", ""), Finished(1, "", "no connection")
HANGS = EngineError("docker container inspect did not end within 20 s")
SILENT = "does not answer yet (ConnectionRefusedError: [Errno 111] Connection refused)"
RUNS = "it runs (it has no health check)"
Life = list[tuple[float, dict[str, Any]]]


@dataclass
class Stack:
    """Services, what becomes of their containers, and what a gate made of it.

    ``found`` are the containers; by default one of each service, that was created and not started.
    """

    services: Sequence[Gated]
    lives: dict[str, Life] = field(default_factory=dict)
    found: Sequence[Container] | None = None
    timeout: float = 60
    done: frozenset[str] = frozenset()
    takes: dict[str, float] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    known: Observed | None = None
    events: list[Event] = field(default_factory=list)
    error: NotReadyError | None = None

    def __post_init__(self) -> None:
        self.work = Ticking(takes=self.takes)
        found = [container(one.name, "created") for one in self.services] if self.found is None else self.found
        self.engine = LivingEngine(list(found), work=self.work, lives=self.lives)
        spec = GateSpec("demo", tuple(self.services), self.timeout)
        self.gate = Gate(
            spec,
            self.engine,
            self.work,
            Secrets(self.secrets),
            deadline=self.work.now() + self.timeout,
            done=self.done,
            observed=self.known,
        )

    def wait(self) -> Stack:
        """Waits until it ends, well or not."""
        try:
            for event in self.gate.run():
                self.events.append(event)
        except NotReadyError as error:
            self.error = error
        return self

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.work.time - 1000.0

    @property
    def passed(self) -> Passed:
        """How it ended well."""
        assert self.error is None, self.error.details
        assert self.gate.passed
        return self.gate.passed

    def states(self, *names: str) -> list[str]:
        """The changes of state, of some services or all."""
        told = [event for event in self.events if event.kind == "state" and event.subject in (names or [event.subject])]
        return [f"{event.subject}: {event.text}" for event in told]

    def started(self) -> dict[str, float]:
        """When each container was told to start, in seconds."""
        return {words[1]: at - 1000.0 for at, *words in self.work.submitted if words[0] == "start"}

    def rows(self) -> dict[str, str]:
        """The table that it failed with: the reason for each service."""
        assert self.error, "it did not fail"
        lines = self.error.details[1:]
        end = next((number for number, line in enumerate(lines) if line.startswith(("---", "the engine"))), len(lines))
        return {line.split()[0]: line.split("  ", 1)[1].strip() for line in lines[:end]}


def probed(name: str, **more: Any) -> Gated:
    """A service that is probed."""
    return Gated(name, PROBE, **more)


def needs(*names: str, condition: Any = "healthy", required: bool = True) -> tuple[Dependency, ...]:
    """Dependencies on others."""
    return tuple(Dependency(name, condition, required) for name in names)


def answers(*after: float) -> Life:
    """The life of a service that answers after so many seconds."""
    return [(seconds, {"inside": YES}) for seconds in after]


def exits(seconds: float, code: int = 0, **more: Any) -> Life:
    """The life of a container that ends."""
    return [(seconds, {"state": "exited", "exit_code": code, **more})]


def restarts(every: float, times: int, code: int = 1) -> Life:
    """The life of a container that its engine starts again and again."""
    return [
        step
        for number in range(1, times + 1)
        for step in (
            (number * every - 0.1, {"state": "restarting", "exit_code": code}),
            (number * every, {"state": "running", "restarts": number}),
        )
    ]


# ---------------------------------------------------------------- it ends well


def test_all_are_started_side_by_side_and_it_ends_when_all_answer() -> None:
    stack = Stack([probed("web"), probed("db")], {"web": answers(2), "db": answers(1)}).wait()
    assert stack.passed.verdicts == {"web": Verdict("ready", "HTTP 200"), "db": Verdict("ready", "HTTP 200")}
    assert stack.started() == {"web": 0.0, "db": 0.0}
    assert stack.states() == ["web: starting", "db: starting", "web: warming", "db: warming", "db: ready", "web: ready"]
    assert 2 <= stack.seconds < 2.3


def test_nothing_is_waited_for_where_there_is_no_service() -> None:
    stack = Stack([]).wait()
    assert (stack.passed.verdicts, stack.events, stack.seconds) == ({}, [], 0.0)


def test_a_service_without_any_check_is_ready_when_it_has_run_for_a_while() -> None:
    stack = Stack([Gated("web")]).wait()
    assert stack.passed.verdicts == {"web": Verdict("ready", RUNS)}
    assert 3 <= stack.seconds < 3.5


def test_a_service_whose_check_passes_inside_is_ready() -> None:
    stack = Stack([Gated("web", check=CHECK)], {"web": [(1, {"inside": FINE})]}).wait()
    assert stack.passed.verdicts == {"web": Verdict("ready", "its health check passes")}
    assert stack.seconds < 2


def test_a_service_that_its_engine_finds_healthy_is_ready() -> None:
    stack = Stack([Gated("web", check=CHECK)], {"web": [(5, {"health": "healthy"})]}).wait()
    assert stack.passed.verdicts == {"web": Verdict("ready", "its health check passes")}
    assert stack.seconds < 5.5


def test_a_service_of_several_containers_is_ready_when_all_are() -> None:
    found = [container("web", "created"), replace(container("web", "created"), id="w2")]
    stack = Stack([probed("web", replicas=2)], {"web": answers(1), "w2": answers(4)}, found).wait()
    assert stack.passed
    assert 4 <= stack.seconds < 4.5


def test_a_service_of_no_replicas_is_done_and_holds_nobody_up() -> None:
    stack = Stack([Gated("db", replicas=0), probed("web", depends=needs("db"))], {"web": answers(1)}, None)
    stack.engine.held = [container("web", "created")]
    assert stack.wait().passed.verdicts["db"] == Verdict("done", "scaled to 0")


def test_what_runs_already_is_not_started_and_a_second_up_is_over_at_once() -> None:
    found = [container("web", started=5.0), container("db", started=5.0)]
    stack = Stack([Gated("web", depends=needs("db", condition="started")), Gated("db")], {}, found).wait()
    assert stack.passed
    assert (stack.started(), stack.seconds) == ({}, 0.0)
    assert stack.states() == ["web: ready", "db: ready"]


def test_with_what_is_known_already_the_engine_is_not_even_asked() -> None:
    found = [container("web", started=5.0)]
    stack = Stack([Gated("web")], {}, found, known=Observed(tuple(found))).wait()
    assert stack.passed
    assert stack.engine.calls == []


def test_a_dependent_that_runs_already_is_judged_without_waiting_for_its_order() -> None:
    found = [container("db", "exited", exit_code=143, started=5.0), container("web", started=5.0)]
    stack = Stack([probed("db"), Gated("web", depends=needs("db"))], {"db": answers(1)}, found).wait()
    assert stack.started() == {"db": 0.0}
    assert stack.states("web") == ["web: ready"]
    assert stack.passed


# ---------------------------------------------------------------- the order


def test_who_waits_for_another_to_be_healthy_is_started_when_it_is() -> None:
    stack = Stack(
        [probed("web", depends=needs("api")), probed("api", depends=needs("db")), probed("db")],
        {"db": answers(2), "api": answers(1), "web": answers(1)},
    ).wait()
    started = stack.started()
    assert stack.passed
    assert list(started) == ["db", "api", "web"]
    assert (started["db"], 2 <= started["api"] < 2.3, 3 <= started["web"] < 3.6) == (0.0, True, True)


def test_who_waits_for_another_to_be_started_does_not_wait_until_it_is_healthy() -> None:
    services = [probed("web", depends=needs("db", condition="started")), probed("db")]
    stack = Stack(services, {"db": answers(5), "web": answers(5)}).wait()
    assert stack.started()["web"] < 0.2
    assert list(stack.started()) == ["db", "web"]


def test_who_waits_for_a_one_shot_is_started_when_it_did_its_job() -> None:
    services = [probed("web", depends=needs("init", condition="completed")), Gated("init")]
    stack = Stack(services, {"init": exits(2), "web": answers(0)}).wait()
    assert stack.passed.done == ("init",)
    assert 2 <= stack.started()["web"] < 2.2
    assert stack.states("init") == ["init: starting", "init: warming", "init: offline"]
    [told] = [one for one in stack.events if (one.subject, one.text) == ("init", "offline")]
    assert told.cause == "it did its job (exit code 0)"


def test_who_waits_for_several_is_started_when_all_are_there() -> None:
    services = [
        probed("web", depends=(*needs("db"), *needs("init", condition="completed"))),
        probed("db"),
        Gated("init"),
    ]
    stack = Stack(services, {"db": answers(1), "init": exits(3), "web": answers(0)}).wait()
    assert 3 <= stack.started()["web"] < 3.2


def test_what_is_waited_for_is_told() -> None:
    services = [
        probed("web", depends=(*needs("db"), *needs("init", condition="completed"))),
        probed("db"),
        Gated("init"),
    ]
    stack = Stack(services, {}, timeout=2).wait()
    assert stack.rows()["web"] == "created        0         waits until db is healthy and init has done its job"


def test_a_dependency_that_is_not_part_of_it_holds_nobody_up() -> None:
    assert Stack([probed("web", depends=needs("elsewhere"))], {"web": answers(0)}).wait().passed


def test_of_very_many_only_some_are_started_at_once() -> None:
    services = [Gated(f"s{number}") for number in range(20)]
    stack = Stack(services, takes={"start": 1.0}).wait()
    times = sorted(stack.started().values())
    assert stack.passed
    assert max(sum(at <= one < at + 1 for one in times) for at in times) == MOST_STARTS


def test_starts_that_never_end_hold_up_nobody_who_has_been_started() -> None:
    stack = Stack([Gated("web"), Gated("db")], takes={"start web": NEVER}).wait()
    # The engine started it, and never said so.
    assert stack.passed


# ---------------------------------------------------------------- one-shots


def test_a_one_shot_that_did_its_job_before_is_not_run_again() -> None:
    found = [container("init", "exited", started=5.0), container("web", "created")]
    services = [Gated("init", role="oneshot"), probed("web", depends=needs("init", condition="completed"))]
    stack = Stack(services, {"web": answers(0)}, found, done=frozenset(["init"])).wait()
    assert stack.passed.done == ("init",)
    assert list(stack.started()) == ["web"]


def test_a_one_shot_that_ended_before_and_is_not_known_to_be_done_is_run_again() -> None:
    found = [container("init", "exited", started=5.0)]
    stack = Stack([Gated("init")], {"init": exits(1)}, found).wait()
    assert (stack.passed.done, list(stack.started())) == (("init",), ["init"])
    assert stack.seconds >= 1


def test_a_one_shot_that_fails_is_a_failure_at_once() -> None:
    stack = Stack([Gated("init"), probed("web", depends=needs("init", condition="completed"))], {"init": exits(1, 4)})
    assert stack.wait().rows()["init"] == "exited   4     0         it exited with code 4"
    assert list(stack.started()) == ["init"]
    assert stack.seconds < 1.2


def test_a_service_that_runs_on_where_somebody_waits_for_its_end_is_not_over() -> None:
    services = [Gated("init"), probed("web", depends=needs("init", condition="completed"))]
    stack = Stack(services, {"web": answers(0)}, timeout=10).wait()
    assert stack.error and stack.error.what == "the stack is not ready: it was not ready within 10 s"
    assert stack.rows()["web"].endswith("waits until init has done its job")


def test_who_ends_before_it_was_healthy_fails_where_somebody_waits_for_that() -> None:
    services = [Gated("db", check=CHECK), probed("web", depends=needs("db"))]
    stack = Stack(services, {"db": exits(1)}).wait()
    assert stack.rows()["db"].endswith("it ended (exit code 0) before it was healthy")


# ---------------------------------------------------------------- optional dependencies


@pytest.mark.parametrize("life", [exits(1, 3), restarts(1, 9)])
def test_what_nobody_requires_may_fail_and_holds_nobody_up(life: Life) -> None:
    services = [Gated("cache", check=CHECK), probed("web", depends=needs("cache", required=False))]
    stack = Stack(services, {"cache": life, "web": answers(0)}).wait()
    assert stack.passed.verdicts["cache"].state == "done"
    assert stack.passed.verdicts["cache"].reason.startswith("left out, since nobody requires it: it ")
    assert stack.passed.done == ()


def test_what_one_requires_and_another_does_not_may_not_fail() -> None:
    services = [
        Gated("cache", check=CHECK),
        probed("web", depends=needs("cache", required=False)),
        probed("api", depends=needs("cache")),
    ]
    assert Stack(services, {"cache": exits(1, 3), "web": answers(0)}).wait().rows()["cache"].endswith("with code 3")


# ---------------------------------------------------------------- the deadline


def test_it_ends_at_the_deadline_with_a_table_and_the_last_lines() -> None:
    stack = Stack([probed("web"), probed("db")], {"db": answers(0)}, timeout=10)
    stack.engine.printed = {"web": "\n".join(f"line {number}" for number in range(40))}
    error = stack.wait().error
    assert error
    assert stack.seconds == pytest.approx(10)
    assert (error.what, error.where, error.exit_code) == (
        "the stack is not ready: it was not ready within 10 s",
        "demo",
        5,
    )
    assert error.details == (
        "SERVICE  STATE    EXIT  RESTARTS  REASON",
        f"web      running        0         {SILENT}",
        "db       running        0         HTTP 200",
        "--- the last lines of demo-web-1:",
        *(f"line {number}" for number in range(25, 40)),
    )


def test_the_times_of_the_last_lines_are_left_out_and_very_long_ones_cut() -> None:
    stack = Stack([probed("web")], timeout=1)
    stack.engine.printed = {"web": f"2025-01-01T00:00:01.000000000Z one\n2025-01-01T00:00:02.000000000Z {'x' * 999}"}
    error = stack.wait().error
    assert error and error.details[-2:] == ("one", "x" * 300)


def test_of_very_many_that_are_not_ready_only_some_are_quoted() -> None:
    stack = Stack([probed(f"s{number}") for number in range(MOST_QUOTED + 3)], timeout=1).wait()
    assert stack.error
    assert sum(line.startswith("---") for line in stack.error.details) == MOST_QUOTED
    assert len(stack.rows()) == MOST_QUOTED + 3


def test_what_is_waited_for_is_told_each_second() -> None:
    stack = Stack([probed("web")], timeout=5).wait()
    told = [event for event in stack.events if event.kind == "waiting"]
    assert 3 <= len(told) <= 5
    assert {(one.subject, one.text) for one in told} == {("web", SILENT)}


def test_of_very_many_that_are_waited_for_only_some_are_told() -> None:
    stack = Stack([probed(f"s{number}") for number in range(MOST_TOLD + 3)], timeout=1.5).wait()
    told = [event.subject for event in stack.events if event.kind == "waiting"]
    assert (len(told), told[-1]) == (MOST_TOLD + 1, "and 3 more")


# ---------------------------------------------------------------- failures, at once


def test_a_service_that_ends_is_a_failure_at_once() -> None:
    stack = Stack([probed("web"), probed("db")], {"web": exits(2, 3), "db": answers(9)}).wait()
    assert stack.error
    assert stack.error.what == "the stack is not ready: a service failed"
    assert stack.error.details[1:] == (
        "web      exited   3     0         it exited with code 3",
        f"db       running        0         {SILENT}",
        "--- the last lines of demo-web-1:",
        "(it printed nothing)",
    )
    assert 2 <= stack.seconds < 2.1
    assert stack.states("web")[-1] == "web: error"


def test_a_service_that_dies_after_it_was_ready_is_a_failure() -> None:
    stack = Stack([probed("web"), probed("db")], {"db": [*answers(0), *exits(2, 1)]}).wait()
    assert stack.states("db") == ["db: starting", "db: warming", "db: ready", "db: error"]
    assert stack.rows()["db"].endswith("it exited with code 1")
    assert stack.seconds < 2.1


def test_a_service_that_dies_just_before_the_last_one_is_ready_is_a_failure() -> None:
    stack = Stack([probed("web"), probed("db")], {"web": answers(2), "db": [*answers(0), *exits(2, 1)]}).wait()
    assert stack.error and stack.error.what == "the stack is not ready: a service failed"


def test_a_service_that_is_unhealthy_is_a_failure_with_its_budget() -> None:
    stack = Stack([Gated("web", check=CHECK)], {"web": [(0, {"inside": SICK})]}).wait()
    assert stack.rows()["web"].endswith("unhealthy (3 checks in a row, 2 s apart, failed): no connection")
    assert 5.5 < stack.seconds < 9


def test_a_check_whose_program_is_missing_is_a_failure_at_once() -> None:
    missing = Finished(126, "", 'OCI runtime exec failed: exec: "curl": executable file not found in $PATH: unknown')
    stack = Stack([Gated("web", check=CHECK)], {"web": [(0, {"inside": missing})]}).wait()
    assert stack.rows()["web"].endswith("its health check cannot run: curl: not found in the image")
    assert stack.seconds < 0.5


def test_a_service_that_was_killed_is_told_so() -> None:
    stack = Stack([probed("web")], {"web": exits(1, 137)}).wait()
    assert stack.rows()["web"].endswith("it was killed (exit code 137), perhaps out of memory")


def test_a_degraded_service_is_a_failure_at_once_and_no_other_is_blamed() -> None:
    degraded = Gated("web", replace(PROBE, field="overall_status", expected="healthy"))
    stack = Stack([degraded, probed("db")], {"web": [(0, {"inside": DEGRADED})], "db": answers(9)}).wait()
    assert "degraded: it started without Llama Stack" in stack.rows()["web"]
    assert stack.rows()["db"].endswith(SILENT)
    assert stack.seconds < 1


def test_a_service_whose_container_is_gone_is_a_failure() -> None:
    stack = Stack([probed("web")], {}, [])
    assert stack.wait().rows() == {"web": "absent                  it has no container: something removed it"}


def test_a_container_that_somebody_removes_while_we_wait_is_a_failure() -> None:
    stack = Stack([probed("web"), probed("db")], {"db": answers(0)})
    stack.work.happens(2, lambda: stack.engine.vanishes("db"))
    assert stack.wait().rows()["db"].endswith("it has no container: something removed it")
    assert stack.seconds < 2.1


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_container_that_cannot_be_started_is_a_failure_with_the_engines_words(replicas: int) -> None:
    found = [replace(container("web", "created"), id=one) for one in ("web", "w2")[:replicas]]
    stack = Stack([Gated("web", replicas=replicas)], {}, found)
    stack.engine.failures = {"start web": EngineError("docker start failed: port is already allocated")}
    stack.wait()
    assert stack.rows()["web"].endswith("it could not be started: docker start failed: port is already allocated")
    assert stack.seconds < 0.2


def test_a_container_that_runs_although_its_engine_said_that_it_failed_is_no_failure() -> None:
    stack = Stack([probed("web")], {"web": answers(0)})

    def start(name: str) -> None:
        LivingEngine.start(stack.engine, name)
        raise EngineError("podman start failed: it said something")

    stack.engine.start = start  # type: ignore[method-assign]
    assert stack.wait().passed


@pytest.mark.parametrize("state", ["removing", "stopping"])
def test_a_container_that_is_just_going_away_cannot_be_started(state: str) -> None:
    stack = Stack([Gated("web")], {}, [container("web", state)]).wait()
    assert stack.rows()["web"].endswith(f"it could not be started: it is {state}")


@pytest.mark.parametrize("state", ["restarting", "starting"])
def test_a_container_that_is_just_coming_up_is_waited_for(state: str) -> None:
    stack = Stack([Gated("web")], {}, [container("web", state)])
    stack.work.happens(1, lambda: stack.engine.becomes("web", state="running"))
    assert stack.wait().passed
    assert stack.started() == {}


@pytest.mark.parametrize("state", ["exited", "dead"])
def test_what_failed_last_time_is_started_again_and_not_judged_by_that(state: str) -> None:
    found = [container("web", state, exit_code=3, error="no such file", started=5.0)]
    stack = Stack([probed("web")], {"web": answers(1)}, found, takes={"start": 0.5}).wait()
    assert stack.passed


def test_what_fails_at_once_again_is_told_apart_from_the_last_time() -> None:
    found = [container("web", "exited", exit_code=3, started=5.0)]
    stack = Stack([probed("web")], {"web": exits(0, 7)}, found).wait()
    assert stack.rows()["web"].endswith("it exited with code 7")


# ---------------------------------------------------------------- restarts


def test_a_service_that_keeps_dying_is_a_failure() -> None:
    stack = Stack([Gated("web")], {"web": restarts(1, 9)}).wait()
    assert stack.rows()["web"].endswith("it keeps dying: 3 restarts, it exited with code 1")
    assert stack.seconds < 3.2


def test_a_service_that_keeps_dying_while_another_comes_up_is_forgiven_until_it_is_there() -> None:
    services = [probed("web"), probed("db")]
    life = [*restarts(1, 6), *answers(6.5)]
    stack = Stack(services, {"web": life, "db": answers(6)}).wait()
    assert stack.passed
    assert stack.states("web")[-1] == "web: ready"


def test_a_service_that_goes_on_dying_after_all_others_are_there_is_a_failure() -> None:
    stack = Stack([probed("web"), probed("db")], {"web": restarts(1, 60), "db": answers(4.5)}).wait()
    assert "it keeps dying: 7 restarts" in stack.rows()["web"]
    assert 6.8 < stack.seconds < 7.3


def test_a_service_that_keeps_dying_is_not_forgiven_for_ever() -> None:
    stack = Stack([probed("web"), probed("db")], {"web": restarts(1, 99), "db": answers(50)}).wait()
    assert "it keeps dying" in stack.rows()["web"]
    assert FORGIVING < stack.seconds < FORGIVING + 4


def test_two_that_keep_dying_do_not_excuse_each_other() -> None:
    stack = Stack([Gated("web"), Gated("db")], {"web": restarts(1, 99), "db": restarts(1, 99)}).wait()
    assert stack.seconds < 5


def test_restarts_of_former_days_do_not_count() -> None:
    found = [container("web", restarts=57, started=5.0)]
    assert Stack([Gated("web")], {}, found).wait().passed


def test_a_service_that_is_started_again_must_answer_again() -> None:
    life: Life = [
        *answers(0),
        (1, {"inside": NO_ANSWER}),
        (1, {"state": "restarting", "exit_code": 1}),
        (2, {"state": "running", "restarts": 1}),
        (4, {"inside": YES}),
    ]
    stack = Stack([probed("web"), probed("db")], {"web": answers(8), "db": life}).wait()
    assert stack.passed
    assert stack.states("db") == [
        "db: starting",
        "db: warming",
        "db: ready",
        "db: starting",
        "db: warming",
        "db: ready",
    ]
    [told] = [one for one in stack.events if one.cause.startswith("no longer")]
    assert (told.subject, told.text, told.cause) == (
        "db",
        "starting",
        "no longer ready: restarting: it exited with code 1",
    )


def test_a_service_without_a_check_that_was_restarted_is_watched_anew() -> None:
    stack = Stack([Gated("web")], {"web": restarts(2.5, 1)}).wait()
    assert stack.passed
    assert 5.5 <= stack.seconds < 6


def test_what_its_engine_will_start_again_is_no_failure_in_between() -> None:
    life: Life = [(1, {"state": "exited", "exit_code": 1}), (1.5, {"state": "running", "restarts": 1})]
    found = [container("web", "created", restart="always")]
    assert Stack([Gated("web")], {"web": life}, found).wait().passed


# ---------------------------------------------------------------- the engine fails or hangs


def test_an_engine_that_fails_for_a_while_is_waited_for_and_told() -> None:
    stack = Stack([probed("web")], {"web": answers(4)})
    stack.work.happens(1, lambda: stack.engine.failures.update(look=HANGS))
    stack.work.happens(1, lambda: stack.work.tell(None))
    stack.work.happens(6, stack.engine.failures.clear)
    assert stack.wait().passed
    assert ("engine", HANGS.what) in [(one.subject, one.text) for one in stack.events if one.kind == "waiting"]


def test_an_engine_that_never_answers_is_waited_for_until_the_deadline() -> None:
    stack = Stack([probed("web")], timeout=10)
    stack.engine.failures = {"look": HANGS, "logs": HANGS}
    error = stack.wait().error
    assert error
    assert stack.seconds == pytest.approx(10)
    assert f"the engine: {HANGS.what}" in error.details


@pytest.mark.parametrize("what", ["look", "start", "probe", "words", "aside"])
@pytest.mark.parametrize("timeout", [1.0, 7.0, 10.5])
def test_a_call_that_hangs_delays_the_end_by_no_second(what: str, timeout: float) -> None:
    stack = Stack([probed("web")], {}, timeout=timeout, takes={what: NEVER}).wait()
    assert stack.error
    assert stack.seconds <= timeout + LAST_WORDS + 0.01


def test_logs_that_hang_or_fail_do_not_hide_the_failure() -> None:
    found = {"web": exits(1, 1), "db": exits(1, 1)}
    stack = Stack([probed("web"), probed("db")], found, takes={"words web": NEVER})
    stack.engine.failures = {"logs db": EngineError("docker logs failed")}
    error = stack.wait().error
    assert error and error.details[-4:] == (
        "--- the last lines of demo-web-1:",
        "(its log could not be read in time)",
        "--- the last lines of demo-db-1:",
        "(docker logs failed)",
    )


def test_an_engine_that_cannot_run_a_probe_is_waited_for_until_the_deadline() -> None:
    stack = Stack([probed("web")], timeout=10)
    stack.engine.failures = {"execute": EngineError("docker exec web did not end within 5 s")}
    assert stack.wait().rows()["web"].endswith("docker exec web did not end within 5 s")
    assert stack.seconds == pytest.approx(10)


def test_a_bug_of_ours_is_raised_and_not_taken_for_a_failure() -> None:
    stack = Stack([probed("web")])
    stack.engine.lives = {"web": [(0, {"no such field": 1})]}
    with pytest.raises(TypeError):
        stack.wait()


def test_where_events_end_a_death_is_found_all_the_same() -> None:
    stack = Stack([probed("web")], {"web": exits(3, 1)})
    stack.work.happens(1, lambda: stack.work.tell(None))
    stack.engine.becomes = lambda *words, **changes: quietly(stack.engine, *words, **changes)  # type: ignore[method-assign]
    assert stack.wait().rows()["web"].endswith("it exited with code 1")
    assert stack.seconds < 3 + 5.1
    assert len(stack.work.followed) == 2


def quietly(engine: LivingEngine, name: str, **changes: Any) -> None:
    """Something happens to a container, and nobody is told."""
    tell, engine.work.tell = engine.work.tell, lambda _: None  # type: ignore[method-assign]
    LivingEngine.becomes(engine, name, **changes)
    engine.work.tell = tell  # type: ignore[method-assign]


def test_it_does_not_end_well_while_something_is_known_to_have_happened() -> None:
    stack = Stack([Gated("web")])

    def dies() -> None:
        stack.engine.held = [replace(stack.engine.held[0], state="exited", exit_code=1)]
        stack.work.tell(EngineEvent(0.0, "die", "web", "web"))

    stack.work.happens(3.0, dies)
    assert stack.wait().rows()["web"].endswith("it exited with code 1")


# ---------------------------------------------------------------- beside the waiting


def test_logs_are_kept_now_and_then_and_shortly_before_the_deadline() -> None:
    stack = Stack([probed("web")], timeout=28)
    kept: list[float] = []
    stack.gate.aside = lambda _: kept.append(stack.seconds)
    stack.wait()
    assert kept == [pytest.approx(10, abs=0.3), pytest.approx(20, abs=0.3), pytest.approx(26.5, abs=0.3)]


@pytest.mark.parametrize("timeout", [5.0, 1.0])
def test_where_there_is_little_time_logs_are_kept_before_it_is_over(timeout: float) -> None:
    stack = Stack([probed("web")], timeout=timeout)
    kept: list[float] = []
    stack.gate.aside = lambda _: kept.append(stack.seconds)
    stack.wait()
    assert len(kept) == 1
    assert kept[0] <= max(0.0, timeout - 1.2)


def test_secrets_are_shown_neither_in_the_last_lines_nor_in_the_reasons() -> None:
    wrong = Finished(1, "", "wrong key: abcdef")
    stack = Stack([probed("web")], {"web": [(0, {"inside": wrong})]}, timeout=1, secrets={"API_KEY": "abcdef"})
    stack.engine.printed = {"web": "key=abcdef\nok"}
    error = stack.wait().error
    assert error
    assert error.details[-3:] == ("--- the last lines of demo-web-1:", "key=<API_KEY>", "ok")
    assert "abcdef" not in repr(error.details)


def test_what_a_failed_service_its_probe_and_its_engine_said_is_handed_on_without_secrets() -> None:
    wrong = Finished(1, "", "wrong key: abcdef")
    plan = {"web": [(0, {"inside": wrong})], "db": answers(0)}
    stack = Stack([probed("web"), probed("db")], plan, timeout=1, secrets={"API_KEY": "abcdef"})
    stack.engine.printed = {"web": "\n".join(f"2025-01-01T00:00:01.000000000Z abcdef {n}" for n in range(40))}
    error = stack.wait().error
    assert error
    said = {one.by: one.text for one in error.heard}
    assert {one.service for one in error.heard} == {"web"}
    assert said["log"] == "\n".join(f"<API_KEY> {n}" for n in range(40))
    assert "wrong key: <API_KEY>" in said["probe"] and "abcdef" not in repr(error.heard)


def test_what_an_engine_said_when_it_could_not_start_one_is_handed_on() -> None:
    stack = Stack([probed("web")])
    stack.engine.failures = {"start web": EngineError("docker start failed: port is already allocated")}
    error = stack.wait().error
    assert error
    engine = [one.text for one in error.heard if one.by == "engine"]
    assert engine == ["\nit could not be started: docker start failed: port is already allocated"]


# ---------------------------------------------------------------- whatever happens


CHANGES = st.one_of(
    st.builds(lambda code: {"state": "exited", "exit_code": code}, st.sampled_from([0, 1, 137])),
    st.builds(lambda number: {"state": "running", "restarts": number}, st.integers(0, 5)),
    st.sampled_from(
        [
            {"state": "restarting"},
            {"state": "paused"},
            {"state": "dead"},
            {"state": "removing"},
            {"state": "odd"},
            {"health": "healthy"},
            {"health": "unhealthy"},
            {"inside": YES},
            {"inside": NO_ANSWER},
            {"inside": DEGRADED},
            {"inside": Finished(0, "nonsense", "")},
        ]
    ),
)
LIVES = st.lists(st.tuples(st.floats(0, 20), CHANGES), max_size=5)
FAILURES = st.dictionaries(st.sampled_from(["execute", "logs", "look", "start a", "start"]), st.just(HANGS), max_size=1)
TAKES = st.dictionaries(
    st.sampled_from(["look", "probe", "check", "start", "start a", "words"]), st.sampled_from([0.5, NEVER]), max_size=2
)


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    """Services that depend on earlier ones in any way, and whatever becomes of them."""
    services: list[Gated] = []
    for name in "abc"[: draw(st.integers(1, 3))]:
        names = draw(st.lists(st.sampled_from([one.name for one in services]), unique=True)) if services else []
        conditions = st.sampled_from(["started", "healthy", "completed"])
        depends = tuple(Dependency(one, draw(conditions), draw(st.booleans())) for one in names)
        probe, check = draw(st.sampled_from([(PROBE, None), (None, CHECK), (None, None)]))
        services.append(Gated(name, probe, check, depends=depends, replicas=draw(st.sampled_from([1, 1, 1, 0]))))
    states = st.sampled_from(["created", "created", "running", "exited", "paused", "removing", "restarting"])
    found = [container(one.name, draw(states)) for one in services if draw(st.sampled_from([True, True, True, False]))]
    lives = {one.name: draw(LIVES) for one in services}
    stack = Stack(services, lives, found, timeout=draw(st.floats(0.1, 20)), takes=draw(TAKES))
    stack.engine.failures = draw(FAILURES)
    return stack


@given(stacks())
def test_whatever_happens_it_ends_in_time_and_says_why(stack: Stack) -> None:
    stack.wait()
    assert stack.seconds <= stack.timeout + LAST_WORDS + 0.01
    if stack.error:
        assert stack.rows().keys() == {one.name for one in stack.services}
        assert all(row for row in stack.rows().values())
    else:
        assert {one.state for one in stack.passed.verdicts.values()} <= {"ready", "done"}


@given(stacks())
def test_whatever_happens_nobody_is_started_before_what_it_waits_for(stack: Stack) -> None:
    begun: list[str] = []
    start = stack.engine.start

    def watched(name: str) -> None:
        service = next(one for one in stack.services if one.name == name)
        for one in service.depends:
            other = [found for found in stack.engine.held if found.service == one.service]
            wanted = next(found for found in stack.services if found.name == one.service).replicas
            if one.required and wanted and one.condition == "completed":
                assert all(found.state in ("exited", "stopped") and found.exit_code == 0 for found in other)
            if one.required and wanted:
                assert other, "it has no container"
        begun.append(name)
        start(name)

    stack.engine.start = watched  # type: ignore[method-assign]
    stack.wait()
    assert len(begun) == len(set(begun))


def test_every_failure_is_an_error_of_ours_with_a_way_out() -> None:
    error: LcomposeError | None = Stack([probed("web")], timeout=1).wait().error
    assert error
    assert "lcompose logs" in error.fix
