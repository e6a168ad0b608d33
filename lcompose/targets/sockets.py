"""Processes that listen on a socket that is a file: whether one can, where it lies, and how it is asked there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lcompose.errors import UsageError
from lcompose.spec.project import DocumentMount, Project, Service
from lcompose.spec.text import Address, ComposeText, Text

# What stands for the path in a person's words.
SOCKET = "{socket}"
# The kernel has room for so many bytes, and one that ends them.
MOST_BYTES = 107


def problem(name: str, command: str, words: str, project: Project) -> str:
    """Why a service cannot listen there; empty where it can. ``words`` are all that its program is told."""
    if not command:
        return "what lcompose starts by itself listens at a port: only a program that you name can listen on a socket"
    others = list(dict.fromkeys(callers(name, project)))
    if others:
        return f"{' and '.join(others)} can ask {name} at a port only"
    if SOCKET not in words:
        return f"nothing tells the program where it is to listen: write {SOCKET} in its command, args or env"
    return ""


def callers(name: str, project: Project) -> Iterator[str]:
    """The services that know the address of another one, or the documents that have it where none reads them."""
    documents = {one.name for one in project.documents if name in _addressed(one.tree)}
    for service in project.services:
        read = {one.document for one in service.mounts if isinstance(one, DocumentMount)} & documents
        documents -= read
        if service.name != name and (read or name in (*service.after, *(one.service for one in service.needs))):
            yield service.name
    yield from sorted(documents)


def _addressed(tree: Any) -> set[str]:
    if isinstance(tree, Address):
        return {tree.service}
    below = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ()
    return {name for one in below for name in _addressed(one)}


def listening(service: Service, said: str, directory: str) -> Service:
    """The service at its socket, if it has one: a path that is not absolute starts from ``directory``.

    Raises: UsageError for a path that is too long.
    """
    if not said:
        return service
    path = said if said.startswith("/") else f"{directory}/{said}"
    if len(path.encode()) > MOST_BYTES:
        what = f"the path of this socket is {len(path.encode())} bytes long, and the kernel takes {MOST_BYTES}: {path}"
        fix = "Name a shorter one, such as /tmp/NAME.sock; or a shorter folder in XDG_STATE_HOME."
        raise UsageError(what, f"services.{service.name}.local.socket", fix)
    return replace(
        service,
        command=tuple(part.replace(SOCKET, path) for part in service.command),
        environment=tuple((name, _filled(value, path)) for name, value in service.environment),
        ports=(),
        # It asks at a port; the probe says all that it would.
        healthcheck=None,
        probe=replace(service.probe, socket=path) if service.probe else None,
    )


def _filled(value: Text, path: str) -> Text:
    match value:
        case str():
            return value.replace(SOCKET, path)
        case ComposeText(text=text):
            return ComposeText(text.replace(SOCKET, path))
    return value
