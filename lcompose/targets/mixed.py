"""Some services as containers, the others as processes: each finds those of the other side where they are for it.

A container finds processes at the name that its engine has for this machine, a process finds containers at the
ports that they publish.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, TypeAlias

from lcompose.errors import MachineError, UsageError
from lcompose.lightspeed.databases import PORT as DATABASE_PORT
from lcompose.lightspeed.surroundings import EXCEPTIONS
from lcompose.overlay.merging import WHERE, together
from lcompose.spec.bundle import Bundle
from lcompose.spec.program import Natively
from lcompose.spec.project import Change, Derived, DocumentMount, Port, Project, Service, VolumeMount
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import Address, Text
from lcompose.targets import LOCAL, Place, local
from lcompose.targets.local import HERE, IN_TEXT, LOOPBACK, listening_of
from lcompose.targets.unsaid import unsaid

# What each engine's containers call this machine, and what Docker must be told for that.
HOSTS = {"docker": "host.docker.internal", "podman": "host.containers.internal"}
EXTRA_HOSTS = {"docker": ("host.docker.internal:host-gateway",)}
OUTSIDE = "there it is a process of this machine"
AS_CONTAINER = "--set services.{0}.runtime=container"

# From a service and its own port to the host and port where the other side finds it.
Reach: TypeAlias = Callable[[Service, int], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Sides:
    """The two halves of a project; ``called`` are the processes that containers call."""

    containers: Project
    processes: Project
    called: frozenset[str]
    report: tuple[str, ...]


def translate(project: Project, facts: TargetFacts, place: Place) -> Bundle:
    """The compose file of the containers with what goes with it, then the process file with its documents.

    Raises: UsageError; MachineError for an engine whose containers reach no process.
    """
    both = split(project, facts)
    module = import_module(f"lcompose.targets.{facts.target}")
    outer: Bundle = module.translate(both.containers, replace(facts, natively=None), place)
    inner = local.translate(both.processes, _natively(both, facts), _place(place))
    names = ", ".join(one.name for one in both.processes.services)
    beside = f"{names}: no part of the compose file, but processes that lcompose up starts beside it"
    return Bundle(
        documents=(*outer.documents, *inner.documents),
        report=(beside, *both.report, *outer.report, *inner.report),
        inherited=(*outer.inherited, *inner.inherited),
        digests=(*outer.digests, *inner.digests),
        services=(*outer.services, *inner.services),
    )


def combined(project: Project, facts: TargetFacts, place: Place) -> Project:
    """The same project with its processes in this machine's words, and every address as its reader finds it.

    Raises: as translate does.
    """
    both = split(project, facts)
    here = local.localised(both.processes, _natively(both, facts), _place(place))
    services = {one.name: one for one in (*both.containers.services, *here.services)}
    return replace(
        project,
        services=tuple(services[one.name] for one in project.services),
        documents=(*both.containers.documents, *here.documents),
        changes=(*both.containers.changes, *here.changes),
    )


def notes(project: Project, facts: TargetFacts) -> tuple[str, ...]:
    """A line for each thing that a person should know of the mixture, and of what processes cannot have.

    Raises: as translate does.
    """
    both = split(project, facts)
    return (*both.report, *unsaid(both.processes))


def _natively(both: Sides, facts: TargetFacts) -> TargetFacts:
    known = facts.natively or Natively()
    return replace(facts, target=LOCAL, natively=replace(known, beside=facts.target, called=both.called))


def _place(place: Place) -> Place:
    return replace(place, directory=place.processes or place.directory)


# ---------------------------------------------------------------- two halves


def split(project: Project, facts: TargetFacts) -> Sides:
    """The containers and the processes of a project, with the addresses of the other side in place.

    Raises: UsageError, MachineError.
    """
    names = {one.service for one in (facts.natively or Natively()).programs}
    outside = [one for one in project.services if one.name in names]
    inside = [one for one in project.services if one.name not in names]
    _refuse_words(project, names)
    host = HOSTS[facts.target]
    outward = _Calls(outside, lambda service, port: (host, _listens(service, port)))
    inward = _Calls(inside, _published)
    containers = _half(project, inside, outward, OUTSIDE)
    processes = replace(_half(project, outside, inward, HERE), compose=())
    called = frozenset(name for name, _ in outward.said)
    _refuse_unreachable(called, facts)
    services = tuple(
        _with_host(one, host, facts) if _reads(one, outward.changed) else one
        for one in (_with_ports(one, inward.said) for one in containers.services)
    )
    return Sides(replace(containers, services=services), processes, called, tuple(_report(inside, inward)))


def _refuse_words(project: Project, names: Iterable[str]) -> None:
    theirs = together(project.compose).get("services") or {}
    for name in sorted(set(names) & theirs.keys()):
        what = f"your own words of Compose describe a container, and {name} is a process"
        fix = f"Leave it out there; or run {name} as a container: {AS_CONTAINER.format(name)}"
        raise UsageError(what, f"{WHERE}: services.{name}", fix)


def _refuse_unreachable(called: frozenset[str], facts: TargetFacts) -> None:
    """Stops where a container would call a process in vain: without root, its network is not this machine's.

    Raises: MachineError.
    """
    if called and facts.rootless:
        names = sorted(called)
        what = f"containers of an engine without root do not reach processes of this machine: {', '.join(names)}"
        fix = f"Run {names[0]} as a container too: {AS_CONTAINER.format(names[0])}. Or use an engine that runs as root."
        raise MachineError(what, "runtime", fix)


def _listens(service: Service, port: int) -> int:
    there = listening_of(service)
    return there.port if there and there.own == port else port


def _published(service: Service, port: int) -> tuple[str, int]:
    found = next((one for one in service.ports if one.target == port), Port(LOOPBACK, port, port))
    return IN_TEXT.get(found.bind, f"[{found.bind}]" if ":" in found.bind else found.bind), found.published


def _half(project: Project, services: list[Service], calls: _Calls, reason: str) -> Project:
    """One side: what it reads, with the addresses of the other."""
    read = {mount.document for one in services for mount in one.mounts if isinstance(mount, DocumentMount)}
    volumes = {mount.volume for one in services for mount in one.mounts if isinstance(mount, VolumeMount)}
    return replace(
        project,
        services=tuple(services),
        documents=tuple(calls.document(one) for one in project.documents if one.name in read),
        volumes=tuple(one for one in project.volumes if one in volumes),
        changes=tuple(calls.change(one, reason) for one in project.changes if one.document in read),
    )


def _with_ports(service: Service, said: Iterable[tuple[str, int]]) -> Service:
    """The same with what processes call open to this machine."""
    there = {one.target for one in service.ports}
    more = sorted({port for name, port in said if name == service.name} - there)
    return replace(service, ports=(*service.ports, *(Port(LOOPBACK, port, port) for port in more)))


def _reads(service: Service, documents: Collection[str]) -> bool:
    return any(isinstance(mount, DocumentMount) and mount.document in documents for mount in service.mounts)


def _with_host(service: Service, host: str, facts: TargetFacts) -> Service:
    environment = tuple((name, _excepted(name, value, host)) for name, value in service.environment)
    return replace(service, environment=environment, extra_hosts=EXTRA_HOSTS.get(facts.target, ()))


def _excepted(name: str, value: Text, host: str) -> Text:
    """No proxy is asked for this machine either."""
    listed = name.upper() == EXCEPTIONS and isinstance(value, str) and value != "*"
    return f"{value},{host}" if listed else value


def _report(inside: Iterable[Service], inward: _Calls) -> Iterator[str]:
    for one in inside:
        if added := _with_ports(one, inward.said).ports[len(one.ports) :]:
            ports = ", ".join(str(port.published) for port in added)
            yield f"{one.name}: opened on {LOOPBACK}:{ports} for the processes that call it"


# ---------------------------------------------------------------- addresses


@dataclass
class _Calls:
    """Puts addresses of the other side into documents.

    ``said`` are the services, and the own port of each; ``changed`` are the documents that name any.
    """

    others: Iterable[Service]
    reach: Reach
    said: set[tuple[str, int]] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)

    def document(self, derived: Derived) -> Derived:
        """The document as its reader finds the other side."""
        tree = derived.tree if derived.text else self._tree(derived.tree)
        if tree != derived.tree:
            self.changed.add(derived.name)
        return replace(derived, tree=tree)

    def change(self, change: Change, reason: str) -> Change:
        """What a document really says differently."""
        after = change.after
        for one in self.others:
            if change.path.endswith(".host") and after == one.name:
                after = self.reach(one, DATABASE_PORT)[0]
            after = re.sub(rf"(?<=://){re.escape(one.name)}:(\d+)", self._called(one), after)
        return replace(change, after=after, reason=reason) if after != change.after else change

    def _called(self, service: Service) -> Callable[[re.Match[str]], str]:
        return lambda found: "{}:{}".format(*self.reach(service, int(found[1])))

    def _tree(self, tree: Any) -> Any:
        match tree:
            case dict():
                return self._with_host({key: self._tree(value) for key, value in tree.items()})
            case list():
                return [self._tree(value) for value in tree]
            case Address():
                return self._url(tree)
        return tree

    def _url(self, address: Address) -> Address | str:
        other = self._known().get(address.service)
        if other is None:
            return address
        self.said.add((other.name, address.port))
        host, port = self.reach(other, address.port)
        return f"{address.scheme}://{host}:{port}{address.path}"

    def _with_host(self, tree: dict[Any, Any]) -> dict[Any, Any]:
        """A database is told by its host and port."""
        other = self._known().get(str(tree.get("host") or ""))
        if other is None:
            return tree
        said = tree.get("port") or DATABASE_PORT
        own = int(said) if str(said).isdecimal() else DATABASE_PORT
        self.said.add((other.name, own))
        host, port = self.reach(other, own)
        return {**tree, "host": host, "port": str(port) if isinstance(said, str) else port}

    def _known(self) -> Mapping[str, Service]:
        return {one.name: one for one in self.others}
