"""``make demo`` on a machine without an engine: the whole main job, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment
from tests.real import uv_environment

NOWHERE = {"DOCKER_HOST": "unix:///nowhere", "CONTAINER_HOST": "unix:///nowhere"}
STEPS = ("render", "up", "status", "logs", "down")
LONGEST = 400


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """No engine answers, and state has a place of its own; at the end nothing of the demo may run."""
    yield clean_environment(XDG_STATE_HOME=str(tmp_path), **NOWHERE)
    lines = list(command_lines())
    assert [line for line in lines if "demo_standins.py" in line or str(tmp_path) in line] == []


def command_lines() -> Iterator[str]:
    """What runs on this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def demo(env: dict[str, str]) -> subprocess.Popen[str]:
    """The demo as ``make demo`` runs it."""
    argv = [sys.executable, "compose-examples/demo.py"]
    return subprocess.Popen(
        argv,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A runner that was started in the background ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def shown(env: dict[str, str]) -> str:
    """All that a demo shows that succeeds."""
    with demo(env) as child:
        out, _ = child.communicate(timeout=LONGEST)
    assert child.returncode == 0, out
    return out


def check(out: str) -> None:
    """All of the main job is there, in order, with an answer, and in time."""
    places = [out.index(f"$ lcompose {step} ") for step in STEPS]
    assert places == sorted(places)
    assert "mock: What is OpenShift?" in out
    assert out.count("ready  healthy") == 2
    took = float(out.partition("Rendering, starting, asking and stopping took ")[2].partition(" s.")[0])
    assert took < 30


def test_the_real_llama_stack_runs_where_it_can_be_had(env: dict[str, str]) -> None:
    out = shown(env | uv_environment())
    if "cannot be had: uv does not bring it" in out:
        pytest.skip("the package index cannot be reached")
    assert "Llama Stack is the real server" in out
    assert "ogx==1.2.5" in out
    check(out)


def test_without_an_index_a_stand_in_takes_its_place_and_that_is_said(env: dict[str, str], tmp_path: Path) -> None:
    out = shown(env | {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")})
    assert "Llama Stack cannot be had: uv" in out
    assert "it is a small stand-in" in out
    check(out)


def test_ctrl_c_takes_down_what_was_started(env: dict[str, str], tmp_path: Path) -> None:
    with demo(env | {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}) as child:
        assert child.stdout
        for line in child.stdout:
            if "is ready after" in line:
                break
        os.kill(child.pid, signal.SIGINT)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 130, out
    assert "lcompose-demo is down" in out
