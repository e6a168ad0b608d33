"""What outlives a command: read back as it was written, and never a reason to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.errors import MachineError, UsageError
from lcompose.memory import EVENTS, MOST_EVENTS, OLD_EVENTS, STATE, history, load, record, save
from lcompose.spec.events import Transition
from lcompose.spec.project import Dependency, Healthcheck, Probe
from lcompose.spec.run import Gated, Memory, Remembered
from lcompose.spec.secrets import Secrets

WEB = Remembered(
    digest="0123",
    containers=("a", "b"),
    done=("b",),
    gated=Gated(
        "web",
        probe=Probe(8080, "/readiness", field="overall_status", expected="healthy"),
        check=Healthcheck(("CMD", "true"), interval=1.5),
        depends=(Dependency("db", "healthy"), Dependency("init", "completed", required=False)),
        role="server",
        replicas=2,
    ),
    parts=(("image", "4567"), ("command", "89ab")),
)
DB = Remembered(digest="4567", containers=("c",))
MEMORY = Memory({"web": WEB, "db": DB})
STARTED = Transition(1000.25, "web", "offline", "starting", "asked for", "a")
READY = Transition(1002.5, "web", "starting", "ready", "HTTP 200", "a")
FAR = b'{"time": 1e15, "service": "web", "before": "ready", "after": "error"}'
DEAD = Transition(1003.0, "db", "ready", "error", "it exited with code 3", "c")


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    save(tmp_path, MEMORY)
    assert load(tmp_path) == MEMORY


def test_a_memory_is_for_its_owner_and_says_its_version(tmp_path: Path) -> None:
    save(tmp_path, MEMORY)
    assert (tmp_path / STATE).stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / STATE).read_text())["version"] == 1
    assert os.listdir(tmp_path) == [STATE]


def test_where_nothing_was_saved_nothing_is_remembered(tmp_path: Path) -> None:
    assert load(tmp_path) == Memory()
    assert load(tmp_path / "absent") == Memory()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2, "services": {}}',
        '{"services": {}}',
        '{"version": 1, "services": []}',
        "\0" * 100,
        "[" * 100_000,
        '{"version": ' + "9" * 5000 + "}",
    ],
)
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE).write_text(text)
    assert load(tmp_path) == Memory()


def test_what_is_no_text_or_no_file_is_an_empty_memory(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"\xff\xfe\x00")
    assert load(tmp_path) == Memory()
    (tmp_path / STATE).unlink()
    (tmp_path / STATE).mkdir()
    assert load(tmp_path) == Memory()


def saved(tmp_path: Path) -> Any:
    """The tree of JSON that the memory is saved as."""
    save(tmp_path, MEMORY)
    return json.loads((tmp_path / STATE).read_text())


def loaded(tmp_path: Path, tree: Any) -> Memory:
    """The memory that a tree of JSON is."""
    (tmp_path / STATE).write_text(json.dumps(tree))
    return load(tmp_path)


def test_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    tree = saved(tmp_path)
    tree["later"] = tree["services"]["web"]["later"] = tree["services"]["web"]["gated"]["later"] = {"a": [1]}
    assert loaded(tmp_path, tree) == MEMORY


def test_fields_that_an_earlier_version_did_not_have_are_as_by_default(tmp_path: Path) -> None:
    tree = saved(tmp_path)
    del tree["services"]["db"]["parts"], tree["services"]["web"]["gated"]["replicas"]
    assert WEB.gated
    web = replace(WEB, gated=replace(WEB.gated, replicas=1))
    assert loaded(tmp_path, tree) == Memory({"web": web, "db": DB})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("digest",), 5),
        (("digest",), "\ud800"),
        (("containers",), "abc"),
        (("containers",), [1]),
        (("parts",), [["image"]]),
        (("parts",), {"image": "4567"}),
        (("gated",), []),
        (("gated", "name"), None),
        (("gated", "name"), "db"),
        (("gated", "replicas"), True),
        (("gated", "replicas"), 1.5),
        (("gated", "replicas"), 10**400),
        (("gated", "role"), "master"),
        (("gated", "role"), []),
        (("gated", "built"), "no"),
        (("gated", "probe", "port"), "8080"),
        (("gated", "probe", "scheme"), "ftp"),
        (("gated", "check", "interval"), float("nan")),
        (("gated", "check", "interval"), 10**400),
        (("gated", "depends"), [{"service": "db", "condition": "happy"}]),
        (("gated", "depends"), [{}]),
    ],
)
def test_a_value_of_a_wrong_type_makes_that_service_forgotten(
    tmp_path: Path, path: tuple[str, ...], value: Any
) -> None:
    tree = saved(tmp_path)
    place = tree["services"]["web"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert loaded(tmp_path, tree) == Memory({"db": DB})


@given(place=st.integers(0, 10_000), new=st.binary(max_size=3), removed=st.integers(0, 3))
def test_whatever_bytes_are_changed_a_memory_can_be_loaded(
    tmp_path: Path, place: int, new: bytes, removed: int
) -> None:
    save(tmp_path, MEMORY)
    path = tmp_path / STATE
    whole = path.read_bytes()
    at = place % len(whole)
    path.write_bytes(whole[:at] + new + whole[at + removed :])
    for name, one in load(tmp_path).services.items():
        assert isinstance(one, Remembered)
        f"{name} {one}".encode()


@given(cut=st.integers(0, 10_000))
def test_a_memory_that_ends_too_early_can_be_loaded(tmp_path: Path, cut: int) -> None:
    save(tmp_path, MEMORY)
    path = tmp_path / STATE
    path.write_bytes(path.read_bytes()[:cut])
    assert load(tmp_path) in (Memory(), MEMORY)


def test_how_a_service_is_judged_is_left_out_where_it_holds_a_secret(tmp_path: Path) -> None:
    secret = 'p"w\\d'
    check = Healthcheck(("CMD-SHELL", f"redis-cli -a {secret} ping"))
    cache = Remembered("1", ("d",), gated=Gated("cache", check=check))
    save(tmp_path, Memory({"web": WEB, "cache": cache}), Secrets({"PASSWORD": secret}).redact)
    assert load(tmp_path) == Memory({"web": WEB, "cache": replace(cache, gated=None)})
    assert "redis-cli" not in (tmp_path / STATE).read_text()


def test_a_memory_that_cannot_be_written_is_told_with_a_way_out(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("a file where the folder should be")
    with pytest.raises(UsageError, match="cannot be written") as caught:
        save(place, MEMORY)
    assert "XDG_STATE_HOME" in caught.value.fix


FULL = "/dev/full"


@pytest.mark.skipif(not os.path.exists(FULL), reason="needs a device that is always full")
def test_a_full_disk_is_told_as_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, mode=0o777: opened(FULL, os.O_WRONLY))
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    with pytest.raises(MachineError, match="no space left"):
        save(tmp_path, MEMORY)


def test_a_killed_save_leaves_the_memory_that_was_there(tmp_path: Path) -> None:
    save(tmp_path, MEMORY)
    code = (
        "import os, sys; from pathlib import Path; from lcompose.memory import Memory, save\n"
        "Path.replace = lambda *_: os._exit(9)\n"
        "save(Path(sys.argv[1]), Memory())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == 9
    assert load(tmp_path) == MEMORY


def test_a_history_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    record(tmp_path, [STARTED, READY])
    record(tmp_path, [DEAD])
    assert history(tmp_path) == [STARTED, READY, DEAD]
    assert (tmp_path / EVENTS).stat().st_mode & 0o777 == 0o600


def test_a_history_makes_its_folder_and_nothing_makes_none(tmp_path: Path) -> None:
    place = tmp_path / "engine" / "project"
    record(place, [])
    assert not place.exists()
    assert history(place) == []
    record(place, [STARTED])
    assert place.stat().st_mode & 0o777 == 0o700


def test_what_two_commands_saw_is_told_once(tmp_path: Path) -> None:
    record(tmp_path, [STARTED, replace(STARTED, time=1000.3, before="error", cause="seen"), READY, READY, DEAD])
    assert history(tmp_path) == [STARTED, READY, DEAD]


@pytest.mark.parametrize(
    "damage",
    [b"{", b"[]", b"\xff\xfe", b"\0\0\0", b'{"time": "now"}', b'{"time": NaN}', FAR, b"[" * 100_000, b""],
)
def test_damaged_lines_are_left_out(tmp_path: Path, damage: bytes) -> None:
    record(tmp_path, [STARTED])
    with (tmp_path / EVENTS).open("ab") as stream:
        stream.write(damage + b"\n")
    record(tmp_path, [READY])
    assert history(tmp_path) == [STARTED, READY]


def test_a_line_that_was_cut_off_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    record(tmp_path, [STARTED])
    with (tmp_path / EVENTS).open("ab") as stream:
        stream.write(b'{"time": 1001.0, "serv')
    record(tmp_path, [READY])
    assert history(tmp_path) == [STARTED, READY]


def test_a_long_history_keeps_one_old_file(tmp_path: Path) -> None:
    states = ("ready", "error")
    long = [Transition(float(at), "web", states[at % 2], states[(at + 1) % 2], "x" * 1000) for at in range(400)]
    for start in range(0, 2800, 400):
        record(tmp_path, [replace(one, time=one.time + start) for one in long])
    assert sorted(os.listdir(tmp_path)) == [OLD_EVENTS, EVENTS]
    found = history(tmp_path)
    assert (tmp_path / EVENTS).stat().st_size <= MOST_EVENTS
    assert found[-1].time == 2799
    assert len(found) > 1000
    assert [one.time for one in found] == [float(at) for at in range(2800 - len(found), 2800)]


def test_several_commands_may_record_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lcompose.memory import Transition, record\n"
        "for at in range(200):\n"
        "    record(Path(sys.argv[1]), [Transition(at, sys.argv[2], 'a', str(at), 'x' * 2000)])"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abcd"]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    found = history(tmp_path)
    for name in "abcd":
        assert [one.after for one in found if one.service == name] == [str(at) for at in range(200)]


def test_a_history_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / EVENTS).mkdir()
    record(tmp_path, [STARTED])
    record(tmp_path / EVENTS / "x" / ("y" * 300), [STARTED])
    assert history(tmp_path) == []
