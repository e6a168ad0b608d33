"""Says whether a machine can run a stack: facts in, findings out. Each check is a small function in a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from lcompose.doctor import engines, gpus, programs, room, stack, surroundings
from lcompose.doctor.facts import STATES, Diagnosis, Facts, State

Check: TypeAlias = Callable[[Facts], Iterator[Diagnosis]]

# By area, in the order in which they are told.
CHECKS: Mapping[str, tuple[Check, ...]] = {
    "engines": (
        engines.some_engine,
        engines.answers,
        engines.properties,
        engines.elsewhere,
        engines.limits,
        engines.health,
        engines.clocks,
    ),
    "gpus": (
        gpus.hardware,
        gpus.asked_for,
        gpus.drivers,
        gpus.toolkits,
        gpus.restarts,
        gpus.specifications,
        gpus.folders,
        gpus.snap,
        gpus.groups,
        gpus.kept_groups,
    ),
    "stack": (
        stack.configuration,
        stack.rendering,
        stack.variables,
        programs.needs,
        stack.ports,
        stack.images,
        stack.logins,
        stack.labels,
    ),
    "room": (room.disks, room.memory, room.on_the_processor, room.state),
    "surroundings": (surroundings.proxies, surroundings.clock),
}


def examine(facts: Facts) -> dict[str, tuple[Diagnosis, ...]]:
    """Everything that was looked at, by area."""
    return {area: tuple(one for check in checks for one in check(facts)) for area, checks in CHECKS.items()}


def summary(found: Iterable[Diagnosis]) -> dict[State, int]:
    """How many findings there are of each state."""
    states = [one.state for one in found]
    return {state: states.count(state) for state in STATES}
