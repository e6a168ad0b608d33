"""Asks services whether they are ready, by the first way that reaches them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from lcompose.engines import Engine
from lcompose.errors import LcomposeError
from lcompose.spec.project import Probe
from lcompose.spec.run import Answer, Container, Observed
from lcompose.spec.secrets import Secrets

# Seconds to reach a port of this machine, to be answered there, and to be answered inside a container.
REACH_TIMEOUT = 0.5
ASK_TIMEOUT = 3.0
PATIENCE = 5.0
MOST_READ = 64 * 1024
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104


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
    for way in () if is_remote(engine) else ways(probe, container):
        answer = _ask_over_http(probe, way, min(ASK_TIMEOUT, patience))
        if answer is not None:
            return answer
    return _ask_inside(engine, probe, container, patience)


def is_remote(engine: Engine) -> bool:
    """Whether the engine is on another machine, where neither our ports nor our files are."""
    return engine.endpoint().startswith(("tcp://", "ssh://", "http://", "https://"))


def ways(probe: Probe, container: Container) -> Iterator[Way]:
    """Ways that lead to the probe's port from outside the container."""
    for port, host, published in container.ports:
        if port == probe.port:
            yield Way("127.0.0.1" if host in ANY_ADDRESS else host, published)
            return
    if container.address:
        yield Way(container.address, probe.port)


def _ask_over_http(probe: Probe, way: Way, timeout: float) -> Answer | None:
    """The answer, or None when nothing can be reached this way."""
    import http.client

    connection = _connection(probe, way, min(REACH_TIMEOUT, timeout))
    headers = {"Authorization": f"Bearer {probe.bearer}"} if probe.bearer else {}
    try:
        try:
            connection.connect()
        except TimeoutError:
            return None  # a container's address leads nowhere when its engine runs rootless
        connection.sock.settimeout(timeout)
        with _cut_after(timeout, connection.sock):
            connection.request("GET", probe.path, headers=headers)
            response = connection.getresponse()
            return judged(probe, response.status, response.read(MOST_READ))
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
    if not status.isdecimal():
        return Answer(ok=False, detail=f"cannot be asked from inside: {status[:80] or 'no answer'}")
    return judged(probe, int(status), body.encode())


def judged(probe: Probe, status: int, body: bytes) -> Answer:
    """What an HTTP answer means for a probe."""
    fields = _fields(body)
    told = fields.get("reason") or fields.get("detail") or ""
    said = f" ({told})" if isinstance(told, str) and told else ""
    if probe.field:
        value = str(fields.get(probe.field, ""))
        detail = f"{probe.field}: {value}{said}" if value else f"HTTP {status}{said}"
        return Answer(ok=status == 200 and value == probe.expected, detail=detail)
    return Answer(ok=status == 200, detail=f"HTTP {status}{said}")


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
