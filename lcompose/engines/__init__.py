"""The seam to container engines: what every engine can do, each call with a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lcompose.host import Finished
from lcompose.spec.run import Container, Given, ImageInfo
from lcompose.spec.target import EngineFacts, EngineName
from lcompose.spec.text import EnvRef


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """A compose file as an engine's compose is told of it.

    ``files`` are read one over the other; ``directory`` is what their paths start from; ``profiles``
    are Compose's own.
    """

    project: str
    files: tuple[Path, ...]
    directory: Path
    env: Mapping[str, str]
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Creation:
    """What an engine needs to create a project's containers.

    ``inherited`` are the variables of each service that are passed on by name alone; ``salt`` keeps
    a digest of their values from being guessed back. ``ours`` says that lcompose wrote the file;
    where it is somebody else's, ``reading`` is what the engine's compose made of it, and ``state`` a
    private folder for what must be written beside it.
    """

    compose: ComposeFile
    services: tuple[str, ...]
    inherited: Mapping[str, tuple[EnvRef, ...]]
    timeout: float
    salt: str = ""
    ours: bool = True
    reading: Mapping[str, Any] = field(default_factory=dict)
    state: Path = Path()


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something that happened to a container: ``start``, ``die``, ``oom``, ``destroy`` and such.

    ``time`` is in seconds since 1970.
    """

    time: float
    action: str
    container: str
    service: str
    exit_code: int | None = None


class Engine(Protocol):
    """A container engine."""

    name: EngineName

    def facts(self) -> EngineFacts:
        """Its versions, or what is wrong with it and how to mend that."""

    def endpoint(self) -> str:
        """Where it listens; the same project on two engines is two projects."""

    def images(self, references: Sequence[str]) -> dict[str, ImageInfo]:
        """Those of the images that it has, by the reference that was asked for."""

    def pull(self, reference: str, timeout: float, on_line: Callable[[str], None]) -> None:
        """Fetches an image."""

    def read(self, compose: ComposeFile) -> dict[str, Any]:
        """Its compose's own reading of a file: variables filled in, defaults and merges done."""

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        """Creates or replaces all containers of a project, and starts none."""

    def events(self, project: str) -> Iterator[EngineEvent]:
        """What happens to the project's containers from now on, until the iterator is closed."""

    def containers(self, project: str) -> tuple[Container, ...]:
        """The project's containers, running or not."""

    def projects(self) -> list[str]:
        """The names of the projects that lcompose has containers of."""

    def accelerators(self, project: str) -> tuple[Given, ...]:
        """The project's running containers that were promised GPUs, or given devices, and which."""

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

    def pods(self, project: str) -> list[str]:
        """The project's pods, on an engine that has such."""

    def remove_pod(self, name: str) -> None:
        """Removes a pod."""

    def host_addresses(self, project: str) -> list[str]:
        """Where the project's containers find this machine by the name that the engine has for it."""

    def remove_network(self, name: str) -> None:
        """Removes a network."""

    def remove_volume(self, name: str) -> None:
        """Removes a named volume and what is in it."""

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        """Runs a program in a running container."""

    def run_once(
        self,
        image: str,
        argv: Sequence[str],
        *,
        entrypoint: str,
        mounts: Sequence[tuple[str, str]],
        environment: Mapping[str, str],
        timeout: float,
    ) -> Finished:
        """Runs a program in a container of its own, which has no network and is gone afterwards.

        An empty ``entrypoint`` is the image's own; ``mounts`` are files of the host and where they go.
        """

    def begin(self, container: str, argv: Sequence[str]) -> None:
        """Begins a program in a running container, and does not wait for it."""

    def logs(self, container: str, tail: int | None = None) -> str:
        """What a container has printed, both streams, with times."""

    def stream(
        self, container: str, *, since: str = "", tail: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        """The same as it comes, in chunks of any size, until it is all or the iterator is closed.

        ``since`` is a time as the engine writes it; lines of just that time may be among them or not.
        With ``follow``, it goes on until the container ends.
        """
