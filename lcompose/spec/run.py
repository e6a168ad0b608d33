"""What is observed of a running project, what is planned to be done, and what must be ready."""

from __future__ import annotations

from dataclasses import dataclass

from lcompose.spec.project import Probe


@dataclass(frozen=True, slots=True)
class Container:
    """One container as its engine describes it. ``state`` is the engine's own word for it."""

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


@dataclass(frozen=True, slots=True)
class Observed:
    """A snapshot of one project on one engine."""

    containers: tuple[Container, ...] = ()

    def of(self, service: str) -> tuple[Container, ...]:
        """The containers of one service."""
        return tuple(one for one in self.containers if one.service == service)


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
    """What the gate must know of one service."""

    name: str
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class GateSpec:
    """The services that must be ready, and the seconds that they have for it."""

    project: str
    services: tuple[Gated, ...]
    timeout: float = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What a readiness probe got: ``ok``, and a line for people."""

    ok: bool
    detail: str = ""
