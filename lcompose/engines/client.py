"""What the engines' command lines have in common; each engine adds a dialect of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lcompose import host
from lcompose.engines import Creation
from lcompose.errors import EngineError
from lcompose.host import Finished
from lcompose.spec import labels
from lcompose.spec.project import Probe
from lcompose.spec.run import Container
from lcompose.spec.target import EngineFacts, EngineName

TIME = re.compile(r"\d{4}-\d\d-\d\dT")
PROMPT = 8.0  # seconds that an engine has to say which one it is
QUICK = 20.0  # seconds for a call that only asks or changes one thing; a healthy engine takes 0.3


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where one engine's command line differs from another's."""

    name: EngineName
    program: str
    facts: Callable[[Mapping[str, str]], EngineFacts]
    endpoint: Callable[[Mapping[str, str]], str]
    create: Callable[[Creation, Callable[[str], None]], None]
    health: Callable[[Mapping[str, Any]], tuple[str, str]]


class Client:
    """An engine, driven through its command line."""

    def __init__(self, dialect: Dialect, env: Mapping[str, str]) -> None:
        self.name = dialect.name
        self._dialect = dialect
        self._env = env
        self._found_endpoint = ""

    def facts(self) -> EngineFacts:
        """See Engine."""
        return self._dialect.facts(self._env)

    def endpoint(self) -> str:
        """See Engine."""
        if not self._found_endpoint:
            self._found_endpoint = self._dialect.endpoint(self._env)
        return self._found_endpoint

    def missing_images(self, images: Sequence[str]) -> list[str]:
        """See Engine."""
        from python_on_whales import DockerClient

        client = DockerClient(client_call=[self._dialect.program])
        return [image for image in dict.fromkeys(images) if not client.image.exists(image)]

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        """See Engine."""
        self._dialect.create(creation, on_line)

    def containers(self, project: str) -> tuple[Container, ...]:
        """See Engine."""
        found = self._inspected(f"{labels.PROJECT}={project}")
        return tuple(sorted((self._container(one) for one in found), key=lambda one: one.name))

    def projects(self) -> list[str]:
        """See Engine."""
        found = self._inspected(labels.DIGEST)
        return sorted({one["Config"]["Labels"].get(labels.PROJECT, "") for one in found} - {""})

    def _inspected(self, label: str) -> list[Any]:
        """Containers with a label; one that goes away meanwhile is no error, the others are told."""
        ids = self._do("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}").out.split()
        found = json.loads(self._try("container", "inspect", *ids).out or "[]") if ids else []
        return list(found)

    def environment(self, container: str) -> dict[str, str]:
        """See Engine."""
        finished = self._try("container", "inspect", "--format", "{{json .Config.Env}}", container)
        pairs = json.loads(finished.out or "[]") or []
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def start(self, container: str) -> None:
        """See Engine."""
        self._do("start", container)

    def stop(self, container: str, grace: int) -> None:
        """See Engine."""
        self._do("container", "stop", "-t", str(grace), container, timeout=grace + QUICK)

    def remove(self, containers: Sequence[str]) -> None:
        """See Engine."""
        # Podman may say "busy" of one that is gone all the same; the second call tells which it is.
        if containers and self._try("rm", "--force", *containers).code:
            left = [one for one in containers if not self._try("container", "inspect", one).code]
            if left:
                self._do("rm", "--force", *left)

    def networks(self, project: str) -> list[str]:
        """See Engine."""
        return self._ids("network", "ls", "--format", "{{.Name}}", project=project)

    def volumes(self, project: str) -> list[str]:
        """See Engine."""
        return self._ids("volume", "ls", "--format", "{{.Name}}", project=project)

    def remove_network(self, name: str) -> None:
        """See Engine."""
        self._do("network", "rm", name)

    def remove_volume(self, name: str) -> None:
        """See Engine."""
        self._do("volume", "rm", name)

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        """See Engine."""
        return self._try("exec", container, *argv, timeout=timeout)

    def logs(self, container: str, tail: int | None = None) -> str:
        """See Engine."""
        finished = self._try("logs", "--timestamps", *_tail(tail), container, timeout=60)
        lines = [*_timed(finished.out), *_timed(finished.err)]
        return "\n".join(line for _, line in sorted(lines, key=lambda pair: pair[0]))

    def follow(self, container: str, tail: int | None = None) -> Iterator[str]:
        """See Engine."""
        argv = [self._dialect.program, "logs", "--follow", "--timestamps", *_tail(tail), container]
        return host.lines(argv, env=self._env)

    def _ids(self, *argv: str, project: str) -> list[str]:
        found = self._do(*argv, "--filter", f"label={labels.PROJECT}={project}")
        return found.out.split()

    def _try(self, *argv: str, timeout: float = QUICK) -> Finished:
        return host.run([self._dialect.program, *argv], timeout=timeout, env=self._env)

    def _do(self, *argv: str, timeout: float = QUICK) -> Finished:
        finished = self._try(*argv, timeout=timeout)
        if finished.code:
            command = " ".join([self._dialect.program, *argv[:2]])
            raise EngineError(f"{command} failed: {_last_line(finished.said)}", "", _advice(self._dialect))
        return finished

    def _container(self, one: Mapping[str, Any]) -> Container:
        state, carried = one["State"], one["Config"].get("Labels") or {}
        health, output = self._dialect.health(state)
        networks = (one.get("NetworkSettings") or {}).get("Networks") or {}
        return Container(
            id=one["Id"],
            name=one["Name"].lstrip("/"),
            service=carried.get(labels.SERVICE, ""),
            state=state.get("Status", ""),
            exit_code=int(state.get("ExitCode") or 0),
            restarts=int(one.get("RestartCount") or 0),
            oom_killed=bool(state.get("OOMKilled")),
            health=health,
            health_output=output,
            error=str(state.get("Error") or ""),
            digest=carried.get(labels.DIGEST, ""),
            after=_after(carried),
            stop_grace=int(one["Config"].get("StopTimeout") or 10),
            address=next((net.get("IPAddress") or "" for net in networks.values()), ""),
            ports=_ports((one.get("NetworkSettings") or {}).get("Ports") or {}),
            image=str(one["Config"].get("Image") or ""),
            probe=_probe(carried),
        )


def preload() -> None:
    """Imports the engines' library while an engine is asked for its version: both take 0.1 s."""
    from importlib import import_module
    from threading import Thread

    Thread(target=import_module, args=("python_on_whales",), daemon=True).start()


def last_check(health: Mapping[str, Any]) -> tuple[str, str]:
    """The status of an engine's own health check, and what the last one printed."""
    log = health.get("Log") or []
    return str(health.get("Status") or ""), str(log[-1].get("Output", "")).strip() if log else ""


def _probe(carried: Mapping[str, str]) -> Probe | None:
    """The readiness probe that our label carries: so ``status`` needs no configuration."""
    text = carried.get(labels.PROBE)
    if not text:
        return None
    # A later lcompose may have written more fields; its project must be taken down all the same.
    return Probe(**{name: value for name, value in json.loads(text).items() if name in Probe.__slots__})


def _after(carried: Mapping[str, str]) -> tuple[str, ...]:
    """The services that must outlive this one: our label, or Compose's for somebody else's file."""
    own = carried.get(labels.AFTER)
    if own is not None:
        return tuple(own.split(","))
    depends = carried.get(labels.DEPENDS_ON) or ""
    return tuple(part.split(":")[0] for part in depends.split(",") if part)


def _ports(found: Mapping[str, Any]) -> tuple[tuple[int, str, int], ...]:
    """Published ports as (port in the container, address of this machine, port on it)."""
    return tuple(
        (int(port.split("/")[0]), binding.get("HostIp") or "0.0.0.0", int(binding["HostPort"]))  # noqa: S104
        for port, bindings in found.items()
        for binding in bindings or ()
    )


def _tail(tail: int | None) -> list[str]:
    return [] if tail is None else ["--tail", str(tail)]


def _timed(text: str) -> list[tuple[str, str]]:
    """Lines and the time of each: one without a time goes with the line before it.

    Before the first that has one stand the engine's own words, on standard error.
    """
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if TIME.match(line):
            found.append((line.split(" ")[0], line))
        elif found:
            found.append((found[-1][0], line))
    return found


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _advice(dialect: Dialect) -> str:
    return f"Look at what '{dialect.program} info' says, then try again."
