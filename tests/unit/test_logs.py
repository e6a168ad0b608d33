"""Logs: one stream of several services, and files that outlive their containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import pytest

from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError, MachineError
from lcompose.logs import Line, followed, keep, kept, merged, read_kept
from lcompose.spec.secrets import Secrets
from tests.unit.given import container

T1, T2, T3 = (f"2025-01-01T00:00:0{second}.000000000Z" for second in (1, 2, 3))
NONE = Secrets({})
WEB, DB = container("web"), container("db")


def engine(**printed: str) -> FakeEngine:
    """An engine whose containers printed this."""
    return FakeEngine(printed=printed)


def test_the_lines_of_several_services_come_in_the_order_of_their_times() -> None:
    fake = engine(web=f"{T1} one\n{T3} three\n", db=f"{T2} two\n")
    assert merged(fake, [WEB, DB], None) == [
        Line(T1, "web", "one"),
        Line(T2, "db", "two"),
        Line(T3, "web", "three"),
    ]


def test_lines_of_one_time_stay_in_their_order() -> None:
    fake = engine(web=f"{T1} b\n{T1} a\n")
    assert [line.text for line in merged(fake, [WEB], None)] == ["b", "a"]


def test_a_line_without_a_time_goes_with_the_one_before_it() -> None:
    fake = engine(web=f"{T2} 10%\n 20%\n 30%", db=f"{T1} one\n{T3} three")
    assert [line.text for line in merged(fake, [WEB, DB], None)] == ["one", "10%", " 20%", " 30%", "three"]


def test_only_the_last_lines_are_shown_where_that_is_asked_for() -> None:
    fake = engine(web=f"{T1} a\n{T2} b\n{T3} c")
    assert [line.text for line in merged(fake, [WEB], 2)] == ["b", "c"]


def test_an_empty_line_of_a_service_is_a_line() -> None:
    assert merged(engine(web=f"{T1} \n\n"), [WEB], None) == [Line(T1, "web", "")]


def test_following_ends_when_every_container_has_ended() -> None:
    fake = engine(web=f"{T1} one\n{T2} two", db=f"{T3} three")
    lines = list(followed(fake, [WEB, DB], None))
    assert sorted(line.text for line in lines) == ["one", "three", "two"]
    assert [line.text for line in lines if line.service == "web"] == ["one", "two"]


def test_following_nothing_ends_at_once() -> None:
    assert list(followed(engine(), [], None)) == []


def test_following_what_cannot_be_followed_is_an_error_and_does_not_hang() -> None:
    fake = engine(web=f"{T1} one")
    error = EngineError("docker is not there any more")
    fake.failures = {"follow": error}
    with pytest.raises(EngineError) as caught:
        list(followed(fake, [WEB], None))
    assert caught.value is error


@dataclass
class Running(FakeEngine):
    """An engine whose containers print a line, and go on until somebody ends them."""

    ended: Event = field(default_factory=Event)

    def follow(self, container: str, tail: int | None = None) -> Iterator[str]:
        yield f"{T1} one"
        self.ended.wait(timeout=60)


def test_following_can_be_left_at_any_time() -> None:
    fake = Running()
    lines = followed(fake, [WEB], None)
    assert next(lines).text == "one"
    lines.close()  # type: ignore[attr-defined]
    fake.ended.set()


def test_a_log_is_kept_for_its_owner_with_secrets_left_out(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} key=abcdef")
    path = keep(fake, WEB, tmp_path / "logs", Secrets({"API_KEY": "abcdef"}))
    assert path == tmp_path / "logs" / "web-web.log"
    assert path.read_text() == f"{T1} key=<API_KEY>\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_kept(path) == [Line(T1, "web", "key=<API_KEY>")]


def test_what_is_kept_later_replaces_what_was_kept_before(tmp_path: Path) -> None:
    keep(engine(web=f"{T1} one"), WEB, tmp_path, NONE)
    path = keep(engine(web=f"{T1} one\n{T2} two"), WEB, tmp_path, NONE)
    assert [line.text for line in read_kept(path)] == ["one", "two"]


def test_what_was_kept_is_not_lost_when_there_is_nothing_more_to_read(tmp_path: Path) -> None:
    keep(engine(web=f"{T1} one"), WEB, tmp_path, NONE)
    path = keep(engine(), WEB, tmp_path, NONE)
    assert [line.text for line in read_kept(path)] == ["one"]


def test_a_log_that_cannot_be_written_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the place of the folder")
    with pytest.raises(MachineError) as caught:
        keep(engine(web=T1), WEB, tmp_path / "logs", NONE)
    assert caught.value.what == "a log cannot be kept: File exists"
    assert "XDG_STATE_HOME" in caught.value.fix


def test_the_logs_of_the_last_five_containers_of_a_service_are_kept(tmp_path: Path) -> None:
    for number in range(7):
        one = replace(WEB, id=f"c{number}")
        path = keep(engine(**{one.id: T1}), one, tmp_path, NONE)
        os.utime(path, (number, number))
    keep(engine(db=T1), DB, tmp_path, NONE)
    assert [path.name for path in kept(tmp_path)] == [
        *(f"web-c{number}.log" for number in range(2, 7)),
        "db-db.log",
    ]


def test_a_service_whose_name_is_part_of_anothers_has_logs_of_its_own(tmp_path: Path) -> None:
    for number in range(6):
        keep(engine(), replace(WEB, service="web-two", id=f"c{number}"), tmp_path, NONE)
    keep(engine(), WEB, tmp_path, NONE)
    assert sorted(path.name for path in kept(tmp_path))[-1] == "web-web.log"
    assert len(kept(tmp_path)) == 6


def test_a_log_that_somebody_removes_meanwhile_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "gone-1.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "web-1.log").write_text("")
    assert [path.name for path in kept(tmp_path)] == ["gone-1.log", "web-1.log"]


def test_there_are_no_kept_logs_before_any_was_kept(tmp_path: Path) -> None:
    assert kept(tmp_path / "nowhere") == []


def test_a_kept_log_that_is_not_all_text_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "llama-stack-0123.log"
    path.write_bytes(f"{T1} a".encode() + b"\xff")
    assert read_kept(path) == [Line(T1, "llama-stack", "a�")]
