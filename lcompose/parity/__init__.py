"""Whether several legs of one configuration do the same: what each was seen to do, and what differs. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "differs", "failed", "absent", "refused"]
# What is no difference: all do the same, or nothing could be compared.
HOLDS: tuple[Verdict, ...] = ("ok", "absent", "refused")

NOTHING = "(nothing)"
PLAIN = re.compile(r"[^.\[\]\"]+")


@dataclass(frozen=True, slots=True)
class Leg:
    """One way to run a configuration: the options of every command, and the engine that holds what it starts.

    ``library`` says that Llama Stack is inside Lightspeed Core, whatever the configuration says.
    """

    name: str
    engine: str
    options: tuple[str, ...] = ()
    library: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a leg did at one assertion: a value to compare, what is wrong by itself, or why it says nothing.

    ``told`` is a word for people, such as an HTTP status; ``seconds`` is how long it took. ``alike`` is what it
    is worth where it agrees with the others: a failure that all legs share is a failure, and what all refuse
    without a token says nothing.
    """

    value: Any = None
    problem: str = ""
    absent: str = ""
    told: str = ""
    seconds: float = 0.0
    alike: Verdict = "ok"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which a leg says something else than the leg that it is compared with."""

    path: str
    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class Row:
    """One assertion on every leg. ``yardstick`` is the leg that the others are compared with."""

    assertion: str
    seen: Mapping[str, Seen]
    verdicts: Mapping[str, Verdict]
    yardstick: str = ""
    where: str = ""
    differences: Mapping[str, tuple[Difference, ...]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether no leg failed, and none differs."""
        return all(verdict in HOLDS for verdict in self.verdicts.values())


def compare(
    assertions: Sequence[str], legs: Mapping[str, Mapping[str, Seen]], places: Mapping[str, str]
) -> tuple[Row, ...]:
    """A row for each assertion; ``places`` says where in a person's file an assertion stands."""
    missing = Seen(absent="not asked")
    return tuple(
        _row(name, {leg: seen.get(name, missing) for leg, seen in legs.items()}, places.get(name, ""))
        for name in assertions
    )


def _row(assertion: str, seen: Mapping[str, Seen], where: str) -> Row:
    valued = {leg: _canonical(one.value) for leg, one in seen.items() if not one.problem and not one.absent}
    yardstick = _yardstick(valued)
    verdicts = {leg: _verdict(one, valued.get(leg, ""), valued.get(yardstick, "")) for leg, one in seen.items()}
    differences = {
        leg: differing(seen[yardstick].value, seen[leg].value)
        for leg, verdict in verdicts.items()
        if verdict == "differs"
    }
    return Row(assertion, seen, verdicts, yardstick, where, differences)


def _yardstick(valued: Mapping[str, str]) -> str:
    """The first leg of those that say what most say."""
    if not valued:
        return ""
    counts = Counter(valued.values())
    return max(valued, key=lambda leg: counts[valued[leg]])


def _verdict(seen: Seen, own: str, wanted: str) -> Verdict:
    if seen.problem:
        return "failed"
    if seen.absent:
        return "absent"
    return seen.alike if own == wanted else "differs"


def differing(wanted: Any, found: Any) -> tuple[Difference, ...]:
    """Every place at which two values are not the same, in order."""
    ours, theirs = dict(_leaves(wanted, "")), dict(_leaves(found, ""))
    paths = [*ours, *(path for path in theirs if path not in ours)]
    pairs = [(path, ours.get(path, NOTHING), theirs.get(path, NOTHING)) for path in paths]
    return tuple(Difference(*one) for one in pairs if one[1] != one[2])


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, child in value.items():
            yield from _leaves(child, _below(path, str(key)))
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from _leaves(child, f"{path}[{index}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False, default=str)


def _below(path: str, key: str) -> str:
    """A path with one more step, which is in quotes where it would look like others."""
    if not PLAIN.fullmatch(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
