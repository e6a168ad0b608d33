"""What tests share: lcompose as a person runs it, real engines, the images, a mock model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lcompose.engines.select import connect
from tests.images.build import ensure_images

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
QUICKSTART = ROOT / "compose-examples" / "quickstart"
MOCK_LLM = ROOT / "tests" / "images" / "mock_llm" / "mock_llm.py"
SECRET = "sk-a-very-secret-value"
HOW_TO_GET_ENGINES = "on Debian run .ci/engines as root, elsewhere install it; then: make test"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write the goldens anew")


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Lcompose = Callable[..., Ran]


def clean_environment(**more: str) -> dict[str, str]:
    """This machine's environment without anything that changes what lcompose does, or lets it start slowly."""
    ours = ("LCOMPOSE_", "LIGHTSPEED_", "COMPOSE_", "OPENAI_", "XDG_STATE_HOME", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | more


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for lcompose's state, so that a test sees none of another's."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def lcompose(state: Path) -> Lcompose:
    """Runs lcompose as a person does, in its own process."""

    def run(*args: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300) -> Ran:
        environment = clean_environment(XDG_STATE_HOME=str(state)) | dict(env or {})
        done = subprocess.run(
            [sys.executable, "-m", "lcompose", *args],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def engine_or_skip(name: str) -> str:
    """The engine's name when it answers; a machine that must have it fails instead of skipping."""
    facts = connect(name, os.environ).facts()  # type: ignore[arg-type]
    if facts.usable:
        return name
    reason = f"{name}: {facts.problem}; {HOW_TO_GET_ENGINES}"
    if name in os.environ.get("TEST_ENGINES", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def docker() -> str:
    """Docker, or a skip with the reason."""
    return engine_or_skip("docker")


@pytest.fixture(scope="session")
def podman() -> str:
    """Podman, or a skip with the reason."""
    return engine_or_skip("podman")


@pytest.fixture(
    scope="session",
    params=[pytest.param("docker", marks=pytest.mark.docker), pytest.param("podman", marks=pytest.mark.podman)],
)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return engine_or_skip(request.param)


@pytest.fixture(scope="session")
def built() -> Callable[[str], dict[str, str]]:
    """Builds the images in an engine once a session."""
    done: dict[str, dict[str, str]] = {}

    def build(name: str) -> dict[str, str]:
        if name not in done:
            done[name] = ensure_images([name])
        return done[name]

    return build


@pytest.fixture
def images(engine: str, built: Callable[[str], dict[str, str]]) -> list[str]:
    """The options that put the test images in the place of upstream's."""
    return image_options(built(engine))


def image_options(references: Mapping[str, str]) -> list[str]:
    """``--image`` for both services; unlike upstream's, these images have their bytecode."""
    images = [
        part
        for service in ("llama-stack", "lightspeed-stack")
        for part in ("--image", f"{service}={references[service]}")
    ]
    return [*images, "--set", "bytecode_cache=false"]


def lcompose_child(*args: str, cwd: Path, state: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """lcompose in a process that a test can interrupt, with pipes for both streams."""
    return subprocess.Popen(
        [sys.executable, "-m", "lcompose", *args],
        cwd=cwd,
        env=clean_environment(XDG_STATE_HOME=str(state), **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A runner that was started in the background ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def succeed(argv: Sequence[str], *, timeout: float, cwd: Path, env: Mapping[str, str], stdin: str = "") -> str:
    """Runs a program that must succeed, and returns what it printed."""
    done = subprocess.run(
        argv, input=stdin, cwd=cwd, env=dict(env), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Model:
    """A mock of an OpenAI-compatible server, and the variables that lead a stack to it."""

    port: int

    def variables(self, engine: str) -> dict[str, str]:
        """The address of this machine as containers of an engine see it, and a key."""
        host = "host.containers.internal" if engine == "podman" else _docker_gateway()
        return {"OPENAI_BASE_URL": f"http://{host}:{self.port}/v1", "OPENAI_API_KEY": SECRET}


def _docker_gateway() -> str:
    form = "{{(index .IPAM.Config 0).Gateway}}"
    done = subprocess.run(
        ["docker", "network", "inspect", "bridge", "--format", form], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    """The mock model, as a process of this machine."""
    port = free_port()
    environment = {**os.environ, "MOCK_PORT": str(port)}
    child = subprocess.Popen([sys.executable, str(MOCK_LLM)], env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(port, child)
        yield Model(port)
    finally:
        child.kill()
        child.wait()


def _wait_for_port(port: int, child: subprocess.Popen[bytes]) -> None:
    import time

    for _ in range(100):
        assert child.poll() is None, "the mock model died"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the mock model does not answer")
