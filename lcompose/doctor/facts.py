"""What the doctor judges: facts of engines, of the machine, and of the stack in the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lcompose.errors import Finding
from lcompose.preflight import Found
from lcompose.spec.machine import Machine
from lcompose.spec.program import Kind
from lcompose.spec.target import EngineName

State = Literal["ok", "warning", "error", "unknown"]
STATES: tuple[State, ...] = ("ok", "warning", "error", "unknown")
# A reader of compose files together with the engine that it speaks to.
Way = Literal["docker", "podman-compose", "podman-socket"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at: how it stands, what that means, and one command that mends it.

    ``id`` is the check and ``subject`` what it looked at; the two together are told once.
    """

    id: str
    state: State
    subject: str
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself. None is what it does not say; ``clock`` is in seconds since 1970.

    ``devices`` are the CDI devices that it found. ``memory`` is what its containers have, in bytes.
    """

    version: str = ""
    rootless: bool | None = None
    storage: str = ""
    root: str = ""
    cgroup: str = ""
    cgroup_driver: str = ""
    oci_runtime: str = ""
    runtimes: tuple[str, ...] = ()
    cdi_folders: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None
    security: tuple[str, ...] = ()
    system: str = ""
    memory: int = 0
    limits_memory: bool = True
    clock: float | None = None


@dataclass(frozen=True, slots=True)
class EngineSeen:
    """One engine. ``silent`` says that it did not answer in time; an empty ``problem`` that it can be used.

    ``info`` is None where it said nothing of itself. ``remote`` is an engine on another machine.
    ``older_than_toolkit`` says that it was started before NVIDIA's toolkit was put on this machine.
    """

    name: EngineName
    installed: bool = True
    silent: bool = False
    problem: str = ""
    fix: str = ""
    version: tuple[int, ...] = ()
    compose_version: tuple[int, ...] = ()
    way: Way = "docker"
    endpoint: str = ""
    remote: bool = False
    info: EngineInfo | None = None
    older_than_toolkit: bool = False

    @property
    def usable(self) -> bool:
        """Whether commands may be given to it."""
        return self.installed and not self.silent and not self.problem

    @property
    def here(self) -> bool:
        """Whether its containers see this machine's devices, ports and files."""
        return not self.remote and "Docker Desktop" not in (self.info.system if self.info else "")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a port: a container with its project, or a process; a ``pid`` of 0 is one that is not shown to us."""

    container: str = ""
    project: str = ""
    engine: str = ""
    pid: int = 0
    program: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class PortSeen:
    """A port that a service publishes; ``holder`` is who has it, as far as that can be told."""

    service: str
    bind: str
    port: int
    free: bool = True
    holder: Holder | None = None


@dataclass(frozen=True, slots=True)
class ImageSeen:
    """An image of a service. ``here`` is None where no engine could be asked."""

    service: str
    reference: str
    policy: str = "missing"
    here: bool | None = None
    built: bool = False


@dataclass(frozen=True, slots=True)
class NeedSeen:
    """Something that processes need: ``name`` is a program, a path or a version, by its ``kind``.

    ``fetched`` is what uv will get; ``unknown`` is what nobody could be asked for.
    """

    services: tuple[str, ...]
    kind: Kind
    name: str
    state: Found = "unknown"
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Logins:
    """Who has a login: registries with an entry, and those whose helper keeps it; names and nothing else.

    ``helpers`` are the programs by registry, ``*`` being any; ``missing`` are those that are not installed.
    """

    registries: frozenset[str] = frozenset()
    helpers: Mapping[str, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StackSeen:
    """The stack that is configured here. ``problems`` are errors of its files, ``refused`` is why it cannot
    be written for the engine. ``variables`` are those that it needs, ``unset`` those without a value.

    ``files`` are those of this machine that it mounts, ``limits`` the memory that its services may use, in
    bytes, ``model`` is what it serves itself and ``model_size`` the bytes of that, and ``proxies`` whether
    lcompose hands them on; None is that it has no say in that. ``read`` is False where nobody
    could be asked to read the files.

    ``processes`` are the services that are processes of this machine, and ``needs`` what these need;
    ``in_containers`` says whether any is a container, and ``is_left`` that it would be, with an engine.
    """

    file: str
    project: str = ""
    problems: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    refused: Finding | None = None
    variables: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    ports: tuple[PortSeen, ...] = ()
    images: tuple[ImageSeen, ...] = ()
    files: tuple[str, ...] = ()
    gpu: str = "none"
    gpu_is_optional: bool = False
    limits: int = 0
    model: str = ""
    model_size: int = 0
    proxies: bool | None = True
    read: bool = True
    processes: tuple[str, ...] = ()
    needs: tuple[NeedSeen, ...] = ()
    in_containers: bool = True
    is_left: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """A place where something is going to be written: bytes that are free there, and of how many."""

    what: str
    path: str
    free: int
    size: int


@dataclass(frozen=True, slots=True)
class Person:
    """Who runs lcompose: the groups, and the names of groups of this machine by their number."""

    uid: int = 0
    gids: frozenset[int] = frozenset()
    groups: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was found out. None is what did not answer in time, or was not asked.

    ``wanted`` is the engine that is asked for, ``first_port`` the lowest that everybody may open, ``clock``
    seconds since 1970. ``proxies`` are names of variables that are set, ``surprises`` what they will not do.
    """

    engines: tuple[EngineSeen, ...] = ()
    wanted: EngineName | None = None
    machine: Machine | None = None
    stack: StackSeen | None = None
    person: Person = field(default_factory=Person)
    logins: Logins = field(default_factory=Logins)
    disks: tuple[Disk, ...] = ()
    memory_free: int = 0
    systemd: bool = True
    first_port: int = 1024
    proxies: tuple[str, ...] = ()
    localhost_excepted: bool = True
    surprises: tuple[Finding, ...] = ()
    state_folder: str = ""
    state_is_writable: bool = True
    clock: float = 0.0

    @property
    def needs_engine(self) -> bool:
        """Whether anything is to be run as a container, as far as is known."""
        return self.stack is None or self.stack.in_containers

    @property
    def engine(self) -> EngineSeen | None:
        """The engine that a command would use, if it needs one."""
        if not self.needs_engine:
            return None
        wanted = [one for one in self.engines if self.wanted in (None, one.name)]
        return next((one for one in wanted if one.usable), None)
