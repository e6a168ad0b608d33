"""``up --profile gpu`` on a machine that has a GPU, as far as the kernel's files and the engines can be made to say so.

What lcompose sees of the card are files in a mount namespace of its own; what the engines give is the stand-in of
``test_gpu_stand_ins``; and the server is one that prints what a real one prints. So each proof after the start has
something to find, or misses it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcompose.emit import yaml_text
from tests.conftest import QUICKSTART, ROOT, Ran, clean_environment, free_port, image_options
from tests.engine.test_gpu_stand_ins import HOOK, MAKES_A_NODE, SPECIFICATION, StandIn, dockerd, needs_root, written
from tests.engine.test_main_job import left_behind

__all__ = ["dockerd"]

# Two cards of NVIDIA's, which its driver holds.
CARDS = ("0000:01:00.0", "0000:02:00.0")
MODEL = "NVIDIA GeForce RTX 4090"
VERSION = "550.54.15"


def uuid(index: int) -> str:
    """What a card calls itself."""
    return f"GPU-0a7c1e5d-0b1f-4c3e-9d2a-6f5e4d3c2b1{index}"


def card_in(index: int, card: str) -> dict[str, str]:
    """What the kernel has of one card."""
    said = f"Model: {MODEL}\nGPU UUID: {uuid(index)}\nDevice Minor: {index}\n"
    return {
        f"pci/{card}/class": "0x030000\n",
        f"pci/{card}/vendor": "0x10de\n",
        f"pci/{card}/device": "0x2684\n",
        f"driver/nvidia/gpus/{card}/information": said,
    }


def listed(index: int, card: str) -> str:
    """A line of nvidia-smi."""
    return f"{index}, {uuid(index)}, {MODEL}, 24564, 24000, {VERSION}, 0000{card}, 8.9, Disabled"


FILES = {
    **{name: text for index, card in enumerate(CARDS) for name, text in card_in(index, card).items()},
    "driver/nvidia/version": f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {VERSION}\n",
    "etc/cdi/nvidia.yaml": SPECIFICATION,
    "bin/nvidia-ctk": "#!/bin/sh\n",
    f"bin/{HOOK}": MAKES_A_NODE,
    "bin/nvidia-smi": "\n".join(
        ["#!/bin/sh", "cat <<end", *(listed(index, card) for index, card in enumerate(CARDS)), "end", ""]
    ),
}
# In the words of each engine: the second card, and what its container has then; Docker may ask a hook for it.
ASKED = {"docker": "nvidia: 1", "podman": "nvidia.com/gpu=1"}
NODES = {"docker": ({"nvidiactl"}, {"nvidiactl", "nvidia1"}), "podman": ({"nvidiactl", "nvidia1"},)}
# Beside vLLM, which the whole stack is tried with: what they say of a GPU, and without one.
SAID = {
    "llamacpp": ("load_tensors: offloaded 29/29 layers to GPU", "warning: no usable GPU found"),
    "rhaiis": ("Automatically detected platform cuda.", "Automatically detected platform cpu."),
    "ollama": ("library=CUDA", "library=cpu"),
}
# Whoever joins its namespace sees the folder's files where the kernel and the machine have theirs.
# Networks of containers stay shared: else whoever asks Podman elsewhere is told that they are broken.
SEEING = """
mount --make-private / && mount --make-private /sys && mount --make-private /proc &&
mount -t overlay overlay -o "lowerdir=$0/etc:/etc,upperdir=$0/upper,workdir=$0/layer" /etc &&
mount --bind "$0/pci" /sys/bus/pci/devices && mount --bind "$0/driver" /proc/driver &&
echo seen && exec sleep 600
"""


@dataclass(frozen=True)
class Stack:
    """The quickstart with a server that is to work on the GPU."""

    engine: str
    env: dict[str, str]
    folder: Path
    project: str
    images: tuple[str, ...]
    ports: tuple[int, int]
    # The namespaces that commands are run in.
    inside: tuple[str, ...]

    def up(self, *more: str) -> Ran:
        """``up --profile gpu``."""
        lcore, server = self.ports
        sets = (f"services.lightspeed-stack.ports={lcore}:8080", f"services.llama-stack.ports={server}:8321")
        options = [part for one in sets for part in ("--set", one)]
        return self.run("up", "--profile", "gpu", *self.images, *options, "--wait-timeout", "90", *more)

    def run(self, command: str, *more: str) -> Ran:
        """A command on the project, as somebody runs it who has that machine."""
        lcompose = [sys.executable, "-m", "lcompose", command, "-p", self.project, "--engine", self.engine, *more]
        return self.seen(f"--wd={self.folder}", *lcompose)

    def seen(self, *argv: str) -> Ran:
        """A program on that machine."""
        words = ["nsenter", *self.inside, *argv]
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=200, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    def answer(self) -> str:
        """What LCORE answers to one question."""
        asks = "import sys; from tests.engine.test_main_job import query; print(query(*sys.argv[1:])['response'])"
        done = self.seen(f"--wd={ROOT}", sys.executable, "-c", asks, str(self.ports[0]), "Who answers?")
        assert done.code == 0, done.err
        return done.out.strip()


def machine_in(folder: Path) -> Path:
    """The files of a machine with a GPU."""
    machine = folder / "machine"
    for name, text in FILES.items():
        written(machine, name, text)
    for card in CARDS:
        (machine / "pci" / card / "driver").symlink_to("../../../bus/pci/drivers/nvidia")
    for name in ("upper", "layer"):
        (machine / name).mkdir()
    return machine


@contextmanager
def seeing(machine: Path) -> Iterator[str]:
    """A namespace in which the machine's files are seen, as an option for nsenter."""
    argv = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", SEEING, str(machine)]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout and child.stderr
    try:
        if child.stdout.readline() != "seen\n":
            pytest.skip(f"no mounts of its own may be made here: {child.stderr.read()[-200:]}")
        yield f"--mount=/proc/{child.pid}/ns/mnt"
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def stack(
    engine: str, request: pytest.FixtureRequest, built: Callable[[str], dict[str, str]], tmp_path: Path
) -> Iterator[Stack]:
    """A stack on a machine with a GPU; it is taken down whatever happens."""
    needs_root("unshare", "nsenter")
    images = built(engine)
    machine = machine_in(tmp_path)
    env = clean_environment(XDG_STATE_HOME=str(tmp_path / "state"), PATH=f"{machine}/bin:{os.environ['PATH']}")
    network: tuple[str, ...] = ()
    if engine == "docker":
        own: StandIn = request.getfixturevalue("dockerd")
        env |= own.env | {"PATH": env["PATH"]}
        network = (f"--net=/proc/{own.process}/ns/net",)
        handed_over(engine, [images[name] for name in ("inference", "llama-stack", "lightspeed-stack")], env)
    (tmp_path / "lightspeed-stack.yaml").write_text((QUICKSTART / "lightspeed-stack.yaml").read_text())
    options = (*image_options(images), "--image", f"inference={images['inference']}")
    ports = free_port(), free_port()
    with seeing(machine) as namespace:
        name = f"test-gpu-{os.getpid()}-{ports[0]}"
        made = Stack(engine, env, tmp_path, name, options, ports, (namespace, *network))
        yield made
        made.run("down", "--volumes")


def handed_over(engine: str, images: list[str], env: dict[str, str]) -> None:
    """Gives the test's own daemon the images, once."""
    there = subprocess.run([engine, "image", "inspect", *images], env=env, capture_output=True, check=False)
    if there.returncode:
        with subprocess.Popen([engine, "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run([engine, "load"], stdin=saved.stdout, env=env, check=True, timeout=200, capture_output=True)


def verified(stack: Stack, *more: str) -> dict[str, Any]:
    """What ``verify-gpu`` says of each service."""
    return {one["service"]: one for one in json.loads(stack.run("verify-gpu", "--json", *more).out)["services"]}


def test_what_works_on_the_gpu_is_told_and_what_fell_back_is_an_error(stack: Stack) -> None:
    up = stack.up("--gpu-ids", "1", "--set", "services.inference.env.STANDIN_DEVICE=cuda")
    assert up.code == 0, up.err
    assert "  inference: works on the GPU\n" in up.err
    assert stack.answer() == "mock: Who answers?"
    if stack.engine == "podman":
        assert len(left_behind(stack.engine, stack.project)["containers"]) == 3
    found = verified(stack)["inference"]
    assert found["state"] == "gpu" and ASKED[stack.engine] in found["devices"]
    assert {node.removeprefix("/dev/") for node in found["nodes"]} in NODES[stack.engine]
    assert "Automatically detected platform cuda" in found["line"]

    # The same without a word of a GPU from its server: ready, and all the same not what was asked for.
    fallen = stack.up("--gpu-ids", "1")
    assert fallen.code == 5
    assert "inference was to work on a GPU, and works on the processor" in fallen.err
    assert "Automatically detected platform cpu" in fallen.err


def rendered(stack: Stack, server: str) -> dict[str, Any]:
    """A compose file with this server for this machine; what it mounts lies beside it."""
    options = ("--profile", "gpu", "--inference", server, *stack.images, "--for", "here", "-o", str(stack.folder))
    done = stack.run("render", *options, "--force")
    assert done.code == 0, done.err
    tree: dict[str, Any] = yaml.safe_load((stack.folder / "compose.yaml").read_text())
    return tree


def file_of(stack: Stack) -> Path:
    """A compose file that has each of the other servers twice, as it is rendered: one of them gets no GPU to say."""
    services, volumes = {}, {}
    for server in SAID:
        tree = rendered(stack, server)
        one = tree["services"]["inference"]
        saying = {**one.get("environment", {}), "STANDIN_DEVICE": "cuda"}
        services |= {f"{server}-works": {**one, "environment": saying}, f"{server}-fell": one}
        volumes |= {name: {} for name in tree["volumes"]}
    path = stack.folder / "servers.yaml"
    path.write_text(yaml_text({**tree, "services": services, "volumes": volumes}))
    return path


def test_each_server_is_believed_what_it_says_of_itself(stack: Stack) -> None:
    file = ("-f", str(file_of(stack)))
    up = stack.run("up", *file, "--wait-timeout", "60")
    assert up.code == 5, up.err
    assert f"{', '.join(sorted(f'{server}-fell' for server in SAID))} were to work on a GPU" in up.err
    found = {name: (one["state"], one["line"]) for name, one in verified(stack, *file).items()}
    for server, (works, fell) in SAID.items():
        state, line = found[f"{server}-works"]
        assert state == "gpu" and works in line
        state, line = found[f"{server}-fell"]
        assert state == "cpu" and fell in line
