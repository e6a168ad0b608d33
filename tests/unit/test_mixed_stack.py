"""A stack of containers and processes, from a person's folder to what up needs; and who has it later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from lcompose.bundle import project_path
from lcompose.cli.render import command
from lcompose.cli.stack import Stack, find_running, open_rendered
from lcompose.engines.mixed import Mixed
from lcompose.engines.select import beside, connect, holding, refuse_another
from lcompose.errors import LcomposeError, MachineError, UsageError
from lcompose.spec.project import Service
from lcompose.workspace import Options, open_workspace
from tests.native import PROJECT, Native, native
from tests.unit.given import LIGHTSPEED, RUN, Machine

GOOD_DOCKER = {"version": "27.0.3", "compose": "2.30.1", "context": "unix:///nowhere"}
GOOD_PODMAN = {"info": "5.2.0", "--version": "podman version 5.2.0"}
INFERENCE = """
inference: vllm
model: any
tool_call_parser: hermes
services: {inference: {runtime: local, local: {command: sh}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose model is served by a process."""
    found = tmp_path / "here"
    found.mkdir()
    (found / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (found / "run.yaml").write_text(RUN)
    (found / "lcompose.yaml").write_text(INFERENCE)
    return found


def machine(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a machine that has Docker, and a shell."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    env = Machine(programs).has("docker", GOOD_DOCKER).has("sh", {}).env
    return env | {"XDG_STATE_HOME": str(folder.parent / "state")} | more


def opened(folder: Path, *sets: str, env: dict[str, str] | None = None, **more: Any) -> Stack:
    return open_rendered(Options(directory=str(folder), sets=sets, **more), env or machine(folder))


def document(stack: Stack, path: str) -> Any:
    assert stack.bundle
    return yaml.safe_load(next(one.text for one in stack.bundle.documents if one.path == path))


def service(stack: Stack, name: str) -> Service:
    assert stack.project
    return stack.project.service(name)


# ---------------------------------------------------------------- what up needs


def test_a_stack_of_both_has_one_engine_and_two_files(folder: Path) -> None:
    stack = opened(folder)
    assert isinstance(stack.engine, Mixed)
    assert (stack.engine.name, stack.facts.name) == ("docker", "docker")
    assert list(document(stack, "compose.yaml")["services"]) == ["llama-stack", "lightspeed-stack"]
    assert list(document(stack, "processes.yaml")["services"]) == ["inference"]
    assert [one.name for one in stack.spec.services] == ["inference", "llama-stack", "lightspeed-stack"]
    assert set(stack.wanted("salt").digests) == {one.name for one in stack.spec.services}
    creation = stack.creation("salt", 9)
    assert (creation.services, creation.state) == (("inference", "llama-stack", "lightspeed-stack"), stack.place)
    # Images are only of what has one.
    assert [bool(one.image) for one in stack.spec.services] == [False, True, True]
    assert (stack.spec.service("inference").ports, bool(stack.fetch)) == ((("127.0.0.1", 8000, "tcp"),), True)


def test_volumes_of_processes_are_where_the_local_engine_has_them(folder: Path) -> None:
    (folder / "lcompose.yaml").write_text("services: {lightspeed-stack: {runtime: local, local: {command: sh}}}")
    (folder / "lightspeed-stack.yaml").write_text(f"{LIGHTSPEED}database: {{sqlite: {{db_path: /data/own.db}}}}\n")
    env = machine(folder)
    stack = opened(folder, env=env)
    read = document(stack, "lightspeed-stack/lightspeed-stack.yaml")
    volumes = project_path(env, "local", "here") / "volumes"
    assert read["database"]["sqlite"]["db_path"] == f"{volumes}/lightspeed-stack-data/own.db"
    assert stack.place != volumes.parent
    assert read["ogx"]["url"] == "http://127.0.0.1:8321"


def test_only_containers_keep_their_bytecode(folder: Path) -> None:
    (folder / "lcompose.yaml").write_text("services: {lightspeed-stack: {runtime: local, local: {command: sh}}}")
    stack = opened(folder)
    variables = {name: dict(service(stack, name).environment) for name in ("llama-stack", "lightspeed-stack")}
    assert ["PYTHONPYCACHEPREFIX" in one for one in variables.values()] == [True, False]


def test_the_other_runtime_of_the_stack_leaves_one_service_as_it_is_asked_for(folder: Path) -> None:
    commands = "local: {command: sh}"
    (folder / "lcompose.yaml").write_text(
        f"runtime: local\nservices: {{lightspeed-stack: {{{commands}}}, llama-stack: {{runtime: container}}}}"
    )
    stack = opened(folder)
    assert list(document(stack, "processes.yaml")["services"]) == ["lightspeed-stack"]
    assert list(document(stack, "compose.yaml")["services"]) == ["llama-stack"]


def test_what_no_process_can_be_is_a_container_beside_processes_and_that_is_told(folder: Path) -> None:
    database = "{postgres: {host: localhost, db: a, user: b, password: '${env.P}'}}"
    (folder / "lightspeed-stack.yaml").write_text(f"{LIGHTSPEED}database: {database}\n")
    commands = "local: {command: sh}"
    (folder / "lcompose.yaml").write_text(
        f"runtime: local\nservices: {{lightspeed-stack: {{{commands}}}, llama-stack: {{{commands}}}}}"
    )
    stack = opened(folder, env=machine(folder, P="secret"))
    read = document(stack, "lightspeed-stack/lightspeed-stack.yaml")["database"]["postgres"]
    assert read["host"] == "127.0.0.1"
    assert service(stack, "postgres").ports[0].published == 5432
    told = {one.what: one.fix for one in stack.warnings}
    fallback = told["run as containers, and not as processes: postgres; local is out: postgres cannot be run so"]
    assert fallback == "Mend that, or ask for it: services.NAME.runtime: container in lcompose.yaml."
    assert "postgres: opened on 127.0.0.1:5432 for the processes that call it" in told
    with pytest.raises(MachineError, match="run as containers, and not as processes: postgres"):
        opened(folder, env=machine(folder, P="secret"), strict_runtime=True)


def test_words_of_compose_are_laid_over_the_containers_alone(folder: Path) -> None:
    overlay = "compose: {services: {%s: {hostname: x}}}\n"
    (folder / "lcompose.yaml").write_text(INFERENCE + overlay % "inference")
    with pytest.raises(UsageError, match="your own words of Compose describe a container, and inference is a process"):
        opened(folder)
    (folder / "lcompose.yaml").write_text(INFERENCE + overlay % "llama-stack")
    stack = opened(folder)
    assert document(stack, "compose.yaml")["services"]["llama-stack"]["hostname"] == "x"
    assert list(document(stack, "processes.yaml")["services"]) == ["inference"]


def test_an_engine_on_another_machine_cannot_be_beside_processes(folder: Path) -> None:
    with pytest.raises(MachineError) as caught:
        opened(folder, env=machine(folder, DOCKER_HOST="tcp://elsewhere:2375"))
    assert caught.value.what == "the engine is on another machine, and these are processes of this one: inference"
    assert (caught.value.where, caught.value.exit_code) == ("tcp://elsewhere:2375", 4)


def test_where_no_engine_answers_it_is_told_what_needs_one(folder: Path) -> None:
    env = {**machine(folder), "PATH": str(folder)}
    with pytest.raises(MachineError) as caught:
        opened(folder, env=env)
    assert caught.value.what.startswith("no container engine can be used: docker is not installed")
    assert caught.value.details == (
        "llama-stack is a container: container is taken: runtimes.default says so",
        "lightspeed-stack is a container: container is taken: runtimes.default says so",
    )


def test_a_program_that_is_missing_and_a_port_that_is_taken_are_told_before_anything_is_made(folder: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sets = (f"services.inference.ports={port}:8000", "services.inference.local.command=no-such-server")
        with pytest.raises(MachineError) as caught:
            opened(folder, *sets)
    told = caught.value.details
    assert told[0].startswith("inference: the program no-such-server is not installed.")
    assert told[1].startswith(f"inference: another program has 127.0.0.1:{port}.")
    assert not (folder.parent / "state").exists()


# ---------------------------------------------------------------- what is rendered


def rendered(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(command, ["-C", str(folder), *words], standalone_mode=False)


def test_both_files_are_rendered_to_a_folder(folder: Path) -> None:
    result = rendered(folder, "-o", str(folder / "out"), "--json")
    assert result.exception is None
    documents = json.loads(result.stdout)["documents"]
    assert sorted(documents) == [
        ".env.example",
        "compose.yaml",
        "lightspeed-stack/lightspeed-stack.yaml",
        "llama-stack/run.yaml",
        "processes.yaml",
    ]
    address = "http://host.docker.internal:8000/v1"
    assert address in (folder / "out" / "llama-stack" / "run.yaml").read_text()
    changes = {one["after"] for one in json.loads(result.stdout)["changes"]}
    assert "http://llama-stack:8321" in changes


@pytest.mark.parametrize("words", [(), ("--for", "docker"), ("--for", "docker:28.3")])
def test_one_file_cannot_be_both(folder: Path, words: tuple[str, ...]) -> None:
    error = rendered(folder, *words).exception
    assert isinstance(error, LcomposeError)
    assert error.what == "these are processes, and no part of a compose file: inference"
    assert error.fix.endswith("--set services.inference.runtime=container")
    as_container = rendered(folder, *words, "--set", "services.inference.runtime=container")
    assert "inference" in yaml.safe_load(as_container.stdout)["services"]


def test_rendered_for_the_local_runtime_all_are_processes(folder: Path) -> None:
    words = [
        part for name in ("llama-stack", "lightspeed-stack") for part in ("--set", f"services.{name}.local.command=sh")
    ]
    found = yaml.safe_load(rendered(folder, "--for", "local", *words).stdout)
    assert list(found["services"]) == ["inference", "llama-stack", "lightspeed-stack"]


def test_runtimes_that_only_a_rule_leaves_are_rendered_too(folder: Path) -> None:
    words = [
        part for name in ("llama-stack", "lightspeed-stack") for part in ("--set", f"services.{name}.local.command=sh")
    ]
    found = yaml.safe_load(rendered(folder, "--set", "runtimes.disabled=container", *words).stdout)
    assert [one for one in found["services"].values() if "image" in one] == []


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ((), ("inference",)),
        (("runtime=local",), ("inference", "llama-stack", "lightspeed-stack")),
        (("runtimes.default=local",), ("inference", "llama-stack", "lightspeed-stack")),
        (("runtime=local", "services.inference.runtime=container"), ("llama-stack", "lightspeed-stack")),
    ],
)
def test_a_workspace_knows_which_services_are_processes(
    folder: Path, sets: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    found = open_workspace(Options(directory=str(folder), sets=sets), {})
    assert (found.processes, found.kinds(found.processes)) == (expected, set(expected))


# ---------------------------------------------------------------- who has it later


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Native]:
    """Native processes on a machine with both engines, neither of which has anything."""
    programs = tmp_path / "programs"
    programs.mkdir()
    made = Machine(programs).has("docker", GOOD_DOCKER).has("podman", GOOD_PODMAN)
    made.has("podman-compose", {"--version": "podman-compose version 1.5.0"})
    with native(tmp_path, **{**made.env, "PATH": f"{programs}:/usr/bin:/bin"}) as found:
        yield found


def left(here: Native, engine: str) -> None:
    here.create({"web": {"command": ["true"], "beside": engine}})


@pytest.mark.parametrize("wanted", [None, "podman", "local"])
def test_processes_tell_which_engine_has_the_rest(here: Native, wanted: Any) -> None:
    left(here, "podman")
    found = holding(PROJECT, wanted, here.env)
    assert (type(found), found.name) == (Mixed, "podman")
    assert [one.service for one in found.containers(PROJECT)] == ["web"]


def test_processes_alone_are_the_local_engines(here: Native) -> None:
    left(here, "")
    assert holding(PROJECT, None, here.env).name == "local"
    assert type(holding(PROJECT, "docker", here.env)) is not Mixed


def test_another_engine_that_is_asked_for_has_nothing_of_the_processes(here: Native) -> None:
    left(here, "podman")
    found = holding(PROJECT, "docker", here.env)
    assert (type(found) is Mixed, found.name) == (False, "docker")
    assert type(holding(PROJECT, None, here.env, processes=False, mixed=False)) is not Mixed


def test_where_the_engine_beside_them_does_not_answer_that_is_an_error(here: Native) -> None:
    left(here, "podman")
    (here.folder / "programs" / "podman").unlink()
    with pytest.raises(MachineError, match="podman is not installed"):
        holding(PROJECT, None, {**here.env, "PATH": str(here.folder / "programs")})


def test_volumes_that_are_left_are_found_with_those_of_the_engine(here: Native) -> None:
    volumes = here.folder / "volumes.yaml"
    left(here, "docker")
    tree = yaml.safe_load((here.folder / "processes.yaml").read_text())
    here.engine.remove([one.id for one in here.engine.containers(PROJECT)])
    for name, expected in (("docker", Mixed), ("", None)):
        tree["services"]["web"]["beside"] = name
        volumes.write_text(yaml.safe_dump({**tree, "volumes": ["data"]}))
        _created(here, volumes)
        found = holding(PROJECT, "docker", here.env)
        assert (type(found) is Mixed) is (expected is Mixed)
    assert holding(PROJECT, None, here.env).name == "local"


def _created(here: Native, file: Path) -> None:
    """Makes and removes what a file says; its volumes stay."""
    from lcompose.engines import ComposeFile, Creation

    here.engine.create(Creation(ComposeFile(PROJECT, (file,), here.folder, here.env), (), {}, 10.0), lambda _: None)
    here.engine.remove([one.id for one in here.engine.containers(PROJECT)])


def test_what_runs_is_found_by_name_whatever_runtime_is_said(here: Native) -> None:
    left(here, "docker")
    for runtime in ("", "container", "local"):
        options = Options(directory=str(here.folder), project_name=PROJECT, runtime=runtime)
        found = find_running(options, here.env)
        assert (type(found.engine), found.engine.name) == (Mixed, "docker")


def test_another_runtime_is_refused_while_the_containers_would_be_left_alone(here: Native) -> None:
    left(here, "docker")
    refuse_another(PROJECT, "docker", here.env)
    with pytest.raises(UsageError) as caught:
        refuse_another(PROJECT, "local", here.env)
    assert (
        caught.value.what
        == f"{PROJECT} has processes beside containers of docker, and now there are to be only processes"
    )
    with pytest.raises(UsageError, match="now there are to be containers of podman"):
        refuse_another(PROJECT, "podman", here.env)


def test_processes_that_are_left_are_seen_where_all_are_to_be_containers(here: Native) -> None:
    docker = connect("docker", here.env)
    assert beside(docker, PROJECT, (), here.env) is docker
    left(here, "")
    assert type(beside(docker, PROJECT, (), here.env)) is Mixed
