"""How services go from state to state: derived from what an engine shows and tells, recorded, and printed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from lcompose.bundle import locked
from lcompose.cli import events as cli
from lcompose.cli import stack
from lcompose.cli.events import moment
from lcompose.cli.stack import Running
from lcompose.engines import EngineEvent
from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError, UsageError
from lcompose.host import Finished
from lcompose.lifecycle import EDGES
from lcompose.memory import history, record, save
from lcompose.spec.events import Transition
from lcompose.spec.project import Healthcheck
from lcompose.spec.run import Container, Gated, Memory, Remembered
from lcompose.transitions import Transitions
from lcompose.watch import EVENTS
from lcompose.work import Result
from tests.unit.given import container

NOW = 1_000_000.0
CHECK = Healthcheck(("CMD", "true"))
HEALTHY, SICK = Finished(0, "fine", ""), Finished(1, "", "no connection")


@dataclass
class Script:
    """Work that is done at once, in a time that passes only by waiting; and what happens meanwhile, by second."""

    time: float = 0.0
    results: list[Result] = field(default_factory=list)
    happening: list[tuple[float, Callable[[], Any]]] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return NOW + self.time

    def submit(self, key: tuple[str, ...], call: Callable[[], Any]) -> None:
        try:
            self.results.append(Result(key, call()))
        except EngineError as error:
            self.results.append(Result(key, error=error))

    def follow(self, key: tuple[str, ...], source: Callable[[], Iterator[Any]]) -> None:
        """Events are put among the results when they are due."""

    def wait(self, seconds: float) -> list[Result]:
        due = [second for second, _ in self.happening if second <= self.time + seconds]
        if not self.results:
            self.time = max(self.time, min([*due, self.time + seconds]))
            for one in [one for one in self.happening if one[0] <= self.time]:
                self.happening.remove(one)
                one[1]()
        found, self.results = self.results, []
        return found


class Scene:
    """A project that is watched: what happens to it is put down beforehand."""

    def __init__(self, place: Path, *held: Container) -> None:
        self.place, self.work = place, Script()
        self.engine = FakeEngine(held=list(held))

    def at(self, second: float, *what: Callable[[], Any]) -> None:
        """Lets things happen at a moment, in their order."""
        self.work.happening += [(second, one) for one in what]

    def event(self, action: str, of: str = "web", code: int | None = None) -> Callable[[], Any]:
        """The engine tells something."""
        return lambda: self.work.results.append(
            Result(EVENTS, EngineEvent(self.work.wall(), action, of, of, exit_code=code))
        )

    def becomes(self, of: str = "web", **change: Any) -> Callable[[], Any]:
        """A container is another way from now on."""

        def change_it() -> None:
            self.engine.held = [replace(one, **change) if one.id == of else one for one in self.engine.held]

        return change_it

    def goes(self, of: str = "web") -> Callable[[], Any]:
        """A container is no more."""

        def remove() -> None:
            self.engine.held = [one for one in self.engine.held if one.id != of]

        return remove

    def seen(self, seconds: float = 30.0, complain: Callable[[str], None] = print) -> list[tuple[str, str, str, str]]:
        """The transitions of so many seconds, as (service, before, after, cause)."""
        watched = Transitions(self.engine, "demo", self.place, self.work)
        self.transitions: list[Transition] = []
        self.at(seconds, self._stop)
        with suppress(TimeoutError):
            for one in watched.follow(complain):
                self.transitions.append(one)
        return [(one.service, one.before, one.after, one.cause) for one in self.transitions]

    def _stop(self) -> None:
        raise TimeoutError


def running(service: str = "web", **more: Any) -> Container:
    """A container that has run for a while."""
    return container(service, **{"started": NOW - 60, **more})


def were(place: Path, **states: str) -> None:
    """What earlier commands recorded last of each service."""
    record(place, [Transition(NOW - 50, name, "starting", state) for name, state in states.items()])


RUNS = "it runs (it has no health check)"


def test_what_happened_while_nobody_watched_is_told_first(tmp_path: Path) -> None:
    were(tmp_path, web="ready", db="ready", old="ready")
    scene = Scene(tmp_path, running(), container("db", "exited", exit_code=3, finished=NOW - 9))
    assert scene.seen() == [
        ("db", "ready", "error", "it exited with code 3"),
        ("old", "ready", "offline", "its container is gone: something removed it"),
    ]
    assert [one.time for one in scene.transitions] == [NOW - 9, NOW]


def test_without_any_history_services_come_from_offline(tmp_path: Path) -> None:
    assert Scene(tmp_path, running(), container("new", "created")).seen() == [("web", "offline", "ready", RUNS)]


def test_a_service_that_dies_is_told_with_its_code(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    scene.at(5, scene.becomes(state="exited", exit_code=7, finished=NOW + 5), scene.event("die", code=7))
    assert scene.seen()[1:] == [("web", "ready", "error", "it exited with code 7")]
    assert scene.transitions[1] == Transition(NOW + 5, "web", "ready", "error", "it exited with code 7", "web")


def test_one_that_is_started_again_at_once_has_died_all_the_same(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    back = scene.becomes(started=NOW + 5, restarts=1)
    scene.at(5, back, scene.event("die", code=7), scene.event("start"))
    watched = "runs; has no health check, so it is watched for 3 s"
    assert scene.seen()[1:] == [
        ("web", "ready", "error", "it exited with code 7"),
        ("web", "error", "warming", watched),
        ("web", "warming", "ready", RUNS),
    ]
    assert scene.transitions[-1].time >= NOW + 8


def test_what_an_engine_does_not_tell_is_seen_at_the_next_look(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    scene.at(5, scene.becomes(state="exited", exit_code=7, finished=NOW + 5))
    assert scene.seen()[1:] == [("web", "ready", "error", "it exited with code 7")]


@pytest.mark.parametrize("code", [0, 137, 143])
def test_a_service_that_was_stopped_is_offline(tmp_path: Path, code: int) -> None:
    scene = Scene(tmp_path, running())
    scene.at(5, scene.becomes(state="exited", exit_code=code), scene.event("stop"), scene.event("die", code=code))
    assert scene.seen()[1:] == [("web", "ready", "offline", f"it was stopped (exit code {code})")]


def test_a_service_that_nobody_stopped_was_killed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    scene.at(5, scene.becomes(state="exited", exit_code=137), scene.event("die", code=137))
    killed = "it was killed (exit code 137), perhaps out of memory"
    assert scene.seen()[1:] == [("web", "ready", "error", killed)]


def test_a_service_that_our_own_command_takes_down_was_not_killed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    unloading = Transition(NOW + 4, "web", "ready", "unloading", "asked for")
    scene.at(4, lambda: record(tmp_path, [unloading]), lambda: hold.__enter__())
    scene.at(5, scene.becomes(state="exited", exit_code=137), scene.event("die", code=137))
    hold = locked(tmp_path, "demo")
    seen = scene.seen()[1:]
    hold.__exit__(None, None, None)
    assert [one[:3] for one in seen] == [("web", "ready", "unloading"), ("web", "unloading", "offline")]


def test_memory_that_ran_out_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    dead = scene.becomes(state="exited", exit_code=137, oom_killed=True)
    scene.at(5, dead, scene.event("oom"), scene.event("die", code=137))
    assert [one[2] for one in scene.seen()[1:]] == ["error"]
    assert "out of memory" in scene.transitions[1].cause


def test_a_service_that_is_removed_is_offline(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    scene.at(5, scene.goes(), scene.event("destroy"))
    assert scene.seen()[1:] == [("web", "ready", "offline", "its container is gone: something removed it")]


def test_a_service_that_is_paused_is_not_ready(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    scene.at(5, scene.becomes(state="paused"), scene.event("pause"))
    scene.at(9, scene.becomes(state="running"), scene.event("unpause"))
    assert scene.seen()[1:] == [
        ("web", "ready", "offline", "somebody paused it"),
        ("web", "offline", "ready", RUNS),
    ]


def test_a_service_with_a_health_check_is_ready_when_that_passes(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running(check=CHECK))
    scene.engine.inside = {"web": [SICK, SICK, HEALTHY]}
    assert scene.seen() == [
        ("web", "offline", "warming", "its health check fails: no connection"),
        ("web", "warming", "ready", "its health check passes"),
    ]


def test_a_service_that_an_engine_finds_unhealthy_is_an_error(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running(check=CHECK, health="healthy"))
    scene.at(5, scene.becomes(health="unhealthy", health_output="no connection"), scene.event("health_status"))
    seen = scene.seen()[1:]
    assert [one[1:3] for one in seen] == [("ready", "error")]
    assert "no connection" in seen[0][3]


def test_a_service_that_was_ready_stays_so_until_it_was_asked(tmp_path: Path) -> None:
    were(tmp_path, web="ready")
    scene = Scene(tmp_path, running(check=CHECK))
    scene.engine.inside = {"web": [HEALTHY]}
    assert scene.seen() == []


def test_a_service_that_hangs_later_is_no_longer_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lcompose import transitions, watch
    from lcompose.spec.project import Probe
    from lcompose.spec.run import Answer

    scene = Scene(tmp_path, running(probe=Probe(80)))
    hangs = False

    def ask(*_: Any) -> Answer:
        return Answer(ok=not hangs, detail="does not answer yet" if hangs else "HTTP 200")

    def hang() -> None:
        nonlocal hangs
        hangs = True

    monkeypatch.setattr(transitions, "ask", ask)
    monkeypatch.setattr(watch, "ask", ask)
    scene.at(5, hang)
    assert scene.seen() == [
        ("web", "offline", "ready", "HTTP 200"),
        ("web", "ready", "warming", "does not answer yet"),
    ]


def test_of_several_containers_the_worst_counts(tmp_path: Path) -> None:
    two = [replace(running(), id=f"web-{number}", name=f"web-{number}") for number in (1, 2)]
    scene = Scene(tmp_path, *two)
    dead = scene.becomes("web-2", state="exited", exit_code=1)
    scene.at(5, dead, scene.event("die", "web-2", code=1))
    assert scene.seen()[1:] == [("web", "ready", "error", "it exited with code 1")]


def test_how_a_service_is_judged_is_what_the_last_up_remembered(tmp_path: Path) -> None:
    save(tmp_path, Memory({"web": Remembered(gated=Gated("web", role="oneshot"))}))
    scene = Scene(tmp_path, running())
    scene.at(5, scene.becomes(state="exited", exit_code=0), scene.event("die", code=0))
    assert scene.seen()[1:] == [("web", "warming", "offline", "it did its job (exit code 0)")]


def test_what_other_commands_record_is_told_and_not_recorded_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    pulling = Transition(NOW + 4, "web", "offline", "pulling", "its image is not here")
    with locked(tmp_path, "demo"):
        scene.at(4, lambda: record(tmp_path, [pulling]))
        assert scene.seen() == [("web", "offline", "pulling", "its image is not here")]
    assert history(tmp_path) == [pulling]


def test_what_a_command_is_about_to_do_is_believed_while_it_is_at_work(tmp_path: Path) -> None:
    record(tmp_path, [Transition(NOW - 1, "web", "offline", "pulling")])
    with locked(tmp_path, "demo"):
        assert Scene(tmp_path).seen() == []
    gone = "its container is gone: something removed it"
    assert Scene(tmp_path).seen() == [("web", "pulling", "offline", gone)]


def test_one_that_failed_before_it_had_a_container_stays_an_error(tmp_path: Path) -> None:
    were(tmp_path, web="error")
    assert Scene(tmp_path).seen() == []


def test_what_two_saw_is_told_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running())
    scene.at(2, lambda: record(tmp_path, [Transition(NOW + 1, "web", "warming", "ready", "HTTP 200")]))
    assert [one[2] for one in scene.seen()] == ["ready"]
    assert [one.after for one in history(tmp_path)] == ["ready"]


def test_transitions_are_recorded_as_they_are_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "new", running())
    scene.at(5, scene.becomes(state="exited", exit_code=7), scene.event("die", code=7))
    scene.seen()
    assert history(tmp_path / "new") == scene.transitions


def test_where_nothing_happens_nothing_is_written(tmp_path: Path) -> None:
    assert Scene(tmp_path / "new").seen() == []
    assert not (tmp_path / "new").exists()


def test_no_secret_is_told_or_recorded(tmp_path: Path) -> None:
    scene = Scene(tmp_path, running(check=CHECK, health="unhealthy", health_output="bad key abcdef"))
    scene.engine.variables = {"web": {"API_KEY": "abcdef"}}
    [(_, _, after, cause)] = scene.seen()
    assert after == "error" and "bad key <API_KEY>" in cause
    assert "abcdef" not in (tmp_path / "events.jsonl").read_text()


def test_an_engine_that_goes_away_is_told_once_and_waited_for(tmp_path: Path) -> None:
    told: list[str] = []
    scene = Scene(tmp_path, running())
    gone = EngineError("docker does not answer")
    scene.at(5, lambda: scene.engine.failures.update(look=gone))
    scene.at(20, scene.engine.failures.clear, scene.becomes(state="exited", exit_code=1, finished=NOW + 12))
    assert scene.seen(40, told.append)[1:] == [("web", "ready", "error", "it exited with code 1")]
    assert told == ["The engine cannot be asked, and is tried again: docker does not answer"]


ACTIONS = st.sampled_from(
    ["create", "start", "die", "oom", "stop", "destroy", "pause", "unpause", "health_status", "?"]
)
HAPPENS = st.tuples(ACTIONS, st.sampled_from(["web", "db", "unknown"]), st.sampled_from([None, 0, 1, 137, 143]))
SHOWN = st.sampled_from(["running", "exited", "created", "paused", "restarting", "dead", "removing", "?"])


@given(told=st.lists(st.tuples(HAPPENS, SHOWN), max_size=12))
def test_whatever_happens_each_transition_begins_where_the_last_one_ended(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[tuple[str, str, int | None], str]]
) -> None:
    place = tmp_path_factory.mktemp("place")
    scene = Scene(place, running(), running("db"))
    for second, ((action, of, code), state) in enumerate(told):
        scene.at(second, scene.becomes(of, state=state, exit_code=code or 0), scene.event(action, of, code))
    scene.seen(15)
    for service in ("web", "db"):
        found = [one for one in scene.transitions if one.service == service]
        assert all(first.after == second.before and first.time <= second.time for first, second in pairwise(found))
        assert all(one.before != one.after and one.after in EDGES and one.cause for one in found)
    assert history(place) == scene.transitions


# ---------------------------------------------------------------- the command


@dataclass
class Command:
    """``lcompose events`` on an engine in memory."""

    monkeypatch: pytest.MonkeyPatch
    place: Path
    engine: FakeEngine = field(default_factory=FakeEngine)
    asked: list[Any] = field(default_factory=list)

    def run(self, *args: str) -> tuple[str, str]:
        """What it prints, as a result and beside it."""

        def find(options: Any, env: Any, named: Any = ()) -> Running:
            self.asked.append([*named])
            return Running("demo", self.engine, self.place)

        self.monkeypatch.setattr(stack, "find_running", find)
        result = CliRunner().invoke(cli.command, args, standalone_mode=False)
        if result.exception:
            raise result.exception
        return result.stdout, result.stderr


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    record(
        tmp_path,
        [
            Transition(NOW, "web", "offline", "starting", "asked for", "c1"),
            Transition(NOW + 1.25, "web", "starting", "ready", "HTTP\n200", "c1"),
        ],
    )
    return Command(monkeypatch, tmp_path, FakeEngine(held=[running()]))


def test_the_history_is_printed_a_line_each(command: Command) -> None:
    out, err = command.run("--no-follow")
    assert out == (
        "1970-01-12T13:46:40.000Z  web  offline -> starting  asked for\n"
        "1970-01-12T13:46:41.250Z  web  starting -> ready  HTTP 200\n"
    )
    assert err == ""


def test_machines_get_an_object_a_line(command: Command) -> None:
    out, _ = command.run("--no-follow", "--json")
    assert json.loads(out.splitlines()[0]) == {
        "time": "1970-01-12T13:46:40.000Z",
        "service": "web",
        "before": "offline",
        "after": "starting",
        "cause": "asked for",
        "container": "c1",
    }
    assert len(out.splitlines()) == 2


def test_the_history_may_be_cut_and_what_is_new_is_printed_all_the_same(command: Command) -> None:
    command.engine.held = [container("web", "exited", exit_code=3, finished=NOW + 9)]
    out, _ = command.run("--no-follow", "--since", "1970-01-12T13:46:41+00:00")
    assert [line.split("  ")[2] for line in out.splitlines()] == ["starting -> ready", "ready -> error"]


def test_where_nothing_is_known_that_is_said(command: Command, tmp_path: Path) -> None:
    command.place, command.engine = tmp_path / "other", FakeEngine()
    assert command.run("--no-follow") == ("", "demo: nothing is known to have happened.\n")


def test_a_compose_file_may_be_named(command: Command) -> None:
    command.run("--no-follow", "-f", "a/compose.yaml")
    command.run("--no-follow")
    assert command.asked == [["a/compose.yaml"], []]


def test_it_goes_on_until_it_is_interrupted(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def follow(*_: Any) -> Iterator[Transition]:
        yield Transition(NOW + 9, "web", "ready", "error", "it exited with code 3")
        raise KeyboardInterrupt

    monkeypatch.setattr(Transitions, "follow", follow)
    printed = io.StringIO()
    monkeypatch.setattr("sys.stdout", printed)
    monkeypatch.setattr(stack, "find_running", lambda *_: Running("demo", command.engine, command.place))
    with pytest.raises(click.Abort):
        cli.command.main([], standalone_mode=False)
    assert printed.getvalue().splitlines()[-1].endswith("web  ready -> error  it exited with code 3")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", NOW - 30),
        ("10m", NOW - 600),
        ("1h30m", NOW - 5400),
        ("1.5d", NOW - 129600),
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01T00:01:00+00:00", 60),
    ],
)
def test_since_when_may_be_said_as_some_time_ago_or_as_a_time(text: str, seconds: float) -> None:
    assert moment(text, NOW) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10", "-5m", "10 m", "m", "1970-13-01"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no time") as caught:
        moment(text, NOW)
    assert "10m" in caught.value.fix
