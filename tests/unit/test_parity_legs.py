"""Legs before anything is started: which can be had, on which ports, and what their files say."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lcompose.cli import legs, parity
from lcompose.cli.legs import DOCUMENTS, STATE, VARIABLES, Course, Told, _of_files, prepared
from lcompose.cli.parity import _courses, _on_one_ground, _without_other_forms
from lcompose.console import Console
from lcompose.errors import MachineError, UsageError
from lcompose.parity import Seen, compare
from lcompose.parity.legs import LEGS
from lcompose.parity.rendered import Rendered
from lcompose.workspace import Options, open_workspace
from tests.conftest import QUICKSTART, ROOT, Lcompose, clean_environment

NAMES = ("lightspeed-stack", "llama-stack")
# Programs that are here: nothing is started.
COMMANDS = tuple(part for name in NAMES for part in ("--set", f"services.{name}.local.command=true"))
OLLAMA = ("--set", "services.ollama.local.command=true")
TOLD = Told(print, lambda value: value, parity.Event())
NOWHERE = {"DOCKER_HOST": "unix:///nowhere", "CONTAINER_HOST": "unix:///nowhere"}


def course(leg: str, directory: Path, folder: Path, *options: str, **variables: str) -> Course:
    """A leg, as it is before it is prepared."""
    env = clean_environment(XDG_STATE_HOME=str(folder / "state"), **variables)
    own = folder / leg.rpartition(":")[2]
    own.mkdir(parents=True)
    given = (*options, *LEGS[leg].options)
    return Course(LEGS[leg], f"x-{own.name}", directory, own, given, env, env, 10, 10, 10)


@pytest.mark.parametrize(
    ("directory", "options", "variables"),
    [
        # Volumes inside volumes, a companion whose port nobody tells, variables that are empty.
        (ROOT / "compose-examples" / "ollama", OLLAMA, {}),
        # Ports of one's own, files beside the configuration.
        (ROOT / "tests" / "golden" / "settings", (), {"HF_TOKEN": "t", "OPENAI_API_KEY": "k"}),
        (ROOT / "tests" / "golden" / "tls", (), {}),
    ],
    ids=["ollama", "settings", "tls"],
)
def test_what_processes_read_is_what_containers_read(
    directory: Path, options: tuple[str, ...], variables: dict[str, str], tmp_path: Path
) -> None:
    names = ("container:docker", "local")
    both = [prepared(course(leg, directory, tmp_path, *COMMANDS, *options, **variables)) for leg in names]
    both = _on_one_ground(both)
    rows = compare([VARIABLES, DOCUMENTS], {one.leg.name: _of_files(one, TOLD) for one in both}, {})
    assert [row.differences for row in rows] == [{}, {}]
    # All of it is compared.
    assert set(rows[0].seen["local"].value) == set(both[0].files.services)
    assert set(rows[1].seen["local"].value) == {"lightspeed-stack.yaml", "run.yaml"}
    ports = [address.port for one in both for address in one.addresses.values()]
    assert len(set(ports)) == len(ports) == 4
    # Where it is asked is where it listens.
    for name, address in both[1].addresses.items():
        assert both[1].files.probes[name] == (address.port, address.scheme)


def test_a_leg_gets_no_port_of_another_one(tmp_path: Path) -> None:
    taken = range(1, 50_000)
    found = prepared(course("container:docker", QUICKSTART, tmp_path, OPENAI_API_KEY="k"), taken)
    assert all(one.port >= 50_000 for one in found.addresses.values())


def test_processes_that_this_machine_lacks_are_told_before_anything_starts(tmp_path: Path) -> None:
    lacking = ("--set", "services.lightspeed-stack.local.command=no-such-program")
    with pytest.raises(MachineError) as error:
        prepared(course("local", QUICKSTART, tmp_path, *COMMANDS, *lacking, OPENAI_API_KEY="k"))
    assert error.value.where == "leg local"
    assert error.value.details[0].startswith("lightspeed-stack: the program no-such-program is not installed.")
    assert error.value.fix


def test_an_error_of_the_configuration_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        prepared(course("local", QUICKSTART, tmp_path, OPENAI_API_KEY="k"))
    assert "needs a checkout of its sources" in error.value.details[0]
    assert "services.lightspeed-stack.local.workingDir" in error.value.fix


def test_without_legs_those_that_can_be_had_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setattr(parity, "problems", lambda legs, env: {})
    options = Options(directory=str(QUICKSTART))
    workspace = open_workspace(options, parity.environment(), variables=True, here=True)
    given = {"legs": None, "leg_sets": (), "wait_timeout": 10, "request_timeout": 10}
    console = Console(err=io.StringIO())
    found = _courses(options, given, workspace, tmp_path, console)
    assert [one.leg.name for one in found] == ["container:docker", "container:podman", "library"]
    (note,) = console.err.getvalue().splitlines()  # type: ignore[attr-defined]
    assert note.startswith("note: local is left out: Lightspeed Core can be fetched as an image only")
    # No leg is at another place, so folders are compared as they are.
    assert not any(one.ground.anywhere for one in found)


@pytest.mark.parametrize("order", [("library", "container:docker"), ("container:docker", "library")])
def test_what_a_library_has_otherwise_is_not_compared_wherever_it_is_named(
    order: tuple[str, str], tmp_path: Path
) -> None:
    services = {"library": ("lightspeed-stack",), "container:docker": NAMES}
    found_legs = [
        replace(course(one, QUICKSTART, tmp_path), files=Rendered(services[one], {}, {}, {})) for one in order
    ]
    found = _without_other_forms(found_legs, {one: {STATE: Seen(one), "query": Seen(1)} for one in order})
    assert found["container:docker"] == {STATE: Seen("container:docker"), "query": Seen(1)}
    assert (found["library"][STATE].absent, found["library"]["query"]) == ("library mode has other services", Seen(1))


@pytest.mark.parametrize(
    ("leg", "ways"),
    [
        ("local", ["kill -9 41 42"]),
        (
            "container:docker",
            ["lcompose down --volumes -p x-docker --runtime container --engine docker", "kill -9 41 42"],
        ),
    ],
)
def test_what_is_left_behind_is_told_with_the_way_to_remove_it(
    leg: str, ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legs, "_taken_down", lambda _: legs.Finished(0, {}, ""))
    monkeypatch.setattr(legs, "connect", lambda *_: SimpleNamespace(containers=lambda _: [SimpleNamespace(id="1")]))
    monkeypatch.setattr(legs, "left_behind", lambda *_: [])
    monkeypatch.setattr(legs, "marked", lambda _: [(41, 1), (42, 1)])
    one = course(leg, QUICKSTART, tmp_path)
    found = legs._down(one, TOLD)
    assert found.problem.splitlines() == ["it left behind: process 41, process 42", *ways]
    monkeypatch.setattr(legs, "marked", lambda _: [])
    assert legs._down(one, TOLD) == Seen({})


def test_where_too_few_are_left_each_is_told_with_what_it_lacks(lcompose: Lcompose) -> None:
    done = lcompose("parity", "--json", cwd=QUICKSTART, env={"OPENAI_API_KEY": "k", **NOWHERE})
    assert done.code == 4
    error = json.loads(done.out)["error"]
    for leg in ("container:docker: Docker", "container:podman: Podman", "local: Lightspeed Core can be fetched"):
        assert leg in error["what"]
    assert error["fix"]
