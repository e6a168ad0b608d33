"""Logs on real engines: restarts, replacement, removal, rotation and a full disk lose no line without saying so."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lcompose import logs
from lcompose.engines import Engine
from lcompose.engines.select import connect
from lcompose.errors import MachineError
from lcompose.spec.run import Container
from lcompose.spec.secrets import Secrets
from tests.conftest import Lcompose, free_port, lcompose_child
from tests.images.build import BASES

IMAGE = BASES[0]
NONE = Secrets({})


@dataclass(frozen=True)
class Project:
    """Containers with the labels of a project, made without any compose."""

    engine: str
    name: str
    state: Path

    def runs(self, service: str, script: str, *options: str) -> str:
        """Starts a container of a service, and returns its id."""
        labels = [f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}"]
        argv = [part for label in labels for part in ("--label", label)]
        return self.does("run", "-d", *argv, *options, IMAGE, "sh", "-c", script).strip().splitlines()[-1]

    def does(self, *argv: str) -> str:
        """What the engine's command line prints."""
        done = subprocess.run([self.engine, *argv], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def removes(self, *containers: str) -> None:
        """Removes containers, running or not, at once: Podman would wait for them to end."""
        self.does("rm", "-f", *(["-t", "0"] if self.engine == "podman" else []), *containers)

    def ended(self, container: str) -> None:
        """Waits until a container has ended."""
        self.does("wait", container)

    def printed(self, container: str) -> list[str]:
        """What the engine itself says that a container printed, both streams, in any order."""
        argv = [self.engine, "logs", container]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        return sorted([*done.stdout.splitlines(), *done.stderr.splitlines()])

    @property
    def client(self) -> Engine:
        """The engine as lcompose drives it."""
        return connect(self.engine, os.environ)  # type: ignore[arg-type]

    @property
    def containers(self) -> tuple[Container, ...]:
        """Its containers as lcompose sees them."""
        return self.client.containers(self.name)

    @property
    def directory(self) -> Path:
        """Where lcompose keeps its logs, if a command of this test's makes them."""
        import hashlib

        key = hashlib.sha256(self.client.endpoint().encode()).hexdigest()[:12]
        return self.state / "lcompose" / key / self.name / "logs"

    def kept(self) -> list[str]:
        """The kept lines."""
        return [line.text for path in logs.kept(self.directory) for line in logs.read_kept(path)]

    def collects(self) -> list[str]:
        """Keeps what there is; returns the problems."""
        return logs.collect_all(self.client, self.containers, self.directory, NONE)

    def follows(self, *options: str) -> subprocess.Popen[str]:
        """``lcompose logs --follow`` in a process of its own."""
        argv = ["logs", "--follow", "-p", self.name, "--engine", self.engine, *options]
        return lcompose_child(*argv, cwd=self.state, state=self.state, env={})


@pytest.fixture
def project(engine: str, state: Path) -> Iterator[Project]:
    """A project of its own that is gone afterwards."""
    made = Project(engine, f"test-logs-{os.getpid()}-{free_port()}", state)
    yield made
    ids = made.does("ps", "-aq", "--filter", f"label=com.docker.compose.project={made.name}").split()
    if ids:
        made.removes(*ids)


def shown(project: Project, lcompose: Lcompose, *options: str) -> list[str]:
    """What ``lcompose logs`` prints."""
    ran = lcompose("logs", "-p", project.name, "--engine", project.engine, *options, cwd=project.state)
    assert ran.code == 0, ran.err
    return ran.out.splitlines()


def test_every_line_of_every_start_is_followed_and_kept_once(project: Project) -> None:
    crash = "n=$(cat /n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /n; "
    crash += "for i in 1 2 3 4 5; do echo start $n line $i; echo start $n error $i >&2; done; sleep 0.1; [ $n -ge 5 ]"
    container = project.runs("app", crash, "--restart", "on-failure")
    with project.follows() as child:
        while len(project.printed(container)) < 50:
            project.collects()
            time.sleep(0.2)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    everything = sorted(f"start {n} {kind} {i}" for n in range(1, 6) for kind in ("line", "error") for i in range(1, 6))
    assert project.printed(container) == everything
    assert sorted(out.replace("app | ", "").splitlines()) == everything
    project.collects()
    assert sorted(project.kept()) == everything


def test_following_goes_on_with_a_container_that_replaces_another(project: Project) -> None:
    first = project.runs("app", "echo first; sleep 60")
    with project.follows() as child:
        assert child.stdout
        assert child.stdout.readline() == "app | first\n"
        project.removes(first)
        second = project.runs("app", "for i in 1 2 3; do echo second $i; done; sleep 60")
        lines = [child.stdout.readline() for _ in range(3)]
        project.removes(second)
        rest, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    assert [*lines, rest] == ["app | second 1\n", "app | second 2\n", "app | second 3\n", ""]


def test_a_container_that_is_removed_behind_our_back_leaves_a_word_about_it(
    project: Project, lcompose: Lcompose
) -> None:
    container = project.runs("app", "echo here; sleep 60")
    while not project.printed(container):
        time.sleep(0.05)
    assert project.collects() == []
    project.removes(container)
    here, lost = shown(project, lcompose)
    assert here == "app | here"
    assert lost.startswith("app | # lcompose: lines are lost here: after ")
    assert lost.endswith(", the container was removed by something else than lcompose")
    assert shown(project, lcompose) == [here, lost]


def test_logs_are_there_after_down(project: Project, lcompose: Lcompose) -> None:
    web = project.runs("web", "for i in 1 2 3; do echo web $i; done; printf 'without an end'")
    database = project.runs("db.Main", "echo ready")
    project.ended(web)
    project.ended(database)
    down = lcompose("down", "-p", project.name, "--engine", project.engine, cwd=project.state)
    assert down.code == 0, down.err
    assert project.containers == ()
    assert sorted(shown(project, lcompose)) == [
        "db.Main | ready",
        *(f"web | web {i}" for i in (1, 2, 3)),
        "web | without an end",
    ]
    chosen = shown(project, lcompose, "--since", "1m", "--grep", "^web [12]$|ready", "--tail", "1", "--json")
    fields = [json.loads(line) for line in chosen]
    assert sorted((one["service"], one["text"]) for one in fields) == [("db.Main", "ready"), ("web", "web 2")]
    latest = project.directory / "web" / "latest.log"
    assert latest.read_text().endswith("Z without an end")


def test_what_the_engine_rotated_away_is_said_to_be_lost(project: Project) -> None:
    rotation = ["--log-opt", "max-size=20k", *(["--log-opt", "max-file=2"] if project.engine == "docker" else [])]
    script = "echo first; while [ ! -e /go ]; do sleep 0.05; done; seq 100001 104000; echo last; sleep 60"
    container = project.runs("app", script, *rotation)
    while not project.printed(container):
        time.sleep(0.05)
    project.collects()
    project.does("exec", container, "touch", "/go")
    while project.printed(container)[-1:] != ["last"]:
        time.sleep(0.05)
    project.collects()
    project.collects()
    kept = project.kept()
    assert kept[0] == "first"
    assert kept[1].startswith("# lcompose: lines are lost here: between ")
    assert kept[-1] == "last"
    assert [line for line in kept if line.startswith("#")] == kept[1:2]
    numbers = [int(line) for line in kept[2:-1] if line.isdecimal()]
    assert numbers == list(range(numbers[0], 104001))


def test_a_log_goes_on_where_a_full_disk_ended_it(project: Project) -> None:
    container = project.runs("app", "seq 100001 110000")
    project.ended(container)
    place = project.directory
    place.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(MachineError, match="No space left on device"):
            logs.collect(project.client, project.containers[0], place, NONE)
        assert 0 < len(project.kept()) < 10000
        subprocess.run(["mount", "-o", "remount,size=16m", place], check=True)
        logs.collect(project.client, project.containers[0], place, NONE)
        assert project.kept() == [str(number) for number in range(100001, 110001)]
    finally:
        subprocess.run(["umount", place], check=True)


def test_long_lines_stay_whole_and_hide_what_is_secret_in_them(project: Project) -> None:
    secret = "a-very-secret-value"
    script = (
        "head -c 16370 /dev/zero | tr '\\0' x; printf a-very-secret-value; head -c 40000 /dev/zero | tr '\\0' y; echo"
    )
    container = project.runs("app", f"{script}; echo short")
    project.ended(container)
    path = logs.collect(project.client, project.containers[0], project.directory, Secrets({"API_KEY": secret}))
    long, short = list(logs.read_kept(path))
    assert long.text == "x" * 16370 + "<API_KEY>" + "y" * 40000
    assert short.text == "short"


def test_a_log_that_the_engine_does_not_keep_is_said_in_a_line(project: Project, lcompose: Lcompose) -> None:
    project.runs("silent", "echo unheard", "--log-driver", "none")
    project.runs("app", "echo heard")
    silent, heard = sorted(shown(project, lcompose), reverse=True)
    assert heard == "app | heard"
    assert silent.startswith("silent | # lcompose: this log cannot be read: ")
