"""Programs of engines that hang in one thing that they are asked: every command ends by its deadline."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeAlias

import pytest

from lcompose.engines.select import connect
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
AT_ONCE = 16

Jobs: TypeAlias = dict[tuple[str, str], Future[Did]]


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


@pytest.fixture(scope="module")
def everything(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Jobs]]:
    """All commands on all engines that are asked for, side by side: they wait for nearly all of their time."""
    items = [one for one in request.session.items if one.path == request.path]
    engines = dict.fromkeys(one.callspec.params["engine"] for one in items)  # type: ignore[attr-defined]
    stacks: dict[str, dict[tuple[str, str], Stack]] = {}
    jobs: dict[str, Jobs] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def of(engine: str) -> Jobs:
            for one in [engine, *(other for other in engines if usable(other))]:
                if one not in jobs:
                    parent = tmp_path_factory.mktemp(one)
                    stacks[one] = {
                        (verb, word): new_stack(one, parent) for verb, words in HANGS.items() for word in words
                    }
                    jobs[one] = {key: pool.submit(tried, stack, *key) for key, stack in stacks[one].items()}
            return jobs[engine]

        yield of
    for one in stacks.values():
        for stack in one.values():
            stack.sweep()


def usable(engine: str) -> bool:
    """Whether an engine answers."""
    return connect(engine, os.environ).facts().usable  # type: ignore[arg-type]


def test_every_command_ends_where_its_engine_hangs(engine: str, everything: Callable[[str], Jobs]) -> None:
    did = {key: job.result() for key, job in everything(engine).items()}
    assert {key: one for key, one in did.items() if one.seconds > ENOUGH[key[0]]} == {}
    assert {key: one for key, one in did.items() if one.code not in (0, 1, 4, 5)} == {}
