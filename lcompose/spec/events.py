"""What happens while a command works, as values; the console prints them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``at`` is in seconds since the command began.

    ``kind`` is ``step`` (something was done), ``detail`` (what an engine says), ``state`` (a
    service changed its state: ``text`` is the new one, ``cause`` says why) or ``waiting`` (it still
    is not ready).
    """

    kind: Literal["step", "detail", "state", "waiting"]
    subject: str
    text: str
    at: float = 0.0
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """A service came from one of the nine states to another: a line of the history.

    ``time`` is in seconds since 1970; ``container`` is the id of the one that it happened to, if any.
    """

    time: float
    service: str
    before: str
    after: str
    cause: str = ""
    container: str = ""
