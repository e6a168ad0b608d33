"""What unit tests start from: documents written as YAML, projects, containers, engines, and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lcompose.engines import EngineEvent
from lcompose.engines.fake import FakeEngine
from lcompose.lightspeed.config import Configuration, configuration
from lcompose.lightspeed.images import LCORE_IMAGES as LCORE_TABLE
from lcompose.lightspeed.images import SERVER_IMAGES as SERVER_TABLE
from lcompose.lightspeed.images import Generation, image_facts
from lcompose.load import Node, parse
from lcompose.merge import Layer
from lcompose.profiles import profile_layers
from lcompose.resolve import Resolved, resolve
from lcompose.settings import resolve_settings
from lcompose.sides import Request
from lcompose.spec.run import Container
from lcompose.templates import data_directory
from lcompose.work import Result

# Times as engines write them.
T1, T2, T3 = (f"2025-01-01T00:00:0{second}.000000000Z" for second in (1, 2, 3))
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
distro_name: test
providers: {}
"""
# With a knowledge store somebody must embed, and databases are added to what is named.
KNOWING = """
distro_name: test
providers: {inference: [{provider_id: sentence-transformers, provider_type: "inline::sentence-transformers"}]}
storage: {backends: {kv_default: {type: kv_redis}, sql_default: {type: sql_sqlite, db_path: /opt/sql.db}}}
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


NEVER = float("inf")
EVENTS = ("events",)


@dataclass
class Ticking:
    """Work that is done when it is submitted, in a time that passes only while somebody waits.

    ``takes`` are the seconds after which a result comes, by the first word of its key, or that and the
    last; one that takes NEVER hangs. What ``happens`` later is done when its time has come.
    """

    time: float = 1000.0
    takes: dict[str, float] = field(default_factory=dict)
    submitted: list[tuple[float, str, str]] = field(default_factory=list)
    followed: list[float] = field(default_factory=list)
    _due: list[tuple[float, Result]] = field(default_factory=list)
    _happening: list[tuple[float, Callable[[], Any]]] = field(default_factory=list)
    _idle: int = 0

    def now(self) -> float:
        """See Work."""
        return self.time

    def wall(self) -> float:
        """See Work. Another number than ``now``, so that nobody takes the one for the other."""
        return 1_700_000_000.0 + self.time

    def submit(self, key: tuple[str, ...], call: Callable[[], Any]) -> None:
        """See Work."""
        self.submitted.append((self.time, key[0], key[-1]))
        seconds = self.takes.get(f"{key[0]} {key[-1]}", self.takes.get(key[0], 0.0))
        try:
            found = Result(key, call())
        except Exception as error:  # noqa: BLE001  # as Threads does
            found = Result(key, error=error)
        if seconds != NEVER:
            self._due.append((self.time + seconds, found))

    def follow(self, key: tuple[str, ...], source: Callable[[], Iterator[Any]]) -> None:
        """See Work. What the source has comes at once, and then what is told; its end comes when it is told."""
        self.followed.append(self.time)
        try:
            self._due += [(self.time, Result(key, one)) for one in source()]
        except Exception as error:  # noqa: BLE001  # as Threads does
            self._due.append((self.time, Result(key, error=error)))

    def wait(self, seconds: float) -> list[Result]:
        """See Work."""
        until = self.time + max(0.0, seconds)
        before = self.time
        self._do_what_happens()
        while not (found := self._now_due()) and self.time < until:
            self.time = min([until, *(at for at, _ in [*self._due, *self._happening] if at > self.time)])
            self._do_what_happens()
        self._idle = 0 if found or self.time > before else self._idle + 1
        assert self._idle < 100, "it spins: it waits for nothing, again and again"
        return found

    def happens(self, seconds: float, action: Callable[[], Any]) -> None:
        """Has something done when so many seconds have passed."""
        self._happening.append((self.time + seconds, action))

    def tell(self, value: EngineEvent | None) -> None:
        """Tells whoever follows events of one; None is their end."""
        if self.followed:
            self._due.append((self.time, Result(EVENTS, value)))

    def asked(self, kind: str, container: str) -> list[float]:
        """When calls of a kind were submitted for a container."""
        return [at for at, *words in self.submitted if words == [kind, container]]

    def _now_due(self) -> list[Result]:
        found = [result for at, result in self._due if at <= self.time]
        self._due = [(at, result) for at, result in self._due if at > self.time]
        return found

    def _do_what_happens(self) -> None:
        for one in [one for one in self._happening if one[0] <= self.time]:
            self._happening.remove(one)
            one[1]()


@dataclass
class LivingEngine(FakeEngine):
    """An engine whose containers live: what becomes of each so many seconds after its start, each time.

    A life is a list of (seconds, fields of the container that change); the field ``inside`` is what
    programs in it say from then on.
    """

    work: Ticking = field(default_factory=Ticking)
    lives: dict[str, list[tuple[float, dict[str, Any]]]] = field(default_factory=dict)

    def start(self, container: str) -> None:
        self._called("start", container)
        self.becomes(container, state="running", exit_code=0, health="")
        for seconds, changes in self.lives.get(container, ()):
            self.work.happens(seconds, lambda changes=changes: self.becomes(container, **changes))

    def becomes(self, container: str, **changes: Any) -> None:
        """Something happens to a container, and the engine tells that it did."""
        if "inside" in changes:
            self.inside[container] = [changes.pop("inside")]
            return
        moment = {"exited": "finished", "dead": "finished", "running": "started"}.get(changes.get("state", ""))
        changes = ({moment: self.work.wall()} if moment else {}) | changes
        self.held = [replace(one, **changes) if one.id == container else one for one in self.held]
        self.work.tell(EngineEvent(self.work.wall(), "something", container, container))

    def vanishes(self, container: str) -> None:
        """Somebody removes a container."""
        self.held = [one for one in self.held if one.id != container]
        self.work.tell(EngineEvent(self.work.wall(), "destroy", container, container))


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
