"""What an observation of a service means: one pure table of rules, read from the top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lcompose.spec.run import Answer, Container, Gated

MOST_RESTARTS = 3
KILLED = 137
NOT_YET = ("created", "configured", "initialized", "starting", "removing")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``waiting``, ``ready`` or ``failed``, and a line for people that says why."""

    state: Literal["waiting", "ready", "failed"]
    reason: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of one service at one moment; ``answer`` is None when nothing was asked."""

    service: Gated
    containers: tuple[Container, ...]
    answer: Answer | None


Rule: TypeAlias = Callable[[Observation], Verdict | None]


def judge(observation: Observation) -> Verdict:
    """The verdict of the first rule that has one."""
    for rule in RULES:
        verdict = rule(observation)
        if verdict:
            return verdict
    return Verdict("waiting", "starting")


def _no_container(seen: Observation) -> Verdict | None:
    return None if seen.containers else Verdict("failed", "it has no container: something removed it")


def _ended(seen: Observation) -> Verdict | None:
    for container in seen.containers:
        if container.state in ("exited", "stopped", "dead"):
            return Verdict("failed", ending(container))
    return None


def _crash_loop(seen: Observation) -> Verdict | None:
    """Engines count restarts for ever: what answers now has got over them."""
    if seen.answer and seen.answer.ok:
        return None
    for container in seen.containers:
        if container.restarts >= MOST_RESTARTS:
            last = "" if container.state == "running" else f", {ending(container)}"
            return Verdict("failed", f"it keeps dying: {container.restarts} restarts{last}")
    return None


def _not_started(seen: Observation) -> Verdict | None:
    for container in seen.containers:
        if container.error:
            return Verdict("failed", f"it could not be started: {container.error}")
        if container.state in NOT_YET:
            return Verdict("waiting", "not started yet")
        if container.state != "running":
            return Verdict("waiting", container.state)
    return None


def _degraded(seen: Observation) -> Verdict | None:
    """LCORE decides once, when it starts, that it is degraded, and never looks again."""
    if seen.answer and "overall_status: degraded" in seen.answer.detail:
        return Verdict("failed", "degraded: it started without Llama Stack, and stays so until it is restarted")
    return None


def _answered(seen: Observation) -> Verdict | None:
    if seen.service.probe is None:
        return Verdict("ready", "running")
    if seen.answer and seen.answer.ok:
        return Verdict("ready", seen.answer.detail)
    return Verdict("waiting", seen.answer.detail if seen.answer else "not asked yet")


RULES: tuple[Rule, ...] = (_no_container, _ended, _crash_loop, _not_started, _degraded, _answered)


def ending(container: Container) -> str:
    """How a container ended, for people."""
    if container.oom_killed or container.exit_code == KILLED:
        return f"it was killed (exit code {container.exit_code}), perhaps out of memory"
    if container.error:
        return f"it exited with code {container.exit_code}: {container.error}"
    return f"it exited with code {container.exit_code}"
