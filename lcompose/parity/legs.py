"""The legs that can be named, and what each needs of a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lcompose.errors import UsageError
from lcompose.parity import Leg
from lcompose.schema import suggestion

LEGS: Mapping[str, Leg] = {
    one.name: one
    for one in (
        Leg("container:docker", "docker", ("--runtime", "container", "--engine", "docker")),
        Leg("container:podman", "podman", ("--runtime", "container", "--engine", "podman")),
        Leg("local", "local", ("--runtime", "local")),
        Leg("library", "", ("--runtime", "container"), library=True),
    )
}
FEWEST = 2
HOW = f"Name at least two of {', '.join(LEGS)}, with commas between them."


def named(text: str) -> tuple[Leg, ...]:
    """The legs that a person names, with commas between them.

    Raises: UsageError.
    """
    names = [one.strip() for one in text.split(",") if one.strip()]
    for name in names:
        if name not in LEGS:
            raise UsageError(f"no leg is called {name[:40]!r}", "--legs", suggestion(name, list(LEGS)))
    if len(set(names)) != len(names):
        raise UsageError("a leg is named twice", "--legs", HOW)
    if len(names) < FEWEST:
        raise UsageError("one leg has nothing to be compared with", "--legs", HOW)
    return tuple(LEGS[name] for name in names)


def own_options(given: Sequence[tuple[str, str]], legs: Sequence[Leg]) -> Mapping[str, tuple[str, ...]]:
    """Settings of one leg alone, as options of its commands.

    Raises: UsageError.
    """
    known = [leg.name for leg in legs]
    found: dict[str, tuple[str, ...]] = dict.fromkeys(known, ())
    for name, setting in given:
        if name not in found:
            raise UsageError(f"no leg here is called {name[:40]!r}", "--leg-set", suggestion(name, known))
        found[name] = (*found[name], "--set", setting)
    return found


def suffix(leg: Leg) -> str:
    """What the project of a leg is called after the name of them all."""
    return leg.name.rpartition(":")[2]
