"""The doctor on real engines: what it says is what they are, and who has a port is named."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcompose.spec.target import version_of
from tests.conftest import QUICKSTART, SECRET, Lcompose
from tests.engine.stack import Did, Stack, new_stack

SERVED = """
    services:
      app:
        image: $IMAGE
        init: true
        command: python3 -m http.server 8000
        ports: ["127.0.0.1:$PORT:8000"]
"""
KEYS = {"ok", "engine", "summary", "findings", "engines", "gpus"}
FINDING = {"area", "id", "state", "subject", "what", "fix"}


@pytest.fixture
def stack(engine: str, tmp_path: Path) -> Iterator[Stack]:
    found = new_stack(engine, tmp_path)
    found.write(SERVED)
    yield found
    found.sweep()


def doctor(stack: Stack, *options: str) -> tuple[Did, dict[str, Any]]:
    did = stack.run("doctor", *stack.named, "--json", *options)
    return did, json.loads(did.out)


def states(report: dict[str, Any], name: str) -> dict[str, str]:
    """The state of each subject under an id."""
    return {one["subject"]: one["state"] for one in report["findings"] if one["id"] == name}


def of_engine(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in report["engines"] if one["name"] == name)
    return dict(found)


def test_on_a_healthy_machine_it_finds_nothing_in_the_way(stack: Stack) -> None:
    did, report = doctor(stack)
    assert (did.code, report["ok"], report["summary"]["error"]) == (0, True, 0)
    assert set(report) == KEYS
    assert {frozenset(one) for one in report["findings"]} == {frozenset(FINDING)}
    assert report["engine"] == stack.engine
    assert states(report, "stack.port") == {f"127.0.0.1:{stack.env['PORT']}": "ok"}
    assert states(report, "stack.image") == {stack.env["IMAGE"]: "ok"}


def test_versions_and_setup_are_what_the_engine_says(stack: Stack) -> None:
    found = of_engine(doctor(stack)[1], stack.engine)
    form = {"docker": "{{.ServerVersion}} {{.DockerRootDir}}", "podman": "{{.Version.Version}} {{.Store.GraphRoot}}"}
    version, root = stack.ask("info", "--format", form[stack.engine]).split()
    assert (version_of(found["version"]), found["info"]["root"]) == (version_of(version), root)
    assert (found["usable"], found["remote"]) == (True, False)


@pytest.mark.docker
def test_capabilities_of_docker_follow_from_its_versions(docker: str, tmp_path: Path) -> None:
    stack = new_stack(docker, tmp_path)
    stack.write(SERVED)
    can = {name: one["can"] for name, one in of_engine(doctor(stack)[1], docker)["capabilities"].items()}
    compose = version_of(stack.ask("compose", "version", "--short"))
    folders = json.loads(stack.ask("info", "--format", "{{json .CDISpecDirs}}"))
    assert can["inline_configs"] is (compose >= (2, 23, 1))
    assert can["gpus_all"] is (compose >= (2, 33))
    assert can["cdi_names"] is (compose >= (2, 30) and bool(folders))
    assert (can["health_checks"], can["reservation"], can["keep_groups"]) == (True, True, False)


@pytest.mark.podman
def test_capabilities_of_podman_follow_from_this_machine(podman: str, tmp_path: Path) -> None:
    stack = new_stack(podman, tmp_path)
    stack.write(SERVED)
    can = {name: one["can"] for name, one in of_engine(doctor(stack)[1], podman)["capabilities"].items()}
    runtime = stack.ask("info", "--format", "{{.Host.OCIRuntime.Name}}").strip()
    assert can["health_checks"] is Path("/run/systemd/system").exists()
    assert can["keep_groups"] is (runtime == "crun")
    assert (can["cdi_names"], can["start_interval"], can["driver_cdi"]) == (True, False, False)


def test_the_program_that_has_a_port_is_named(stack: Stack) -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", int(stack.env["PORT"])))
        mine.listen()
        did, report = doctor(stack)
    (port,) = (one for one in report["findings"] if one["id"] == "stack.port")
    program = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert (did.code, report["ok"], port["state"]) == (4, False, "error")
    assert port["what"] == f"for app, and {program} (pid {os.getpid()}) has it"
    assert port["fix"] == f"kill {os.getpid()}   or publish another port"


def test_the_container_that_has_a_port_is_named_and_our_own_is_no_error(stack: Stack) -> None:
    stack.started()
    (name,) = stack.ask("ps", "--format", "{{.Names}}", "--filter", f"name={stack.project}").split()
    assert states(doctor(stack)[1], "stack.port") == {f"127.0.0.1:{stack.env['PORT']}": "ok"}
    did, report = doctor(replace(stack, project=f"{stack.project}-other"))
    (port,) = (one for one in report["findings"] if one["id"] == "stack.port")
    assert (did.code, port["fix"]) == (4, f"{stack.engine} stop {name}")
    assert port["what"] == f"for app, and the container {name} of the project {stack.project} ({stack.engine}) has it"


def test_an_image_that_cannot_come_is_an_error(stack: Stack) -> None:
    stack.write("services: {app: {image: localhost/no-such-image-anywhere, pull_policy: never}}")
    did, report = doctor(stack)
    assert (did.code, states(report, "stack.image")) == (4, {"localhost/no-such-image-anywhere": "error"})


def test_registries_with_a_login_are_told_and_never_the_login(stack: Stack) -> None:
    image = "registry.redhat.io/nobody/nothing:1"
    stack.write(f"services: {{app: {{image: {image}}}}}")
    folder = stack.folder / "logins"
    folder.mkdir()
    file = folder / "config.json"
    variable = {"docker": ("DOCKER_CONFIG", str(folder)), "podman": ("REGISTRY_AUTH_FILE", str(file))}[stack.engine]
    file.write_text("{}")
    stack = replace(stack, env={**stack.env, variable[0]: variable[1]})
    did, report = doctor(stack)
    assert (did.code, states(report, "stack.login")) == (4, {"registry.redhat.io": "error"})
    file.write_text(json.dumps({"auths": {"registry.redhat.io": {"auth": "bWU6c2VjcmV0LXdvcmRz"}}}))
    did, report = doctor(stack)
    assert (did.code, states(report, "stack.login")) == (0, {"registry.redhat.io": "ok"})
    assert "bWU6c2VjcmV0LXdvcmRz" not in did.said


@pytest.fixture
def quickstart(tmp_path: Path) -> Path:
    folder = tmp_path / "quickstart"
    shutil.copytree(QUICKSTART, folder)
    return folder


def rendered(lcompose: Lcompose, folder: Path, *options: str, **env: str) -> tuple[int, dict[str, Any], str]:
    ran = lcompose("doctor", "--json", "-p", "doctor-test", *options, cwd=folder, env=env)
    return ran.code, json.loads(ran.out), ran.out + ran.err


def test_variables_are_asked_for_by_name_and_their_values_never_told(
    lcompose: Lcompose, quickstart: Path, engine: str
) -> None:
    code, report, _ = rendered(lcompose, quickstart, "--engine", engine)
    assert (code, states(report, "stack.variable")) == (4, {"OPENAI_API_KEY": "error"})
    assert set(states(report, "stack.port")) == {"127.0.0.1:8321", "127.0.0.1:8080"}
    code, report, said = rendered(lcompose, quickstart, "--engine", engine, OPENAI_API_KEY=SECRET)
    assert states(report, "stack.variable") == {"lightspeed-stack.yaml": "ok"}
    assert states(report, "stack.configuration") == {"lightspeed-stack.yaml": "ok"}
    assert SECRET not in said


def test_errors_of_the_configuration_are_findings(lcompose: Lcompose, quickstart: Path, engine: str) -> None:
    file = quickstart / "lightspeed-stack.yaml"
    file.write_text(file.read_text() + "\nno_such_key: 1\n")
    code, report, _ = rendered(lcompose, quickstart, "--engine", engine, OPENAI_API_KEY=SECRET)
    (subject,) = states(report, "stack.configuration")
    assert (code, subject.startswith("lightspeed-stack.yaml:")) == (4, True)
    assert subject.endswith("no_such_key")


def test_text_has_each_area_once_and_says_what_to_do(stack: Stack) -> None:
    stack.write("services: {app: {image: localhost/no-such-image-anywhere, pull_policy: never}}")
    did = stack.run("doctor", *stack.named)
    lines = did.out.splitlines()
    assert [line for line in lines if line.isupper()] == ["ENGINES", "CAPABILITIES", "GPUS", "STACK", "ROOM"]
    (at,) = (index for index, line in enumerate(lines) if line.startswith("  ✗"))
    assert "localhost/no-such-image-anywhere" in lines[at]
    assert lines[at + 1].startswith("      to do: Build or load it")
    assert (did.code, did.err, lines[-1].startswith("1 error, ")) == (4, "", True)


def test_a_folder_without_any_configuration_is_no_error(lcompose: Lcompose, tmp_path: Path, engine: str) -> None:
    code, report, _ = rendered(lcompose, tmp_path, "--engine", engine)
    assert (code, states(report, "stack.configuration")) == (0, {"lightspeed-stack.yaml": "ok"})


def test_where_no_engine_is_installed_that_is_the_error(lcompose: Lcompose, tmp_path: Path) -> None:
    ran = lcompose("doctor", "--json", cwd=tmp_path, env={"PATH": str(tmp_path)})
    report = json.loads(ran.out)
    assert (ran.code, report["engine"], states(report, "engine.used")) == (4, None, {"engine": "error"})


def test_an_engine_on_another_machine_says_that_this_one_tells_nothing(lcompose: Lcompose, tmp_path: Path) -> None:
    env = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    ran = lcompose("doctor", "--json", "--engine", "docker", cwd=tmp_path, env=env)
    report = json.loads(ran.out)
    expected = (4, "error") if shutil.which("docker") else (4, None)
    assert (ran.code, states(report, "engine.answers").get("docker")) == expected
    if shutil.which("docker"):
        assert states(report, "engine.remote") == {"docker": "warning"}


def test_a_recording_is_written_for_its_owner_alone(lcompose: Lcompose, tmp_path: Path) -> None:
    ran = lcompose("doctor", "--record", "machine.yaml", cwd=tmp_path)
    assert "machine.yaml" in ran.err
    path = tmp_path / "machine.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "arch:" in path.read_text()


def test_a_recording_that_cannot_be_written_is_an_error(lcompose: Lcompose, tmp_path: Path) -> None:
    ran = lcompose("doctor", "--record", "/proc/nowhere/machine.yaml", cwd=tmp_path)
    assert (ran.code, "--record" in ran.err) == (2, True)


def test_it_leaves_nothing_running(stack: Stack) -> None:
    doctor(stack)
    assert stack.left() == {}
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert [line for line in found.splitlines() if "{{json .}}" in line] == []
