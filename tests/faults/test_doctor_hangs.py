"""The doctor where what it asks hangs: it ends all the same, and says what hangs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Lcompose, lcompose_child

# Seconds for one question to an engine, and what the rest takes.
ENOUGH = 15
FILE = 'services: {app: {image: "quay.io/nobody/nothing:1", ports: ["127.0.0.1:1:1"]}}\n'


def hanging(folder: Path, engine: str, word: str) -> str:
    """A path on which an engine's program hangs where its arguments have a word; none has every word."""
    folder.mkdir(exist_ok=True)
    real = shutil.which(engine)
    path = folder / engine
    path.write_text(f'#!/bin/sh\ncase " $* " in *"{word}"*) exec sleep 613;; esac\nexec {real} "$@"\n')
    path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def answer(report: dict[str, Any], engine: str) -> dict[str, str]:
    """What is said of whether an engine answers."""
    (found,) = (one for one in report["findings"] if one["id"] == "engine.answers" and one["subject"] == engine)
    return dict(found)


def left() -> list[str]:
    """Programs of ours that still hang."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if line.strip() == "sleep 613"]


def test_an_engine_that_hangs_is_a_finding_and_no_hang(engine: str, lcompose: Lcompose, tmp_path: Path) -> None:
    begun = time.monotonic()
    env = {"PATH": hanging(tmp_path / "bin", engine, " ")}
    ran = lcompose("doctor", "--json", "--engine", engine, cwd=tmp_path, env=env)
    found = answer(json.loads(ran.out), engine)
    assert (ran.code, found["state"]) == (4, "error")
    assert found["what"].endswith("hangs: it does not answer in time")
    assert (time.monotonic() - begun < ENOUGH, left()) == (True, [])


def test_another_engine_is_used_where_one_hangs(docker: str, podman: str, lcompose: Lcompose, tmp_path: Path) -> None:
    ran = lcompose("doctor", "--json", cwd=tmp_path, env={"PATH": hanging(tmp_path / "bin", docker, " ")})
    report = json.loads(ran.out)
    assert (ran.code, report["engine"], answer(report, docker)["state"]) == (0, podman, "warning")


@pytest.mark.parametrize("word", ["info", "ps", "compose", "config", "image", "context", "version"])
def test_docker_may_hang_in_any_question(docker: str, word: str, lcompose: Lcompose, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(FILE)
    begun = time.monotonic()
    env = {"PATH": hanging(tmp_path / "bin", docker, word)}
    ran = lcompose("doctor", "--json", "-f", "c.yaml", "--engine", docker, cwd=tmp_path, env=env)
    assert (ran.code in (0, 4), time.monotonic() - begun < ENOUGH + 10, left()) == (True, True, [])
    assert {one["id"] for one in json.loads(ran.out)["findings"]} >= {"engine.answers", "stack.configuration"}


def test_the_deadline_is_for_all_of_it(docker: str, lcompose: Lcompose, tmp_path: Path) -> None:
    begun = time.monotonic()
    env = {"PATH": hanging(tmp_path / "bin", docker, " ")}
    ran = lcompose("doctor", "--timeout", "1", "--engine", docker, cwd=tmp_path, env=env)
    assert (ran.code, time.monotonic() - begun < 4) == (4, True)


def test_a_gpu_tool_that_hangs_delays_and_does_no_more(lcompose: Lcompose, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("nvidia-smi", "nvidia-ctk", "rocm-smi", "amd-smi"):
        (folder / name).write_text("#!/bin/sh\nexec sleep 613\n")
        (folder / name).chmod(0o755)
    begun = time.monotonic()
    ran = lcompose("doctor", "--json", cwd=tmp_path, env={"PATH": f"{folder}:{os.environ['PATH']}"})
    assert (ran.code in (0, 4), time.monotonic() - begun < 25, left()) == (True, True, [])


def test_interrupted_it_leaves_no_program_behind(docker: str, state: Path, tmp_path: Path) -> None:
    child = lcompose_child("doctor", cwd=tmp_path, state=state, env={"PATH": hanging(tmp_path / "bin", docker, " ")})
    time.sleep(2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, "Traceback" in out + err, left()) == (130, False, [])
