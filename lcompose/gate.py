"""The gate: starts services in our order, waits until all are ready, or says which is not and why.

It always ends. Every call to the engine is made beside it, so that one that hangs holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lcompose.columns import aligned
from lcompose.engines import Engine
from lcompose.errors import LcomposeError, NotReadyError
from lcompose.lifecycle import State, may_follow, observed_state
from lcompose.readiness import ENDED as OVER
from lcompose.readiness import NOT_YET, Observation, Verdict, judge
from lcompose.reasons import HEADER, heard, last_words, quoted, row
from lcompose.spec.events import Event
from lcompose.spec.project import Dependency
from lcompose.spec.run import Container, Gated, GateSpec, Observed
from lcompose.spec.secrets import Secrets
from lcompose.watch import Watch
from lcompose.work import Result, Work

TELL_EVERY = 1.0
# So many restarts in a row make a crash loop.
MOST_RESTARTS = 3
# Seconds in which a service may die as often as it likes, as long as others are still coming up:
# what it needs may be among them.
FORGIVING = 15.0
# Starts side by side: engines take 0.2 s of a core for one, and a hundred at once outlast their deadline.
MOST_STARTS = 8
MOST_TOLD = 10
# Seconds in which the last words of those that failed must be here.
LAST_WORDS = 0.35
# Where only a failure is told, and no deadline is near, they may take longer.
LONGER_WORDS = 3.0
# Verdicts also change with time alone, such as that of a service that must run for a while.
LEAST_OFTEN = 0.25
# What is done beside the waiting (keeping logs), and once more shortly before the deadline.
ASIDE_EVERY = 10.0
ASIDE_BEFORE_END = 1.5
START, ASIDE = "start", ("aside",)
ENDED: Mapping[str, State] = {"ready": "ready", "done": "offline", "failed": "error"}


@dataclass
class _Track:
    """What the gate knows of one service beside what is observed."""

    begun: bool = False
    at: float = 0.0
    # By container: why it could not be started, as the look ``shown_by`` is to show.
    trouble: dict[str, str] = field(default_factory=dict)
    shown_by: int = 0
    # By container: which run of it was the last when it was told to start.
    ordered: dict[str, float] = field(default_factory=dict)
    healthy: bool = False
    shown: str = ""
    verdict: Verdict = Verdict("waiting", "not started yet")
    before: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passed:
    """How it ended well: the verdict on each service, and the one-shots that did their job, by id."""

    verdicts: Mapping[str, Verdict]
    done: tuple[str, ...]
    observed: Observed


class Gate:
    """One wait. ``done`` are containers that are not started again; ``aside`` is done now and then."""

    def __init__(
        self,
        spec: GateSpec,
        engine: Engine,
        work: Work,
        secrets: Secrets,
        *,
        deadline: float,
        done: frozenset[str] = frozenset(),
        begun: float | None = None,
        observed: Observed | None = None,
        aside: Callable[[Observed], Any] | None = None,
    ) -> None:
        self.spec, self.engine, self.work, self.secrets = spec, engine, work, secrets
        self.deadline, self.done, self.aside = deadline, done, aside
        self.begun = work.now() if begun is None else begun
        self.watch = Watch(spec, engine, work)
        if observed is not None:
            self.watch.know(observed)
        self._tracks = {service.name: _Track() for service in spec.services}
        dependencies = [one for service in spec.services for one in service.depends]
        # They must do their job; that they run, or are healthy, is not enough.
        self._adopted = {one.service for one in dependencies if one.condition == "completed"}
        self._adopted |= {service.name for service in spec.services if service.role == "oneshot"}
        # Containers that may be started, by service, and how many starts are going on.
        self._queue: list[tuple[str, str]] = []
        self._starting = 0
        self._told = work.now()
        self._aside_due = min(self.begun + ASIDE_EVERY, deadline - ASIDE_BEFORE_END)
        self.passed: Passed | None = None

    def run(self) -> Iterator[Event]:
        """Yields what changes until all services are ready; then ``passed`` is set.

        Raises: NotReadyError with a table of reasons when one failed or the deadline passed.
        """
        due = self.work.now()
        while True:
            for result in self.work.wait(min(due, self.deadline, self.work.now() + LEAST_OFTEN) - self.work.now()):
                self._take(result)
            if self.watch.looks:
                self._judge()
            yield from self._changes()
            self._end_if_over()
            if self.passed:
                return
            due = self.watch.tick(self._to_ask())
            if self.watch.looks:
                yield from self._start_what_may()
            self._start_queued()
            yield from self._still_waiting()
            self._do_aside()

    # ------------------------------------------------------------ judging

    def _judge(self) -> None:
        others = [name for name, track in self._tracks.items() if self._is_coming_up(name, track)]
        for service in self.spec.services:
            track = self._tracks[service.name]
            containers = self.watch.observed.of(service.name)
            self._count_restarts(track, containers, alone=not [name for name in others if name != service.name])
            verdict = judge(self._observation(service, track, containers))
            if verdict.state == "failed" and self._is_optional(service.name):
                verdict = Verdict("done", f"left out, since nobody requires it: {verdict.reason}")
            track.healthy = track.healthy or verdict.state == "ready"
            track.verdict = verdict

    def _observation(self, service: Gated, track: _Track, containers: tuple[Container, ...]) -> Observation:
        return Observation(
            service,
            containers,
            self.watch.answers,
            self.watch.checked,
            now=self.work.wall(),
            stability=self.spec.stability,
            waits_for=self._reason_to_wait(service, track, containers),
            refused=self._refused(track),
            most_restarts={one: count + MOST_RESTARTS for one, count in track.before.items()},
            never_healthy=not track.healthy and self._is_awaited(service.name),
        )

    def _refused(self, track: _Track) -> Mapping[str, str]:
        """Why containers could not be started, once a look could have shown that they run all the same."""
        return track.trouble if self.watch.looks >= track.shown_by else {}

    def _is_coming_up(self, name: str, track: _Track) -> bool:
        restarts = sum(one.restarts for one in self.watch.observed.of(name))
        return track.begun and track.verdict.state == "waiting" and not restarts

    def _count_restarts(self, track: _Track, containers: Sequence[Container], *, alone: bool) -> None:
        """Restarts count from when nothing else is coming up that it may have needed, or from the start."""
        forgiven = not alone and self.work.now() - track.at < FORGIVING
        for one in containers:
            if forgiven or one.id not in track.before:
                track.before[one.id] = one.restarts

    def _is_optional(self, name: str) -> bool:
        """Whether somebody depends on it, and everybody who does can do without."""
        edges = [one for service in self.spec.services for one in service.depends if one.service == name]
        return bool(edges) and not any(one.required for one in edges)

    def _is_awaited(self, name: str) -> bool:
        return any(
            one.service == name and one.condition == "healthy" and one.required and not self._tracks[service.name].begun
            for service in self.spec.services
            for one in service.depends
        )

    def _end_if_over(self) -> None:
        """Sets ``passed``, or raises what is wrong."""
        verdicts = {name: track.verdict for name, track in self._tracks.items()}
        if any(verdict.state == "failed" for verdict in verdicts.values()):
            raise self._not_ready("a service failed")
        if all(self._is_over(name) for name in verdicts) and (self.watch.fresh or not verdicts):
            self.passed = Passed(verdicts, self.ended_well(), self.watch.observed)
        elif self.work.now() >= self.deadline:
            raise self._not_ready(f"it was not ready within {self.spec.timeout:g} s")

    def ended_well(self) -> tuple[str, ...]:
        """The one-shots that did their job until now, by container."""
        ended = [one for one in self.watch.observed.containers if one.state in OVER and one.exit_code == 0]
        done = [name for name, track in self._tracks.items() if track.verdict.state == "done"]
        return tuple(one.id for one in ended if one.service in done and not one.oneoff)

    def _is_over(self, name: str) -> bool:
        state = self._tracks[name].verdict.state
        return state == "done" or (state == "ready" and name not in self._adopted)

    def _to_ask(self) -> list[str]:
        return [
            name
            for name, track in self._tracks.items()
            if track.verdict.state == "waiting" and (track.begun or self._runs(name))
        ]

    # ------------------------------------------------------------ starting

    def _start_what_may(self) -> Iterator[Event]:
        for service in self.spec.services:
            track = self._tracks[service.name]
            if track.begun or not all(self._is_met(one) for one in service.depends):
                continue
            track.begun, track.at = True, self.work.now()
            idle = [one for one in self.watch.observed.of(service.name) if self._must_start(one)]
            track.ordered |= {one.id: one.started for one in idle}
            self._queue += [(service.name, one.id) for one in idle]
            if idle:
                track.verdict = Verdict("waiting", "starting")
                yield self._shown(track, service.name, "starting", "")

    def _start_queued(self) -> None:
        while self._queue and self._starting < MOST_STARTS:
            name, container = self._queue.pop(0)
            self._starting += 1
            self.work.submit((START, name, container), partial(self.engine.start, container))

    def _must_start(self, one: Container) -> bool:
        if one.id in self.done or one.state in ("running", "restarting", "starting"):
            return False
        state = observed_state(one)
        if not may_follow(state, "starting"):
            self._tracks[one.service].trouble[one.id] = f"it is {one.state}"
            return False
        return True

    def _take(self, result: Result) -> None:
        """What came of a call: ours are the starts, and what is done aside."""
        if result.key == ASIDE:
            now, last = self.work.now(), self.deadline - ASIDE_BEFORE_END
            self._aside_due = min(now + ASIDE_EVERY, last) if now < last else float("inf")
        elif result.key[0] == START:
            self._started(result)
        else:
            self.watch.take(result)

    def _started(self, result: Result) -> None:
        self._starting -= 1
        self.watch.changed()
        if isinstance(result.error, LcomposeError):
            track = self._tracks[result.key[1]]
            track.trouble[result.key[2]], track.shown_by = result.error.what, self.watch.next_look
        elif result.error:
            raise result.error

    def _do_aside(self) -> None:
        aside, observed = self.aside, self.watch.observed
        if aside and self.work.now() >= self._aside_due:
            self._aside_due = float("inf")
            self.work.submit(ASIDE, lambda: aside(observed))

    def _is_met(self, dependency: Dependency) -> bool:
        """Whether another service has come so far; one that is left out holds nobody up."""
        track = self._tracks.get(dependency.service)
        if track is None or (track.verdict.state == "done" and not dependency.required):
            return True
        if dependency.condition == "completed":
            return track.verdict.state == "done"
        if dependency.condition == "healthy":
            return track.healthy or not self.spec.service(dependency.service).replicas
        return track.begun and (self._runs(dependency.service) or track.verdict.state == "done")

    def _runs(self, name: str) -> bool:
        found = self.watch.observed.of(name)
        return bool(found) and all(one.state == "running" for one in found)

    def _reason_to_wait(self, service: Gated, track: _Track, containers: Sequence[Container]) -> str:
        """Why nothing can be said of it yet; nothing where its containers speak for themselves."""
        if track.begun:
            return "starting" if any(self._is_as_before(one, track) for one in containers) else ""
        if self._runs(service.name) or (containers and all(one.id in self.done for one in containers)):
            return ""
        words = {"started": "is started", "healthy": "is healthy", "completed": "has done its job"}
        left = [f"{one.service} {words[one.condition]}" for one in service.depends if not self._is_met(one)]
        return f"waits until {' and '.join(left)}" if left else "not started yet"

    def _is_as_before(self, one: Container, track: _Track) -> bool:
        """Whether what is seen of it is still from before it was told to start."""
        same = track.ordered.get(one.id) == one.started
        return same and one.state in (*OVER, *NOT_YET) and one.id not in self._refused(track)

    # ------------------------------------------------------------ telling

    def _changes(self) -> Iterator[Event]:
        for name, track in self._tracks.items():
            state, cause = self._state(name, track)
            if state == track.shown or (track.verdict.state == "waiting" and not track.begun):
                continue
            if track.shown == "ready" and state in ("warming", "starting"):
                cause = f"no longer ready: {track.verdict.reason}"
            if state == "starting" and not track.shown:
                continue  # told when it is commanded
            yield self._shown(track, name, state, cause)

    def _state(self, name: str, track: _Track) -> tuple[str, str]:
        if track.verdict.state in ENDED:
            return ENDED[track.verdict.state], track.verdict.reason
        if track.begun and self._runs(name):
            return "warming" if track.ordered else track.shown, ""
        return ("starting", "") if track.begun else ("offline", "")

    def _shown(self, track: _Track, name: str, state: str, cause: str) -> Event:
        track.shown = state
        return Event("state", name, state, self.work.now() - self.begun, cause)

    def _still_waiting(self) -> Iterator[Event]:
        now = self.work.now()
        if now - self._told < TELL_EVERY:
            return
        self._told = now
        if self.watch.trouble:
            yield Event("waiting", "engine", self.watch.trouble, now - self.begun)
        left = [(name, track) for name, track in self._tracks.items() if track.verdict.state == "waiting"]
        for name, track in left[:MOST_TOLD]:
            yield Event("waiting", name, track.verdict.reason, now - self.begun)
        if len(left) > MOST_TOLD:
            yield Event("waiting", f"and {len(left) - MOST_TOLD} more", "not ready yet", now - self.begun)

    def _not_ready(self, why: str) -> NotReadyError:
        rows = [
            row(service.name, one, self._tracks[service.name].verdict)
            for service in self.spec.services
            for one in self.watch.observed.of(service.name) or (None,)
        ]
        lines = aligned([HEADER, *rows])
        if self.watch.trouble:
            lines.append(f"the engine: {self.watch.trouble}")
        late = self.work.now() + LONGER_WORDS > self.deadline
        guilty = self._guilty()
        words = last_words(guilty, self.engine, self.work, LAST_WORDS if late else LONGER_WORDS)
        lines += quoted(guilty, words)
        reasons = {name: track.verdict.reason for name, track in self._tracks.items()}
        return NotReadyError(
            what=f"the stack is not ready: {why}",
            where=self.spec.project,
            fix=f"Read the lines above; 'lcompose logs -p {self.spec.project}' has all of them, 'lcompose down "
            f"-p {self.spec.project}' takes the rest down.",
            details=tuple(self.secrets.redact("\n".join(lines)).splitlines()),
            heard=tuple(replace(one, text=self.secrets.redact(one.text)) for one in heard(guilty, words, reasons)),
        )

    def _guilty(self) -> list[Container]:
        """Those that failed, or that time ran out for; one that only waits for them has nothing to say."""
        by_state: dict[str, list[Container]] = {"failed": [], "waiting": []}
        for name, track in self._tracks.items():
            if track.verdict.state in by_state and (track.begun or track.verdict.state == "failed"):
                by_state[track.verdict.state] += self.watch.observed.of(name)
        return by_state["failed"] or by_state["waiting"]
