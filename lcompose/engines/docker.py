"""Docker with Compose v2."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from lcompose import host
from lcompose.contexts import address
from lcompose.engines import ComposeFile, Creation, EngineEvent, docker_logs
from lcompose.engines.client import CREATION_FIX, QUICK, Client, Dialect, last_check, side_by_side, tree_of
from lcompose.errors import EngineError, LcomposeError, UsageError
from lcompose.spec import labels
from lcompose.spec.target import EngineFacts, version_of

# Inline configs came with 2.23.1; before that a file with them is refused.
OLDEST_COMPOSE = (2, 23, 1)
CONFLICT = re.compile(
    r"is already in use by container|removal of container .* is already in progress|No such container"
)
CONFLICT_PAUSES = (0.5, 1.0, 2.0, 4.0)
# An engine that runs without root names RootlessKit among its parts.
ABOUT = "{{.Server.Version}}{{range .Server.Components}} {{.Name}}{{end}}"
ROOTLESS = "rootlesskit"
INSTALL_COMPOSE = "Install Docker Compose v2.23.1 or later (the package docker-compose-plugin)."


def connect(env: Mapping[str, str]) -> Client:
    """Docker, as the environment says how to reach it."""
    return Client(DIALECT, env)


def _facts(env: Mapping[str, str]) -> EngineFacts:
    if host.find_program("docker", env.get("PATH")) is None:
        return _problem("docker is not installed", "Install Docker Engine with Compose v2.")
    asked = (["docker", "version", "--format", ABOUT], ["docker", "compose", "version", "--short"])
    try:
        server, compose = side_by_side(asked, env)
    except LcomposeError as error:
        return _problem(error.what, "Restart Docker, then try again.")
    if server.code:
        return _problem(f"Docker does not answer: {_first_line(server.said)}", "Start it: systemctl start docker")
    if compose.code:
        return _problem("docker has no compose", INSTALL_COMPOSE)
    version = version_of(compose.out)
    if version < OLDEST_COMPOSE:
        return _problem(f"Docker Compose {compose.out.strip()} is too old", INSTALL_COMPOSE)
    number, _, parts = server.out.strip().partition(" ")
    return EngineFacts("docker", version_of(number), version, rootless=ROOTLESS in parts.split())


def _problem(problem: str, fix: str) -> EngineFacts:
    return EngineFacts("docker", problem=problem, fix=fix)


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "it said nothing"


def _endpoint(env: Mapping[str, str]) -> str:
    form = "{{.Endpoints.docker.Host}}"
    return (
        address("docker", env)
        or host.run(["docker", "context", "inspect", "--format", form], timeout=QUICK, env=env).out.strip()
    )


def _compose(compose: ComposeFile) -> list[str]:
    argv = ["docker", "compose", "--project-name", compose.project, "--project-directory", str(compose.directory)]
    argv += [part for file in compose.files for part in ("--file", str(file))]
    return argv + [part for profile in compose.profiles for part in ("--profile", profile)]


def _read(compose: ComposeFile) -> dict[str, Any]:
    """``docker compose config``; as YAML, since its JSON leaves out a service's own extensions."""
    finished = host.run([*_compose(compose), "config"], timeout=QUICK, env=compose.env)
    if finished.code:
        fix = "Correct the file, or set the variable that it asks for."
        raise UsageError(f"docker compose cannot read it: {_reason(finished.said)}", str(compose.files[0]), fix)
    return {name: _single_dollars(value) for name, value in tree_of(finished.out).items()}


def _single_dollars(value: Any) -> Any:
    """What it prints is to be read by Compose again, so a dollar is doubled there."""
    if isinstance(value, dict):
        return {name: _single_dollars(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_single_dollars(child) for child in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def _create(creation: Creation, on_line: Callable[[str], None]) -> None:
    """One ``up --no-start``: hashes, networks and aliases stay Compose's own."""
    argv = [*_compose(creation.compose), "up", "--no-start"]
    deadline = time.monotonic() + creation.timeout
    for pause in (*CONFLICT_PAUSES, None):
        left = max(1.0, deadline - time.monotonic())
        finished = host.run(argv, timeout=left, env=creation.compose.env, on_line=on_line)
        if not finished.code:
            return
        reason = _reason(finished.said)
        if pause is None or not CONFLICT.search(finished.said):
            break
        # One that was killed a moment ago may have left Compose at work, on the same names.
        time.sleep(pause)
    what = f"docker compose could not create the containers: {reason}"
    raise EngineError(what, str(creation.compose.files[0]), CREATION_FIX)


def _reason(text: str) -> str:
    """The line of Compose's output that says why, without its progress lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "denied" in line or "refused" in line]
    return (telling or lines or ["it said nothing"])[-1]


def _health(state: Mapping[str, Any]) -> tuple[str, str]:
    return last_check(state.get("Health") or {})


def _event(found: Mapping[str, Any]) -> EngineEvent | None:
    actor = found.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    if found.get("Type") != "container" or "Action" not in found:
        return None
    code = attributes.get("exitCode")
    return EngineEvent(
        time=found.get("timeNano", 0) / 1e9,
        # "health_status: healthy" is one word too many.
        action=str(found["Action"]).split(":")[0],
        container=str(actor.get("ID", "")),
        service=attributes.get(labels.SERVICE, ""),
        exit_code=int(code) if code else None,
    )


WATCHED = ("create", "start", "die", "oom", "stop", "destroy", "pause", "unpause", "health_status")
DIALECT = Dialect(
    "docker",
    "docker",
    _facts,
    _endpoint,
    _create,
    _read,
    _health,
    _event,
    WATCHED,
    # Where host-gateway leads, whichever network a container is in.
    lambda _: ["bridge"],
    log_socket=docker_logs.stream,
)
