"""``up --profile gpu`` on a machine that has a GPU, as far as the kernel's files and the engines can be made to say so.

What lcompose sees of the card are files in a mount namespace of its own; what the engines give is the stand-in of
``test_gpu_stand_ins``; and the server is one that prints what a real one prints. So each proof after the start has
something to find, or misses it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import QUICKSTART, Ran, clean_environment, free_port, image_options
from tests.engine.test_gpu_stand_ins import HOOK, MAKES_A_NODE, SPECIFICATION, StandIn, dockerd, needs_root, written
from tests.engine.test_main_job import query

__all__ = ["dockerd"]

CARD = "0000:01:00.0"
UUID = "GPU-0a7c1e5d-0b1f-4c3e-9d2a-6f5e4d3c2b10"
VERSION = "550.54.15"
# One card of NVIDIA's, which its driver holds.
FILES = {
    f"pci/{CARD}/class": "0x030000\n",
    f"pci/{CARD}/vendor": "0x10de\n",
    f"pci/{CARD}/device": "0x2684\n",
    "driver/nvidia/version": f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {VERSION}\n",
    f"driver/nvidia/gpus/{CARD}/information": f"Model: NVIDIA GeForce RTX 4090\nGPU UUID: {UUID}\nDevice Minor: 0\n",
    "etc/cdi/nvidia.yaml": SPECIFICATION,
    "bin/nvidia-ctk": "#!/bin/sh\n",
    f"bin/{HOOK}": MAKES_A_NODE,
    "bin/nvidia-smi": f"""#!/bin/sh
echo "0, {UUID}, NVIDIA GeForce RTX 4090, 24564, 24000, {VERSION}, 00000000:01:00.0, 8.9, Disabled"
""",
}
# Whoever joins its namespace sees the folder's files where the kernel and the machine have theirs.
SEEING = """
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
        argv = ["nsenter", *self.inside, f"--wd={self.folder}", *lcompose]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=200, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)


def machine_in(folder: Path) -> Path:
    """The files of a machine with a GPU."""
    machine = folder / "machine"
    for name, text in FILES.items():
        written(machine, name, text)
    (machine / "pci" / CARD / "driver").symlink_to("../../../bus/pci/drivers/nvidia")
    for name in ("upper", "layer"):
        (machine / name).mkdir()
    return machine


@contextmanager
def seeing(machine: Path) -> Iterator[str]:
    """A namespace in which the machine's files are seen, as an option for nsenter."""
    argv = ["unshare", "--mount", "sh", "-c", SEEING, str(machine)]
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


def test_what_works_on_the_gpu_is_told_and_what_fell_back_is_an_error(stack: Stack) -> None:
    up = stack.up("--set", "services.inference.env.STANDIN_DEVICE=cuda")
    assert up.code == 0, up.err
    assert "  inference: works on the GPU\n" in up.err
    if stack.engine == "podman":
        assert query(stack.ports[0], "Who answers?")["response"] == "mock: Who answers?"
    verified = stack.run("verify-gpu")
    assert verified.code == 0 and "Automatically detected platform cuda" in verified.out, verified.err

    # The same without a word of a GPU from its server: ready, and all the same not what was asked for.
    fallen = stack.up()
    assert fallen.code == 5
    assert "inference was to work on a GPU, and works on the processor" in fallen.err
    assert "Automatically detected platform cpu" in fallen.err
