"""How soon it is seen that a service answers, or that it has ended."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from benchmarks.file import File, project
from benchmarks.machine import Bench, printed
from benchmarks.results import Bound, Result

RUNS = 11
ANSWER_LIMIT, CRASH_LIMIT = 150.0, 1.0
# Answers after a second and a bit, and prints when: from then on a connection is accepted.
SERVER = """
import http.server, sys, time
time.sleep(float(sys.argv[1]))
server = http.server.ThreadingHTTPServer(("", 8000), http.server.SimpleHTTPRequestHandler)
print("answers", time.time(), flush=True)
server.serve_forever()
"""
CRASHING = {"command": ["python3", "-c", "import sys, time; time.sleep(1); sys.exit(1)"]}
ASKED = {"x-lcompose": {"probe": {"port": 8000}}}


def measure(bench: Bench) -> Iterator[Result]:
    """From the first moment at which the service answers to ``up`` returning, over HTTP and TCP."""
    for scheme in ("http", "tcp"):
        delays = [1000 * delay(bench, scheme, number) for number in range(RUNS)]
        title = f"from the first answer over {scheme.upper()} to lcompose up returning"
        yield Bound(title, delays, ANSWER_LIMIT, "ms")


def delay(bench: Bench, scheme: str, number: int) -> float:
    """Seconds of one run; the server starts to answer at another moment each time."""
    seconds = 0.8 + 0.4 * random.Random(number).random()
    with project(bench, f"delay-{scheme}", {"server": server(scheme, seconds)}) as file:
        up = file.up()
        return up.ended - answers_at(file)


def server(scheme: str, seconds: float) -> dict[str, Any]:
    """The service."""
    probe = {"port": 8000, "scheme": scheme} | ({"path": "/"} if scheme == "http" else {})
    return {
        "command": ["python3", "-c", SERVER, str(seconds)],
        "x-lcompose": {"probe": probe},
        "stop_grace_period": "1s",
    }


def answers_at(file: File) -> float:
    """The time that the server printed."""
    return float(printed("docker", "logs", container(file)).partition("answers ")[2].split()[0])


def container(file: File) -> str:
    """The one container of a project."""
    return printed("docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={file.project}")


def measure_crash(bench: Bench) -> Iterator[Result]:
    """From the end of a service to the end of ``up``, which says so."""
    with project(bench, "crash", {"server": CRASHING | ASKED}) as file:
        seconds = []
        for _ in range(RUNS):
            file.down()
            up = file.up(codes=(5,))
            seconds.append(up.ended - finished_at(container(file)))
        yield Bound("from a service's end to lcompose up returning", [max(seconds)], CRASH_LIMIT, "s")


def finished_at(one: str) -> float:
    """When a container ended, as its engine says."""
    text = printed("docker", "inspect", "--format", "{{.State.FinishedAt}}", one)
    # Nanoseconds are more than Python reads.
    return datetime.fromisoformat(text.partition(".")[0] + "." + text.partition(".")[2][:6] + "+00:00").timestamp()
