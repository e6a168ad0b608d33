"""The examples: each is read by Docker's compose, and those start that can run here."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Lcompose, Model, clean_environment, free_port, image_options, succeed
from tests.docs import examples
from tests.engine.test_companions import postgres_image
from tests.golden.test_goldens import required_variables
from tests.images.build import base_for

EXAMPLES = ROOT / "compose-examples"
PROXY = "    # The proxy:"


@pytest.mark.docker
@pytest.mark.parametrize("example", examples(), ids=lambda path: path.name)
def test_dockers_compose_reads_every_example(example: Path, docker: str) -> None:
    path = example / "compose.yaml"
    variables = dict.fromkeys(required_variables(path), "value")
    argv = [docker, "compose", "--file", str(path), "config", "--format", "json"]
    read = json.loads(succeed(argv, timeout=60, cwd=example, env={**os.environ, **variables}))
    written = yaml.safe_load(path.read_text())
    assert set(read["services"]) == set(written["services"])
    assert read["name"] == example.name


@pytest.fixture
def project(lcompose: Lcompose, tmp_path: Path) -> Iterator[str]:
    """A project name that is taken down whatever happens."""
    name = f"test-example-{os.getpid()}-{free_port()}"
    yield name
    lcompose("down", "-p", name, "--engine", "docker", "--volumes", cwd=tmp_path)


def start(
    folder: Path, project: str, images: dict[str, str], model: Model, lcompose: Lcompose, target: int = 8080
) -> int:
    """Starts an example on a free port, and says which one it is."""
    port = free_port()
    ports = ["--set", f"services.lightspeed-stack.ports={port}:{target}", "--set", "services.llama-stack.publish=false"]
    variables = dict.fromkeys(required_variables(folder / "compose.yaml"), "given-here")
    more = [part for name in ("postgres",) if name in images for part in ("--image", f"{name}={images[name]}")]
    arguments = ["-p", project, "--engine", "docker", *image_options(images), *more, *ports]
    up = lcompose("up", *arguments, cwd=folder, env={**variables, **model.variables("docker")})
    assert up.code == 0, up.err
    return port


def ask(address: str, context: ssl.SSLContext | None = None) -> str:
    """What LCORE answers to a question."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/query", b'{"query": "here?"}', headers)
    with urllib.request.urlopen(request, timeout=60, context=context) as response:
        return str(json.load(response)["response"])


def copied(name: str, tmp_path: Path) -> Path:
    """An example in a folder of its own."""
    return Path(shutil.copytree(EXAMPLES / name, tmp_path / name))


@pytest.mark.docker
def test_library_mode_starts(
    project: str, tmp_path: Path, docker: str, built: Callable[[str], dict[str, str]], model: Model, lcompose: Lcompose
) -> None:
    port = start(copied("library", tmp_path), project, built(docker), model, lcompose)
    assert ask(f"http://127.0.0.1:{port}") == "mock: here?"


@pytest.mark.docker
def test_with_certificates_both_services_speak_tls(
    project: str, tmp_path: Path, docker: str, built: Callable[[str], dict[str, str]], model: Model, lcompose: Lcompose
) -> None:
    folder = copied("tls", tmp_path)
    if not shutil.which("openssl"):
        pytest.skip("certificates are made with openssl, which is not here")
    subprocess.run(["sh", "make-certificates.sh"], cwd=folder, check=True, capture_output=True, timeout=60)
    port = start(folder, project, built(docker), model, lcompose, target=8443)
    trust = ssl.create_default_context(cafile=str(folder / "certificates/authority.crt"))
    assert ask(f"https://127.0.0.1:{port}", trust) == "mock: here?"


@pytest.mark.docker
def test_postgres_holds_everything(
    project: str, tmp_path: Path, docker: str, built: Callable[[str], dict[str, str]], model: Model, lcompose: Lcompose
) -> None:
    images = {**built(docker), "postgres": postgres_image(docker)}
    port = start(copied("postgres", tmp_path), project, images, model, lcompose)
    assert ask(f"http://127.0.0.1:{port}") == "mock: here?"
    names = ["exec", f"{project}-postgres-1", "psql", "-U", "postgres", "-At", "-c", "SELECT datname FROM pg_database"]
    listed = succeed([docker, *names], timeout=60, cwd=tmp_path, env=clean_environment())
    assert {"lightspeed", "conversations", "quota", "agents", "ogx"} <= set(listed.split())


@pytest.mark.docker
def test_an_mcp_server_of_ones_own_is_there_before_llama_stack(
    project: str, tmp_path: Path, docker: str, built: Callable[[str], dict[str, str]], model: Model, lcompose: Lcompose
) -> None:
    folder = copied("mcp-proxy", tmp_path)
    settings = folder / "lcompose.yaml"
    # The proxy's image is not here; the server's own needs nothing but Python.
    settings.write_text(
        settings.read_text().partition(PROXY)[0].replace("docker.io/library/python:3.13-slim", base_for(docker))
    )
    port = start(folder, project, built(docker), model, lcompose)
    assert ask(f"http://127.0.0.1:{port}") == "mock: here?"
    status = lcompose("status", "-p", project, "--json", cwd=folder)
    found = {row["service"]: row["state"] for row in json.loads(status.out)["services"]}
    assert found == {"clock": "ready", "llama-stack": "ready", "lightspeed-stack": "ready"}
