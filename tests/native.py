"""Native processes for tests: an engine with a state folder of its own, of which nothing is left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lcompose.emit import yaml_text
from lcompose.engines import ComposeFile, Creation
from lcompose.engines.local import Local
from lcompose.engines.local_store import Kept, State, find, look
from lcompose.keeper import processes
from lcompose.spec.run import Container

PROJECT = "demo"


@dataclass
class Native:
    """A project of native processes below a folder; ``made`` are the ids of all that it ever had."""

    folder: Path
    env: dict[str, str]
    engine: Local
    told: list[str] = field(default_factory=list)
    made: set[str] = field(default_factory=set)

    def create(self, services: Mapping[str, Mapping[str, Any]], *names: str) -> dict[str, Container]:
        """Makes processes, by default in this folder, and gives back what there is, by service."""
        defaults = {"directory": str(self.folder), "digest": "1", "stop_grace": 1}
        tree = {"name": PROJECT, "services": {name: {**defaults, **one} for name, one in services.items()}}
        file = self.folder / "processes.yaml"
        file.write_text(yaml_text(tree))
        compose = ComposeFile(PROJECT, (file,), self.folder, self.env)
        self.engine.create(Creation(compose, names, {}, 10.0), self.told.append)
        self.made |= {one.id for one in self.engine.containers(PROJECT)}
        return self.all()

    def web(self, script: str, **more: Any) -> str:
        """Makes one process of a shell script, and gives back its id."""
        return self.create({"web": {"command": ["sh", "-c", script], **more}})["web"].id

    def started(self, script: str, **more: Any) -> str:
        """The same, started."""
        container = self.web(script, **more)
        self.engine.start(container)
        return container

    def all(self) -> dict[str, Container]:
        """What there is, by service."""
        return {one.service: one for one in self.engine.containers(PROJECT)}

    def of(self, container: str) -> Container:
        """One of them."""
        return next(one for one in self.engine.containers(PROJECT) if one.id == container)

    def kept(self, container: str) -> Kept:
        """One of them as it is kept."""
        return find(self.env, container)

    def state(self, container: str) -> State:
        """How one is, in its keeper's words."""
        return look(self.kept(container))

    def ended(self, container: str, seconds: float = 5) -> Container:
        """One of them, when it has ended."""
        wait_until(lambda: self.of(container).state == "exited", seconds)
        return self.of(container)

    def left(self) -> list[processes.Process]:
        """Whatever runs of all that was ever made here."""
        return [process for container in self.made for process in processes.marked(container)]

    def said(self, container: str) -> list[str]:
        """The lines of a log without their times."""
        return [line.partition(" ")[2] for line in self.engine.logs(container).splitlines()]


@contextmanager
def native(folder: Path, **more: str) -> Iterator[Native]:
    """Such a project; at the end whatever runs of it is ended, and nothing may be left."""
    names = ("PATH", "HOME", "LANG")
    env = {name: os.environ[name] for name in names if name in os.environ}
    env |= {"XDG_STATE_HOME": str(folder / "state"), **more}
    here = Native(folder, env, Local(env))
    try:
        yield here
    finally:
        here.engine.remove([one.id for one in here.engine.containers(PROJECT)])
        wait_until(lambda: not here.left())


def wait_until(met: Callable[[], Any], seconds: float = 5) -> None:
    """Waits until something is so.

    Raises: AssertionError when it does not become so in time.
    """
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)
