"""What 'validate' and 'doctor' say of a stack of processes: what is missing, and that no engine is needed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lcompose import host
from lcompose.cli.doctor import command as doctor
from lcompose.cli.validate import command as validate
from lcompose.doctor import examine
from lcompose.doctor.facts import NeedSeen
from lcompose.errors import ConfigError, MachineError
from tests.unit.test_doctor import DOCKER, GONE, HANGS, STOPPED, facts, stack, told

LIGHTSPEED = """
name: here
service: {port: 18080}
ogx: {url: "http://localhost:18321"}
user_data_collection: {}
"""
RUN = "distro_name: a\nproviders: {inference: [{provider_id: a, provider_type: 'remote::vllm', config: {}}]}\n"
NOTHING = {"PATH": "/nowhere", "XDG_STATE_HOME": "/nowhere"}
NO_PODMAN = replace(GONE, name="podman")


@pytest.fixture(autouse=True)
def _no_limit() -> Iterator[None]:
    yield
    host.limit(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (tmp_path / "run.yaml").write_text(RUN)
    return tmp_path


def run(command: Any, folder: Path, *words: str, **env: str) -> Result:
    given = ["-C", str(folder), "-p", "here", *words]
    return CliRunner().invoke(command, given, env={**NOTHING, **env}, standalone_mode=False)


def own(folder: Path, **services: str) -> None:
    """Programs of the two services, as a person names them."""
    text = "".join(f"  {name.replace('_', '-')}: {{local: {value}}}\n" for name, value in services.items())
    (folder / "lcompose.yaml").write_text(f"services:\n{text}")


# ---------------------------------------------------------------- validate


def test_validate_tells_what_the_configuration_lacks_for_processes(folder: Path) -> None:
    assert run(validate, folder).exit_code == 0
    found = run(validate, folder, "--runtime", "local").exception
    assert isinstance(found, ConfigError)
    assert [one.path for one in found.findings] == ["services.lightspeed-stack.local"]


def test_validate_asks_this_machine_for_nothing_unless_it_is_asked_to(folder: Path) -> None:
    own(folder, llama_stack="{command: no-such-server}", lightspeed_stack="{workingDir: ./gone}")
    plain = run(validate, folder, "--runtime", "local")
    assert (plain.exit_code, "It starts: llama-stack, lightspeed-stack, as processes." in plain.stdout) == (0, True)
    found = run(validate, folder, "--runtime", "local", "--deep").exception
    assert isinstance(found, MachineError)
    assert found.details == (
        "llama-stack: the program no-such-server is not installed. "
        "Install it, or correct services.llama-stack.local.command.",
        f"lightspeed-stack: there is no {folder}/gone/src/lightspeed_stack.py. "
        "Correct services.lightspeed-stack.local.workingDir, or clone lightspeed-stack there.",
        "lightspeed-stack: the program uv is not installed. "
        "Install uv; or say how else it is started: services.lightspeed-stack.local.command.",
        f"lightspeed-stack: there is no folder {folder}/gone. "
        "Make it, or correct services.lightspeed-stack.local.workingDir.",
    )


def test_where_all_is_here_validate_asks_no_engine(folder: Path) -> None:
    own(folder, llama_stack="{command: sh}", lightspeed_stack="{command: sh}")
    done = run(validate, folder, "--runtime", "local", "--deep", "--json", PATH="/usr/bin:/bin")
    assert (done.exit_code, json.loads(done.stdout)["warnings"]) == (0, [])


# ---------------------------------------------------------------- doctor: what is told of facts

UV = NeedSeen(("llama-stack", "lightspeed-stack"), "program", "uv", "missing", "Install uv.")
PYTHON = NeedSeen(("llama-stack",), "python", "3.12", "fetched", "Install Python 3.12.")


@pytest.mark.parametrize(
    ("need", "state", "what"),
    [
        (UV, "error", "for llama-stack, lightspeed-stack; this program is not installed"),
        (replace(UV, state="here"), "ok", "for llama-stack, lightspeed-stack, and here"),
        (PYTHON, "ok", "for llama-stack, and uv will fetch it"),
        (replace(PYTHON, state="here"), "ok", "for llama-stack, and here"),
        (replace(PYTHON, state="missing"), "error", "for llama-stack; uv finds none, and may fetch none"),
        (replace(PYTHON, state="unknown"), "unknown", "for llama-stack; nobody could be asked"),
        (replace(UV, kind="folder", name="/a"), "error", "for llama-stack, lightspeed-stack; there is no such folder"),
        (replace(UV, kind="file", name="/a"), "error", "for llama-stack, lightspeed-stack; there is no such file"),
        (
            replace(PYTHON, kind="packages", name="ogx==1"),
            "ok",
            "for llama-stack, and uv will fetch what is not here",
        ),
        (
            replace(PYTHON, kind="packages", name="ogx==1", state="unknown"),
            "unknown",
            "for llama-stack; uv is missing, or may fetch nothing: then all of it must be here",
        ),
    ],
)
def test_what_a_process_needs_is_told(need: NeedSeen, state: str, what: str) -> None:
    fix = need.fix if state == "error" else ""
    given = facts(stack=stack(processes=need.services, needs=(need,)))
    assert told("stack.process", given) == [(state, _subject(need), what, fix)]


def _subject(need: NeedSeen) -> str:
    return f"Python {need.name}" if need.kind == "python" else need.name


ALONE = stack(processes=("llama-stack",), in_containers=False)


@pytest.mark.parametrize("engines", [(GONE, NO_PODMAN), (STOPPED, NO_PODMAN), (HANGS, NO_PODMAN), (DOCKER,)])
def test_processes_need_no_engine(engines: Any) -> None:
    given = facts(*engines, stack=ALONE)
    assert [one for area in examine(given).values() for one in area if one.state == "error"] == []
    what = "no container engine is needed: all services are processes of this machine"
    assert told("engine.used", given) == [("ok", "processes", what, "")]


def test_where_processes_are_what_is_left_that_is_told() -> None:
    given = facts(GONE, NO_PODMAN, stack=replace(ALONE, is_left=True))
    what = "no container engine can be used here, so 'up' runs all services as processes"
    fix = "Ask for it, and this is no warning: --runtime local. Or install Docker Engine, or Podman."
    assert told("engine.used", given) == [("warning", "processes", what, fix)]


# ---------------------------------------------------------------- doctor: what is found


def findings(folder: Path, *words: str, **env: str) -> tuple[int, dict[tuple[str, str], str]]:
    done = run(doctor, folder, "--json", *words, **env)
    found = json.loads(done.stdout)["findings"]
    return done.return_value, {(one["id"], one["subject"]): one["state"] for one in found}


def test_the_doctor_finds_what_processes_lack(folder: Path) -> None:
    own(folder, llama_stack="{command: no-such-server}", lightspeed_stack="{workingDir: ./gone}")
    code, found = findings(folder, "--runtime", "local")
    assert code == MachineError.exit_code
    assert found["stack.process", "no-such-server"] == "error"
    assert found["stack.process", f"{folder}/gone/src/lightspeed_stack.py"] == "error"
    assert found["stack.process", "uv"] == "error"
    assert found["stack.process", "Python 3.12"] == "unknown"
    assert found["engine.used", "processes"] == "ok"
    assert found["stack.port", "127.0.0.1:18321"] == "ok"
    assert [name for name, _ in found if name in ("stack.image", "stack.login", "stack.rendering")] == []


def test_without_any_engine_the_doctor_finds_nothing_in_the_way_of_processes(folder: Path, tmp_path: Path) -> None:
    own(folder, llama_stack="{command: sh}", lightspeed_stack="{command: sh}")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to("/bin/sh")
    env = {"PATH": str(tools), "XDG_STATE_HOME": str(tmp_path)}
    code, found = findings(folder, "--runtime", "local", **env)
    assert (code, found["engine.used", "processes"], found["stack.process", "sh"]) == (0, "ok", "ok")
    # Nobody asked for processes, and they are what is left.
    code, found = findings(folder, **env)
    assert (code, found["engine.used", "processes"]) == (0, "warning")
    code, found = findings(folder, "--strict-runtime", **env)
    assert (code, found["engine.used", "engine"]) == (MachineError.exit_code, "error")


def test_of_both_kinds_what_each_needs_is_looked_at(folder: Path, tmp_path: Path) -> None:
    own(folder, llama_stack="{command: no-such-server}")
    one = ("--set", "services.llama-stack.runtime=local")
    assert "It starts: llama-stack (a process), lightspeed-stack." in run(validate, folder, *one).stdout
    code, found = findings(folder, *one)
    assert code == MachineError.exit_code
    assert found["stack.process", "no-such-server"] == "error"
    assert found["engine.used", "engine"] == "error"
    assert [subject for name, subject in found if name == "stack.process"] == ["no-such-server"]


def test_what_the_configuration_lacks_for_processes_is_an_error_of_it(folder: Path) -> None:
    _, found = findings(folder, "--runtime", "local")
    assert found["stack.configuration", "settings: services.lightspeed-stack.local"] == "error"


def test_a_port_that_another_program_has_is_told(folder: Path) -> None:
    own(folder, llama_stack="{command: sh}", lightspeed_stack="{command: sh}")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ("--runtime", "local", "--set", f"services.llama-stack.ports={port}:18321")
        code, found = findings(folder, *words, PATH="/usr/bin:/bin")
        assert (code, found["stack.port", f"127.0.0.1:{port}"]) == (MachineError.exit_code, "error")
        deep = run(validate, folder, *words, "--deep", PATH="/usr/bin:/bin").exception
        assert isinstance(deep, MachineError)
        assert f"llama-stack: another program has 127.0.0.1:{port}." in deep.details[0]
