"""How long the verdicts take, one at a time: at the deadline, after a crash, with nothing to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine.stack import Did, Stack, new_stack

# What Python, an engine's reading of the file and its looks at the project take before anything
# is waited for, on a machine with two processors.
BEFORE = 1.5
LIMIT = 2
TRIES = 3


@pytest.fixture
def stack(engine: str, tmp_path: Path) -> Iterator[Stack]:
    found = new_stack(engine, tmp_path)
    try:
        yield found
    finally:
        found.sweep()


NEVER_READY = (
    'healthcheck: {test: ["CMD", "false"], interval: 0.3s, retries: 1000}',
    'healthcheck: {test: ["CMD", "sleep", "50"], interval: 0.3s, timeout: 60s}',
    "x-lcompose: {probe: {port: 8000}}",
    "x-lcompose: {role: oneshot}",
)


def _ups_in_vain(stack: Stack, how: str) -> list[Did]:
    condition = "service_completed_successfully" if "oneshot" in how else "service_healthy"
    stack.write(f"""
        services:
          db: {{image: $IMAGE, init: true, command: sleep 600, {how}}}
          app: {{image: $IMAGE, command: sleep 600, depends_on: {{db: {{condition: {condition}}}}}}}
    """)
    stack.up("--wait-timeout", "4")
    return [stack.up("--wait-timeout", str(LIMIT)) for _ in range(TRIES)]


def test_the_deadline_is_kept_every_time(engine: str, tmp_path: Path) -> None:
    stacks = [new_stack(engine, tmp_path) for _ in NEVER_READY]
    try:
        with ThreadPoolExecutor(2) as pool:
            tried = [did for found in pool.map(_ups_in_vain, stacks, NEVER_READY) for did in found]
    finally:
        for stack in stacks:
            stack.sweep()
    assert [did.said for did in tried if did.code != 5] == []
    assert [did for did in tried if not LIMIT < did.seconds < LIMIT + 1 + BEFORE] == []


def test_a_second_up_takes_less_than_a_second(stack: Stack) -> None:
    stack.write("""
        services:
          init: {image: $IMAGE, command: echo made}
          app: {image: $IMAGE, init: true, command: python3 -m http.server 8000, x-lcompose: {probe: {port: 8000}}}
          other: {image: $IMAGE, init: true, command: sleep 600}
    """)
    stack.started()
    assert min(stack.started().seconds for _ in range(3)) < 1
    stack.ends()


def test_a_crash_is_told_within_a_second(stack: Stack) -> None:
    stack.write("""
        services:
          app: {image: $IMAGE, command: sh -c "sleep 2; exit 3", x-lcompose: {probe: {port: 8000}}}
          other: {image: $IMAGE, init: true, command: sleep 600}
    """)
    did = stack.up()
    ended = time.time()
    assert did.code == 5, did.said
    assert ended - stack.container("app").finished.timestamp() < 1
    stack.ends()
