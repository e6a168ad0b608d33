"""What a leg's own files say: its services, their variables after filling in, and the derived documents."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lcompose.dotenv import filled
from lcompose.errors import Position
from lcompose.load import parse, plain

MAINS = ("compose.yaml", "processes.yaml")
# Variables that say where a process lives, and not what it does.
PLACES = frozenset({"PATH", "HOME", "PYTHONPYCACHEPREFIX", "VIRTUAL_ENV", "PWD", "TMPDIR"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """A leg's files, read again. ``probes`` has a service's port and scheme, ``published`` those that are open here."""

    services: tuple[str, ...]
    probes: Mapping[str, tuple[int, str]]
    published: Mapping[str, tuple[int, ...]]
    environment: Mapping[str, Mapping[str, str]]
    documents: Mapping[str, Any] = field(default_factory=dict)


def rendered(documents: Mapping[str, str], env: Mapping[str, str]) -> Rendered:
    """What the documents that ``render`` prints mean, with the variables of an environment.

    Raises: ConfigError for a variable that must be set and is not.
    """
    main = next(name for name in MAINS if name in documents)
    services: Mapping[str, Any] = plain(parse(documents[main].encode(), main)).get("services") or {}
    variables = _literal if main == "processes.yaml" else _filled
    return Rendered(
        tuple(services),
        {name: probe for name, one in services.items() if (probe := _probe(one))},
        {name: _targets(one.get("ports") or ()) for name, one in services.items()},
        {name: variables(one, env) for name, one in services.items()},
        {
            posixpath.basename(name): plain(parse(text.encode(), name))
            for name, text in documents.items()
            if name != main and name.endswith((".yaml", ".yml"))
        },
    )


def _probe(service: Mapping[str, Any]) -> tuple[int, str] | None:
    label = (service.get("labels") or {}).get("lcompose.probe")
    probe = service.get("probe") or (json.loads(label) if label else None)
    return (int(probe["port"]), str(probe.get("scheme") or "http")) if probe else None


def _targets(ports: Sequence[Any]) -> tuple[int, ...]:
    """The ports of a service that can be reached from this machine, by their numbers inside."""
    return tuple(int(one["target"] if isinstance(one, Mapping) else one[-1]) for one in ports)


def _literal(service: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """A process gets texts as they are, and some variables of whoever starts it."""
    inherited = {name: env[name] for name in service.get("inherit") or () if name in env}
    return {**inherited, **{name: str(value) for name, value in (service.get("environment") or {}).items()}}


def _filled(service: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    given: Mapping[str, Any] = service.get("environment") or {}
    where = Position("environment")
    values = {name: env.get(name) if value is None else str(value) for name, value in given.items()}
    return {name: filled(value, env, where, name) for name, value in values.items() if value is not None}


def comparable(environment: Mapping[str, Mapping[str, str]], *, anywhere: bool) -> dict[str, dict[str, str]]:
    """The variables of each service, without those of its place where a leg is at another place."""
    gone = PLACES if anywhere else frozenset[str]()
    return {
        service: {name: value for name, value in sorted(given.items()) if name not in gone}
        for service, given in environment.items()
    }
