"""What is observed of a running project, what is planned to be done, and what must be ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lcompose.spec.project import Dependency, Healthcheck, Probe

Role = Literal["", "server", "oneshot"]


@dataclass(frozen=True, slots=True)
class Container:
    """One container as its engine describes it. ``state`` is the engine's own word for it.

    ``most_restarts`` is the limit of ``restart``, 0 for none. ``created``, ``started`` and ``finished``
    are in seconds since 1970, 0 for never. ``check`` is the health check that it was made with, whether
    the file or the image has it. ``parts`` are what drift is told by: the name of a part, and a digest.
    ``oneoff`` is one that somebody runs beside the service's own. ``pid`` is its first process while it runs, as
    the engine's machine numbers it, 0 for none; ``runtime`` says whether it is a process and no container, and
    ``log`` which file of ours its log goes into, if one does.
    """

    id: str
    name: str
    service: str
    state: str
    exit_code: int = 0
    restarts: int = 0
    oom_killed: bool = False
    health: str = ""
    health_output: str = ""
    error: str = ""
    digest: str = ""
    after: tuple[str, ...] = ()
    stop_grace: int = 10
    address: str = ""
    ports: tuple[tuple[int, str, int], ...] = ()
    image: str = ""
    probe: Probe | None = None
    image_id: str = ""
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    restart: str = "no"
    most_restarts: int = 0
    check: Healthcheck | None = None
    parts: tuple[tuple[str, str], ...] = ()
    oneoff: bool = False
    pid: int = 0
    runtime: Literal["container", "local"] = "container"
    log: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What a container was promised, and what its engine was told to give it.

    ``vendor`` is that of the GPUs it was promised, empty where nobody promised any; ``devices`` are the
    requests and device nodes in its engine's words.
    """

    container: str
    name: str
    service: str
    vendor: str = ""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """A snapshot of one project on one engine."""

    containers: tuple[Container, ...] = ()

    def of(self, service: str) -> tuple[Container, ...]:
        """The containers of one service; what somebody runs beside it (``compose run``) is none of them."""
        return tuple(one for one in self.containers if one.service == service and not one.oneoff)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image that an engine has: its id, and the health check that is built into it."""

    id: str
    check: Healthcheck | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, and why. ``verb`` and ``target`` are what the executor looks at."""

    verb: str
    target: str
    cause: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in stages: the steps of one stage may be done side by side."""

    stages: tuple[tuple[Step, ...], ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        return tuple(step for stage in self.stages for step in stage)


@dataclass(frozen=True, slots=True)
class Gated:
    """What the gate must know of one service.

    ``probe`` is asked from outside. ``check`` is the health check inside, of the file or the image.
    ``unchecked`` says that the image's own is switched off.
    ``role`` is what somebody said that it is; empty lets its behaviour tell. ``built`` says that
    the image is built here. ``ports`` are the ports of this machine that it opens, as (address, port,
    protocol). ``gauge`` is a metric that tells how many requests it works on. ``afterwards`` is a
    program that is begun in each of its containers once all services are ready; nobody waits for it.
    """

    name: str
    probe: Probe | None = None
    check: Healthcheck | None = None
    unchecked: bool = False
    depends: tuple[Dependency, ...] = ()
    role: Role = ""
    replicas: int = 1
    restart: str = "no"
    image: str = ""
    pull_policy: str = ""
    built: bool = False
    ports: tuple[tuple[str, int, str], ...] = ()
    stop_grace: int = 10
    gauge: str = ""
    afterwards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateSpec:
    """The services that must be ready, and the seconds that they have for it.

    ``stability`` is how long a service without any check must run without a restart.
    """

    project: str
    services: tuple[Gated, ...]
    timeout: float = 300
    stability: float = 3.0

    def service(self, name: str) -> Gated:
        """The service of that name.

        Raises: KeyError when there is none.
        """
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe or a health check got: ``ok``, and a line for people.

    ``missing`` is the program that a check needs and the image does not have.
    """

    ok: bool
    detail: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an earlier command meant with one service.

    ``digest`` tells of everything that it was made of, but for what it reads elsewhere: of that,
    ``inputs`` have a name and a digest each. ``containers`` are the ids that it made; ``done`` those of
    them that were one-shots and did their job. ``gated`` is how it was judged; ``parts`` are those of
    its containers then.
    """

    digest: str = ""
    containers: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    gated: Gated | None = None
    parts: tuple[tuple[str, str], ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier commands meant with a project: only memory, the engine is asked first."""

    services: Mapping[str, Remembered] = field(default_factory=dict)

    def of(self, service: str) -> Remembered:
        """What is remembered of a service; nothing is an empty memory."""
        return self.services.get(service, Remembered())
