"""Engines that are missing, dead, hanging or too old; services that die or never get ready."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import QUICKSTART, SECRET, Lcompose, free_port, image_options, lcompose_child

GOOD = (QUICKSTART / "lightspeed-stack.yaml").read_text()
KEY = {"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD)
    return tmp_path


@pytest.fixture
def name(lcompose: Lcompose, tmp_path: Path) -> Iterator[str]:
    chosen = f"test-fault-{os.getpid()}-{free_port()}"
    yield chosen
    lcompose("down", "-p", chosen, "--engine", "docker", "--volumes", cwd=tmp_path)


def programs(tmp_path: Path, **scripts: str) -> str:
    """A search path with only these shell scripts on it."""
    directory = tmp_path / "programs"
    directory.mkdir()
    for program, body in scripts.items():
        path = directory / program
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return str(directory)


@pytest.mark.parametrize("command", ["up", "down", "status", "logs"])
def test_no_engine_is_an_error_with_the_way_out(command: str, folder: Path, lcompose: Lcompose) -> None:
    ran = lcompose(command, cwd=folder, env={**KEY, "PATH": programs(folder)})
    assert ran.code == 4
    assert "docker is not installed" in ran.err
    assert "podman is not installed" in ran.err
    assert "to do: Install" in ran.err


def test_rendering_needs_no_engine(folder: Path, lcompose: Lcompose) -> None:
    assert lcompose("render", cwd=folder, env={"PATH": programs(folder)}).code == 0
    assert lcompose("validate", cwd=folder, env={**KEY, "PATH": "/nowhere"}).code == 0


def test_a_dead_daemon_is_told_apart(folder: Path, lcompose: Lcompose) -> None:
    docker = 'case "$1" in version) echo "Cannot connect to the Docker daemon" >&2; exit 1;; esac'
    ran = lcompose("up", "--engine", "docker", cwd=folder, env={**KEY, "PATH": programs(folder, docker=docker)})
    assert ran.code == 4
    assert "Docker does not answer: Cannot connect to the Docker daemon" in ran.err


@pytest.mark.parametrize(
    ("compose", "expected"),
    [("exit 1", "docker has no compose"), ("echo 2.5.0", "Docker Compose 2.5.0 is too old")],
)
def test_compose_missing_or_too_old(compose: str, expected: str, folder: Path, lcompose: Lcompose) -> None:
    docker = f'case "$1" in version) echo 26.1.5;; compose) {compose};; esac'
    ran = lcompose("up", "--engine", "docker", cwd=folder, env={**KEY, "PATH": programs(folder, docker=docker)})
    assert ran.code == 4
    assert expected in ran.err
    assert "v2.23.1 or later" in ran.err


@pytest.mark.docker
def test_a_daemon_that_hangs_is_given_up(docker: str, folder: Path, lcompose: Lcompose) -> None:
    path = str(folder / "hangs.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        begun = time.monotonic()
        ran = lcompose("up", "--engine", docker, cwd=folder, env={**KEY, "DOCKER_HOST": f"unix://{path}"})
    assert ran.code == 4
    assert "did not end within 8 s" in ran.err
    assert time.monotonic() - begun < 20


@pytest.mark.docker
def test_an_image_that_is_not_here_and_cannot_be_pulled(
    docker: str, folder: Path, name: str, lcompose: Lcompose
) -> None:
    ran = lcompose(
        "up", "-p", name, "--engine", docker, "--image", "llama-stack=localhost/nowhere:1", cwd=folder, env=KEY
    )
    assert ran.code == 4
    assert "localhost/nowhere:1 of llama-stack is not here" in ran.err


@pytest.mark.docker
def test_a_pull_that_fails_says_why(docker: str, folder: Path, name: str, lcompose: Lcompose) -> None:
    images = ["--image", "llama-stack=127.0.0.1:9/nowhere:1", "--image", "lightspeed-stack=127.0.0.1:9/nowhere:1"]
    ran = lcompose("up", "-p", name, "--engine", docker, *images, cwd=folder, env=KEY)
    assert ran.code == 1
    assert "connection refused" in ran.err


@pytest.mark.docker
def test_a_taken_port_is_refused_before_anything_is_made(
    docker: str, folder: Path, name: str, built: Callable[[str], dict[str, str]], lcompose: Lcompose
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ran = lcompose(
            "up",
            *("-p", name, "--engine", docker, *image_options(built(docker))),
            *("--set", f"services.llama-stack.ports={port}:8321"),
            cwd=folder,
            env=KEY,
        )
    assert ran.code == 4
    assert f"port {port} on 127.0.0.1, for llama-stack, is taken" in ran.err
    listed = subprocess.run(
        [docker, "ps", "-aq", "--filter", f"label=com.docker.compose.project={name}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == ""


@pytest.mark.docker
def test_a_service_that_dies_ends_the_waiting_with_its_last_words(
    docker: str, folder: Path, name: str, built: Callable[[str], dict[str, str]], lcompose: Lcompose
) -> None:
    (folder / "run.yaml").write_text(
        "version: 2\ndistro_name: x\napis: [inference]\n"
        "providers: {inference: [{provider_id: x, provider_type: 'remote::no-such-thing', config: {}}]}\n"
    )
    begun = time.monotonic()
    ran = lcompose("up", "-p", name, *ephemeral(), *image_options(built(docker)), cwd=folder, env=KEY)
    assert ran.code == 5
    assert time.monotonic() - begun < 60
    assert "llama-stack" in ran.err
    assert "it exited with code" in ran.err
    assert "no-such-thing" in ran.err


@pytest.mark.docker
def test_a_stack_that_never_gets_ready_ends_at_the_deadline(
    docker: str, folder: Path, name: str, built: Callable[[str], dict[str, str]], lcompose: Lcompose
) -> None:
    # The stand-in keeps asking for a Llama Stack that is on another machine and does not answer.
    text = GOOD.replace("url: http://localhost:8321", "url: http://192.0.2.1:8321\n  max_retries: 100")
    (folder / "lightspeed-stack.yaml").write_text(text)
    begun = time.monotonic()
    arguments = ["-p", name, *ephemeral()[:2], *ephemeral()[-2:], *image_options(built(docker))]
    ran = lcompose("up", *arguments, "--wait-timeout", "4", cwd=folder, env=KEY)
    assert ran.code == 5
    assert 4 < time.monotonic() - begun < 12
    assert "not ready within 4 s" in ran.err
    assert "SERVICE" in ran.err


def ephemeral() -> list[str]:
    """Options for Docker, with both services on free ports."""
    return [
        *("--engine", "docker"),
        *("--set", f"services.llama-stack.ports={free_port()}:8321"),
        *("--set", f"services.lightspeed-stack.ports={free_port()}:8080"),
    ]


@pytest.mark.docker
def test_two_at_once_are_told_apart(
    docker: str,
    folder: Path,
    name: str,
    built: Callable[[str], dict[str, str]],
    lcompose: Lcompose,
) -> None:
    arguments = ["up", "-p", name, *ephemeral(), *image_options(built(docker))]
    codes: list[int] = []

    def start() -> None:
        codes.append(lcompose(*arguments, cwd=folder, env=KEY).code)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes.count(0) >= 1
    assert set(codes) <= {0, 7}


@pytest.mark.docker
def test_ctrl_c_while_waiting_ends_at_once(
    docker: str, folder: Path, name: str, built: Callable[[str], dict[str, str]], state: Path
) -> None:
    argv = ["up", "-p", name, *ephemeral(), *image_options(built(docker))]
    with lcompose_child(*argv, cwd=folder, state=state, env=KEY) as child:
        assert child.stderr
        for line in child.stderr:
            if "starting" in line:
                break
        begun = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "interrupted" in err
    assert time.monotonic() - begun < 10


@pytest.mark.podman
@pytest.mark.parametrize("delay", [1.0, 1.5, 2.0, 2.5])
def test_an_interrupted_creation_leaves_nothing_that_down_cannot_remove(
    podman: str, delay: float, folder: Path, built: Callable[[str], dict[str, str]], state: Path, lcompose: Lcompose
) -> None:
    project = f"test-broken-{os.getpid()}-{free_port()}"
    options = ["-p", project, "--engine", podman, *ephemeral()[2:], *image_options(built(podman))]
    with lcompose_child("up", *options, cwd=folder, state=state, env=KEY) as child:
        time.sleep(delay)
        child.terminate()
        assert child.wait(timeout=30) == 143
    down = lcompose("down", "-p", project, "--engine", podman, "--volumes", cwd=folder)
    assert down.code == 0, down.err
    left = subprocess.run([podman, "ps", "-a", "--external"], capture_output=True, text=True, check=True)
    assert project not in left.stdout


@pytest.mark.docker
def test_a_dry_run_touches_nothing(
    docker: str, folder: Path, name: str, built: Callable[[str], dict[str, str]], state: Path, lcompose: Lcompose
) -> None:
    arguments = ["up", "--dry-run", "-p", name, *ephemeral(), *image_options(built(docker))]
    ran = lcompose(*arguments, cwd=folder, env=KEY)
    assert ran.code == 0, ran.err
    assert "start          lightspeed-stack   (new)" in ran.out
    assert list(state.iterdir()) == []
    assert sorted(path.name for path in folder.iterdir()) == ["lightspeed-stack.yaml"]
    seen = subprocess.run(
        [docker, "ps", "-aq", "--filter", f"label=com.docker.compose.project={name}"], capture_output=True, check=True
    )
    assert seen.stdout == b""


def test_state_that_cannot_be_kept_is_a_clear_error(folder: Path, lcompose: Lcompose) -> None:
    docker = 'case "$1" in version) echo 26.1.5;; compose) echo 2.26.1;; context) echo unix:///x;; esac'
    env = {**KEY, "PATH": programs(folder, docker=docker), "XDG_STATE_HOME": "/proc/nowhere"}
    ran = lcompose("up", "--engine", "docker", cwd=folder, env=env)
    assert ran.code == 2
    assert "lcompose keeps its state there" in ran.err
    assert "XDG_STATE_HOME" in ran.err
