"""Which engine a command uses: the one asked for, or the first that answers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from lcompose.engines import Engine
from lcompose.errors import MachineError
from lcompose.spec.target import EngineFacts, EngineName

PREFERENCE: tuple[EngineName, ...] = ("docker", "podman")


def connect(name: EngineName, env: Mapping[str, str]) -> Engine:
    """The engine of that name, whether it answers or not."""
    return cast("Engine", import_module(f"lcompose.engines.{name}").connect(env))


def choose(wanted: EngineName | None, env: Mapping[str, str]) -> tuple[Engine, EngineFacts]:
    """An engine that answers.

    Raises: MachineError that says of each engine what is wrong with it.
    """
    problems = []
    for name in (wanted,) if wanted else PREFERENCE:
        engine = connect(name, env)
        facts = engine.facts()
        if facts.usable:
            return engine, facts
        problems.append(facts)
    raise no_engine(problems)


def holding(project: str, wanted: EngineName | None, env: Mapping[str, str], *, processes: bool = True) -> Engine:
    """The engine that has the project; where none has it, the first that answers.

    With ``processes``, it may also be run by the local one.

    Raises: MachineError when none answers.
    """
    local = connect("local", env)
    if processes and not wanted and local.containers(project):
        return local
    usable: list[Engine] = []
    problems: list[EngineFacts] = []
    for name in (wanted,) if wanted else PREFERENCE:
        engine = connect(name, env)
        facts = engine.facts()
        if facts.usable:
            usable.append(engine)
        else:
            problems.append(facts)
    left_here = processes and not wanted and bool(local.volumes(project))
    if not usable and left_here:
        return local
    if not usable:
        raise no_engine(problems)
    # What runs counts before what was only left behind, such as a volume.
    running = (engine for engine in usable if engine.containers(project))
    left = (engine for engine in usable if engine.networks(project) or engine.volumes(project))
    return next(running, None) or next(left, local if left_here else usable[0])


def no_engine(problems: list[EngineFacts]) -> MachineError:
    """The error that no engine can be used, with each engine's problem and way out."""
    return MachineError(
        what="no container engine can be used: " + "; ".join(one.problem for one in problems),
        fix=" Or: ".join(one.fix for one in problems),
    )
