"""Values of a stack as text for people, without secrets."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from lcompose.spec.project import Dependency, DocumentMount, FileMount, Port, VolumeMount
from lcompose.spec.secrets import SECRET_NAME, SECRET_VALUE
from lcompose.spec.text import ComposeText, EnvRef

HIDDEN = "(hidden)"


def shown(name: str, value: Any) -> str:
    """A value for people; what is a secret by its variable's name, or holds a password, is not shown."""
    variable = name.rpartition(".")[2]
    is_variable = name.startswith("environment.") or ".env." in name
    return without_passwords(_text(value, secret=is_variable and bool(SECRET_NAME.search(variable))))


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
