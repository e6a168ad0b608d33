"""Plans: what there is and what is wanted, to steps with a cause each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.plan import describe, plan_down, plan_up, stop_order
from lcompose.spec.project import Project, Service
from lcompose.spec.run import Container, Observed, Plan
from tests.unit.given import container

WANTED = Project("demo", (Service("db", "db:1"), Service("web", "web:1", after=("db",))))
DIGESTS = {"db": "1", "web": "2"}
BOTH = (container("db", digest="1"), container("web", digest="2", after=("db",)))


def told(plan: Plan) -> list[list[str]]:
    """The stages of a plan, each step as ``verb target``."""
    return [[f"{step.verb} {step.target}" for step in stage] for stage in plan.stages]


def up(*found: Container, absent: tuple[str, ...] = (), digests: Any = DIGESTS) -> Plan:
    """The plan to get what is wanted."""
    return plan_up(WANTED, digests, Observed(found), absent)


def test_what_is_not_there_is_created_and_started_side_by_side() -> None:
    assert told(up()) == [["create demo"], ["start db", "start web"]]


def test_each_step_says_why() -> None:
    assert describe(up(absent=("web:1",)), {}) == [
        "pull           web:1   (not on this machine)",
        "create         demo   (db: new, web: new)",
        "start          db   (new)",
        "start          web   (new)",
    ]


def test_what_runs_unchanged_is_only_started_when_the_engine_replaces_it() -> None:
    assert describe(up(*BOTH), {}) == [
        "keep-logs      db   (db may be replaced)",
        "keep-logs      web   (web may be replaced)",
        "create         demo   (to see whether anything else changed)",
        "start          db   (if the engine replaces it)",
        "start          web   (if the engine replaces it)",
    ]


def test_what_changed_is_started_again() -> None:
    assert [step.cause for step in up(*BOTH, digests={"db": "1", "web": "3"}).steps][2:] == [
        "web: its configuration changed",
        "if the engine replaces it",
        "its configuration changed",
    ]


@pytest.mark.parametrize("state", ["created", "exited", "restarting", "dead", "paused"])
def test_what_does_not_run_is_started(state: str) -> None:
    causes = {step.target: step.cause for step in up(BOTH[0], container("web", state, digest="2")).steps}
    assert (causes["db"], causes["web"]) == ("if the engine replaces it", "not running")


def test_what_is_no_longer_wanted_is_removed_first() -> None:
    plan = up(*BOTH, container("old"))
    assert describe(plan, {"old": "demo-old-1"})[2:5] == [
        "keep-logs      demo-old-1   (old may be replaced)",
        "stop           demo-old-1   (old is running)",
        "remove         demo-old-1   (old is no longer part of the project)",
    ]


def test_a_project_is_taken_down_from_the_top_and_its_logs_are_kept_before_and_after() -> None:
    assert told(plan_down(Observed(BOTH), ["demo_default"], ["demo_data"])) == [
        ["keep-logs db", "keep-logs web"],
        ["stop web"],
        ["stop db"],
        ["keep-logs db", "keep-logs web"],
        ["remove db", "remove web"],
        ["remove-network demo_default"],
        ["remove-volume demo_data"],
    ]


def test_what_has_ended_is_not_stopped() -> None:
    found = (container("db", "exited"), container("web", "created"))
    assert told(plan_down(Observed(found), [], [])) == [["keep-logs db", "keep-logs web"], ["remove db", "remove web"]]


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


STATES = st.sampled_from(["running", "created", "exited", "restarting", "paused", "dead"])
CONTAINERS = st.lists(
    st.builds(
        lambda number, service, state, digest: Container(f"c{number}", "", service, state, digest=digest),
        st.integers(0, 99),
        st.sampled_from(["db", "web", "old"]),
        STATES,
        st.sampled_from(["1", "2"]),
    ),
    max_size=4,
    unique_by=lambda one: one.id,
)


@given(CONTAINERS)
def test_everything_wanted_is_started_after_it_was_created(found: list[Container]) -> None:
    verbs = [(step.verb, step.target) for step in plan_up(WANTED, DIGESTS, Observed(tuple(found)), ()).steps]
    assert verbs[-3:] == [("create", "demo"), ("start", "db"), ("start", "web")]
