"""How services are started as processes of this machine: what is known of each program, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from lcompose.spec.project import Limits
from lcompose.spec.text import Text

Kind: TypeAlias = Literal["program", "python", "folder", "file", "packages"]


@dataclass(frozen=True, slots=True)
class Need:
    """Something that must be here before a program is started, and what to do where it is not.

    ``packages`` are fetched by the command that is its ``argv``; all others are looked for by ``name``.
    """

    kind: Kind
    name: str
    service: str
    fix: str
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """One service as a process.

    In ``argv`` and ``environment`` paths are those of its container; a target puts those of this machine in
    their place. ``home`` is what ``~`` means there. ``files`` are single files that the container has to itself.
    ``reads`` are variables of the person's that it reads by itself, where nobody gives it others.
    ``socket`` is the path of the file that it listens at instead of a port, as a person says it.
    ``limits`` that are set go before the service's own. Without a ``directory`` it is started in the person's folder.
    """

    service: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, Text], ...] = ()
    reads: tuple[str, ...] = ()
    directory: str = ""
    home: str = ""
    files: tuple[str, ...] = ()
    limits: Limits = Limits()
    needs: tuple[Need, ...] = ()
    socket: str = ""


@dataclass(frozen=True, slots=True)
class Natively:
    """What is known where a project is run as processes.

    ``interpreter`` is a Python for checks; ``variables`` are the names of those that have a value there.
    ``beside`` is the engine that has the other services as containers, if any are; these call the services
    ``called``.
    """

    programs: tuple[Program, ...] = ()
    interpreter: str = "python3"
    variables: frozenset[str] = field(default=frozenset())
    beside: str = ""
    called: frozenset[str] = field(default=frozenset())

    def of(self, service: str) -> Program | None:
        """The program of a service, if one is known."""
        return next((one for one in self.programs if one.service == service), None)

    def socket_of(self, service: str) -> str:
        """The path of the socket that it listens at, as a person says it; empty where that is a port."""
        program = self.of(service)
        return program.socket if program else ""
