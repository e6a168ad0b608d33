"""Values of a stack as text for people, without secrets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from lcompose.explain.evidence import Steps
from lcompose.spec.project import Dependency, DocumentMount, FileMount, Port, VolumeMount
from lcompose.spec.secrets import SECRET_NAME, SECRET_VALUE
from lcompose.spec.text import ComposeText, EnvRef

HIDDEN = "(hidden)"


def shown(name: str, value: Any) -> str:
    """A value for people; what is a secret by its variable's name, or holds a password, is not shown."""
    variable = name.rpartition(".")[2]
    is_variable = name.startswith("environment.") or ".env." in name
    return without_passwords(_text(value, secret=is_variable and bool(SECRET_NAME.search(variable))))


def as_written(path: Steps, value: Any) -> str:
    """A word of the compose file for people; what is in several parts, in one line."""
    held = without_secrets(path, value)
    if isinstance(held, list) and any(isinstance(one, Mapping) for one in held):
        return ", ".join(_entry(one) if isinstance(one, Mapping) else _text(one) for one in held)
    return _entry(held) if isinstance(held, Mapping) else _text(held)


def without_secrets(path: Steps, value: Any) -> Any:
    """A word of the compose file as it stands there; literal secrets are not shown.

    What is called a secret there, is one; a file that is mounted may be called so without being one.
    """
    if isinstance(value, Mapping):
        return {name: without_secrets((*path, str(name)), held) for name, held in value.items()}
    if isinstance(value, list):
        return [without_secrets(path, one) for one in value]
    if not isinstance(value, str):
        return value
    is_secret = len(path) > 1 and path[0] in NAMED_VALUES and SECRET_NAME.search(path[-1])
    return without_passwords(_hidden(value) if is_secret else value)


# Words under which people choose names, whose values are texts.
NAMED_VALUES = ("environment", "defaults", "build", "labels", "annotations", "x-environment")
DEFAULT_IN_COMPOSE = re.compile(r"(\$\{\w+:?[-+])([^}]*)")


def _hidden(value: str) -> str:
    """A secret's text: of a variable, its default alone is hidden."""
    if not value.startswith("${"):
        return HIDDEN if value else value
    return DEFAULT_IN_COMPOSE.sub(lambda found: found[1] + (HIDDEN if found[2] else ""), value)


def _entry(held: Mapping[str, Any]) -> str:
    if {"target", "published", "host_ip"} <= set(held):
        return f"{held['host_ip']}:{held['published']}:{held['target']}"
    if "target" in held and held.get("source"):
        kind = "volume " if held.get("type") == "volume" else ""
        return f"{kind}{held['source']}{' (read-only)' if held.get('read_only') else ''}"
    return _text(held)


def without_passwords(text: str) -> str:
    """The text without passwords that stand in addresses."""
    return SECRET_VALUE.sub(f"://{HIDDEN}@", text)


def _text(value: Any, *, secret: bool = False) -> str:
    if isinstance(value, EnvRef):
        return _variable(value, secret=secret)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(held)}" for name, held in value.items())
    if isinstance(value, list | tuple):
        return _several(value)
    text = FORMS.get(type(value), str)(value)
    return HIDDEN if secret and text else text


def _variable(value: EnvRef, *, secret: bool) -> str:
    if value.required:
        return f"${{{value.name}}}"
    return f"${{{value.name}:-{HIDDEN if secret and value.default else value.default}}}"


def _several(values: Any) -> str:
    if all(isinstance(one, str) for one in values):
        return shlex.join(values)
    return ", ".join(_text(one) for one in values)


def _mounted(mount: FileMount) -> str:
    return f"{mount.source} (read-only)" if mount.read_only else mount.source


FORMS: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    bool: lambda value: str(value).lower(),
    float: lambda value: f"{value:g}",
    ComposeText: lambda value: str(value.text),
    Port: lambda port: f"{port.bind}:{port.published}:{port.target}",
    Dependency: lambda one: f"{one.service} ({one.condition}{'' if one.required else ', if it is there'})",
    FileMount: _mounted,
    VolumeMount: lambda mount: f"volume {mount.volume}",
    DocumentMount: lambda mount: f"document {mount.document}",
}
