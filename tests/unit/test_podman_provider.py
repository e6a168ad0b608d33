"""Which program reads compose files for Podman, and how it reaches Podman."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lcompose import host
from lcompose.engines import ComposeFile
from lcompose.engines.podman_provider import Provider, over_socket, provider, usual_socket, without_docker
from lcompose.errors import EngineError, MachineError

COMPOSE = ComposeFile("demo", (Path("a.yaml"), Path("b.yaml")), Path("/here"), {}, ("extra",))


def program(folder: Path, name: str, script: str = "") -> str:
    """A program in a folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("name", ["docker-compose", "podman-compose"])
def test_the_one_that_is_named_is_taken(name: str, tmp_path: Path) -> None:
    path = program(tmp_path, name)
    assert provider({"PODMAN_COMPOSE_PROVIDER": path}) == Provider(name, path)  # type: ignore[arg-type]
    assert provider({"PODMAN_COMPOSE_PROVIDER": name, "PATH": str(tmp_path)}).program == path


@pytest.mark.parametrize(
    ("named", "what"),
    [
        ("/bin/sh", "names /bin/sh, which is neither podman-compose nor docker-compose"),
        ("/nowhere/docker-compose", "names /nowhere/docker-compose, which is not there"),
    ],
)
def test_a_name_that_means_nothing_is_refused(named: str, what: str) -> None:
    with pytest.raises(MachineError, match=what):
        provider({"PODMAN_COMPOSE_PROVIDER": named})


def test_dockers_plug_in_is_found_where_it_lies(tmp_path: Path) -> None:
    plugins = tmp_path / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    path = program(plugins, "docker-compose")
    found = provider({"PODMAN_COMPOSE_PROVIDER": "docker-compose", "HOME": str(tmp_path), "PATH": str(tmp_path)})
    assert found == Provider("docker-compose", path)


@pytest.mark.parametrize(
    ("kind", "where"), [("podman-compose", []), ("docker-compose", ["--project-directory", "/here"])]
)
def test_a_command_names_all_files_and_profiles(kind: str, where: list[str]) -> None:
    expected = ["reader", "--project-name", "demo", *where]
    expected += ["--file", "a.yaml", "--file", "b.yaml", "--profile", "extra"]
    assert Provider(kind, "reader").argv(COMPOSE) == expected  # type: ignore[arg-type]


def test_dockers_own_variables_lead_nowhere() -> None:
    env = {"DOCKER_HOST": "x", "DOCKER_CONTEXT": "y", "KEY": "z"}
    assert without_docker(env) == {"KEY": "z", "DOCKER_BUILDKIT": "0"}


def test_where_podman_is_said_to_listen_is_asked() -> None:
    with over_socket({"CONTAINER_HOST": "tcp://there:1"}) as env:
        assert env["DOCKER_HOST"] == "tcp://there:1"


def test_a_podman_over_ssh_is_refused_with_the_way_out() -> None:
    with pytest.raises(MachineError) as caught, over_socket({"CONTAINER_HOST": "ssh://there"}):
        pass
    assert caught.value.fix == "Use podman-compose: PODMAN_COMPOSE_PROVIDER=podman-compose"


@pytest.mark.parametrize(
    ("root", "folder", "expected"),
    [
        (False, "/run/user/1", "/run/user/1/podman/podman.sock"),
        (True, "/run/user/1", "/run/podman/podman.sock"),
        (False, "", "None"),
    ],
)
def test_roots_podman_is_another_than_a_users(root: bool, folder: str, expected: str) -> None:
    assert str(usual_socket({"XDG_RUNTIME_DIR": folder}, root=root)) == expected


def test_a_socket_where_nobody_answers_is_none(tmp_path: Path) -> None:
    path = tmp_path / "podman.sock"
    assert not host.socket_listens(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        assert not host.socket_listens(path)
        listener.listen()
        assert host.socket_listens(path)


def test_a_podman_that_opens_no_socket_is_an_error(tmp_path: Path) -> None:
    program(tmp_path, "podman", "exit 1")
    with pytest.raises(EngineError, match="did not open a socket"), over_socket({"PATH": str(tmp_path)}):
        pass
