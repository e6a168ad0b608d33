"""Which variables and files say that containers run on another machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lcompose.contexts import is_elsewhere

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
        ({"CONTAINER_CONNECTION": "far"}, True),
    ],
)
def test_variables_say_where_the_engine_is(env: dict[str, str], elsewhere: bool, tmp_path: Path) -> None:
    assert is_elsewhere({"HOME": str(tmp_path), **env}) is elsewhere


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
