"""A project in two halves: each reads where the other is for it, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from lcompose.engines.local_store import spec_of
from lcompose.errors import MachineError, UsageError
from lcompose.spec.program import Natively, Program
from lcompose.spec.project import Change, Derived, DocumentMount, Port, Probe, Project, Service, VolumeMount
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import Address, EnvRef
from lcompose.targets import Place, translate
from lcompose.targets.mixed import combined, notes

WEB = Service(
    "web",
    "web:1",
    command=("-c", "/app/web.yaml"),
    mounts=(DocumentMount("web.yaml", "/app/web.yaml"), VolumeMount("web-data", "/data")),
    ports=(Port("127.0.0.1", 18080, 8080),),
    probe=Probe(8080, "/ready"),
    after=("model",),
)
MODEL = Service(
    "model",
    "model:1",
    command=("--host", "0.0.0.0", "--port", "8000"),
    mounts=(DocumentMount("model.yaml", "/app/model.yaml"), VolumeMount("models", "/models")),
    ports=(Port("127.0.0.1", 18000, 8000),),
    probe=Probe(8000, "/health"),
)
OTHER = Service("other", "other:1")
PLACE = Place("/my", {}, "/my", processes="/state/docker/demo", volumes="/state/local/demo/volumes")
DOCKER, PODMAN = TargetFacts(), TargetFacts("podman", "run", reader="podman-compose")


def project(*services: Service, web: Any = None, model: Any = None, **more: Any) -> Project:
    documents = (Derived("web.yaml", "web/web.yaml", web or {}), Derived("model.yaml", "model/model.yaml", model or {}))
    return Project("demo", services or (MODEL, WEB, OTHER), documents, ("models", "web-data"), **more)


def natively(facts: TargetFacts, *names: str) -> TargetFacts:
    programs = tuple(Program(name, ("serve", "--host", "0.0.0.0", "--port", "8000")) for name in names)
    return replace(facts, natively=Natively(programs))


def rendered(found: Project, *names: str, facts: TargetFacts = DOCKER) -> dict[str, Any]:
    documents = translate(found, natively(facts, *names), PLACE).documents
    return {one.path: yaml.safe_load(one.text) for one in documents}


def web_of(found: dict[str, Any]) -> Any:
    """The document of the container, wherever a form has it."""
    inside = found["compose.yaml"].get("configs", {}).get("web")
    return yaml.safe_load(inside["content"]) if inside else found["web/web.yaml"]


CALLS = {"url": Address("model", 8000, "/v1"), "own": [Address("web", 8080)]}


@pytest.mark.parametrize(
    ("facts", "host", "extra"),
    [
        (DOCKER, "host.docker.internal", ["host.docker.internal:host-gateway"]),
        # Podman has that name in every container.
        (PODMAN, "host.containers.internal", None),
    ],
)
def test_a_container_calls_a_process_by_the_engines_name_for_this_machine(
    facts: TargetFacts, host: str, extra: list[str] | None
) -> None:
    found = rendered(project(web=CALLS), "model", facts=facts)
    assert web_of(found) == {"url": f"http://{host}:18000/v1", "own": ["http://web:8080"]}
    services = found["compose.yaml"]["services"]
    assert services["web"].get("extra_hosts") == extra
    # Only who calls one needs to know.
    assert "extra_hosts" not in services["other"]


def test_each_file_has_its_own_half() -> None:
    found = rendered(project(web=CALLS), "model")
    compose, processes = found["compose.yaml"], found["processes.yaml"]
    assert (list(compose["services"]), list(processes["services"])) == (["web", "other"], ["model"])
    assert (list(compose["volumes"]), processes["volumes"]) == (["web-data"], ["models"])
    assert (list(compose["configs"]), sorted(found)) == (
        ["web"],
        ["compose.yaml", "model/model.yaml", "processes.yaml"],
    )
    # The gate knows what waits for what; Compose knows no process.
    assert "depends_on" not in compose["services"]["web"]
    assert compose["services"]["web"]["labels"]["lcompose.after"] == "model"


def test_a_process_that_containers_call_says_so_and_beside_which_engine_it_is() -> None:
    called = rendered(project(web=CALLS), "model")["processes.yaml"]["services"]["model"]
    alone = rendered(project(), "model", facts=PODMAN)["processes.yaml"]["services"]["model"]
    specs = [spec_of(tree, "0" * 32, "demo", "model", 0) for tree in (called, alone)]
    assert [(one.beside, one.called) for one in specs] == [("docker", True), ("podman", False)]
    assert specs[0].command == ("serve", "--host", "127.0.0.1", "--port", "18000")


def test_a_process_calls_a_container_at_its_published_port() -> None:
    found = rendered(project(model={"url": Address("web", 8080, "/x"), "own": Address("model", 8000)}), "model")
    assert found["model/model.yaml"] == {"url": "http://127.0.0.1:18080/x", "own": "http://127.0.0.1:18000"}


@pytest.mark.parametrize(
    ("bind", "url"),
    [("0.0.0.0", "http://127.0.0.1:80"), ("192.0.2.7", "http://192.0.2.7:80"), ("::1", "http://[::1]:80")],
)
def test_a_process_calls_the_address_that_a_container_is_opened_on(bind: str, url: str) -> None:
    web = replace(WEB, ports=(Port(bind, 80, 8080),))
    found = rendered(project(MODEL, web, model={"url": Address("web", 8080)}), "model")
    assert found["model/model.yaml"] == {"url": url}


def test_what_a_process_calls_is_opened_on_loopback_and_that_is_told() -> None:
    web = replace(WEB, ports=())
    found = project(MODEL, web, model={"url": Address("web", 8080)})
    compose = rendered(found, "model")["compose.yaml"]
    assert compose["services"]["web"]["ports"] == [
        {"target": 8080, "published": "8080", "host_ip": "127.0.0.1", "protocol": "tcp"}
    ]
    told = "web: opened on 127.0.0.1:8080 for the processes that call it"
    assert told in notes(found, natively(DOCKER, "model"))
    assert "ports" not in rendered(project(MODEL, web), "model")["compose.yaml"]["services"]["web"]


DATABASE = {"postgres": {"host": "db", "port": 5432, "db": "a"}, "host": "elsewhere"}


def test_a_process_finds_a_database_by_its_host_and_port() -> None:
    db = Service("db", "postgres:1", ports=(Port("127.0.0.1", 15432, 5432),))
    model = rendered(project(MODEL, db, model=DATABASE), "model")["model/model.yaml"]
    assert model == {"postgres": {"host": "127.0.0.1", "port": 15432, "db": "a"}, "host": "elsewhere"}
    closed = rendered(project(MODEL, replace(db, ports=()), model=DATABASE), "model")
    assert closed["model/model.yaml"]["postgres"]["port"] == 5432
    assert closed["compose.yaml"]["services"]["db"]["ports"][0]["published"] == "5432"


def test_a_container_finds_a_database_that_is_a_process() -> None:
    db = Service("db", "postgres:1", ports=(Port("127.0.0.1", 15432, 5432),))
    port = {"host": "db", "port": "5432"}
    web = web_of(rendered(project(MODEL, WEB, db, web={"database": port, "bare": {"host": "db"}}), "db"))
    host = "host.docker.internal"
    assert web == {"database": {"host": host, "port": "15432"}, "bare": {"host": host, "port": 15432}}


def test_no_proxy_is_asked_for_this_machine() -> None:
    environment = (("NO_PROXY", "localhost,web"), ("no_proxy", "*"), ("HTTP_PROXY", EnvRef("HTTP_PROXY")))
    found = rendered(project(MODEL, replace(WEB, environment=environment), web=CALLS), "model")
    said = found["compose.yaml"]["services"]["web"]["environment"]
    assert (said["NO_PROXY"], said["no_proxy"]) == ("localhost,web,host.docker.internal", "*")


def test_volumes_of_processes_lie_where_the_local_engine_keeps_them() -> None:
    found = rendered(project(model={"path": "/models/x"}), "model")
    assert found["model/model.yaml"] == {"path": "/state/local/demo/volumes/models/x"}


def test_the_whole_has_all_services_in_their_order_as_they_are_really_run() -> None:
    found = combined(project(web=CALLS), natively(DOCKER, "model"), PLACE)
    assert [(one.name, one.image) for one in found.services] == [("model", ""), ("web", "web:1"), ("other", "other:1")]
    assert found.service("model").probe == Probe(18000, "/health")
    assert found.service("web").probe == Probe(8080, "/ready")


def test_changes_tell_what_documents_really_say() -> None:
    changes = (
        Change("web.yaml", "url", "http://localhost:8000", "http://model:8000/v1", "beside"),
        Change("web.yaml", "own", "", "http://web:8080", "itself"),
        Change("web.yaml", "database.host", "localhost", "model", "beside"),
        Change("model.yaml", "url", "a", "http://web:8080", "beside"),
    )
    found = combined(project(web=CALLS, changes=changes), natively(DOCKER, "model"), PLACE).changes
    assert [(one.after, one.reason) for one in found] == [
        ("http://host.docker.internal:18000/v1", "there it is a process of this machine"),
        ("http://web:8080", "itself"),
        ("host.docker.internal", "there it is a process of this machine"),
        ("http://127.0.0.1:18080", "where that is on this machine"),
    ]


def test_an_engine_without_root_is_refused_only_where_a_container_calls_a_process() -> None:
    rootless = replace(PODMAN, rootless=True)
    with pytest.raises(MachineError) as caught:
        rendered(project(web=CALLS), "model", facts=rootless)
    assert caught.value.what == "containers of an engine without root do not reach processes of this machine: model"
    assert "--set services.model.runtime=container" in caught.value.fix
    assert rendered(project(model={"url": Address("web", 8080)}), "model", facts=rootless)


def test_words_of_compose_about_a_process_are_refused_and_those_about_containers_are_not() -> None:
    def words(name: str) -> Project:
        return project(compose=({"services": {name: {"hostname": "x"}}},))

    with pytest.raises(UsageError) as caught:
        rendered(words("model"), "model")
    assert caught.value.where == "compose in lcompose.yaml: services.model"
    assert rendered(words("web"), "model")["compose.yaml"]["services"]["web"]["hostname"] == "x"
