"""Rendering the quickstart, over Compose reading the result."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.machine import ROOT, Bench
from benchmarks.results import Ratio, Result

QUICKSTART = ROOT / "compose-examples" / "quickstart"
RUNS = 21
LIMIT = 2.2


def measure(bench: Bench) -> Iterator[Result]:
    """``lcompose render`` and ``docker compose config``, in turn."""
    rendered = bench.scratch / "compose.yaml"
    render = (bench.lcompose, "-C", str(QUICKSTART), "render")
    config = ("docker", "compose", "--file", str(rendered), "config")
    rendered.write_text(bench.run(*render).out)
    bench.run(*config)
    pairs = [(bench.run(*render).seconds, bench.run(*config).seconds) for _ in range(RUNS)]
    title = "lcompose render, over docker compose config"
    yield Ratio(title, [ours for ours, _ in pairs], [theirs for _, theirs in pairs], LIMIT)
