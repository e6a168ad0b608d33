"""Plans: what there is and what is wanted, to steps with a cause each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.plan import Wanted, describe, done_ids, plan_down, plan_up, stop_order
from lcompose.spec.run import (
    Container,
    Dependency,
    Gated,
    GateSpec,
    ImageInfo,
    Memory,
    Observed,
    Plan,
    Remembered,
)
from tests.unit.given import container

DB = Gated("db", image="db:1")
WEB = Gated("web", image="web:1", depends=(Dependency("db", "healthy"),))
INIT = Gated("init", image="db:1", role="oneshot")
HERE = {"db:1": ImageInfo("d1"), "web:1": ImageInfo("w1")}
DIGESTS = {"db": "1", "web": "2", "init": "3"}
BOTH = (container("db", image_id="d1"), container("web", image_id="w1", after=("db",)))
KNOWN = Memory({"db": Remembered("1", ("db",)), "web": Remembered("2", ("web",))})


def told(plan: Plan) -> list[list[str]]:
    """The stages of a plan, each step as ``verb target``."""
    return [[f"{step.verb} {step.target}" for step in stage] for stage in plan.stages]


def causes(plan: Plan) -> dict[str, str]:
    """Why each step is done."""
    return {f"{step.verb} {step.target}": step.cause for step in plan.steps}


def up(
    *found: Container,
    services: Sequence[Gated] = (DB, WEB),
    images: Mapping[str, ImageInfo] = HERE,
    digests: Mapping[str, str] = DIGESTS,
    memory: Memory = KNOWN,
    sweep: bool = True,
    inputs: Mapping[str, tuple[tuple[str, str], ...]] | None = None,
) -> Plan:
    """The plan to get what is wanted."""
    wanted = Wanted(GateSpec("demo", tuple(services)), digests, images, sweep, inputs or {})
    return plan_up(wanted, Observed(found), memory)


# ---------------------------------------------------------------- up


def test_where_nothing_is_to_be_done_the_plan_is_empty() -> None:
    assert up(*BOTH) == Plan()


def test_what_is_not_there_is_fetched_created_and_started() -> None:
    assert told(up(images={})) == [["pull db:1", "pull web:1"], ["create demo"], ["start db", "start web"]]


def test_each_step_says_why() -> None:
    assert describe(up(images={"db:1": HERE["db:1"]}, memory=Memory()), {}) == [
        "pull           web:1   (not on this machine)",
        "create         demo   (db: new, web: new)",
        "start          db   (new)",
        "start          web   (new)",
    ]


def test_only_what_is_new_is_created_and_started() -> None:
    assert describe(up(BOTH[0]), {}) == ["create         demo   (web: new)", "start          web   (new)"]


CHANGED = "its configuration changed"


def test_what_changed_is_replaced_after_what_depends_on_it_was_stopped() -> None:
    plan = up(*BOTH, digests=DIGESTS | {"db": "9"})
    assert told(plan) == [
        ["keep-logs db"],
        ["stop web"],
        ["stop db"],
        ["keep-logs db"],
        ["remove db"],
        ["create demo"],
        ["start db", "start web"],
    ]
    assert causes(plan) == {
        "keep-logs db": "db has ended",
        "stop web": "web depends on what is replaced",
        "stop db": CHANGED,
        "remove db": CHANGED,
        "create demo": f"db: {CHANGED}",
        "start db": CHANGED,
        "start web": "it was stopped for what it depends on",
    }


def test_what_it_depends_on_is_left_alone_where_only_a_dependent_changed() -> None:
    assert told(up(*BOTH, digests=DIGESTS | {"web": "9"})) == [
        ["keep-logs web"],
        ["stop web"],
        ["keep-logs web"],
        ["remove web"],
        ["create demo"],
        ["start web"],
    ]


@pytest.mark.parametrize(
    ("remembered", "now", "cause"),
    [
        ((("./a", "1"), ("./b", "1")), (("./a", "2"), ("./b", "1")), "./a was changed"),
        ((("./a", "1"), ("./b", "1")), (("./a", "2"), ("./b", "2")), "./a and ./b were changed"),
    ],
)
def test_what_reads_a_file_that_was_changed_is_replaced(remembered: Any, now: Any, cause: str) -> None:
    memory = Memory({"db": KNOWN.of("db"), "web": replace(KNOWN.of("web"), inputs=remembered)})
    plan = up(*BOTH, inputs={"web": now}, memory=memory)
    assert causes(plan) == {
        "keep-logs web": "web has ended",
        "stop web": cause,
        "remove web": cause,
        "create demo": f"web: {cause}",
        "start web": cause,
    }


@pytest.mark.parametrize("remembered", [(), (("./a", "1"),), (("./a", "1"), ("./gone", "2"))])
def test_a_file_that_is_as_it_was_or_was_never_seen_changes_nothing(remembered: Any) -> None:
    memory = Memory({"db": KNOWN.of("db"), "web": replace(KNOWN.of("web"), inputs=remembered)})
    assert up(*BOTH, inputs={"web": (("./a", "1"),)}, memory=memory) == Plan()


def test_dependents_of_dependents_are_stopped_first() -> None:
    found = (*BOTH, container("top", after=("web",)), container("beside"))
    services = [DB, WEB, Gated("top"), Gated("beside")]
    memory = Memory({**KNOWN.services, "top": Remembered("", ("top",)), "beside": Remembered("", ("beside",))})
    digests = DIGESTS | {"db": "9", "top": "", "beside": ""}
    stages = told(up(*found, services=services, memory=memory, digests=digests))
    assert stages[1:4] == [["stop top"], ["stop web"], ["stop db"]]
    assert stages[-1] == ["start db", "start web", "start top"]


def test_an_image_that_is_another_now_replaces_its_containers() -> None:
    plan = up(*BOTH, images=HERE | {"web:1": ImageInfo("w2")})
    assert causes(plan)["remove web"] == "its image changed"
    assert causes(plan)["create demo"] == "web: its image changed"


def test_a_container_of_an_unknown_image_is_left_alone() -> None:
    assert up(BOTH[0], replace(BOTH[1], image_id="")) == Plan()


def test_what_nobody_remembers_is_shown_to_the_engine_and_not_started() -> None:
    assert describe(up(*BOTH, memory=Memory()), {}) == [
        "keep-logs      db   (db may be replaced)",
        "keep-logs      web   (web may be replaced)",
        "create         demo   (db: to see whether it changed, web: to see whether it changed)",
    ]


def test_one_unknown_container_of_several_makes_the_service_unknown() -> None:
    other = replace(BOTH[1], id="w2")
    plan = up(*BOTH, other, services=[DB, replace(WEB, replicas=2)])
    assert causes(plan)["create demo"] == "web: to see whether it changed"


TWO = (*BOTH, replace(BOTH[1], id="w2", name="demo-web-2"))
KNOWN_TWO = Memory({**KNOWN.services, "web": Remembered("2", ("web", "w2"))})


def test_what_there_are_too_few_of_is_the_engines_to_make() -> None:
    plan = up(*TWO, services=[DB, replace(WEB, replicas=3)], memory=KNOWN_TWO)
    assert told(plan) == [["keep-logs web", "keep-logs w2"], ["create demo"], ["start web"]]
    assert causes(plan)["create demo"] == "web: not as many containers as wanted"


def test_what_there_are_too_many_of_is_taken_away_from_the_end_and_holds_up_nobody() -> None:
    top = container("top", after=("web",))
    memory = Memory({**KNOWN_TWO.services, "top": Remembered("", ("top",))})
    plan = up(*TWO, top, services=[DB, WEB, Gated("top")], digests=DIGESTS | {"top": ""}, memory=memory)
    assert told(plan) == [
        ["keep-logs w2", "keep-logs web"],
        ["stop w2"],
        ["keep-logs w2"],
        ["remove w2"],
        ["create demo"],
    ]
    assert causes(plan)["stop w2"] == "more containers than wanted"


def test_the_tenth_container_goes_before_the_second() -> None:
    second, tenth = TWO[2], replace(TWO[2], id="w10", name="demo-web-10")
    memory = Memory({**KNOWN.services, "web": Remembered("2", ("web", "w2", "w10"))})
    plan = up(*BOTH, tenth, second, services=[DB, replace(WEB, replicas=2)], memory=memory)
    assert ["remove w10"] in told(plan)


def test_a_service_of_no_replicas_is_neither_fetched_nor_made() -> None:
    assert up(BOTH[0], services=[DB, replace(WEB, image="w:9", replicas=0)]) == Plan()


@pytest.mark.parametrize("state", ["running", "exited"])
def test_what_is_left_of_a_service_that_was_scaled_to_0_is_removed_and_not_started(state: str) -> None:
    plan = up(BOTH[0], replace(BOTH[1], state=state), services=[DB, replace(WEB, replicas=0)])
    assert [one for one in told(plan) if one[0] not in ("stop web", "keep-logs web")] == [
        ["remove web"],
        ["create demo"],
    ]


def test_an_image_that_is_always_pulled_goes_through_the_creation() -> None:
    plan = up(*BOTH, services=[DB, replace(WEB, pull_policy="always")])
    assert told(plan) == [["keep-logs web"], ["create demo"]]
    assert causes(plan)["create demo"] == "web: its image is always pulled"


@pytest.mark.parametrize("more", [{"built": True}, {"pull_policy": "never"}, {"image": ""}])
def test_an_image_that_is_built_or_never_pulled_is_not_fetched(more: dict[str, Any]) -> None:
    assert told(up(services=[replace(WEB, **more)], images={})) == [["create demo"], ["start web"]]


def test_an_image_of_two_services_is_fetched_once() -> None:
    assert told(up(services=[DB, INIT], images={}))[0] == ["pull db:1"]


@pytest.mark.parametrize("state", ["created", "exited", "restarting", "dead", "paused"])
def test_what_does_not_run_is_started(state: str) -> None:
    plan = up(BOTH[0], replace(BOTH[1], state=state))
    assert describe(plan, {}) == [f"start          web   (it is {state})"]


# ---------------------------------------------------------------- one-shots


ENDED = container("init", "exited", started=5.0, image_id="d1")
SHOT = {"init": Remembered("3", ("init",), ("init",))}


def test_a_one_shot_that_did_its_job_is_not_started_again() -> None:
    assert up(ENDED, services=[INIT], memory=Memory(SHOT)) == Plan()


@pytest.mark.parametrize(
    ("found", "digest", "first"),
    [
        (ENDED, "9", "keep-logs init"),
        (replace(ENDED, exit_code=1), "3", "start init"),
        (replace(ENDED, state="created", started=0.0), "3", "start init"),
    ],
)
def test_a_one_shot_that_changed_or_failed_is_run_again(found: Container, digest: str, first: str) -> None:
    plan = up(found, services=[INIT], digests={"init": digest}, memory=Memory(SHOT))
    assert told(plan)[0] == [first]
    assert told(plan)[-1] == ["start init"]


PLAIN = Gated("init")
WAITER = Gated("web", depends=(Dependency("init", "completed"),))


@pytest.mark.parametrize(
    ("services", "found", "remembered", "done"),
    [
        # Remembered to have done its job, whatever it is.
        ([PLAIN], ENDED, Remembered("", ("init",), ("init",)), True),
        ([INIT], ENDED, Remembered("", ("init",), ("init",)), True),
        # Nobody remembers it: then it counts where the file says that it is one.
        ([INIT], ENDED, Remembered(), True),
        ([PLAIN, WAITER], ENDED, Remembered(), True),
        ([PLAIN], ENDED, Remembered(), False),
        # We made it, and never saw that it did its job: it may have been stopped.
        ([INIT], ENDED, Remembered("", ("init",)), False),
        ([INIT], replace(ENDED, exit_code=1), Remembered("", ("init",), ("init",)), False),
        ([INIT], replace(ENDED, state="running"), Remembered("", ("init",), ("init",)), False),
        ([INIT], replace(ENDED, started=0.0), Remembered(), False),
        ([INIT], replace(ENDED, state="stopped"), Remembered(), True),
    ],
)
def test_which_one_shots_did_their_job(
    services: list[Gated], found: Container, remembered: Remembered, done: bool
) -> None:
    spec = GateSpec("demo", tuple(services))
    ids = done_ids(spec, Observed((found,)), Memory({"init": remembered}))
    assert ids == (frozenset(["init"]) if done else frozenset())


# ---------------------------------------------------------------- what is no longer part


OLD = container("old")


def test_what_is_no_longer_part_is_removed_first() -> None:
    assert describe(up(*BOTH, OLD), {"old": "demo-old-1"}) == [
        "keep-logs      demo-old-1   (old may be replaced)",
        "stop           demo-old-1   (old is no longer part of the project)",
        "keep-logs      demo-old-1   (old has ended)",
        "remove         demo-old-1   (old is no longer part of the project)",
    ]


@pytest.mark.parametrize("found", [OLD, replace(OLD, oneoff=True)])
def test_in_somebody_elses_file_what_else_there_is_is_left_alone(found: Container) -> None:
    assert up(*BOTH, found, sweep=False) == Plan()


@pytest.mark.parametrize("service", ["old", "web"])
def test_what_somebody_runs_beside_is_left_alone(service: str) -> None:
    assert up(*BOTH, Container("beside", "demo-web-run-1", service, "running", oneoff=True)) == Plan()


# ---------------------------------------------------------------- the model of an engine


@dataclass
class Modelled:
    """As much of an engine, its compose and the gate as a plan is about.

    ``made`` has what each container was made of, as only its engine knows.
    """

    services: Sequence[Gated]
    digests: Mapping[str, str]
    containers: list[Container]
    made: dict[str, str]
    memory: Memory
    images: dict[str, ImageInfo]
    sweep: bool
    kept: set[str] = field(default_factory=set)
    count: int = 0

    @property
    def observed(self) -> Observed:
        return Observed(tuple(self.containers))

    @property
    def spec(self) -> GateSpec:
        return GateSpec("demo", tuple(self.services))

    def plan(self) -> Plan:
        return plan_up(Wanted(self.spec, self.digests, self.images, self.sweep), self.observed, self.memory)

    def apply(self, plan: Plan) -> None:
        """Fetches, plans again with what came, and does that; then what is there is remembered."""
        for step in [step for step in plan.steps if step.verb == "pull"]:
            self.pull(step.target)
        plan = self.plan()
        for step in plan.steps:
            getattr(self, step.verb.replace("-", "_"))(step.target)
        if any(step.verb != "start" for step in plan.steps):
            self.remember(passed=False)
        startable = {step.target for step in plan.steps if step.verb == "start"}
        self.gate(startable)
        self.remember(passed=True)

    def keep_logs(self, target: str) -> None:
        assert target in [one.id for one in self.containers]
        self.kept.add(target)

    def stop(self, target: str) -> None:
        name = self[target].service
        wanted = next((one.replicas for one in self.services if one.name == name), 0)
        surplus = name in [one.name for one in self.services] and len(self.observed.of(name)) > wanted
        own = [one for one in self.containers if one.state == "running" and not one.oneoff]
        assert surplus or not [one for one in own if name in one.after], "what depends on it still runs"
        self.kept.discard(target)  # it has something to say when it ends
        self.change(self[target], state="exited", exit_code=0)

    def remove(self, target: str) -> None:
        assert self[target].state != "running"
        self.lose(self[target])

    def pull(self, target: str) -> None:
        assert target not in self.images
        self.images[target] = ImageInfo(f"new {target}")

    def create(self, _: str) -> None:
        for service in self.services:
            for one in self.observed.of(service.name):
                image = self.images.get(service.image)
                if self.made[one.id] != self.digests[service.name] or (image and one.image_id != image.id):
                    self.lose(one)
            while len(found := self.observed.of(service.name)) > service.replicas:
                self.lose(found[-1])
            while len(self.observed.of(service.name)) < service.replicas:
                self.make(service)

    def start(self, _: str) -> None:
        """The gate's."""

    def gate(self, startable: set[str]) -> None:
        """Starts whatever does not run and is not done; a one-shot does its job."""
        done = done_ids(self.spec, self.observed, self.memory)
        for one in [one for one in self.containers if not one.oneoff]:
            service = next((service for service in self.services if service.name == one.service), None)
            if service is None or one.id in done or one.state == "running":
                continue
            # What the engine replaces by itself, no plan can tell beforehand.
            assert one.service in startable or one.id.startswith("new"), "the plan does not say that it is started"
            ends = service.role == "oneshot"
            self.change(one, state="exited" if ends else "running", exit_code=0, started=5.0)

    def remember(self, *, passed: bool) -> None:
        done = done_ids(self.spec, self.observed, self.memory)
        found = {}
        for service in self.services:
            ids = tuple(one.id for one in self.observed.of(service.name))
            over = passed and service.role == "oneshot"
            found[service.name] = Remembered(
                self.digests[service.name], ids, tuple(one for one in ids if over or one in done)
            )
        self.memory = Memory(found)

    def __getitem__(self, target: str) -> Container:
        return next(one for one in self.containers if one.id == target)

    def change(self, one: Container, **changes: Any) -> None:
        self.containers[self.containers.index(one)] = replace(one, **changes)

    def lose(self, one: Container) -> None:
        assert one.id in self.kept, f"the log of {one.id} is lost"
        self.containers.remove(one)

    def make(self, service: Gated) -> None:
        self.count += 1
        image = self.images.get(service.image)
        one = Container(f"new{self.count}", "", service.name, "created", image_id=image.id if image else "")
        self.containers.append(replace(one, after=tuple(other.service for other in service.depends)))
        self.made[one.id] = self.digests[service.name]


STATES = st.sampled_from(["running", "running", "created", "exited", "restarting", "paused", "dead"])


@st.composite
def worlds(draw: st.DrawFn) -> Modelled:
    """Services that depend on earlier ones, whatever there is of them, and whatever is remembered of that."""
    services, containers, made, known = [], [], {}, {}
    digests = {name: draw(st.sampled_from(["1", "2"])) for name in "abcd"}
    for name in "abcd"[: draw(st.integers(1, 4))]:
        role = draw(st.sampled_from(["", "", "server", "oneshot"]))
        depends = draw(st.lists(st.sampled_from([one.name for one in services] or [""]), max_size=2, unique=True))
        edges = tuple(Dependency(one) for one in depends if one)
        services.append(Gated(name, depends=edges, role=role, replicas=draw(st.integers(0, 2)), image=f"{name}:1"))
    for number in range(draw(st.integers(0, 5))):
        service = draw(st.sampled_from("abcde"))
        edges = next((one.depends for one in services if one.name == service), ())
        containers.append(
            Container(
                f"c{number}",
                "",
                service,
                draw(STATES),
                exit_code=draw(st.sampled_from([0, 0, 1])),
                started=5.0,
                after=tuple(one.service for one in edges),
                image_id=draw(st.sampled_from([f"id {service}", f"id {service}", "old"])),
                oneoff=draw(st.sampled_from([False, False, False, True])),
            )
        )
        made[f"c{number}"] = draw(st.sampled_from(["1", "2"]))
    for name in "abcd":
        # What is remembered of a container is what it was made of; others are somebody else's.
        digest = draw(st.sampled_from(["1", "2"]))
        own = [one.id for one in containers if one.service == name and made[one.id] == digest]
        ids = tuple(one for one in own if draw(st.booleans()))
        known[name] = Remembered(digest, ids, tuple(one for one in ids if draw(st.booleans())))
    images = {f"{name}:1": ImageInfo(f"id {name}") for name in "abcd" if draw(st.booleans())}
    return Modelled(services, digests, containers, made, Memory(known), images, draw(st.booleans()))


@given(worlds())
def test_doing_what_is_planned_leads_to_where_nothing_is_left_to_do(world: Modelled) -> None:
    first = world.plan()
    world.apply(first)
    assert world.plan() == Plan(), describe(first, {})


@given(worlds())
def test_what_is_planned_leads_to_what_is_wanted(world: Modelled) -> None:
    before = [one for one in world.containers if one.oneoff]
    others = [one for one in world.containers if one.service not in [service.name for service in world.services]]
    world.apply(world.plan())
    for service in world.services:
        found = world.observed.of(service.name)
        assert len(found) == service.replicas
        assert {world.made[one.id] for one in found} <= {world.digests[service.name]}
        assert all(one.state == "running" or service.role == "oneshot" for one in found)
    assert [one for one in world.containers if one.oneoff] == before
    assert [one for one in others if one in world.containers and not one.oneoff] == (
        [] if world.sweep else [one for one in others if not one.oneoff]
    )


# ---------------------------------------------------------------- down


def test_a_project_is_taken_down_from_the_top_and_its_logs_are_kept_before_and_after() -> None:
    assert told(plan_down(Observed(BOTH), ["demo_default"], ["demo_data"], ["pod_demo"])) == [
        ["keep-logs db", "keep-logs web"],
        ["stop web"],
        ["stop db"],
        ["keep-logs db", "keep-logs web"],
        ["remove db", "remove web"],
        ["remove-pod pod_demo"],
        ["remove-network demo_default"],
        ["remove-volume demo_data"],
    ]


def test_what_has_ended_is_not_stopped() -> None:
    found = (container("db", "exited"), container("web", "created"))
    assert told(plan_down(Observed(found), [], [])) == [["keep-logs db", "keep-logs web"], ["remove db", "remove web"]]


def test_what_somebody_runs_beside_goes_with_the_project() -> None:
    assert told(plan_down(Observed((container("web", oneoff=True),)), [], []))[-1] == ["remove web"]


@pytest.mark.parametrize("state", ["running", "restarting", "paused", "starting", "stopping"])
def test_whatever_may_still_run_is_stopped(state: str) -> None:
    assert ["stop web"] in told(plan_down(Observed((container("web", state),)), [], []))


def test_nothing_is_done_where_there_is_nothing() -> None:
    assert plan_down(Observed(), [], []) == Plan()


def waves(**after: str) -> list[str]:
    """The waves in which services stop, each as a word."""
    found = [container(name, after=tuple(names)) for name, names in after.items()]
    return ["".join(sorted(one.service for one in wave)) for wave in stop_order(found)]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"a": ""}, ["a"]),
        ({"a": "", "b": ""}, ["ab"]),
        ({"a": "b", "b": "c", "c": ""}, ["a", "b", "c"]),
        ({"a": "bc", "b": "c", "c": ""}, ["a", "b", "c"]),
        ({"a": "gone"}, ["a"]),
        ({"a": "a"}, ["a"]),
        ({"a": "b", "b": "a"}, ["ab"]),
        ({"a": "bc", "b": "a", "c": ""}, ["ab", "c"]),
        ({"x": "a", "a": "b", "b": "ac", "c": ""}, ["x", "ab", "c"]),
    ],
)
def test_dependents_stop_first_and_a_circle_stops_together(after: dict[str, str], expected: list[str]) -> None:
    assert waves(**after) == expected


NAMES = st.sampled_from("abcdef")
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=3, unique=True), max_size=6)


def reachable(graph: dict[str, list[str]], start: str) -> set[str]:
    """Everything that a service depends on, by however many steps through what is there."""
    found: set[str] = set()
    left = list(graph.get(start, ()))
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += graph.get(name, ())
    return found


@given(GRAPHS)
def test_whatever_the_graph_a_dependent_stops_before_what_it_depends_on(graph: dict[str, list[str]]) -> None:
    found = [container(name, after=tuple(after)) for name, after in graph.items()]
    plan = plan_down(Observed(tuple(found)), [], [])
    stage = {step.target: number for number, steps in enumerate(plan.stages) for step in steps if step.verb == "stop"}
    assert set(stage) == set(graph)
    for name in graph:
        for below in reachable(graph, name) & set(graph):
            in_a_circle = name in reachable(graph, below)
            assert stage[name] == stage[below] if in_a_circle else stage[name] < stage[below]
