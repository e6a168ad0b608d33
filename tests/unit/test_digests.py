"""Digests: they change with what a service is made of, and with nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.digests import of_bundle, of_reading
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.text import EnvRef

READING: dict[str, Any] = {
    "name": "demo",
    "services": {
        "web": {
            "image": "web:1",
            "environment": {"A": "1"},
            "configs": [{"source": "page", "target": "/page"}],
            "networks": {"front": None},
        },
        "db": {
            "image": "db:1",
            "secrets": ["password"],
            "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
        },
        "cache": {"image": "cache:1", "volumes": ["more:/more:ro"], "deploy": {"resources": {"limits": {"cpus": "1"}}}},
    },
    "configs": {"page": {"content": "hello"}, "unused": {"content": "x"}},
    "secrets": {"password": {"environment": "PASSWORD"}},
    "volumes": {"data": {"name": "demo_data"}, "more": {}},
    "networks": {"default": {"name": "demo_default"}, "front": {"name": "demo_front"}},
}


def changed(*path: str, to: Any) -> set[str]:
    """The services whose digests change when something else stands at a path of the file."""
    other = copy.deepcopy(READING)
    place: Any = other
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    before, after = of_reading(READING, "salt"), of_reading(other, "salt")
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("path", "to", "services"),
    [
        ("services.web.image", "web:2", {"web"}),
        ("services.web.environment.A", "2", {"web"}),
        ("services.web.command", ["x"], {"web"}),
        ("services.web.depends_on", {"db": {"condition": "service_healthy"}}, {"web"}),
        ("services.db.image", "db:2", {"db"}),
        ("services.new", {"image": "x"}, {"new"}),
        ("configs.page.content", "bye", {"web"}),
        ("configs.unused.content", "y", set()),
        ("secrets.password.environment", "OTHER", {"db"}),
        ("volumes.data.name", "other", {"db"}),
        ("volumes.more", {"driver": "x"}, {"cache"}),
        ("volumes.new", {}, set()),
        ("networks.default.name", "other", {"db", "cache"}),
        ("networks.front.internal", True, {"web"}),
        ("networks.new", {}, set()),
        ("name", "other", set()),
        # How many there are, and how they come to be, is not what each is made of.
        ("services.web.scale", 3, set()),
        ("services.web.deploy", {"replicas": 3}, set()),
        ("services.cache.deploy.replicas", 3, set()),
        ("services.cache.deploy.resources", {}, {"cache"}),
        ("services.web.pull_policy", "always", set()),
        ("services.web.build", {"context": "."}, set()),
        ("services.web.profiles", ["a"], set()),
        ("services.web.x-lcompose", {"role": "server"}, set()),
    ],
)
def test_a_change_in_the_file_changes_just_the_services_that_it_concerns(
    path: str, to: Any, services: set[str]
) -> None:
    assert changed(*path.split("."), to=to) == services


def test_the_order_in_a_file_does_not_matter() -> None:
    other = {
        name: dict(reversed(value.items())) if isinstance(value, dict) else value for name, value in READING.items()
    }
    assert of_reading(dict(reversed(other.items())), "salt") == of_reading(READING, "salt")


@pytest.mark.parametrize("reading", [{}, {"services": None}, {"services": {}}])
def test_a_file_without_services_has_no_digests(reading: dict[str, Any]) -> None:
    assert of_reading(reading, "salt") == {}


def test_a_service_without_a_word_has_a_digest() -> None:
    assert list(of_reading({"services": {"web": None}}, "salt")) == ["web"]


SERVICES = (
    ("web", json.dumps({"environment": {"KEY": "${KEY:?set KEY}"}, "command": ["$OTHER", "$$PLAIN", "$${PLAIN}"]})),
    ("db", json.dumps({"image": "db:1"})),
)
BUNDLE = Bundle((Document("compose.yaml", ""),), services=SERVICES, inherited=(("db", (EnvRef("TOKEN"),)),))
VALUES = {"KEY": "1", "OTHER": "2", "TOKEN": "3"}


@pytest.mark.parametrize(
    ("env", "services"),
    [
        ({"KEY": "9"}, {"web"}),
        ({"OTHER": "9"}, {"web"}),
        ({"TOKEN": "9"}, {"db"}),
        ({"PLAIN": "9"}, set()),
        ({"UNUSED": "9"}, set()),
    ],
)
def test_a_value_of_a_variable_changes_the_services_that_are_given_it(env: dict[str, str], services: set[str]) -> None:
    before, after = of_bundle(BUNDLE, VALUES, "salt"), of_bundle(BUNDLE, VALUES | env, "salt")
    assert {name for name in before if before[name] != after[name]} == services


def test_a_variable_that_is_not_set_is_as_good_as_an_empty_one() -> None:
    assert of_bundle(BUNDLE, {}, "salt") == of_bundle(BUNDLE, {"KEY": "", "TOKEN": ""}, "salt")


def test_what_is_written_of_a_service_changes_its_digest_alone() -> None:
    other = Bundle(BUNDLE.documents, services=(("web", "{}"), SERVICES[1]), inherited=BUNDLE.inherited)
    before, after = of_bundle(BUNDLE, VALUES, "salt"), of_bundle(other, VALUES, "salt")
    assert [before[name] == after[name] for name in ("web", "db")] == [False, True]


def test_the_same_has_another_digest_with_another_salt() -> None:
    assert of_reading(READING, "a") != of_reading(READING, "b")
    assert of_bundle(BUNDLE, VALUES, "a") != of_bundle(BUNDLE, VALUES, "b")


def test_no_value_can_be_read_from_a_digest() -> None:
    told = json.dumps([of_bundle(BUNDLE, {"KEY": "a-secret"}, "salt"), of_reading(READING, "salt")])
    assert "secret" not in told
    assert {len(one) for one in of_reading(READING, "salt").values()} == {16}


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
LISTED = st.lists(st.text(max_size=5) | st.dictionaries(st.just("source"), st.text(max_size=5)), max_size=3)


@given(
    st.dictionaries(st.sampled_from(["image", "environment", "x-any", "labels"]), TREES),
    st.dictionaries(st.sampled_from(["configs", "secrets", "volumes"]), LISTED | st.none()),
)
def test_whatever_a_file_says_it_has_digests(own: dict[str, Any], given: dict[str, Any]) -> None:
    reading = {"services": {"web": own | given}}
    assert of_reading(reading, "salt") == of_reading(copy.deepcopy(reading), "salt")
