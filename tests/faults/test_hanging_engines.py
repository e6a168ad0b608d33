"""Programs of engines that hang in one thing that they are asked: every command ends by its deadline."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.engine.stack import Did, Stack, new_stack

SERVED = """
    services:
      app:
        image: $IMAGE
        init: true
        command: python3 -m http.server 8000
        ports: ["127.0.0.1:$PORT:8000"]
        healthcheck: {test: ["CMD", "true"], interval: 1s}
"""
# What an engine is asked for by each command.
HANGS = {
    "up": ("version", "compose", "create", "ps", "inspect", "start", "events", "exec", "network"),
    "down": ("ps", "inspect", "logs", "stop", "rm", "network", "volume"),
    "status": ("version", "ps", "inspect"),
    "logs": ("version", "ps", "inspect", "logs"),
}
LIMIT = 5
# ``up`` has one deadline over everything; otherwise each question to an engine has one of its own.
ENOUGH = {"up": LIMIT + 10, "down": 60, "status": 45, "logs": 45}
AT_ONCE = 10


def hanging(stack: Stack, word: str) -> Stack:
    """The same stack, with programs first on the path that hang when their arguments have a word."""
    directory = stack.folder / f"hangs-in-{word}"
    directory.mkdir(exist_ok=True)
    for name in (stack.engine, "podman-compose"):
        if real := shutil.which(name):
            path = directory / name
            path.write_text(f'#!/bin/sh\ncase " $* " in *" {word} "*) exec sleep 600;; esac\nexec {real} "$@"\n')
            path.chmod(0o755)
    return replace(stack, env={**stack.env, "PATH": f"{directory}:{os.environ['PATH']}"})


def tried(stack: Stack, verb: str, word: str) -> Did:
    """One command on a stack whose engine hangs."""
    stack.write(SERVED)
    if verb != "up":
        stack.started()
    broken = hanging(stack, word)
    if verb == "up":
        return broken.up("--wait-timeout", str(LIMIT))
    return broken.run(verb, "--file", *broken.named[1:])


def test_every_command_ends_where_its_engine_hangs(engine: str, tmp_path: Path) -> None:
    stacks = {(verb, word): new_stack(engine, tmp_path) for verb, words in HANGS.items() for word in words}
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = {key: pool.submit(tried, stack, *key) for key, stack in stacks.items()}
        did = {key: job.result() for key, job in jobs.items()}
    finally:
        for stack in stacks.values():
            stack.sweep()
    assert {key: one for key, one in did.items() if one.seconds > ENOUGH[key[0]]} == {}
    assert {key: one for key, one in did.items() if one.code not in (0, 1, 4, 5)} == {}
