"""What an observation of a service means: one pure table of rules, read from the top."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from lcompose.keeper import ENDED_BY
from lcompose.spec.run import Answer, Container, Gated

KILLED = 137
NOT_YET = ("created", "configured", "initialized", "starting", "removing")
ENDED = ("exited", "stopped", "dead")
# Seconds in which an engine may still start an ended container again, as its policy says.
REVIVAL = 10.0
LONGEST_TOLD = 100
# What engines say when a check's program is not in the image, and the program's name. Programs that
# look for a file say "stat /run/ready: no such file" themselves, so "exec:" must stand before it.
MISSING = (
    re.compile(
        r"exec: [\"'`]?(?P<program>[^\"'`:\s]+)[\"'`]?: (?:executable|(?:stat \S+ )?no such) file", re.IGNORECASE
    ),
    re.compile(r"executable file [\"'`](?P<program>[^\"'`\s]+)[\"'`] not found", re.IGNORECASE),
)
# What shells say; a script of somebody's, "check.sh: line 2: …", may go on with another program.
SHELL = re.compile(r"(?:^|[\s/])[a-z]*sh: (?:line )?(?:\d+: )?(?P<program>[^\s:]+): (?:command )?not found")
# A command that tries another program when the first is not there.
ALTERNATIVE = re.compile(r"\|\|(?!\s*(?:exit|false|kill)\b)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``waiting``, ``ready``, ``done`` (a one-shot that did its job) or ``failed``, and why."""

    state: Literal["waiting", "ready", "done", "failed"]
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What our own runs of a health check found in one container: the last, and failures in a row."""

    last: Answer
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of one service at one moment.

    ``answers`` are those to its probe and ``checked`` its health checks, by container. ``now`` is in
    seconds since 1970. ``waits_for`` says what it is not started before, ``refused``, by container,
    why an engine could not start it. ``most_restarts`` is the number of restarts, by container, that
    makes a crash loop. ``never_healthy`` says that somebody still waits for it to become healthy.
    """

    service: Gated
    containers: tuple[Container, ...]
    answers: Mapping[str, Answer] = field(default_factory=dict)
    checked: Mapping[str, Checked] = field(default_factory=dict)
    now: float = 0.0
    stability: float = 0.0
    waits_for: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    most_restarts: Mapping[str, int] = field(default_factory=dict)
    never_healthy: bool = False


Rule: TypeAlias = Callable[[Observation], Verdict | None]


def judge(observation: Observation) -> Verdict:
    """The verdict of the first rule that has one."""
    for rule in RULES:
        verdict = rule(observation)
        if verdict:
            return verdict
    return Verdict("waiting", "starting")


def _none_wanted(seen: Observation) -> Verdict | None:
    return Verdict("done", "scaled to 0") if seen.service.replicas == 0 else None


def _no_container(seen: Observation) -> Verdict | None:
    if len(seen.containers) >= seen.service.replicas:
        return None
    if not seen.containers:
        return Verdict("failed", "it has no container: something removed it")
    gone = seen.service.replicas - len(seen.containers)
    return Verdict("failed", f"{gone} of its {seen.service.replicas} containers are gone: something removed them")


def _ordered(seen: Observation) -> Verdict | None:
    return Verdict("waiting", seen.waits_for) if seen.waits_for else None


def _refused(seen: Observation) -> Verdict | None:
    for one in seen.containers:
        told = one.error if one.state in (*NOT_YET, *ENDED) and one.error not in ENDED_BY else ""
        why = seen.refused.get(one.id) or told
        if why and one.state != "running":
            return Verdict("failed", f"it could not be started: {why}")
    return None


def _ended(seen: Observation) -> Verdict | None:
    ended = [one for one in seen.containers if one.state in ENDED]
    for one in ended:
        if _comes_back(one, seen):
            return Verdict("waiting", f"{ending(one)}, and is to be started again")
        if not _did_its_job(one, seen.service):
            return Verdict("failed", f"{ending(one)}{f', after {one.restarts} restarts' if one.restarts else ''}")
    if not ended or len(ended) < len(seen.containers):
        return None
    if seen.never_healthy:
        return Verdict("failed", "it ended (exit code 0) before it was healthy")
    return Verdict("done", "it did its job (exit code 0)")


def _comes_back(one: Container, seen: Observation) -> bool:
    """Whether its engine may still start it again: between two runs it reads as ended."""
    if one.error in ENDED_BY:
        return False  # whoever would start it is gone
    policy = one.restart if one.restart != "no" else seen.service.restart
    left = not one.most_restarts or one.restarts < one.most_restarts
    again = policy in ("always", "unless-stopped") or (policy == "on-failure" and one.exit_code != 0 and left)
    return again and seen.now - one.finished < REVIVAL


def _did_its_job(one: Container, service: Gated) -> bool:
    if one.exit_code != 0 or one.started == 0.0 or one.state == "dead":
        return False
    if service.role:
        return service.role == "oneshot"
    return service.probe is None and service.restart in ("no", "on-failure", "")


def _crash_loop(seen: Observation) -> Verdict | None:
    """Engines count restarts for ever: what answers now has got over them."""
    if _is_fine(seen):
        return None
    for one in seen.containers:
        if one.restarts >= seen.most_restarts.get(one.id, one.restarts + 1):
            last = "" if one.state == "running" and not one.exit_code else f", {ending(one)}"
            return Verdict("failed", f"it keeps dying: {one.restarts} restarts{last}")
    return None


def _is_fine(seen: Observation) -> bool:
    if not all(one.state == "running" for one in seen.containers):
        return False
    if seen.service.probe:
        return all((answer := seen.answers.get(one.id)) is not None and answer.ok for one in seen.containers)
    return bool(_has_check(seen.service)) and all(_healthy(one, seen) for one in seen.containers)


def _not_running(seen: Observation) -> Verdict | None:
    for one in seen.containers:
        if one.state in NOT_YET:
            return Verdict("waiting", "not started yet")
        if one.state == "restarting":
            return Verdict("waiting", f"restarting: {ending(one)}")
        if one.state == "paused":
            return Verdict("waiting", "somebody paused it")
        if one.state not in ("running", *ENDED):
            return Verdict("waiting", one.state)
    return None


def _degraded(seen: Observation) -> Verdict | None:
    """LCORE decides once, when it starts, that it is degraded, and never looks again."""
    answers = [answer for one in seen.containers if (answer := seen.answers.get(one.id))]
    if any("overall_status: degraded" in answer.detail for answer in answers):
        return Verdict("failed", "degraded: it started without Llama Stack, and stays so until it is restarted")
    return None


def _probed(seen: Observation) -> Verdict | None:
    if seen.service.probe is None:
        return None
    answers = [seen.answers.get(one.id) for one in seen.containers]
    for answer in answers:
        if answer is None:
            return Verdict("waiting", "not asked yet")
        if not answer.ok:
            return Verdict("waiting", answer.detail)
    return Verdict("ready", answers[0].detail if answers and answers[0] else "")


def _checked(seen: Observation) -> Verdict | None:
    if not _has_check(seen.service):
        return None
    running = [one for one in seen.containers if one.state == "running"]
    verdicts = [_check_of(one, seen) for one in running]
    for state in ("failed", "waiting"):
        for verdict in verdicts:
            if verdict.state == state:
                return verdict
    return Verdict("ready", "its health check passes")


def _check_of(one: Container, seen: Observation) -> Verdict:
    if _healthy(one, seen):
        return Verdict("ready", "healthy")
    own = seen.checked.get(one.id)
    said = (own.last.detail if own else "") or one.health_output
    check = seen.service.check
    missing = (own.last.missing if own else "") or missing_program(one.health_output, check.command if check else ())
    if missing:
        return Verdict("failed", f"its health check cannot run: {missing}: not found in the image")
    if one.health == "unhealthy" or (own and check and own.failures >= check.retries):
        budget = f" ({check.retries} checks in a row, {check.interval:g} s apart, failed)" if check else ""
        return Verdict("failed", f"unhealthy{budget}: {said or 'its health check says nothing'}")
    return Verdict("waiting", f"its health check fails: {_tail(said)}" if said else "not healthy yet")


def _tail(said: str) -> str:
    """The end of what a check says, where it is said again and again: that of a traceback tells most."""
    return said if len(said) <= LONGEST_TOLD else f"…{said[-LONGEST_TOLD:]}"


def _healthy(one: Container, seen: Observation) -> bool:
    own = seen.checked.get(one.id)
    return one.health == "healthy" or bool(own and own.last.ok)


def _has_check(service: Gated) -> bool:
    return bool(service.check and service.check.command and not service.unchecked)


def _stable(seen: Observation) -> Verdict | None:
    """Without any check: it must have run for a while, all of it, and not have been restarted."""
    running = [one for one in seen.containers if one.state == "running"]
    if not running:
        return None
    if seen.service.role == "oneshot":
        return Verdict("waiting", "it is at its job")
    ran = min(seen.now - one.started for one in running)
    if ran < seen.stability:
        return Verdict("waiting", f"runs; has no health check, so it is watched for {seen.stability:g} s")
    return Verdict("ready", "it runs (it has no health check)")


RULES: tuple[Rule, ...] = (
    _none_wanted,
    _no_container,
    _ordered,
    _refused,
    _crash_loop,
    _ended,
    _not_running,
    _degraded,
    _probed,
    _checked,
    _stable,
)


def ending(container: Container) -> str:
    """How a container ended, for people."""
    if container.error in ENDED_BY:
        return f"{container.error}, so it and all that it started were ended (exit code {container.exit_code})"
    if container.oom_killed or container.exit_code == KILLED:
        return f"it was killed (exit code {container.exit_code}), perhaps out of memory"
    if container.error:
        return f"it exited with code {container.exit_code}: {container.error}"
    return f"it exited with code {container.exit_code}"


def missing_program(said: str, command: Sequence[str] = ()) -> str:
    """The program that a health check misses, by what it printed; nothing if that is not certain."""
    patterns = MISSING if ALTERNATIVE.search(" ".join(command)) else (*MISSING, SHELL)
    for pattern in patterns:
        if match := pattern.search(said):
            return match["program"]
    return ""
