"""Podman: a folder of files, and no value of a variable where every process list shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from lcompose.errors import UsageError
from lcompose.spec.machine import Machine
from lcompose.spec.project import (
    AcceleratorRequest,
    Derived,
    DocumentMount,
    FileMount,
    Healthcheck,
    LogRotation,
    Project,
    Service,
    VolumeMount,
)
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import ComposeText, EnvRef
from lcompose.targets import Place, translate

SERVICE = Service("web", "team/web:1", mounts=(DocumentMount("a.yaml", "/app/a.yaml"),))
PLACE = Place("/my/here", {})
FOLDER = TargetFacts("podman", "folder", reader="podman-compose")
RUN = replace(FOLDER, form="run")
ENVIRONMENT = (
    ("PLAIN", "$5"),
    ("KEY", EnvRef("KEY", required=True)),
    ("OTHER", EnvRef("OTHER", "x")),
    ("OWN", ComposeText("${OWN:-y}")),
)


def project(*services: Service, **more: Any) -> Project:
    """A project with one document, a.yaml."""
    return Project("demo", services or (SERVICE,), (Derived("a.yaml", "web/a.yaml", {"a": "$5"}),), **more)


def compose(found: Project, facts: TargetFacts = FOLDER) -> Any:
    """The compose file as a tree."""
    return yaml.safe_load(translate(found, facts, PLACE).main.text)


def web(facts: TargetFacts = FOLDER, **more: Any) -> Any:
    """One service in the compose file."""
    return compose(project(replace(SERVICE, **more)), facts)["services"]["web"]


def test_one_file_is_refused_because_podman_compose_would_drop_the_document() -> None:
    with pytest.raises(UsageError) as caught:
        translate(project(), TargetFacts("podman", "inline"), PLACE)
    assert (caught.value.where, caught.value.fix) == (
        "--engine podman",
        "Render to a folder instead: lcompose render -o DIR.",
    )


def test_a_folder_has_the_compose_file_and_the_document() -> None:
    bundle = translate(project(), FOLDER, PLACE)
    assert [one.path for one in bundle.documents] == ["compose.yaml", "web/a.yaml"]
    assert bundle.inherited == ()
    assert yaml.safe_load(bundle.main.text) == {
        "name": "demo",
        "x-podman": {"in_pod": False},
        "services": {
            "web": {
                "image": "team/web:1",
                "labels": web()["labels"],
                "restart": "no",
                "stop_grace_period": "10s",
                "volumes": [
                    {
                        "type": "bind",
                        "source": "./web/a.yaml",
                        "target": "/app/a.yaml",
                        "read_only": True,
                        "bind": {"create_host_path": False, "selinux": "z"},
                    }
                ],
            }
        },
    }


def test_the_file_says_how_it_is_used() -> None:
    assert translate(project(), FOLDER, PLACE).main.text.splitlines()[1] == (
        "# Start: podman-compose -f compose.yaml up --detach"
    )


def test_in_a_folder_every_variable_is_in_composes_words() -> None:
    assert web(environment=ENVIRONMENT)["environment"] == {
        "PLAIN": "$$5",
        "KEY": "${KEY:?set KEY in the environment or in .env}",
        "OTHER": "${OTHER:-x}",
        "OWN": "${OWN:-y}",
    }


def test_what_lcompose_runs_has_no_variable_that_bears_a_persons_value() -> None:
    found = project(replace(SERVICE, environment=ENVIRONMENT))
    assert compose(found, RUN)["services"]["web"]["environment"] == {"PLAIN": "$$5", "OWN": "${OWN:-y}"}
    assert translate(found, RUN, PLACE).inherited == (("web", (EnvRef("KEY", required=True), EnvRef("OTHER", "x"))),)


def test_a_service_without_variables_says_nothing_of_them() -> None:
    assert "environment" not in web(RUN, environment=(("KEY", EnvRef("KEY")),))


def test_the_order_of_starting_is_not_podman_composes() -> None:
    service = web(after=("db",))
    assert "depends_on" not in service
    assert service["labels"]["lcompose.after"] == "db"


@pytest.mark.parametrize("check", [None, Healthcheck(("CMD", "a"))])
def test_what_podman_compose_cannot_do_is_said(check: Healthcheck | None) -> None:
    report = translate(project(replace(SERVICE, healthcheck=check)), FOLDER, PLACE).report
    expected = [
        "podman-compose: the order of stopping is not kept; lcompose down keeps it",
        "podman-compose: without systemd Podman runs no health checks; lcompose up probes by itself",
    ]
    assert list(report) == (expected if check else expected[:1])


@pytest.mark.parametrize(
    ("gpu", "machine", "said"),
    [
        (
            "rocm",
            None,
            ["without root, containers may not open the GPU's device nodes; --for here, on that machine, can"],
        ),
        (
            "xpu",
            None,
            ["without root, containers may not open the GPU's device nodes; --for here, on that machine, can"],
        ),
        # Groups of the nodes are known there.
        ("rocm", Machine(), []),
        # CDI needs none.
        ("cuda", None, []),
    ],
)
def test_what_only_a_look_at_the_machine_tells_is_said(gpu: str, machine: Machine | None, said: list[str]) -> None:
    asking = replace(SERVICE, accelerator=AcceleratorRequest(gpu))
    report = translate(project(asking), replace(FOLDER, machine=machine), PLACE).report
    assert [line.removeprefix("podman-compose: ") for line in report[1:]] == said


def test_who_reads_the_file_is_named_in_it() -> None:
    socket = replace(FOLDER, reader="docker-compose")
    bundle = translate(project(), socket, PLACE)
    start = "# Start: PODMAN_COMPOSE_PROVIDER=docker-compose podman compose -f compose.yaml up --detach"
    assert start in bundle.main.text.splitlines()
    assert all(line.startswith("docker-compose: ") for line in bundle.report)


def test_a_health_check_is_written_without_what_podman_does_not_know() -> None:
    assert "start_interval" not in web(healthcheck=Healthcheck(("CMD", "a")))["healthcheck"]


def test_logs_are_rotated_in_podmans_words() -> None:
    assert web(log_rotation=LogRotation("10m", 5))["logging"] == {
        "driver": "k8s-file",
        "options": {"max-size": "10m"},
    }


def test_volumes_and_files_are_mounted_in_the_long_form() -> None:
    mounts = (VolumeMount("data", "/data"), FileMount("/my/here/f", "/f"))
    tree = compose(project(replace(SERVICE, mounts=mounts), volumes=("data",)))
    assert tree["volumes"] == {"data": {}}
    assert [(one["type"], one["source"], one["target"]) for one in tree["services"]["web"]["volumes"]] == [
        ("volume", "data", "/data"),
        ("bind", "./f", "/f"),
    ]


@pytest.mark.parametrize("facts", [FOLDER, RUN])
def test_a_bundle_tells_how_each_service_is_written_down(facts: TargetFacts) -> None:
    bundle = translate(project(SERVICE, replace(SERVICE, name="other", environment=ENVIRONMENT)), facts, PLACE)
    services = yaml.safe_load(bundle.main.text)["services"]
    assert {name: json.loads(text) for name, text in bundle.services} == services


def test_the_digest_changes_with_the_document_alone() -> None:
    label = "lcompose.config-digest"
    other = replace(project(), documents=(Derived("a.yaml", "web/a.yaml", {"a": "$6"}),))
    first, second = web()["labels"][label], compose(other)["services"]["web"]["labels"][label]
    assert first != second
    assert first == web(image="team/web:2")["labels"][label]


def test_a_rootless_engine_makes_the_images_user_the_persons_own() -> None:
    rootless = replace(FOLDER, rootless=True)
    assert web(rootless, user=1001)["userns_mode"] == "keep-id:uid=1001"
    assert "userns_mode" not in web(rootless) and "userns_mode" not in web(user=1001)
