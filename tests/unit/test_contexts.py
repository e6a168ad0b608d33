"""Which variables and files say that containers run on another machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lcompose.contexts import address, is_elsewhere

REMOTE = "ssh://me@far"


def docker_context(folder: Path, name: str, host: str, *, current: bool) -> None:
    """A context as Docker keeps it."""
    meta = folder / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    settings = {"auths": {}, **({"currentContext": name} if current else {})}
    (folder / ".docker" / "config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("env", "elsewhere"),
    [
        ({}, False),
        ({"DOCKER_HOST": "unix:///var/run/docker.sock"}, False),
        ({"DOCKER_HOST": "tcp://far:2376"}, True),
        ({"DOCKER_HOST": REMOTE}, True),
        ({"CONTAINER_HOST": "unix:///run/podman/podman.sock"}, False),
        ({"CONTAINER_HOST": REMOTE}, True),
        ({"CONTAINER_CONNECTION": "unknown"}, False),
    ],
)
def test_variables_say_where_the_engine_is(env: dict[str, str], elsewhere: bool, tmp_path: Path) -> None:
    assert is_elsewhere({"HOME": str(tmp_path), **env}) is elsewhere


def test_only_the_engine_that_is_used_counts(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "DOCKER_HOST": REMOTE}
    assert [is_elsewhere(env, one) for one in (None, "docker", "podman", "local")] == [True, True, False, False]


# As Podman 5 keeps its connections, and as Podman 4 does.
CONNECTIONS = {
    "podman-connections.json": json.dumps(
        {
            "Connection": {
                "Default": "far",
                "Connections": {"far": {"URI": REMOTE}, "near": {"URI": "unix:///run/a.sock"}},
            }
        }
    ),
    "containers.conf": f"""[engine]
active_service = "far"
[engine.service_destinations.far]
uri = "{REMOTE}"
[engine.service_destinations.near]
uri = "unix:///run/a.sock"
""",
}


@pytest.mark.parametrize("kept", CONNECTIONS)
def test_podmans_connections_count_where_one_is_named_or_podman_is_told_to_be_remote(kept: str, tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "containers"
    (folder / "containers.conf.d").mkdir(parents=True)
    (folder / kept).write_text(CONNECTIONS[kept])
    home = {"HOME": str(tmp_path)}
    assert address("podman", home) == ""
    assert address("podman", {**home, "CONTAINER_CONNECTION": "far"}) == REMOTE
    assert address("podman", {**home, "CONTAINER_CONNECTION": "near"}) == "unix:///run/a.sock"
    assert address("podman", {**home, "CONTAINER_CONNECTION": "far", "CONTAINER_HOST": "unix:///b"}) == "unix:///b"
    (folder / "containers.conf.d" / "remote.conf").write_text("[engine]\nremote = true\n")
    assert address("podman", home) == REMOTE


def test_podmans_files_are_where_variables_say(tmp_path: Path) -> None:
    for name, text in CONNECTIONS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "more.conf").write_text("[engine]\nremote = true\n")
    named = {"PODMAN_CONNECTIONS_CONF": str(tmp_path / "podman-connections.json"), "CONTAINER_CONNECTION": "far"}
    assert address("podman", named) == REMOTE
    settings = {"CONTAINERS_CONF": str(tmp_path / "containers.conf"), "HOME": "/nowhere"}
    assert address("podman", settings) == ""
    assert address("podman", {**settings, "CONTAINERS_CONF_OVERRIDE": str(tmp_path / "more.conf")}) == REMOTE


@pytest.mark.parametrize("text", ["", "[", "engine = 1", "[engine]\nremote = true\nactive_service = 5\n"])
def test_settings_of_podman_that_cannot_be_read_mean_this_machine(text: str, tmp_path: Path) -> None:
    (tmp_path / "containers.conf").write_text(text)
    env = {"CONTAINERS_CONF": str(tmp_path / "containers.conf"), "HOME": str(tmp_path)}
    assert not is_elsewhere(env)
    assert not is_elsewhere({**env, "CONTAINER_CONNECTION": "far"})


def test_dockers_context_says_it_where_no_variable_does(tmp_path: Path) -> None:
    docker_context(tmp_path, "far", REMOTE, current=True)
    home = {"HOME": str(tmp_path)}
    assert is_elsewhere(home)
    assert not is_elsewhere({**home, "DOCKER_CONTEXT": "default"})
    assert not is_elsewhere({**home, "DOCKER_HOST": "unix:///var/run/docker.sock"})


def test_a_context_is_taken_by_name_and_one_that_is_here_is_here(tmp_path: Path) -> None:
    docker_context(tmp_path, "far", REMOTE, current=False)
    home = {"HOME": str(tmp_path)}
    assert not is_elsewhere(home)
    assert is_elsewhere({**home, "DOCKER_CONTEXT": "far"})
    assert not is_elsewhere({**home, "DOCKER_CONTEXT": "unknown"})
    docker_context(tmp_path / "other", "near", "unix:///run/docker.sock", current=True)
    assert not is_elsewhere({**home, "DOCKER_CONFIG": str(tmp_path / "other" / ".docker")})


@pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": 5}', '{"currentContext": null}'])
def test_settings_that_cannot_be_read_mean_this_machine(text: str, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(text)
    assert not is_elsewhere({"HOME": str(tmp_path)})
