"""Asking a service whether it is ready: over HTTP for real, and from inside its container."""

from __future__ import annotations

import http.server
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError
from lcompose.host import Finished
from lcompose.observe import Way, ask, busy, is_remote, judged, run_check, secrets_of, snapshot, ways
from lcompose.spec.project import Healthcheck, Probe
from lcompose.spec.run import Answer, Container, Observed
from tests.unit.given import container

HEALTH = Probe(8321, "/v1/health")
READINESS = Probe(8080, "/readiness", field="overall_status", expected="healthy")
SILENT = Answer(ok=False, detail="does not answer yet")
METRICS = b"""# HELP vllm:num_requests_running Requests.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="a b",engine="0"} 0.0
vllm:num_requests_running{model_name="other",engine="0"} 2.0 1700000000000
vllm:num_requests_running_total 9
idle 0
timed 0 1700000000000
odd soon
"""


class Service(http.server.BaseHTTPRequestHandler):
    """A service that answers in the way that its path asks for."""

    def do_GET(self) -> None:
        if self.path == "/hang":
            time.sleep(3)
        elif self.path == "/trickle":
            self.trickle()
        elif self.path == "/noise":
            self.wfile.write(b"no HTTP at all\r\n\r\n")
        elif self.path == "/closed":
            self.close_connection = True
        elif self.path == "/metrics":
            self.say(200, METRICS)
        else:
            self.answer()

    def answer(self) -> None:
        body = b'{"overall_status": "healthy"}' if self.headers.get("Authorization") != "Bearer bad" else b"{}"
        self.say({"/busy": 503, "/empty": 204, "/moved": 302}.get(self.path, 200), body)

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0" if status == 204 else str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if status == 204 else body)

    def trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(60):
            try:
                self.wfile.write(b".")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running.server_address[1]
        running.shutdown()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def published(port: int, host: str = "127.0.0.1", target: int = 8321) -> Container:
    """A container whose port is published."""
    return container("web", ports=((target, host, port),))


def asked(port: int, path: str = "/v1/health", patience: float = 5.0, **more: Any) -> Answer:
    """What a service at a published port answers."""
    fake = FakeEngine(failures={"execute": AssertionError("asked from inside")})  # type: ignore[dict-item]
    return ask(fake, replace(HEALTH, path=path, **more), published(port), patience)


def test_a_service_answers_on_its_published_port(port: int) -> None:
    assert asked(port) == Answer(ok=True, detail="HTTP 200")


def test_a_service_that_says_no_says_how(port: int) -> None:
    assert asked(port, "/busy") == Answer(ok=False, detail="HTTP 503")


def test_a_field_must_have_its_value(port: int) -> None:
    assert asked(port, field="overall_status", expected="healthy") == Answer(ok=True, detail="overall_status: healthy")


def test_a_token_is_carried_where_one_is_wanted(port: int) -> None:
    answer = asked(port, field="overall_status", expected="healthy", bearer="bad")
    assert answer == Answer(ok=False, detail="HTTP 200")


def test_no_proxy_is_asked(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert asked(port).ok


def test_a_port_that_nobody_listens_on_does_not_answer_yet(free_port: int) -> None:
    assert asked(free_port) == SILENT


def test_a_connection_that_is_closed_is_no_answer_yet(port: int) -> None:
    assert asked(port, "/closed") == SILENT


def test_what_is_no_http_is_told(port: int) -> None:
    assert asked(port, "/noise") == Answer(ok=False, detail="does not speak HTTP on port 8321: BadStatusLine")


@pytest.mark.parametrize("path", ["/hang", "/trickle"])
def test_a_service_that_takes_for_ever_is_given_up_in_time(port: int, path: str) -> None:
    begun = time.monotonic()
    assert not asked(port, path, patience=0.2, field="overall_status", expected="healthy").ok
    assert time.monotonic() - begun < 2


@pytest.fixture(scope="module")
def secure_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path_factory.mktemp("tls") / "both.pem"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running.server_address[1]
        running.shutdown()


def certificate(path: Path) -> Path:
    """A certificate that nobody trusts, for another name, with its key."""
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", "/CN=elsewhere", "-days", "2", "-keyout", str(path), "-out", f"{path}.crt"]
    try:
        subprocess.run(argv, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_a_service_is_asked_over_tls_whoever_made_its_certificate(secure_port: int) -> None:
    assert asked(secure_port, scheme="https") == Answer(ok=True, detail="HTTP 200")


def test_a_published_port_wins_over_the_containers_address() -> None:
    found = replace(published(18321, "0.0.0.0"), address="10.0.0.2")
    assert list(ways(HEALTH, found)) == [Way("127.0.0.1", 18321)]


@pytest.mark.parametrize(
    ("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("", "127.0.0.1"), ("10.1.1.1", "10.1.1.1")]
)
def test_a_published_port_is_reached_where_it_is_bound(host: str, reached: str) -> None:
    assert list(ways(HEALTH, published(18321, host))) == [Way(reached, 18321)]


def test_a_container_without_that_port_is_reached_at_its_address() -> None:
    assert list(ways(HEALTH, replace(published(1, target=1), address="10.0.0.2"))) == [Way("10.0.0.2", 8321)]


def test_a_container_without_port_and_address_is_not_reached_from_outside() -> None:
    assert list(ways(HEALTH, container("web"))) == []


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A port that takes no connection and refuses none, like an address that leads nowhere."""
    with socket.socket() as listening, ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def test_a_container_whose_address_leads_nowhere_is_asked_from_inside(nowhere: int) -> None:
    fake = FakeEngine(inside={"web": [Finished(0, "200\n", "")]})
    found = container("web", address="127.0.0.1")
    assert ask(fake, replace(HEALTH, port=nowhere), found) == Answer(ok=True, detail="HTTP 200")


def inside(finished: Finished, probe: Probe = HEALTH) -> Answer:
    """The answer to a question from inside the container."""
    return ask(FakeEngine(inside={"web": [finished]}), probe, container("web"))


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        (Finished(0, "200\n{}\n", ""), Answer(ok=True, detail="HTTP 200")),
        (Finished(0, "503\n", ""), Answer(ok=False, detail="HTTP 503")),
        (
            Finished(1, "", "Traceback …\nConnectionRefusedError: no"),
            Answer(ok=False, detail="does not answer yet (ConnectionRefusedError: no)"),
        ),
        (Finished(126, "", ""), Answer(ok=False, detail="does not answer yet (no answer)")),
        (Finished(0, "", ""), Answer(ok=False, detail="cannot be asked from inside: no answer")),
        (Finished(0, "a warning\n200\n", ""), Answer(ok=False, detail="cannot be asked from inside: a warning")),
    ],
)
def test_a_container_that_cannot_be_reached_is_asked_from_inside(finished: Finished, expected: Answer) -> None:
    assert inside(finished) == expected


def test_an_engine_that_cannot_run_the_question_is_told() -> None:
    fake = FakeEngine(failures={"execute": EngineError("docker exec failed")})
    assert ask(fake, HEALTH, container("web")) == Answer(ok=False, detail="docker exec failed")


def test_a_remote_engine_is_asked_from_inside_whatever_is_published(port: int) -> None:
    fake = FakeEngine(inside={"web": [Finished(0, "503\n", "")]}, address="ssh://elsewhere")
    assert is_remote(fake)
    assert ask(fake, HEALTH, published(port)) == Answer(ok=False, detail="HTTP 503")


def test_what_asks_from_inside_works_for_real(port: int) -> None:
    class Local(FakeEngine):
        """Runs the program here, as if this were the container."""

        def execute(self, container: str, argv: Any, timeout: float) -> Finished:
            done = subprocess.run([sys.executable, *argv[1:]], capture_output=True, text=True, timeout=20, check=False)
            return Finished(done.returncode, done.stdout, done.stderr)

    probe = replace(READINESS, port=port, bearer="good")
    assert ask(Local(), probe, container("web")) == Answer(ok=True, detail="overall_status: healthy")


@pytest.mark.parametrize(
    ("probe", "status", "body", "expected"),
    [
        (HEALTH, 200, b"", Answer(ok=True, detail="HTTP 200")),
        (HEALTH, 200, b"not json", Answer(ok=True, detail="HTTP 200")),
        (HEALTH, 404, b'{"detail": "Not Found"}', Answer(ok=False, detail="HTTP 404 (Not Found)")),
        (READINESS, 200, b'{"overall_status": "healthy"}', Answer(ok=True, detail="overall_status: healthy")),
        (READINESS, 503, b'{"overall_status": "healthy"}', Answer(ok=False, detail="overall_status: healthy")),
        (
            READINESS,
            503,
            b'{"overall_status": "degraded", "reason": "no server"}',
            Answer(ok=False, detail="overall_status: degraded (no server)"),
        ),
        (READINESS, 200, b'{"reason": "soon"}', Answer(ok=False, detail="HTTP 200 (soon)")),
        (READINESS, 200, b"[]", Answer(ok=False, detail="HTTP 200")),
        (READINESS, 200, b"\xff", Answer(ok=False, detail="HTTP 200")),
        (READINESS, 401, b'{"detail": {"cause": "x"}}', Answer(ok=False, detail="HTTP 401")),
    ],
)
def test_an_http_answer_has_its_meaning(probe: Probe, status: int, body: bytes, expected: Answer) -> None:
    assert judged(probe, status, body) == expected


def test_what_is_secret_is_known_from_the_containers_variables() -> None:
    fake = FakeEngine(variables={"web": {"API_KEY": "abcdef"}, "db": {"DB_PASSWORD": "ghijkl", "PORT": "54321"}})
    secrets = secrets_of(fake, Observed((container("web"), container("db"))))
    assert secrets.redact("abcdef ghijkl 54321") == "<API_KEY> <DB_PASSWORD> 54321"


def test_a_snapshot_has_the_containers_as_they_are_now() -> None:
    fake = FakeEngine([container("web")], script={"web": [container("web", "exited")]})
    assert snapshot(fake, "demo") == Observed((container("web", "exited"),))


# ---------------------------------------------------------------- the status that is wanted


@pytest.mark.parametrize(
    ("path", "status", "ok"),
    [
        ("/ok", 0, True),
        ("/ok", 200, True),
        ("/ok", 204, False),
        ("/empty", 204, True),
        ("/moved", 0, True),
        ("/moved", 200, False),
        ("/busy", 0, False),
        ("/busy", 503, True),
    ],
)
def test_a_probe_wants_one_status_or_any_that_is_no_error(path: str, status: int, ok: bool, port: int) -> None:
    assert ask(FakeEngine(), Probe(8321, path, status=status), published(port)).ok is ok


# ---------------------------------------------------------------- TCP


TCP = Probe(8321, scheme="tcp")
OPEN = Answer(ok=True, detail="port 8321 accepts connections")
SHUT = Answer(ok=False, detail="port 8321 does not accept connections yet")


@contextmanager
def listening(*, keeps: bool, says: bytes = b"") -> Iterator[int]:
    """Somebody who accepts connections, and keeps or ends each."""
    kept: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                one, _ = server.accept()
                with suppress(OSError):
                    one.sendall(says)
                if keeps:
                    kept.append(one)
                else:
                    one.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for one in kept:
        one.close()


@pytest.mark.parametrize(
    ("keeps", "says", "expected"),
    [(True, b"", OPEN), (True, b"220 hello", OPEN), (False, b"", SHUT), (False, b"220 hello", OPEN)],
)
def test_a_port_is_open_when_a_connection_is_kept_or_something_is_said(
    keeps: bool, says: bytes, expected: Answer
) -> None:
    with listening(keeps=keeps, says=says) as port:
        assert ask(FakeEngine(), TCP, published(port)) == expected


def test_a_port_that_refuses_is_not_open_yet(free_port: int) -> None:
    assert ask(FakeEngine(), TCP, published(free_port)) == SHUT


def test_a_port_is_asked_at_the_containers_own_address_first() -> None:
    found = replace(published(18321), address="10.0.0.2")
    assert list(ways(TCP, found)) == [Way("10.0.0.2", 8321), Way("127.0.0.1", 18321)]


def test_a_port_whose_container_leads_nowhere_is_asked_where_it_is_published(nowhere: int) -> None:
    with listening(keeps=True) as port:
        found = container("web", address="127.0.0.1", ports=((nowhere, "127.0.0.1", port),))
        assert ask(FakeEngine(), replace(TCP, port=nowhere), found).ok


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        (Finished(0, "0\n", ""), OPEN),
        (
            Finished(1, "", "ConnectionRefusedError: no"),
            Answer(ok=False, detail="does not answer yet (ConnectionRefusedError: no)"),
        ),
    ],
)
def test_a_port_that_cannot_be_reached_is_asked_from_inside(finished: Finished, expected: Answer) -> None:
    assert inside(finished, TCP) == expected


# ---------------------------------------------------------------- health checks


CHECK = Healthcheck(("CMD", "a", "b c"), timeout=7)


@dataclass
class Recording(FakeEngine):
    """An engine that keeps what was run in a container, and for how long at most."""

    ran: list[tuple[list[str], float]] = field(default_factory=list)

    def execute(self, container: str, argv: Any, timeout: float) -> Finished:
        self.ran.append((list(argv), timeout))
        return super().execute(container, argv, timeout)


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (("CMD", "a", "b c"), ["a", "b c"]),
        (("CMD-SHELL", "a | b"), ["/bin/sh", "-c", "a | b"]),
        (("a", "b"), ["a", "b"]),
    ],
)
def test_a_health_check_is_run_as_its_engine_would(command: tuple[str, ...], argv: list[str]) -> None:
    engine = Recording(inside={"web": [Finished(0, "", "")]})
    run_check(engine, replace(CHECK, command=command), container("web"))
    assert engine.ran == [(argv, 7)]


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        (Finished(0, "fine\n", ""), Answer(ok=True, detail="fine")),
        (Finished(0, "", ""), Answer(ok=True)),
        (Finished(1, "no\n  db\n", "error\n"), Answer(ok=False, detail="no db error")),
        (Finished(3, "", ""), Answer(ok=False, detail="exit code 3")),
        (Finished(1, "x" * 999 + "end", ""), Answer(ok=False, detail="x" * 297 + "end")),
        (
            Finished(127, "", "/bin/sh: curl: not found"),
            Answer(ok=False, detail="/bin/sh: curl: not found", missing="curl"),
        ),
        (Finished(0, "/bin/sh: curl: not found", ""), Answer(ok=True, detail="/bin/sh: curl: not found")),
    ],
)
def test_a_health_check_has_its_answer(finished: Finished, expected: Answer) -> None:
    assert run_check(FakeEngine(inside={"web": [finished]}), CHECK, container("web")) == expected


def test_a_program_that_is_missed_by_one_of_two_is_no_certainty() -> None:
    check = replace(CHECK, command=("CMD-SHELL", "curl x || wget x"))
    said = Finished(1, "", "/bin/sh: curl: not found\nwget: connection refused")
    found = run_check(FakeEngine(inside={"web": [said]}), check, container("web"))
    assert found == Answer(ok=False, detail="/bin/sh: curl: not found wget: connection refused")


def test_a_health_check_that_does_not_end_is_told_so() -> None:
    fake = FakeEngine(failures={"execute": EngineError("docker exec did not end within 7 s")})
    assert run_check(fake, CHECK, container("web")) == Answer(ok=False, detail="it did not end within 7 s")


# ---------------------------------------------------------------- gauges


@pytest.mark.parametrize(
    ("gauge", "works"),
    [
        ("vllm:num_requests_running", True),
        ("idle", False),
        ("timed", False),
        ("odd", None),
        ("unknown", None),
        ("vllm:num_requests", None),
    ],
)
def test_whether_a_service_works_is_told_by_a_gauge_or_not_at_all(gauge: str, works: bool | None, port: int) -> None:
    assert busy(FakeEngine(), gauge, HEALTH, published(port)) is works


def test_a_gauge_that_cannot_be_asked_for_tells_nothing(free_port: int) -> None:
    assert busy(FakeEngine(), "idle", HEALTH, published(free_port)) is None
    assert busy(FakeEngine(), "idle", HEALTH, container("web")) is None
    assert busy(FakeEngine(address="ssh://elsewhere"), "idle", HEALTH, published(free_port)) is None
