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

VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
# Parts of a compose file that every service may be concerned by.
SHARED = ("networks", "volumes")


def of_reading(reading: Mapping[str, Any], salt: str) -> dict[str, str]:
    """Those of a compose file, as an engine's compose reads it: variables are filled in."""
    shared = {name: reading.get(name) for name in SHARED}
    services: Mapping[str, Any] = reading.get("services") or {}
    return {name: _digest(salt, [service, shared, _used(service or {}, reading)]) for name, service in services.items()}


def _used(service: Mapping[str, Any], reading: Mapping[str, Any]) -> list[Any]:
    """The configs and secrets that a service is given, with what is in them."""
    found = []
    for kind in ("configs", "secrets"):
        known = reading.get(kind) or {}
        for one in service.get(kind) or ():
            source = one.get("source") if isinstance(one, Mapping) else one
            found.append([kind, source, known.get(source)])
    return found


def of_bundle(bundle: Bundle, env: Mapping[str, str], salt: str) -> dict[str, str]:
    """Those of what lcompose rendered itself, with the values of the variables that it names."""
    inherited = {name: [one.name for one in variables] for name, variables in bundle.inherited}
    return {
        name: _digest(salt, [text, _values([*VARIABLE.findall(text), *inherited.get(name, ())], env)])
        for name, text in bundle.services
    }


def _values(names: Iterable[str], env: Mapping[str, str]) -> list[str]:
    return [f"{name}={env.get(name, '')}" for name in sorted(set(names))]


def _digest(salt: str, value: Any) -> str:
    return hashlib.sha256((salt + json.dumps(value, sort_keys=True, default=str)).encode()).hexdigest()[:16]
