"""What a leg's own files say: its services, their variables after filling in, and the derived documents."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lcompose.dotenv import filled
from lcompose.errors import Position
from lcompose.load import parse, plain
from lcompose.programs import READ_BY_ALL, READ_BY_UV

CONTAINERS, PROCESSES = MAINS = ("compose.yaml", "processes.yaml")
# Variables that say where a process finds this machine's things, and not what it does: images have their own.
PLACES = frozenset({"PYTHONPYCACHEPREFIX", *READ_BY_ALL, *READ_BY_UV})


@dataclass(frozen=True, slots=True)
class Rendered:
    """A leg's files, read again. ``probes`` has a service's port and scheme, ``published`` those that are open here.

    ``volumes`` has the folders of containers that are one, by its name; processes have them below one folder.
    ``files`` are what containers have of this machine, by their place in them; ``natively`` says that some
    are processes.
    """

    services: tuple[str, ...]
    probes: Mapping[str, tuple[int, str]]
    published: Mapping[str, tuple[int, ...]]
    environment: Mapping[str, Mapping[str, str]]
    documents: Mapping[str, Any] = field(default_factory=dict)
    volumes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    natively: bool = False


def rendered(documents: Mapping[str, str], env: Mapping[str, str]) -> Rendered:
    """What the documents that ``render`` prints mean, with the variables of an environment.

    Raises: ConfigError for a variable that must be set and is not.
    """
    mains = {name: plain(parse(documents[name].encode(), name)) for name in MAINS if name in documents}
    by_main: dict[str, Mapping[str, Any]] = {name: tree.get("services") or {} for name, tree in mains.items()}
    services = {name: one for found in by_main.values() for name, one in found.items()}
    mounts = [one for service in services.values() for one in service.get("volumes") or () if isinstance(one, Mapping)]
    return Rendered(
        tuple(services),
        {name: probe for name, one in services.items() if (probe := _probe(one))},
        {name: _targets(one.get("ports") or ()) for name, one in services.items()},
        {name: VARIABLES[main](one, env) for main, found in by_main.items() for name, one in found.items()},
        {
            posixpath.basename(name): plain(parse(text.encode(), name))
            for name, text in documents.items()
            if name not in MAINS and name.endswith((".yaml", ".yml"))
        },
        {name: _mounted(name, mounts) for tree in mains.values() for name in tree.get("volumes") or ()},
        {str(one["target"]): str(one["source"]) for one in mounts if one.get("type") == "bind"},
        PROCESSES in mains,
    )


def _mounted(volume: str, mounts: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(one["target"]) for one in mounts if one.get("source") == volume))


def _probe(service: Mapping[str, Any]) -> tuple[int, str] | None:
    label = (service.get("labels") or {}).get("lcompose.probe")
    probe = service.get("probe") or (json.loads(label) if label else None)
    return (int(probe["port"]), str(probe.get("scheme") or "http")) if probe else None


def _targets(ports: Sequence[Any]) -> tuple[int, ...]:
    """The ports of a service that can be reached from this machine, by their numbers inside."""
    return tuple(int(one["target"] if isinstance(one, Mapping) else one[-1]) for one in ports)


def _literal(service: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """A process gets texts as they are, and some variables of whoever starts it."""
    defaults = {name: str(value) for name, value in (service.get("defaults") or {}).items()}
    names = service.get("inherit") or ()
    inherited = {name: env[name] for name in names if name in env and (env[name] or name not in defaults)}
    return {**defaults, **inherited, **{name: str(value) for name, value in (service.get("environment") or {}).items()}}


def _filled(service: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    given: Mapping[str, Any] = service.get("environment") or {}
    where = Position("environment")
    values = {name: env.get(name) if value is None else str(value) for name, value in given.items()}
    return {name: filled(value, env, where, name) for name, value in values.items() if value is not None}


VARIABLES = {CONTAINERS: _filled, PROCESSES: _literal}


def comparable(environment: Mapping[str, Mapping[str, str]], *, anywhere: bool) -> dict[str, dict[str, str]]:
    """The variables of each service, without those of its place where a leg is at another place.

    There, one that is empty is as good as none: processes are not handed it.
    """
    return {
        service: {
            name: value for name, value in sorted(given.items()) if not anywhere or (value and name not in PLACES)
        }
        for service, given in environment.items()
    }
