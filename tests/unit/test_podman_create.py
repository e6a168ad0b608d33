"""Creating on Podman: what the reader is told, and what is made of its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lcompose.engines import ComposeFile, Creation
from lcompose.engines.podman_create import create
from lcompose.errors import EngineError
from lcompose.failures import known_of
from lcompose.spec.text import EnvRef
from tests.unit.test_podman_provider import program

READING = {"services": {"web": {"image": "a", "deploy": {"replicas": 2}}, "db": {"image": "b"}}}


class Made:
    """A machine on which podman-compose writes down how it was called, and Podman has some containers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "compose.yaml").write_text("services: {}")
        self.reader("exit 0")

    def reader(self, script: str, name: str = "podman-compose") -> None:
        """Lets the reader of compose files do this."""
        log = f'printf "%s " "$@" >> {self.folder}/called; echo >> {self.folder}/called'
        self.path = program(self.folder, name, f"{log}\n{script}")

    def has(self, **counts: int) -> None:
        """Lets Podman have so many containers of each service."""
        services = [service for service, count in counts.items() for _ in range(count)]
        found = [{"Labels": {"com.docker.compose.service": service}} for service in services]
        (self.folder / "containers").write_text(json.dumps(found))
        program(self.folder, "podman", f"cat {self.folder}/containers")

    def create(self, inherited: Mapping[str, tuple[EnvRef, ...]] | None = None, **env: str) -> list[str]:
        """Creates, and returns what was shown meanwhile."""
        shown: list[str] = []
        environment = {"PODMAN_COMPOSE_PROVIDER": self.path, "PATH": f"{self.folder}:/usr/bin:/bin", **env}
        compose = ComposeFile("demo", (self.folder / "compose.yaml",), self.folder, environment)
        more: dict[str, Any] = {"ours": inherited is not None, "reading": READING, "state": self.folder / "state"}
        (self.folder / "state").mkdir(exist_ok=True)
        create(Creation(compose, ("web", "db"), inherited or {}, 20, **more), shown.append)
        return shown

    @property
    def called(self) -> list[str]:
        """How the reader was called, without the folder's name."""
        return [
            line.replace(f"{self.folder}/", "").strip() for line in (self.folder / "called").read_text().splitlines()
        ]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_two_files_of_ours_are_read_after_the_persons(made: Made) -> None:
    made.has(web=2, db=1)
    made.create()
    assert made.called == [
        "--project-name demo --file compose.yaml --file state/podman-removals.yaml"
        " --file state/podman-additions.yaml up --no-start --no-deps"
    ]
    written = sorted((made.folder / "state").iterdir())
    assert [path.stat().st_mode & 0o777 for path in written] == [0o600, 0o600]


def test_our_own_file_is_created_service_by_service_with_names_alone(made: Made) -> None:
    made.has(web=1, db=1)
    made.reader(f"echo $KEY $OTHER $LCOMPOSE_VARIABLES_DIGEST >> {made.folder}/values")
    made.create({"web": (EnvRef("KEY", required=True), EnvRef("OTHER", "default"))}, KEY="a-secret")
    assert made.called == [
        "--project-name demo --file compose.yaml --podman-run-args=-e KEY -e OTHER up --no-start --no-deps web",
        "--project-name demo --file compose.yaml up --no-start --no-deps db",
    ]
    assert (made.folder / "values").read_text().startswith("a-secret default ")


def test_a_container_that_is_missing_is_an_error_though_the_reader_says_nothing(made: Made) -> None:
    made.has(web=1, db=1)
    made.reader("echo 'Error: no space left on device' >&2")
    with pytest.raises(EngineError) as caught:
        made.create()
    assert caught.value.what == "podman-compose could not create web: no space left on device"


def test_a_failure_says_why_and_what_to_do(made: Made) -> None:
    made.has()
    made.reader("echo 'Error: invalid IP address in add-host: \"host-gateway\"' >&2; exit 125")
    with pytest.raises(EngineError) as caught:
        made.create()
    assert caught.value.what.startswith("podman-compose could not create the containers: invalid IP address")
    assert "host.containers.internal" in known_of(caught.value)[0].fix


def test_a_name_that_is_still_taken_is_tried_again(made: Made) -> None:
    made.has(web=2, db=1)
    said = 'Error: creating container storage: the container name "x_web_1" is already in use by 1'
    made.reader(f"[ -e {made.folder}/again ] && exit 0; touch {made.folder}/again; echo '{said}' >&2; exit 125")
    made.create()
    assert len(made.called) == 2


def test_noise_is_not_shown(made: Made) -> None:
    made.has(web=2, db=1)
    made.reader(
        "echo 'level=error msg=\"no systemd connection\"' >&2; echo 'Trying to pull a...' >&2; echo '  at x' >&2"
    )
    assert made.create() == ["Trying to pull a..."]
