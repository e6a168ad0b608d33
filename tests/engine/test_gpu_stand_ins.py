"""Engines that have a stand-in for a GPU really give it, in each form; and what drops it drops it without a word.

The stand-in is a CDI specification whose nodes are no hardware, and a hook that makes one node. Both are seen by an
engine of the test's own alone: a dockerd with a root of its own, and a Podman in a mount namespace of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lcompose.emit import yaml_text
from lcompose.engines import ComposeFile, Creation
from lcompose.engines.client import Client
from lcompose.engines.podman_provider import CHOICE, FINDERS
from lcompose.engines.select import connect
from lcompose.errors import MachineError
from lcompose.spec.machine import CdiSpec, Gpu, Machine
from lcompose.spec.project import AcceleratorRequest
from lcompose.spec.target import found_here
from lcompose.targets.devices import FORMS, device_words
from lcompose.vendors import vendor
from tests.conftest import clean_environment, free_port
from tests.engine.images import variables

KIND = "nvidia.com/gpu"
HOOK = "nvidia-container-runtime-hook"
NAMES = ("0", "1", "all")
SPECIFICATION = f"""
cdiVersion: "0.5.0"
kind: {KIND}
containerEdits: {{deviceNodes: [{{path: /dev/nvidiactl, hostPath: /dev/null}}]}}
devices:
- {{name: "0", containerEdits: {{deviceNodes: [{{path: /dev/nvidia0, hostPath: /dev/null}}]}}}}
- {{name: "1", containerEdits: {{deviceNodes: [{{path: /dev/nvidia1, hostPath: /dev/null}}]}}}}
- name: all
  containerEdits:
    deviceNodes: [{{path: /dev/nvidia0, hostPath: /dev/null}}, {{path: /dev/nvidia1, hostPath: /dev/null}}]
"""
# The folder "etc" over /etc, for one program and what it starts; what they write there is in layers of their own.
PODMAN = """#!/bin/sh
exec unshare --mount sh -c '
  layers=$(mktemp -d "$0/layers.XXXXXX") && mkdir "$layers/upper" "$layers/work" &&
  mount -t overlay overlay -o "lowerdir=$0/etc:/etc,upperdir=$layers/upper,workdir=$layers/work" /etc &&
  exec "$@"
' '{folder}' {podman} "$@"
"""
# Which nodes there are, and what Docker tells NVIDIA's hook.
LOOKS = ["sh", "-c", "ls /dev | grep nvidia; echo hook=$$NVIDIA_VISIBLE_DEVICES"]
MACHINE = Machine(
    gpus=tuple(Gpu("cuda", index=index) for index in (0, 1)),
    cdi=(CdiSpec("/etc/cdi/nvidia.yaml", KIND, NAMES),),
    toolkits=(("cuda", HOOK),),
)
ALL, SECOND = AcceleratorRequest("cuda"), AcceleratorRequest("cuda", ids=("1",))
NOTHING = {"hook="}
# Docker before 29.2 asks the hook, later ones a specification first.
CONTROL = "nvidiactl"
GIVEN = {
    ALL: ({"hook=all", CONTROL}, {"hook=", CONTROL, "nvidia0", "nvidia1"}),
    SECOND: ({"hook=1", CONTROL}, {"hook=", CONTROL, "nvidia1"}),
}
# As NVIDIA's does, it puts what every container needs into the one that starts; Docker tells it which.
MAKES_A_NODE = f"""#!{sys.executable}
import json, subprocess, sys
told = json.load(sys.stdin)
root = json.load(open(told["bundle"] + "/config.json"))["root"]["path"]
inside = ["nsenter", "--mount", "--target", str(told["pid"])]
subprocess.run([*inside, "mknod", "-m", "666", root + "/dev/{CONTROL}", "c", "1", "3"], check=True)
"""


@dataclass(frozen=True)
class StandIn:
    """An engine that has a stand-in for two GPUs."""

    engine: str
    env: Mapping[str, str]
    image: str
    # Whose network its containers are in, where that is not this machine's.
    process: int = 0

    @property
    def client(self) -> Client:
        """The engine as lcompose drives it."""
        return connect(self.engine, self.env)  # type: ignore[arg-type, return-value]

    def seen(self, words: Mapping[str, Any], folder: Path) -> set[str]:
        """What a container sees that says these words."""
        name = f"g2-{os.getpid()}-{free_port()}"
        service = {"image": self.image, "network_mode": "none", "command": LOOKS, **words}
        path = folder / "compose.yaml"
        path.write_text(yaml_text({"name": name, "x-podman": {"in_pod": False}, "services": {"web": service}}))
        compose = ComposeFile(name, (path,), folder, self.env)
        client = self.client
        try:
            client.create(Creation(compose, ("web",), {}, 60, state=folder), lambda line: None)
            [web] = client.containers(name)
            client.start(web.id)
            return set(self._last_words(name))
        finally:
            client.remove([one.id for one in client.containers(name)])
            for network in client.networks(name):
                client.remove_network(network)

    def _last_words(self, name: str) -> list[str]:
        client = self.client
        for _ in range(100):
            [web] = client.containers(name)
            if web.state in ("exited", "stopped"):
                return [line.split(" ", 1)[1] for line in client.logs(web.id).splitlines()]
            time.sleep(0.1)
        raise AssertionError("the container does not end")


def written(folder: Path, name: str, text: str) -> Path:
    """A file, which may be a program."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def needs_root(*programs: str) -> None:
    """Skips where the test cannot have an engine of its own."""
    missing = [one for one in programs if shutil.which(one) is None]
    if os.geteuid() or missing:
        pytest.skip(f"an engine of its own needs root and {', '.join(programs)}")


# ---------------------------------------------------------------- Docker


@pytest.fixture(scope="module")
def dockerd(docker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """Docker with CDI on and a hook of NVIDIA's on its path."""
    needs_root("dockerd")
    folder = tmp_path_factory.mktemp("dockerd")
    written(folder, "cdi/nvidia.yaml", SPECIFICATION)
    written(folder, f"bin/{HOOK}", MAKES_A_NODE)
    settings = written(
        folder, "daemon.json", json.dumps({"features": {"cdi": True}, "cdi-spec-dirs": [f"{folder}/cdi"]})
    )
    address = f"unix://{folder}/socket"
    env = clean_environment(DOCKER_HOST=address)
    # With a network namespace of its own: else it would remove the other one's bridge.
    argv = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec dockerd "$@"', "dockerd"]
    argv += ["--config-file", str(settings), "--host", address, "--bridge=none"]
    argv += ["--iptables=false", "--ip6tables=false", f"--pidfile={folder}/pid"]
    argv += [f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
    path = f"{folder}/bin:{os.environ['PATH']}"
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(argv, env={**env, "PATH": path}, stdout=log, stderr=log)
    try:
        wait_for(child, env, folder / "log")
        image = variables(docker)["IMAGE"]
        saved = subprocess.Popen([docker, "save", image], stdout=subprocess.PIPE)
        subprocess.run([docker, "load"], stdin=saved.stdout, env=env, check=True, timeout=120, capture_output=True)
        assert saved.wait(timeout=60) == 0
        yield StandIn(docker, env, image, child.pid)
    finally:
        child.terminate()
        child.wait(timeout=60)


def wait_for(child: subprocess.Popen[bytes], env: Mapping[str, str], log: Path) -> None:
    """Until it answers; where it cannot start at all, the test is skipped with the reason."""
    for _ in range(200):
        if child.poll() is not None:
            pytest.skip(f"no dockerd of its own starts here: {log.read_text()[-300:]}")
        if subprocess.run(["docker", "version"], env=dict(env), capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    pytest.skip("a dockerd of its own does not answer")


@pytest.mark.docker
@pytest.mark.parametrize("wish", [ALL, SECOND], ids=["all", "one"])
def test_docker_gives_what_the_words_for_it_say(dockerd: StandIn, wish: AcceleratorRequest, tmp_path: Path) -> None:
    facts = found_here(dockerd.client.facts(), "folder", MACHINE)
    assert dockerd.seen(device_words(wish, facts), tmp_path) in GIVEN[wish]


@pytest.mark.docker
@pytest.mark.parametrize("wish", [ALL, SECOND], ids=["all", "one"])
def test_docker_gives_what_a_specification_has(dockerd: StandIn, wish: AcceleratorRequest, tmp_path: Path) -> None:
    facts = found_here(dockerd.client.facts(), "folder", MACHINE)
    words = FORMS["cdi reservation"](vendor("cuda"), wish, facts)
    assert dockerd.seen(words, tmp_path) == GIVEN[wish][1]


@pytest.mark.docker
def test_compose_before_2_30_leaves_gpus_out_without_a_word(dockerd: StandIn, tmp_path: Path) -> None:
    facts = found_here(dockerd.client.facts(), "folder", MACHINE)
    seen = dockerd.seen(FORMS["gpus"](vendor("cuda"), ALL, facts), tmp_path)
    assert (seen == NOTHING) == (facts.compose_version < (2, 30))


# ---------------------------------------------------------------- Podman


@pytest.fixture
def podmans(podman: str, tmp_path: Path) -> StandIn:
    """Podman that finds the specification in its /etc."""
    needs_root("unshare")
    written(tmp_path, "etc/cdi/nvidia.yaml", SPECIFICATION)
    wrapper = written(tmp_path, f"bin/{podman}", PODMAN.format(folder=tmp_path, podman=shutil.which(podman)))
    env = clean_environment(PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    tried = subprocess.run([str(wrapper), "info"], env=env, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no overlay may be mounted here: {tried.stderr[-200:]}")
    return StandIn(podman, env, variables(podman)["IMAGE"])


@pytest.mark.podman
@pytest.mark.parametrize("wish", [ALL, SECOND], ids=["all", "one"])
def test_podman_compose_gives_what_a_specification_has(
    podmans: StandIn, wish: AcceleratorRequest, tmp_path: Path
) -> None:
    facts = found_here(podmans.client.facts(), "folder", MACHINE)
    assert facts.reader == "podman-compose"
    assert podmans.seen(device_words(wish, facts), tmp_path) == GIVEN[wish][1]


@pytest.mark.podman
def test_podmans_socket_drops_a_reservation_before_5_4_and_that_is_refused(podmans: StandIn, tmp_path: Path) -> None:
    if not FINDERS["docker-compose"](podmans.env):
        pytest.skip("docker-compose is not installed")
    overs = StandIn(podmans.engine, {**podmans.env, CHOICE: "docker-compose"}, podmans.image)
    facts = found_here(overs.client.facts(), "folder", MACHINE)
    drops = facts.engine_version < (5, 4)
    seen = overs.seen(FORMS["cdi reservation"](vendor("cuda"), ALL, facts), tmp_path)
    assert seen == (NOTHING if drops else GIVEN[ALL][1])
    if drops:
        with pytest.raises(MachineError, match="would run without a GPU"):
            device_words(ALL, facts)
