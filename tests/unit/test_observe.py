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
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError
from lcompose.host import Finished
from lcompose.observe import Way, ask, is_remote, judged, secrets_of, snapshot, ways
from lcompose.spec.project import Probe
from lcompose.spec.run import Answer, Container, Observed
from tests.unit.given import container

HEALTH = Probe(8321, "/v1/health")
READINESS = Probe(8080, "/readiness", field="overall_status", expected="healthy")
SILENT = Answer(ok=False, detail="does not answer yet")


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
        else:
            self.answer()

    def answer(self) -> None:
        body = b'{"overall_status": "healthy"}' if self.headers.get("Authorization") != "Bearer bad" else b"{}"
        self.send_response(503 if self.path == "/busy" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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
