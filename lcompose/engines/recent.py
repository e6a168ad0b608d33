"""The end of a log without a look at its beginning.

Engines search a log from its first line on for a time: Docker needs 2.5 s for half a million lines.
Its last lines are there at once, and nearly always they reach back far enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{9}(Z|[+-]\d\d:\d\d)", re.MULTILINE)
LINES = 1000
# Lines of two streams may stand in the wrong order, and the first line of a tail may be half a line.
BACK = timedelta(seconds=2)

Ask = Callable[[str, int | None], Iterator[bytes]]


def since(ask: Ask, time: str) -> Iterator[bytes]:
    """At least what came since a time; ``ask`` gets a time or a number of last lines, and answers."""
    recent = ask("", LINES)
    piece = next(recent, b"")
    if _begins_before(piece, time):
        yield piece
        yield from recent
    else:
        del recent  # which ends it
        yield from ask(time, None)


def _begins_before(piece: bytes, time: str) -> bool:
    first, wanted = STAMP.search(piece), STAMP.match(time.encode())
    return first is not None and wanted is not None and _moment(first) + BACK <= _moment(wanted)


def _moment(match: re.Match[bytes]) -> datetime:
    return datetime.fromisoformat((match[1] + match[2]).decode())
