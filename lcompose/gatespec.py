"""What the gate must know of a stack: made of the Project, or of an engine's reading of a compose file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from lcompose.errors import ConfigError, Finding, Position
from lcompose.load import Node
from lcompose.schema import Key, Record, check, choice, record, text, whole
from lcompose.spec import labels
from lcompose.spec.project import Condition, Dependency, Healthcheck, Probe, Project, Service
from lcompose.spec.run import Gated, GateSpec, ImageInfo

STABILITY = 3.0
ANY = "0.0.0.0"  # noqa: S104
EVERY_ADDRESS = (ANY, "::")
EXTENSION = "x-lcompose"
CONDITIONS: Mapping[str, Condition] = {
    "service_started": "started",
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
}
PROBE: Record = {
    "port": Key(whole(ge=1, le=65535), required=True, doc="Port in the container."),
    "path": Key(text(pattern="^/"), doc="Path to ask for; / by default."),
    "scheme": Key(choice("http", "https", "tcp"), doc="How it is asked; http by default."),
    "status": Key(whole(ge=100, le=599), doc="The HTTP status that is wanted; by default any that is no error."),
    "field": Key(text(), doc="A field of the JSON that it answers."),
    "expected": Key(text(), doc="What that field must be."),
}
# What a service may say to lcompose in a compose file.
KEYS: Record = {
    "role": Key(choice("server", "oneshot"), doc="Whether it runs on, or does its job and ends."),
    "gauge": Key(text(), doc="A metric at /metrics of the probe's port: how many requests it works on."),
    "probe": Key(record(PROBE), doc="How it is asked from outside whether it is ready."),
}
PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
# What engines take where a check does not say it.
BY_DEFAULT = Healthcheck((), interval=30, timeout=30, retries=3, start_period=0, start_interval=5)


def spec_of_project(project: Project, timeout: float, stability: float = STABILITY) -> GateSpec:
    """What must be ready of a Project, in its starting order."""
    return GateSpec(project.name, tuple(_gated(service) for service in project.services), timeout, stability)


def _gated(service: Service) -> Gated:
    return Gated(
        name=service.name,
        probe=service.probe,
        check=service.healthcheck,
        # Side by side: who depends on whom matters for stopping, unless an order was asked for.
        depends=(*_ordered(service), *service.needs),
        role="server",
        restart=service.restart.split(":")[0],
        image=service.image,
        pull_policy=service.pull_policy,
        ports=tuple((port.bind, port.published, "tcp") for port in service.ports),
        stop_grace=service.stop_grace,
        gauge=service.gauge,
        afterwards=service.afterwards,
    )


def _ordered(service: Service) -> tuple[Dependency, ...]:
    return tuple(Dependency(name, "healthy") for name in service.after) if service.ordered else ()


def spec_of_reading(project: str, reading: Mapping[str, Any], file: str, timeout: float) -> GateSpec:
    """What must be ready of a compose file, as an engine's compose reads it.

    Raises: ConfigError for words to lcompose that are wrong.
    """
    services: Mapping[str, Any] = reading.get("services") or {}
    found = [_said(name, service or {}, file) for name, service in services.items()]
    findings = [finding for one in found if isinstance(one, list) for finding in one]
    if findings:
        raise ConfigError(findings)
    return GateSpec(project, tuple(cast("list[Gated]", found)), timeout, STABILITY)


# What is judged by words of a person's own about one of our services, by the word.
JUDGED: Mapping[str, tuple[str, ...]] = {
    "healthcheck": ("check", "unchecked"),
    "ports": ("ports",),
    "pull_policy": ("pull_policy",),
    "restart": ("restart",),
    "stop_grace_period": ("stop_grace",),
}


def with_overlay(spec: GateSpec, said: Mapping[str, Any], reading: Mapping[str, Any], file: str) -> GateSpec:
    """The services of a Project, and what a person's own words of Compose say of them and beside them.

    ``said`` are those words by service; ``reading`` is what an engine's compose makes of the whole, from
    which what depends on what may have been left out.

    Raises: ConfigError for words to lcompose that are wrong.
    """
    read = reading.get("services") or {}
    whole = {name: {**read[name], "depends_on": said[name].get("depends_on")} for name in said if name in read}
    theirs = spec_of_reading(spec.project, {"services": whole}, file, spec.timeout)
    own = {one.name: one for one in spec.services}
    own |= {one.name: _judged(own.get(one.name), one, said[one.name]) for one in theirs.services}
    return replace(spec, services=tuple(_in_order(own)))


def _judged(ours: Gated | None, theirs: Gated, said: Mapping[str, Any]) -> Gated:
    if ours is None:
        return theirs
    fields = [field for word, fields in JUDGED.items() if word in said for field in fields]
    depends = {one.service: one for one in (*ours.depends, *theirs.depends)}
    found = {field: getattr(theirs, field) for field in fields}
    return replace(ours, depends=tuple(depends.values()), **found)


def _in_order(services: Mapping[str, Gated]) -> Iterable[Gated]:
    """Each after what it waits for; of a circle, that is refused later, as they come."""
    left = dict(services)
    while left:
        waiting = {name for name, one in left.items() if any(on.service in left for on in one.depends)}
        free = [name for name in left if name not in waiting] or list(left)
        yield from (left.pop(name) for name in free)


def _said(name: str, service: Mapping[str, Any], file: str) -> Gated | list[Finding]:
    """One service of a reading, or what is wrong with what it says to us."""
    own = service.get(EXTENSION) or {}
    checked = check(_node(own, Position(file)), own, record(KEYS))
    if checked.findings:
        return [replace(one, path=f"services.{name}.{EXTENSION}.{one.path}".rstrip(".")) for one in checked.findings]
    own = checked.value
    health = service.get("healthcheck") or {}
    return Gated(
        name=name,
        probe=Probe(**own["probe"]) if own.get("probe") else _rendered_probe(service),
        check=_health(health),
        unchecked=bool(health.get("disable")) or _test(health)[:1] == ("NONE",),
        depends=_depends(service),
        role=own.get("role", ""),
        replicas=_replicas(service),
        restart=_restart(service),
        image=str(service.get("image") or ""),
        pull_policy=str(service.get("pull_policy") or ""),
        built=bool(service.get("build")),
        ports=tuple(_ports(service.get("ports") or ())),
        stop_grace=int(seconds(service.get("stop_grace_period"), 10)),
        gauge=own.get("gauge", ""),
    )


def _rendered_probe(service: Mapping[str, Any]) -> Probe | None:
    """The probe that a file of lcompose's own carries in a label; it is no less strict when it is named."""
    return probe_in(label_in(service, labels.PROBE))


def label_in(service: Mapping[str, Any], name: str) -> str:
    """A label of a service as a compose file has it, in either of its forms; empty where it has none."""
    given = service.get("labels") or {}
    pairs = given if isinstance(given, Mapping) else dict(str(one).partition("=")[::2] for one in given)
    return str(pairs.get(name) or "")


def probe_in(text: str) -> Probe | None:
    """The probe that a label tells; one that was edited into nonsense is none."""
    import json

    try:
        found = json.loads(text)
        # A later lcompose may have written more fields; its project must be taken down all the same.
        return Probe(**{name: value for name, value in found.items() if name in Probe.__slots__})
    except (ValueError, TypeError, AttributeError):
        return None


def _node(value: Any, where: Position) -> Node:
    if isinstance(value, dict):
        return Node({str(key): _node(child, where) for key, child in value.items()}, where)
    if isinstance(value, list):
        return Node([_node(child, where) for child in value], where)
    return Node(value, where)


def _health(health: Mapping[str, Any]) -> Healthcheck | None:
    """The check of a file; without a test of its own it only adjusts the image's."""
    test = _test(health)
    if health.get("disable") or test[:1] == ("NONE",) or not health:
        return None
    said = Healthcheck(
        command=test,
        interval=seconds(health.get("interval"), 0),
        timeout=seconds(health.get("timeout"), 0),
        retries=int(health.get("retries") or 0),
        start_period=seconds(health.get("start_period"), 0),
        start_interval=seconds(health.get("start_interval"), 0),
    )
    return _completed(said, BY_DEFAULT) if test else said


def _completed(said: Healthcheck, otherwise: Healthcheck) -> Healthcheck:
    """A check with what it leaves open, which is 0, from another; as engines do it."""
    found = {name: getattr(said, name) or getattr(otherwise, name) for name in Healthcheck.__slots__}
    return Healthcheck(**found)


def _test(health: Mapping[str, Any]) -> tuple[str, ...]:
    test = health.get("test") or ()
    return ("CMD-SHELL", test) if isinstance(test, str) else tuple(str(part) for part in test)


def _depends(service: Mapping[str, Any]) -> tuple[Dependency, ...]:
    """What it waits for, said or implied: one that shares another's network cannot start before it."""
    said = service.get("depends_on") or {}
    if isinstance(said, list):
        said = {name: {} for name in said}
    implied = [str(service.get(key) or "") for key in ("network_mode", "ipc", "pid")]
    shared = [one.removeprefix("service:") for one in implied if one.startswith("service:")]
    found = {one: Dependency(one) for one in shared}
    for name, how in said.items():
        how = how or {}
        condition = CONDITIONS.get(how.get("condition") or "service_started", "started")
        found[name] = Dependency(name, condition, bool(how.get("required", True)))
    return tuple(found.values())


def _replicas(service: Mapping[str, Any]) -> int:
    deploy = service.get("deploy") or {}
    said = service.get("scale", deploy.get("replicas"))
    return 1 if said is None else int(said)


def _restart(service: Mapping[str, Any]) -> str:
    said = service.get("restart")
    if said is None:
        policy = ((service.get("deploy") or {}).get("restart_policy") or {}).get("condition", "none")
        return {"any": "always", "on-failure": "on-failure"}.get(policy, "no")
    return "no" if said is False else str(said).split(":")[0]


def _ports(ports: Sequence[Any]) -> Iterable[tuple[str, int, str]]:
    """The ports of this machine; a range lets the engine choose, and cannot collide with certainty."""
    for port in ports:
        if isinstance(port, Mapping):
            bind, published, protocol = port.get("host_ip"), str(port.get("published") or ""), port.get("protocol")
        else:
            rest, _, protocol = str(port).partition("/")
            bind, _, published = rest.rpartition(":")[0].rpartition(":")
        if published.isdecimal() and int(published):
            bind = (bind or "").strip("[]")
            yield bind or ANY, int(published), protocol or "tcp"


def seconds(said: Any, otherwise: float) -> float:
    """A duration in Compose's words, such as ``1m30s`` or ``500ms``."""
    if said is None:
        return otherwise
    if isinstance(said, int | float):
        return float(said)
    parts = PART.findall(str(said).strip())
    if not parts or "".join(number + unit for number, unit in parts) != str(said).strip():
        return otherwise
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def with_images(spec: GateSpec, images: Mapping[str, ImageInfo]) -> GateSpec:
    """The same, with the health checks that are built into the images."""
    return replace(spec, services=tuple(_with_image(service, images.get(service.image)) for service in spec.services))


def _with_image(service: Gated, image: ImageInfo | None) -> Gated:
    own, built_in = service.check, image.check if image else None
    if service.unchecked or (own and own.command):
        return service
    if own and built_in:
        return replace(service, check=_completed(own, built_in))
    return replace(service, check=built_in)


def refuse_impossible(spec: GateSpec, file: str, images: Mapping[str, ImageInfo]) -> None:
    """Stops before anything is made that can never work; a check may come with an image, once it is here.

    Raises: ConfigError with all of it.
    """
    found = [*_unknown(spec, file), *_circles(spec, file), *_shared_ports(spec, file)]
    found += _never_healthy(spec, file, images)
    if found:
        raise ConfigError(found)


def _finding(file: str, path: str, what: str, fix: str) -> Finding:
    return Finding(Position(file), path, what, fix)


def _unknown(spec: GateSpec, file: str) -> list[Finding]:
    known = {service.name for service in spec.services}
    return [
        _finding(
            file, f"services.{service.name}.depends_on", f"there is no service {one.service!r}", "Correct the name."
        )
        for service in spec.services
        for one in service.depends
        if one.required and one.service not in known
    ]


def _never_healthy(spec: GateSpec, file: str, images: Mapping[str, ImageInfo]) -> list[Finding]:
    """Somebody waits until it is healthy, and nothing can ever say so."""
    mute = {
        one.name
        for one in spec.services
        if not (one.check and one.check.command)
        and one.probe is None
        and (one.unchecked or one.image in images)
        and one.role != "oneshot"
        and one.replicas
    }
    return [
        _finding(
            file,
            f"services.{service.name}.depends_on.{one.service}",
            f"{one.service} has no health check, neither in the file nor in its image, so it never becomes healthy",
            f"Give {one.service} a healthcheck or an {EXTENSION} probe, or use condition: service_started.",
        )
        for service in spec.services
        for one in service.depends
        if one.condition == "healthy" and one.required and one.service in mute
    ]


def _circles(spec: GateSpec, file: str) -> list[Finding]:
    waits = {service.name: [one.service for one in service.depends] for service in spec.services}
    circle = _circle(waits)
    if not circle:
        return []
    told = " -> ".join([*circle, circle[0]])
    what = f"these services wait for each other: {told}"
    return [_finding(file, f"services.{circle[0]}.depends_on", what, "Take one of these dependencies out.")]


def _circle(waits: Mapping[str, Sequence[str]]) -> list[str]:
    """One circle, or nothing: what is left when all that wait for nothing have been taken away."""
    left = dict(waits)
    while free := [name for name, on in left.items() if not any(one in left for one in on)]:
        for name in free:
            del left[name]
    path: list[str] = []
    name = next(iter(left), "")
    while name and name not in path:
        path.append(name)
        name = next(one for one in left[name] if one in left)
    return path[path.index(name) :] if path else []


def _shared_ports(spec: GateSpec, file: str) -> list[Finding]:
    taken: dict[tuple[int, str], list[tuple[str, str]]] = {}
    found = []
    for service in spec.services:
        for bind, port, protocol in service.ports if service.replicas else ():
            others = [name for at, name in taken.get((port, protocol), []) if _meet(at, bind)]
            if service.replicas > 1:
                others.append(f"another of its {service.replicas} replicas")
            if others:
                what = f"port {port} of this machine is also taken by {others[0]}"
                fix = "Publish another port, or none."
                found.append(_finding(file, f"services.{service.name}.ports", what, fix))
            taken.setdefault((port, protocol), []).append((bind, service.name))
    return found


def _meet(one: str, other: str) -> bool:
    """Whether a port on both addresses is the same; those of IPv4 and of IPv6 live apart."""
    return (":" in one) == (":" in other) and (one == other or one in EVERY_ADDRESS or other in EVERY_ADDRESS)
