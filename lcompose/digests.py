"""What a service is made of, as one digest: it changes when anything does that the service is given.

Compose's own hash covers neither the content of an inline document nor a value that is handed on by
name, and podman-compose has another one. These digests are the same for both; they are salted, since
values of variables are in them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from lcompose.spec.bundle import Bundle

# Two dollars are one in Compose's words, and no variable.
VARIABLE = re.compile(r"\$\$|\$\{?([A-Za-z_][A-Za-z0-9_]*)")
# What a service says of its making and of its number, not of what each container is: Compose's own hash
# leaves it out too.
BESIDE = ("build", "profiles", "pull_policy", "scale")


def of_reading(reading: Mapping[str, Any], salt: str) -> dict[str, str]:
    """Those of a compose file, as an engine's compose reads it: variables are filled in."""
    services: Mapping[str, Any] = reading.get("services") or {}
    return {
        name: _digest(salt, [_own(service or {}), _used(service or {}, reading)]) for name, service in services.items()
    }


def _own(service: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in service.items() if name not in BESIDE and not name.startswith("x-")}
    deploy = {name: value for name, value in (found.pop("deploy", None) or {}).items() if name != "replicas"}
    return found | ({"deploy": deploy} if deploy else {})


def _used(service: Mapping[str, Any], reading: Mapping[str, Any]) -> list[Any]:
    """What a service is given beside its own words, such as the content of its configs."""
    wanted = {kind: [_source(one) for one in service.get(kind) or ()] for kind in ("configs", "secrets", "volumes")}
    wanted["networks"] = list(service.get("networks") or ["default"])
    return [
        [kind, name, (reading.get(kind) or {}).get(name)] for kind, names in wanted.items() for name in sorted(names)
    ]


def _source(one: Any) -> str:
    return str(one.get("source") or "") if isinstance(one, Mapping) else str(one).split(":")[0]


def of_bundle(bundle: Bundle, env: Mapping[str, str], salt: str) -> dict[str, str]:
    """Those of what lcompose rendered itself, with the values of the variables that it names."""
    inherited = {name: [one.name for one in variables] for name, variables in bundle.inherited}
    return {
        name: _digest(salt, [text, _values([*filter(None, VARIABLE.findall(text)), *inherited.get(name, ())], env)])
        for name, text in bundle.services
    }


def _values(names: Iterable[str], env: Mapping[str, str]) -> list[str]:
    return [f"{name}={env.get(name, '')}" for name in sorted(set(names))]


def _digest(salt: str, value: Any) -> str:
    return hashlib.sha256((salt + json.dumps(value, sort_keys=True, default=str)).encode()).hexdigest()[:16]
