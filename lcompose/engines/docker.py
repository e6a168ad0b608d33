"""Docker with Compose v2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lcompose import host
from lcompose.engines import Creation
from lcompose.engines.client import PROMPT, QUICK, Client, Dialect, last_check
from lcompose.errors import EngineError, LcomposeError
from lcompose.spec.target import EngineFacts, version_of

# Inline configs came with 2.23.1; before that a file with them is refused.
OLDEST_COMPOSE = (2, 23, 1)
INSTALL_COMPOSE = "Install Docker Compose v2.23.1 or later (the package docker-compose-plugin)."


def connect(env: Mapping[str, str]) -> Client:
    """Docker, as the environment says how to reach it."""
    return Client(DIALECT, env)


def _facts(env: Mapping[str, str]) -> EngineFacts:
    if host.find_program("docker", env.get("PATH")) is None:
        return _problem("docker is not installed", "Install Docker Engine with Compose v2.")
    try:
        server = host.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=PROMPT, env=env)
        compose = host.run(["docker", "compose", "version", "--short"], timeout=PROMPT, env=env)
    except LcomposeError as error:
        return _problem(error.what, "Restart Docker, then try again.")
    if server.code:
        return _problem(f"Docker does not answer: {_first_line(server.said)}", "Start it: systemctl start docker")
    if compose.code:
        return _problem("docker has no compose", INSTALL_COMPOSE)
    version = version_of(compose.out)
    if version < OLDEST_COMPOSE:
        return _problem(f"Docker Compose {compose.out.strip()} is too old", INSTALL_COMPOSE)
    return EngineFacts("docker", version_of(server.out), version)


def _problem(problem: str, fix: str) -> EngineFacts:
    return EngineFacts("docker", problem=problem, fix=fix)


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "it said nothing"


def _endpoint(env: Mapping[str, str]) -> str:
    if env.get("DOCKER_HOST"):
        return env["DOCKER_HOST"]
    form = "{{.Endpoints.docker.Host}}"
    return host.run(["docker", "context", "inspect", "--format", form], timeout=QUICK, env=env).out.strip()


def _create(creation: Creation, on_line: Callable[[str], None]) -> None:
    """One ``up --no-start``: hashes, networks and aliases stay Compose's own."""
    argv = ["docker", "compose", "--project-name", creation.project]
    argv += ["--project-directory", str(creation.directory), "--file", str(creation.file)]
    argv += ["up", "--no-start"]
    finished = host.run(argv, timeout=creation.timeout, env=creation.env, on_line=on_line)
    if finished.code:
        raise EngineError(
            f"docker compose could not create the containers: {_reason(finished.said)}",
            str(creation.file),
            "If an image cannot be pulled, name another one with --image SERVICE=IMAGE.",
        )


def _reason(text: str) -> str:
    """The line of Compose's output that says why, without its progress lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "denied" in line or "refused" in line]
    return (telling or lines or ["it said nothing"])[-1]


def _health(state: Mapping[str, Any]) -> tuple[str, str]:
    return last_check(state.get("Health") or {})


DIALECT = Dialect("docker", "docker", _facts, _endpoint, _create, _health)
