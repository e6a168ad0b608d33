"""Prints every measurement with its limit; exits with 1 when one is over.

``python -m benchmarks chain logs`` measures these only. The pair consists of the images of the tests
(a real Llama Stack, a stand-in for LCORE), or of others:
``BENCH_LLAMA_STACK=… BENCH_LIGHTSPEED_STACK=… make bench``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import chain, delay, log_lines, many, native, pair, render
from benchmarks.machine import Bench, installed
from benchmarks.results import Result

MEASURES: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "render": render.measure,
    "pair": pair.measure,
    "chain": chain.measure,
    "delay": delay.measure,
    "crash": delay.measure_crash,
    "logs": log_lines.measure,
    "many": many.measure,
    "native": native.measure,
}
WITHOUT_DOCKER = ("native",)


def main(names: list[str]) -> int:
    """Measures what is named, or everything."""
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        print(f"There is no measurement {unknown[0]!r}; there are: {', '.join(MEASURES)}.")
        return 2
    asked = names or list(MEASURES)
    if shutil.which("docker") is None and not set(asked) <= set(WITHOUT_DOCKER):
        print("These measurements compare with docker compose, and docker is not installed.")
        return 1
    over = False
    with installed() as lcompose, tempfile.TemporaryDirectory() as scratch:
        for name in asked:
            folder = Path(scratch) / name
            folder.mkdir()
            for result in MEASURES[name](Bench(lcompose, folder)):
                print(f"{name}: {result.line()}", flush=True)
                over |= not result.within
    return int(over)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
