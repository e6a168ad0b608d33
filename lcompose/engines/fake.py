"""An engine in memory, for tests: it starts nothing, waits for nothing, and remembers every call."""

# ruff: noqa: ARG002, D102  # Engine says what each call is for; not all of it matters here

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lcompose.engines import ComposeFile, Creation, EngineEvent
from lcompose.errors import LcomposeError
from lcompose.host import Finished
from lcompose.spec.run import Container, Given, ImageInfo
from lcompose.spec.target import EngineFacts, EngineName

NO_ANSWER = Finished(1, "", "ConnectionRefusedError: [Errno 111] Connection refused")


@dataclass
class FakeEngine:
    """What an engine would say, written down beforehand.

    ``held`` are its containers. ``script`` has what further looks find of one, by its id, and
    ``inside`` what programs give that run in it; the last of both stays. ``answers`` are what images
    say that are asked once. ``failures`` are errors
    by call, such as ``stop`` or ``stop web``. ``created`` is what a creation makes, and ``calls``
    what was asked of it, in order.
    """

    held: list[Container] = field(default_factory=list)
    name: EngineName = "docker"
    address: str = "fake://here"
    script: dict[str, list[Container]] = field(default_factory=dict)
    inside: dict[str, list[Finished]] = field(default_factory=dict)
    answers: dict[str, Finished] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    local: list[str] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)
    told: list[EngineEvent] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    network_names: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    volume_names: list[str] = field(default_factory=list)
    created: list[Container] = field(default_factory=list)
    failures: dict[str, LcomposeError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def facts(self) -> EngineFacts:
        return EngineFacts(self.name, (27, 0), (2, 30))

    def endpoint(self) -> str:
        return self.address

    def images(self, references: Sequence[str]) -> dict[str, ImageInfo]:
        return {one: ImageInfo(f"id of {one}") for one in references if one in self.local}

    def pull(self, reference: str, timeout: float, on_line: Callable[[str], None]) -> None:
        self._called("pull", reference)
        self.local.append(reference)

    def read(self, compose: ComposeFile) -> dict[str, Any]:
        self._called("read", compose.project)
        return self.reading

    def events(self, project: str) -> Iterator[EngineEvent]:
        self._called("events")
        yield from self.told

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        self._called("create", creation.compose.project)
        self.held = [*self.created]
        for one in self.created:
            on_line(f"Container {one.name} Created")

    def containers(self, project: str) -> tuple[Container, ...]:
        self._called("look")
        self.held = [self._next(one) for one in self.held]
        return tuple(self.held)

    def projects(self) -> list[str]:
        return sorted({one.name for one in self.held})

    def accelerators(self, project: str) -> tuple[Given, ...]:
        self._called("accelerators", project)
        return tuple(self.given)

    def environment(self, container: str) -> dict[str, str]:
        return self.variables.get(container, {})

    def start(self, container: str) -> None:
        self._called("start", container)
        self._become(container, "running")

    def stop(self, container: str, grace: int) -> None:
        self._called("stop", container)
        self._become(container, "exited")

    def remove(self, containers: Sequence[str]) -> None:
        for container in containers:
            self._called("remove", container)
        self.held = [one for one in self.held if one.id not in containers]

    def networks(self, project: str) -> list[str]:
        return list(self.network_names)

    def host_addresses(self, project: str) -> list[str]:
        return list(self.addresses)

    def volumes(self, project: str) -> list[str]:
        return list(self.volume_names)

    def pods(self, project: str) -> list[str]:
        return []

    def remove_pod(self, name: str) -> None:
        self._called("remove-pod", name)

    def remove_network(self, name: str) -> None:
        self._called("remove-network", name)

    def remove_volume(self, name: str) -> None:
        self._called("remove-volume", name)

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        self._called("execute", container)
        answers = self.inside.get(container) or [NO_ANSWER]
        return answers.pop(0) if len(answers) > 1 else answers[0]

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
        self._called("run_once", image, *filter(None, [entrypoint]), *argv)
        return self.answers.get(image, Finished(0, "", ""))

    def begin(self, container: str, argv: Sequence[str]) -> None:
        self._called("begin", container, *argv)

    def logs(self, container: str, tail: int | None = None) -> str:
        self._called("logs", container)
        lines = self.printed.get(container, "").splitlines()
        return "\n".join(lines if tail is None else lines[len(lines) - tail :])

    def stream(
        self, container: str, *, since: str = "", tail: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        self._called("stream", container)
        text = self.printed.get(container, "")
        lines = [line for line in text.splitlines(keepends=True) if line >= since]
        yield "".join(lines if tail is None else lines[max(0, len(lines) - tail) :]).encode()

    def _called(self, *words: str) -> None:
        self.calls.append(" ".join(words))
        error = self.failures.get(self.calls[-1]) or self.failures.get(words[0])
        if error:
            raise error

    def _next(self, one: Container) -> Container:
        left = self.script.get(one.id)
        return left.pop(0) if left else one

    def _become(self, container: str, state: str) -> None:
        self.held = [replace(one, state=state) if one.id == container else one for one in self.held]
