"""Which engine a command uses: the one asked for, or the first that answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from lcompose.engines import Engine
from lcompose.errors import MachineError, UsageError
from lcompose.spec.target import EngineFacts, EngineName

if TYPE_CHECKING:
    from lcompose.engines.local import Local

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


def holding(
    project: str,
    wanted: EngineName | None,
    env: Mapping[str, str],
    *,
    processes: bool = True,
    mixed: bool = True,
) -> Engine:
    """The engine that has the project; where none has it, the first that answers.

    With ``processes``, it may also be run by the local one; with ``mixed``, by that and a container engine together.

    Raises: MachineError when none answers.
    """
    local = _local(env)
    for name in local.beside(project) if mixed else ():
        if wanted in (None, "local", name):
            return _mixed(choose(name, env)[0], local)
    if processes and not wanted and local.containers(project):
        return local
    left_here = processes and not wanted and bool(local.volumes(project))
    engine = _holding(project, wanted, env, local if left_here else None)
    return _mixed(engine, local) if mixed and local.kept_beside(project) == engine.name else engine


def _holding(project: str, wanted: EngineName | None, env: Mapping[str, str], otherwise: Engine | None) -> Engine:
    usable: list[Engine] = []
    problems: list[EngineFacts] = []
    for name in (wanted,) if wanted else PREFERENCE:
        engine = connect(name, env)
        facts = engine.facts()
        if facts.usable:
            usable.append(engine)
        else:
            problems.append(facts)
    if not usable and otherwise:
        return otherwise
    if not usable:
        raise no_engine(problems)
    # What runs counts before what was only left behind, such as a volume.
    running = (engine for engine in usable if engine.containers(project))
    left = (engine for engine in usable if engine.networks(project) or engine.volumes(project))
    return next(running, None) or next(left, otherwise or usable[0])


def beside(engine: Engine, project: str, services: Iterable[str], env: Mapping[str, str]) -> Engine:
    """A container engine with this machine's processes, where some of the project's are there or are to be."""
    local = _local(env)
    names = frozenset(services)
    return _mixed(engine, local, names) if names or local.containers(project) else engine


def refuse_another(project: str, wanted: EngineName, env: Mapping[str, str]) -> None:
    """Stops where processes of a project run beside the containers of another engine, which would be left alone.

    Raises: UsageError.
    """
    for name in _local(env).beside(project):
        if name != wanted:
            now = "only processes" if wanted == "local" else f"containers of {wanted}"
            what = f"{project} has processes beside containers of {name}, and now there are to be {now}"
            raise UsageError(what, "runtime", f"Take it down first: lcompose down -p {project}")


def _mixed(engine: Engine, local: Local, services: Iterable[str] = ()) -> Engine:
    from lcompose.engines.mixed import Mixed

    return Mixed(engine, local, services)


def _local(env: Mapping[str, str]) -> Local:
    from lcompose.engines.local import Local

    return Local(env)


def no_engine(problems: list[EngineFacts]) -> MachineError:
    """The error that no engine can be used, with each engine's problem and way out."""
    return MachineError(
        what="no container engine can be used: " + "; ".join(one.problem for one in problems),
        fix=" Or: ".join(one.fix for one in problems),
    )
