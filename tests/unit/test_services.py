"""How each service is started, watched, and asked whether it is ready."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lcompose.lightspeed.bytecode import STARTER
from lcompose.lightspeed.images import choose_images
from lcompose.lightspeed.services import lcore_service, own_directory, server_service
from lcompose.merge import Layer
from lcompose.settings import resolve_settings
from lcompose.spec.project import Healthcheck, Port, Probe, Service
from lcompose.spec.text import EnvRef
from tests.unit.given import LIGHTSPEED, OLDER, RUN, config

OWN_IMAGE = {"services": {"llama-stack": {"image": "quay.io/team/stack:1.2.5"}}}
TLS = "{port: 8080, tls_config: {tls_certificate_path: a.crt, tls_key_path: a.key}}"


def images(settings: dict[str, Any] | None = None) -> Any:
    """The images that some settings mean."""
    return choose_images(resolve_settings([Layer("own", settings or {})]))


def lcore(source: str = LIGHTSPEED, document: Any = None, run: str = RUN) -> Service:
    """LCORE's service."""
    return lcore_service(config(source, run), images(), document or {}, ())


def server(run: str = RUN, version: str = "1.2.5", document: Any = None) -> Service:
    """Llama Stack's service, in an image of the team's."""
    numbers = tuple(map(int, version.split(".")))
    found = images({"services": {"llama-stack": {"image": f"quay.io/team/stack:{version}"}}})
    return server_service(config(LIGHTSPEED, run, version=numbers), found, document or {}, ())


def test_lightspeed_core_reads_its_document_and_is_asked_whether_it_is_healthy() -> None:
    service = lcore(document={"key": "${env.KEY}"})
    assert service.healthcheck
    assert service == Service(
        name="lightspeed-stack",
        image="quay.io/lightspeed-core/lightspeed-stack:0.7.1",
        own_entrypoint=("/app-root/entrypoint.sh",),
        command=("-c", "/app-root/lightspeed-stack.yaml"),
        environment=(
            ("LIGHTSPEED_STACK_DISABLE_RICH_HANDLER", "1"),
            ("OTEL_SDK_DISABLED", EnvRef("OTEL_SDK_DISABLED", "true")),
            ("KEY", EnvRef("KEY", required=True)),
        ),
        ports=(Port("127.0.0.1", 8080, 8080),),
        healthcheck=service.healthcheck,
        probe=Probe(8080, "/readiness", field="overall_status", expected="healthy"),
        after=("llama-stack",),
    )


def test_lightspeed_core_is_started_side_by_side_with_llama_stack_unless_an_order_is_wanted() -> None:
    assert not lcore().ordered
    assert lcore_service(config(), images(), {}, (), ordered=True).ordered
    remote = config(LIGHTSPEED.replace("localhost", "elsewhere.example.com"))
    assert not lcore_service(remote, images(), {}, (), ordered=True).ordered


def test_both_keep_their_bytecode_on_their_volume_and_have_it_made_once_they_are_ready() -> None:
    core = lcore_service(config(), images(), {}, (), cached=True)
    stack = server_service(config(), images(OWN_IMAGE), {}, (), cached=True)
    root = server_service(config(), images(), {}, (), cached=True)
    below = [dict(one.environment).get("PYTHONPYCACHEPREFIX", "") for one in (core, stack, root)]
    assert [str(one).rpartition("/")[0] for one in below] == [
        "/opt/app-root/src/.llama/storage/bytecode",
        "/opt/app-root/src/.llama/storage/bytecode",
        "/root/.ogx/bytecode",
    ]
    assert all("PYTHONDONTWRITEBYTECODE" not in dict(one.environment) for one in (core, stack, root))
    assert [one.afterwards[-1] for one in (core, stack, root)] == ["/app-root", "ogx", "ogx"]
    assert core.afterwards[:2] == ("python3", "-c")


def test_without_a_cache_nothing_is_said_of_bytecode() -> None:
    assert lcore().afterwards == ()
    assert not any(name.startswith("PYTHON") for one in (lcore(), server()) for name, _ in one.environment)


@pytest.mark.parametrize(
    ("port", "expected"), [("8090", 8090), ("'8090'", 8090), ("'${env.PORT:=8090}'", 8090), ("'${env.PORT}'", 8080)]
)
def test_the_port_of_lightspeed_core_is_the_one_that_it_listens_on(port: str, expected: int) -> None:
    service = lcore(LIGHTSPEED.replace("8080", port))
    assert service.ports == (Port("127.0.0.1", expected, expected),)
    assert service.probe and service.probe.port == expected


def test_what_they_start_is_told_whether_its_bytecode_is_made_where_it_is_known_what_that_is() -> None:
    core = lcore_service(config(), images(), {}, (), cached=True)
    own = images({"services": {"lightspeed-stack": {"image": "quay.io/team/lightspeed-stack:0.7.1"}}})
    stack = server_service(config(), images(), {}, (), cached=True)
    assert core.entrypoint == (*STARTER, "/app-root/entrypoint.sh")
    assert lcore_service(config(), own, {}, (), cached=True).entrypoint == ()
    assert (*stack.entrypoint, *stack.command[:1]) == (*STARTER, "ogx", "run")


def test_without_a_port_lightspeed_core_listens_on_8080() -> None:
    assert lcore(LIGHTSPEED.replace("{port: 8080}", "{}")).ports == (Port("127.0.0.1", 8080, 8080),)


def test_lightspeed_core_with_certificates_is_asked_over_https() -> None:
    probe = lcore(LIGHTSPEED.replace("{port: 8080}", TLS)).probe
    assert probe and probe.scheme == "https"


def test_a_module_that_wants_a_token_on_probes_gets_one() -> None:
    service = lcore(LIGHTSPEED + "authentication: {module: noop-with-token}\n")
    assert service.probe and service.probe.bearer == "lcompose"
    assert service.healthcheck and "Bearer lcompose" in service.healthcheck.command[-1]


def test_lightspeed_core_comes_after_nothing_where_the_server_is_remote() -> None:
    assert lcore(LIGHTSPEED.replace("localhost", "stack.example.com")).after == ()


def test_llama_stack_is_started_and_asked_for_its_health() -> None:
    service = server(document={"key": "${env.KEY:=x}"})
    assert service.healthcheck
    assert service == Service(
        name="llama-stack",
        image="quay.io/team/stack:1.2.5",
        entrypoint=("ogx",),
        command=("run", "--insecure", "/opt/app-root/run.yaml"),
        environment=(
            ("OGX_CONFIG_DIR", "/opt/app-root/src/.llama/storage/ogx"),
            ("OGX_PORT", "8321"),
            ("KEY", EnvRef("KEY", "x")),
        ),
        ports=(Port("127.0.0.1", 8321, 8321),),
        healthcheck=service.healthcheck,
        probe=Probe(8321, "/v1/health"),
    )


@pytest.mark.parametrize(
    ("version", "program", "names"),
    [
        ("0.6.0", ("llama", "stack", "run"), ["LLAMA_STACK_CONFIG_DIR", "LLAMA_STACK_PORT"]),
        ("0.7.9", ("llama", "stack", "run"), ["LLAMA_STACK_CONFIG_DIR", "LLAMA_STACK_PORT"]),
        ("0.8.0", ("ogx", "run"), ["OGX_CONFIG_DIR", "OGX_PORT"]),
        ("1.1.0", ("ogx", "run"), ["OGX_CONFIG_DIR", "OGX_PORT"]),
        ("1.2.0", ("ogx", "run", "--insecure"), ["OGX_CONFIG_DIR", "OGX_PORT"]),
    ],
)
def test_each_version_of_the_server_is_started_in_its_way(
    version: str, program: tuple[str, ...], names: list[str]
) -> None:
    service = server(version=version)
    assert (*service.entrypoint, *service.command) == (*program, "/opt/app-root/run.yaml")
    assert [name for name, _ in service.environment] == names


def test_a_server_with_certificates_is_asked_over_https_and_needs_no_leave() -> None:
    service = server(RUN + "server: {port: 8322, tls_certfile: a, tls_keyfile: b}\n")
    assert service.probe == Probe(8322, "/v1/health", "https")
    assert "--insecure" not in service.command


def test_the_distributions_own_image_keeps_its_files_in_roots_home() -> None:
    assert own_directory(images().server_facts) == "/root/.ogx/data"


def test_an_image_of_ones_own_keeps_its_files_in_the_owned_directory() -> None:
    assert own_directory(images(OWN_IMAGE).server_facts) == "/opt/app-root/src/.llama/storage/ogx"


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers /liveness and /v1/health, but only with the token that is asked for."""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer lcompose" or self.path == "/v1/health"
        self.send_response(200 if allowed else 401)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running.server_address[1]
        running.shutdown()


def passes(check: Healthcheck | None) -> bool:
    """Whether a health check passes when it is run for real."""
    assert check and check.command[:2] == ("CMD", "python3")
    environment = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    argv = [sys.executable, "-I", *check.command[2:]]
    return subprocess.run(argv, env=environment, capture_output=True, timeout=20, check=False).returncode == 0


def test_a_health_check_passes_where_the_service_answers_and_asks_no_proxy(port: int) -> None:
    assert passes(server(RUN + f"server: {{port: {port}}}\n").healthcheck)


@pytest.mark.parametrize(("module", "good"), [("noop-with-token", True), ("noop", False)])
def test_a_health_check_carries_the_token_where_one_is_wanted(port: int, module: str, good: bool) -> None:
    source = LIGHTSPEED.replace("8080", str(port)) + f"authentication: {{module: {module}}}\n"
    assert passes(lcore(source).healthcheck) is good


def test_a_health_check_fails_where_nothing_answers() -> None:
    assert not passes(server(RUN + "server: {port: 1024}\n").healthcheck)


def test_the_older_generation_has_images_of_its_own() -> None:
    service = lcore_service(config(OLDER, generation="0.6"), images({"lightspeed_version": "0.6"}), {}, ())
    assert service.image == "quay.io/lightspeed-core/lightspeed-stack:0.6.2"
