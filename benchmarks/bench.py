"""Measures what people wait for, as ratios of commands run in turn on this machine.

* ``lcompose render`` of the quickstart, installed as a wheel, over ``docker compose config`` of
  what it prints.
* ``lcompose up`` of the pair over ``docker compose up --wait`` with upstream's health settings and
  the same images.

The images are those of the tests (a real Llama Stack, a stand-in for LCORE), or others:
``BENCH_LLAMA_STACK=… BENCH_LIGHTSPEED_STACK=… make bench``.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.images.build import ensure_images  # noqa: E402

QUICKSTART = ROOT / "compose-examples" / "quickstart"
RENDER_RUNS = 21
UP_RUNS = int(os.environ.get("BENCH_UP_RUNS", "3"))
RENDER_LIMIT = 2.2
UP_LIMIT = 0.42
PROJECT = "lcompose-bench"
MODEL = "lcompose-bench-model"
# Filled in when the mock model runs: without a model LCORE 0.7 does not start.
MODEL_ADDRESS: dict[str, str] = {}
# Upstream's docker-compose.yaml: checks every 10 s, LCORE started when Llama Stack is healthy.
UPSTREAM_CHECK = {"interval": "10s", "timeout": "5s", "retries": 3}
UPSTREAM_START_PERIOD = {"llama-stack": "15s", "lightspeed-stack": "5s"}


@dataclass(frozen=True)
class Pair:
    """Seconds of two commands that ran in turn."""

    title: str
    ours: list[float]
    theirs: list[float]
    limit: float

    @property
    def ratio(self) -> float:
        """Ours over theirs, by medians."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    def line(self) -> str:
        """The result for people."""
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        verdict = "within" if self.ratio <= self.limit else "OVER"
        return (
            f"{self.title}\n    {ours:.3f} s over {theirs:.3f} s = {self.ratio:.2f}, "
            f"{verdict} the limit of {self.limit} (medians of {len(self.ours)} runs in turn)"
        )


def environment() -> dict[str, str]:
    """This environment, with bytecode allowed, and with variables that the quickstart needs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LCOMPOSE_", "PYTHONDONT"))}
    return kept | {"OPENAI_API_KEY": "not-used", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"} | MODEL_ADDRESS


def timed(argv: list[str], **options: Any) -> float:
    """Seconds that a command takes.

    Raises: SystemExit when it fails.
    """
    begun = time.perf_counter()
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False, **options)
    seconds = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{' '.join(argv[:4])} failed:\n{done.stderr[-2000:]}")
    return seconds


@contextmanager
def installed() -> Iterator[str]:
    """lcompose, installed as a wheel in an environment of its own."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        pip = [f"{directory}/bin/python", "-m", "pip", "install", "--quiet", str(ROOT)]
        subprocess.run(pip, check=True, env=environment())
        yield f"{directory}/bin/lcompose"


def render_pair(lcompose: str, scratch: Path) -> Pair:
    """Rendering, over Compose reading the result."""
    rendered = scratch / "compose.yaml"
    argv = [lcompose, "-C", str(QUICKSTART), "render"]
    rendered.write_text(subprocess.run(argv, env=environment(), capture_output=True, text=True, check=True).stdout)
    config = ["docker", "compose", "--file", str(rendered), "config"]
    for command in (argv, config):
        timed(command)
    pairs = [(timed(argv), timed(config)) for _ in range(RENDER_RUNS)]
    title = "lcompose render, over docker compose config"
    return Pair(title, [ours for ours, _ in pairs], [theirs for _, theirs in pairs], RENDER_LIMIT)


def images() -> dict[str, str]:
    """The images that are started."""
    given = {
        "llama-stack": os.environ.get("BENCH_LLAMA_STACK", ""),
        "lightspeed-stack": os.environ.get("BENCH_LIGHTSPEED_STACK", ""),
    }
    return given if all(given.values()) else ensure_images(["docker"])


@contextmanager
def model(image: str) -> Iterator[None]:
    """The mock model in a container, at an address that every network of Docker reaches."""
    gateway = printed(["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"])
    subprocess.run(["docker", "rm", "--force", MODEL], capture_output=True, check=False)
    printed(["docker", "run", "--detach", "--name", MODEL, "--publish", f"{gateway}::9000", image])
    port = printed(["docker", "port", MODEL, "9000/tcp"]).splitlines()[0].rpartition(":")[2]
    MODEL_ADDRESS["OPENAI_BASE_URL"] = f"http://{gateway}:{port}/v1"
    try:
        yield
    finally:
        subprocess.run(["docker", "rm", "--force", MODEL], capture_output=True, check=False)


def printed(argv: list[str]) -> str:
    """What a command prints."""
    return subprocess.run(argv, env=environment(), capture_output=True, text=True, check=True).stdout.strip()


def up_pair(lcompose: str, scratch: Path) -> Pair:
    """Starting the pair, over upstream's way to start the same images."""
    chosen = images()
    options = [part for name in UPSTREAM_START_PERIOD for part in ("--image", f"{name}={chosen[name]}")]
    common = ["-C", str(QUICKSTART), "-p", PROJECT, "--engine", "docker"]
    upstream = scratch / "upstream.yaml"
    render = [lcompose, "render", *common, *options]
    text = subprocess.run(render, env=environment(), capture_output=True, text=True, check=True).stdout
    upstream.write_text(yaml.safe_dump(with_upstream_health(yaml.safe_load(text))))
    down = [lcompose, "down", *common, "--volumes"]
    ours = [lcompose, "up", *common, *options]
    theirs = ["docker", "compose", "--file", str(upstream), "up", "--detach", "--wait"]
    title = f"lcompose up, over upstream's health settings ({chosen['lightspeed-stack']})"
    with model(ensure_images(["docker"])["mock-llm"]):
        return Pair(title, *in_turn(ours, theirs, lambda: timed(down)), UP_LIMIT)


def in_turn(ours: list[str], theirs: list[str], clean: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Seconds of both, alternating, each from nothing."""
    found: tuple[list[float], list[float]] = ([], [])
    try:
        for _ in range(UP_RUNS):
            for seconds, command in zip(found, (ours, theirs), strict=True):
                clean()
                seconds.append(timed(command))
    finally:
        clean()
    return found


def with_upstream_health(tree: dict[str, Any]) -> dict[str, Any]:
    """The same stack, checked and ordered as upstream's own compose file does it."""
    for name, service in tree["services"].items():
        test = service["healthcheck"]["test"]
        service["healthcheck"] = {"test": test, "start_period": UPSTREAM_START_PERIOD[name], **UPSTREAM_CHECK}
    tree["services"]["lightspeed-stack"]["depends_on"] = {"llama-stack": {"condition": "service_healthy"}}
    return tree


def main() -> int:
    """Prints every ratio; exits with 1 when one is over its limit."""
    if shutil.which("docker") is None:
        print("The benchmarks compare with docker compose, and docker is not installed.")
        return 1
    with installed() as lcompose, tempfile.TemporaryDirectory() as scratch:
        pairs = []
        for measure in (render_pair, up_pair):
            pairs.append(measure(lcompose, Path(scratch)))
            print(pairs[-1].line(), flush=True)
    return int(any(pair.ratio > pair.limit for pair in pairs))


if __name__ == "__main__":
    sys.exit(main())
