"""Asks services whether they are ready, by the first way that reaches them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from lcompose.contexts import is_far
from lcompose.engines import Engine
from lcompose.errors import LcomposeError
from lcompose.readiness import missing_program
from lcompose.spec.project import Healthcheck, Probe
from lcompose.spec.run import Answer, Container, Observed
from lcompose.spec.secrets import Secrets

# Seconds to reach a port of this machine, to be answered there, and to be answered inside a container.
REACH_TIMEOUT = 0.5
ASK_TIMEOUT = 3.0
PATIENCE = 5.0
MOST_READ = 64 * 1024
MOST_METRICS = 4 * 1024 * 1024
# What stands in front of a published port may accept a connection for a service that is not up, and
# ends it a moment later.
LINGER = 0.03
LONGEST_DETAIL = 300
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104


# From a probe, the status and the body of what was answered to an answer.
Meaning: TypeAlias = Callable[["Probe", int, bytes], Answer]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to reach a service: an address of this machine's, or the container's own."""

    host: str
    port: int


def snapshot(engine: Engine, project: str) -> Observed:
    """The project as it is now."""
    return Observed(engine.containers(project))


def secrets_of(engine: Engine, observed: Observed) -> Secrets:
    """What must not be shown of a project's logs, known without any configuration."""
    values: dict[str, str] = {}
    for container in observed.containers:
        values |= engine.environment(container.id)
    return Secrets(values)


def ask(engine: Engine, probe: Probe, container: Container, patience: float = PATIENCE) -> Answer:
    """Asks a running container: through its published port, its address, or from inside it."""
    if probe.socket:
        return _ask_at_socket(probe, min(ASK_TIMEOUT, patience))
    over = _ask_over_tcp if probe.scheme == "tcp" else _ask_over_http
    for way in () if is_remote(engine) else ways(probe, container):
        answer = over(probe, way, min(ASK_TIMEOUT, patience))
        if answer is not None:
            return _its_own(answer, way, container)
    return _ask_inside(engine, probe, container, patience)


def _its_own(answer: Answer, way: Way, container: Container) -> Answer:
    """The answer, unless another program gave it: of a process, nobody but the kernel keeps the port."""
    if not answer.ok or container.runtime != "local":
        return answer
    from lcompose.keeper.processes import is_of
    from lcompose.listeners import holders
    from lcompose.machine import ThisMachine

    pids = holders(ThisMachine(), way.host, way.port)
    if not pids or any(is_of(pid, container.id) for pid in pids):
        return answer
    name = (ThisMachine().text(f"/proc/{pids[0]}/comm") or "unknown").strip()
    return Answer(ok=False, detail=f"another program ({name}, pid {pids[0]}) answers at its port {way.port}")


def run_check(engine: Engine, check: Healthcheck, container: Container) -> Answer:
    """Runs a container's health check inside it, as its engine would."""
    kind, *rest = check.command
    argv = ["/bin/sh", "-c", *rest] if kind == "CMD-SHELL" else rest if kind == "CMD" else [kind, *rest]
    try:
        finished = engine.execute(container.id, argv, timeout=check.timeout)
    except LcomposeError:
        return Answer(ok=False, detail=f"it did not end within {check.timeout:g} s")
    said = " ".join(f"{finished.out} {finished.err}".split())[-LONGEST_DETAIL:]
    if finished.code == 0:
        return Answer(ok=True, detail=said)
    # What came first is ours to tell apart: engines keep no word of a program that is not there.
    return Answer(ok=False, detail=said or f"exit code {finished.code}", missing=missing_program(said, check.command))


def busy(engine: Engine, gauge: str, probe: Probe, container: Container) -> bool | None:
    """Whether a service works on a request now, by a gauge among its metrics; None where that is not told."""
    metrics = replace(probe, path="/metrics", field="", status=200)
    for way in () if is_remote(engine) else ways(metrics, container):
        answer = _ask_over_http(metrics, way, ASK_TIMEOUT, lambda _, status, body: _text(status, body), MOST_METRICS)
        return _sum(gauge, answer.detail) if answer and answer.ok else None
    return None


def _text(status: int, body: bytes) -> Answer:
    return Answer(ok=status == 200, detail=body.decode(errors="replace"))


def _sum(gauge: str, text: str) -> bool | None:
    """Whether any sample of a gauge is above 0; None without one. The form is Prometheus' text."""
    sample = re.compile(rf"{re.escape(gauge)}(?:\{{.*\}})?\s+(\S+)")  # a time may follow
    found = [match[1] for line in text.splitlines() if (match := sample.match(line))]
    try:
        return any(float(value) > 0 for value in found) if found else None
    except ValueError:
        return None


def is_remote(engine: Engine) -> bool:
    """Whether the engine is on another machine, where neither our ports nor our files are."""
    return is_far(engine.endpoint())


def ways(probe: Probe, container: Container) -> Iterator[Way]:
    """Ways that lead to the probe's port from outside the container."""
    published = [
        Way("127.0.0.1" if host in ANY_ADDRESS else host, outside)
        for port, host, outside in container.ports
        if port == probe.port
    ][:1]
    direct = [Way(container.address, probe.port)] if container.address else []
    # Nothing stands between us and the container's own address, so an open port means something there.
    yield from [*direct, *published] if probe.scheme == "tcp" else published or direct


def _ask_over_tcp(probe: Probe, way: Way, timeout: float) -> Answer | None:
    """Whether a connection is accepted, and kept."""
    import socket

    refused = Answer(ok=False, detail=f"port {probe.port} does not accept connections yet")
    try:
        with socket.create_connection((way.host, way.port), min(REACH_TIMEOUT, timeout)) as connection:
            connection.settimeout(LINGER)
            try:
                if not connection.recv(1):
                    return refused
            except TimeoutError:
                pass
            return Answer(ok=True, detail=f"port {probe.port} accepts connections")
    except ConnectionError:
        return refused
    except OSError:
        return None  # an address that leads nowhere


def _ask_at_socket(probe: Probe, timeout: float) -> Answer:
    """What is answered at a socket that is a file; an open connection is enough where no more is asked for."""
    import http.client
    import socket

    nobody = Answer(ok=False, detail=f"nobody answers at {probe.socket} yet")
    connection = _connection(probe, Way("localhost", probe.port), timeout)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(min(REACH_TIMEOUT, timeout))
        try:
            asking.connect(probe.socket)
            if probe.scheme == "tcp":
                return Answer(ok=True, detail=f"{probe.socket} accepts connections")
            asking.settimeout(timeout)
            connection.sock = asking if probe.scheme == "http" else connection._context.wrap_socket(asking)
            return _asked(connection, probe, timeout, judged, MOST_READ)
        except OSError:
            return nobody
        except http.client.HTTPException as error:
            return Answer(ok=False, detail=f"does not speak HTTP at {probe.socket}: {type(error).__name__}")
        finally:
            connection.close()


def _asked(connection: Any, probe: Probe, timeout: float, meaning: Meaning, most: int) -> Answer:
    """What is answered over a connection that is open."""
    headers = {"Authorization": f"Bearer {probe.bearer}"} if probe.bearer else {}
    with _cut_after(timeout, connection.sock):
        connection.request("GET", probe.path, headers=headers)
        response = connection.getresponse()
        return meaning(probe, response.status, response.read(most))


def _ask_over_http(
    probe: Probe, way: Way, timeout: float, meaning: Meaning | None = None, most: int = MOST_READ
) -> Answer | None:
    """The answer, or None when nothing can be reached this way; ``meaning`` is made of what it says."""
    import http.client

    meaning = meaning or judged
    connection = _connection(probe, way, min(REACH_TIMEOUT, timeout))
    try:
        try:
            connection.connect()
        except TimeoutError:
            return None  # a container's address leads nowhere when its engine runs rootless
        connection.sock.settimeout(timeout)
        return _asked(connection, probe, timeout, meaning, most)
    except (ConnectionError, TimeoutError):
        # Which error it is says nothing: the engine's proxy may accept for a service that is not up.
        return Answer(ok=False, detail="does not answer yet")
    except OSError:
        return None
    except http.client.HTTPException as error:
        return Answer(ok=False, detail=f"does not speak HTTP on port {probe.port}: {type(error).__name__}")
    finally:
        connection.close()


def _connection(probe: Probe, way: Way, timeout: float) -> Any:
    """A connection that is not open yet. http.client asks no proxy, which is what a probe needs."""
    import http.client
    import ssl

    if probe.scheme == "http":
        return http.client.HTTPConnection(way.host, way.port, timeout=timeout)
    context = ssl._create_unverified_context()  # noqa: S323  # only whether it answers counts
    return http.client.HTTPSConnection(way.host, way.port, timeout=timeout, context=context)


@contextmanager
def _cut_after(seconds: float, sock: Any) -> Iterator[None]:
    """Ends a conversation that goes on for too long: a timeout of the socket counts for each byte anew."""
    from socket import SHUT_RDWR
    from threading import Timer

    def cut() -> None:
        with suppress(OSError):
            sock.shutdown(SHUT_RDWR)

    timer = Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


INSIDE = (
    "import http.client as h,ssl,sys\n"
    "s,p,path,b=sys.argv[1:5]\n"
    "k={'context':ssl._create_unverified_context()} if s=='https' else {}\n"
    "if s=='tcp':__import__('socket').create_connection(('127.0.0.1',int(p)),3);print(0);sys.exit()\n"
    "c=(h.HTTPSConnection if s=='https' else h.HTTPConnection)('127.0.0.1',int(p),timeout=3,**k)\n"
    "c.request('GET',path,headers={'Authorization':'Bearer '+b} if b else {})\n"
    "r=c.getresponse();print(r.status);print(r.read(65536).decode('utf-8','replace'))"
)


def _ask_inside(engine: Engine, probe: Probe, container: Container, patience: float) -> Answer:
    argv = ["python3", "-c", INSIDE, probe.scheme, str(probe.port), probe.path, probe.bearer]
    try:
        finished = engine.execute(container.id, argv, timeout=patience)
    except LcomposeError as error:
        return Answer(ok=False, detail=error.what)
    if finished.code:
        last = finished.said.splitlines()[-1:] or ["no answer"]
        return Answer(ok=False, detail=f"does not answer yet ({last[0]})")
    status, _, body = finished.out.partition("\n")
    if probe.scheme == "tcp":
        return Answer(ok=True, detail=f"port {probe.port} accepts connections")
    if not status.isdecimal():
        return Answer(ok=False, detail=f"cannot be asked from inside: {status[:80] or 'no answer'}")
    return judged(probe, int(status), body.encode())


def judged(probe: Probe, status: int, body: bytes) -> Answer:
    """What an HTTP answer means for a probe."""
    fields = _fields(body)
    right = status == probe.status if probe.status else 200 <= status < 400
    told = fields.get("reason") or fields.get("detail") or ""
    said = f" ({told})" if isinstance(told, str) and told else ""
    if probe.field:
        value = str(fields.get(probe.field, ""))
        detail = f"{probe.field}: {value}{said}" if value else f"HTTP {status}{said}"
        return Answer(ok=right and value == probe.expected, detail=detail)
    return Answer(ok=right, detail=f"HTTP {status}{said}")


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
