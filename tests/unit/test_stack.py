"""What a command works on: which file and project are meant, and what is read of them before anything is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcompose.cli.named import compose_file, project_of
from lcompose.cli.stack import (
    Stack,
    find_running,
    open_file,
    open_rendered,
    with_timeout,
)
from lcompose.errors import ConfigError, MachineError, UsageError
from lcompose.spec.project import Dependency
from lcompose.workspace import Options
from tests.unit.given import LIGHTSPEED, RUN, Machine

FILE = "services: {web: {image: web:1}}\n"
# What "docker compose config" prints of it.
READING = """
name: demo
services:
  web:
    image: web:1
    environment: {API_KEY: abcdef, PORT: "80"}
    depends_on: {db: {condition: service_healthy, required: true}}
  db: {image: db:1, environment: [TOKEN=ghijkl, EMPTY]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a compose file, in a folder of that name."""
    found = tmp_path / "My.Shop"
    found.mkdir()
    (found / "compose.yaml").write_text(FILE)
    return found


def at(folder: Path, **more: Any) -> Options:
    """Options for that folder."""
    return Options(directory=str(folder), **more)


def docker(folder: Path, reading: str = READING, code: int = 0, **env: str) -> dict[str, str]:
    """The environment of a machine with a Docker whose compose reads files so."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    lines = [
        "#!/bin/sh",
        "PATH=/usr/bin:/bin",
        'case "$*" in',
        "  version*) echo 27.0.3;;",
        "  'compose version'*) echo 2.30.1;;",
        f"  compose*config) cat <<'END'\n{reading}\nEND\n  exit {code};;",
        "esac",
    ]
    (programs / "docker").write_text("\n".join(lines) + "\n")
    (programs / "docker").chmod(0o755)
    return Machine(programs).env | {"XDG_STATE_HOME": str(folder.parent / "state")} | env


# ---------------------------------------------------------------- which project


@pytest.mark.parametrize(
    ("options", "env", "text", "name"),
    [
        ({}, {}, FILE, "myshop"),
        ({}, {}, f"name: shop\n{FILE}", "shop"),
        ({}, {}, f'# a comment\nname: "shop"  # another\n{FILE}', "shop"),
        ({}, {}, f"name: 'shop'\r\n{FILE}", "shop"),
        ({}, {}, f"{FILE}x:\n  name: inner\n", "myshop"),
        ({}, {"COMPOSE_PROJECT_NAME": "of-compose"}, f"name: shop\n{FILE}", "of-compose"),
        ({}, {"COMPOSE_PROJECT_NAME": "a", "LCOMPOSE_PROJECT_NAME": "ours"}, FILE, "ours"),
        ({"project_name": "asked"}, {"LCOMPOSE_PROJECT_NAME": "ours"}, f"name: shop\n{FILE}", "asked"),
        ({"project_name": "1_a-b"}, {}, FILE, "1_a-b"),
    ],
)
def test_a_project_is_named_by_option_variable_file_or_folder(
    options: dict[str, str], env: dict[str, str], text: str, name: str, folder: Path
) -> None:
    (folder / "compose.yaml").write_bytes(text.encode())
    assert compose_file(at(folder, **options), env, ["compose.yaml"], ()).project == name


def test_of_several_files_the_last_that_says_a_name_names_the_project(folder: Path) -> None:
    for number, text in enumerate(["name: one\n", "name: two\n", "services: {}\n"]):
        (folder / f"{number}.yaml").write_text(text)
    files = [f"{number}.yaml" for number in range(3)]
    assert project_of(at(folder), {}, files) == "two"
    assert project_of(at(folder), {}, files[:1]) == "one"


def test_a_file_beside_names_the_project_too(folder: Path) -> None:
    (folder / ".env").write_text("COMPOSE_PROJECT_NAME=from-env-file\n")
    assert project_of(at(folder), {}, ["compose.yaml"]) == "from-env-file"


def test_a_folder_whose_name_has_nothing_that_may_be_in_a_name_is_the_default(tmp_path: Path) -> None:
    folder = tmp_path / "_…_"
    folder.mkdir()
    (folder / "compose.yaml").write_text(FILE)
    assert project_of(at(folder), {}, ["compose.yaml"]) == "default"


@pytest.mark.parametrize("name", ["Shop", "../shop", "-shop", "a b", "a/b", "x" * 101, "${NAME}"])
def test_a_name_that_may_not_be_one_is_refused_before_it_becomes_a_path(name: str, folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        project_of(at(folder, project_name=name), {}, ["compose.yaml"])
    assert caught.value.what == f"{name[:40]!r} is not a name for a project"
    assert "-p" in caught.value.fix


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("${SHOP:-shop}", "shop"),
        ("${OWN:-shop}", "mine"),
        ("${EMPTY:-shop}-1", "shop-1"),
        ("x${EMPTY-shop}", "x"),
        ("$OWN-${OWN}", "mine-mine"),
        ("x${UNSET}", "x"),
    ],
)
def test_a_name_that_a_file_makes_of_variables_is_filled_in(said: str, expected: str, folder: Path) -> None:
    (folder / "compose.yaml").write_text(f"name: {said}\n")
    assert project_of(at(folder), {"OWN": "mine", "EMPTY": ""}, ["compose.yaml"]) == expected


# ---------------------------------------------------------------- which file


def test_a_file_is_found_from_the_folder_and_its_paths_start_at_its_own(folder: Path) -> None:
    (folder / "deploy").mkdir()
    for name in ("a.yaml", "b.yaml"):
        (folder / "deploy" / name).write_text(FILE)
    (folder / "deploy" / ".env").write_text("A=of the file\nB=of the file\n")
    found = compose_file(at(folder), {"B": "of the shell"}, ["deploy/a.yaml", str(folder / "deploy/b.yaml")], ())
    assert found.files == (folder / "deploy/a.yaml", folder / "deploy/b.yaml")
    assert found.directory == folder / "deploy"
    assert found.env == {"A": "of the file", "B": "of the shell"}


@pytest.mark.parametrize(
    ("asked", "env", "profiles"),
    [
        ((), {}, ()),
        ((), {"COMPOSE_PROFILES": "a,b"}, ("a", "b")),
        ((), {"COMPOSE_PROFILES": ",a,"}, ("a",)),
        (("c",), {"COMPOSE_PROFILES": "a,b"}, ("c",)),
        (("c", "d"), {}, ("c", "d")),
    ],
)
def test_composes_profiles_are_asked_for_as_its_users_know_it(
    asked: tuple[str, ...], env: dict[str, str], profiles: tuple[str, ...], folder: Path
) -> None:
    assert compose_file(at(folder), env, ["compose.yaml"], asked).profiles == profiles


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gone.yaml", "the compose file is not there"),
        (".", "the compose file is a directory"),
        ("compose.yaml/x", "the compose file cannot be read: Not a directory"),
        ("x" * 300, "the compose file cannot be read: File name too long"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(name: str, what: str, folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        project_of(at(folder), {}, [name])
    assert caught.value.what == what


# ---------------------------------------------------------------- somebody's file


def opened(folder: Path, env: dict[str, str], **more: Any) -> Stack:
    """The stack of the file."""
    return open_file(at(folder, **more), env, ["compose.yaml"], ())


def test_somebodys_file_is_what_the_engines_compose_reads(folder: Path) -> None:
    stack = opened(folder, docker(folder))
    assert (stack.name, stack.sources.file, stack.engine.name) == ("myshop", "compose.yaml", "docker")
    assert [one.name for one in stack.spec.services] == ["web", "db"]
    assert stack.spec.service("web").depends == (Dependency("db", "healthy"),)
    assert (stack.project, stack.bundle, stack.wait_timeout) == (None, None, 300)


def test_only_reading_it_changes_nothing(folder: Path) -> None:
    opened(folder, docker(folder))
    assert not (folder.parent / "state").exists()


def test_what_is_secret_in_its_variables_is_not_shown(folder: Path) -> None:
    secrets = opened(folder, docker(folder, MY_TOKEN="mnopqr")).secrets
    assert secrets.redact("abcdef ghijkl mnopqr 80") == "<API_KEY> <TOKEN> <MY_TOKEN> 80"


def test_of_somebodys_file_nothing_else_is_swept_away(folder: Path) -> None:
    stack = opened(folder, docker(folder))
    assert not stack.wanted("salt").sweep
    assert set(stack.wanted("salt").digests) == {"web", "db"}
    creation = stack.creation("salt", 9)
    assert (creation.ours, creation.services, creation.timeout) == (False, ("web", "db"), 9)
    assert creation.reading["services"]["web"]["image"] == "web:1"
    assert creation.state == stack.place


def test_a_file_that_compose_refuses_is_told_in_its_words(folder: Path) -> None:
    with pytest.raises(UsageError, match="cannot read it: services has an Additional property"):
        opened(folder, docker(folder, "services has an Additional property x", code=15))


def test_wrong_words_to_us_in_a_file_are_told(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(folder, docker(folder, "services: {web: {image: a, x-lcompose: {rol: x}}}"))
    assert caught.value.findings[0].path == "services.web.x-lcompose.rol"


def test_the_engine_is_the_one_that_is_asked_for(folder: Path) -> None:
    with pytest.raises(MachineError, match="podman is not installed"):
        opened(folder, docker(folder), engine="podman")


def test_without_an_engine_it_is_told(folder: Path) -> None:
    with pytest.raises(MachineError, match="docker is not installed"):
        opened(folder, Machine(folder).env)


# ---------------------------------------------------------------- the rendered stack


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A folder with a configuration."""
    found = tmp_path / "here"
    found.mkdir()
    (found / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (found / "run.yaml").write_text(RUN)
    return found


def test_the_rendered_stack_is_read_from_the_folder_and_sweeps(configured: Path) -> None:
    stack = open_rendered(at(configured), docker(configured))
    assert stack.project
    assert (stack.name, stack.sources.file, stack.wanted("salt").sweep) == ("here", str(configured), True)
    assert [one.name for one in stack.spec.services] == [one.name for one in stack.project.services]
    assert set(stack.wanted("salt").digests) == {one.name for one in stack.spec.services}
    assert stack.creation("salt", 9).ours
    # As "render" prints it and "docker compose up" reads it: from the person's folder.
    assert stack.compose.directory == configured
    assert stack.compose.files == (stack.place / "compose.yaml",)


def test_an_engine_on_another_machine_is_refused_where_files_are_mounted(configured: Path) -> None:
    files = "{tls_certificate_path: ./c.pem, tls_key_path: ./k.pem}"
    text = LIGHTSPEED.replace("{port: 8080}", f"{{port: 8080, tls_config: {files}}}")
    (configured / "lightspeed-stack.yaml").write_text(text)
    for name in ("c.pem", "k.pem"):
        (configured / name).write_text("x")
        (configured / name).chmod(0o644)
    with pytest.raises(MachineError) as caught:
        open_rendered(at(configured), docker(configured, DOCKER_HOST="tcp://elsewhere:2375"))
    assert caught.value.what.startswith("the engine is on another machine, where these files are not: ")
    assert caught.value.where == "tcp://elsewhere:2375"


REMOTE_READING = """
services:
  mcp:
    image: m
    volumes:
    - {type: bind, source: /my/site, target: /site}
    - {type: bind, source: /var/run/docker.sock, target: /sock}
    - {type: volume, source: data, target: /data}
    configs: [{source: motd, target: /motd}]
    secrets: [{source: token}, {source: spoken}]
configs: {motd: {file: /my/motd}, other: {file: /my/other}}
secrets: {token: {file: /my/token}, spoken: {environment: SPOKEN}}
volumes: {data: }
"""


def test_an_engine_on_another_machine_is_refused_where_further_services_mount_files(configured: Path) -> None:
    (configured / "lcompose.yaml").write_text("compose: {services: {mcp: {image: m, volumes: ['/my/site:/site']}}}")
    env = docker(configured, REMOTE_READING, DOCKER_HOST="tcp://elsewhere:2375")
    with pytest.raises(MachineError) as caught:
        open_rendered(at(configured), env)
    assert caught.value.what == (
        "the engine is on another machine, where these files are not: /my/site, /my/motd, /my/token"
    )
    assert caught.value.where == "tcp://elsewhere:2375"
    here = docker(configured, REMOTE_READING)
    assert open_rendered(at(configured), here).spec.service("mcp").image == "m"


def test_an_engine_on_another_machine_is_refused_where_a_document_lies_in_a_file(configured: Path) -> None:
    # Digits cannot be a variable, so the document is private.
    secret = LIGHTSPEED.replace('8321"}', '8321", api_key: "12345678"}')
    (configured / "lightspeed-stack.yaml").write_text(secret)
    with pytest.raises(MachineError) as caught:
        open_rendered(at(configured), docker(configured, DOCKER_HOST="tcp://elsewhere:2375"))
    assert "lightspeed-stack.yaml" in caught.value.what


def test_more_time_may_be_asked_for(folder: Path) -> None:
    stack = opened(folder, docker(folder))
    assert with_timeout(stack, 9) == replace(stack, wait_timeout=9, spec=replace(stack.spec, timeout=9))
    assert with_timeout(stack, None).spec.timeout == 300


# ---------------------------------------------------------------- whatever runs


def test_what_runs_is_found_by_its_name_alone(folder: Path) -> None:
    env = docker(folder)
    found = find_running(at(folder, project_name="shop"), env)
    assert (found.name, found.engine.name, found.place.name) == ("shop", "docker", "shop")


def test_what_runs_of_a_file_is_found_without_the_variables_that_it_needs(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services: {web: {image: '${IMAGE:?set it}'}}\n")
    env = docker(folder)
    assert find_running(at(folder), env, ["compose.yaml"]).name == "myshop"
    assert find_running(at(folder), env, ["compose.yaml"]).place == opened(folder, env).place
