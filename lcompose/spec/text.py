"""The kinds of text that stand in documents: each is written differently where it ends up.

* ``str``: literal text, escaped by whoever writes it.
* ``EnvRef``: a variable whose value is filled in when the stack starts, never by lcompose.
* ``ComposeText``: words in Compose's own dialect, ``${...}`` included, passed on as they are.
* ``Address``: where a service of the project is reached; becomes text when a target is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class EnvRef:
    """A variable of the person's environment; required when there is no default."""

    name: str
    default: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class ComposeText:
    """Text in Compose's dialect, left alone."""

    text: str


@dataclass(frozen=True, slots=True)
class Address:
    """A URL of a service of this project, resolved when the target is known."""

    service: str
    port: int
    path: str = ""
    scheme: str = "http"


Text: TypeAlias = "str | EnvRef | ComposeText"
Tree: TypeAlias = "bool | int | float | str | Address | list[Tree] | dict[str, Tree] | None"
