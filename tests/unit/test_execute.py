"""Walking a plan: every step is done, stage by stage, and told."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lcompose.engines import Creation
from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError
from lcompose.execute import VERBS, Context, execute
from lcompose.logs import kept
from lcompose.plan import plan_down, plan_up
from lcompose.spec.project import Project, Service
from lcompose.spec.run import Observed, Plan, Step
from lcompose.spec.secrets import Secrets
from tests.unit.given import container

WANTED = Project("demo", (Service("db", "db:1"), Service("web", "web:1", after=("db",))))
BOTH = (container("db"), container("web", after=("db",)))
NEW = [replace(one, state="created") for one in BOTH]


def context(engine: FakeEngine, logs: Path, secrets: Mapping[str, str] | None = None) -> Context:
    """What a plan is walked with."""
    creation = Creation("demo", logs / "compose.yaml", logs, {}, ("db", "web"), {}, 60)
    return Context(engine, "demo", logs / "logs", Secrets(secrets or {}), creation)


def done(plan: Plan, engine: FakeEngine, logs: Path, secrets: Mapping[str, str] | None = None) -> list[str]:
    """What is told while a plan is walked."""
    return [f"{event.subject}: {event.text}" for event in execute(plan, context(engine, logs, secrets))]


def calls(engine: FakeEngine) -> list[str]:
    """What was done to the engine; looking is nothing."""
    return [call for call in engine.calls if call != "look"]


def test_a_project_is_created_then_started(tmp_path: Path) -> None:
    fake = FakeEngine(created=NEW)
    told = done(plan_up(WANTED, {}, Observed(), ["web:1"]), fake, tmp_path)
    assert calls(fake)[0] == "create demo"
    assert sorted(calls(fake)[1:]) == ["start db", "start web"]
    assert told[:3] == [
        "web:1: is not here and is pulled now; this may take a while",
        "demo: Container demo-db-1 Created",
        "demo: Container demo-web-1 Created",
    ]
    assert sorted(told[3:]) == ["db: starting", "web: starting"]
    assert {one.state for one in fake.held} == {"running"}


def test_a_project_is_taken_down_from_the_top(tmp_path: Path) -> None:
    fake = FakeEngine(list(BOTH), printed={"db": "bye"})
    plan = plan_down(Observed(BOTH), ["demo_default"], ["demo_data"])
    told = done(plan, fake, tmp_path)
    order = calls(fake)
    assert order.index("stop web") < order.index("stop db") < order.index("remove db")
    assert order[-2:] == ["remove-network demo_default", "remove-volume demo_data"]
    assert told.index("web: stopped") < told.index("db: stopped")
    assert fake.held == []
    assert {path.name for path in kept(tmp_path / "logs")} == {"db-db.log", "web-web.log"}


def test_a_container_that_has_gone_meanwhile_is_no_error(tmp_path: Path) -> None:
    fake = FakeEngine()
    assert done(plan_down(Observed(BOTH), [], []), fake, tmp_path) == []
    assert calls(fake) == []


def test_a_container_that_never_started_has_no_log(tmp_path: Path) -> None:
    fake = FakeEngine(NEW)
    done(Plan(((Step("keep-logs", "db", ""),),)), fake, tmp_path)
    assert calls(fake) == []


def test_what_the_engine_says_while_creating_is_told_without_secrets(tmp_path: Path) -> None:
    fake = FakeEngine(created=[replace(BOTH[0], name="abcdef")])
    plan = Plan(((Step("create", "demo", ""),),))
    assert done(plan, fake, tmp_path, {"API_KEY": "abcdef"}) == ["demo: Container <API_KEY> Created"]


def test_after_an_error_the_rest_is_not_done(tmp_path: Path) -> None:
    error = EngineError("no such port")
    fake = FakeEngine(list(NEW), failures={"start db": error})
    plan = Plan(((Step("start", "db", ""),), (Step("start", "web", ""),)))
    with pytest.raises(EngineError) as caught:
        done(plan, fake, tmp_path)
    assert caught.value is error
    assert calls(fake) == ["start db"]


@pytest.mark.parametrize("where", ["reading", "writing"])
def test_a_log_that_cannot_be_kept_does_not_stop_the_taking_down(where: str, tmp_path: Path) -> None:
    fake = FakeEngine([BOTH[0]])
    if where == "reading":
        fake.failures = {"logs": EngineError("it did not end within 60 s")}
    else:
        (tmp_path / "logs").write_text("a file in the place of the folder")
    told = done(plan_down(Observed(BOTH[:1]), [], []), fake, tmp_path)
    assert sum(line.startswith("db: its log is lost: ") for line in told) == 2
    assert fake.held == []


@dataclass
class Meeting(FakeEngine):
    """An engine in which a start ends only when both have begun."""

    both: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=5))

    def start(self, container: str) -> None:
        self.both.wait()
        super().start(container)


def test_the_steps_of_a_stage_are_done_side_by_side(tmp_path: Path) -> None:
    fake = Meeting(list(NEW))
    done(Plan(((Step("start", "db", ""), Step("start", "web", "")),)), fake, tmp_path)
    assert {one.state for one in fake.held} == {"running"}


def test_an_empty_plan_does_nothing(tmp_path: Path) -> None:
    fake = FakeEngine()
    assert done(Plan(), fake, tmp_path) == []
    assert fake.calls == []


def test_every_verb_of_every_plan_can_be_done() -> None:
    everything = (*BOTH, container("old"))
    plans = [plan_up(WANTED, {}, Observed(everything), ["x"]), plan_down(Observed(everything), ["n"], ["v"])]
    assert {step.verb for plan in plans for step in plan.steps} == set(VERBS)


def test_a_service_of_several_containers_is_started_whole(tmp_path: Path) -> None:
    fake = FakeEngine([replace(NEW[1], id="w1"), replace(NEW[1], id="w2")])
    done(Plan(((Step("start", "web", ""),),)), fake, tmp_path)
    assert calls(fake) == ["start w1", "start w2"]


def test_what_runs_is_not_started_again(tmp_path: Path) -> None:
    fake = FakeEngine(list(BOTH))
    told = done(Plan(((Step("start", "db", ""), Step("start", "web", "")),)), fake, tmp_path)
    assert (calls(fake), told) == ([], [])
