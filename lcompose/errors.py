"""Everything that can go wrong, as types that own their exit code and end with what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; line and column count from 1, and 0 means that it is not known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the input: where it is, at which path, what it is, how to mend it."""

    where: Position
    path: str
    what: str
    fix: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.where}: {self.path}" if self.path else str(self.where)
        line = f"{place}: {self.severity}: {self.what}"
        return f"{line}\n    {self.fix}" if self.fix else line


HeardBy = Literal["engine", "log", "probe"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said before a failure: by an engine, in a service's log, or by what asks a service."""

    by: HeardBy
    text: str
    service: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A failure that is known: its name, its cause, what to do; who said so, and in which line."""

    id: str
    cause: str
    fix: str
    service: str = ""
    line: str = ""
    more: str = ""

    def __str__(self) -> str:
        return f"{f'{self.service}: ' if self.service else ''}{self.cause}"


@dataclass
class LcomposeError(Exception):
    """An error for people, in three parts: what happened, where, and one thing to do about it.

    ``heard`` is what was said before it, ``known`` what that is known to mean.
    """

    exit_code: ClassVar[int] = 1

    what: str
    where: str = ""
    fix: str = ""
    details: tuple[str, ...] = field(default=())
    heard: tuple[Heard, ...] = field(default=())
    known: tuple[Known, ...] = field(default=())

    def __str__(self) -> str:
        return self.what


def known_lines(error: LcomposeError) -> list[str]:
    """What is known of an error's failure, as lines for people."""
    return [line for one in error.known for line in (f"  known: {one}", f"     do: {one.fix}")]


class EngineError(LcomposeError):
    """An engine or process command failed."""

    exit_code = 1


class UsageError(LcomposeError):
    """The command line, or a value given on it, cannot be used."""

    exit_code = 2


class ConfigError(LcomposeError):
    """The configuration is wrong; carries every finding of the run."""

    exit_code = 2

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda found: found.where))
        errors = [found for found in self.findings if found.severity == "error"]
        count = len(errors)
        super().__init__(what=f"{count} {'error' if count == 1 else 'errors'} in the configuration")


class MachineError(LcomposeError):
    """This machine lacks something that the command needs."""

    exit_code = 4


class NotReadyError(LcomposeError):
    """The stack was started, but is not ready in time, or died."""

    exit_code = 5


class DriftError(LcomposeError):
    """A file that lcompose would write was edited, or is not lcompose's at all."""

    exit_code = 6


class LockedError(LcomposeError):
    """Another lcompose works on the same project."""

    exit_code = 7
