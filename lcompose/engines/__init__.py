"""The seam to container engines: what every engine can do, each call with a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lcompose.host import Finished
from lcompose.spec.run import Container
from lcompose.spec.target import EngineFacts, EngineName
from lcompose.spec.text import EnvRef


@dataclass(frozen=True, slots=True)
class Creation:
    """What an engine needs to create a project's containers.

    ``inherited`` are the variables of each service that are passed on by name alone; ``salt`` keeps
    a digest of their values from being guessed back.
    """

    project: str
    file: Path
    directory: Path
    env: Mapping[str, str]
    services: tuple[str, ...]
    inherited: Mapping[str, tuple[EnvRef, ...]]
    timeout: float
    salt: str = ""


class Engine(Protocol):
    """A container engine."""

    name: EngineName

    def facts(self) -> EngineFacts:
        """Its versions, or what is wrong with it and how to mend that."""

    def endpoint(self) -> str:
        """Where it listens; the same project on two engines is two projects."""

    def missing_images(self, images: Sequence[str]) -> list[str]:
        """Those of the images that it does not have."""

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        """Creates or replaces all containers of a project, and starts none."""

    def containers(self, project: str) -> tuple[Container, ...]:
        """The project's containers, running or not."""

    def projects(self) -> list[str]:
        """The names of the projects that lcompose has containers of."""

    def environment(self, container: str) -> dict[str, str]:
        """The variables of a container: what is secret in its log is known from them."""

    def start(self, container: str) -> None:
        """Starts a container."""

    def stop(self, container: str, grace: int) -> None:
        """Stops a container: asks, and after ``grace`` seconds kills."""

    def remove(self, containers: Sequence[str]) -> None:
        """Removes stopped containers."""

    def networks(self, project: str) -> list[str]:
        """The project's networks."""

    def volumes(self, project: str) -> list[str]:
        """The project's named volumes."""

    def remove_network(self, name: str) -> None:
        """Removes a network."""

    def remove_volume(self, name: str) -> None:
        """Removes a named volume and what is in it."""

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        """Runs a program in a running container."""

    def logs(self, container: str, tail: int | None = None) -> str:
        """What a container has printed, both streams, with times."""

    def follow(self, container: str, tail: int | None = None) -> Iterator[str]:
        """Lines as a container prints them, until it ends or the iterator is closed."""
