"""The Project: the resolved set of services, neutral to engines, with secrets only by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lcompose.spec.text import Text, Tree


@dataclass(frozen=True, slots=True)
class Port:
    """A published port; ``bind`` is the address of this machine that it is opened on."""

    bind: str
    published: int
    target: int


@dataclass(frozen=True, slots=True)
class FileMount:
    """A file or directory of the host, given to a container."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A named volume."""

    volume: str
    target: str


@dataclass(frozen=True, slots=True)
class DocumentMount:
    """A document that lcompose writes, at ``target`` in the container."""

    document: str
    target: str


Mount = FileMount | VolumeMount | DocumentMount


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """The check that an engine runs inside the container; times in seconds."""

    command: tuple[str, ...]
    interval: float = 10
    timeout: float = 5
    retries: int = 5
    start_period: float = 120
    start_interval: float = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """The readiness probe that lcompose runs from outside: an HTTP GET and what it must answer.

    ``status`` is the one that is wanted; 0 takes any that is no error. With the scheme ``tcp``, an
    open connection is answer enough. A process may listen at a ``socket``, which is a file, and not at the port.
    """

    port: int
    path: str = "/"
    scheme: Literal["http", "https", "tcp"] = "http"
    field: str = ""
    expected: str = ""
    bearer: str = ""
    status: int = 0
    socket: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on one container; an empty string or 0 is no bound."""

    cpus: str = ""
    memory: str = ""
    pids: int = 0


@dataclass(frozen=True, slots=True)
class Hardening:
    """What a container may not do, and what it needs because of that."""

    read_only: bool = False
    no_new_privileges: bool = False
    drop_capabilities: bool = False
    keep_capabilities: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AcceleratorRequest:
    """A wish for GPUs of one vendor; a target decides in which form it is said.

    ``ids`` are the ones that are wanted, as the vendor's tools call them (numbers, or UUIDs), and ``nodes``
    the device nodes of just these, where they are known; without ids it is ``count`` of them.
    """

    vendor: str
    count: int | Literal["all"] = "all"
    ids: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRotation:
    """How much of a container's log the engine keeps."""

    max_size: str
    max_file: int


Condition = Literal["started", "healthy", "completed"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """What must be true of another service before this one is started."""

    service: str
    condition: Condition = "started"
    required: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the project. It is stopped before those in ``after``; ``ordered`` says that it is
    also started only when they are healthy. It is started when what it ``needs`` has come so far, and
    stopped before that. ``gauge`` is a metric that tells how many requests it works
    on. ``afterwards`` is a program that is begun in its container once all services are ready.

    ``own_entrypoint`` is what the image starts by itself, for a target that must start it instead.
    ``extra_hosts`` are names of this machine for its container, in Compose's words.
    ``user`` is the number of the image's user, where it must be the owner of what the service writes:
    a rootless engine makes it the person's own; 0 is of no concern. ``port`` is where it listens, if neither
    its probe nor what is published says so.
    """

    name: str
    image: str
    entrypoint: tuple[str, ...] = ()
    own_entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, Text], ...] = ()
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    healthcheck: Healthcheck | None = None
    probe: Probe | None = None
    after: tuple[str, ...] = ()
    ordered: bool = False
    needs: tuple[Dependency, ...] = ()
    afterwards: tuple[str, ...] = ()
    pull_policy: str = "missing"
    restart: str = "no"
    limits: Limits = Limits()
    hardening: Hardening = Hardening()
    log_rotation: LogRotation | None = None
    accelerator: AcceleratorRequest | None = None
    shm_size: str = ""
    stop_grace: int = 10
    gauge: str = ""
    user: int = 0
    port: int = 0
    extra_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Derived:
    """A document made from the person's configuration, and the file name that people see.

    ``text`` is one that is not YAML, such as a script. ``secret_at`` is where a person
    wrote the secret that is in it, if one is.
    """

    name: str
    filename: str
    tree: Tree = None
    text: str = ""
    secret_at: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a derived document says differently from what it was made of, and why."""

    document: str
    path: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that runs, decided. ``services`` are in starting order.

    ``compose`` are a person's own words of Compose, laid over what is rendered, one over the other.
    """

    name: str
    services: tuple[Service, ...]
    documents: tuple[Derived, ...] = ()
    volumes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    variables: tuple[str, ...] = field(default=())
    compose: tuple[Mapping[str, Any], ...] = ()

    def service(self, name: str) -> Service:
        """The service of that name.

        Raises: KeyError when there is none.
        """
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)
