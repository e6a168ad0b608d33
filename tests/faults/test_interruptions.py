"""Clients that are killed, interrupted, or not alone; containers that somebody else touches meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import lcompose_child
from tests.engine.stack import Stack, new_stack

TRIO = """
    services:
      init: {image: $IMAGE, command: touch /work/made, volumes: ["work:/work"]}
      db:
        image: $IMAGE
        init: true
        command: python3 -m http.server 8000
        x-lcompose: {probe: {port: 8000, scheme: tcp}}
      app:
        image: $IMAGE
        init: true
        command: python3 -m http.server 8000
        volumes: ["work:/work"]
        depends_on: {init: {condition: service_completed_successfully}, db: {condition: service_healthy}}
        x-lcompose: {probe: {port: 8000, path: /work/made}}
    volumes: {work: {}}
"""
RUNS = {"app": "running", "db": "running", "init": "exited 0"}

ENDLESS = """
    services:
      app: {image: $IMAGE, init: true, command: sleep 60, x-lcompose: {probe: {port: 8000}}}
"""


@pytest.fixture
def stack(engine: str, tmp_path: Path) -> Iterator[Stack]:
    found = new_stack(engine, tmp_path)
    try:
        yield found
    finally:
        found.sweep()


def child(stack: Stack, verb: str, *options: str) -> subprocess.Popen[str]:
    """lcompose as a process that a test can send signals to."""
    return lcompose_child(verb, *stack.named, *options, cwd=stack.folder, state=stack.state, env=stack.env)


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Waits until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def waiting(stack: Stack, *options: str) -> Iterator[subprocess.Popen[str]]:
    """An ``up`` that has started its only service, and waits for it in vain."""
    stack.write(ENDLESS)
    with child(stack, "up", "--wait-timeout", "60", *options) as process:
        try:
            until(lambda: stack.states() == {"app": "running"})
            time.sleep(0.5)
            yield process
        finally:
            process.kill()


def processes(word: str) -> list[str]:
    """The command lines of this machine that have a word in them, without this one's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


@dataclass(frozen=True)
class Kill:
    """When a client is killed: the command, and the part of its usual time that has passed."""

    verb: str
    part: float


def kills() -> list[Kill]:
    """Twenty moments, the same in every run."""
    dice = random.Random(4)
    return [Kill(verb, dice.random()) for verb in ("up", "down") for _ in range(10)]


def _killed(stack: Stack, kill: Kill, usual: dict[str, float]) -> None:
    stack.write(TRIO)
    if kill.verb == "down":
        stack.started()
    options = ["--volumes"] if kill.verb == "down" else []
    with child(stack, kill.verb, *options) as process:
        time.sleep(kill.part * usual[kill.verb])
        process.kill()
    stack.started()
    assert stack.states() == RUNS
    stack.ends()
    until(lambda: not processes(stack.project), 10)


def test_a_client_that_is_killed_at_any_moment_leaves_nothing_that_up_and_down_cannot_mend(
    engine: str, tmp_path: Path
) -> None:
    first = new_stack(engine, tmp_path)
    first.write(TRIO)
    usual = {"up": first.started().seconds, "down": first.down("--volumes").seconds}
    moments = kills()
    stacks = [new_stack(engine, tmp_path) for _ in moments]
    try:
        with ThreadPoolExecutor(4) as pool:
            tried = [pool.submit(_killed, stack, kill, usual) for stack, kill in zip(stacks, moments, strict=True)]
        wrong = {kill: one.exception() for kill, one in zip(moments, tried, strict=True) if one.exception()}
        assert wrong == {}
    finally:
        for stack in stacks:
            stack.sweep()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_up_says_what_is_left(number: signal.Signals, code: int, stack: Stack) -> None:
    with waiting(stack) as process:
        begun = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < 5
    assert process.returncode == code, err
    assert "app" in out + err, out + err
    assert "lcompose down" in out + err
    assert stack.states() == {"app": "running"}
    stack.ends()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_up_takes_down_what_it_made_if_it_is_told_to(
    number: signal.Signals, code: int, stack: Stack
) -> None:
    with waiting(stack, "--rollback") as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert stack.left() == {}


def test_of_three_at_once_one_acts_and_the_others_find_nothing_to_do(stack: Stack) -> None:
    stack.write(TRIO)
    three = [child(stack, "up") for _ in range(3)]
    said = [process.communicate(timeout=120) for process in three]
    assert [process.returncode for process in three] == [0, 0, 0], said
    assert sum("nothing to do" in out + err for out, err in said) == 2, said
    assert stack.states() == RUNS
    stack.ends()


def test_who_does_not_want_to_wait_for_the_lock_is_told_so(stack: Stack) -> None:
    with waiting(stack):
        did = stack.up("--no-wait-lock")
        assert did.code == 7, did.said
        assert did.seconds < 5
    stack.ends()


def test_a_killed_holder_of_the_lock_does_not_block(stack: Stack) -> None:
    with waiting(stack) as process:
        process.kill()
        process.wait()
    stack.write(ENDLESS.replace("command: sleep 60", "command: python3 -m http.server 8000"))
    stack.started("--no-wait-lock")
    stack.ends()


def test_a_container_that_is_removed_while_it_is_waited_for_is_told(stack: Stack) -> None:
    with waiting(stack) as process:
        stack.ask("rm", "--force", stack.container("app").id)
        begun = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 5, err
    assert time.monotonic() - begun < 8
    assert "removed" in err
    stack.ends()


def test_a_container_that_is_paused_while_it_is_waited_for_is_told_at_the_deadline(stack: Stack) -> None:
    with waiting(stack, "--wait-timeout", "8") as process:
        stack.ask("pause", stack.container("app").id)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 5, err
    assert "paused" in err
    stack.ends()
