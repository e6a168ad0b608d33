"""Limits of processes are kept by the kernel where it can be had, and where it cannot, that is said."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lcompose import host
from lcompose.cli.up import command as up
from lcompose.engines import local_limits
from lcompose.engines.local_limits import Enforcement, Surroundings
from tests.native import PROJECT, Native, native, wait_until

LIGHTSPEED = """
name: here
service: {port: 18080}
ogx: {url: "http://localhost:18321"}
user_data_collection: {}
runtime: local
"""
SETTINGS = """
services:
  lightspeed-stack: {local: {command: sh, limits: {memory: 100m}}}
  llama-stack: {local: {command: sh}, limits: {cpus: "1.5", pids: 99}}
"""
# Half of it in a child of its own: the limit is of all together.
HUNGRY = """
import os, time
held = bytearray(60 * 2**20)
if os.fork():
    os.wait()
    time.sleep(60)
more = bytearray(80 * 2**20)
print("too much", flush=True)
time.sleep(60)
"""
BUSY = "exec python3 -c 'while True: pass'"
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Native]:
    with native(tmp_path) as project:
        yield project


def kept_or_skip(here: Native, limit: str) -> None:
    """Skips where the limit is not kept here, and that was said."""
    missing = [line for line in here.engine.unenforced(PROJECT) if limit in line]
    if missing:
        assert [line for line in here.told if missing[0] in line]
        pytest.skip(missing[0])


def test_a_limit_of_memory_is_one_of_a_process_and_all_its_children(here: Native) -> None:
    one = here.create({"web": {"command": ["python3", "-c", HUNGRY], "limits": {"memory": "100m"}}})["web"]
    kept_or_skip(here, "memory")
    here.engine.start(one.id)
    wait_until(lambda: "oom_kill 1" in _counted(here, one.id) or here.of(one.id).state == "exited", 20)
    assert "too much" not in here.said(one.id)


def _counted(here: Native, container: str) -> str:
    """What the kernel counts of kills in the groups of a process."""
    texts = []
    for folder, _ in here.engine._limits(here.kept(container)).groups:
        texts += [
            path.read_text() for path in Path(folder).glob("memory.*") if path.name.endswith(("events", "control"))
        ]
    return " ".join(texts)


def test_within_its_limit_of_memory_a_process_is_left_alone(here: Native) -> None:
    script = "python3 -c 'held = bytearray(40 * 2**20); print(len(held))'"
    ended = here.ended(here.started(script, limits={"memory": "100m"}), 20)
    assert (ended.exit_code, ended.oom_killed) == (0, False)


def test_a_limit_of_processors_is_kept(here: Native) -> None:
    container = here.web(BUSY, limits={"cpus": "0.2"})
    kept_or_skip(here, "cpus")
    here.engine.start(container)
    pid = here.state(container).pid[0]
    before, begun = spent(pid), time.monotonic()
    time.sleep(1.5)
    share = (spent(pid) - before) / (time.monotonic() - begun)
    assert 0.02 < share < 0.3


def test_a_group_that_cannot_be_made_is_told_in_the_log(here: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    impossible = Enforcement(groups=((f"{here.folder}/processes.yaml/group", (("memory.max", "1"),)),))
    container = here.web("echo up; exec sleep 1000", limits={"memory": "100m"})
    monkeypatch.setattr("lcompose.engines.local.enforcement", lambda *_: impossible)
    here.engine.start(container)
    wait_until(lambda: "up" in here.said(container))
    said = f"lcompose: its limits cannot be enforced: {here.folder}/processes.yaml/group: Not a directory"
    assert here.said(container) == [said, "up"]


def spent(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def test_what_nobody_enforces_here_is_a_warning_of_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (tmp_path / "run.yaml").write_text("distro_name: a\nproviders: {}\n")
    (tmp_path / "lcompose.yaml").write_text(SETTINGS)
    nothing = Surroundings({"PATH": ""}, 1000, tmp_path / "nothing")
    monkeypatch.setattr(local_limits, "here", lambda env: nothing)
    env = {"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path / "state")}
    done = CliRunner().invoke(up, ["-C", str(tmp_path), "-p", "here", "--dry-run"], env=env)
    host.limit(None)
    assert done.exit_code == 0, done.output
    for line in (
        "lightspeed-stack: the limit memory 100m: nothing on this machine enforces it for this user",
        "llama-stack: the limit cpus 1.5: nothing on this machine enforces it for this user",
        "llama-stack: the limit pids 99: nothing on this machine enforces it for this user",
    ):
        assert f"warning: {line}" in done.output
