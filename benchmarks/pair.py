"""Starting Llama Stack and LCORE, over upstream's way to start the same images."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from benchmarks.machine import Bench, printed, quietly
from benchmarks.render import QUICKSTART
from benchmarks.results import Ratio, Result
from tests.images.build import ensure_images

RUNS = int(os.environ.get("BENCH_UP_RUNS", "3"))
# Of images without bytecode: the first start compiles it, and those after it find it.
FIRST_LIMIT, LATER_LIMIT = 0.40, 0.22
# Bytecode is compiled once all is ready, on processors that nobody wants, and a stack that is started is used: so
# long until it is taken down.
USED = 20.0
# Of the test images, which have it: all starts are alike.
TEST_LIMIT = 0.42
PROJECT, MODEL = "lcompose-bench", "lcompose-bench-model"
# Upstream's docker-compose.yaml: checks every 10 s, LCORE started when Llama Stack is healthy.
UPSTREAM_CHECK = {"interval": "10s", "timeout": "5s", "retries": 3}
UPSTREAM_START_PERIOD = {"llama-stack": "15s", "lightspeed-stack": "5s"}


@dataclass(frozen=True)
class Commands:
    """The commands that are compared, and the variables that they need."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    down: tuple[str, ...]
    env: dict[str, str]
    bare: bool


def measure(bench: Bench) -> Iterator[Result]:
    """Ours and theirs in turn, each from nothing; after each of ours, one that finds its volumes."""
    tested = ensure_images(["docker"])
    images = given_images() or {name: tested[name] for name in UPSTREAM_START_PERIOD}
    bare = images["lightspeed-stack"] != tested["lightspeed-stack"]
    with model(tested["mock-llm"]) as address:
        commands = commands_for(bench, images, {"OPENAI_BASE_URL": address}, bare=bare)
        first, later, theirs = in_turn(bench, commands)
    title = f"lcompose up, over upstream's health settings ({images['lightspeed-stack']})"
    if bare:
        yield Ratio(f"first {title}", first, theirs, FIRST_LIMIT)
        yield Ratio(f"later {title}, after {USED:g} s of use", later, theirs, LATER_LIMIT)
    else:
        yield Ratio(title, first, theirs, TEST_LIMIT)


def given_images() -> dict[str, str]:
    """The images that somebody asked for, or nothing."""
    named = {name: os.environ.get(f"BENCH_{name.upper().replace('-', '_')}", "") for name in UPSTREAM_START_PERIOD}
    return named if all(named.values()) else {}


def commands_for(bench: Bench, images: dict[str, str], env: dict[str, str], *, bare: bool) -> Commands:
    """What is run. Upstream keeps no bytecode; nor is there any to keep for images that have it."""
    options = [part for name, image in images.items() for part in ("--image", f"{name}={image}")]
    common = ["-C", str(QUICKSTART), "-p", PROJECT, "--engine", "docker"]
    without = ["--set", "bytecode_cache=false"]
    upstream = bench.scratch / "upstream.yaml"
    text = bench.run(bench.lcompose, "render", *common, *options, *without).out
    upstream.write_text(yaml.safe_dump(with_upstream_health(yaml.safe_load(text))))
    return Commands(
        ours=(bench.lcompose, "up", *common, *options, *(() if bare else without)),
        theirs=("docker", "compose", "--file", str(upstream), "up", "--detach", "--wait"),
        down=(bench.lcompose, "down", *common),
        env=env,
        bare=bare,
    )


def with_upstream_health(tree: dict[str, Any]) -> dict[str, Any]:
    """The same stack, checked and ordered as upstream's own compose file does it."""
    for name, service in tree["services"].items():
        test = service["healthcheck"]["test"]
        service["healthcheck"] = {"test": test, "start_period": UPSTREAM_START_PERIOD[name], **UPSTREAM_CHECK}
    tree["services"]["lightspeed-stack"]["depends_on"] = {"llama-stack": {"condition": "service_healthy"}}
    return tree


def in_turn(bench: Bench, commands: Commands) -> tuple[list[float], list[float], list[float]]:
    """Seconds of our first starts, of our second ones where they differ, and of theirs."""
    first, later, theirs = [], [], []
    clean = (*commands.down, "--volumes")

    def up(argv: tuple[str, ...]) -> float:
        return bench.run(*argv, env=commands.env).seconds

    try:
        for _ in range(RUNS):
            bench.run(*clean)
            first.append(up(commands.ours))
            if commands.bare:
                time.sleep(USED)
                bench.run(*commands.down)
                later.append(up(commands.ours))
            bench.run(*clean)
            theirs.append(up(commands.theirs))
    finally:
        quietly(*clean, env=bench.environment())
    return first, later, theirs


@contextmanager
def model(image: str) -> Iterator[str]:
    """The mock model in a container, at an address that every network of Docker reaches: LCORE needs one."""
    gateway = printed("docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    quietly("docker", "rm", "--force", MODEL)
    printed("docker", "run", "--detach", "--name", MODEL, "--publish", f"{gateway}::9000", image)
    port = printed("docker", "port", MODEL, "9000/tcp").splitlines()[0].rpartition(":")[2]
    try:
        yield f"http://{gateway}:{port}/v1"
    finally:
        quietly("docker", "rm", "--force", MODEL)
