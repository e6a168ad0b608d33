"""Walking a plan: every step but the starts is done, stage by stage, and told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lcompose.engines import ComposeFile, Creation
from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError, NotReadyError
from lcompose.execute import LEFT_TO_THE_GATE, VERBS, Context, execute
from lcompose.logs import kept
from lcompose.plan import Wanted, plan_down, plan_up
from lcompose.spec.events import Event
from lcompose.spec.run import Container, Gated, GateSpec, ImageInfo, Memory, Observed, Plan, Remembered, Step
from lcompose.spec.secrets import Secrets
from tests.unit.given import container

SPEC = GateSpec("demo", (Gated("db", image="db:1"), Gated("web", image="web:1"), Gated("api", image="web:1")))
BOTH = (container("db", started=5.0), container("web", started=5.0, after=("db",)))
NEW = [replace(one, state="created", started=0.0) for one in BOTH]


def context(
    engine: FakeEngine, folder: Path, secrets: Mapping[str, str] | None = None, found: tuple[Container, ...] = BOTH
) -> Context:
    """What a plan is walked with."""
    creation = Creation(ComposeFile("demo", (), folder, {}), ("db", "web"), {}, 60)
    users = {"web:1": ("web", "api"), "db:1": ("db",)}
    return Context(engine, "demo", folder / "logs", Secrets(secrets or {}), Observed(found), creation, users)


def done(plan: Plan, engine: FakeEngine, folder: Path, **more: Any) -> list[str]:
    """What is told while a plan is walked."""
    return [told(event) for event in execute(plan, context(engine, folder, **more))]


def told(event: Event) -> str:
    """An event as a line."""
    return f"{event.kind} {event.subject}: {event.text}"


def calls(engine: FakeEngine) -> list[str]:
    """What was done to the engine; reading is nothing."""
    return [call for call in engine.calls if call.split()[0] not in ("look", "stream", "logs")]


def plan(*stages: list[tuple[str, str]]) -> Plan:
    """A plan of steps."""
    return Plan(tuple(tuple(Step(verb, target, "a cause") for verb, target in stage) for stage in stages))


def test_images_are_fetched_and_containers_created_and_nothing_is_started(tmp_path: Path) -> None:
    fake = FakeEngine(created=NEW)
    wanted = plan_up(Wanted(SPEC, {}), Observed(), Memory())
    lines = done(wanted, fake, tmp_path)
    assert sorted(calls(fake)[:2]) == ["pull db:1", "pull web:1"]
    assert calls(fake)[2:] == ["create demo"]
    assert sorted(lines[:3]) == ["state api: pulling", "state db: pulling", "state web: pulling"]
    assert lines[3:] == ["detail demo: Container demo-db-1 Created", "detail demo: Container demo-web-1 Created"]


def test_a_pull_says_for_which_services_and_why(tmp_path: Path) -> None:
    events = list(execute(plan([("pull", "web:1")]), context(FakeEngine(), tmp_path)))
    assert [(one.subject, one.text, one.cause) for one in events] == [
        ("web", "pulling", "web:1 is not here; this may take a while"),
        ("api", "pulling", "web:1 is not here; this may take a while"),
    ]


def test_a_project_is_taken_down_from_the_top(tmp_path: Path) -> None:
    fake = FakeEngine(list(BOTH), printed={"db": "2025-01-01T00:00:01.000000000Z bye\n"})
    lines = done(plan_down(Observed(BOTH), ["demo_default"], ["demo_data"], ["pod_demo"]), fake, tmp_path)
    order = calls(fake)
    assert order.index("stop web") < order.index("stop db") < order.index("remove db")
    assert order[-3:] == ["remove-pod pod_demo", "remove-network demo_default", "remove-volume demo_data"]
    states = [line for line in lines if line.startswith("state")]
    assert states == ["state web: unloading", "state web: offline", "state db: unloading", "state db: offline"]
    assert fake.held == []
    assert {path.parent.name for path in kept(tmp_path / "logs")} == {"db", "web"}


def test_what_is_stopped_says_why(tmp_path: Path) -> None:
    events = list(execute(plan([("stop", "web")]), context(FakeEngine(list(BOTH)), tmp_path)))
    assert [(one.text, one.cause) for one in events] == [("unloading", "a cause"), ("offline", "stopped")]


def test_a_container_that_cannot_be_stopped_is_told_and_removed_by_force(tmp_path: Path) -> None:
    fake = FakeEngine(list(BOTH), failures={"stop web": EngineError("it does not end")})
    lines = done(plan_down(Observed(BOTH), [], []), fake, tmp_path)
    assert "step web: could not be stopped: it does not end" in lines
    assert fake.held == []


@pytest.mark.parametrize("verb", ["stop", "remove", "keep-logs"])
def test_a_container_that_is_not_among_the_observed_is_left_alone(verb: str, tmp_path: Path) -> None:
    fake = FakeEngine()
    assert done(plan([(verb, "gone")]), fake, tmp_path) == []
    assert fake.calls == []


def test_a_container_that_never_started_has_no_log(tmp_path: Path) -> None:
    fake = FakeEngine(NEW)
    done(plan([("keep-logs", "db")]), fake, tmp_path, found=tuple(NEW))
    assert fake.calls == []


def test_what_the_engine_says_while_creating_is_told_without_secrets(tmp_path: Path) -> None:
    fake = FakeEngine(created=[replace(BOTH[0], name="abcdef")])
    lines = done(plan([("create", "demo")]), fake, tmp_path, secrets={"API_KEY": "abcdef"})
    assert lines == ["detail demo: Container <API_KEY> Created"]


def test_after_an_error_the_rest_is_not_done(tmp_path: Path) -> None:
    error = EngineError("no such image")
    fake = FakeEngine(failures={"pull db:1": error})
    with pytest.raises(EngineError) as caught:
        done(plan([("pull", "db:1")], [("create", "demo")]), fake, tmp_path)
    assert caught.value is error
    assert calls(fake) == ["pull db:1"]


@pytest.mark.parametrize("where", ["reading", "writing"])
def test_a_log_that_cannot_be_kept_does_not_stop_the_taking_down(where: str, tmp_path: Path) -> None:
    fake = FakeEngine([BOTH[0]])
    if where == "reading":
        fake.failures = {"stream": EngineError("it did not end within 60 s")}
    else:
        (tmp_path / "logs").write_text("a file in the place of the folder")
    lines = done(plan_down(Observed(BOTH[:1]), [], []), fake, tmp_path, found=BOTH[:1])
    assert sum(line.startswith("step db: its log is lost: ") for line in lines) == 2
    assert fake.held == []


@dataclass
class Meeting(FakeEngine):
    """An engine in which a stop ends only when both have begun."""

    both: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=5))

    def stop(self, container: str, grace: int) -> None:
        self.both.wait()
        super().stop(container, grace)


def test_the_steps_of_a_stage_are_done_side_by_side(tmp_path: Path) -> None:
    fake = Meeting(list(BOTH))
    done(plan([("stop", "db"), ("stop", "web")]), fake, tmp_path)
    assert {one.state for one in fake.held} == {"exited"}


def test_each_container_has_its_own_time_to_end(tmp_path: Path) -> None:
    graces: dict[str, int] = {}
    fake = FakeEngine(list(BOTH))
    fake.stop = graces.__setitem__  # type: ignore[method-assign]
    found = (replace(BOTH[0], stop_grace=60), BOTH[1])
    done(plan([("stop", "db"), ("stop", "web")]), fake, tmp_path, found=found)
    assert graces == {"db": 60, "web": 10}


@dataclass
class Hanging(FakeEngine):
    """An engine in which a call hangs."""

    what: str = "create"
    gone_on: threading.Event = field(default_factory=threading.Event)

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        on_line("Container demo-db-1 Creating")
        if self.what == "create":
            self.gone_on.wait(20)

    def pull(self, reference: str, timeout: float, on_line: Callable[[str], None]) -> None:
        if self.what == "pull":
            self.gone_on.wait(0.3)


def test_what_hangs_ends_at_the_deadline_and_says_during_what(tmp_path: Path) -> None:
    fake = Hanging()
    deadline = time.monotonic() + 0.3
    what = plan([("create", "demo")], [("remove", "db")])
    going = execute(what, context(fake, tmp_path), lambda: deadline - time.monotonic())
    with pytest.raises(NotReadyError) as caught:
        list(going)
    fake.gone_on.set()
    assert caught.value.what == "the stack is not ready: time was up during: create demo"
    assert 0 <= time.monotonic() - deadline < 1
    assert fake.calls == []


def test_a_pull_does_not_count_against_the_deadline(tmp_path: Path) -> None:
    fake = Hanging(what="pull")
    assert list(execute(plan([("pull", "other")]), context(fake, tmp_path), lambda: 0.0)) == []


def test_an_empty_plan_does_nothing(tmp_path: Path) -> None:
    fake = FakeEngine()
    assert done(Plan(), fake, tmp_path) == []
    assert fake.calls == []


def test_every_verb_of_every_plan_can_be_done() -> None:
    found = Observed((*BOTH, container("old")))
    remembered = Memory({"db": Remembered("old", ("db",))})
    plans = [
        plan_up(Wanted(SPEC, {"db": "new"}, {"db:1": ImageInfo("1")}), found, remembered),
        plan_down(found, ["n"], ["v"], ["p"]),
    ]
    assert {step.verb for one in plans for step in one.steps} == {*VERBS, *LEFT_TO_THE_GATE}
