"""The bundle for a bug report: all that is needed, no secret, and whole or not there."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose import archive
from lcompose.archive import safe_name, write
from lcompose.errors import MachineError
from lcompose.memory import record
from lcompose.spec.events import Transition
from lcompose.spec.secrets import Secrets

SECRET = 'k"ey\\1'
SECRETS = Secrets({"API_KEY": SECRET})
NOTHING: dict[str, Any] = {"report": "", "states": {}, "files": {}, "versions": {}, "secrets": SECRETS}


@dataclass(frozen=True)
class Unpacked:
    """An archive: its top folder, and the text of each file below it."""

    top: str
    files: dict[str, str]


def unpacked(path: Path) -> Unpacked:
    """What is in an archive; all of it must be in one folder that is called as the archive is."""
    with tarfile.open(path) as tar:
        members = {one.name: tar.extractfile(one) for one in tar.getmembers()}
        found = {name: stream.read().decode() for name, stream in members.items() if stream}
    [top] = {name.split("/")[0] for name in found}
    assert path.name == f"{top}.tar.gz"
    return Unpacked(top, {name.removeprefix(f"{top}/"): text for name, text in found.items()})


def log(place: Path, service: str, name: str, text: str) -> None:
    """A kept log."""
    path = place / "logs" / service / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_bundle_has_what_a_bug_report_needs(tmp_path: Path) -> None:
    record(tmp_path, [Transition(1.5, "web", "ready", "error", f"it said {SECRET}", "c1")])
    log(tmp_path, "web", "20250101T000000Z-0123456789ab.log", f"2025-01-01T00:00:00Z key {SECRET}\n")
    path = write(
        tmp_path,
        report=f"a service failed: {SECRET}",
        states={"web": {"state": "error", "detail": SECRET, "restarts": 3, "ports": ("8080", None)}},
        files={"compose.yaml": f"services: {SECRET}", "config/run.yaml": "version: 2"},
        versions={"docker": "26.1.5", "compose": "2.26.1"},
        secrets=SECRETS,
    )
    found = unpacked(path).files
    assert json.loads(found.pop("states.json")) == {
        "web": {"state": "error", "detail": "<API_KEY>", "restarts": 3, "ports": ["8080", None]}
    }
    assert json.loads(found.pop("events.jsonl"))["cause"] == "it said <API_KEY>"
    assert json.loads(found.pop("versions.json")) == {"docker": "26.1.5", "compose": "2.26.1"}
    assert found == {
        "report.txt": "a service failed: <API_KEY>",
        "files/compose.yaml": "services: <API_KEY>",
        "files/config/run.yaml": "version: 2",
        "logs/web.log": "2025-01-01T00:00:00Z key <API_KEY>\n",
    }


def test_a_bundle_is_for_its_owner_and_its_members_belong_to_nobody(tmp_path: Path) -> None:
    path = write(tmp_path, **NOTHING)
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        assert {(one.mode, one.uid, one.gid, one.isfile()) for one in tar.getmembers()} == {(0o600, 0, 0, True)}


def test_the_newest_log_of_each_service_is_in_it(tmp_path: Path) -> None:
    for service in ("web", "db"):
        for at, name in enumerate(("20250101T000000Z-0123456789ab.log", "20250102T000000Z-ba9876543210.log")):
            log(tmp_path, service, name, f"{service} {at}\n")
            os.utime(tmp_path / "logs" / service / name, (at, at))
    found = unpacked(write(tmp_path, **NOTHING)).files
    assert {name: text for name, text in found.items() if name.startswith("logs/")} == {
        "logs/db.log": "db 1\n",
        "logs/web.log": "web 1\n",
    }


def test_of_a_long_log_the_last_lines_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_OF_A_LOG", 30)
    log(tmp_path, "web", "20250101T000000Z-0123456789ab.log", "".join(f"line {at:03}\n" for at in range(10)))
    found = unpacked(write(tmp_path, **NOTHING)).files
    assert found["logs/web.log"] == "(the first 60 bytes are left out)\nline 007\nline 008\nline 009\n"


def test_the_last_five_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "failures").mkdir()
    (tmp_path / "failures" / "mine.txt").write_text("")
    made = [write(tmp_path, **NOTHING) for _ in range(7)]
    assert sorted((tmp_path / "failures").glob("*.tar.gz")) == made[2:]
    assert (tmp_path / "failures" / "mine.txt").exists()


def test_what_a_killed_command_left_behind_is_removed(tmp_path: Path) -> None:
    (tmp_path / "failures").mkdir()
    left = tmp_path / "failures" / ".20250101T000000.000000Z.tar.gz.0123abcd.tmp"
    left.write_text("half")
    write(tmp_path, **NOTHING)
    assert not left.exists()


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "_add", fail)
    with pytest.raises(MachineError, match="No space left on device") as caught:
        write(tmp_path, **NOTHING)
    assert "XDG_STATE_HOME" in caught.value.fix
    assert os.listdir(tmp_path / "failures") == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "failures").write_text("a file")
    with pytest.raises(MachineError, match="cannot be written"):
        write(tmp_path, **NOTHING)


def test_a_file_that_is_half_a_character_is_written_all_the_same(tmp_path: Path) -> None:
    found = unpacked(write(tmp_path, **{**NOTHING, "report": "a\ud800b"})).files
    assert found["report.txt"] == "a?b"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("compose.yaml", "compose.yaml"),
        ("config/run.yaml", "config/run.yaml"),
        ("/etc/passwd", "etc/passwd"),
        ("../../x", "x"),
        ("a/../../b", "a/b"),
        ("c:\\x", "c__x"),
        ("a\nb\0c", "a_b_c"),
        ("", "unnamed"),
        ("..", "unnamed"),
    ],
)
def test_a_name_leads_nowhere_else(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(name=st.text())
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    parts = safe_name(name).split("/")
    assert ".." not in parts and "" not in parts and "." not in parts
