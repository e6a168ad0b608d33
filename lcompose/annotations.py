"""Errors as GitHub shows them beside the lines of a change: workflow commands."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from lcompose.errors import ConfigError, Finding, LcomposeError

# A place in a file of a person's; what else an error is at, such as tcp://host:2375, is none.
PLACE = re.compile(r"(?P<file>[^:]+\.ya?ml)(?::(?P<line>\d+))?(?::(?P<column>\d+))?\Z")
DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
PROPERTY = {**DATA, ":": "%3A", ",": "%2C"}


def lines(
    error: LcomposeError, *, directory: str = "", root: str = "", redact: Callable[[str], str] = str
) -> list[str]:
    """The workflow commands that annotate an error: one for each finding, or one for the whole.

    GitHub looks for files from the ``root`` of the checkout; ours are named from ``directory``.
    """
    if isinstance(error, ConfigError):
        return [_of_finding(found, directory, root, redact) for found in error.findings]
    place = PLACE.match(error.where)
    where = "" if place else error.where
    known = (f"{one}\n{one.fix}" for one in error.known)
    message = _message(f"{error.what} ({where})" if where else error.what, error.fix, *known, *error.details)
    properties: dict[str, str] = {}
    if place:
        properties = _place(_file(place["file"], directory, root), place["line"] or "", place["column"] or "")
    return [_command("error", {**properties, "title": "lcompose"}, message, redact)]


def _of_finding(found: Finding, directory: str, root: str, redact: Callable[[str], str]) -> str:
    what = f"{found.path}: {found.what}" if found.path else found.what
    where = found.where
    if not where.line and not PLACE.match(where.file):  # then it is a name for people, such as "settings"
        return _command(found.severity, {"title": "lcompose"}, _message(f"{where.file}: {what}", found.fix), redact)
    properties = _place(_file(where.file, directory, root), str(where.line or ""), str(where.column or ""))
    return _command(found.severity, {**properties, "title": "lcompose"}, _message(what, found.fix), redact)


def _place(file: str, line: str, column: str) -> dict[str, str]:
    found = {"file": file, "line": line, "col": column}
    return {name: value for name, value in found.items() if value}


def _file(name: str, directory: str, root: str) -> str:
    path = posixpath.normpath(posixpath.join(directory, name))
    inside = bool(root) and path.startswith(root.rstrip("/") + "/")
    return posixpath.relpath(path, root) if inside else path


def _message(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _command(kind: str, properties: dict[str, str], message: str, redact: Callable[[str], str]) -> str:
    # Secrets are taken out before escaping, which would hide them from whoever looks for them.
    said = ",".join(f"{name}={_escaped(redact(value), PROPERTY)}" for name, value in properties.items())
    return f"::{kind} {said}::{_escaped(redact(message), DATA)}"


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)
