"""Following: what there is, then what comes, through restarts and new containers, and each line once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import pytest

from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError
from lcompose.logs import Line, View, follow, followed, kept, read_kept
from tests.unit.given import T1, T2, T3, container

WEB, DB = container("web"), container("db")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BETWEEN", 0.01), ("WITHOUT_EVENTS", 0.02), ("GRACE", 0.05)):
        monkeypatch.setattr(follow, name, seconds)


def lines(fake: FakeEngine, view: View | None = None, directory: Path | None = None) -> list[Line]:
    """All lines that are shown until following ends."""
    return [line for batch in followed(fake, "demo", view, directory) for line in batch]


def looks(*states: str, **more: int) -> list[object]:
    """What further looks find of a container."""
    return [replace(WEB, state=state, restarts=number) for number, state in enumerate(states)]


def test_following_ends_when_nothing_of_the_project_runs() -> None:
    fake = FakeEngine([WEB, DB], printed={"web": f"{T1} one\n{T3} three\n", "db": f"{T2} two\n"})
    fake.script = {name: [container(name), container(name), container(name, "exited")] for name in ("web", "db")}
    assert [line.text for line in lines(fake)] == ["one", "two", "three"]


def test_following_nothing_ends_at_once() -> None:
    assert lines(FakeEngine()) == []


def test_what_ended_is_shown_and_not_followed() -> None:
    fake = FakeEngine([replace(WEB, state="exited")], printed={"web": f"{T1} one\n{T2} without an end"})
    assert [line.text for line in lines(fake)] == ["one", "without an end"]
    assert fake.calls.count("look") == 2


@dataclass
class Growing(FakeEngine):
    """An engine whose container prints a line each time that it is followed, and ends."""

    growth: list[str] = field(default_factory=list)

    def stream(
        self, container: str, *, since: str = "", tail: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        if follow and self.growth:
            self.printed[container] = self.printed.get(container, "") + self.growth.pop(0)
        yield from super().stream(container, since=since, tail=tail)


def test_every_start_of_a_container_is_followed_and_no_line_comes_twice() -> None:
    fake = Growing([WEB], printed={"web": f"{T1} a\n"}, growth=[f"{T1} b\n{T2} ha", "lf\n", f"{T3} c\n"])
    fake.script = {"web": [*looks(*["running"] * 8), replace(WEB, state="exited")]}  # type: ignore[list-item]
    found = [line.text for line in lines(fake)]
    assert found in (["a", "b", "half", "c"], ["a", "b", "ha", "half", "c"])


def test_a_container_that_crashes_before_it_is_seen_running_is_read_all_the_same() -> None:
    fake = FakeEngine([WEB], printed={"web": f"{T1} a\n"})
    fake.script = {"web": looks("restarting", "restarting", "restarting", "exited")}  # type: ignore[dict-item]
    look = fake.containers

    def printing(project: str) -> tuple[object, ...]:
        found = look(project)
        fake.printed["web"] = "".join(f"{T1} start {number}\n" for number in range(found[0].restarts + 1))
        return found

    fake.containers = printing  # type: ignore[assignment, method-assign]
    assert [line.text for line in lines(fake)] == [f"start {number}" for number in range(4)]


@dataclass
class Replacing(FakeEngine):
    """An engine on which the container is replaced by another one."""

    looks: int = 0

    def containers(self, project: str) -> tuple[object, ...]:  # type: ignore[override]
        self.looks += 1
        states = {1: [WEB], 2: [WEB], 3: [], 4: [replace(WEB, id="new", state="created")]}
        new = replace(WEB, id="new", state="running" if self.looks < 8 else "exited")
        return tuple(states.get(self.looks, [new]))


def test_a_container_that_replaces_another_is_followed_from_its_first_line() -> None:
    fake = Replacing(printed={"web": f"{T1} old abcdef\n", "new": f"{T2} new\n{T3} key=abcdef\n"})
    fake.variables = {"new": {"API_KEY": "abcdef"}}
    assert [line.text for line in lines(fake)] == ["old abcdef", "new", "key=<API_KEY>"]


def test_only_wanted_lines_are_followed() -> None:
    fake = FakeEngine([WEB, DB], printed={"web": f"{T1} a\n{T2} b\n", "db": f"{T2} c\n"})
    fake.script = {name: [container(name), container(name, "exited")] for name in ("web", "db")}
    assert [line.text for line in lines(fake, View(services=("web",), tail=1))] == ["b"]


def test_what_is_followed_is_kept_at_every_end(tmp_path: Path) -> None:
    fake = FakeEngine([WEB], printed={"web": f"{T1} a\n"})
    fake.script = {"web": [WEB, WEB, replace(WEB, state="exited")]}
    lines(fake, directory=tmp_path)
    assert [line.text for path in kept(tmp_path) for line in read_kept(path)] == ["a"]


def test_following_what_cannot_be_followed_is_an_error_and_does_not_hang() -> None:
    fake = FakeEngine([WEB], printed={"web": f"{T1} one\n"})
    error = EngineError("docker is not there any more")
    fake.failures = {"stream": error}
    with pytest.raises(EngineError) as caught:
        lines(fake)
    assert caught.value is error


def test_containers_that_cannot_be_looked_at_are_an_error() -> None:
    fake = FakeEngine([WEB])
    fake.failures = {"look": EngineError("docker does not answer")}
    with pytest.raises(EngineError, match="does not answer"):
        lines(fake)


@dataclass
class Endless(FakeEngine):
    """An engine whose container goes on until somebody ends it."""

    ended: Event = field(default_factory=Event)

    def stream(
        self, container: str, *, since: str = "", tail: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        yield from super().stream(container, since=since, tail=tail)
        while follow and not self.ended.wait(timeout=0.01):
            yield b""


def test_following_can_be_left_at_any_time() -> None:
    fake = Endless([WEB], printed={"web": f"{T1} one\n"})
    reading = followed(fake, "demo")
    assert next(batch for batch in reading if batch) == [Line(T1, "web", "one")]
    reading.close()  # type: ignore[attr-defined]
    fake.ended.set()
