"""Starting the real Llama Stack as a process through lcompose, over starting the same command by hand."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import ROOT, Bench, quietly
from benchmarks.render import QUICKSTART
from benchmarks.results import Ratio, Result, Told
from tests.images.build import TABLE, cache_dir

RUNS = int(os.environ.get("BENCH_NATIVE_RUNS", "9"))
LIMIT = 1.03
PROJECT = "lcompose-bench-native"
SERVER, LCORE = "llama-stack", "lightspeed-stack"
USUAL = {SERVER: 8321, LCORE: 8080}
ASKED = {SERVER: "/v1/health", LCORE: "/readiness"}
EXAMPLES = ROOT / "compose-examples"
# Seconds: between two questions, and until a start is given up.
EVERY, PATIENCE = 0.02, 120
# As lcompose hands it on, beside what the process file names.
ALWAYS = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")


@dataclass(frozen=True)
class Start:
    """Seconds from the invocation: until Llama Stack answered, and until all was ready."""

    answered: float
    ready: float


@dataclass(frozen=True)
class Native:
    """The stack: the real Llama Stack, and a small stand-in for LCORE, on ports of their own."""

    bench: Bench
    ports: Mapping[str, int]
    options: tuple[str, ...] = ()

    @property
    def env(self) -> dict[str, str]:
        """This environment, with the uv that came with the development's, and tiktoken's table where that is here."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        tables = [str(one.parent) for one in cache_dir().glob(f"*/*/{TABLE}")]
        found = {"PATH": path, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
        return found | ({"TIKTOKEN_CACHE_DIR": tables[0]} if tables else {})

    @property
    def up(self) -> tuple[str, ...]:
        """``lcompose up`` of it."""
        standin = shlex.join([self.bench.python, str(EXAMPLES / "demo_standins.py"), LCORE])
        sets = [f"services.{name}.ports={port}:{USUAL[name]}" for name, port in self.ports.items()]
        sets.append(f"services.{LCORE}.local.command={standin}")
        common = ("-C", str(QUICKSTART), "-p", PROJECT, "--runtime", "local", *self.options)
        return (self.bench.lcompose, "up", *common, *(part for one in sets for part in ("--set", one)))

    def down(self, *options: str) -> None:
        """Takes it down."""
        quietly(self.bench.lcompose, "down", "-p", PROJECT, *options, env=self.bench.environment(self.env))

    def answers(self, service: str) -> bool:
        """Whether one of them says that it is ready."""
        connection = HTTPConnection("127.0.0.1", self.ports[service], timeout=1)
        try:
            connection.request("GET", ASKED[service])
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def measure(bench: Bench) -> Iterator[Result]:
    """The quick start, and the least that Llama Stack can be."""
    yield from measure_with(bench, "the quick start", (), LIMIT)
    smallest = ("--run-config", str(EXAMPLES / "demo-run.yaml"))
    yield from measure_with(bench, "Llama Stack with nothing but inference", smallest, None)


def measure_with(bench: Bench, what: str, options: tuple[str, ...], limit: float | None) -> Iterator[Result]:
    """Both in turn, each on volumes that an earlier start has made; what uv must fetch is here before."""
    title = f"{what}: lcompose up --runtime local until it returns, over the same commands by hand"
    native = Native(bench, dict(zip(USUAL, free_ports(len(USUAL)), strict=True)), options)
    try:
        problem = first_start(native)
        if problem:
            yield Told(title, f"not measured: {problem}")
            return
        services = process_file(native)
        pairs = [in_turn(native, services, ours_first=bool(number % 2)) for number in range(RUNS)]
    finally:
        native.down("--volumes")
    yield Ratio(title, [one.ready for one, _ in pairs], [other.ready for _, other in pairs], limit)
    answered = [one.answered for one, _ in pairs], [other.answered for _, other in pairs]
    yield Ratio(f"{what}: the same until Llama Stack first answers", *answered, None)


def first_start(native: Native) -> str:
    """Has all fetched, compiled and made; gives back why that cannot be, if it cannot."""
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 600}
    done = subprocess.run(native.up, env=native.bench.environment(native.env), check=False, **options)
    native.down()
    return " ".join(done.stderr.split())[-300:] if done.returncode else ""


def process_file(native: Native) -> dict[str, Any]:
    """What lcompose starts, service by service."""
    (file,) = (native.bench.scratch / "state").glob(f"lcompose/*/{PROJECT}/processes.yaml")
    services: dict[str, Any] = yaml.safe_load(file.read_text())["services"]
    return services


def in_turn(native: Native, services: Mapping[str, Any], *, ours_first: bool) -> tuple[Start, Start]:
    """One start of each, ours before or after theirs."""
    if ours_first:
        ours = through_lcompose(native)
        return ours, by_hand(native, services)
    theirs = by_hand(native, services)
    return through_lcompose(native), theirs


def through_lcompose(native: Native) -> Start:
    """Until ``up`` has returned."""
    env, begun = native.bench.environment(native.env), time.perf_counter()
    with subprocess.Popen(native.up, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        answered = seconds_until(native, SERVER, begun)
        _, complaint = child.communicate(timeout=PATIENCE)
        ready = time.perf_counter() - begun
    native.down()
    if child.returncode:
        sys.exit(f"lcompose up ended with {child.returncode}:\n{complaint[-2000:]}")
    return Start(answered, ready)


def by_hand(native: Native, services: Mapping[str, Any]) -> Start:
    """The same commands with the same environment, side by side, as a shell would start them."""
    begun = time.perf_counter()
    with started(native, services[SERVER], SERVER), started(native, services[LCORE], LCORE):
        answered = seconds_until(native, SERVER, begun)
        return Start(answered, seconds_until(native, LCORE, begun))


@contextmanager
def started(native: Native, service: Mapping[str, Any], name: str) -> Iterator[None]:
    """A process that prints into a file, and all that it started, until they are not needed any more."""
    given = native.bench.environment(native.env)
    names = [one for one in (*ALWAYS, *service["inherit"]) if one in given]
    env = {**service.get("defaults", {}), **{one: given[one] for one in names}, **service["environment"]}
    with (native.bench.scratch / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            service["command"], env=env, cwd=service["directory"], stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)


def seconds_until(native: Native, service: str, begun: float) -> float:
    """How long it took until a service says that it is ready. Raises: SystemExit when it never does."""
    while time.perf_counter() - begun < PATIENCE:
        if native.answers(service):
            return time.perf_counter() - begun
        time.sleep(EVERY)
    sys.exit(f"{service} was not ready after {PATIENCE} s.")


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports
