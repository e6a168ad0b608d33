"""A container engine and this machine's processes as one engine: each is asked for what it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from queue import SimpleQueue
from threading import Thread
from typing import Any

from lcompose.engines import ComposeFile, Creation, Engine, EngineEvent
from lcompose.engines.local import Local
from lcompose.engines.local_store import ID
from lcompose.errors import LcomposeError
from lcompose.host import Finished
from lcompose.spec.run import Container, Given, ImageInfo
from lcompose.spec.target import EngineFacts, EngineName
from lcompose.targets.local import PROCESS_FILE


class Mixed:
    """Some services of a project are ``outer``'s containers, those called ``services`` are processes.

    Whatever is asked of the whole, such as the endpoint, is the container engine's.
    """

    def __init__(self, outer: Engine, processes: Local, services: Iterable[str] = ()) -> None:
        self.name: EngineName = outer.name
        self._outer, self._processes, self._services = outer, processes, frozenset(services)
        # As they were told: both may have a volume of the same name.
        self._volumes: tuple[tuple[Engine, Sequence[str]], ...] = ()

    def facts(self) -> EngineFacts:
        """See Engine."""
        return self._outer.facts()

    def endpoint(self) -> str:
        """See Engine."""
        return self._outer.endpoint()

    # ------------------------------------------------------------ images: processes have none

    def images(self, references: Sequence[str]) -> dict[str, ImageInfo]:
        """See Engine."""
        return self._outer.images(references)

    def pull(self, reference: str, timeout: float, on_line: Callable[[str], None]) -> None:
        """See Engine."""
        self._outer.pull(reference, timeout, on_line)

    def read(self, compose: ComposeFile) -> dict[str, Any]:
        """See Engine."""
        return self._outer.read(compose)

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
        """See Engine."""
        return self._outer.run_once(
            image, argv, entrypoint=entrypoint, mounts=mounts, environment=environment, timeout=timeout
        )

    # ------------------------------------------------------------ making and removing

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        """See Engine. What is on the other side than it is to be is removed first: its ports are needed."""
        self._remove_strays(creation.compose.project, on_line)
        theirs = tuple(one for one in creation.services if one not in self._services)
        if theirs:
            inherited = {name: refs for name, refs in creation.inherited.items() if name in theirs}
            self._outer.create(replace(creation, services=theirs, inherited=inherited), on_line)
        ours = tuple(one for one in creation.services if one in self._services)
        if ours:
            compose = replace(creation.compose, files=(creation.state / PROCESS_FILE,))
            self._processes.create(replace(creation, compose=compose, services=ours), on_line)

    def _remove_strays(self, project: str, on_line: Callable[[str], None]) -> None:
        containers = [one for one in self._outer.containers(project) if one.service in self._services]
        processes = [one for one in self._processes.containers(project) if one.service not in self._services]
        for one in (*containers, *processes):
            self.stop(one.id, one.stop_grace)
            self.remove([one.id])
            on_line(f"Container {one.name} Removed")

    def remove(self, containers: Sequence[str]) -> None:
        """See Engine."""
        self._processes.remove([one for one in containers if _is_process(one)])
        self._outer.remove([one for one in containers if not _is_process(one)])

    # ------------------------------------------------------------ looking

    def containers(self, project: str) -> tuple[Container, ...]:
        """See Engine."""
        found = (*self._outer.containers(project), *self._processes.containers(project))
        return tuple(sorted(found, key=lambda one: one.name))

    def projects(self) -> list[str]:
        """See Engine."""
        return sorted({*self._outer.projects(), *self._processes.projects()})

    def accelerators(self, project: str) -> tuple[Given, ...]:
        """See Engine."""
        return (*self._outer.accelerators(project), *self._processes.accelerators(project))

    def environment(self, container: str) -> dict[str, str]:
        """See Engine."""
        return self._side(container).environment(container)

    def events(self, project: str) -> Iterator[EngineEvent]:
        """See Engine. It ends where the container engine's does: what it tells then is not all."""
        told: SimpleQueue[EngineEvent | LcomposeError | None] = SimpleQueue()
        Thread(target=_followed, args=(self._outer, project, told.put), daemon=True).start()
        for event in self._processes.looks(project):
            if event:
                yield event
            while not told.empty():
                other = told.get()
                if other is None:
                    return
                if isinstance(other, LcomposeError):
                    raise other
                yield other

    # ------------------------------------------------------------ starting and stopping

    def start(self, container: str) -> None:
        """See Engine."""
        if _is_process(container) and (project := self._processes.called_in(container)):
            self._processes.start_called(container, self._outer.host_addresses(project))
            return
        self._side(container).start(container)

    def stop(self, container: str, grace: int) -> None:
        """See Engine."""
        self._side(container).stop(container, grace)

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        """See Engine."""
        return self._side(container).execute(container, argv, timeout)

    def begin(self, container: str, argv: Sequence[str]) -> None:
        """See Engine."""
        self._side(container).begin(container, argv)

    # ------------------------------------------------------------ logs

    def logs(self, container: str, tail: int | None = None) -> str:
        """See Engine."""
        return self._side(container).logs(container, tail)

    def stream(
        self, container: str, *, since: str = "", tail: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        """See Engine."""
        return self._side(container).stream(container, since=since, tail=tail, follow=follow)

    # ------------------------------------------------------------ what containers have beside themselves

    def networks(self, project: str) -> list[str]:
        """See Engine."""
        return self._outer.networks(project)

    def host_addresses(self, project: str) -> list[str]:
        """See Engine."""
        return self._outer.host_addresses(project)

    def remove_network(self, name: str) -> None:
        """See Engine."""
        self._outer.remove_network(name)

    def pods(self, project: str) -> list[str]:
        """See Engine."""
        return self._outer.pods(project)

    def remove_pod(self, name: str) -> None:
        """See Engine."""
        self._outer.remove_pod(name)

    def volumes(self, project: str) -> list[str]:
        """See Engine."""
        self._volumes = tuple((side, side.volumes(project)) for side in (self._outer, self._processes))
        return sorted({name for _, names in self._volumes for name in names})

    def remove_volume(self, name: str) -> None:
        """See Engine."""
        sides = [side for side, names in self._volumes if name in names] or [self._outer]
        for side in sides:
            side.remove_volume(name)

    def _side(self, container: str) -> Engine:
        return self._processes if _is_process(container) else self._outer


def _is_process(container: str) -> bool:
    """Ids of processes are half as long as those of containers."""
    return ID.fullmatch(container) is not None


def _followed(engine: Engine, project: str, tell: Callable[[EngineEvent | LcomposeError | None], None]) -> None:
    """Tells what happens, and at the end None, or what went wrong."""
    try:
        for event in engine.events(project):
            tell(event)
    except LcomposeError as error:
        tell(error)
    else:
        tell(None)
