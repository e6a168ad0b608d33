"""Where the seconds of a start went: one bar for each service, as a page for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from lcompose.bundle import write_atomically
from lcompose.errors import DriftError, UsageError
from lcompose.spec.events import Event
from lcompose.templates import fill

# States that have a colour, in the order of the legend; while a service is offline, it has no bar.
SHOWN = ("pulling", "starting", "warming", "ready", "serving", "idle", "unloading", "error")
DONE = ("ready", "serving", "idle")
WAITING = ("pulling", "starting", "warming")
TEMPLATE = "timeline.html.j2"
PAGE_MARK = "<!doctype html><!-- Made by lcompose: timeline -->"
JSON_MARK = '{"made_by": "lcompose timeline",'
MOST_TICKS = 8
# Below this share of the width, a number does not fit into its segment.
LEAST_LABELLED = 7.0
FIX = "Name another file with --timeline."


@dataclass(frozen=True, slots=True)
class Segment:
    """A time that a service spent in one state, in seconds since the command began."""

    state: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Bar:
    """What one service went through, and the state that it ended in."""

    service: str
    segments: tuple[Segment, ...]
    last: str = ""

    def spent(self, state: str) -> float:
        """The seconds in a state, all its segments together."""
        return sum(one.seconds for one in self.segments if one.state == state)

    @property
    def outcome(self) -> str:
        """What became of it, for people; a one-shot that did its job is offline in the end."""
        if self.last in DONE:
            return f"ready after {_seconds(self._waited)}"
        return f"done after {_seconds(self._waited)}" if self.last == "offline" else self.last

    @property
    def _waited(self) -> float:
        waited = [one.end for one in self.segments if one.state not in DONE]
        return waited[-1] if waited else self.segments[0].begin if self.segments else 0.0


def spans(events: Iterable[Event], end: float) -> tuple[Bar, ...]:
    """A bar for each service, in the order in which they were heard of."""
    told: dict[str, list[Event]] = {}
    for event in events:
        if event.kind == "state":
            told.setdefault(event.subject, []).append(event)
    return tuple(_bar(service, found, end) for service, found in told.items())


def _bar(service: str, events: Sequence[Event], end: float) -> Bar:
    ordered = sorted(events, key=lambda event: event.at)
    return Bar(service, _segments(ordered, end), ordered[-1].text)


def _segments(ordered: Sequence[Event], end: float) -> tuple[Segment, ...]:
    last = Event("state", "", "", max(end, ordered[-1].at))
    found: list[Segment] = []
    for one, following in pairwise([*ordered, last]):
        # What took no time is not shown, but for the state at the end.
        if one.text not in SHOWN or (one.at == following.at and following is not last):
            continue
        if found and found[-1].state == one.text and found[-1].end == one.at:
            found[-1] = Segment(one.text, found[-1].begin, following.at)
        else:
            found.append(Segment(one.text, one.at, following.at))
    return tuple(found)


def as_json(project: str, bars: Iterable[Bar], seconds: float) -> dict[str, Any]:
    """The bars for machines."""
    services = [
        {
            "service": bar.service,
            "segments": [
                {"state": one.state, "from": round(one.begin, 3), "to": round(one.end, 3)} for one in bar.segments
            ],
        }
        for bar in bars
    ]
    return {"project": project, "seconds": round(seconds, 3), "services": services}


def as_html(project: str, bars: Sequence[Bar], seconds: float) -> str:
    """The bars as a page that needs nothing else: no script, no other file, no network."""
    width = max([seconds, 0.001, *(one.end for bar in bars for one in bar.segments)])
    used = {one.state for bar in bars for one in bar.segments}
    states = [state for state in SHOWN if state in used]
    return fill(
        TEMPLATE,
        mark=PAGE_MARK,
        project=project,
        headline=headline(bars, seconds),
        states=states,
        ticks=[{"left": _percent(at, width), "label": f"{at:g}"} for at in _ticks(width)],
        rows=[_row(bar, states, width) for bar in bars],
        seconds=_seconds(seconds),
    )


def headline(bars: Iterable[Bar], seconds: float) -> str:
    """What the page says in one or two sentences."""
    bars = tuple(bars)
    failed = [bar.service for bar in bars if bar.last == "error"]
    if failed:
        outcome = f"Failed after {_seconds(seconds)}: {', '.join(failed)}."
    elif all(bar.last in (*DONE, "offline") for bar in bars):
        outcome = f"Ready after {_seconds(seconds)}."
    else:
        outcome = f"Not ready after {_seconds(seconds)}."
    waits = [(bar.spent(state), bar.service, state) for bar in bars for state in WAITING]
    longest = max(waits, default=(0.0, "", ""))
    if not longest[0]:
        return outcome
    return f"{outcome} The longest wait: {longest[1]}, {_seconds(longest[0])} {longest[2]}."


def _row(bar: Bar, states: Sequence[str], width: float) -> dict[str, Any]:
    return {
        "service": bar.service,
        "outcome": bar.outcome,
        "failed": bar.last == "error",
        "segments": [_drawn(one, width) for one in bar.segments],
        "cells": [_seconds(bar.spent(state)) if bar.spent(state) else "" for state in states],
    }


def _drawn(one: Segment, width: float) -> dict[str, Any]:
    share = 100 * one.seconds / width
    return {
        "state": one.state,
        "left": _percent(one.begin, width),
        "width": _percent(one.seconds, width),
        "label": _seconds(one.seconds) if share >= LEAST_LABELLED else "",
        "title": f"{one.state}: {_seconds(one.seconds)}, from {_seconds(one.begin)} to {_seconds(one.end)}",
    }


def _ticks(width: float) -> list[float]:
    """Round numbers of seconds along the axis, at most eight of them after the first."""
    steps = [factor * 10.0**power for power in range(-3, 6) for factor in (1, 2, 5)]
    step = next((one for one in steps if width / one <= MOST_TICKS), width)
    return [round(number * step, 3) for number in range(int(width / step) + 1)]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 or not seconds else f"{seconds:.2f} s"


def check(path: Path) -> None:
    """Refuses to replace what is no timeline; asked before a start, it saves the wait for the refusal.

    Raises: DriftError; UsageError when it cannot be told.
    """
    try:
        if not path.exists():
            return
        if not path.is_file():
            raise UsageError("a timeline cannot be written here: this is no file", str(path), FIX)
        with path.open("rb") as stream:
            begin = stream.read(200).decode(errors="replace")
    except OSError as error:
        raise _unwritable(error, path) from error
    if begin and not begin.startswith((PAGE_MARK, JSON_MARK)):
        raise DriftError("this file is no timeline, and is left alone", str(path), FIX)


def write(path: Path, project: str, bars: Sequence[Bar], seconds: float) -> None:
    """Writes a timeline: JSON where the file's name ends so, else the page.

    Raises: DriftError when there is a file that is no timeline; UsageError when it cannot be written.
    """
    check(path)
    as_wanted = _json_text if path.suffix.lower() == ".json" else as_html
    try:
        # Of a link, the file that it leads to is replaced.
        write_atomically(path.resolve(), as_wanted(project, bars, seconds), mode=0o644)
    except (OSError, RuntimeError) as error:
        raise _unwritable(error, path) from error


def _json_text(project: str, bars: Sequence[Bar], seconds: float) -> str:
    text = json.dumps({"made_by": "lcompose timeline", **as_json(project, bars, seconds)}, indent=2)
    return text.replace("{\n  ", "{", 1) + "\n"  # the mark belongs into the first line


def _unwritable(error: Exception, path: Path) -> UsageError:
    reason = getattr(error, "strerror", None) or str(error)
    return UsageError(f"the timeline cannot be written: {reason}", str(path), FIX)
