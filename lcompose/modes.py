"""How a service is run: as a container or as a process of this machine. Decided in one place, and told why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lcompose.errors import MachineError, UsageError
from lcompose.schema import suggestion

Mode = Literal["container", "local"]
# Of a stack: one mode for all its services, or both.
Modes = Literal["container", "local", "mixed"]
# Also the order in which they are taken where nothing else decides.
MODES: tuple[Mode, ...] = ("container", "local")


@dataclass(frozen=True, slots=True)
class Wish:
    """A mode that somebody wants, and who; an empty one is none."""

    who: str
    mode: str


@dataclass(frozen=True, slots=True)
class Ways:
    """What there is to choose from, for one service.

    ``supported`` are the modes that it can be run in. ``allowed`` by the settings are all where none is said;
    ``disabled`` ones are out. ``problems`` say of a mode why it cannot be had here, such as an engine that does
    not answer. ``wishes`` are in the order of their weight. ``unlike`` says why a mode is not supported.
    """

    service: str
    supported: Sequence[str]
    allowed: Sequence[str] = ()
    disabled: Sequence[str] = ()
    wishes: Sequence[Wish] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    unlike: str = ""


@dataclass(frozen=True, slots=True)
class Selected:
    """The mode of a service, a line for each thing that decided, and the wish that could not be met, if any."""

    mode: Mode
    trace: tuple[str, ...]
    unmet: Wish | None = None


def select(ways: Ways) -> Selected:
    """The mode of a service: the first wish that can be met, else the first mode that is left.

    Raises: UsageError for a mode that there is not, and where the settings leave none; MachineError where only
    this machine stands in the way.
    """
    _refuse_unknown(ways)
    left = dict(_out_of_the_way(ways))
    trace = [f"{mode} is out: {reason}" for mode, reason in left.items() if reason]
    possible = [mode for mode in MODES if not left[mode]]
    if not possible:
        raise _none_left(ways, trace)
    unmet: Wish | None = None
    for wish in (one for one in ways.wishes if one.mode):
        if wish.mode in possible:
            told = f"{wish.mode} is taken: {wish.who}"
            return Selected(wish.mode, (*trace, told), unmet)
        unmet = unmet or wish
        trace.append(f"{wish.mode} is wanted, and cannot be: {wish.who}")
    return Selected(possible[0], (*trace, f"{possible[0]} is taken: it is the first that is left"), unmet)


def _refuse_unknown(ways: Ways) -> None:
    wanted = [one.mode for one in ways.wishes if one.mode]
    for mode in (*ways.supported, *ways.allowed, *ways.disabled, *wanted):
        if mode not in MODES:
            what = f"no runtime is called {mode[:40]!r}"
            raise UsageError(what, ways.service, suggestion(mode, list(MODES)))


def _out_of_the_way(ways: Ways) -> Iterable[tuple[str, str]]:
    """Every mode, with why it is out, or nothing."""
    for mode in MODES:
        why = f": {ways.unlike}" if ways.unlike else ""
        reasons = (
            (mode not in ways.supported, f"{ways.service} cannot be run so{why}"),
            (bool(ways.allowed) and mode not in ways.allowed, "runtimes.allowed does not have it"),
            (mode in ways.disabled, "runtimes.disabled has it"),
            (bool(ways.problems.get(mode)), ways.problems.get(mode, "")),
        )
        yield mode, next((reason for holds, reason in reasons if holds), "")


def _none_left(ways: Ways, trace: Sequence[str]) -> UsageError | MachineError:
    what = f"{ways.service} can be run neither as a container nor as a process of this machine"
    if any(ways.problems.values()):
        return MachineError(what, "runtime", "Mend one of these.", tuple(trace))
    return UsageError(what, "runtime", "Change runtimes.allowed or runtimes.disabled.", tuple(trace))
