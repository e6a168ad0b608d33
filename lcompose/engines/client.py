"""What the engines' command lines have in common; each engine adds a dialect of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lcompose import host
from lcompose.engines import ComposeFile, Creation, EngineEvent, streaming
from lcompose.engines.given import given
from lcompose.errors import EngineError
from lcompose.host import Finished
from lcompose.spec import labels
from lcompose.spec.project import Healthcheck, Probe
from lcompose.spec.run import Container, Given, ImageInfo
from lcompose.spec.target import EngineFacts, EngineName

TIME = re.compile(r"\d{4}-\d\d-\d\dT")
FROM_DAEMON = "Error response from daemon:"
PROMPT = 8.0  # seconds that an engine has to say which one it is
CREATION_FIX = "Mend what it names; if an image cannot be pulled, correct its name, or log in to its registry."
QUICK = 20.0  # seconds for a call that only asks or changes one thing; a healthy engine takes 0.3


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where one engine's command line differs from another's."""

    name: EngineName
    program: str
    facts: Callable[[Mapping[str, str]], EngineFacts]
    endpoint: Callable[[Mapping[str, str]], str]
    create: Callable[[Creation, Callable[[str], None]], None]
    read: Callable[[ComposeFile], dict[str, Any]]
    health: Callable[[Mapping[str, Any]], tuple[str, str]]
    event: Callable[[Mapping[str, Any]], EngineEvent | None]
    # What must be looked at anew when it happens, in this engine's words.
    watched: tuple[str, ...]
    # The networks whose gateway containers find this machine at, of all the project's.
    gateways: Callable[[list[str]], list[str]]
    pods: bool = False
    # A log from the engine's socket: (socket, container, since, tail, follow).
    log_socket: Callable[[str, str, str, int | None, bool], Iterator[bytes]] | None = None


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

    def images(self, references: Sequence[str]) -> dict[str, ImageInfo]:
        """See Engine."""
        asked = list(dict.fromkeys(references))
        if not asked:
            return {}
        found = json.loads(self._try("image", "inspect", *asked).out or "[]")
        if len(found) == len(asked):
            return {reference: _image(one) for reference, one in zip(asked, found, strict=True)}
        # The answer does not say which of them it left out.
        return {one: info for one in asked for info in self.images([one]).values()} if len(asked) > 1 else {}

    def pull(self, reference: str, timeout: float, on_line: Callable[[str], None]) -> None:
        """See Engine."""
        argv = [self._dialect.program, "pull", "--quiet", reference]
        finished = host.run(argv, timeout=timeout, env=self._env, on_line=on_line)
        if finished.code:
            fix = f"Check its name, log in to its registry, or build it: {self._dialect.program} pull {reference}"
            raise EngineError(f"the image {reference} cannot be pulled: {_telling_line(finished.said)}", "", fix)

    def read(self, compose: ComposeFile) -> dict[str, Any]:
        """See Engine."""
        return self._dialect.read(compose)

    def events(self, project: str) -> Iterator[EngineEvent]:
        """See Engine."""
        kinds = [part for kind in self._dialect.watched for part in ("--filter", f"event={kind}")]
        argv = [self._dialect.program, "events", "--format", "json", "--filter", f"label={labels.PROJECT}={project}"]
        for line in host.lines([*argv, *kinds], env=self._env):
            event = self._dialect.event(_object(line))
            if event:
                yield event

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

    def accelerators(self, project: str) -> tuple[Given, ...]:
        """See Engine."""
        running = [one for one in self._inspected(f"{labels.PROJECT}={project}") if one["State"].get("Running")]
        return tuple(found for found in map(given, running) if found.vendor or found.devices)

    def environment(self, container: str) -> dict[str, str]:
        """See Engine."""
        finished = self._try("container", "inspect", "--format", "{{json .Config.Env}}", container)
        pairs = json.loads(finished.out or "[]") or []
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def start(self, container: str) -> None:
        """See Engine."""
        # Podman's monitor leaves a file where it was started, when memory runs out; and it is from there
        # that a container is started again, so the folder must stay.
        self._do("start", container, cwd=str(host.lasting_folder(self._env)))

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

    def host_addresses(self, project: str) -> list[str]:
        """See Engine."""
        names = self._dialect.gateways(self.networks(project))
        found = json.loads(self._do("network", "inspect", *names).out or "[]") if names else []
        return [gateway for network in found for gateway in _gateways(network) if ":" not in gateway]

    def volumes(self, project: str) -> list[str]:
        """See Engine."""
        return self._ids("volume", "ls", "--format", "{{.Name}}", project=project)

    def pods(self, project: str) -> list[str]:
        """See Engine."""
        return self._ids("pod", "ls", "--format", "{{.Name}}", project=project) if self._dialect.pods else []

    def remove_pod(self, name: str) -> None:
        """See Engine."""
        self._do("pod", "rm", "--force", name)

    def remove_network(self, name: str) -> None:
        """See Engine."""
        self._do("network", "rm", name)

    def remove_volume(self, name: str) -> None:
        """See Engine."""
        self._do("volume", "rm", name)

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        """See Engine."""
        return self._try("exec", container, *argv, timeout=timeout)

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
        from secrets import token_hex

        name = f"lcompose-once-{token_hex(6)}"
        options = [
            *("--rm", "--name", name, "--network", "none", "--pull", "never"),
            *(["--entrypoint", entrypoint] if entrypoint else []),
            *(part for source, target in mounts for part in ("--volume", f"{source}:{target}:ro,z")),
            # By name alone: values would show in every list of processes.
            *(part for variable in environment for part in ("--env", variable)),
        ]
        env = {**self._env, **environment}
        try:
            return host.run([self._dialect.program, "run", *options, image, *argv], timeout=timeout, env=env)
        except EngineError:
            # Its container does not end with the client.
            self._try("rm", "--force", name)
            raise

    def begin(self, container: str, argv: Sequence[str]) -> None:
        """See Engine."""
        self._do("exec", "--detach", container, *argv)

    def logs(self, container: str, tail: int | None = None) -> str:
        """See Engine."""
        finished = self._try("logs", "--timestamps", *_tail(tail), container, timeout=60)
        lines = [*_timed(finished.out), *_timed(finished.err)]
        return "\n".join(line for _, line in sorted(lines, key=lambda pair: pair[0]))

    def stream(
        self, container: str, *, since: str = "", tail: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        """See Engine."""
        socket, endpoint = self._dialect.log_socket, self.endpoint()
        if socket and endpoint.startswith("unix://"):
            ask: streaming.Ask = partial(socket, endpoint.removeprefix("unix://"))
        else:
            ask, socket = streaming.from_command_line(self._dialect.program, self._env), None
        return streaming.stream(ask, container, since, tail, follow=follow, loses=socket is None)

    def _ids(self, *argv: str, project: str) -> list[str]:
        found = self._do(*argv, "--filter", f"label={labels.PROJECT}={project}")
        return found.out.split()

    def _try(self, *argv: str, timeout: float = QUICK, cwd: str | None = None) -> Finished:
        return host.run([self._dialect.program, *argv], timeout=timeout, env=self._env, cwd=cwd)

    def _do(self, *argv: str, timeout: float = QUICK, cwd: str | None = None) -> Finished:
        finished = self._try(*argv, timeout=timeout, cwd=cwd)
        if finished.code:
            command = " ".join([self._dialect.program, *argv[:2]])
            raise EngineError(f"{command} failed: {_reason(finished.said)}", "", _advice(self._dialect))
        return finished

    def _container(self, one: Mapping[str, Any]) -> Container:
        state, carried = one["State"], one["Config"].get("Labels") or {}
        health, output = self._dialect.health(state)
        networks = (one.get("NetworkSettings") or {}).get("Networks") or {}
        policy = (one.get("HostConfig") or {}).get("RestartPolicy") or {}
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
            stop_grace=_grace(one["Config"], carried),
            address=next((net.get("IPAddress") or "" for net in networks.values()), ""),
            ports=_ports((one.get("NetworkSettings") or {}).get("Ports") or {}),
            image=str(one["Config"].get("Image") or ""),
            probe=_probe(carried),
            image_id=str(one.get("Image") or "").removeprefix("sha256:"),
            created=seconds(one.get("Created")),
            started=seconds(state.get("StartedAt")),
            finished=seconds(state.get("FinishedAt")),
            restart=str(policy.get("Name") or "no"),
            most_restarts=int(policy.get("MaximumRetryCount") or 0),
            check=health_check(one["Config"].get("Healthcheck") or {}),
            parts=_parts(one),
            oneoff=carried.get(labels.ONEOFF, "").lower() == "true",
            pid=int(state.get("Pid") or 0),
        )


def tree_of(text: str) -> dict[str, Any]:
    """A mapping of YAML that an engine's compose wrote."""
    import yaml

    from lcompose.load import Loader

    found = yaml.load(text, Loader=Loader)  # noqa: S506  # a safe one, in C where there is one
    return found if isinstance(found, dict) else {}


def side_by_side(commands: Sequence[Sequence[str]], env: Mapping[str, str]) -> list[Finished]:
    """What short questions are answered, asked at the same time.

    Raises: as host.run does, the first of them.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda argv: host.run(argv, timeout=PROMPT, env=env), commands))


def seconds(text: str | None) -> float:
    """A time as an engine writes it, in seconds since 1970; 0 for never."""
    from datetime import datetime

    if not text or text.startswith("0001"):
        return 0.0
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def health_check(found: Mapping[str, Any]) -> Healthcheck | None:
    """A health check of an image or a container; one that is switched off is none. Times are in ns."""
    test = tuple(str(part) for part in found.get("Test") or ())
    if not test or test[0] == "NONE":
        return None
    return Healthcheck(
        command=test,
        interval=(found.get("Interval") or 30e9) / 1e9,
        timeout=(found.get("Timeout") or 30e9) / 1e9,
        retries=int(found.get("Retries") or 3),
        start_period=(found.get("StartPeriod") or 0) / 1e9,
        start_interval=(found.get("StartInterval") or 5e9) / 1e9,
    )


def _image(one: Mapping[str, Any]) -> ImageInfo:
    config = one.get("Config") or {}
    check = config.get("Healthcheck") or one.get("HealthCheck") or one.get("Healthcheck") or {}
    return ImageInfo(str(one["Id"]).removeprefix("sha256:"), health_check(check))


def _object(line: str) -> Mapping[str, Any]:
    """A line of JSON, or nothing where an engine says something else."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _parts(one: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What tells that a container is not made as another one was; values of variables are not in it."""
    config, hosted = one["Config"], one.get("HostConfig") or {}
    mounts = [
        [mount.get("Type"), mount.get("Name") or mount.get("Source"), mount.get("Destination"), mount.get("RW")]
        for mount in one.get("Mounts") or ()
    ]
    found = {
        "image": one.get("Image"),
        "command": [config.get("Entrypoint"), config.get("Cmd"), config.get("User"), config.get("WorkingDir")],
        "variables": sorted(pair.split("=", 1)[0] for pair in config.get("Env") or ()),
        "mounts": sorted(mounts, key=str),
        "devices": [hosted.get("Devices"), hosted.get("DeviceRequests")],
        "ports": hosted.get("PortBindings"),
    }
    return tuple((name, _digest(value)) for name, value in found.items())


def _digest(value: Any) -> str:
    from hashlib import blake2b

    return blake2b(json.dumps(value, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()


def _grace(config: Mapping[str, Any], carried: Mapping[str, str]) -> int:
    """Seconds that it has to end: ours where its engine was not told of them."""
    own = carried.get(labels.GRACE, "")
    return int(own) if own.isdecimal() else int(config.get("StopTimeout") or 10)


def last_check(health: Mapping[str, Any]) -> tuple[str, str]:
    """The status of an engine's own health check, and what the last one printed."""
    log = health.get("Log") or []
    return str(health.get("Status") or ""), str(log[-1].get("Output", "")).strip() if log else ""


def _probe(carried: Mapping[str, str]) -> Probe | None:
    """The readiness probe that our label carries: so ``status`` needs no configuration."""
    from lcompose.gatespec import probe_in

    return probe_in(carried.get(labels.PROBE, ""))


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


def _gateways(network: Mapping[str, Any]) -> list[str]:
    """Of a network's description, in Docker's words or Podman's."""
    subnets = (network.get("IPAM") or {}).get("Config") or network.get("subnets") or ()
    return [str(found) for one in subnets if (found := one.get("Gateway") or one.get("gateway"))]


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


def _telling_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "denied" in line or "refused" in line or "found" in line]
    return (telling or lines or ["it said nothing"])[-1]


def _reason(text: str) -> str:
    """What the daemon itself said; Docker's client ends with a line that only says that it failed."""
    said = [line for line in text.splitlines() if line.startswith(FROM_DAEMON)]
    return said[0].removeprefix(FROM_DAEMON).strip() if said else _last_line(text)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _advice(dialect: Dialect) -> str:
    return f"Look at what '{dialect.program} info' says, then try again."
