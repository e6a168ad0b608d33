"""Podman, with podman-compose or with docker-compose over its socket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lcompose import host
from lcompose.contexts import address
from lcompose.engines import EngineEvent
from lcompose.engines.client import Client, Dialect, last_check, side_by_side
from lcompose.engines.podman_create import create
from lcompose.engines.podman_provider import INSTALL_COMPOSE, Provider, provider
from lcompose.engines.podman_read import read
from lcompose.errors import LcomposeError
from lcompose.spec import labels
from lcompose.spec.target import EngineFacts, version_of

# podman-compose knows !reset since 1.4, docker-compose inline configs since 2.23.1.
OLDEST = {"podman-compose": (1, 4, 0), "docker-compose": (2, 23, 1)}
UPDATES = {"podman-compose": INSTALL_COMPOSE, "docker-compose": "Install Docker Compose v2.23.1 or later."}
VERSION = re.compile(r"(podman-compose|[Dd]ocker.?[Cc]ompose) version (\S+)")
ABOUT = "{{.Version.Version}} {{.Host.Security.Rootless}} {{.Host.OCIRuntime.Name}}"
# Docker's words for what Podman calls otherwise.
ACTIONS = {"died": "die", "remove": "destroy"}
WATCHED = ("create", "start", "died", "stop", "remove", "pause", "unpause", "health_status")


def connect(env: Mapping[str, str]) -> Client:
    """Podman, as the environment says how to reach it."""
    return Client(DIALECT, env)


def _facts(env: Mapping[str, str]) -> EngineFacts:
    if host.find_program("podman", env.get("PATH")) is None:
        return _problem("podman is not installed", "Install Podman.")
    try:
        compose = provider(env)
        # "info" and not "version": it fails when the storage or the service does not answer.
        asked = (["podman", "info", "--format", ABOUT], [compose.program, "--version"])
        server, found = side_by_side(asked, env)
    except LcomposeError as error:
        return _problem(error.what, error.fix or "Look what 'podman info' says.")
    if server.code:
        return _problem("Podman does not answer", "Look what 'podman info' says.")
    return _judged(compose, server.out, found.out)


def _judged(compose: Provider, podman: str, said: str) -> EngineFacts:
    match = VERSION.search(said)
    version = version_of(match[2]) if match else ()
    if version < OLDEST[compose.kind]:
        shown = match[0] if match else compose.kind
        return _problem(f"{shown} is too old or broken", UPDATES[compose.kind])
    number, rootless, runtime = f"{podman.strip()}  ".split(" ")[:3]
    return EngineFacts(
        "podman",
        version_of(number),
        version,
        reader=compose.kind,
        rootless=rootless == "true",
        oci_runtime=runtime,
    )


def _problem(problem: str, fix: str) -> EngineFacts:
    return EngineFacts("podman", problem=problem, fix=fix)


def _endpoint(env: Mapping[str, str]) -> str:
    return address("podman", env) or f"podman:{env.get('XDG_RUNTIME_DIR') or env.get('HOME', '')}"


def _health(state: Mapping[str, Any]) -> tuple[str, str]:
    # 4.x says it under both names; what an exited container has there is stale.
    health = state.get("Health") or state.get("Healthcheck") or {}
    if state.get("Status") != "running":
        return "", ""
    return last_check(health)


def _event(found: Mapping[str, Any]) -> EngineEvent | None:
    if found.get("Type") != "container" or "Status" not in found:
        return None
    code = found.get("ContainerExitCode")
    action = str(found["Status"])
    return EngineEvent(
        time=_time(found),
        action=ACTIONS.get(action, action),
        container=str(found.get("ID", "")),
        service=(found.get("Attributes") or {}).get(labels.SERVICE, ""),
        # Podman leaves out a zero.
        exit_code=int(code or 0) if action == "died" else None,
    )


def _time(found: Mapping[str, Any]) -> float:
    """Text in Podman 4, numbers later."""
    if found.get("timeNano"):
        return int(found["timeNano"]) / 1e9
    said = found.get("Time") or found.get("time") or 0
    return datetime.fromisoformat(said).timestamp() if isinstance(said, str) else float(said)


DIALECT = Dialect("podman", "podman", _facts, _endpoint, create, read, _health, _event, WATCHED, list, pods=True)
