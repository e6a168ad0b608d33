"""Podman's own words: versions, events, health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lcompose.engines import EngineEvent
from lcompose.engines.podman import DIALECT
from tests.unit.test_podman_provider import program

SERVICE = {"com.docker.compose.service": "web"}


def event(**more: Any) -> EngineEvent | None:
    """What an event of Podman's means."""
    found = {"ID": "c1", "Type": "container", "Attributes": SERVICE, "Time": "1970-01-01T00:01:00.5Z"}
    return DIALECT.event(found | more)


def test_events_have_dockers_names() -> None:
    assert event(Status="died", ContainerExitCode=3) == EngineEvent(60.5, "die", "c1", "web", 3)
    assert event(Status="remove") == EngineEvent(60.5, "destroy", "c1", "web")


def test_podman_leaves_out_an_exit_code_of_zero() -> None:
    assert event(Status="died") == EngineEvent(60.5, "die", "c1", "web", 0)


def test_a_later_podman_tells_times_as_numbers() -> None:
    assert event(Status="start", Time=None, time=60, timeNano=60_500_000_000) == EngineEvent(60.5, "start", "c1", "web")


@pytest.mark.parametrize("found", [{"Type": "image", "Status": "pull"}, {}])
def test_other_events_mean_nothing(found: dict[str, Any]) -> None:
    assert DIALECT.event(found) is None


@pytest.mark.parametrize(
    ("name", "version", "problem"),
    [
        ("podman-compose", "podman-compose version 1.6.0", ""),
        ("podman-compose", "podman-compose version 1.1.0", "podman-compose version 1.1.0 is too old or broken"),
        ("podman-compose", "Traceback", "podman-compose is too old or broken"),
        ("docker-compose", "Docker Compose version v2.26.1", ""),
        ("docker-compose", "Docker Compose version v2.20.0", "Docker Compose version v2.20.0 is too old or broken"),
    ],
)
def test_a_reader_that_is_too_old_is_told_apart(name: str, version: str, problem: str, tmp_path: Path) -> None:
    program(tmp_path, "podman", "echo 4.3.1")
    path = program(tmp_path, name, f"echo '{version}'")
    facts = DIALECT.facts({"PATH": str(tmp_path), "PODMAN_COMPOSE_PROVIDER": path})
    assert facts.problem == problem


def test_what_an_exited_container_says_of_its_health_is_stale() -> None:
    health = {"Status": "starting", "Log": [{"Output": "no\n"}]}
    assert DIALECT.health({"Status": "exited", "Health": health}) == ("", "")
    assert DIALECT.health({"Status": "running", "Healthcheck": health}) == ("starting", "no")
