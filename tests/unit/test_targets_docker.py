"""Docker: one file with everything inside, or a folder; and how documents reach their services."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcompose.errors import UsageError
from lcompose.spec.bundle import Bundle
from lcompose.spec.project import (
    Dependency,
    Derived,
    DocumentMount,
    FileMount,
    Hardening,
    Healthcheck,
    LogRotation,
    Project,
    Service,
    VolumeMount,
)
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import ComposeText, EnvRef
from lcompose.targets import Place, names, translate

DOCUMENT = DocumentMount("a.yaml", "/app/a.yaml")
SERVICE = Service("web", "team/web:1", command=("-c", "/app/a.yaml"), mounts=(DOCUMENT,))
PLACE = Place("/my/here", {"/my/here/f": "1"})
INLINE, FOLDER = TargetFacts(form="inline"), TargetFacts(form="folder")
READ_ONLY = Hardening(read_only=True)


def project(*services: Service, tree: Any = None, **more: Any) -> Project:
    """A project with one document, a.yaml."""
    derived = Derived("a.yaml", "web/a.yaml", tree or {"price": "$5", "key": "${env.KEY}"})
    return Project("demo", services or (SERVICE,), (derived,), **more)


def compose(found: Project, facts: TargetFacts = INLINE, place: Place = PLACE) -> Any:
    """The compose file as a tree."""
    return yaml.safe_load(translate(found, facts, place).main.text)


def web(facts: TargetFacts = INLINE, place: Place = PLACE, **more: Any) -> Any:
    """One service in the compose file."""
    return compose(project(replace(SERVICE, **more)), facts, place)["services"]["web"]


def document_text(bundle: Bundle) -> str:
    """The document of a folder."""
    return next(one.text for one in bundle.documents if one.path == "web/a.yaml")


def test_each_engine_is_a_target() -> None:
    assert names() == ("docker", "local", "podman")


def test_one_file_has_the_document_inside() -> None:
    bundle = translate(project(), INLINE, PLACE)
    assert [one.path for one in bundle.documents] == ["compose.yaml"]
    assert bundle.report == ()
    text = document_text(translate(project(), FOLDER, PLACE))
    assert yaml.safe_load(bundle.main.text) == {
        "name": "demo",
        "services": {
            "web": {
                "image": "team/web:1",
                "command": ["-c", "/app/a.yaml"],
                "labels": web()["labels"],
                "restart": "no",
                "stop_grace_period": "10s",
                "configs": [{"source": "a", "target": "/app/a.yaml"}],
            }
        },
        "configs": {"a": {"content": text.replace("$", "$$")}},
    }


@pytest.mark.parametrize("facts", [INLINE, FOLDER])
def test_a_bundle_tells_how_each_service_is_written_down_and_what_it_reads(facts: TargetFacts) -> None:
    bundle = translate(project(SERVICE, replace(SERVICE, name="other", mounts=())), facts, PLACE)
    services = yaml.safe_load(bundle.main.text)["services"]
    assert {name: json.loads(text) for name, text in bundle.services} == services
    assert dict(bundle.digests) == {name: one["labels"]["lcompose.config-digest"] for name, one in services.items()}


def test_a_folder_has_the_document_beside() -> None:
    bundle = translate(project(), FOLDER, PLACE)
    assert [one.path for one in bundle.documents] == ["compose.yaml", "web/a.yaml"]
    assert yaml.safe_load(document_text(bundle)) == {"price": "$5", "key": "${env.KEY}"}
    tree = yaml.safe_load(bundle.main.text)
    assert "configs" not in tree
    assert tree["services"]["web"]["volumes"] == [
        {
            "type": "bind",
            "source": "./web/a.yaml",
            "target": "/app/a.yaml",
            "read_only": True,
            "bind": {"create_host_path": False, "selinux": "z"},
        }
    ]


def test_the_file_says_what_it_is_and_how_it_is_used() -> None:
    first, second, *_ = translate(project(), INLINE, PLACE).main.text.splitlines()
    assert first.startswith("# Made by lcompose ")
    assert second == "# Start: docker compose -f compose.yaml up --detach --wait"


def test_a_read_only_service_gets_its_document_in_a_variable_and_never_in_configs() -> None:
    tree = compose(project(replace(SERVICE, hardening=READ_ONLY, own_entrypoint=("/run.sh",))))
    service = tree["services"]["web"]
    assert "configs" not in tree
    assert "configs" not in service
    text = document_text(translate(project(), FOLDER, PLACE))
    assert service["environment"] == {"LCOMPOSE_DOCUMENT": text.replace("$", "$$")}
    assert service["command"] == ["/run.sh", "-c", "/tmp/a.yaml"]
    assert service["tmpfs"] == ["/tmp"]


def test_a_document_that_one_service_copies_and_another_writes_travels_in_both_ways() -> None:
    tree = compose(project(SERVICE, replace(SERVICE, name="closed", hardening=READ_ONLY)))
    assert set(tree["configs"]) == {"a"}
    assert "configs" in tree["services"]["web"]
    assert "LCOMPOSE_DOCUMENT" in tree["services"]["closed"]["environment"]


def test_a_read_only_service_without_a_document_starts_as_ever() -> None:
    service = web(hardening=READ_ONLY, mounts=(), entrypoint=("a",))
    assert service["entrypoint"] == ["a"]
    assert "environment" not in service


def test_in_a_folder_a_read_only_service_mounts_its_document() -> None:
    service = web(FOLDER, hardening=READ_ONLY)
    assert service["command"] == ["-c", "/app/a.yaml"]
    assert service["volumes"][0]["target"] == "/app/a.yaml"


def test_what_starts_a_read_only_service_writes_its_document_and_hides_the_variable(tmp_path: Path) -> None:
    target = tmp_path / "a.yaml"
    service = web(hardening=READ_ONLY, own_entrypoint=("/bin/sh",))
    show = ["/bin/sh", "-c", 'cat "$0"; echo "${LCOMPOSE_DOCUMENT-gone}"', str(target)]
    entrypoint = [part.replace("/tmp/a.yaml", str(target)).replace("$$", "$") for part in service["entrypoint"]]
    environment = {"LCOMPOSE_DOCUMENT": "price: $5\n"}
    found = subprocess.run([*entrypoint, *show], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == "price: $5\ngone\n"


def test_a_document_that_names_another_one_names_the_place_that_it_is_written_to() -> None:
    both = (DocumentMount("a.yaml", "/app/a.yaml"), DocumentMount("b.yaml", "/app/b.yaml"))
    found = Project(
        "demo",
        (replace(SERVICE, hardening=READ_ONLY, mounts=both, own_entrypoint=("run",)),),
        (Derived("a.yaml", "a.yaml", {"other": "/app/b.yaml"}), Derived("b.yaml", "b.yaml", text="#!/bin/sh\n")),
    )
    service = compose(found)["services"]["web"]
    assert yaml.safe_load(service["environment"]["LCOMPOSE_DOCUMENT"]) == {"other": "/tmp/b.yaml"}
    assert service["environment"]["LCOMPOSE_DOCUMENT_1"] == "#!/bin/sh\n"


def test_a_secret_that_cannot_be_a_variable_stands_in_no_single_file() -> None:
    closed = Project("demo", (SERVICE,), (Derived("a.yaml", "web/a.yaml", {"k": "123456"}, secret_at="a.yaml:1:4: k"),))
    with pytest.raises(UsageError) as caught:
        translate(closed, INLINE, PLACE)
    assert caught.value.where == "a.yaml:1:4: k"
    assert [(one.path, one.private) for one in translate(closed, FOLDER, PLACE).documents] == [
        ("compose.yaml", False),
        ("web/a.yaml", True),
    ]


def test_what_a_service_needs_is_waited_for_and_taken_down_after_it() -> None:
    needs = (Dependency("db", "healthy"), Dependency("job", "completed"))
    others = [Service(name, "any:1") for name in ("server", "db", "job")]
    service = compose(project(*others, replace(SERVICE, after=("server",), needs=needs)))["services"]["web"]
    assert service["depends_on"] == {
        "server": {"condition": "service_started"},
        "db": {"condition": "service_healthy"},
        "job": {"condition": "service_completed_successfully"},
    }
    assert service["labels"]["lcompose.after"] == "server,db,job"


def test_a_document_that_is_too_long_for_a_variable_is_refused() -> None:
    found = project(replace(SERVICE, hardening=READ_ONLY), tree={"a": "x" * 130 * 1024})
    with pytest.raises(UsageError) as caught:
        translate(found, INLINE, PLACE)
    assert caught.value.what == "a.yaml is longer than a variable may be (127 KiB)"
    assert translate(found, FOLDER, PLACE)


def test_a_long_document_of_a_service_that_can_be_written_is_fine() -> None:
    assert translate(project(tree={"a": "x" * 130 * 1024}), INLINE, PLACE)


def test_every_kind_of_variable_is_in_composes_words() -> None:
    environment = (
        ("A", "$5"),
        ("B", EnvRef("B", required=True)),
        ("C", EnvRef("OTHER", "x")),
        ("D", ComposeText("${D}")),
    )
    assert web(environment=environment)["environment"] == {
        "A": "$$5",
        "B": "${B:?set B in the environment or in .env}",
        "C": "${OTHER:-x}",
        "D": "${D}",
    }


def test_volumes_and_files_are_mounted_in_the_long_form() -> None:
    mounts = (VolumeMount("data", "/data"), FileMount("/my/here/f", "/f", read_only=False))
    tree = compose(project(replace(SERVICE, mounts=mounts), volumes=("data",)))
    assert tree["volumes"] == {"data": {}}
    assert tree["services"]["web"]["volumes"] == [
        {"type": "volume", "source": "data", "target": "/data"},
        {
            "type": "bind",
            "source": "./f",
            "target": "/f",
            "read_only": False,
            "bind": {"create_host_path": False, "selinux": "z"},
        },
    ]


def test_a_service_starts_beside_what_it_comes_after_and_stops_before_it() -> None:
    service = compose(project(Service("db", "db:1"), replace(SERVICE, after=("db",))))["services"]["web"]
    assert service["depends_on"] == {"db": {"condition": "service_started"}}
    assert service["labels"]["lcompose.after"] == "db"


def test_what_is_not_in_the_file_is_not_waited_for_and_outlives_it_all_the_same() -> None:
    service = web(after=("db",), needs=(Dependency("cache"),))
    assert "depends_on" not in service
    assert service["labels"]["lcompose.after"] == "db,cache"


def test_a_service_that_is_ordered_is_started_when_the_others_are_healthy() -> None:
    db = Service("db", "db:1", healthcheck=Healthcheck(("CMD", "true")))
    found = compose(project(db, replace(SERVICE, after=("db",), ordered=True)))
    assert found["services"]["web"]["depends_on"] == {"db": {"condition": "service_healthy"}}


def test_logs_are_rotated_as_they_are_asked_to_be() -> None:
    assert web(log_rotation=LogRotation("10m", 5))["logging"] == {
        "driver": "json-file",
        "options": {"max-size": "10m", "max-file": "5"},
    }


@pytest.mark.parametrize(("version", "known"), [((24, 0, 9), False), ((25, 0), True), ((26, 1), True)])
def test_only_an_engine_that_knows_it_is_told_how_often_to_ask_at_first(version: Any, known: bool) -> None:
    service = web(TargetFacts(engine_version=version), healthcheck=Healthcheck(("CMD", "a")))
    assert ("start_interval" in service["healthcheck"]) is known


def digest(found: Project, place: Place = PLACE) -> str:
    """The digest of what a service reads, as its label says it."""
    label: str = compose(found, INLINE, place)["services"]["web"]["labels"]["lcompose.config-digest"]
    return label


@pytest.mark.parametrize("hardening", [Hardening(), READ_ONLY])
def test_the_digest_changes_with_the_document(hardening: Hardening) -> None:
    service = replace(SERVICE, hardening=hardening)
    assert digest(project(service)) != digest(project(service, tree={"price": "$6"}))


def test_the_digest_changes_with_a_mounted_file() -> None:
    found = project(replace(SERVICE, mounts=(FileMount("/my/here/f", "/f"),)))
    assert digest(found) != digest(found, Place("/my/here", {"/my/here/f": "2"}))


def test_the_digest_changes_with_nothing_else() -> None:
    changed = replace(SERVICE, image="team/web:2", environment=(("A", "1"),), restart="always")
    assert digest(project()) == digest(project(changed), Place("/my/here", {"/else": "2"}))


def test_an_image_whose_user_must_own_its_volume_runs_as_root() -> None:
    assert web(user=1001)["user"] == "0:0"
    assert "user" not in web()
