"""A disk for state and logs that is full before, or gets full while a stack runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.stack import Stack, new_stack

CHATTY = """
    services:
      app:
        image: $IMAGE
        init: true
        command: sh -c "seq 200000; touch /tmp/ok; exec sleep 60"
        healthcheck: {test: ["CMD", "test", "-f", "/tmp/ok"], interval: 0.3s, retries: 1000}
"""
BROKEN = """
    services:
      app: {image: $IMAGE, command: sh -c "seq 200000; echo my last words; exit 3"}
"""

Small = Callable[[str], Stack]


@pytest.fixture
def on_disk_of(engine: str, tmp_path: Path) -> Iterator[Small]:
    """A stack whose state is on a small file system of its own."""
    mounted: list[Stack] = []

    def mount(size: str) -> Stack:
        stack = new_stack(engine, tmp_path)
        argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(stack.state)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        mounted.append(stack)
        return stack

    try:
        yield mount
    finally:
        for stack in mounted:
            subprocess.run(["umount", "--lazy", str(stack.state)], check=True)
            stack.sweep()


def fill(stack: Stack) -> None:
    """Leaves no room at all."""
    with (stack.state / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            return


def test_a_disk_without_any_room_is_a_clear_error_and_nothing_is_made(on_disk_of: Small) -> None:
    stack = on_disk_of("64k")
    stack.write(CHATTY)
    fill(stack)
    did = stack.up()
    assert did.code in (2, 4), did.said
    assert "no space left" in did.said.lower()
    assert "XDG_STATE_HOME" in did.said or str(stack.state) in did.said
    assert stack.left() == {}


def test_logs_that_find_no_room_keep_nobody_from_starting_and_stopping(on_disk_of: Small) -> None:
    stack = on_disk_of("512k")
    stack.write(CHATTY)
    did = stack.started()
    assert stack.states() == {"app": "running"}
    down = stack.down("--volumes")
    assert down.code == 0, down.said
    assert "no space left" in (did.said + down.said).lower()
    assert stack.left() == {}


def test_a_failure_is_told_where_nothing_of_it_can_be_kept(on_disk_of: Small) -> None:
    stack = on_disk_of("512k")
    stack.write(BROKEN)
    did = stack.up()
    assert did.code == 5, did.said
    assert "my last words" in did.said
    stack.ends()


def test_a_disk_that_gets_full_while_a_stack_runs_does_not_keep_it_running(on_disk_of: Small) -> None:
    stack = on_disk_of("512k")
    stack.write(CHATTY.replace("seq 200000", "seq 20"))
    stack.started()
    fill(stack)
    assert stack.status() == (0, {"app": "ready"})
    stack.ends()
    # With room again, everything works as before.
    (stack.state / "filler").unlink()
    stack.started()
    stack.ends()
