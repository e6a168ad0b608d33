"""What unit tests start from: documents written as YAML, projects, containers, and time that does not pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lcompose.gate import Clock
from lcompose.lightspeed.config import Configuration, configuration
from lcompose.lightspeed.images import LCORE_IMAGES as LCORE_TABLE
from lcompose.lightspeed.images import SERVER_IMAGES as SERVER_TABLE
from lcompose.lightspeed.images import Generation, image_facts
from lcompose.load import Node, parse
from lcompose.merge import Layer
from lcompose.profiles import profile_layers
from lcompose.resolve import Request, Resolved, resolve
from lcompose.settings import resolve_settings
from lcompose.spec.run import Container
from lcompose.templates import data_directory

LIGHTSPEED = """
name: test
service: {port: 8080}
ogx: {url: "http://localhost:8321"}
user_data_collection: {}
"""
OLDER = """
name: test
service: {port: 8080}
llama_stack: {url: "http://localhost:8321"}
user_data_collection: {}
"""
RUN = """
version: 2
providers: {}
"""
LCORE_IMAGE = image_facts("any", LCORE_TABLE)
SERVER_IMAGE = image_facts("any", SERVER_TABLE)
ROOT_IMAGE = image_facts("docker.io/ogx/distribution-starter:1.2.5", SERVER_TABLE)


def node(text: str, name: str = "lightspeed-stack.yaml") -> Node:
    """A document with its places."""
    return parse(text.encode(), name)


def config(
    lightspeed: str = LIGHTSPEED,
    run: str = RUN,
    *,
    generation: Generation = "0.7",
    version: tuple[int, ...] = (1, 2, 5),
    env: Mapping[str, str] | None = None,
) -> Configuration:
    """Both documents, read; homes as in LCORE's own image and the server's."""
    homes = (LCORE_IMAGE.home, SERVER_IMAGE.home)
    return configuration(node(lightspeed), node(run, "run.yaml"), generation, version, env or {}, homes)


def resolved(
    lightspeed: str = LIGHTSPEED,
    run: str = RUN,
    settings: Mapping[str, Any] | None = None,
    *,
    profiles: tuple[str, ...] = ("base",),
    env: Mapping[str, str] | None = None,
) -> Resolved:
    """A project from documents and settings, in /my/here, for a person whose home is /home/me."""
    layers = [*profile_layers(profiles, data_directory("profiles")), Layer("own", settings or {})]
    chosen = resolve_settings(layers)
    here = "/my/here"
    documents = node(lightspeed), node(run, "run.yaml")
    return resolve(Request("demo", chosen, *documents, here, here, env or {}, "/home/me"))


def container(service: str, state: str = "running", **more: Any) -> Container:
    """A container of a service; its id is the service's name."""
    return Container(id=service, name=f"demo-{service}-1", service=service, state=state, **more)


@dataclass
class Ticking:
    """Time that passes only when somebody sleeps, or when it is told to."""

    time: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        self.slept.append(seconds)
        self.time += seconds

    def clock(self) -> Clock:
        """It, as the gate wants it."""
        return Clock(lambda: self.time, self.sleep)


@dataclass(frozen=True)
class Machine:
    """A machine on which engines are small programs that say what real ones would."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment in which they are found, and nothing else."""
        return {"PATH": str(self.folder), "DOCKER_HOST": "unix:///nowhere", "HOME": str(self.folder)}

    def has(self, program: str, answers: dict[str, str], *, code: int = 0) -> Machine:
        """Puts a program on it that answers by its first argument, and then fails if it should."""
        cases = [f"  {first}) cat <<'END'\n{text}\nEND\n  ;;" for first, text in answers.items()]
        path = self.folder / program
        lines = ["#!/bin/sh", "PATH=/usr/bin:/bin", 'case "$1" in', *cases, "esac", f"exit {code}"]
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o755)
        return self
