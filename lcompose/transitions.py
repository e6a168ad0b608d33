"""From one state to the next: what happens to a project's services, seen from outside while it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lcompose.bundle import is_held
from lcompose.engines import Engine, EngineEvent
from lcompose.errors import LcomposeError, UsageError
from lcompose.gatespec import STABILITY
from lcompose.lifecycle import State
from lcompose.memory import EVENTS as HISTORY
from lcompose.memory import history, load, record
from lcompose.observe import ask, secrets_of
from lcompose.readiness import ENDED, KILLED, Observation, Verdict, ending, judge
from lcompose.spec.events import Transition
from lcompose.spec.run import Answer, Container, Gated, GateSpec, Observed
from lcompose.spec.secrets import Secrets
from lcompose.standing import spec_of_containers, state_of
from lcompose.watch import EVENTS, SNAPSHOT, Watch
from lcompose.work import Result, Work

# Seconds between two looks at what other commands of ours recorded.
LISTEN_EVERY = 0.5
# Seconds after which a service that was ready is asked again: engines do not tell of one that hangs.
AGAIN_EVERY = 10.0
AGAIN = "again"
# What a service of several containers is said to be: what the first of them in this order is.
WORST: tuple[State, ...] = (
    "error",
    "unloading",
    "offline",
    "pulling",
    "starting",
    "warming",
    "ready",
    "idle",
    "serving",
)
UP = ("ready", "serving", "idle")
# A command says what it is about to do before it can be seen: what is seen then is what was before.
AHEAD: Mapping[str, tuple[State, ...]] = {
    "pulling": ("offline", "warming", "ready", "error"),
    "starting": ("offline",),
    "unloading": ("warming", "ready"),
}
# What an engine's event makes of a container, as far as that is known without another look.
BECOMES: Mapping[str, Callable[[EngineEvent], dict[str, Any]]] = {
    "start": lambda event: {
        "state": "running",
        "exit_code": 0,
        "oom_killed": False,
        "error": "",
        "health": "",
        "started": event.time,
    },
    "die": lambda event: {"state": "exited", "exit_code": event.exit_code or 0, "finished": event.time},
    "oom": lambda _: {"oom_killed": True},
    "pause": lambda _: {"state": "paused"},
    "unpause": lambda _: {"state": "running"},
}


class Transitions:
    """Derives each service's state, again and again, and records whenever one changes."""

    def __init__(self, engine: Engine, project: str, place: Path, work: Work) -> None:
        self.engine, self.project, self.place, self.work = engine, project, place, work
        self.watch = Watch(GateSpec(project, ()), engine, work)
        self._listened = self._mark()
        kept = history(place)
        self._told = set(kept)
        # By service: its state, and since when.
        self._known = {one.service: (one.after, one.time) for one in kept}
        self._now = Observed()
        self._present: set[str] = set()
        self._stopped: set[str] = set()
        self._removed_ids: set[str] = set()
        self._secrets = Secrets({})
        self._due = work.now()
        self._again_due = work.now() + AGAIN_EVERY

    def follow(self, complain: Callable[[str], None]) -> Iterator[Transition]:
        """Transitions as they happen, without an end; ``complain`` is told when the engine is gone."""
        trouble = ""
        while True:
            yield from self._step()
            if self.watch.trouble and not trouble:
                complain(f"The engine cannot be asked, and is tried again: {self.watch.trouble}")
            trouble = self.watch.trouble

    def settle(self, patience: float) -> Iterator[Transition]:
        """Transitions until it is known how each service stands, or ``patience`` seconds have passed."""
        until = self.work.now() + patience
        while self.work.now() < until and not self._is_settled():
            yield from self._step()

    def _is_settled(self) -> bool:
        return bool(self.watch.looks) and not any(self._is_open(one) for one in self.watch.spec.services)

    def _step(self) -> Iterator[Transition]:
        now = self.work.now()
        results = self.work.wait(max(0.0, min(self._due, now + LISTEN_EVERY) - now))
        yield from self._told_by_others()
        for result in results:
            self._take(result)
            # Each by itself: what died and was started again has changed twice.
            yield from self._changes()
        yield from self._changes()
        self._ask_again()
        self._due = self.watch.tick([service.name for service in self.watch.spec.services])

    # ------------------------------------------------------------ what is seen

    def _take(self, result: Result) -> None:
        if result.key == EVENTS and isinstance(result.value, EngineEvent):
            self._happened(result.value)
        elif result.key[0] == AGAIN and isinstance(result.value, Answer) and not result.value.ok:
            self.watch.answers[result.key[1]] = result.value
        self.watch.take(result)
        if result.key == SNAPSHOT and not result.error:
            self._looked(self.watch.observed)

    def _looked(self, observed: Observed) -> None:
        if not self.watch.fresh:
            # It was begun before something happened: of what is known by now, it shows what was.
            held = {one.id: one for one in self._now.containers}
            left = [one for one in observed.containers if one.id not in self._removed_ids]
            observed = Observed(tuple(held.get(one.id, one) for one in left))
        ids = {one.id for one in observed.containers}
        if ids - {one.id for one in self._now.containers}:
            with suppress(LcomposeError):
                self._secrets = secrets_of(self.engine, observed)
        self._now = observed
        self._stopped &= ids
        self._present |= {one.service for one in observed.containers}
        self.watch.spec = self._spec(observed)

    def _spec(self, observed: Observed) -> GateSpec:
        """The services that there are, and those that there were: of these it is told that they are gone."""
        spec = spec_of_containers(self.project, observed, load(self.place), STABILITY)
        before = {one.name: one for one in (*map(Gated, self._known), *self.watch.spec.services)}
        gone = before.keys() - {one.name for one in spec.services}
        return replace(spec, services=(*spec.services, *(before[name] for name in sorted(gone))))

    def _happened(self, event: EngineEvent) -> None:
        if event.action == "stop":
            self._stopped.add(event.container)
        elif event.action == "start":
            self._stopped.discard(event.container)
        elif event.action == "destroy":
            self._removed_ids.add(event.container)
        if event.action in ("start", "die"):
            # What it answered, another run of it did.
            self.watch.answers.pop(event.container, None)
            self.watch.checked.pop(event.container, None)
        left = [one for one in self._now.containers if one.id not in self._removed_ids]
        self._now = Observed(tuple(_after(one, event) if one.id == event.container else one for one in left))

    def _ask_again(self) -> None:
        if self.work.now() < self._again_due:
            return
        self._again_due = self.work.now() + AGAIN_EVERY
        for service in self.watch.spec.services:
            for one in self._now.of(service.name) if self._state_of(service.name) in UP else ():
                if service.probe and one.state == "running":
                    self.work.submit((AGAIN, one.id), partial(ask, self.engine, service.probe, one))

    # ------------------------------------------------------------ what it means

    def _changes(self) -> Iterator[Transition]:
        for service in self.watch.spec.services if self.watch.looks else ():
            containers = self._now.of(service.name)
            found = self._derived(service, containers) if containers else self._removed(service.name)
            if found:
                yield found

    def _removed(self, name: str) -> Transition | None:
        # One that failed before it had a container has not been removed.
        if self._state_of(name) == "error" and name not in self._present:
            return None
        return self._changed(name, "offline", "its container is gone: something removed it", None, self.work.wall())

    def _derived(self, service: Gated, containers: tuple[Container, ...]) -> Transition | None:
        verdict = self._verdict(service, containers)
        states = [(self._state(one, verdict), one) for one in containers]
        state, one = min(states, key=lambda pair: WORST.index(pair[0]))
        if state == "warming" and self._is_open(service):
            # It is being asked just now; only what has just been started cannot be ready.
            if self._state_of(service.name) in UP or self.work.wall() - one.started > STABILITY:
                return None
            verdict = Verdict("waiting", "it was started")
        return self._changed(service.name, state, self._cause(one, verdict), one, self._time(state, one))

    def _verdict(self, service: Gated, containers: tuple[Container, ...]) -> Verdict:
        return judge(
            Observation(
                service,
                containers,
                self.watch.answers,
                self.watch.checked,
                now=self.work.wall(),
                stability=STABILITY,
            )
        )

    def _state(self, one: Container, verdict: Verdict) -> State:
        state = state_of(one, verdict)
        killed = one.state in ENDED and one.exit_code == KILLED and one.id not in self._stopped
        # Engines kill what does not stop by itself; where nobody stopped it, something is wrong.
        if state == "offline" and killed and self._state_of(one.service) not in ("offline", "unloading"):
            return "error"
        return state

    def _cause(self, one: Container, verdict: Verdict) -> str:
        if one.state in ENDED:
            if one.id in self._stopped:
                return f"it was stopped (exit code {one.exit_code})"
            return verdict.reason if verdict.state == "done" else ending(one)
        return verdict.reason

    def _time(self, state: State, one: Container) -> float:
        if one.state in ENDED and one.finished:
            return one.finished
        if state == "warming" and one.started and self._state_of(one.service) not in UP:
            return one.started
        return self.work.wall()

    def _is_open(self, service: Gated) -> bool:
        """Whether a service that runs has yet to be asked whether it is ready."""
        running = [one.id for one in self._now.of(service.name) if one.state == "running"]
        if service.probe:
            return any(one not in self.watch.answers for one in running)
        if service.check and service.check.command and not service.unchecked:
            told = [one.id for one in self._now.of(service.name) if one.health in ("healthy", "unhealthy")]
            return any(one not in told and one not in self.watch.checked for one in running)
        return False

    def _state_of(self, name: str) -> str:
        return self._known.get(name, ("offline", 0.0))[0]

    # ------------------------------------------------------------ what is told

    def _changed(self, name: str, after: State, cause: str, one: Container | None, time: float) -> Transition | None:
        before, since = self._known.get(name, ("offline", 0.0))
        if after == before or (after in AHEAD.get(before, ()) and self._somebody_is_at_work()):
            return None
        container = one.id if one else ""
        found = Transition(max(time, since), name, before, after, self._secrets.redact(cause), container)
        self._known[name] = (after, found.time)
        self._told.add(found)
        record(self.place, [found])
        return found

    def _somebody_is_at_work(self) -> bool:
        try:
            return is_held(self.place, self.project)
        except UsageError:
            return False  # where nothing is kept, nobody works

    def _told_by_others(self) -> Iterator[Transition]:
        """What other commands of ours have recorded meanwhile."""
        mark = self._mark()
        if mark == self._listened:
            return
        self._listened = mark
        for one in history(self.place):
            if one in self._told:
                continue
            self._told.add(one)
            # When the oldest part is given up, what was left out as told twice may appear once more.
            state, since = self._known.get(one.service, ("offline", 0.0))
            if one.after != state and one.time >= since:
                self._known[one.service] = (one.after, one.time)
                yield one

    def _mark(self) -> tuple[int, ...]:
        """What differs when somebody has written to the history."""
        try:
            found = (self.place / HISTORY).stat()
        except OSError:
            return ()
        return (found.st_ino, found.st_size, found.st_mtime_ns)


def _after(one: Container, event: EngineEvent) -> Container:
    """A container after something happened to it; what a look has shown already is left as it is."""
    late = {"start": one.finished, "die": one.started}.get(event.action, 0.0)
    change = BECOMES.get(event.action)
    return replace(one, **change(event)) if change and event.time >= late else one
