"""What waiting for a hundred services costs the client."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.file import QUICK, File, project
from benchmarks.machine import Bench, printed
from benchmarks.results import Bound, Result

COUNT = 100
SECONDS = 20
LIMIT = 10.0
PATIENCE = 300
TICK = os.sysconf("SC_CLK_TCK")
# It runs and is asked, and never answers: nothing may be taken for granted about it.
SERVICE = {**QUICK, "command": ["sleep", "3600"], "x-lcompose": {"probe": {"port": 8000}}}


def measure(bench: Bench) -> Iterator[Result]:
    """User and system time of lcompose and of all that it starts, while it does nothing but wait."""
    with project(bench, "many", {f"service-{number}": SERVICE for number in range(COUNT)}) as file:
        argv = [bench.lcompose, "up", *file.named, "--wait-timeout", str(2 * PATIENCE)]
        with subprocess.Popen(
            argv, env=bench.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            wait_until_all_run(file)
            share = share_of_a_core(child.pid)
            child.send_signal(signal.SIGINT)
    yield Bound(f"waiting for {COUNT} services", [100 * share], LIMIT, "% of a core")


def wait_until_all_run(file: File) -> None:
    """Returns when all containers have run for a while. Raises: TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    label = f"label=com.docker.compose.project={file.project}"
    while len(printed("docker", "ps", "--quiet", "--filter", label).split()) < COUNT:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{COUNT} containers do not run after {PATIENCE} s")
        time.sleep(1)
    time.sleep(3)


def share_of_a_core(pid: int) -> float:
    """Processor time over time."""
    begun, before = time.perf_counter(), used(pid)
    time.sleep(SECONDS)
    return (used(pid) - before) / (time.perf_counter() - begun)


def used(pid: int) -> float:
    """Seconds of processors that a process and those below it have used; what has ended is in its parent's."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children")
        threads = [one / "children" for one in children.parent.parent.iterdir()]
        below = [int(child) for thread in threads for child in thread.read_text().split()]
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICK + sum(map(used, below))
