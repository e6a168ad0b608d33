"""Looking when something happens, and asking often at first and less often later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from lcompose.engines import EngineEvent
from lcompose.engines.fake import NO_ANSWER, FakeEngine
from lcompose.errors import EngineError
from lcompose.host import Finished
from lcompose.readiness import Checked
from lcompose.spec.project import Healthcheck, Probe
from lcompose.spec.run import Answer, Container, Gated, GateSpec, Observed
from lcompose.watch import CHECK_PAUSE, FIRST_CHECK, FIRST_PAUSE, LONGEST_PAUSE, MOST_CHECKS, MOST_QUESTIONS, Watch
from lcompose.work import Result
from tests.unit.given import EVENTS, NEVER, Ticking, container

PROBE = Probe(80, "/")
CHECK = Healthcheck(("CMD", "check"), interval=2, timeout=1, retries=3, start_period=0)
YES, NO = Finished(0, "200\n", ""), NO_ANSWER
FINE, SICK = Finished(0, "fine", ""), Finished(1, "", "no connection")
GONE = EngineError("the daemon does not answer")


@dataclass
class Watching:
    """Somebody who watches services, and asks all of them."""

    engine: FakeEngine
    services: tuple[Gated, ...]
    work: Ticking = field(default_factory=Ticking)
    asking: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.watch = Watch(GateSpec("demo", self.services), self.engine, self.work)

    def watches(self, seconds: float) -> None:
        """Lets so much time pass."""
        until = self.work.time + seconds
        names = [one.name for one in self.services] if self.asking is None else self.asking
        while True:
            due = self.watch.tick(names)
            if self.work.time >= until:
                return
            for result in self.work.wait(min(due, until) - self.work.now()):
                self.watch.take(result)

    def looks(self) -> int:
        """How often the engine was asked for all containers."""
        return self.engine.calls.count("look")


def watching(*found: Container, probe: Probe | None = None, check: Healthcheck | None = None, **more: Any) -> Watching:
    """Somebody who watches these containers, each of a service of its own."""
    services = tuple(Gated(one.service, probe, check) for one in found)
    return Watching(FakeEngine(list(found), **more), services)


def web(**more: Any) -> Container:
    """A container that runs."""
    return container("web", **{"started": 5.0, **more})


def told(action: str = "start") -> EngineEvent:
    """Something happens to it."""
    return EngineEvent(0.0, action, "web", "web")


# ---------------------------------------------------------------- looking


def test_a_look_is_taken_at_once_and_then_now_and_then() -> None:
    one = watching(web())
    one.watches(0.01)
    assert (one.watch.observed, one.watch.looks, one.watch.fresh) == (Observed((web(),)), 1, True)
    one.watches(11)
    assert one.looks() == 3


def test_what_happens_is_looked_at_soon() -> None:
    one = watching(web())
    one.work.happens(1, lambda: one.work.tell(told()))
    one.watches(1)
    assert (one.looks(), one.watch.fresh) == (1, False)
    one.watches(0.05)
    assert (one.looks(), one.watch.fresh) == (2, True)


def test_much_that_happens_at_once_is_one_look() -> None:
    one = watching(web())
    one.watches(0.01)
    for step in range(20):
        one.work.happens(step / 1000, lambda: one.work.tell(told()))
    one.watches(0.06)
    assert one.looks() == 2


def test_what_is_known_already_is_looked_at_a_little_later() -> None:
    one = watching(web())
    one.watch.know(Observed((web(),)))
    assert one.watch.fresh
    one.watches(0.4)
    assert one.looks() == 0
    one.watches(0.2)
    assert one.looks() == 1


def test_what_we_did_ourselves_is_looked_at() -> None:
    one = watching(web())
    one.watches(1)
    one.watch.changed()
    one.watches(0.05)
    assert one.looks() == 2


def test_one_look_at_a_time_however_long_it_takes() -> None:
    one = watching(web())
    one.work.takes = {"look": 3.0}
    for step in range(1, 20):
        one.work.happens(step / 10, lambda: one.work.tell(told()))
    one.watches(2.9)
    assert one.looks() == 1
    one.watches(1)
    assert one.looks() == 2


def test_a_look_that_hangs_holds_nothing_up() -> None:
    one = watching(web(), probe=PROBE)
    one.watch.know(Observed((web(),)))
    one.work.takes = {"look": NEVER}
    one.engine.inside = {"web": [NO, NO, YES]}
    one.watches(60)
    assert one.looks() == 1
    assert one.watch.answers["web"].ok


def test_an_engine_that_fails_is_told_and_asked_again_until_it_answers() -> None:
    one = watching(web(), failures={"look": GONE})
    one.watches(2.9)
    assert (one.watch.trouble, one.watch.looks, one.looks()) == (GONE.what, 0, 6)
    one.engine.failures = {}
    one.watches(0.5)
    assert (one.watch.trouble, one.watch.looks) == ("", 1)


def test_an_error_that_is_no_engines_is_a_bug_and_is_raised() -> None:
    one = watching(web())
    with pytest.raises(ZeroDivisionError):
        one.watch.take(Result(("look",), error=ZeroDivisionError()))


@dataclass
class SilentEngine(FakeEngine):
    """An engine whose events cannot be followed."""

    def events(self, project: str) -> Iterator[EngineEvent]:
        raise GONE


def test_where_events_end_it_is_looked_at_often_and_they_are_followed_again() -> None:
    one = watching(web())
    one.watches(0.1)
    one.work.happens(0.9, lambda: one.work.tell(None))
    one.watches(1)
    before = one.looks()
    one.watches(0.95)
    assert one.looks() == before + 2  # at once, and once blindly
    one.watches(20)
    assert one.work.followed == [1000.0, pytest.approx(1002.0, abs=0.1)]
    assert one.looks() <= before + 8


def test_where_events_cannot_be_followed_it_is_looked_at_often() -> None:
    one = Watching(SilentEngine([web()]), (Gated("web"),))
    one.watches(5)
    assert 9 <= one.looks() <= 20
    assert len(one.work.followed) == 5


def test_events_are_among_the_results() -> None:
    one = watching(web(), told=[told(), told("die")])
    one.watches(0.001)
    assert one.work.followed == [1000.0]
    assert one.engine.calls[:2] == ["events", "look"]


# ---------------------------------------------------------------- probes


def test_a_service_is_asked_at_once_then_less_and_less_often() -> None:
    one = watching(web(), probe=PROBE)
    one.watches(20)
    pauses = [after - before for before, after in pairwise(one.work.asked("probe", "web"))]
    assert one.work.asked("probe", "web")[0] == 1000.0
    assert pauses[0] == pytest.approx(FIRST_PAUSE)
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(pauses))
    assert max(pauses) == pytest.approx(LONGEST_PAUSE)
    assert one.watch.answers["web"].detail.startswith("does not answer yet")


def test_what_comes_after_a_service_that_is_ready_is_asked_at_once() -> None:
    web_after = container("web", started=5.0, after=("db",))
    one = watching(web_after, container("db", started=5.0), probe=PROBE, inside={"web": [NO], "db": [NO, NO, YES]})
    one.work.takes = {"probe db": 0.03}
    one.watches(5)
    ready = one.work.asked("probe", "db")[-1] + 0.03
    assert len(one.work.asked("probe", "db")) == 3
    assert min(abs(when - ready) for when in one.work.asked("probe", "web")) < 1e-6


def test_what_comes_after_a_service_that_is_not_ready_is_asked_less_often() -> None:
    one = watching(container("web", started=5.0, after=("db",)), container("db", started=5.0), probe=PROBE)
    one.watches(2)
    web_asked, db_asked = (one.work.asked("probe", name) for name in ("web", "db"))
    assert max(after - before for before, after in pairwise(web_asked[1:])) == pytest.approx(LONGEST_PAUSE)
    assert len(web_asked) < len(db_asked) / 2


def test_a_question_that_takes_long_is_followed_by_as_long_a_pause() -> None:
    one = watching(web(), probe=PROBE)
    one.work.takes = {"probe": 0.15}
    one.watches(1)
    first, second, *_ = one.work.asked("probe", "web")
    assert second - first == pytest.approx(0.3)


def test_with_very_many_services_each_is_asked_less_often() -> None:
    one = watching(*(container(f"s{number}", started=5.0) for number in range(50)), probe=PROBE)
    one.watches(30)
    times = one.work.asked("probe", "s0")
    assert times[-1] - times[-2] == pytest.approx(1.0, abs=0.1)


def test_a_service_that_answered_is_not_asked_again() -> None:
    one = watching(web(), probe=PROBE, inside={"web": [NO, NO, YES]})
    one.watches(10)
    assert one.engine.calls.count("execute web") == 3
    assert one.watch.answers == {"web": Answer(ok=True, detail="HTTP 200")}


def test_one_question_at_a_time_is_put_to_each() -> None:
    one = watching(web(), probe=PROBE)
    one.work.takes = {"probe": 2.0}
    one.watches(5.9)
    assert len(one.work.asked("probe", "web")) == 3


def test_a_question_that_hangs_holds_up_no_other() -> None:
    one = watching(web(), container("db", started=5.0), probe=PROBE, inside={"web": [YES], "db": [NO, YES]})
    one.work.takes = {"probe web": NEVER}
    one.watches(2)
    assert set(one.watch.answers) == {"db"}


@pytest.mark.parametrize(("probe", "check", "most"), [(PROBE, None, MOST_QUESTIONS), (None, CHECK, MOST_CHECKS)])
def test_only_so_many_are_asked_at_once(probe: Probe | None, check: Healthcheck | None, most: int) -> None:
    found = [container(f"s{number}", started=5.0) for number in range(MOST_QUESTIONS + 5)]
    one = watching(*found, probe=probe, check=check)
    kind = "probe" if probe else "check"
    one.work.takes = {kind: NEVER}
    one.watches(10)
    assert len([words for _, *words in one.work.submitted if words[0] == kind]) == most


def test_only_those_are_asked_that_are_waited_for() -> None:
    one = watching(web(), container("db", started=5.0), probe=PROBE)
    one.asking = ("db",)
    one.watches(1)
    assert set(one.watch.answers) == {"db"}


@pytest.mark.parametrize("state", ["created", "exited", "restarting", "paused"])
def test_what_does_not_run_is_not_asked(state: str) -> None:
    one = watching(replace(web(), state=state), probe=PROBE)
    one.watches(5)
    assert one.watch.answers == {}


def test_what_somebody_runs_beside_is_not_asked() -> None:
    one = watching(replace(web(), oneoff=True), probe=PROBE)
    one.watches(5)
    assert one.watch.answers == {}


def test_each_of_several_containers_is_asked() -> None:
    first, second = web(), replace(web(), id="w2")
    one = Watching(FakeEngine([first, second], inside={"web": [YES], "w2": [NO, YES]}), (Gated("web", PROBE),))
    one.watches(1)
    assert {name: answer.ok for name, answer in one.watch.answers.items()} == {"web": True, "w2": True}


def test_an_answer_is_forgotten_when_the_container_was_started_again() -> None:
    one = watching(web(), probe=PROBE, inside={"web": [YES]})
    one.watches(1)
    assert one.watch.answers["web"].ok
    one.engine.inside = {"web": [NO]}
    one.engine.held = [web(started=6.0)]
    one.watch.changed()
    one.watches(0.05)
    assert not one.watch.answers.get("web", Answer(ok=False)).ok
    one.watches(1)
    assert not one.watch.answers["web"].ok


def test_an_answer_is_forgotten_while_the_container_does_not_run() -> None:
    one = watching(web(), probe=PROBE, inside={"web": [YES]})
    one.watches(1)
    one.engine.held = [web(state="restarting")]
    one.watch.changed()
    one.watches(0.05)
    assert one.watch.answers == {}


def test_what_an_earlier_run_answered_late_does_not_count_for_the_next() -> None:
    one = watching(web(), probe=PROBE, inside={"web": [YES, NO]})
    one.work.takes = {"probe": 3.0}
    one.watches(1)
    one.engine.held = [web(started=6.0)]
    one.watch.changed()
    one.watches(2.5)
    assert one.watch.answers == {}
    one.watches(1)
    assert not one.watch.answers["web"].ok


def test_an_engine_that_cannot_ask_is_an_answer() -> None:
    one = watching(web(), probe=PROBE, failures={"execute": GONE})
    one.watches(1)
    assert one.watch.answers["web"] == Answer(ok=False, detail=GONE.what)


# ---------------------------------------------------------------- health checks


def test_a_check_is_run_after_a_moment_then_less_and_less_often_and_as_often_as_it_says_at_last() -> None:
    one = watching(web(), check=CHECK, inside={"web": [SICK]})
    one.watches(20)
    times = one.work.asked("check", "web")
    pauses = [after - before for before, after in pairwise(times)]
    assert times[0] == pytest.approx(1000.0 + FIRST_CHECK)
    assert pauses[0] == pytest.approx(CHECK_PAUSE)
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(pauses))
    assert pauses[-1] == pytest.approx(CHECK.interval)


def test_a_check_that_passed_is_not_run_again() -> None:
    one = watching(web(), check=CHECK, inside={"web": [SICK, FINE]})
    one.watches(20)
    assert one.engine.calls.count("execute web") == 2
    assert one.watch.checked["web"].last == Answer(ok=True, detail="fine")


@pytest.mark.parametrize("health", ["healthy", "unhealthy"])
def test_a_check_that_its_engine_has_run_to_the_end_is_not_run_by_us(health: str) -> None:
    one = watching(web(health=health), check=CHECK)
    one.watches(5)
    assert one.work.asked("check", "web") == []


def test_a_check_is_run_beside_an_engine_that_has_not_decided() -> None:
    one = watching(web(health="starting"), check=CHECK, inside={"web": [FINE]})
    one.watches(1)
    assert one.watch.checked["web"].last.ok


@pytest.mark.parametrize("check", [None, Healthcheck(())])
def test_without_a_check_nothing_is_run(check: Healthcheck | None) -> None:
    one = watching(web(), check=check)
    one.watches(5)
    assert [words for _, *words in one.work.submitted if words[0] != "look"] == []


def failures_after(seconds: float, check: Healthcheck, *answers: Finished) -> int:
    """How many failures in a row are counted of a container that was just started."""
    one = watching(web(), check=check, inside={"web": list(answers)})
    one.engine.held = [web(started=one.work.wall())]
    one.watches(seconds)
    return one.watch.checked.get("web", Checked(Answer(ok=False))).failures


@pytest.mark.parametrize(("seconds", "failures"), [(1.7, 0), (3, 1), (5, 2), (7, 3), (15, 7)])
def test_failures_count_once_an_interval_however_often_we_ask(seconds: float, failures: int) -> None:
    assert failures_after(seconds, CHECK, SICK) == failures


@pytest.mark.parametrize(("seconds", "failures"), [(9.9, 0), (14.1, 2)])
def test_failures_do_not_count_while_a_service_may_take_its_time_to_start(seconds: float, failures: int) -> None:
    assert failures_after(seconds, replace(CHECK, start_period=10), SICK) == failures


def test_no_failure_counts_before_an_engine_would_have_run_its_first_check() -> None:
    assert failures_after(20, replace(CHECK, interval=30), SICK) == 0


def test_an_answer_that_is_good_takes_failures_back() -> None:
    one = watching(web(), check=CHECK, inside={"web": [SICK]})
    one.engine.held = [web(started=one.work.wall())]
    one.watches(5)
    assert one.watch.checked["web"].failures == 2
    one.engine.inside = {"web": [FINE]}
    one.watches(3)
    assert one.watch.checked["web"] == Checked(Answer(ok=True, detail="fine"), 0)


def test_failures_are_forgotten_when_the_container_was_started_again() -> None:
    one = watching(web(), check=CHECK, inside={"web": [SICK]})
    one.engine.held = [web(started=one.work.wall())]
    one.watches(7)
    assert one.watch.checked["web"].failures == 3
    one.engine.held = [web(started=one.work.wall())]
    one.watch.changed()
    one.watches(0.5)
    assert one.watch.checked["web"].failures == 0


def test_a_check_that_hangs_is_an_answer_in_its_time() -> None:
    one = watching(web(), check=CHECK, failures={"execute": GONE})
    one.work.takes = {"check": CHECK.timeout}
    one.watches(1.2)
    assert one.watch.checked["web"].last == Answer(ok=False, detail="it did not end within 1 s")


def test_the_key_of_events_is_the_one_that_tests_tell() -> None:
    from lcompose import watch

    assert watch.EVENTS == EVENTS
