"""Three trivial services, each started when the one before is healthy."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.file import QUICK, File, project
from benchmarks.machine import Bench, printed
from benchmarks.results import Ratio, Result

RUNS = 5
LIMIT = 0.6
# Seconds that podman-compose may take before it is given up.
PATIENCE = 60.0
CHECK = ["CMD", "python3", "-c", "import socket;socket.create_connection(('127.0.0.1',8000),1)"]
SERVER: dict[str, Any] = {
    **QUICK,
    "command": ["python3", "-m", "http.server", "8000"],
    "healthcheck": {"test": CHECK, "interval": "1s", "timeout": "5s", "retries": 30},
}
SERVICES = {
    "first": SERVER,
    "second": {**SERVER, "depends_on": {"first": {"condition": "service_healthy"}}},
    "third": {**SERVER, "depends_on": {"second": {"condition": "service_healthy"}}},
}


def measure(bench: Bench) -> Iterator[Result]:
    """Docker's compose, and podman-compose where Podman is."""
    with project(bench, "chain", SERVICES) as file:
        ours, theirs = in_turn(file)
        yield Ratio("lcompose up -f of a chain of three, over docker compose up --wait", ours, theirs, LIMIT)
    if shutil.which("podman"):
        with project(bench, "chain", SERVICES, "podman") as file:
            yield on_podman(file)


def in_turn(file: File) -> tuple[list[float], list[float]]:
    """Seconds of both, alternating, each from nothing."""
    ours, theirs = [], []
    for _ in range(RUNS):
        file.down()
        ours.append(file.up().seconds)
        file.down()
        theirs.append(file.bench.run(*file.compose, "up", "--detach", "--wait").seconds)
    return ours, theirs


def on_podman(file: File) -> Result:
    """Ours beside podman-compose: where no timer of systemd runs health checks, nothing gets healthy for it."""
    ours, theirs, healthy = [], [], ""
    for _ in range(RUNS):
        file.down()
        ours.append(file.up().seconds)
    for _ in range(RUNS):
        file.down()
        seconds, healthy = podman_up(file)
        theirs.append(seconds)
    return Ratio(
        f"lcompose up -f of the chain on Podman, beside podman-compose up --wait ({healthy})", ours, theirs, None
    )


def podman_up(file: File) -> tuple[float, str]:
    """Seconds that podman-compose takes, and how that ended: it does not gate."""
    argv, begun = (*file.compose, "up", "--detach", "--wait"), time.perf_counter()
    options: dict[str, Any] = {"env": file.bench.environment(), "capture_output": True, "timeout": PATIENCE}
    try:
        code = subprocess.run(argv, check=False, **options).returncode
    except subprocess.TimeoutExpired:
        return PATIENCE, "which did not end, and was ended"
    seconds = time.perf_counter() - begun
    ours = ("--filter", f"label=io.podman.compose.project={file.project}", "--filter", "health=healthy")
    count = len(printed("podman", "ps", "--quiet", *ours).split())
    return seconds, f"which ended with {code} when {count} of {len(SERVICES)} were healthy"
