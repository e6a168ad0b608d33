"""What happens while a command works, as values; the console prints them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``at`` is in seconds since the command began.

    ``kind`` is ``step`` (something was done), ``detail`` (what an engine says), ``state`` (a
    service changed its state) or ``waiting`` (it still is not ready).
    """

    kind: Literal["step", "detail", "state", "waiting"]
    subject: str
    text: str
    at: float = 0.0
