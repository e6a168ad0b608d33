"""Logs that outlive their containers: each line once, and a word about each that is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError, MachineError, UsageError
from lcompose.logs import collect, collect_all, files, kept, read_kept, say_missing, service_of
from lcompose.spec.run import Container
from lcompose.spec.secrets import Secrets
from tests.unit.given import T1, T2, T3, container

NONE = Secrets({})
CREATED = 1735689600.0
WEB, DB = container("web", created=CREATED), container("db", created=CREATED)
GONE = EngineError("docker logs failed: No such container: web")
REMOVED = "the container was removed by something else than lcompose"


def engine(**printed: str) -> FakeEngine:
    """An engine whose containers printed this."""
    return FakeEngine(printed=printed)


def texts(directory: Path) -> list[str]:
    """What is kept, oldest first."""
    return [line.text for path in kept(directory) for line in read_kept(path)]


def test_a_log_is_kept_for_its_owner_with_secrets_left_out(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} key=abcdef\n")
    path = collect(fake, WEB, tmp_path / "logs", Secrets({"API_KEY": "abcdef"}))
    assert path == tmp_path / "logs" / "web" / "20250101T000000Z-web.log"
    assert path.read_text() == f"{T1} key=<API_KEY>\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert service_of(path) == "web"
    assert (path.parent / "latest.log").resolve() == path.resolve()


def test_what_comes_later_is_added(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n{T1} b\n")
    collect(fake, WEB, tmp_path, NONE)
    collect(fake, WEB, tmp_path, NONE)
    fake.printed["web"] += f"{T1} c\n{T2} d\n"
    path = collect(fake, WEB, tmp_path, NONE)
    assert path.read_text() == f"{T1} a\n{T1} b\n{T1} c\n{T2} d\n"


def test_a_container_that_printed_nothing_has_an_empty_log(tmp_path: Path) -> None:
    assert collect(engine(), WEB, tmp_path, NONE).read_text() == ""


def test_what_the_engine_rotated_away_is_said_once(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n")
    collect(fake, WEB, tmp_path, NONE)
    fake.printed["web"] = f"{T3} c\n"
    collect(fake, WEB, tmp_path, NONE)
    collect(fake, WEB, tmp_path, NONE)
    lost = f"# lcompose: lines are lost here: between {T1} and {T3}, the engine does not have them any more"
    assert texts(tmp_path) == ["a", lost, "c"]


def test_a_log_that_was_emptied_is_said_once(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n")
    collect(fake, WEB, tmp_path, NONE)
    fake.printed["web"] = ""
    collect(fake, WEB, tmp_path, NONE)
    collect(fake, WEB, tmp_path, NONE)
    lost = f"# lcompose: lines are lost here: after {T1}, the engine does not have them any more"
    assert texts(tmp_path) == ["a", lost]
    fake.printed["web"] = f"{T2} b\n"
    collect(fake, WEB, tmp_path, NONE)
    assert texts(tmp_path) == ["a", lost, "b"]


def test_a_line_without_an_end_is_kept_and_completed_later(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n{T2} ha")
    path = collect(fake, WEB, tmp_path, NONE)
    assert path.read_text() == f"{T1} a\n{T2} ha"
    collect(fake, WEB, tmp_path, NONE)
    assert path.read_text() == f"{T1} a\n{T2} ha"
    fake.printed["web"] = f"{T1} a\n{T2} half\n{T3} b\n"
    collect(fake, WEB, tmp_path, NONE)
    assert path.read_text() == f"{T1} a\n{T2} half\n{T3} b\n"


def test_a_line_without_an_end_whose_end_is_lost_stays(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n{T2} ha")
    path = collect(fake, WEB, tmp_path, NONE)
    fake.printed["web"] = f"{T3} b\n"
    collect(fake, WEB, tmp_path, NONE)
    assert [line.text for line in read_kept(path)][:2] == ["a", "ha"]
    assert path.read_text().endswith(f"\n{T3} b\n")


def test_a_line_without_an_end_is_waited_for_while_its_container_runs(tmp_path: Path) -> None:
    path = collect(engine(web=f"{T1} a\n{T2} ha"), WEB, tmp_path, NONE, last=False)
    assert path.read_text() == f"{T1} a\n"


@pytest.mark.parametrize("record", ["", "{", "[]", '{"version": 99}', '{"version": 1, "cursor": {}}', None])
def test_a_log_goes_on_where_its_record_is_damaged_or_away(record: str | None, tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n{T2} b\n")
    path = collect(fake, WEB, tmp_path, NONE)
    beside = path.parent / ".web.json"
    beside.unlink() if record is None else beside.write_text(record)
    fake.printed["web"] += f"{T3} c\n"
    collect(fake, WEB, tmp_path, NONE)
    assert texts(tmp_path) == ["a", "b", "c"]


def test_lines_that_were_written_before_a_crash_are_not_written_again(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n")
    path = collect(fake, WEB, tmp_path, NONE)
    with path.open("a") as stream:
        stream.write(f"{T2} b\n{T3[:9]}")
    fake.printed["web"] += f"{T2} b\n{T3} c\n"
    collect(fake, WEB, tmp_path, NONE)
    assert path.read_text() == f"{T1} a\n{T2} b\n{T3} c\n"


def test_kept_files_that_somebody_removed_begin_anew(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n")
    collect(fake, WEB, tmp_path, NONE).unlink()
    collect(fake, WEB, tmp_path, NONE)
    assert texts(tmp_path) == ["a"]


def test_a_big_log_goes_on_in_another_file_and_the_oldest_are_put_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 200)
    monkeypatch.setattr(files, "MOST_FILES", 3)
    fake = engine(web="")
    for number in range(10, 20):
        fake.printed["web"] += f"2025-01-01T00:00:{number}.000000000Z {'x' * 90} {number}\n"
        collect(fake, WEB, tmp_path, NONE)
        assert len(kept(tmp_path)) <= 3
    first, *rest = texts(tmp_path)
    assert first == "# lcompose: earlier lines were put away: of one container, the newest files are kept"
    assert [line[-2:] for line in rest] == [str(number) for number in range(20 - len(rest), 20)]
    assert (tmp_path / "web" / "latest.log").resolve() == kept(tmp_path)[-1].resolve()
    assert all(path.stat().st_size <= 200 for path in kept(tmp_path))


def test_a_new_file_without_a_line_yet_goes_on_from_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 60)
    fake = engine(web=f"{T1} a\n{T2} b\n")
    path = collect(fake, WEB, tmp_path, NONE)
    path.with_name("20250101T000001Z-web.log").write_text(f"# lcompose: goes on from {path.name}\n")
    fake.printed["web"] += f"{T3} c\n"
    collect(fake, WEB, tmp_path, NONE)
    assert texts(tmp_path) == ["a", "b", "c"]


def test_the_logs_of_the_last_five_containers_of_a_name_are_kept(tmp_path: Path) -> None:
    for number in range(7):
        fake = engine(**{f"c{number}": f"{T1} c{number}\n", f"r{number}": f"{T1} r{number}\n"})
        for prefix in "cr":
            one = replace(WEB, id=f"{prefix}{number}", name=prefix, created=CREATED + number)
            collect(fake, one, tmp_path, NONE)
    assert sorted(texts(tmp_path)) == [*(f"c{number}" for number in range(2, 7)), *(f"r{n}" for n in range(2, 7))]
    assert len(list((tmp_path / "web").glob(".*.json"))) == 10


@pytest.mark.parametrize("service", ["", ".", "..", "../web", "a/b", "-a", ".hidden", "ä", "a b", "a\n", "x" * 201])
def test_a_service_that_would_lead_elsewhere_is_refused(service: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        collect(engine(), replace(WEB, service=service), tmp_path / "logs", NONE)
    assert caught.value.what.startswith("no log is kept of a service called ")
    assert os.listdir(tmp_path) == []


def test_a_service_of_somebody_elses_file_may_have_capitals_and_dots(tmp_path: Path) -> None:
    path = collect(engine(web=f"{T1} a\n"), replace(WEB, service="My.Web_1-a"), tmp_path, NONE)
    assert path.parent == tmp_path / "My.Web_1-a"


def test_a_log_that_cannot_be_written_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the place of the folder")
    with pytest.raises(MachineError) as caught:
        collect(engine(web=T1), WEB, tmp_path / "logs", NONE)
    assert caught.value.what.startswith("a log cannot be kept: ")
    assert "XDG_STATE_HOME" in caught.value.fix


def test_an_engine_that_fails_is_an_error_and_what_came_is_kept(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n")
    collect(fake, WEB, tmp_path, NONE)
    fake.failures = {"stream": EngineError("docker is not there any more")}
    with pytest.raises(EngineError, match="not there any more"):
        collect(fake, WEB, tmp_path, NONE)
    assert texts(tmp_path) == ["a"]


def test_several_logs_are_kept_and_those_that_cannot_be_are_told(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n", db=f"{T1} b\n")
    fake.failures = {"stream db": EngineError("docker logs failed: no")}
    bad = replace(WEB, service="..")
    assert collect_all(fake, [WEB, DB, bad], tmp_path, NONE) == [
        "the log of db could not be kept: docker logs failed: no",
        "the log of .. could not be kept: no log is kept of a service called '..'",
    ]
    assert texts(tmp_path) == ["a"]


def removed_by_others(fake: FakeEngine) -> FakeEngine:
    """The engine after somebody removed its container."""
    fake.failures = {"stream web": GONE}
    return fake


def test_a_container_that_somebody_else_removed_is_said_once(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n")
    collect_all(fake, [WEB], tmp_path, NONE)
    removed_by_others(fake)
    assert collect_all(fake, [], tmp_path, NONE) == []
    assert say_missing(fake, [], tmp_path) == []
    assert texts(tmp_path) == ["a", f"# lcompose: lines are lost here: after {T1}, {REMOVED}"]


def test_one_that_goes_away_while_it_is_read_is_said_too(tmp_path: Path) -> None:
    collect(removed_by_others(engine()), WEB, tmp_path, NONE)
    assert texts(tmp_path) == [f"# lcompose: lines are lost here: from its first line on, {REMOVED}"]


def test_a_container_that_we_removed_or_that_had_ended_lost_nothing(tmp_path: Path) -> None:
    ended: list[Container] = [WEB, replace(WEB, state="exited")]
    for number, one in enumerate(ended):
        place, fake = tmp_path / str(number), engine(web=f"{T1} a\n")
        collect(fake, one, place, NONE, last=number == 0)
        say_missing(removed_by_others(fake), [], place)
        assert texts(place) == ["a"]


def test_a_container_that_is_only_not_asked_for_is_not_said_to_be_gone(tmp_path: Path) -> None:
    fake = engine(web=f"{T1} a\n")
    collect_all(fake, [WEB], tmp_path, NONE)
    collect_all(fake, [DB], tmp_path, NONE)
    fake.failures = {"stream": EngineError("docker does not answer")}
    say_missing(fake, [], tmp_path)
    assert texts(tmp_path) == ["a"]


def test_there_are_no_kept_logs_before_any_was_kept(tmp_path: Path) -> None:
    assert kept(tmp_path / "nowhere") == []
    (tmp_path / "logs" / "web").mkdir(parents=True)
    (tmp_path / "logs" / "notes.txt").touch()
    (tmp_path / "logs" / "web" / "latest.log").symlink_to("nowhere")
    assert kept(tmp_path / "logs") == []
