"""How services stand at this moment: their states, and what is not as it was meant."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lcompose.engines.fake import NO_ANSWER, FakeEngine
from lcompose.errors import EngineError
from lcompose.host import Finished
from lcompose.lifecycle import State
from lcompose.readiness import Verdict
from lcompose.spec.project import Healthcheck, Probe
from lcompose.spec.run import Container, Gated, GateSpec, ImageInfo, Memory, Observed, Remembered
from lcompose.standing import Standing, drift, spec_of_containers, standings, state_of, verdicts_now
from tests.unit.given import container

NOW = 1_700_000_000.0
PROBE, CHECK = Probe(80, "/"), Healthcheck(("CMD", "check"), timeout=30)
YES, FINE, SICK = Finished(0, "200\n", ""), Finished(0, "", ""), Finished(1, "", "no db")
WEB = container("web", started=5.0)


def verdict(service: Gated, *found: Container, **inside: list[Finished]) -> Verdict:
    """The verdict on one service."""
    spec = GateSpec("demo", (service,))
    return verdicts_now(spec, FakeEngine(list(found), inside=inside), Observed(found), NOW)[service.name]


@pytest.mark.parametrize(
    ("service", "one", "inside", "expected"),
    [
        (Gated("web", PROBE), WEB, [YES], Verdict("ready", "HTTP 200")),
        (
            Gated("web", PROBE),
            WEB,
            [NO_ANSWER],
            Verdict("waiting", "does not answer yet (ConnectionRefusedError: [Errno 111] Connection refused)"),
        ),
        (Gated("web", check=CHECK), WEB, [FINE], Verdict("ready", "its health check passes")),
        (Gated("web", check=CHECK), WEB, [SICK], Verdict("waiting", "its health check fails: no db")),
        (
            Gated("web", check=CHECK),
            replace(WEB, health="healthy"),
            [SICK],
            Verdict("ready", "its health check passes"),
        ),
        (Gated("web"), WEB, [], Verdict("ready", "it runs (it has no health check)")),
        (Gated("web", check=CHECK, unchecked=True), WEB, [], Verdict("ready", "it runs (it has no health check)")),
        (Gated("web"), replace(WEB, state="exited"), [], Verdict("done", "it did its job (exit code 0)")),
        (Gated("web", PROBE), replace(WEB, state="exited"), [], Verdict("failed", "it exited with code 0")),
    ],
)
def test_a_service_has_its_verdict_without_waiting(
    service: Gated, one: Container, inside: list[Finished], expected: Verdict
) -> None:
    assert verdict(service, one, web=inside) == expected


def test_only_what_runs_and_cannot_be_known_otherwise_is_asked() -> None:
    services = (Gated("web", PROBE), Gated("db", check=CHECK), Gated("old", PROBE), Gated("plain"))
    found = (WEB, container("db", health="unhealthy"), container("old", "exited"), container("plain"))
    engine = FakeEngine(list(found), inside={"web": [YES]})
    verdicts_now(GateSpec("demo", services), engine, Observed(found), NOW)
    assert engine.calls == ["execute web"]


@dataclass
class Meeting(FakeEngine):
    """An engine that answers a question only when another is put beside it."""

    both: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=5))
    patience: list[float] = field(default_factory=list)

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        self.patience.append(timeout)
        self.both.wait()
        return FINE


def test_all_are_asked_side_by_side_and_none_for_long() -> None:
    engine = Meeting()
    services = (Gated("web", check=CHECK), Gated("db", check=CHECK))
    found = Observed((WEB, container("db", started=5.0)))
    verdicts = verdicts_now(GateSpec("demo", services), engine, found, NOW)
    assert {one.state for one in verdicts.values()} == {"ready"}
    assert engine.patience == [3.0, 3.0]


def test_an_engine_that_cannot_ask_is_told_in_the_reason() -> None:
    engine = FakeEngine([WEB], failures={"execute": EngineError("docker exec failed")})
    found = verdicts_now(GateSpec("demo", (Gated("web", PROBE),)), engine, Observed((WEB,)), NOW)
    assert found == {"web": Verdict("waiting", "docker exec failed")}


@pytest.mark.parametrize(
    ("one", "found", "state"),
    [
        (None, Verdict("failed", "gone"), "offline"),
        (WEB, Verdict("ready", ""), "ready"),
        (WEB, Verdict("waiting", ""), "warming"),
        (WEB, Verdict("failed", "degraded"), "error"),
        (replace(WEB, state="restarting"), Verdict("failed", "crash loop"), "starting"),
        (replace(WEB, state="exited"), Verdict("done", ""), "offline"),
        (replace(WEB, state="exited", exit_code=143), Verdict("failed", ""), "offline"),
        (replace(WEB, state="exited", exit_code=1), Verdict("failed", ""), "error"),
        (replace(WEB, state="created"), Verdict("waiting", ""), "offline"),
    ],
)
def test_a_state_comes_from_the_container_and_its_verdict(one: Container | None, found: Verdict, state: State) -> None:
    assert state_of(one, found) == state


def test_every_service_and_each_of_its_containers_stands_somewhere() -> None:
    second = replace(WEB, id="w2", state="exited", exit_code=1)
    spec = GateSpec("demo", (Gated("web", replicas=2), Gated("gone")))
    found = standings(spec, FakeEngine([WEB, second]), Observed((WEB, second)), Memory(), {}, NOW)
    failed = Verdict("failed", "it exited with code 1")
    assert found == [
        Standing("web", WEB, "error", "unhealthy", failed),
        Standing("web", second, "error", "unhealthy", failed),
        Standing("gone", None, "offline", "unknown", Verdict("failed", "it has no container: something removed it")),
    ]


# ---------------------------------------------------------------- drift


PARTS = (("image", "1"), ("command", "2"), ("mounts", "3"))


@pytest.mark.parametrize(
    ("now", "remembered", "image", "drifted"),
    [
        (PARTS, PARTS, "i1", ()),
        (PARTS, (), "i1", ()),
        ((), PARTS, "i1", ()),
        ((("command", "9"), *PARTS[2:]), PARTS, "i1", ("command",)),
        ((("mounts", "9"), ("command", "8")), PARTS, "i1", ("command", "mounts")),
        (PARTS, PARTS, "i2", ("image",)),
        (((PARTS[0][0], "9"), *PARTS[1:]), PARTS, "i2", ("image",)),
        ((*PARTS, ("devices", "4")), PARTS, "i1", ()),
        (PARTS, PARTS, "", ()),
    ],
)
def test_what_is_not_as_it_was_meant_or_as_its_image_is_now_has_drifted(
    now: Any, remembered: Any, image: str, drifted: tuple[str, ...]
) -> None:
    one = replace(WEB, parts=now, image="web:1", image_id="i1" if image else "")
    images = {"web:1": ImageInfo(image or "i2"), "other": ImageInfo("x")}
    assert drift(one, Memory({"web": Remembered(parts=remembered)}), images) == drifted


def test_what_is_not_there_has_not_drifted() -> None:
    assert drift(None, Memory({"web": Remembered(parts=PARTS)}), {}) == ()


def test_drift_is_told_with_where_a_service_stands() -> None:
    one = replace(WEB, parts=(("command", "9"),))
    memory = Memory({"web": Remembered(parts=PARTS)})
    [found] = standings(GateSpec("demo", (Gated("web"),)), FakeEngine([one]), Observed((one,)), memory, {}, NOW)
    assert found.drifted == ("command",)


# ---------------------------------------------------------------- without any file


def test_what_is_remembered_of_a_service_is_how_it_is_judged() -> None:
    known = Gated("web", PROBE, replicas=2, role="server")
    found = spec_of_containers("demo", Observed((WEB,)), Memory({"web": Remembered(gated=known)}), 3)
    assert found == GateSpec("demo", (known,), stability=3)


def test_what_nobody_remembers_is_judged_by_what_its_containers_carry() -> None:
    probed = replace(WEB, probe=PROBE, restart="always", image="web:1")
    checked = replace(container("db"), check=CHECK)
    found = spec_of_containers("demo", Observed((probed, checked)), Memory(), 3)
    assert found.services == (
        Gated("web", PROBE, restart="always", image="web:1", role="server"),
        Gated("db", check=CHECK),
    )


def test_what_was_meant_to_run_and_is_not_there_is_among_the_services() -> None:
    found = spec_of_containers("demo", Observed((WEB,)), Memory({"db": Remembered(), "web": Remembered()}), 3)
    assert [one.name for one in found.services] == ["web", "db"]


@pytest.mark.parametrize("one", [replace(WEB, oneoff=True), replace(WEB, service="")])
def test_what_somebody_runs_beside_is_no_service(one: Container) -> None:
    assert spec_of_containers("demo", Observed((one,)), Memory(), 3).services == ()


@pytest.mark.parametrize(
    ("stopped", "expected"),
    [(frozenset({"web"}), "offline"), (frozenset(), "error"), (None, "offline")],
    ids=["by us", "by somebody else", "nobody knows"],
)
def test_one_that_was_killed_is_an_error_unless_we_stopped_it(stopped: frozenset[str] | None, expected: str) -> None:
    killed = container("web", "exited", exit_code=137, started=1.0)
    assert state_of(killed, Verdict("failed", ""), stopped) == expected
