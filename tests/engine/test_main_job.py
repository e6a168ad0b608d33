"""The main job on real parts: a real Llama Stack in a real container, gated, queried, torn down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import QUICKSTART, SECRET, Lcompose, Model, free_port, lcompose_child


@pytest.fixture
def project(engine: str, lcompose: Lcompose, tmp_path: Path) -> Iterator[str]:
    """A project name that is taken down whatever happens."""
    name = f"test-{engine}-{os.getpid()}-{free_port()}"
    yield name
    lcompose("down", "-p", name, "--engine", engine, "--volumes", cwd=tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A person's folder: the quickstart, on a port that is free."""
    text = (QUICKSTART / "lightspeed-stack.yaml").read_text()
    folder = tmp_path / "stack"
    folder.mkdir()
    folder.joinpath("lightspeed-stack.yaml").write_text(text)
    return folder


def ports() -> tuple[list[str], int, int]:
    """Options that publish both services on free ports, and these ports."""
    lcore, server = free_port(), free_port()
    options = [f"services.lightspeed-stack.ports={lcore}:8080", f"services.llama-stack.ports={server}:8321"]
    return [part for option in options for part in ("--set", option)], lcore, server


def query(port: int, text: str) -> dict[str, Any]:
    """One question to LCORE."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/query",
        data=json.dumps({"query": text}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.code}: {error.read().decode()}") from None
    return answer


def left_behind(engine: str, project: str) -> dict[str, list[str]]:
    """What an engine still has of a project."""
    label = f"label=com.docker.compose.project={project}"
    calls = {
        "containers": ["ps", "--all", "--quiet", "--filter", label],
        "networks": ["network", "ls", "--quiet", "--filter", label],
        "volumes": ["volume", "ls", "--quiet", "--filter", label],
    }
    return {
        kind: subprocess.run([engine, *argv], capture_output=True, text=True, check=True).stdout.split()
        for kind, argv in calls.items()
    }


@pytest.mark.parametrize("profile", ["dev", "prod"])
def test_a_stack_starts_answers_and_goes_away(
    engine: str,
    profile: str,
    project: str,
    folder: Path,
    images: list[str],
    model: Model,
    lcompose: Lcompose,
    state: Path,
) -> None:
    options, lcore, _ = ports()
    if profile == "prod":
        options = options[:2]  # only LCORE is published there
    common = ["-p", project, "--engine", engine]
    up = lcompose("up", *common, "--profile", profile, *images, *options, cwd=folder, env=model.variables(engine))
    assert up.code == 0, up.err
    assert "is ready after" in up.out
    assert f"http://127.0.0.1:{lcore}" in up.out

    assert query(lcore, "Is anybody there?")["response"] == "mock: Is anybody there?"

    status = lcompose("status", *common, "--json", cwd=folder)
    assert status.code == 0
    shown = json.loads(status.out)
    assert [(row["service"], row["state"]) for row in shown["services"]] == [
        ("lightspeed-stack", "ready"),
        ("llama-stack", "ready"),
    ]
    assert [(row["runtime"], row["pid"] > 0, row["error"]) for row in shown["services"]] == [
        ("container", True, "")
    ] * 2

    logs = lcompose("logs", *common, "lightspeed-stack", "--tail", "5", cwd=folder)
    assert logs.out.count("lightspeed-stack | ") == 5

    # No configuration and no variable: down finds everything by the project's name.
    empty = folder.parent / "elsewhere"
    empty.mkdir()
    down = lcompose("down", *common, "--volumes", cwd=empty)
    assert down.code == 0, down.err
    assert left_behind(engine, project) == {"containers": [], "networks": [], "volumes": []}
    assert down.err.index("lightspeed-stack: offline: stopped") < down.err.index("llama-stack: offline: stopped")

    kept = lcompose("logs", *common, cwd=empty)
    assert "llama-stack | " in kept.out
    assert "lightspeed-stack | " in kept.out
    everything = up.out + up.err + status.out + logs.out + down.out + down.err + kept.out
    assert SECRET not in everything
    assert all(SECRET not in path.read_text() for path in state.rglob("*") if path.is_file())


def test_no_secret_shows_in_a_process_list_while_a_stack_starts(
    engine: str, project: str, folder: Path, images: list[str], model: Model, lcompose: Lcompose
) -> None:
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        options, _, _ = ports()
        up = lcompose(
            "up", "-p", project, "--engine", engine, *images, *options, cwd=folder, env=model.variables(engine)
        )
    finally:
        done.set()
        watcher.join()
    assert up.code == 0, up.err
    # The watcher did see what it is there to see.
    assert any("compose" in line and project in line for line in seen)
    assert not [line for line in seen if SECRET in line]


def test_a_second_up_changes_nothing_and_a_changed_configuration_converges(
    engine: str, project: str, folder: Path, images: list[str], model: Model, lcompose: Lcompose
) -> None:
    options, lcore, _ = ports()
    arguments = ["up", "-p", project, "--engine", engine, *images, *options]
    env = model.variables(engine)
    assert lcompose(*arguments, cwd=folder, env=env).code == 0
    first = left_behind(engine, project)["containers"]

    assert lcompose(*arguments, cwd=folder, env=env).code == 0
    assert sorted(left_behind(engine, project)["containers"]) == sorted(first)

    # What no label tells: settings and values. The engine replaces the container, and it is started.
    changed = [*arguments, "--set", "services.llama-stack.log_level=warning", "--wait-timeout", "60"]
    assert lcompose(*changed, cwd=folder, env=env | {"OPENAI_API_KEY": "sk-another-secret"}).code == 0
    inside = _environment(engine, _container(engine, project, "llama-stack"))
    assert "OPENAI_API_KEY=sk-another-secret" in inside
    assert lcompose(*arguments, "--wait-timeout", "60", cwd=folder, env=env).code == 0
    first = left_behind(engine, project)["containers"]

    path = folder / "lightspeed-stack.yaml"
    path.write_text(path.read_text() + "deployment_environment: changed\n")
    plan = lcompose(*arguments, "--dry-run", cwd=folder, env=env)
    assert "lightspeed-stack: its configuration changed" in plan.out
    assert sorted(left_behind(engine, project)["containers"]) == sorted(first)

    assert lcompose(*arguments, cwd=folder, env=env).code == 0
    second = left_behind(engine, project)["containers"]
    assert len(set(first) & set(second)) == 1
    inside = subprocess.run(
        [engine, "exec", _container(engine, project, "lightspeed-stack"), "cat", "/app-root/lightspeed-stack.yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "deployment_environment: changed" in inside.stdout
    assert query(lcore, "still there?")["response"] == "mock: still there?"


def _environment(engine: str, container: str) -> list[str]:
    argv = [engine, "inspect", "--format", "{{json .Config.Env}}", container]
    found: list[str] = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return found


def _container(engine: str, project: str, service: str) -> str:
    labels = [f"label=com.docker.compose.project={project}", f"label=com.docker.compose.service={service}"]
    filters = [part for label in labels for part in ("--filter", label)]
    done = subprocess.run([engine, "ps", "--quiet", *filters], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


def test_what_is_written_is_kept_over_down_and_up(
    engine: str, project: str, folder: Path, images: list[str], model: Model, lcompose: Lcompose
) -> None:
    options, _, _ = ports()
    arguments = ["-p", project, "--engine", engine]
    env = model.variables(engine)
    assert lcompose("up", *arguments, *images, *options, cwd=folder, env=env).code == 0
    container = _container(engine, project, "lightspeed-stack")
    write = "mkdir -p /tmp/data/feedback && touch /tmp/data/feedback/a.json"
    subprocess.run([engine, "exec", container, "sh", "-c", write], check=True, timeout=30)
    assert lcompose("down", *arguments, cwd=folder).code == 0
    assert left_behind(engine, project)["volumes"]
    assert lcompose("up", *arguments, *images, *options, cwd=folder, env=env).code == 0
    container = _container(engine, project, "lightspeed-stack")
    subprocess.run([engine, "exec", container, "test", "-f", "/tmp/data/feedback/a.json"], check=True, timeout=30)


def test_attach_follows_the_logs_and_ctrl_c_takes_the_stack_down(
    engine: str, project: str, folder: Path, images: list[str], model: Model, state: Path
) -> None:
    options, _, _ = ports()
    argv = ["up", "--attach", "-p", project, "--engine", engine, *images, *options]
    with lcompose_child(*argv, cwd=folder, state=state, env=model.variables(engine)) as child:
        assert child.stdout
        for line in child.stdout:
            if " | " in line:
                break
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert "is down" in out
    assert left_behind(engine, project)["containers"] == []
