"""One stream of several services: what was kept, and what their engine has beyond that."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError, UsageError
from lcompose.logs import Line, View, collect, merged, since
from lcompose.spec.run import Container
from lcompose.spec.secrets import Secrets
from tests.unit.given import T1, T2, T3, container

NONE = Secrets({})
WEB, DB = container("web"), container("db")


def shown(
    fake: FakeEngine, *containers: Container, directory: Path | None = None, view: View | None = None
) -> list[Line]:
    """All lines that are shown."""
    redact = Secrets({"API_KEY": "abcdef"}).redact
    return [line for lines in merged(fake, containers, directory, view or View(), redact) for line in lines]


def texts(*given: object, **more: object) -> list[str]:
    """Their texts."""
    return [line.text for line in shown(*given, **more)]  # type: ignore[arg-type]


def engine(**printed: str) -> FakeEngine:
    """An engine whose containers printed this."""
    return FakeEngine(printed=printed)


def test_the_lines_of_several_services_come_in_the_order_of_their_times() -> None:
    fake = engine(web=f"{T1} one\n{T3} three abcdef\n", db=f"{T2} two\n")
    assert shown(fake, WEB, DB) == [
        Line(T1, "web", "one"),
        Line(T2, "db", "two"),
        Line(T3, "web", "three <API_KEY>"),
    ]


def test_lines_of_one_time_stay_in_their_order() -> None:
    assert texts(engine(web=f"{T1} b\n{T1} a\n", db=f"{T1} c\n"), WEB, DB) == ["b", "a", "c"]


def test_only_wanted_lines_are_shown() -> None:
    fake = engine(web=f"{T1} a\n{T2} b\n{T3} c\n", db=f"{T1} d\n")
    assert texts(fake, WEB, DB, view=View(services=("db",))) == ["d"]
    assert texts(fake, WEB, DB, view=View(since=T2)) == ["b", "c"]
    assert texts(fake, WEB, DB, view=View(grep=re.compile("[ad]"))) == ["a", "d"]
    assert texts(fake, WEB, DB, view=View(tail=1)) == ["d", "c"]
    assert texts(fake, WEB, DB, view=View(tail=0)) == []
    assert texts(fake, WEB, DB, view=View(tail=1, grep=re.compile("[ab]"))) == ["b"]


def test_the_last_lines_of_a_service_are_those_of_all_its_containers() -> None:
    fake = engine(a=f"{T1} a1\n{T3} a3\n", b=f"{T2} b2\n{T3} b3\n")
    assert texts(fake, replace(WEB, id="a"), replace(WEB, id="b"), view=View(tail=3)) == ["b2", "a3", "b3"]


def test_the_last_lines_of_a_long_log_are_asked_for_and_not_all_of_it() -> None:
    long = "".join(f"2025-01-01T00:00:{number // 10:02}.{number % 10}00000000Z {number}\n" for number in range(600))
    fake = engine(web=long)
    assert texts(fake, WEB, view=View(tail=2)) == ["598", "599"]
    assert fake.calls == ["stream web"]


def test_what_was_kept_is_shown_with_what_the_engine_has_beyond_it(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n{T2} b\n")
    collect(fake, WEB, tmp_path, NONE)
    fake.printed["web"] = f"{T2} b\n{T3} c\n"  # the first was rotated away
    assert texts(fake, WEB, directory=tmp_path) == ["a", "b", "c"]
    fake.printed["web"] = f"{T3} c\n"
    lost = f"# lcompose: lines are lost here: between {T1} and {T3}, the engine does not have them any more"
    assert texts(fake, WEB, directory=tmp_path) == ["a", "b", lost.replace(T1, T2), "c"]


def test_a_service_without_a_container_shows_its_last_run(tmp_path: Path) -> None:
    fake = engine(old=f"{T1} old\n", one=f"{T2} one\n", two=f"{T3} two without an end")
    for number, name in enumerate(("old", "one", "two")):
        ended = Container(id=name, name="demo-1" if number < 2 else "demo-2", service="web", state="exited")
        collect(fake, replace(ended, created=1735689600.0 + number), tmp_path, NONE)
    assert texts(engine(), directory=tmp_path) == ["one", "two without an end"]
    assert texts(engine(web=f"{T1} now\n"), WEB, directory=tmp_path) == ["now"]


def test_a_replica_of_long_ago_is_no_part_of_the_last_run(tmp_path: Path) -> None:
    fake = engine(old=f"{T1} old\n", new=f"{T2} new\n")
    old = Container(id="old", name="demo-2", service="web", state="exited", created=1735689600.0)
    collect(fake, old, tmp_path, NONE)
    record = tmp_path / "web" / ".old.json"
    record.write_text(re.sub(r'"looked": [^,}]+', '"looked": 1735689601.0', record.read_text()))
    collect(fake, replace(old, id="new", name="demo-1", created=1735690000.0), tmp_path, NONE)
    assert texts(engine(), directory=tmp_path) == ["new"]


def test_a_log_that_cannot_be_read_is_said_beside_the_others() -> None:
    fake = engine(db=f"{T1} b\n")
    fake.failures = {"stream web": EngineError("docker logs failed: the driver does not support reading")}
    assert texts(fake, DB, WEB, view=View()) == [
        "# lcompose: this log cannot be read: docker logs failed: the driver does not support reading",
        "b",
    ]


def test_it_is_an_error_when_no_log_can_be_read() -> None:
    fake = engine()
    fake.failures = {"stream": EngineError("docker does not answer")}
    with pytest.raises(EngineError, match="does not answer"):
        shown(fake, WEB, DB)


def test_a_container_that_goes_away_meanwhile_has_no_lines() -> None:
    fake = engine(db=f"{T1} b\n")
    fake.failures = {"stream web": EngineError("docker logs failed: No such container: web")}
    assert texts(fake, WEB, DB) == ["b"]


def test_thousands_of_lines_come_in_order_and_none_twice() -> None:
    times = [f"2025-01-01T00:{number // 60 % 60:02}:{number % 60:02}.{number:09}Z" for number in range(3600)]
    printed = {name: "".join(f"{time} {name}\n" for time in times[first::3]) for first, name in enumerate("abc")}
    lines = shown(engine(**printed), *(container(name) for name in "abc"))
    assert [line.time for line in lines] == times


NOW = 1735689610.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9s", T1),
        ("0m", "2025-01-01T00:00:10.000000000Z"),
        ("1h30m", "2024-12-31T22:30:10.000000000Z"),
        ("2d", "2024-12-30T00:00:10.000000000Z"),
        ("2025-01-01T00:00:01Z", T1),
        ("2025-01-01t02:00:01+02:00", T1),
        ("2025-01-01 00:00:01", T1),
        ("2025-01-01", "2025-01-01T00:00:00.000000000Z"),
        ("999999d", "1970-01-01T00:00:00.000000000Z"),
    ],
)
def test_lines_are_shown_since_a_time_or_for_a_while(text: str, expected: str) -> None:
    assert since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "10", "m", "yesterday", "10m5h", "-5m", "2025-13-01", "12:00", "1.5h", "10 m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        since(text, NOW)
    assert "10m" in caught.value.fix
