"""The same stack on Docker, on Podman, as processes and as a library: real Llama Stack, compared as a person would."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import QUICKSTART, SECRET, Lcompose, Model, free_port, image_options, lcompose_child
from tests.engine.test_main_job import left_behind
from tests.real import lcore_checkout, uv_environment

pytestmark = [pytest.mark.docker, pytest.mark.podman]
BOTH = "container:docker,container:podman"
THREE = f"{BOTH},local"
SETTINGS = "services: {lightspeed-stack: {local: {workingDir: ./checkout}}}\n"
TOKEN = "a-token-for-whoever-asks"
AUTHENTICATION = """
authentication:
  module: api-key-token
  skip_for_health_probes: true
  api_key_config: {api_key: "${env.API_TOKEN}"}
"""
REQUESTS = """
- name: who am I
  path: /v1/info
  headers: {Authorization: "Bearer ${OPENAI_API_KEY}"}
  expect: {status: 200, equal: {name: quickstart}}
"""


@dataclass(frozen=True)
class Stack:
    """A folder with a stack, and what is the same for every comparison of it."""

    folder: Path
    project: str
    options: tuple[str, ...]
    of_podman: tuple[str, ...]
    env: dict[str, str]

    def with_processes(self) -> dict[str, str]:
        """Sets up what the local leg needs; gives its variables."""
        lcore_checkout(self.folder)
        (self.folder / "lcompose.yaml").write_text(SETTINGS)
        return {**self.env, **uv_environment()}

    def left(self) -> list[str]:
        """What any engine still has of any leg."""
        found = [
            left_behind(engine, f"{self.project}-{leg}")
            for engine in ("docker", "podman")
            for leg in (engine, "library")
        ]
        found.append({"processes": [line for line in command_lines() if self.project in line]})
        return [name for one in found for names in one.values() for name in names]


def command_lines() -> Iterator[str]:
    """What runs on this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.fixture
def stack(
    docker: str, podman: str, built: Callable[[str], dict[str, str]], model: Model, lcompose: Lcompose, tmp_path: Path
) -> Iterator[Stack]:
    """The quickstart, with the test images and a model that both engines reach."""
    images = built(docker)
    assert {name: images[name] for name in ("llama-stack", "lightspeed-stack")}.items() <= built(podman).items()
    (tmp_path / "lightspeed-stack.yaml").write_text((QUICKSTART / "lightspeed-stack.yaml").read_text())
    project = f"test-parity-{free_port()}"
    elsewhere = model.variables(podman)["OPENAI_BASE_URL"]
    of_podman = ("--leg-set", "container:podman", f"services.llama-stack.env.OPENAI_BASE_URL={elsewhere}")
    options = ("-p", project, "--parallel", *image_options(images))
    made = Stack(tmp_path, project, options, of_podman, model.variables(docker))
    yield made
    for engine in (docker, podman) if made.left() else ():
        for leg in (engine, "library"):
            lcompose("down", "-p", f"{project}-{leg}", "--engine", engine, "--volumes", cwd=tmp_path)


def test_docker_podman_and_processes_do_the_same(stack: Stack, lcompose: Lcompose) -> None:
    env = stack.with_processes()
    (stack.folder / "parity.yaml").write_text(REQUESTS)
    files = ("--junit", "out/junit.xml", "--artifacts", "out/legs")
    arguments = ("parity", "--legs", THREE, "--json", "--compare-text", *files, *stack.options, *stack.of_podman)
    done = lcompose(*arguments, cwd=stack.folder, env=env, timeout=150)
    if done.code == 4 and "cannot be fetched" in done.err + done.out:
        pytest.skip(f"the package index cannot be reached: {done.err[-200:]}")
    assert done.code == 0, done.out + done.err

    found = json.loads(done.out)
    assert found["agree"] is True
    assert [leg["name"] for leg in found["legs"]] == THREE.split(",")
    told = {one["name"]: [(leg["verdict"], leg["told"]) for leg in one["legs"].values()] for one in found["assertions"]}
    # What is there to be compared was there: a refusal on both would agree too.
    answered = ("readiness", "version", "interface", "models", "providers", "query", "streamed query")
    for name in (*answered, "server: models", "server: providers", "who am I"):
        assert told[name] == [("ok", "200")] * 3, name
    assert told["bad request"] == [("ok", "422")] * 3
    for name in ("ready", "state", "files: variables", "files: documents", "logs kept", "nothing left"):
        assert told[name] == [("ok", "")] * 3, name

    root = ElementTree.parse(stack.folder / "out" / "junit.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == (str(3 * len(told)), "0")
    for leg in ("docker", "podman", "local"):
        log = stack.folder / "out" / "legs" / f"{stack.project}-{leg}" / "logs" / "lightspeed-stack" / "latest.log"
        assert "POST /v1/query" in log.read_text()
    written = [path.read_text() for path in (stack.folder / "out").rglob("*") if path.is_file()]
    assert not [text for text in (done.out, done.err, *written) if SECRET in text]
    assert stack.left() == []


def test_a_leg_that_answers_otherwise_is_shown_with_what_differs(stack: Stack, lcompose: Lcompose) -> None:
    # Without its secret for tracing, Lightspeed Core answers no query.
    other = ("--leg-set", "local", "services.lightspeed-stack.env.OTEL_SDK_DISABLED=false")
    env = stack.with_processes() | {"GITHUB_ACTIONS": "true"}
    arguments = ("parity", "--legs", "container:docker,local", *stack.options, *other)
    done = lcompose(*arguments, cwd=stack.folder, env=env, timeout=90)
    assert done.code == 5, done.out + done.err
    assert "3 of 20 assertions do not hold: query, streamed query, files: variables." in done.out
    assert "  --- container:docker\n  +++ local\n  -status: 200\n  +status: 500\n" in done.out
    assert '  -lightspeed-stack.OTEL_SDK_DISABLED: "true"\n  +lightspeed-stack.OTEL_SDK_DISABLED: "false"\n' in done.out
    assert "\n::error title=lcompose::query does not hold on local%0A" in done.err
    assert SECRET not in done.out + done.err
    assert stack.left() == []


def test_library_mode_answers_as_a_server_beside_it_does(stack: Stack, lcompose: Lcompose) -> None:
    legs = "container:docker,library"
    config = stack.folder / "lightspeed-stack.yaml"
    config.write_text(config.read_text() + AUTHENTICATION)
    token = ("--header", "Authorization: Bearer ${API_TOKEN}")
    env = stack.env | {"API_TOKEN": TOKEN}
    arguments = ("parity", "--legs", legs, "--json", *token, *stack.options)
    done = lcompose(*arguments, cwd=stack.folder, env=env, timeout=90)
    assert done.code == 0, done.out + done.err
    assert TOKEN not in done.out + done.err
    verdicts = {
        one["name"]: [(leg["verdict"], leg["told"]) for leg in one["legs"].values()]
        for one in json.loads(done.out)["assertions"]
    }
    for name in ("readiness", "interface", "models", "query"):
        assert verdicts[name] == [("ok", "200")] * 2, name
    assert verdicts["server: models"] == [("ok", "200"), ("absent", "")]
    assert verdicts["nothing left"] == [("ok", "")] * 2
    assert stack.left() == []


def test_ctrl_c_takes_every_leg_down(stack: Stack, state: Path) -> None:
    arguments = ("parity", "--legs", THREE, *stack.options, *stack.of_podman)
    with lcompose_child(*arguments, cwd=stack.folder, state=state, env=stack.with_processes()) as child:
        assert child.stderr
        lines = [next(child.stderr) for _ in range(3)]
        assert all(": starts as " in line for line in lines)
        # In the middle of it: the first process has a file of its leg, containers are being made.
        ends = time.monotonic() + 30
        while not any(f"/{stack.project}-local/" in line for line in command_lines()):
            assert time.monotonic() < ends
            threading.Event().wait(0.1)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130, out + err
    assert err.count(": is down") == 3
    assert stack.left() == []


def test_an_engine_that_is_not_here_ends_it_before_anything_starts(stack: Stack, lcompose: Lcompose) -> None:
    env = stack.env | {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    arguments = ("parity", "--legs", BOTH, *stack.options, *stack.of_podman)
    done = lcompose(*arguments, cwd=stack.folder, env=env, timeout=60)
    assert done.code == 4
    assert "container:docker: Docker does not answer" in done.err
    assert "starts as" not in done.err
