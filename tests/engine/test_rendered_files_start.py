"""What is rendered starts without lcompose: through a pipe, from a folder, under testcontainers."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import QUICKSTART, Lcompose, Model, clean_environment, free_port, image_options, succeed
from tests.engine.test_main_job import folder, left_behind, ports, query

__all__ = ["folder"]


@pytest.fixture
def name(lcompose: Lcompose, tmp_path: Path) -> Iterator[str]:
    """A project name that is taken down whatever happens."""
    chosen = f"test-file-{os.getpid()}-{free_port()}"
    yield chosen
    for engine in ("docker", "podman"):
        lcompose("down", "-p", chosen, "--engine", engine, "--volumes", cwd=tmp_path)


@pytest.mark.docker
@pytest.mark.parametrize("profile", ["dev", "prod"])
def test_the_one_file_starts_through_a_pipe(
    docker: str,
    profile: str,
    name: str,
    folder: Path,
    built: Callable[[str], dict[str, str]],
    model: Model,
    lcompose: Lcompose,
) -> None:
    options, lcore, _ = ports()
    options = options if profile == "dev" else options[:2]
    env = model.variables(docker)
    # The example itself, as it is in the repository.
    arguments = ["-C", str(QUICKSTART), "-p", name, "--profile", profile, *image_options(built(docker)), *options]
    rendered = lcompose("render", *arguments, cwd=folder, env=env)
    assert rendered.code == 0, rendered.err
    assert env["OPENAI_API_KEY"] not in rendered.out
    argv = [docker, "compose", "-f", "-", "up", "--detach", "--wait", "--wait-timeout", "120"]
    succeed(argv, timeout=180, cwd=folder, env=clean_environment(**env), stdin=rendered.out)
    wait_until_healthy(lcore)
    assert query(lcore, "through a pipe")["response"] == "mock: through a pipe"
    down = lcompose("down", "-p", name, "--volumes", cwd=folder)
    assert down.code == 0, down.err
    assert left_behind(docker, name) == {"containers": [], "networks": [], "volumes": []}


@pytest.mark.docker
def test_docker_compose_recreates_nothing_after_lcompose_up(
    docker: str,
    name: str,
    folder: Path,
    built: Callable[[str], dict[str, str]],
    model: Model,
    lcompose: Lcompose,
) -> None:
    options, _, _ = ports()
    env = model.variables(docker)
    arguments = ["-p", name, *image_options(built(docker)), *options]
    assert lcompose("up", "--engine", docker, *arguments, cwd=folder, env=env).code == 0
    before = left_behind(docker, name)["containers"]
    rendered = lcompose("render", *arguments, cwd=folder, env=env)
    argv = [docker, "compose", "-f", "-", "up", "--detach"]
    succeed(argv, timeout=60, cwd=folder, env=clean_environment(**env), stdin=rendered.out)
    assert sorted(left_behind(docker, name)["containers"]) == sorted(before)


@pytest.mark.docker
def test_the_folder_starts_under_testcontainers(
    docker: str,
    name: str,
    folder: Path,
    built: Callable[[str], dict[str, str]],
    model: Model,
    lcompose: Lcompose,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from testcontainers.compose import DockerCompose

    options, lcore, _ = ports()
    env = model.variables(docker)
    target = folder / "deploy"
    rendered = lcompose(
        "render", "-p", name, "-o", str(target), *image_options(built(docker)), *options, cwd=folder, env=env
    )
    assert rendered.code == 0, rendered.err
    target.joinpath(".env").write_text("".join(f"{key}={value}\n" for key, value in env.items()))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with DockerCompose(str(target), compose_file_name="compose.yaml", wait=True) as compose:
        assert {one.Service for one in compose.get_containers()} == {"llama-stack", "lightspeed-stack"}
        wait_until_healthy(lcore)
        assert query(lcore, "from a folder")["response"] == "mock: from a folder"


@pytest.mark.podman
def test_the_folder_starts_with_podman_compose(
    podman: str,
    name: str,
    folder: Path,
    built: Callable[[str], dict[str, str]],
    model: Model,
    lcompose: Lcompose,
) -> None:
    from lcompose.engines.podman_provider import provider

    program = provider(os.environ).program
    assert program
    options, lcore, _ = ports()
    env = model.variables(podman)
    target = folder / "deploy"
    arguments = ["-p", name, "--engine", podman, *image_options(built(podman)), *options]
    rendered = lcompose("render", "-o", str(target), *arguments, cwd=folder, env=env)
    assert rendered.code == 0, rendered.err
    succeed([program, "up", "--detach"], timeout=120, cwd=target, env=clean_environment(**env))
    wait_until_healthy(lcore)
    assert query(lcore, "with podman")["response"] == "mock: with podman"


def wait_until_healthy(port: int) -> None:
    """Waits until LCORE says that it is healthy; whoever started it may not have."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readiness", timeout=3) as response:
                if b'"overall_status":"healthy"' in response.read().replace(b" ", b""):
                    return
        except OSError:
            pass
        assert time.monotonic() < deadline, "LCORE did not become healthy within 60 s"
        time.sleep(0.2)
