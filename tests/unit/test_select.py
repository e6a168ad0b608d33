"""Which engine a command uses; engines here are small programs that say what real ones would."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcompose.engines.select import choose, connect, holding
from lcompose.errors import MachineError
from lcompose.spec.target import EngineFacts
from tests.unit.given import Machine

# What each program answers: "docker version", "docker compose version" and so on; the rest is empty.
GOOD_DOCKER = {"version": "27.0.3", "compose": "2.30.1"}
GOOD_PODMAN = {"info": "5.2.0", "--version": "podman version 5.2.0"}
INSPECTED = """[{
  "Id": "c1", "Name": "/demo-web-1",
  "State": {"Status": "running"},
  "Config": {"Image": "web:1", "Labels": {"com.docker.compose.project": "demo", "com.docker.compose.service": "web"}}
}]"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def with_podman(machine: Machine, **more: str) -> Machine:
    """The machine with a Podman that works."""
    machine.has("podman", GOOD_PODMAN | more)
    return machine.has("podman-compose", {"--version": "podman-compose version 1.5.0"})


def test_without_an_engine_each_is_told_with_its_way_out(machine: Machine) -> None:
    with pytest.raises(MachineError) as caught:
        choose(None, machine.env)
    assert caught.value.exit_code == 4
    assert caught.value.what == ("no container engine can be used: docker is not installed; podman is not installed")
    assert " Or: " in caught.value.fix


@pytest.mark.parametrize("wanted", ["docker", "podman"])
def test_an_engine_that_is_asked_for_is_the_only_one_that_counts(machine: Machine, wanted: str) -> None:
    with pytest.raises(MachineError) as caught:
        choose(wanted, machine.env)  # type: ignore[arg-type]
    assert caught.value.what == f"no container engine can be used: {wanted} is not installed"


def test_docker_is_taken_where_it_answers(machine: Machine) -> None:
    engine, facts = choose(None, with_podman(machine).has("docker", GOOD_DOCKER).env)
    assert engine.name == "docker"
    assert facts == EngineFacts("docker", (27, 0, 3), (2, 30, 1))


@pytest.mark.parametrize(
    ("parts", "rootless"),
    [("Engine containerd runc docker-init", False), ("Engine runc rootlesskit slirp4netns", True)],
)
def test_a_docker_without_root_says_so_among_its_parts(machine: Machine, parts: str, *, rootless: bool) -> None:
    facts = connect("docker", machine.has("docker", GOOD_DOCKER | {"version": f"27.0.3 {parts}"}).env).facts()
    assert (facts.version, facts.rootless) == ((27, 0, 3), rootless)


@pytest.mark.parametrize(
    ("info", "rootless", "runtime"),
    [("5.2.0 true crun", True, "crun"), ("4.3.1 false runc", False, "runc"), ("4.3.1", False, "")],
)
def test_podman_says_whether_it_has_root_and_what_it_runs(
    machine: Machine, info: str, runtime: str, *, rootless: bool
) -> None:
    facts = connect("podman", with_podman(machine).has("podman", GOOD_PODMAN | {"info": info}).env).facts()
    assert (facts.rootless, facts.oci_runtime, facts.reader) == (rootless, runtime, "podman-compose")


def test_podman_is_taken_where_docker_does_not_answer(machine: Machine) -> None:
    machine.has("docker", {"version": "Cannot connect to the Docker daemon"}, code=1)
    engine, facts = choose(None, with_podman(machine).env)
    assert (engine.name, facts.version) == ("podman", (5, 2, 0))


def test_podman_is_taken_where_it_is_asked_for(machine: Machine) -> None:
    engine, _ = choose("podman", with_podman(machine).has("docker", GOOD_DOCKER).env)
    assert engine.name == "podman"


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"version": "27.0.3", "compose": "2.20.0"}, "Docker Compose 2.20.0 is too old"),
        ({"version": "27.0.3", "compose": "2.23.0"}, "Docker Compose 2.23.0 is too old"),
    ],
)
def test_a_docker_that_is_too_old_is_told_apart(machine: Machine, answers: dict[str, str], problem: str) -> None:
    assert connect("docker", machine.has("docker", answers).env).facts().problem == problem


def test_a_docker_that_does_not_answer_is_told_with_its_words(machine: Machine) -> None:
    machine.has("docker", {"version": "Cannot connect to the Docker daemon"}, code=1)
    facts = connect("docker", machine.env).facts()
    assert facts.problem == "Docker does not answer: Cannot connect to the Docker daemon"
    assert not facts.usable


def test_the_engine_that_runs_the_project_holds_it(machine: Machine) -> None:
    with_podman(machine, ps="c1", container=INSPECTED).has("docker", GOOD_DOCKER | {"volume": "demo_data"})
    assert holding("demo", None, machine.env).name == "podman"


def test_the_engine_that_has_what_is_left_of_the_project_holds_it(machine: Machine) -> None:
    with_podman(machine, volume="demo_data").has("docker", GOOD_DOCKER)
    assert holding("demo", None, machine.env).name == "podman"


def test_where_none_has_the_project_the_first_engine_that_answers_is_taken(machine: Machine) -> None:
    assert holding("demo", None, with_podman(machine).has("docker", GOOD_DOCKER).env).name == "docker"


def test_the_engine_that_is_asked_for_holds_the_project_whoever_runs_it(machine: Machine) -> None:
    with_podman(machine, ps="c1", container=INSPECTED).has("docker", GOOD_DOCKER)
    assert holding("demo", "docker", machine.env).name == "docker"


def test_a_project_without_any_engine_is_an_error(machine: Machine) -> None:
    with pytest.raises(MachineError):
        holding("demo", None, machine.env)
