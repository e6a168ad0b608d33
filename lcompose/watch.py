"""What is known of a project while somebody waits: looked at when something happens, asked adaptively."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from lcompose.engines import Engine, EngineEvent
from lcompose.errors import LcomposeError
from lcompose.observe import PATIENCE, ask, run_check, snapshot
from lcompose.readiness import Checked
from lcompose.spec.run import Answer, Container, Gated, GateSpec, Observed
from lcompose.work import Result, Work

# Asking over the network is cheap, so it begins often and slows down; with many services to ask,
# the pauses grow with their number, so that a client that waits for 100 stays below a tenth of a core.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.2
SLOWER = 1.01
MANY, SLOWER_FOR_MANY = 10, 1.5
PAUSE_PER_SERVICE = 0.02
# A check inside costs an engine 100 ms of a core.
FIRST_CHECK = 0.1
CHECK_PAUSE = 0.3
CHECK_SLOWER = 1.6
MOST_CHECKS = 4
MOST_QUESTIONS = 32
# Engines tell when something happens; this is for what they do not tell, and when they cannot.
LOOK_EVERY = 5.0
LOOK_BLINDLY_EVERY = 0.5
# A snapshot may not take all of the machine while a hundred containers start.
LOOK_PAUSE = 0.03
FOLLOW_AGAIN = 1.0
NEVER = float("inf")
# Little is left to say when less than this much of the interval has passed since the last failure.
ALMOST = 0.9

SNAPSHOT, EVENTS, PROBE, CHECK = ("look",), ("events",), "probe", "check"


@dataclass
class _Asked:
    """When one container is asked next, and what came of it. ``run`` is when it was started."""

    run: float
    due: float
    pause: float
    busy: bool = False
    at: float = 0.0
    counted: float = 0.0


@dataclass
class Watch:
    """Keeps a snapshot, the answers to probes and the results of health checks, all without waiting."""

    spec: GateSpec
    engine: Engine
    work: Work
    observed: Observed = field(default_factory=Observed)
    answers: dict[str, Answer] = field(default_factory=dict)
    checked: dict[str, Checked] = field(default_factory=dict)
    trouble: str = ""
    # How many snapshots have been taken; 0 says that nothing is known yet.
    looks: int = 0
    _looking: bool = False
    _dirty: bool = True
    _look_due: float = 0.0
    _blind: bool = True
    _follow_due: float = 0.0
    _asked: dict[tuple[str, str], _Asked] = field(default_factory=dict)
    _exits: dict[str, int] = field(default_factory=dict)

    def know(self, observed: Observed) -> None:
        """Takes a snapshot that somebody else has just made; it is looked again soon, since this one has an age."""
        self.observed, self.looks, self._dirty = observed, 1, False
        self._look_due = self.work.now() + LOOK_BLINDLY_EVERY

    def changed(self) -> None:
        """Says that something was done which a look will show."""
        self._dirty = True

    @property
    def next_look(self) -> int:
        """The number of the look that shows what was done just now: one that goes on may not."""
        return self.looks + (2 if self._looking else 1)

    @property
    def fresh(self) -> bool:
        """Whether nothing has happened since the last look."""
        return not self._dirty and not self._looking

    def take(self, result: Result) -> None:
        """Takes in what came of a call."""
        kind, container = result.key[0], result.key[-1]
        if result.key == SNAPSHOT:
            self._looked(result)
        elif result.key == EVENTS:
            self._happened(result)
        elif kind == PROBE:
            self._answered(container, result)
        elif kind == CHECK:
            self._ran(container, result)

    def tick(self, asking: Collection[str]) -> float:
        """Begins what is due for the services ``asking``; returns when something is due next."""
        now = self.work.now()
        self._follow(now)
        self._look(now)
        dues = [self._ask(service, one, now) for service in self._of(asking) for one in self._running(service)]
        return min([self._look_due if not self._looking else NEVER, *dues])

    # ------------------------------------------------------------ looking

    def _follow(self, now: float) -> None:
        if now >= self._follow_due:
            self._follow_due = NEVER
            self._blind = False
            self.work.follow(EVENTS, lambda: self.engine.events(self.spec.project))

    def _happened(self, result: Result) -> None:
        self._dirty = True
        event = result.value
        if isinstance(event, EngineEvent) and event.action == "die" and event.exit_code:
            self._exits[event.container] = event.exit_code
        if result.value is None:
            # It ended: the engine went away, or cannot tell.
            self._blind = True
            self._follow_due = self.work.now() + FOLLOW_AGAIN

    def _look(self, now: float) -> None:
        if self._looking:
            return
        if self._dirty:
            self._look_due = min(self._look_due, now + LOOK_PAUSE if self.looks else now)
        if now >= self._look_due:
            self._looking, self._dirty = True, False
            self.work.submit(SNAPSHOT, lambda: snapshot(self.engine, self.spec.project))

    def _looked(self, result: Result) -> None:
        self._looking = False
        self._look_due = self.work.now() + (LOOK_BLINDLY_EVERY if self._blind else LOOK_EVERY)
        if isinstance(result.error, LcomposeError):
            self.trouble = result.error.what
            self._blind = True
            self._look_due = self.work.now() + LOOK_BLINDLY_EVERY
        elif result.error:
            raise result.error
        else:
            self.trouble = ""
            self.looks += 1
            self.observed = self._with_exits(result.value)
            self._forget_old_runs()

    def _with_exits(self, observed: Observed) -> Observed:
        """One that runs again reads as if it had never failed: its last exit code is added."""
        return Observed(
            tuple(
                replace(one, exit_code=self._exits[one.id])
                if one.restarts and not one.exit_code and one.state == "running" and one.id in self._exits
                else one
                for one in observed.containers
            )
        )

    def _forget_old_runs(self) -> None:
        """An answer holds for one run of a container: after a restart it is asked again."""
        runs = {one.id: one.started for one in self.observed.containers if one.state == "running"}
        for key, asked in list(self._asked.items()):
            if runs.get(key[1]) != asked.run:
                del self._asked[key]
                self.answers.pop(key[1], None)
                self.checked.pop(key[1], None)

    # ------------------------------------------------------------ asking

    def _of(self, names: Collection[str]) -> list[Gated]:
        return [service for service in self.spec.services if service.name in names]

    def _running(self, service: Gated) -> list[Container]:
        return [one for one in self.observed.of(service.name) if one.state == "running"]

    def _ask(self, service: Gated, one: Container, now: float) -> float:
        """Asks one container if it is due, and says when it is due next."""
        if service.probe:
            kind, first, most = PROBE, 0.0, MOST_QUESTIONS
        elif service.check and service.check.command and one.health not in ("healthy", "unhealthy"):
            kind, first, most = CHECK, FIRST_CHECK, MOST_CHECKS
        else:
            return NEVER
        asked = self._asked.setdefault(
            (kind, one.id), _Asked(one.started, now + first, FIRST_PAUSE if kind == PROBE else CHECK_PAUSE)
        )
        if asked.busy or self._is_fine(kind, one.id):
            return NEVER
        if now < asked.due:
            return asked.due
        if sum(other.busy for key, other in self._asked.items() if key[0] == kind) >= most:
            return now + FIRST_PAUSE
        asked.busy, asked.at = True, now
        self._begin(kind, service, one)
        return NEVER

    def _is_fine(self, kind: str, container: str) -> bool:
        if kind == PROBE:
            return (answer := self.answers.get(container)) is not None and answer.ok
        return (checked := self.checked.get(container)) is not None and checked.last.ok

    def _begin(self, kind: str, service: Gated, one: Container) -> None:
        probe, check = service.probe, service.check
        if kind == PROBE and probe:
            self.work.submit((PROBE, str(one.started), one.id), lambda: ask(self.engine, probe, one, PATIENCE))
        elif check:
            key = (CHECK, service.name, str(one.started), one.id)
            self.work.submit(key, lambda: run_check(self.engine, check, one))

    def _answered(self, container: str, result: Result) -> None:
        asked = self._asked.get((PROBE, container))
        # What comes late may be from an earlier run of the container.
        if asked and result.key[1] == str(asked.run):
            longest = max(LONGEST_PAUSE, PAUSE_PER_SERVICE * len(self.spec.services))
            slower = SLOWER if len(self.spec.services) <= MANY else SLOWER_FOR_MANY
            answer = self.answers[container] = _answer(result)
            # What costs an engine a program inside a container is not asked as often as a port.
            took = min(self.work.now() - asked.at, longest)
            pause = longest if self._waits(container) else max(asked.pause, took)
            self._again(asked, pause, min(asked.pause * slower, longest))
            if answer.ok:
                self._ask_who_waits_for(container)

    def _waits(self, container: str) -> bool:
        """Whether it comes after a service that is not ready yet, so that it hardly can be."""
        names = {name for one in self.observed.containers if one.id == container for name in one.after}
        before = [one for one in self.observed.containers if one.service in names]
        return any((PROBE, one.id) in self._asked and not self._is_fine(PROBE, one.id) for one in before)

    def _ask_who_waits_for(self, container: str) -> None:
        """What comes after a service that is ready now may be ready as well."""
        names = {one.service for one in self.observed.containers if one.id == container}
        for one in self.observed.containers:
            asked = self._asked.get((PROBE, one.id))
            if asked and names.intersection(one.after):
                asked.due, asked.pause = self.work.now(), FIRST_PAUSE

    def _ran(self, container: str, result: Result) -> None:
        asked = self._asked.get((CHECK, container))
        check = self.spec.service(result.key[1]).check
        if not asked or not check or result.key[2] != str(asked.run):
            return
        answer = _answer(result)
        before = self.checked.get(container, Checked(answer))
        failures = 0 if answer.ok else before.failures
        if not answer.ok and self._counts(asked, check.interval, check.start_period):
            asked.counted = self.work.wall()
            failures += 1
        self.checked[container] = Checked(answer, failures)
        self._again(asked, min(asked.pause, check.interval), asked.pause * CHECK_SLOWER)

    def _counts(self, asked: _Asked, interval: float, start_period: float) -> bool:
        """Whether a failure is one that an engine would count: it asks once an interval."""
        now = self.work.wall()
        since = now - max(asked.run, asked.counted)
        return now - asked.run >= start_period and since >= interval * ALMOST

    def _again(self, asked: _Asked, pause: float, next_pause: float) -> None:
        asked.busy = False
        asked.due = self.work.now() + pause
        asked.pause = next_pause


def _answer(result: Result) -> Answer:
    if isinstance(result.error, LcomposeError):
        return Answer(ok=False, detail=result.error.what)
    if result.error:
        raise result.error
    answer: Answer = result.value
    return answer
