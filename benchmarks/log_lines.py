"""A million lines from two services: shown and kept, over ``docker compose logs``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.file import QUICK, File, project
from benchmarks.machine import Bench
from benchmarks.results import Bound, Ratio, Result, Told

RUNS = 3
LINES = 500_000
MEMORY_LIMIT = 100.0
PRINTING = f"for i in range({LINES}): print(i, 'a line as services write them, of the length that is usual for one')"
WAITING = "import time; time.sleep(3600)"
COLLECT = Path(__file__).with_name("collect.py")


def measure(bench: Bench) -> Iterator[Result]:
    """Time, memory, and whether every line is there."""
    service: dict[str, Any] = {
        **QUICK,
        "command": ["python3", "-c", f"{PRINTING}\nprint('all', flush=True)\n{WAITING}"],
    }
    with project(bench, "logs", {"one": service, "two": service}) as file:
        file.up()
        wait_for_all(file)
        yield from compared(file)


def wait_for_all(file: File) -> None:
    """Returns when both have printed everything."""
    for name in ("one", "two"):
        while "all" not in file.bench.run(*file.compose, "logs", "--no-log-prefix", "--tail", "1", name).out:
            time.sleep(0.5)


def compared(file: File) -> Iterator[Result]:
    """All three ways in turn; the files are counted once."""
    bench = file.bench
    show = (bench.lcompose, "logs", "--file", str(file.path), "-p", file.project, "--engine", "docker")
    theirs = (*file.compose, "logs", "--no-color")
    shown: list[float] = []
    kept: list[float] = []
    compose: list[float] = []
    memory: list[float] = []
    for number in range(RUNS):
        for found, argv in ((shown, show), (compose, theirs), (kept, collecting(file, number))):
            seconds, megabytes = to_file(bench, argv, bench.scratch / "out.log")
            found.append(seconds)
            if found is not compose:
                memory.append(megabytes)
            if found is shown and not number:
                yield none_lost("lines shown", count([bench.scratch / "out.log"]))
    yield none_lost("lines kept", count(sorted((bench.scratch / "kept-0").rglob("*.log"))))
    yield Ratio(f"lcompose logs of {2 * LINES:,} lines, over docker compose logs", shown, compose, 1.0)
    yield Ratio("keeping them in files, over docker compose logs", kept, compose, 1.0)
    yield Bound("memory that showing and keeping them takes", [max(memory)], MEMORY_LIMIT, "MB")


def collecting(file: File, number: int) -> tuple[str, ...]:
    """What keeps the logs, as ``up`` and ``down`` do it."""
    return (file.bench.python, str(COLLECT), file.project, str(file.bench.scratch / f"kept-{number}"))


def to_file(bench: Bench, argv: tuple[str, ...], path: Path) -> tuple[float, float]:
    """Seconds of a command that prints into a file, and the memory of its largest process."""
    begun = time.perf_counter()
    with path.open("wb") as out:
        child = subprocess.Popen(argv, env=bench.environment(), stdout=out)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        sys.exit(f"{' '.join(argv[:3])} failed")
    return seconds, usage.ru_maxrss / 1024


def count(paths: list[Path]) -> list[int]:
    """How many of the lines there are: by their numbers, each of which comes once from each service."""
    found = [0] * LINES
    number = re.compile(rb"(\d+) a line as services write them")
    for path in {one.resolve() for one in paths}:
        with path.open("rb") as lines:
            for line in lines:
                if match := number.search(line):
                    found[int(match[1])] += 1
    return found


def none_lost(title: str, found: list[int]) -> Told:
    """Whether each line is there once from each service."""
    wrong = sum(1 for times in found if times != 2)
    text = f"{sum(found):,} of {2 * LINES:,}"
    return Told(
        title, f"{text}, none lost and none twice" if not wrong else f"{text}, and {wrong:,} are not right", not wrong
    )
