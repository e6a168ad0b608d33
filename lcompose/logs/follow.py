"""Follows a project's logs through restarts and new containers, without losing a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from lcompose.engines import Engine
from lcompose.errors import LcomposeError
from lcompose.host import end_running
from lcompose.logs.collect import ALIVE, collect
from lcompose.logs.lines import Line
from lcompose.logs.show import View, opening
from lcompose.logs.source import Source
from lcompose.spec.run import Container
from lcompose.spec.secrets import Secrets

# Seconds between two looks at the containers: at least, when nothing tells of changes, and when something does.
BETWEEN = 0.25
WITHOUT_EVENTS = 1.0
WITH_EVENTS = 10.0
SETTLED = 3.0
# Where a container is replaced nothing of the project may run for a while.
GRACE = 2.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a thread found: lines, a container whose log does not go on, or that something changed."""

    lines: list[Line] = field(default_factory=list)
    ended: str = ""


def followed(
    engine: Engine, project: str, view: View | None = None, directory: Path | None = None
) -> Iterator[list[Line]]:
    """What there is, then lines as they come, in batches, until nothing of the project runs any more.

    ``directory`` is that of kept logs: they are shown too, and go on being kept at every end of a
    container.

    Raises: EngineError when the containers cannot be looked at, or no log can be read.
    """
    following = _Following(engine, project, view or View(), directory)
    try:
        yield from following.opening()
        yield from following.rest()
    finally:
        following.close()


class _Following:
    """One following: a thread for each container, and one that hears of changes."""

    def __init__(self, engine: Engine, project: str, view: View, directory: Path | None) -> None:
        self.engine, self.project, self.view, self.directory = engine, project, view, directory
        self.told: SimpleQueue[Told | LcomposeError] = SimpleQueue()
        self.closed = Event()
        self.threads: dict[str, Thread] = {}
        self.sources: dict[str, Source] = {}
        self.values: dict[str, str] = {}
        self.secrets = Secrets({})
        self.hears = False
        self.begun = time.monotonic()
        self.read: dict[str, Container] = {}

    def opening(self) -> Iterator[list[Line]]:
        containers = self._look()
        sources = [self._source(one) for one in containers if self.view.has(one.service)]
        yield from opening(sources, self.directory, self.view)
        self.sources = {source.container.id: source for source in sources}
        self.read = {source.container.id: source.container for source in sources}

    def rest(self) -> Iterator[list[Line]]:
        """What comes from now on."""
        self._start(self._watch)
        next_look, quiet_since = 0.0, None if self._goes_on() else -GRACE
        while True:
            now = time.monotonic()
            if now >= next_look:
                alive = self._looked()
                next_look = now + (self._pause() if alive else BETWEEN)
                quiet_since = None if alive else now if quiet_since is None else quiet_since
            if quiet_since is not None and not self.threads and now - quiet_since >= GRACE:
                return
            told = self._next(next_look - now)
            if told is None:
                continue
            if told.ended:
                self.threads.pop(told.ended, None)
            if told.lines:
                yield told.lines
            else:
                next_look = min(next_look, now + BETWEEN)

    def _goes_on(self) -> bool:
        """Whether anything ran, or was about to, when what there was had been shown."""
        return any(source.container.state in (*ALIVE, "created") for source in self.sources.values())

    def _pause(self) -> float:
        # An engine needs a moment until it tells of everything.
        settled = time.monotonic() - self.begun > SETTLED
        return WITH_EVENTS if self.hears and settled else WITHOUT_EVENTS

    def _next(self, seconds: float) -> Told | None:
        try:
            told = self.told.get(timeout=max(0.0, seconds))
        except Empty:
            return None
        if isinstance(told, LcomposeError):
            raise told
        return told

    def _looked(self) -> bool:
        """Looks at the containers, reads those that may have said something, and says whether any runs."""
        containers = self._look()
        for one in containers:
            if self.view.has(one.service) and one.id not in self.threads and self._may_have_more(one):
                source = self.sources.setdefault(one.id, self._source(one))
                source.container = one
                if source.error is None:
                    self.threads[one.id] = self._start(self._read, source)
        self._refuse_nothing()
        return any(one.state in ALIVE for one in containers)

    def _may_have_more(self, container: Container) -> bool:
        """Whether it runs, or ran since its log was read: one that crashes at once is never seen running."""
        read = self.read.get(container.id)
        self.read[container.id] = container
        return container.state == "running" or read is None or _runs(read) != _runs(container)

    def _refuse_nothing(self) -> None:
        errors = [source.error for source in self.sources.values() if source.error]
        if errors and len(errors) == len(self.sources):
            raise errors[0]

    def _look(self) -> tuple[Container, ...]:
        containers = self.engine.containers(self.project)
        for one in containers:
            if one.id not in self.sources:
                self.values |= self.engine.environment(one.id)
        self.secrets = Secrets(self.values)
        return containers

    def _source(self, container: Container) -> Source:
        return Source(self.engine, container, self.directory, lambda text: self.secrets.redact(text))

    def _read(self, source: Source) -> None:
        """Follows one container until it ends, and reads once more what an engine left out at the end."""
        try:
            if source.container.state == "running":
                self._tell(source.lines(follow=True))
            self._tell(source.lines())
            self._keep(source.container)
        except LcomposeError as error:
            self.told.put(error)
        finally:
            self.told.put(Told(ended=source.container.id))

    def _tell(self, reading: Iterator[list[Line]]) -> None:
        for lines in reading:
            if self.closed.is_set():
                return
            wanted = self.view.of(lines)
            if wanted:
                self.told.put(Told(wanted))

    def _keep(self, container: Container) -> None:
        if self.directory is not None and not self.closed.is_set():
            with suppress(LcomposeError):
                collect(self.engine, container, self.directory, self.secrets, last=False)

    def _watch(self) -> None:
        """Tells that something happened; where the engine cannot, there are more looks."""
        with suppress(LcomposeError):
            self.hears = True
            for _ in self.engine.events(self.project):
                if self.closed.is_set():
                    return
                self.told.put(Told())
        self.hears = False

    def _start(self, work: Callable[..., None], *given: Source) -> Thread:
        thread = Thread(target=work, args=given, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self.closed.set()
        for thread in list(self.threads.values()):
            thread.join(timeout=1)
        end_running()


def _runs(container: Container) -> tuple[object, ...]:
    return container.state, container.restarts, container.started, container.finished
