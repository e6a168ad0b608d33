"""Two engines as one: each call goes to the side that has what it is about."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcompose.emit import yaml_text
from lcompose.engines import ComposeFile, Creation, EngineEvent
from lcompose.engines.fake import FakeEngine
from lcompose.engines.mixed import Mixed
from lcompose.errors import EngineError
from lcompose.spec.run import Container
from tests.conftest import free_port
from tests.native import PROJECT, Native, native, wait_until

WEB = Container("c1", "demo-web-1", "web", "running")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Native]:
    with native(tmp_path) as made:
        yield made


def creation(here: Native, services: dict[str, Any], *names: str) -> Creation:
    """A project of which these services are in the process file."""
    defaults = {"directory": str(here.folder), "digest": "1", "stop_grace": 1, "beside": "docker"}
    tree = {"name": PROJECT, "services": {name: {**defaults, **one} for name, one in services.items()}}
    (here.folder / "processes.yaml").write_text(yaml_text(tree))
    compose = ComposeFile(PROJECT, (here.folder / "compose.yaml",), here.folder, here.env)
    return Creation(compose, names, {}, 10.0, state=here.folder)


SLEEP = {"command": ["sh", "-c", "echo hello; exec sleep 100"]}


def mixed(here: Native, outer: FakeEngine, *services: str) -> Mixed:
    return Mixed(outer, here.engine, services)


def test_each_side_makes_its_own_and_both_are_looked_at(here: Native) -> None:
    outer = FakeEngine(created=[WEB])
    both = mixed(here, outer, "model")
    both.create(creation(here, {"model": SLEEP}, "model", "web"), lambda _: None)
    assert [(one.name, one.service) for one in both.containers(PROJECT)] == [
        ("demo-model-1", "model"),
        ("demo-web-1", "web"),
    ]
    assert outer.calls.count("create demo") == 1
    assert list(here.all()) == ["model"]


def test_where_all_that_is_made_are_processes_the_container_engine_makes_nothing(here: Native) -> None:
    outer = FakeEngine()
    mixed(here, outer, "model").create(creation(here, {"model": SLEEP}, "model"), lambda _: None)
    assert "create demo" not in outer.calls


def test_a_container_is_removed_where_its_service_is_a_process_now(here: Native) -> None:
    outer = FakeEngine(held=[replace(WEB, service="model", name="demo-model-1")])
    told: list[str] = []
    mixed(here, outer, "model").create(creation(here, {"model": SLEEP}, "model"), told.append)
    assert outer.calls[-2:] == ["stop c1", "remove c1"]
    assert told == ["Container demo-model-1 Removed", "Container demo-model-1 Created"]


def test_a_process_is_removed_where_its_service_is_a_container_now(here: Native) -> None:
    here.started("exec sleep 100")
    outer = FakeEngine(created=[WEB])
    mixed(here, outer).create(creation(here, {}, "web"), lambda _: None)
    assert here.all() == {}
    assert here.left() == []


def test_what_is_about_one_goes_to_the_side_that_has_it(here: Native) -> None:
    outer = FakeEngine(held=[WEB], printed={"c1": "a container\n"}, variables={"c1": {"A": "1"}})
    both, process = mixed(here, outer, "web"), here.started("echo a process; exec sleep 100", environment={"A": "2"})
    wait_until(lambda: here.said(process))
    assert both.logs("c1") == "a container"
    assert both.logs(process).endswith(" a process")
    assert b"".join(both.stream("c1")) == b"a container\n"
    assert b"".join(both.stream(process)).endswith(b" a process\n")
    assert (both.environment("c1"), both.environment(process)["A"]) == ({"A": "1"}, "2")
    assert both.execute("c1", ["true"], 5).code == 1  # as the fake one says
    assert both.execute(process, ["true"], 5).code == 0
    both.begin("c1", ["x"])
    both.stop(process, 1)
    both.start("c1")
    assert outer.calls[-3:] == ["execute c1", "begin c1 x", "start c1"]
    both.remove([process, "c1"])
    assert (both.containers(PROJECT), outer.calls[-2]) == ((), "remove c1")


def test_the_whole_is_the_container_engines(here: Native) -> None:
    outer = FakeEngine(network_names=["demo_default"], local=["web:1"], addresses=["192.0.2.1"], name="podman")
    both = mixed(here, outer)
    assert (both.name, both.endpoint(), both.facts().name) == ("podman", "fake://here", "podman")
    assert (both.networks(PROJECT), both.pods(PROJECT)) == (["demo_default"], [])
    assert (list(both.images(["web:1", "x"])), both.host_addresses(PROJECT)) == (["web:1"], ["192.0.2.1"])
    both.remove_network("demo_default")
    assert outer.calls[-1] == "remove-network demo_default"


def test_a_volume_is_removed_on_each_side_that_has_one_of_that_name(here: Native) -> None:
    (here.folder / "state" / "lcompose").mkdir(parents=True)
    made = creation(here, {"model": SLEEP}, "model")
    tree = (here.folder / "processes.yaml").read_text()
    (here.folder / "processes.yaml").write_text(f"{tree}\nvolumes: [data, models]\n")
    outer = FakeEngine(volume_names=["demo_data", "demo_web"])
    both = mixed(here, outer, "model")
    both.create(made, lambda _: None)
    assert both.volumes(PROJECT) == ["demo_data", "demo_models", "demo_web"]
    for name in both.volumes(PROJECT):
        both.remove_volume(name)
    assert here.engine.volumes(PROJECT) == []
    assert outer.calls[-2:] == ["remove-volume demo_data", "remove-volume demo_web"]


def test_events_of_both_are_told_until_the_container_engine_has_none_more(here: Native) -> None:
    class Slow(FakeEngine):
        """One that tells what happens only after a process was started."""

        def events(self, project: str) -> Iterator[EngineEvent]:
            wait_until(lambda: here.all()["web"].state == "running")
            yield from super().events(project)

    process = here.web("exec sleep 100")
    outer = Slow(told=[EngineEvent(1.0, "die", "c1", "db", 3)])
    found = mixed(here, outer, "web").events(PROJECT)
    here.engine.start(process)
    assert {(one.action, one.container) for one in found} >= {("die", "c1")}


def test_an_engine_that_cannot_tell_what_happens_is_an_error_here_too(here: Native) -> None:
    outer = FakeEngine(failures={"events": EngineError("gone")})
    with pytest.raises(EngineError, match="gone"):
        list(mixed(here, outer).events(PROJECT))


def test_a_process_that_containers_call_is_reached_where_they_find_this_machine(here: Native) -> None:
    port = free_port()
    outer = FakeEngine(addresses=["127.0.0.77"])
    both = mixed(here, outer, "model", "quiet")
    server = {"command": ["python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)]}
    ports = {"ports": [["127.0.0.1", port]]}
    made = {"model": {**server, **ports, "called": True}, "quiet": {**SLEEP, "ports": [["127.0.0.1", free_port()]]}}
    both.create(creation(here, made, *made), lambda _: None)
    here.made |= {one.id for one in here.engine.containers(PROJECT)}
    for one in both.containers(PROJECT):
        both.start(one.id)
    wait_until(lambda: answers("127.0.0.1", port))
    assert answers("127.0.0.77", port)
    assert not answers("127.0.0.78", port)
    assert not answers("127.0.0.77", made["quiet"]["ports"][0][1])


def answers(address: str, port: int) -> bool:
    """Whether something speaks HTTP there."""
    try:
        with socket.create_connection((address, port), 2) as connection:
            connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return connection.recv(4) == b"HTTP"
    except OSError:
        return False
