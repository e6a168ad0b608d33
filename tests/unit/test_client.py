"""What engines' command lines say, read: containers, their logs, and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lcompose.engines import Engine
from lcompose.engines.select import connect
from lcompose.errors import EngineError
from lcompose.spec.project import Probe
from lcompose.spec.run import Container
from tests.unit.given import Machine

T1, T2, T3 = (f"2025-01-01T00:00:0{second}.000000000Z" for second in (1, 2, 3))
# Below this on standard error, above it on standard output.
STDERR = "\nEND\ncat >&2 <<'END'\n"


def docker(folder: Path, *, code: int = 0, **answers: str) -> Engine:
    """A Docker that gives these answers by the first word of a command."""
    return connect("docker", Machine(folder).has("docker", answers, code=code).env)


def read(folder: Path, labels: dict[str, str] | None = None, **more: Any) -> Container:
    """The container that an inspection means."""
    config = {"Image": "web:1", "Labels": {"com.docker.compose.service": "web", **(labels or {})}}
    inspected = {"Id": "c1", "Name": "/demo-web-1", "State": {"Status": "running"}, "Config": config} | more
    [found] = docker(folder, ps="c1", container=json.dumps([inspected])).containers("demo")
    return found


def test_a_project_without_containers_has_none(tmp_path: Path) -> None:
    assert docker(tmp_path).containers("demo") == ()


def test_a_container_is_read_as_its_engine_describes_it(tmp_path: Path) -> None:
    state = {"Status": "exited", "ExitCode": 137, "OOMKilled": True, "Error": "no memory"}
    networks = {
        "Networks": {"demo_default": {"IPAddress": "172.18.0.2"}},
        "Ports": {"8080/tcp": [{"HostIp": "", "HostPort": "18080"}], "9/tcp": None},
    }
    labels = {"lcompose.config-digest": "0123", "lcompose.after": "db,cache"}
    found = read(tmp_path, labels, State=state, RestartCount=2, NetworkSettings=networks)
    assert found == Container(
        id="c1",
        name="demo-web-1",
        service="web",
        state="exited",
        exit_code=137,
        restarts=2,
        oom_killed=True,
        error="no memory",
        digest="0123",
        after=("db", "cache"),
        address="172.18.0.2",
        ports=((8080, "0.0.0.0", 18080),),
        image="web:1",
    )


def test_the_order_of_somebody_elses_file_is_composes(tmp_path: Path) -> None:
    labels = {"com.docker.compose.depends_on": "db:service_healthy:false,cache:service_started:true"}
    assert read(tmp_path, labels).after == ("db", "cache")


@pytest.mark.parametrize("more", [{}, {"a field": "of a later version"}])
def test_the_probe_is_on_a_label(tmp_path: Path, more: dict[str, str]) -> None:
    text = json.dumps({"port": 80, "path": "/", "scheme": "https", **more})
    assert read(tmp_path, {"lcompose.probe": text}).probe == Probe(80, "/", "https")


def test_both_streams_of_a_log_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    engine = docker(tmp_path, logs=f"{T1} one\n{T3} three{STDERR}{T2} two")
    assert engine.logs("c1").splitlines() == [f"{T1} one", f"{T2} two", f"{T3} three"]


def test_a_progress_bar_stays_where_it_was_printed(tmp_path: Path) -> None:
    engine = docker(tmp_path, logs=f"{T1} one\n{T3} three{STDERR}{T2} 10%\r 20%\r 30%")
    assert engine.logs("c1").splitlines() == [f"{T1} one", f"{T2} 10%", " 20%", " 30%", f"{T3} three"]


def test_what_the_engine_says_itself_is_no_log(tmp_path: Path) -> None:
    engine = docker(tmp_path, logs=f"{T1} one{STDERR}WARNING: the engine says something")
    assert engine.logs("c1") == f"{T1} one"


def test_a_command_that_fails_says_which_and_why(tmp_path: Path) -> None:
    engine = docker(tmp_path, code=1, container=f"{STDERR}a warning\nError: no such container")
    with pytest.raises(EngineError) as caught:
        engine.stop("c1", 5)
    assert caught.value.what == "docker container stop failed: Error: no such container"


def test_variables_of_a_container_are_read_whatever_is_in_them(tmp_path: Path) -> None:
    engine = docker(tmp_path, container=json.dumps(["A=1=2", "B=", "ODD"]))
    assert engine.environment("c1") == {"A": "1=2", "B": ""}
