"""What an engine's log looks like: whole lines, each with the time at which it was printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\S+) ?")
# As engines write it: always nine digits, so that times of one zone are in order as text.
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)(?= |$)", re.MULTILINE)
FIRST = re.compile(b"^" + STAMP.pattern, re.MULTILINE)
UTC_STAMP = len("2025-01-01T00:00:00.000000000Z")
# A line that we put into a log says so, and has no time of its own.
OURS = b"# lcompose: "
# A line without an end is cut here, so that no program fills our memory with one.
LONGEST = 2 * 1024 * 1024

Redact = Callable[[str], str]


class Line(NamedTuple):
    """One line that a service printed; ``time`` is as the engine says it, in UTC.

    A named tuple, because a frozen dataclass takes three times as long, and there may be millions.
    """

    time: str
    service: str
    text: str


def whole_lines(pieces: Iterable[bytes], redact: Redact) -> Iterator[bytes]:
    """What an engine gives in pieces of any size, as pieces of whole lines, without secrets.

    Only the very last piece may end without a line's end. What the engine itself says before the
    first line with a time is left out. Empty pieces are handed on.
    """
    rest, begun = b"", False
    for piece in pieces:
        ready, end, rest = (rest + piece).rpartition(b"\n") if b"\n" in piece else (b"", b"", rest + piece)
        if len(rest) > LONGEST:
            ready, end, rest = ready + end + rest, b"\n", b""
        lines, begun = _timed(ready + end, begun=begun)
        yield without_secrets(lines, redact)
    lines, _ = _timed(rest, begun=begun)
    yield without_secrets(lines, redact)


def _timed(lines: bytes, *, begun: bool) -> tuple[bytes, bool]:
    """Lines from the first that has a time on, and whether there was one by now."""
    if begun or not lines:
        return lines, begun
    match = FIRST.search(lines)
    return (lines[match.start() :], True) if match else (b"", False)


def without_secrets(lines: bytes, redact: Redact) -> bytes:
    """The same lines, secrets replaced; times stay, even where a secret is part of one."""
    text = lines.decode(errors="replace")
    told = redact(text)
    if told == text:
        return lines
    if len(STAMP.findall(told.encode())) == len(STAMP.findall(lines)):
        return told.encode()
    return b"".join(_line_without_secrets(line, redact) for line in rows(lines))


def rows(lines: bytes) -> list[bytes]:
    """Lines with their ends; only a line feed ends one."""
    found = [line + b"\n" for line in lines.split(b"\n")]
    last = found.pop()[:-1]
    return [*found, last] if last else found


def _line_without_secrets(line: bytes, redact: Redact) -> bytes:
    stamp = STAMP.match(line)
    begin = stamp.end() if stamp else 0
    return line[:begin] + redact(line[begin:].decode(errors="replace")).encode()


def read_lines(service: str, pieces: Iterable[bytes]) -> Iterator[list[Line]]:
    """The lines of pieces of whole lines; one that has no time goes with the one before it."""
    time = ""
    for piece in pieces:
        found: list[Line] = []
        text = piece.decode(errors="replace")
        for one in _rows(text):
            # The usual line first: it ends its time at a known place.
            if one[UTC_STAMP - 1 : UTC_STAMP + 1] == "Z " and one[10] == "T":
                time = one[:UTC_STAMP]
                found.append(Line(time, service, one[UTC_STAMP + 1 :]))
            elif one:
                time, rest = _unusual(one, time)
                found.append(Line(time, service, rest))
        yield found


def _rows(text: str) -> list[str]:
    """The lines of a text. Where a progress bar draws over itself, each state is a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if "\r" in text else text.split("\n")


def _unusual(line: str, before: str) -> tuple[str, str]:
    match = TIME.match(line)
    if match is None:
        return before, line
    return in_utc(match[1]) or before, line[match.end() :]


def in_utc(time: str) -> str:
    """A time with an offset as engines write UTC, with nine digits; empty when it is none."""
    whole, point, rest = time.partition(".")
    digits = re.match(r"\d*", rest)
    assert digits is not None
    offset = rest[digits.end() :] if point else ""
    try:
        moment = datetime.fromisoformat(whole + offset)
    except ValueError:
        return ""
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{digits[0]:0<9.9}Z"


def stamp_of(seconds: float) -> str:
    """A moment in seconds since 1970 as engines write it."""
    return in_utc(datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds"))
