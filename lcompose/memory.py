"""What outlives a command: what was meant with each service, and the history of their states."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lcompose.bundle import STATE_FIX, unwritable, write_private
from lcompose.spec.events import Event, Transition
from lcompose.spec.run import Memory, Remembered

VERSION = 1
STATE = "state.json"
EVENTS = "events.jsonl"
OLD_EVENTS = "events.1.jsonl"
MOST_EVENTS = 1024 * 1024
# Beyond these a number is damage, and what counts with it would fail.
MOST = 2**53
YEAR_10000 = 253402300800.0
T = TypeVar("T")


def load(place: Path) -> Memory:
    """What was remembered; nothing where there is no memory, a damaged one, or another version's."""
    try:
        found = json.loads((place / STATE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return Memory()
    if not isinstance(found, dict) or found.get("version") != VERSION:
        return Memory()
    services = found.get("services")
    if not isinstance(services, dict):
        return Memory()
    read = {name: _remembered(name, value) for name, value in services.items()}
    return Memory({name: one for name, one in read.items() if one})


def _remembered(name: str, value: Any) -> Remembered | None:
    """One service's memory; None when any of it cannot be right."""
    try:
        found = _made(Remembered, value)
    except ValueError:
        return None
    return found if found.gated is None or found.gated.name == name else None


def save(place: Path, memory: Memory, redact: Callable[[str], str] = str) -> None:
    """Keeps a memory, so that a reader finds the old one or the new one.

    How a service is judged is left out where that holds something that ``redact`` would hide.

    Raises: UsageError when it cannot be written, MachineError when there is no space.
    """
    services = {name: asdict(_without_secrets(one, redact)) for name, one in memory.services.items()}
    text = json.dumps({"version": VERSION, "services": services}, indent=1)
    try:
        write_private(place / STATE, f"{text}\n")
    except OSError as error:
        raise unwritable(error, place, STATE_FIX) from error


def _without_secrets(one: Remembered, redact: Callable[[str], str]) -> Remembered:
    told = one.gated and any(redact(text) != text for text in _texts(asdict(one.gated)))
    return replace(one, gated=None) if told else one


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for child in value for text in _texts(child)] if isinstance(value, list | tuple) else []


def record(place: Path, transitions: Iterable[Transition]) -> None:
    """Appends to the history. What cannot be written is lost: no command fails because of that."""
    text = "".join(json.dumps(asdict(one)) + "\n" for one in transitions)
    if text:
        with suppress(OSError):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            _append(place, text.encode())


def tell(place: Path, shown: dict[str, str], event: Event, wall: float) -> None:
    """Records what an event changed; ``shown`` has the state of each service before and after."""
    before = shown.get(event.subject, "offline")
    if event.kind == "state" and before != event.text:
        shown[event.subject] = event.text
        record(place, [Transition(wall, event.subject, before, event.text, event.cause)])


def _append(place: Path, data: bytes) -> None:
    """One write; the lock keeps two commands from putting the file aside at the same time."""
    import fcntl

    path = place / EVENTS
    opened = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        size = os.fstat(opened).st_size
        # Whoever was killed, or found the disk full, left a line without an end.
        torn = size and os.pread(opened, 1, size - 1) != b"\n"
        written = os.write(opened, b"\n" + data if torn else data)
        if size + written > MOST_EVENTS and os.fstat(opened).st_ino == path.stat().st_ino:
            path.replace(place / OLD_EVENTS)
    finally:
        os.close(opened)


def history(place: Path) -> list[Transition]:
    """What was recorded, in that order; what two commands saw is told once, damaged lines not at all."""
    found: list[Transition] = []
    now: dict[str, str] = {}
    for name in (OLD_EVENTS, EVENTS):
        with suppress(OSError):
            for line in (place / name).read_bytes().splitlines():
                one = _transition(line)
                if one and now.get(one.service) != one.after:
                    now[one.service] = one.after
                    found.append(one)
    return found


def _transition(line: bytes) -> Transition | None:
    try:
        found = _made(Transition, json.loads(line))
    except (ValueError, RecursionError):
        return None
    return found if 0 <= found.time < YEAR_10000 else None


def _made(kind: type[T], value: Any) -> T:
    """One of our frozen types from a tree of JSON; fields that it does not know are ignored.

    Raises: ValueError when a field is missing or of a wrong type.
    """
    made: T = _dataclass(kind, value)
    return made


def _read(hint: Any, value: Any) -> Any:
    """A value of an annotated type."""
    if is_dataclass(hint):
        return _dataclass(hint, value)
    origin = get_origin(hint) or hint
    reader = _READERS.get(origin)
    if reader is None:
        raise TypeError(f"{hint} has no place in a memory")
    return reader(get_args(hint), value)


def _dataclass(kind: Any, value: Any) -> Any:
    known = {one.name for one in fields(kind)}
    given = {name: child for name, child in _of(dict, value).items() if name in known}
    read = {name: _read(_hints(kind)[name], child) for name, child in given.items()}
    try:
        return kind(**read)
    except TypeError as error:
        raise ValueError(str(error)) from None


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _of(kind: type[T], value: Any) -> T:
    """The value, if it is of just that type: True is no number here."""
    if type(value) is not kind:
        raise ValueError(f"no {kind.__name__}: {value!r:.40}")
    return value


def _text(_: Any, value: Any) -> str:
    _of(str, value).encode()  # half a surrogate pair could be read, and never be printed
    return str(value)


def _whole(_: Any, value: Any) -> int:
    if abs(_of(int, value)) > MOST:
        raise ValueError("too large a number")
    return int(value)


def _number(_: Any, value: Any) -> float:
    if type(value) is int:
        return float(_whole(_, value))
    if not abs(_of(float, value)) <= MOST:
        raise ValueError("no number, or too large a one")
    return float(value)


def _choice(choices: Any, value: Any) -> Any:
    if value not in choices:
        raise ValueError(f"none of {choices}")
    return value


def _optional(kinds: Any, value: Any) -> Any:
    return None if value is None else _read(kinds[0], value)


def _sequence(kinds: Any, value: Any) -> tuple[Any, ...]:
    items = _of(list, value)
    each = [kinds[0]] * len(items) if kinds[-1] is ... else kinds
    return tuple(_read(kind, item) for kind, item in zip(each, items, strict=True))


_READERS: dict[Any, Callable[[Any, Any], Any]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: lambda _, value: _of(bool, value),
    Literal: _choice,
    Union: _optional,
    UnionType: _optional,
    tuple: _sequence,
}
