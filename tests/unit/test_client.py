"""What engines' command lines say, read: containers, their logs, and errors."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcompose.engines import ComposeFile, Engine, EngineEvent
from lcompose.engines.client import health_check, seconds
from lcompose.engines.select import connect
from lcompose.errors import EngineError, UsageError
from lcompose.spec.project import Healthcheck, Probe
from lcompose.spec.run import Container, ImageInfo
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
    state = {
        "Status": "exited",
        "ExitCode": 137,
        "OOMKilled": True,
        "Error": "no memory",
        "StartedAt": "2025-01-01T00:00:01.5Z",
        "FinishedAt": "2025-01-01T00:00:02Z",
        "Health": {"Status": "unhealthy", "Log": [{"Output": "first"}, {"Output": " last\n"}]},
    }
    networks = {
        "Networks": {"demo_default": {"IPAddress": "172.18.0.2"}},
        "Ports": {"8080/tcp": [{"HostIp": "", "HostPort": "18080"}], "9/tcp": None},
    }
    labels = {
        "lcompose.config-digest": "0123",
        "lcompose.after": "db,cache",
        "com.docker.compose.oneoff": "True",
    }
    found = read(
        tmp_path,
        labels,
        State=state,
        Image="sha256:89ab",
        Created="2025-01-01T00:00:00Z",
        RestartCount=2,
        NetworkSettings=networks,
        HostConfig={"RestartPolicy": {"Name": "on-failure"}},
    )
    assert replace(found, parts=()) == Container(
        id="c1",
        name="demo-web-1",
        service="web",
        state="exited",
        exit_code=137,
        restarts=2,
        oom_killed=True,
        health="unhealthy",
        health_output="last",
        error="no memory",
        digest="0123",
        after=("db", "cache"),
        address="172.18.0.2",
        ports=((8080, "0.0.0.0", 18080),),
        image="web:1",
        image_id="89ab",
        created=1735689600.0,
        started=1735689601.5,
        finished=1735689602.0,
        restart="on-failure",
        oneoff=True,
    )


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2025-01-01T00:00:00Z", 1735689600.0),
        ("2025-01-01T00:00:00.123456789Z", 1735689600.123456),
        ("2025-01-01T01:00:00.5+01:00", 1735689600.5),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        (None, 0.0),
        ("soon", 0.0),
    ],
)
def test_a_time_is_in_seconds_and_never_is_0(time: str | None, expected: float) -> None:
    assert seconds(time) == pytest.approx(expected, abs=1e-5)


PARTS: dict[str, Any] = {
    "Image": "sha256:1",
    "Config": {"Image": "web:1", "Labels": {}, "Entrypoint": ["a"], "Cmd": ["b"], "Env": ["A=1", "B=2"]},
    "HostConfig": {"Devices": [], "DeviceRequests": None, "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
    "Mounts": [{"Type": "volume", "Name": "data", "Destination": "/data", "RW": True}],
}


@pytest.mark.parametrize(
    ("path", "to", "drifted"),
    [
        ("Image", "sha256:2", {"image"}),
        ("Config.Cmd", ["c"], {"command"}),
        ("Config.Entrypoint", None, {"command"}),
        ("Config.User", "1000", {"command"}),
        ("Config.Env", ["A=9", "B=9"], set()),
        ("Config.Env", ["B=2", "A=1"], set()),
        ("Config.Env", ["A=1"], {"variables"}),
        ("Mounts", [], {"mounts"}),
        ("Mounts", [{**PARTS["Mounts"][0], "RW": False}], {"mounts"}),
        ("Mounts", [{**PARTS["Mounts"][0], "Driver": "other"}], set()),
        ("HostConfig.Devices", [{"PathOnHost": "/dev/kfd"}], {"devices"}),
        ("HostConfig.PortBindings", {}, {"ports"}),
        ("Name", "another", set()),
    ],
)
def test_what_a_container_is_made_of_is_told_by_its_parts(
    path: str, to: Any, drifted: set[str], tmp_path: Path
) -> None:
    other = copy.deepcopy(PARTS)
    place: Any = other
    *steps, last = path.split(".")
    for step in steps:
        place = place[step]
    place[last] = to
    before, after = (dict(read(tmp_path, **one).parts) for one in (PARTS, other))
    assert {name for name in before if before[name] != after[name]} == drifted


def test_no_value_of_a_variable_is_in_the_parts(tmp_path: Path) -> None:
    config = {"Image": "web:1", "Labels": {}, "Env": ["KEY=abcdef"]}
    assert "abcdef" not in repr(read(tmp_path, Config=config))


@pytest.mark.parametrize(
    ("label", "setting", "grace"), [("", None, 10), ("", 30, 30), ("60", 10, 60), ("soon", 30, 30), ("0", 30, 0)]
)
def test_the_time_to_end_is_ours_where_the_engine_was_not_told(
    label: str, setting: int | None, grace: int, tmp_path: Path
) -> None:
    carried = {"com.docker.compose.service": "web"} | ({"lcompose.grace": label} if label else {})
    assert read(tmp_path, Config={"Image": "web:1", "Labels": carried, "StopTimeout": setting}).stop_grace == grace


NS = 1_000_000_000


@pytest.mark.parametrize(
    ("found", "check"),
    [
        ({}, None),
        ({"Test": None}, None),
        ({"Test": ["NONE"]}, None),
        ({"Test": ["CMD", "a"]}, Healthcheck(("CMD", "a"), 30, 30, 3, 0, 5)),
        (
            {
                "Test": ["CMD-SHELL", "a b"],
                "Interval": 2 * NS,
                "Timeout": NS,
                "Retries": 7,
                "StartPeriod": 60 * NS,
                "StartInterval": NS // 2,
            },
            Healthcheck(("CMD-SHELL", "a b"), 2, 1, 7, 60, 0.5),
        ),
    ],
)
def test_a_health_check_is_read_with_its_times(
    found: dict[str, Any], check: Healthcheck | None, tmp_path: Path
) -> None:
    assert health_check(found) == check
    assert read(tmp_path, Config={"Image": "web:1", "Labels": {}, "Healthcheck": found}).check == check


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


# ---------------------------------------------------------------- images


CHECKED = {"Id": "sha256:1", "Config": {"Healthcheck": {"Test": ["CMD", "a"]}}}


def test_images_are_told_by_the_name_that_was_asked_for(tmp_path: Path) -> None:
    engine = docker(tmp_path, image=json.dumps([CHECKED, {"Id": "2", "Config": None}]))
    assert engine.images(["a", "b", "a"]) == {
        "a": ImageInfo("1", Healthcheck(("CMD", "a"), 30, 30, 3, 0, 5)),
        "b": ImageInfo("2"),
    }


def test_of_images_that_are_not_all_there_each_is_asked_for_by_itself(tmp_path: Path) -> None:
    program = Machine(tmp_path).has("docker", {})
    (tmp_path / "docker").write_text(
        f"#!/bin/sh\nshift 2\n[ \"$*\" = a ] && echo '{json.dumps([CHECKED])}' && exit\n"
        f"[ \"$*\" = 'a b' ] && echo '{json.dumps([CHECKED])}'\necho 'no such image' >&2; exit 1\n"
    )
    assert list(connect("docker", program.env).images(["a", "b"])) == ["a"]


def test_no_image_is_asked_for_where_none_is_wanted(tmp_path: Path) -> None:
    assert docker(tmp_path, code=1).images([]) == {}


def test_an_image_that_cannot_be_pulled_says_why_and_how_to_try(tmp_path: Path) -> None:
    engine = docker(tmp_path, code=1, pull=f"{STDERR}Error response: pull access denied for x\nsome more words")
    with pytest.raises(EngineError) as caught:
        engine.pull("x:1", 10, lambda _: None)
    assert (caught.value.what, caught.value.fix) == (
        "the image x:1 cannot be pulled: Error response: pull access denied for x",
        "Check its name, log in to its registry, or build it: docker pull x:1",
    )


# ---------------------------------------------------------------- events


def test_what_happens_is_told_as_it_comes(tmp_path: Path) -> None:
    attributes = {"com.docker.compose.service": "web", "exitCode": "3"}
    lines = [
        {"Type": "container", "Action": "die", "timeNano": 5 * NS, "Actor": {"ID": "c1", "Attributes": attributes}},
        {"Type": "container", "Action": "health_status: healthy", "Actor": {"ID": "c1", "Attributes": {}}},
        {"Type": "network", "Action": "connect", "Actor": {"ID": "n"}},
    ]
    engine = docker(tmp_path, events="\n".join([*map(json.dumps, lines), "no JSON", "[]"]))
    assert list(engine.events("demo")) == [
        EngineEvent(5.0, "die", "c1", "web", 3),
        EngineEvent(0.0, "health_status", "c1", "", None),
    ]


# ---------------------------------------------------------------- reading a file


def compose(folder: Path) -> ComposeFile:
    """A file that is to be read."""
    return ComposeFile("demo", (folder / "a.yaml",), folder, Machine(folder).env)


def test_a_file_is_what_the_engines_compose_reads_with_single_dollars(tmp_path: Path) -> None:
    engine = docker(tmp_path, compose="services:\n  web:\n    command: [a$$b]\n    x-lcompose: {role: oneshot}")
    assert engine.read(compose(tmp_path)) == {
        "services": {"web": {"command": ["a$b"], "x-lcompose": {"role": "oneshot"}}}
    }


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    engine = docker(tmp_path, code=15, compose=f"{STDERR}time=x level=warning\nerror: no such key")
    with pytest.raises(UsageError) as caught:
        engine.read(compose(tmp_path))
    assert caught.value.what == "docker compose cannot read it: error: no such key"
    assert caught.value.where == str(tmp_path / "a.yaml")
