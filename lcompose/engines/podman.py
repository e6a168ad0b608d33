"""Podman through podman-compose."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lcompose import host
from lcompose.engines import Creation
from lcompose.engines.client import PROMPT, Client, Dialect, last_check
from lcompose.errors import EngineError, LcomposeError, MachineError
from lcompose.spec import labels
from lcompose.spec.target import EngineFacts, version_of
from lcompose.spec.text import EnvRef

OLDEST_COMPOSE = (1, 2, 0)
INSTALL_COMPOSE = "Install podman-compose where lcompose is: pip install podman-compose"


def connect(env: Mapping[str, str]) -> Client:
    """Podman, as the environment says how to reach it."""
    return Client(DIALECT, env)


def compose_program(env: Mapping[str, str]) -> str | None:
    """podman-compose: the one installed with lcompose, or the one on the path."""
    beside = Path(sys.executable).parent / "podman-compose"
    return str(beside) if beside.exists() else host.find_program("podman-compose", env.get("PATH"))


def _facts(env: Mapping[str, str]) -> EngineFacts:
    if host.find_program("podman", env.get("PATH")) is None:
        return _problem("podman is not installed", "Install Podman.")
    compose = compose_program(env)
    if compose is None:
        return _problem("podman-compose is not installed", INSTALL_COMPOSE)
    try:
        # "info" and not "version": it fails when the storage or the service does not answer.
        server = host.run(["podman", "info", "--format", "{{.Version.Version}}"], timeout=PROMPT, env=env)
        found = host.run([compose, "--version"], timeout=PROMPT, env=env)
    except LcomposeError as error:
        return _problem(error.what, "Look what 'podman info' says.")
    if server.code:
        return _problem("Podman does not answer", "Look what 'podman info' says.")
    line = next((line for line in found.out.splitlines() if "podman-compose" in line), "")
    version = version_of(line)
    if version < OLDEST_COMPOSE:
        return _problem(f"{line or 'podman-compose'} is too old or broken", INSTALL_COMPOSE)
    return EngineFacts("podman", version_of(server.out), version)


def _problem(problem: str, fix: str) -> EngineFacts:
    return EngineFacts("podman", problem=problem, fix=fix)


def _endpoint(env: Mapping[str, str]) -> str:
    return env.get("CONTAINER_HOST") or f"podman:{env.get('XDG_RUNTIME_DIR') or env.get('HOME', '')}"


def _create(creation: Creation, on_line: Callable[[str], None]) -> None:
    """One call a service, since each may see its own variables only.

    podman-compose writes variables with their values into podman's arguments, where every process
    list shows them; so they are handed on by name, and podman reads the values itself.
    """
    program = compose_program(creation.env)
    if program is None:
        raise MachineError("podman-compose is not installed", "", INSTALL_COMPOSE)
    for service in creation.services:
        inherited = creation.inherited.get(service, ())
        names = [part for variable in inherited for part in ("-e", variable.name)]
        argv = [program, "--project-name", creation.project, "--file", str(creation.file)]
        argv += [f"--podman-run-args={' '.join(names)}"] if names else []
        argv += ["up", "--no-start", "--no-deps", service]
        env = _with_defaults(creation.env, inherited)
        env[labels.VARIABLES_DIGEST] = _digest(env, inherited, creation.salt)
        finished = host.run(argv, timeout=creation.timeout, env=env, on_line=on_line)
        if finished.code:
            raise EngineError(
                f"podman-compose could not create {service}: {_reason(finished.said)}",
                str(creation.file),
                "If an image cannot be pulled, name another one with --image SERVICE=IMAGE.",
            )


def _with_defaults(env: Mapping[str, str], inherited: Iterable[EnvRef]) -> dict[str, str]:
    """The environment in which variables that are empty or unset have their defaults, as in Compose."""
    return {**env, **{one.name: one.default for one in inherited if one.default and not env.get(one.name)}}


def _digest(env: Mapping[str, str], inherited: Iterable[EnvRef], salt: str) -> str:
    """Changes when a value does; salted, since it shows where the values must not be guessed from it."""
    import hashlib

    values = "\0".join(f"{one.name}={env.get(one.name, '')}" for one in inherited)
    return hashlib.sha256(f"{salt}\0{values}".encode()).hexdigest()[:16]


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "CNI" not in line]
    telling = [line for line in lines if "rror" in line]
    return (telling or lines or ["it said nothing"])[-1]


def _health(state: Mapping[str, Any]) -> tuple[str, str]:
    # 4.x says it under both names; what an exited container has there is stale.
    health = state.get("Health") or state.get("Healthcheck") or {}
    if state.get("Status") != "running":
        return "", ""
    return last_check(health)


DIALECT = Dialect("podman", "podman", _facts, _endpoint, _create, _health)
