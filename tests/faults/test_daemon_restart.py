"""A Docker daemon that goes away while somebody waits, and comes back: one of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import lcompose_child
from tests.engine.images import variables
from tests.engine.stack import Stack, new_stack

pytestmark = pytest.mark.docker

LATE = """
    services:
      app:
        image: $IMAGE
        init: true
        command: sh -c "sleep 6; touch /tmp/ok; exec sleep 60"
        restart: RESTART
        healthcheck: {test: ["CMD", "test", "-f", "/tmp/ok"], interval: 0.5s, retries: 1000}
"""


@dataclass
class Daemon:
    """A dockerd with a network namespace of its own: else it would remove the other one's bridge."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"unix://{self.folder}/sock"

    def start(self) -> None:
        """Starts it, and waits until it answers; skips where this machine does not allow it."""
        argv = ["unshare", "--net", "dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        options = [f"--{option}={self.folder / name}" for option, name in places.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*argv, *options, "--host", self.address], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while subprocess.run(["docker", "version"], capture_output=True, check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                last = (self.folder / "log").read_text().splitlines()[-1:]
                pytest.skip(f"a second dockerd cannot be started here: {last}")
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait(timeout=30)
            self.process = None


@pytest.fixture(scope="module")
def daemon(docker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has the base image and nothing else; DOCKER_HOST leads to it."""
    if os.geteuid() != 0:
        pytest.skip("a second dockerd needs root")
    base = variables(docker)["IMAGE"]
    found = Daemon(tmp_path_factory.mktemp("d"))
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(["docker", "save", base], stdout=subprocess.PIPE) as image,
    ):
        patch.setenv("DOCKER_HOST", found.address)
        try:
            found.start()
            subprocess.run(["docker", "load", "--quiet"], stdin=image.stdout, check=True, stdout=subprocess.DEVNULL)
            yield found
        finally:
            image.kill()
            found.stop()


@pytest.fixture
def stack(daemon: Daemon, docker: str, tmp_path: Path) -> Iterator[Stack]:
    found = new_stack(docker, tmp_path)
    try:
        yield found
    finally:
        found.sweep()


@contextmanager
def waiting(stack: Stack, restart: str, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """An ``up`` that has started its only service, and waits until it is healthy."""
    stack.write(LATE.replace("RESTART", restart))
    options = [*stack.named, "--wait-timeout", str(seconds)]
    with lcompose_child("up", *options, cwd=stack.folder, state=stack.state, env=stack.env) as process:
        try:
            deadline = time.monotonic() + 30
            while stack.states() != {"app": "running"}:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            time.sleep(1)
            yield process
        finally:
            process.kill()


def test_up_goes_on_when_the_daemon_is_restarted_and_starts_the_service_again(daemon: Daemon, stack: Stack) -> None:
    with waiting(stack, "always", 40) as process:
        daemon.stop()
        daemon.start()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert stack.states() == {"app": "running"}
    stack.ends()


def test_a_service_that_a_restart_of_the_daemon_has_ended_is_told(daemon: Daemon, stack: Stack) -> None:
    with waiting(stack, "no", 40) as process:
        daemon.stop()
        daemon.start()
        begun = time.monotonic()
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - begun < 15
    assert process.returncode == 5, out + err
    assert "app" in err
    stack.started()
    stack.ends()


def test_a_daemon_that_does_not_come_back_ends_the_waiting_by_the_deadline(daemon: Daemon, stack: Stack) -> None:
    begun = time.monotonic()
    with waiting(stack, "no", 8) as process:
        daemon.stop()
        out, err = process.communicate(timeout=60)
        took = time.monotonic() - begun
        daemon.start()
    assert process.returncode in (1, 4, 5), out + err
    assert "Docker" in err or "docker" in err
    assert took < 15
    stack.started()
    stack.ends()


def test_a_daemon_that_hangs_ends_the_waiting_at_the_deadline(daemon: Daemon, stack: Stack) -> None:
    begun = time.monotonic()
    with waiting(stack, "no", 8) as process:
        assert daemon.process
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            out, err = process.communicate(timeout=60)
            took = time.monotonic() - begun
        finally:
            daemon.process.send_signal(signal.SIGCONT)
    assert process.returncode in (1, 4, 5), out + err
    assert took < 15
    stack.started()
    stack.ends()
