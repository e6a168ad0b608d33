"""What reads compose files for Podman: podman-compose, or docker-compose over Podman's socket."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from lcompose import host
from lcompose.contexts import address
from lcompose.engines import ComposeFile
from lcompose.engines.client import PROMPT
from lcompose.errors import EngineError, MachineError

Kind: TypeAlias = Literal["podman-compose", "docker-compose"]

INSTALL_COMPOSE = "Install podman-compose where lcompose is: pip install podman-compose"
# Podman's own variable for the same choice.
CHOICE = "PODMAN_COMPOSE_PROVIDER"
PLUGINS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
# What would lead docker-compose to another engine.
DOCKERS_OWN = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
# Seconds without a request after which a service of ours ends: nobody else ends it when we are killed.
IDLE = 120
PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Provider:
    """A program that reads compose files, and which kind it is of."""

    kind: Kind
    program: str

    def argv(self, compose: ComposeFile) -> list[str]:
        """The beginning of a command about a compose file."""
        argv = [self.program, "--project-name", compose.project]
        if self.kind == "docker-compose":
            argv += ["--project-directory", str(compose.directory)]
        argv += [part for file in compose.files for part in ("--file", str(file))]
        return argv + [part for profile in compose.profiles for part in ("--profile", profile)]


def provider(env: Mapping[str, str]) -> Provider:
    """The one that the environment names, or else the first that is there.

    Raises: MachineError when there is none.
    """
    named = env.get(CHOICE)
    if named:
        return _named(named, env)
    for kind, find in FINDERS.items():
        if program := find(env):
            return Provider(kind, program)
    raise MachineError("podman-compose is not installed", "", INSTALL_COMPOSE)


def _named(named: str, env: Mapping[str, str]) -> Provider:
    kind = next((one for one in FINDERS if one in Path(named).name), None)
    if kind is None:
        what = f"{CHOICE} names {named}, which is neither podman-compose nor docker-compose"
        raise MachineError(what, "", f"Unset {CHOICE}, or name one of these.")
    found = host.find_program(named, env.get("PATH"))
    if found is None and "/" not in named:
        found = FINDERS[kind](env)
    if found is None:
        raise MachineError(f"{CHOICE} names {named}, which is not there", "", f"Install it, or unset {CHOICE}.")
    return Provider(kind, found)


def _podman_compose(env: Mapping[str, str]) -> str | None:
    """The one that is installed with lcompose, or the one on the path."""
    beside = Path(sys.executable).parent / "podman-compose"
    return str(beside) if beside.exists() else host.find_program("podman-compose", env.get("PATH"))


def _docker_compose(env: Mapping[str, str]) -> str | None:
    """A program of its own, or the plug-in of Docker's command line, which also runs alone."""
    places = [f"{env['HOME']}/.docker/cli-plugins"] if env.get("HOME") else []
    plugins = [f"{place}/docker-compose" for place in (*places, *PLUGINS)]
    found = host.find_program("docker-compose", env.get("PATH"))
    return found or next((path for path in plugins if host.exists(Path(path))), None)


FINDERS: Mapping[Kind, Callable[[Mapping[str, str]], str | None]] = {
    "podman-compose": _podman_compose,
    "docker-compose": _docker_compose,
}


def without_docker(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without what leads to Docker's engine; Podman builds images without BuildKit."""
    kept = {name: value for name, value in env.items() if name not in DOCKERS_OWN}
    return {"DOCKER_BUILDKIT": "0", **kept}


@contextmanager
def over_socket(env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment in which docker-compose speaks to Podman; opens a socket when none is open.

    Raises: MachineError, EngineError.
    """
    address = _open_address(env)
    if address:
        yield {**without_docker(env), "DOCKER_HOST": address}
        return
    with host.private_folder() as folder:
        path = folder / "podman.sock"
        argv = ["podman", "system", "service", f"--time={IDLE}", f"unix://{path}"]
        with host.running(argv, env=env, cwd=str(folder)) as still_runs:
            deadline = time.monotonic() + PROMPT
            while not host.socket_listens(path):
                if not still_runs() or time.monotonic() > deadline:
                    what = "Podman did not open a socket for docker-compose"
                    raise EngineError(what, "", "Look what 'podman system service' says.")
                time.sleep(PAUSE)
            yield {**without_docker(env), "DOCKER_HOST": f"unix://{path}"}


def _open_address(env: Mapping[str, str]) -> str | None:
    """Where Podman listens already, or None.

    Root's Podman is another than a user's, whatever folder a variable names.
    """
    said = address("podman", env)
    if said.startswith("ssh:"):
        what = "docker-compose does not reach a Podman over ssh"
        raise MachineError(what, said, f"Use podman-compose: {CHOICE}=podman-compose")
    if said:
        return said
    path = usual_socket(env, root=host.user_is_root())
    return f"unix://{path}" if path and host.socket_listens(path) else None


def usual_socket(env: Mapping[str, str], *, root: bool) -> Path | None:
    """Where this user's Podman listens when its service was set up."""
    run = "/run" if root else env.get("XDG_RUNTIME_DIR")
    return Path(run) / "podman" / "podman.sock" if run else None
