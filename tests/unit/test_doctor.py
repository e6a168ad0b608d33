"""The doctor: facts in, findings out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcompose.accelerators import decided
from lcompose.cli.configured import configured
from lcompose.doctor import CHECKS, examine, reading, sizes, summary
from lcompose.doctor.capabilities import CAPABILITIES, Verdict, capabilities
from lcompose.doctor.facts import (
    Diagnosis,
    Disk,
    EngineInfo,
    EngineSeen,
    Facts,
    Holder,
    ImageSeen,
    Logins,
    Person,
    PortSeen,
    StackSeen,
)
from lcompose.doctor.gpus import wanted
from lcompose.doctor.stack import registry
from lcompose.errors import Finding, Position
from lcompose.listeners import Listener, listener
from lcompose.machine import Recorded, recorded
from lcompose.merge import Layer
from lcompose.probe import probe
from lcompose.settings import resolve_settings
from lcompose.spec.machine import CdiSpec, DeviceNode, Gpu, Machine, Partition
from lcompose.workspace import Options
from tests.unit.given import LIGHTSPEED

MACHINES = Path(__file__).resolve().parent.parent / "machines"
GIB = 1024**3
SOON_2026 = 1_790_000_000.0
INFO = EngineInfo("26.1.5", rootless=False, storage="overlay2", cgroup="2", cgroup_driver="systemd", oci_runtime="runc")
DOCKER = EngineSeen("docker", version=(26, 1, 5), compose_version=(2, 26, 1), info=INFO)
PODMAN = EngineSeen(
    "podman",
    version=(5, 4, 0),
    compose_version=(1, 6, 0),
    way="podman-compose",
    info=replace(INFO, oci_runtime="crun"),
)
ROOTLESS = replace(PODMAN, info=replace(INFO, rootless=True, oci_runtime="crun"))
GONE = EngineSeen("docker", installed=False)
HANGS = EngineSeen("docker", silent=True)
STOPPED = EngineSeen("docker", problem="Docker does not answer: refused", fix="Start it: systemctl start docker")
REMOTE = replace(DOCKER, endpoint="ssh://elsewhere", remote=True)
DESKTOP = replace(DOCKER, info=replace(INFO, system="Docker Desktop", memory=4 * GIB))
NVIDIA = Gpu("cuda", "0000:01:00.0", "L4", uuid="GPU-1", memory=24 * GIB, free=20 * GIB)
AMD = Gpu("rocm", "0000:03:00.0", "MI300X", memory=192 * GIB)
SPEC = CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0", "all"))
STALE = replace(SPEC, missing=("/usr/lib/libcuda.so.550",))
RENDER = DeviceNode("/dev/dri/renderD128", 105, 0o660)
GPUS = Machine((NVIDIA,), toolkits=(("cuda", "nvidia-container-runtime-hook"),), memory=64 * GIB)
# Installed without the part that Docker's driver needs.
WITHOUT_HOOK = replace(GPUS, toolkits=(("cuda", "nvidia-ctk"),))
STACK = StackSeen("lightspeed-stack.yaml", "demo")
PORT = PortSeen("web", "127.0.0.1", 8080)
IMAGE = ImageSeen("web", "quay.io/a/b:1", here=True)
FETCHED = replace(IMAGE, here=False)


def facts(*engines: EngineSeen, **more: Any) -> Facts:
    """Facts of a machine on which nothing is wrong."""
    given = {"machine": Machine(memory=16 * GIB), "clock": SOON_2026, **more}
    return Facts(engines=engines or (DOCKER,), **given)


def told(name: str, given: Facts) -> list[tuple[str, str, str, str]]:
    """What is found under an id: its state, its subject, what it means, and what to do."""
    found = [one for area in examine(given).values() for one in area if one.id == name]
    return [(one.state, one.subject, one.what, one.fix) for one in found]


def stack(**more: Any) -> StackSeen:
    return replace(STACK, **more)


ROWS: list[tuple[str, Facts, list[tuple[str, str, str, str]]]] = [
    # engines
    ("engine.used", facts(), [("ok", "docker", "lcompose uses Docker", "")]),
    ("engine.used", facts(DOCKER, PODMAN, wanted="podman"), [("ok", "podman", "lcompose uses Podman", "")]),
    ("engine.used", facts(HANGS), []),
    (
        "engine.used",
        facts(GONE, EngineSeen("podman", installed=False)),
        [("error", "engine", "there is no container engine on this machine", "Install Docker Engine, or Podman.")],
    ),
    (
        "engine.answers",
        facts(DOCKER, PODMAN),
        [
            ("ok", "docker", "Docker 26.1.5 answers, with Docker Compose 2.26.1", ""),
            ("ok", "podman", "Podman 5.4.0 answers, with podman-compose 1.6.0", ""),
        ],
    ),
    (
        "engine.answers",
        facts(GONE, PODMAN),
        [
            ("ok", "docker", "Docker is not installed, and not needed", ""),
            ("ok", "podman", "Podman 5.4.0 answers, with podman-compose 1.6.0", ""),
        ],
    ),
    (
        "engine.answers",
        facts(GONE, wanted="docker"),
        [("error", "docker", "Docker is not installed", "Install Docker.")],
    ),
    (
        "engine.answers",
        facts(HANGS),
        [("error", "docker", "Docker hangs: it does not answer in time", "sudo systemctl restart docker")],
    ),
    (
        "engine.answers",
        facts(replace(HANGS, name="podman")),
        [("error", "podman", "Podman hangs: it does not answer in time", "podman --log-level=debug info")],
    ),
    ("engine.answers", facts(STOPPED), [("error", "docker", STOPPED.problem, STOPPED.fix)]),
    (
        "engine.properties",
        facts(),
        [("ok", "docker", "as root, storage overlay2, cgroup 2 by systemd, runc", "")],
    ),
    (
        "engine.properties",
        facts(replace(DOCKER, info=None)),
        [("unknown", "docker", "it does not tell how it is set up", "docker info")],
    ),
    ("engine.remote", facts(), []),
    (
        "engine.remote",
        facts(REMOTE),
        [
            (
                "warning",
                "docker",
                "it is on another machine (ssh://elsewhere): this machine's ports, files and GPUs say nothing of it",
                "unset DOCKER_HOST DOCKER_CONTEXT; docker context use default",
            )
        ],
    ),
    (
        "engine.remote",
        facts(DESKTOP),
        [
            (
                "warning",
                "docker",
                "it runs in a virtual machine of its own: this machine's GPUs and disks say nothing of it",
                "docker context use default",
            )
        ],
    ),
    (
        "engine.limits",
        facts(replace(DOCKER, info=replace(INFO, limits_memory=False)), stack=stack(limits=GIB)),
        [
            (
                "warning",
                "docker",
                "it cannot limit memory here, so the limits of the services do nothing",
                "Boot with cgroup v2 and its memory controller.",
            )
        ],
    ),
    ("engine.limits", facts(stack=stack(limits=GIB)), []),
    (
        "engine.health",
        facts(PODMAN, systemd=False),
        [("ok", "podman", "without systemd Podman runs no health checks; lcompose up runs them by itself", "")],
    ),
    (
        "engine.clock",
        facts(replace(DOCKER, info=replace(INFO, clock=SOON_2026 - 300))),
        [
            (
                "warning",
                "docker",
                "its clock differs from this machine's by 300 s; times in logs are wrong",
                "sudo chronyc makestep",
            )
        ],
    ),
    ("engine.clock", facts(replace(DOCKER, info=replace(INFO, clock=SOON_2026 - 2))), []),
    # GPUs
    ("gpu.found", facts(), [("ok", "machine", "no GPU is here; models run on the processor or elsewhere", "")]),
    (
        "gpu.found",
        facts(machine=None),
        [
            (
                "unknown",
                "machine",
                "this machine's GPUs were not found out in time",
                "Run: lcompose doctor --timeout 60",
            )
        ],
    ),
    ("gpu.found", facts(machine=GPUS), [("ok", "GPU-1", "L4: --gpu cuda, 24.0 GiB (20.0 GiB free)", "")]),
    (
        "gpu.found",
        facts(machine=Machine((replace(NVIDIA, free=None, partitions=(Partition("MIG-1"), Partition("MIG-2"))),))),
        [("ok", "GPU-1", "L4: --gpu cuda, 24.0 GiB, in 2 partitions", "")],
    ),
    (
        "gpu.found",
        facts(machine=Machine((replace(AMD, problem="amdgpu is not loaded", fix="sudo modprobe amdgpu"),))),
        [("warning", "0000:03:00.0", "MI300X cannot be used: amdgpu is not loaded", "sudo modprobe amdgpu")],
    ),
    ("gpu.wanted", facts(machine=GPUS), []),
    (
        "gpu.wanted",
        facts(machine=GPUS, stack=stack(gpu="cuda")),
        [("ok", "cuda", "the GPU that the stack asks for is here (--gpu cuda)", "")],
    ),
    (
        "gpu.wanted",
        facts(machine=GPUS, stack=stack(gpu="auto")),
        [("ok", "cuda", "the GPU that the stack asks for is here (--gpu cuda)", "")],
    ),
    (
        "gpu.wanted",
        facts(machine=GPUS, stack=stack(gpu="rocm")),
        [
            (
                "error",
                "rocm",
                "the stack asks for a GPU (--gpu rocm), and none can be used here",
                "Run: lcompose up --gpu none",
            )
        ],
    ),
    (
        "gpu.wanted",
        facts(stack=stack(gpu="cuda", gpu_is_optional=True)),
        [
            (
                "warning",
                "cuda",
                "the stack asks for a GPU (--gpu cuda), and none can be used: it will run on the processor",
                "Expect it to be slow, or mend what is said above.",
            )
        ],
    ),
    (
        "gpu.wanted",
        facts(REMOTE, stack=stack(gpu="cuda")),
        [
            (
                "unknown",
                "cuda",
                "the stack asks for a GPU (--gpu cuda); whether one is there is known only where the engine is",
                "",
            )
        ],
    ),
    (
        "gpu.driver",
        facts(machine=replace(GPUS, drivers=(("cuda", "550.54"),))),
        [("ok", "cuda", "the driver is loaded: 550.54", "")],
    ),
    ("gpu.toolkit", facts(machine=GPUS), [("ok", "cuda", "its toolkit is here: nvidia-container-runtime-hook", "")]),
    (
        "gpu.toolkit",
        facts(machine=WITHOUT_HOOK),
        [
            (
                "warning",
                "cuda",
                "its driver works, and nvidia-container-runtime-hook, by which Docker gives its GPUs to containers, "
                "is missing",
                "Install nvidia-container-toolkit, then: sudo systemctl restart docker",
            )
        ],
    ),
    # Podman asks for no hook, and Docker for none where there is a specification.
    ("gpu.toolkit", facts(PODMAN, machine=WITHOUT_HOOK), [("ok", "cuda", "its toolkit is here: nvidia-ctk", "")]),
    (
        "gpu.toolkit",
        facts(machine=replace(WITHOUT_HOOK, cdi=(SPEC,))),
        [("ok", "cuda", "its toolkit is here: nvidia-ctk", "")],
    ),
    (
        "gpu.toolkit",
        facts(machine=replace(GPUS, toolkits=())),
        [
            (
                "warning",
                "cuda",
                "its driver works, and the toolkit that gives its GPUs to containers is missing",
                "Install nvidia-container-toolkit, then: sudo systemctl restart docker",
            )
        ],
    ),
    ("gpu.toolkit", facts(machine=Machine((AMD,))), []),
    (
        "gpu.restart",
        facts(replace(DOCKER, older_than_toolkit=True), machine=GPUS),
        [
            (
                "warning",
                "docker",
                "it was started before NVIDIA's toolkit was installed or updated, and may not know it",
                "sudo systemctl restart docker",
            )
        ],
    ),
    (
        "gpu.restart",
        facts(replace(DOCKER, older_than_toolkit=True, info=replace(INFO, runtimes=("nvidia", "runc")))),
        [],
    ),
    (
        "gpu.restart",
        facts(replace(DOCKER, older_than_toolkit=True, info=replace(INFO, devices=("nvidia.com/gpu=all",)))),
        [],
    ),
    ("gpu.cdi", facts(machine=Machine(cdi=(SPEC,))), [("ok", SPEC.path, "nvidia.com/gpu is fresh: 0, all", "")]),
    (
        "gpu.cdi",
        facts(machine=Machine(cdi=(STALE,))),
        [
            (
                "warning",
                SPEC.path,
                "this CDI specification is stale: /usr/lib/libcuda.so.550 is gone",
                "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            )
        ],
    ),
    (
        "gpu.cdi",
        facts(machine=Machine(cdi=(CdiSpec("/etc/cdi/x.yaml", problem="it is no YAML"),))),
        [
            (
                "warning",
                "/etc/cdi/x.yaml",
                "this CDI specification cannot be read: it is no YAML",
                "Write it anew with the vendor's tool, or remove it: sudo rm /etc/cdi/x.yaml",
            )
        ],
    ),
    (
        "gpu.cdi_folders",
        facts(replace(DOCKER, info=replace(INFO, cdi_folders=())), machine=Machine(cdi=(SPEC,))),
        [
            (
                "warning",
                "docker",
                "CDI is switched off in it, so it reads no specification",
                'Put {"features": {"cdi": true}} into /etc/docker/daemon.json, then: sudo systemctl restart docker',
            )
        ],
    ),
    (
        "gpu.cdi_folders",
        facts(replace(DOCKER, info=replace(INFO, cdi_folders=("/run/cdi",))), machine=Machine(cdi=(SPEC,))),
        [
            (
                "warning",
                "docker",
                "it does not read /etc/cdi/nvidia.yaml: it looks in /run/cdi",
                "sudo mv /etc/cdi/nvidia.yaml /run/cdi/",
            )
        ],
    ),
    (
        "gpu.cdi_folders",
        facts(
            replace(DOCKER, info=replace(INFO, cdi_folders=("/run/cdi",))),
            machine=Machine(cdi=(replace(SPEC, path="/var/run/cdi/nvidia.yaml"),)),
        ),
        [],
    ),
    ("gpu.groups", facts(machine=Machine((AMD,), nodes=(RENDER,))), []),
    (
        "gpu.groups",
        facts(
            ROOTLESS, machine=Machine((AMD,), nodes=(RENDER,)), person=Person(1000, frozenset([1000]), {105: "render"})
        ),
        [
            (
                "warning",
                "rocm",
                "you may not open /dev/dri/renderD128: you are not in render",
                "sudo usermod -aG render $USER   and log in again",
            )
        ],
    ),
    (
        "gpu.groups",
        facts(ROOTLESS, machine=Machine((AMD,), nodes=(RENDER,)), person=Person(1000, frozenset([105]))),
        [],
    ),
    (
        "gpu.groups",
        facts(ROOTLESS, machine=Machine((AMD,), nodes=(replace(RENDER, mode=0o666),)), person=Person(1000)),
        [],
    ),
    ("gpu.keep_groups", facts(ROOTLESS, machine=Machine((AMD,))), []),
    (
        "gpu.keep_groups",
        facts(replace(ROOTLESS, info=replace(INFO, rootless=True)), machine=Machine((AMD,)), stack=stack(gpu="rocm")),
        [
            (
                "error",
                "podman",
                "containers keep no groups with runc, and the GPU's nodes need them",
                "Install crun.",
            )
        ],
    ),
    # the stack
    (
        "stack.configuration",
        facts(),
        [("ok", "lightspeed-stack.yaml", "no configuration is here, so only the machine was looked at", "")],
    ),
    ("stack.configuration", facts(stack=STACK), [("ok", "lightspeed-stack.yaml", "the configuration is right", "")]),
    (
        "stack.configuration",
        facts(stack=stack(problems=(Finding(Position("run.yaml", 3, 1), "models", "is no list", "Make it one."),))),
        [("error", "run.yaml:3:1: models", "is no list", "Make it one.")],
    ),
    (
        "stack.configuration",
        facts(HANGS, stack=stack(file="c.yaml", read=False)),
        [
            (
                "unknown",
                "c.yaml",
                "it was not read: no engine was there to read it, or it did not answer in time",
                "",
            )
        ],
    ),
    (
        "stack.rendering",
        facts(stack=stack(refused=Finding(Position("--gpu"), "", "Compose is too old for it", "Update Compose."))),
        [("error", "--gpu", "Compose is too old for it", "Update Compose.")],
    ),
    (
        "stack.variable",
        facts(stack=stack(variables=("A", "B"), unset=("B",))),
        [("error", "B", "this variable is needed and is not set", "export B=…   or write it to .env")],
    ),
    (
        "stack.variable",
        facts(stack=stack(variables=("A", "B"))),
        [("ok", "lightspeed-stack.yaml", "variables that it reads: A, B", "")],
    ),
    ("stack.port", facts(stack=stack(ports=(PORT,))), [("ok", "127.0.0.1:8080", "for web, and free", "")]),
    (
        "stack.port",
        facts(stack=stack(ports=(replace(PORT, free=False, holder=Holder(pid=7, program="nginx")),))),
        [("error", "127.0.0.1:8080", "for web, and nginx (pid 7) has it", "kill 7   or publish another port")],
    ),
    (
        "stack.port",
        facts(stack=stack(ports=(replace(PORT, free=False, holder=Holder("db-1", "shop", "docker")),))),
        [
            (
                "error",
                "127.0.0.1:8080",
                "for web, and the container db-1 of the project shop (docker) has it",
                "docker stop db-1",
            )
        ],
    ),
    (
        "stack.port",
        facts(stack=stack(ports=(replace(PORT, free=False, holder=Holder("demo-web-1", "demo", "docker")),))),
        [("ok", "127.0.0.1:8080", "for web, and its own container has it", "")],
    ),
    (
        "stack.port",
        facts(stack=stack(ports=(replace(PORT, free=False, holder=Holder(user="postgres")),))),
        [
            (
                "error",
                "127.0.0.1:8080",
                "for web, and another user's program (user postgres) has it",
                "sudo ss -ltnp 'sport = :8080'   tells whose it is; or publish another port",
            )
        ],
    ),
    (
        "stack.port",
        facts(ROOTLESS, stack=stack(ports=(replace(PORT, port=80),))),
        [
            (
                "error",
                "127.0.0.1:80",
                "for web; a rootless engine may open ports only from 1024 on",
                "sudo sysctl net.ipv4.ip_unprivileged_port_start=80",
            )
        ],
    ),
    (
        "stack.port",
        facts(stack=stack(ports=(replace(PORT, port=80),))),
        [("ok", "127.0.0.1:80", "for web, and free", "")],
    ),
    (
        "stack.port",
        facts(REMOTE, stack=stack(ports=(PORT,))),
        [("unknown", "127.0.0.1:8080", "for web; whether it is free is known only where the engine is", "")],
    ),
    ("stack.image", facts(stack=stack(images=(IMAGE,))), [("ok", "quay.io/a/b:1", "for web, and here", "")]),
    (
        "stack.image",
        facts(stack=stack(images=(FETCHED, replace(FETCHED, service="other")))),
        [("ok", "quay.io/a/b:1", "for other, and will be fetched", "")],
    ),
    (
        "stack.image",
        facts(stack=stack(images=(replace(FETCHED, policy="never"),))),
        [
            (
                "error",
                "quay.io/a/b:1",
                "for web; it is not here, and it is not fetched",
                "Build or load it, or name another: --image web=…",
            )
        ],
    ),
    (
        "stack.image",
        facts(stack=stack(images=(replace(FETCHED, built=True, policy="never"),))),
        [("ok", "quay.io/a/b:1", "for web, and will be built", "")],
    ),
    (
        "stack.image",
        facts(HANGS, stack=stack(images=(replace(IMAGE, here=None),))),
        [("unknown", "quay.io/a/b:1", "for web; no engine could be asked", "")],
    ),
    ("stack.login", facts(stack=stack(images=(IMAGE,))), []),
    (
        "stack.login",
        facts(stack=stack(images=(FETCHED,))),
        [("ok", "quay.io", "there is no login; images that everybody may have need none", "")],
    ),
    (
        "stack.login",
        facts(PODMAN, stack=stack(images=(replace(FETCHED, reference="registry.redhat.io/rhaii/vllm"),))),
        [
            (
                "error",
                "registry.redhat.io",
                "there is no login, and it gives nothing to whoever is not logged in",
                "podman login registry.redhat.io",
            )
        ],
    ),
    (
        "stack.login",
        facts(stack=stack(images=(FETCHED,)), logins=Logins(frozenset(["quay.io"]))),
        [("ok", "quay.io", "there is a login", "")],
    ),
    (
        "stack.login",
        facts(stack=stack(images=(FETCHED,)), logins=Logins(helpers={"*": "docker-credential-pass"})),
        [("ok", "quay.io", "docker-credential-pass keeps its logins", "")],
    ),
    (
        "stack.login",
        facts(
            stack=stack(images=(FETCHED,)),
            logins=Logins(helpers={"quay.io": "docker-credential-x"}, missing=frozenset(["docker-credential-x"])),
        ),
        [
            (
                "error",
                "quay.io",
                "logins are kept by docker-credential-x, which is not installed, so nothing can be fetched",
                "Install docker-credential-x, or take it out of the settings.",
            )
        ],
    ),
    ("stack.labels", facts(stack=stack(files=("/a",))), []),
    (
        "stack.labels",
        facts(machine=Machine(selinux=True), stack=stack(files=("/a",))),
        [
            (
                "warning",
                "SELinux",
                "SELinux is on and docker does not know, so containers may be refused the 1 file that they read",
                'Put {"selinux-enabled": true} into /etc/docker/daemon.json, then: sudo systemctl restart docker',
            )
        ],
    ),
    (
        "stack.labels",
        facts(
            replace(DOCKER, info=replace(INFO, security=("name=selinux",))),
            machine=Machine(selinux=True),
            stack=stack(files=("/a", "/b")),
        ),
        [("ok", "SELinux", "SELinux is on; lcompose has the 2 files that are mounted labelled for containers", "")],
    ),
    # room
    (
        "room.disk",
        facts(disks=(Disk("images and volumes", "/var/lib/docker", 50 * GIB, 100 * GIB),)),
        [("ok", "/var/lib/docker", "50.0 GiB of 100.0 GiB are free for images and volumes", "")],
    ),
    (
        "room.disk",
        facts(
            disks=(Disk("images", "/d", 10 * GIB, 100 * GIB),),
            stack=stack(images=(replace(FETCHED, reference="docker.io/vllm/vllm-openai:v1"),)),
        ),
        [
            (
                "error",
                "/d",
                "10.0 GiB of 100.0 GiB are free for images, and what is fetched takes about 20.0 GiB",
                "docker system df   tells what takes room; docker image prune frees some",
            )
        ],
    ),
    (
        "room.disk",
        facts(
            disks=(Disk("volumes", "/d", 10 * GIB, 100 * GIB),), stack=stack(model="Qwen/Qwen3-8B", model_size=18 * GIB)
        ),
        [
            (
                "warning",
                "/d",
                "10.0 GiB of 100.0 GiB are free for volumes, and what is fetched takes about 18.0 GiB,"
                " Qwen/Qwen3-8B included",
                "docker system df   tells what takes room; docker image prune frees some",
            )
        ],
    ),
    (
        "room.disk",
        facts(HANGS, disks=(Disk("images", "/d", GIB // 2, GIB),)),
        [("error", "/d", "only 512 MiB of 1.0 GiB are free for images", "du -xh --max-depth=1 /d")],
    ),
    (
        "room.memory",
        facts(stack=stack(limits=4 * GIB), memory_free=10 * GIB),
        [("ok", "memory", "16.0 GiB, 10.0 GiB free; the services may use 4.0 GiB together", "")],
    ),
    (
        "room.memory",
        facts(stack=stack(limits=32 * GIB)),
        [
            (
                "warning",
                "memory",
                "16.0 GiB; the services may use 32.0 GiB together, which is more than there is",
                "Lower services.NAME.limits.memory in lcompose.yaml.",
            )
        ],
    ),
    ("room.memory", facts(DESKTOP, memory_free=10 * GIB), [("ok", "memory", "4.0 GiB", "")]),
    (
        "room.processor",
        facts(machine=GPUS, stack=stack(model="org/model")),
        [
            (
                "warning",
                "org/model",
                "org/model runs on the processor, and L4 is not used",
                "Run: lcompose up --gpu cuda",
            )
        ],
    ),
    ("room.processor", facts(machine=GPUS, stack=stack(model="org/model", gpu="cuda")), []),
    (
        "room.state",
        facts(state_folder="/s", state_is_writable=False),
        [
            (
                "error",
                "/s",
                "lcompose may not write here, where it keeps logs and what it started",
                "export XDG_STATE_HOME=a folder of yours",
            )
        ],
    ),
    # surroundings
    (
        "surroundings.proxies",
        facts(proxies=("HTTP_PROXY",), localhost_excepted=False),
        [
            (
                "ok",
                "HTTP_PROXY",
                "the services get it by name, and a NO_PROXY with localhost and the names of all services;"
                " NO_PROXY lacks localhost, which harms nothing here",
                "",
            )
        ],
    ),
    (
        "surroundings.proxies",
        facts(proxies=("HTTP_PROXY",), stack=stack(proxies=False)),
        [("ok", "HTTP_PROXY", "the services get none, since 'proxies: false' is set", "")],
    ),
    ("surroundings.proxies", facts(proxies=("HTTP_PROXY",), stack=stack(proxies=None)), []),
    (
        "surroundings.proxy",
        facts(surprises=(Finding(Position("environment"), "HTTP_PROXY", "is this machine", "Name another."),)),
        [("warning", "HTTP_PROXY", "is this machine", "Name another.")],
    ),
    (
        "surroundings.clock",
        facts(clock=86400.0),
        [
            (
                "error",
                "clock",
                "this machine's clock stands before 2025, so no certificate is valid yet and nothing can be fetched",
                "sudo timedatectl set-ntp true",
            )
        ],
    ),
    ("surroundings.clock", facts(), []),
]


@pytest.mark.parametrize(("name", "given", "expected"), ROWS)
def test_what_is_told_of_facts(name: str, given: Facts, expected: list[tuple[str, str, str, str]]) -> None:
    assert told(name, given) == expected


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (facts(STOPPED, PODMAN), "warning"),
        (facts(STOPPED, PODMAN, wanted="docker"), "error"),
        (facts(STOPPED, PODMAN, wanted="podman"), "warning"),
    ],
)
def test_an_engine_that_fails_is_an_error_only_where_it_is_needed(given: Facts, state: str) -> None:
    assert told("engine.answers", given)[0][0] == state


@pytest.mark.parametrize(
    ("engine", "state"),
    [
        (PODMAN, "error"),
        (DOCKER, "warning"),
        (replace(DOCKER, version=(29, 2, 0)), "error"),
        (replace(DOCKER, version=(29, 1, 9)), "warning"),
    ],
)
def test_a_stale_specification_is_an_error_for_engines_that_look_there_first(engine: EngineSeen, state: str) -> None:
    given = facts(engine, machine=replace(GPUS, cdi=(STALE,)), stack=stack(gpu="cuda"))
    assert told("gpu.cdi", given)[0][0] == state


@pytest.mark.parametrize(("cdi", "state"), [((), "error"), ((SPEC,), "warning"), ((STALE,), "error")])
def test_a_missing_toolkit_is_an_error_unless_a_specification_stands_in_for_it(
    cdi: tuple[CdiSpec, ...], state: str
) -> None:
    given = facts(machine=replace(GPUS, toolkits=(), cdi=cdi), stack=stack(gpu="cuda"))
    assert told("gpu.toolkit", given)[0][0] == state


def test_a_stale_specification_is_made_anew_where_it_lies() -> None:
    spec = replace(STALE, path="/var/run/cdi/nvidia.yaml")
    [(_, _, _, fix)] = told("gpu.cdi", facts(machine=replace(GPUS, cdi=(spec,))))
    assert fix == "sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml"


@pytest.mark.parametrize(("gpu", "state"), [("cuda", "warning"), ("none", "")])
def test_docker_from_a_snap_is_told_where_a_gpu_is_asked_for(gpu: str, state: str) -> None:
    snap = replace(DOCKER, info=replace(INFO, root="/var/snap/docker/common/var-lib-docker"))
    found = told("gpu.snap", facts(snap, machine=GPUS, stack=stack(gpu=gpu)))
    assert "".join(one for one, *_ in found) == state


def test_what_a_board_is_and_how_its_gpu_is_given_is_told() -> None:
    given = facts(PODMAN, machine=recorded_machine("nvidia-jetson-with-cdi"), stack=stack(gpu="auto"))
    name = "NVIDIA Jetson Orin NX Engineering Reference Developer Kit"
    assert [what for _, _, what, _ in told("gpu.found", given)] == [
        f"{name}: --gpu cuda, 14.8 GiB (11.9 GiB free), which it shares with the processor that it is in"
    ]
    what = "its GPU is in the processor, and a CDI specification gives it to containers"
    assert told("gpu.toolkit", given) == [("ok", "cuda", what, "")]


def test_what_this_machine_lacks_is_no_error_of_an_engine_elsewhere() -> None:
    machine = replace(GPUS, toolkits=(), cdi=(STALE,))
    far = replace(ROOTLESS, info=replace(INFO, rootless=True), endpoint="ssh://elsewhere", remote=True)
    found = [
        *examine(facts(REMOTE, machine=machine, stack=stack(gpu="cuda")))["gpus"],
        *examine(facts(far, machine=Machine((AMD,)), stack=stack(gpu="rocm")))["gpus"],
    ]
    assert [one for one in found if one.state == "error"] == []
    # Nor is it where that engine does not answer, and is the one that is asked for.
    silent = facts(replace(REMOTE, problem="it does not answer"), PODMAN, wanted="docker", stack=stack(gpu="cuda"))
    assert [state for state, *_ in told("gpu.wanted", silent)] == ["unknown"]
    assert {one.subject for one in found if one.id == "gpu.wanted"} == {"cuda", "rocm"}


def test_of_many_errors_the_first_are_told_and_the_others_counted() -> None:
    problems = tuple(Finding(Position("a.yaml", line, 1), "", f"wrong {line}", "Mend it.") for line in range(1, 14))
    found = told("stack.configuration", facts(stack=stack(problems=problems)))
    assert len(found) == 11
    assert found[-1] == ("error", "lightspeed-stack.yaml", "and 3 more errors", "Run: lcompose validate")


def test_a_healthy_machine_has_no_error_and_no_warning() -> None:
    found = [one for area in examine(facts(stack=STACK)).values() for one in area]
    assert (summary(found)["error"], summary(found)["warning"], summary(found)["unknown"]) == (0, 0, 0)
    assert summary(found)["ok"] == len(found) > 3


@pytest.mark.parametrize("given", [facts(HANGS), facts(machine=None), Facts(), facts(STOPPED, machine=None)])
def test_every_check_bears_that_nothing_is_known(given: Facts) -> None:
    assert set(examine(given)) == {"engines", "gpus", "stack", "room", "surroundings"}


@pytest.mark.parametrize("given", [row[1] for row in ROWS])
def test_what_is_wrong_says_what_to_do(given: Facts) -> None:
    found = [one for area in examine(given).values() for one in area]
    assert [one for one in found if one.state in ("error", "warning") and not one.fix] == []
    assert [one for one in found if not (one.id and one.subject and one.what)] == []


def test_every_check_is_a_function_with_a_promise() -> None:
    checks: list[Callable[[Facts], Iterator[Diagnosis]]] = [one for area in CHECKS.values() for one in area]
    assert [one for one in checks if not one.__doc__] == []
    assert len(set(checks)) == len(checks)


def recorded_machine(name: str) -> Machine:
    return probe(recorded(yaml.safe_load((MACHINES / f"{name}.yaml").read_text())))


@pytest.mark.parametrize(
    ("name", "engine", "expected"),
    [
        ("nvidia-two-cards-with-cdi", DOCKER, {}),
        ("no-gpu-server", DOCKER, {("gpu.wanted", "auto"): "Run: lcompose up --gpu none"}),
        (
            "nvidia-toolkit-missing",
            DOCKER,
            {("gpu.toolkit", "cuda"): "Install nvidia-container-toolkit, then: sudo systemctl restart docker"},
        ),
        (
            "nvidia-jetson",
            DOCKER,
            {
                (
                    "gpu.toolkit",
                    "cuda",
                ): "Install nvidia-container-toolkit, then: sudo nvidia-ctk cdi generate --mode=csv "
                "--output=/etc/cdi/nvidia.yaml"
            },
        ),
        ("nvidia-jetson-with-cdi", replace(DOCKER, version=(28, 2)), {}),
        ("nvidia-jetson-with-cdi", PODMAN, {}),
        (
            "nvidia-jetson-with-cdi",
            DOCKER,
            {("gpu.toolkit", "cuda"): "Use Docker 28.2 or later, or Podman: --engine podman."},
        ),
        ("nvidia-cdi-stale", DOCKER, {}),
        (
            "nvidia-cdi-stale",
            PODMAN,
            {
                (
                    "gpu.cdi",
                    "/etc/cdi/nvidia.yaml",
                ): "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
            },
        ),
        ("nvidia-smi-hangs", DOCKER, {("gpu.wanted", "auto"): "Run: lcompose up --gpu none"}),
        ("amd-two-instinct-with-cdi", DOCKER, {}),
        ("wsl2-nvidia", DOCKER, {}),
    ],
)
def test_errors_on_recorded_machines(name: str, engine: EngineSeen, expected: dict[tuple[str, str], str]) -> None:
    found = examine(facts(engine, machine=recorded_machine(name), stack=stack(gpu="auto")))["gpus"]
    assert {(one.id, one.subject): one.fix for one in found if one.state == "error"} == expected


def test_a_specification_that_may_not_be_read_is_opened() -> None:
    found = told("gpu.cdi", facts(machine=recorded_machine("nvidia-cdi-unreadable")))
    assert {fix for _, subject, _, fix in found if subject == SPEC.path} == {"sudo chmod 644 /etc/cdi/nvidia.yaml"}


@pytest.mark.parametrize("path", sorted(MACHINES.glob("*.yaml")), ids=lambda path: path.stem)
def test_on_every_recorded_machine_what_is_wrong_says_what_to_do(path: Path) -> None:
    found = examine(facts(machine=recorded_machine(path.stem), stack=stack(gpu="auto")))["gpus"]
    assert found
    assert [one for one in found if one.state in ("error", "warning") and not one.fix] == []


# ---------------------------------------------------------------- capabilities

CDI_ON = replace(INFO, cdi_folders=("/etc/cdi",))
CDI_OFF = replace(INFO, cdi_folders=())
SOCKET = replace(PODMAN, way="podman-socket", compose_version=(2, 33, 0))
YES = Verdict(can=True)


def no(why: str) -> Verdict:
    return Verdict(can=False, why=why)


@pytest.mark.parametrize(
    ("name", "engine", "expected"),
    [
        ("start_interval", replace(DOCKER, version=(25, 0, 0)), YES),
        ("start_interval", replace(DOCKER, version=(24, 0, 9)), no("needs Docker 25")),
        ("start_interval", PODMAN, no("not with podman-compose")),
        ("start_interval", SOCKET, no("not over Podman's socket")),
        ("inline_configs", replace(DOCKER, compose_version=(2, 23, 0)), no("needs Compose 2.23.1")),
        ("inline_configs", replace(DOCKER, compose_version=(2, 23, 1)), YES),
        ("gpus_list", replace(DOCKER, compose_version=(2, 29, 7)), no("needs Compose 2.30")),
        ("gpus_list", replace(DOCKER, compose_version=(2, 30, 0)), YES),
        ("gpus_all", replace(DOCKER, compose_version=(2, 32, 4)), no("needs Compose 2.33")),
        ("gpus_all", replace(DOCKER, compose_version=(5, 1, 0)), YES),
        ("cdi", replace(DOCKER, info=CDI_ON), YES),
        ("cdi", replace(DOCKER, info=CDI_OFF), no("CDI is switched off")),
        ("cdi", DOCKER, Verdict(None, "the engine does not say")),
        ("cdi_names", replace(DOCKER, info=CDI_ON, compose_version=(2, 29, 0)), no("needs Compose 2.30")),
        ("cdi_names", replace(DOCKER, info=CDI_ON, compose_version=(2, 30, 0)), YES),
        ("cdi_names", replace(PODMAN, version=(4, 1, 0)), YES),
        ("cdi_names", replace(PODMAN, version=(4, 0, 3)), no("needs Podman 4.1")),
        ("cdi_names", replace(SOCKET, version=(5, 3, 2)), no("needs Podman 5.4")),
        ("driver_cdi", SOCKET, YES),
        ("driver_cdi", replace(SOCKET, version=(5, 3, 2)), no("needs Podman 5.4")),
        ("driver_cdi", PODMAN, no("not with podman-compose")),
        ("reservation", PODMAN, YES),
        ("reservation", SOCKET, no("not over Podman's socket")),
        ("reservation", replace(PODMAN, compose_version=(1, 1, 0)), no("needs podman-compose 1.2")),
        ("keep_groups", PODMAN, YES),
        ("keep_groups", replace(PODMAN, info=INFO), no("needs crun")),
        ("keep_groups", DOCKER, no("not with Docker")),
        ("discovered_devices", replace(DOCKER, version=(28, 2, 0)), YES),
        ("discovered_devices", replace(DOCKER, version=(28, 1, 9)), no("needs Docker 28.2")),
        ("health_checks", PODMAN, YES),
        ("start_interval", replace(DOCKER, version=()), Verdict(None, "the version of Docker is not known")),
    ],
)
def test_what_an_engine_can_do(name: str, engine: EngineSeen, expected: Verdict) -> None:
    assert capabilities(engine, facts(engine))[name] == expected


def test_without_systemd_podman_runs_no_health_checks() -> None:
    given = facts(PODMAN, systemd=False)
    assert capabilities(PODMAN, given)["health_checks"] == no("no systemd runs here")
    assert capabilities(DOCKER, given)["health_checks"] == YES


def test_every_capability_is_told_of_every_engine() -> None:
    assert [set(capabilities(one, facts())) for one in (DOCKER, PODMAN, SOCKET)] == [set(CAPABILITIES)] * 3


# ---------------------------------------------------------------- reading what engines and files say


def test_what_docker_says_of_itself() -> None:
    said = {
        "ServerVersion": "28.3.0",
        "Driver": "overlay2",
        "DockerRootDir": "/var/lib/docker",
        "CgroupVersion": "2",
        "CgroupDriver": "systemd",
        "DefaultRuntime": "runc",
        "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "x"}},
        "CDISpecDirs": ["/etc/cdi"],
        "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}],
        "SecurityOptions": ["name=rootless"],
        "OperatingSystem": "Debian",
        "MemTotal": 5,
        "MemoryLimit": False,
        "SystemTime": "2026-01-01T00:00:00.5Z",
    }
    assert reading.engine_info("docker", json.dumps(said)) == EngineInfo(
        "28.3.0",
        rootless=True,
        storage="overlay2",
        root="/var/lib/docker",
        cgroup="2",
        cgroup_driver="systemd",
        oci_runtime="runc",
        runtimes=("nvidia", "runc"),
        cdi_folders=("/etc/cdi",),
        devices=("nvidia.com/gpu=0",),
        security=("name=rootless",),
        system="Debian",
        memory=5,
        limits_memory=False,
        clock=1767225600.5,
    )


def test_what_podman_says_of_itself() -> None:
    said = {
        "host": {
            "cgroupVersion": "v2",
            "cgroupManager": "systemd",
            "cgroupControllers": ["memory"],
            "ociRuntime": {"name": "crun"},
            "security": {"rootless": True, "selinuxEnabled": True},
            "distribution": {"distribution": "fedora", "version": "43"},
            "memTotal": 7,
        },
        "store": {"graphDriverName": "overlay", "graphRoot": "/g"},
        "version": {"Version": "5.4.0"},
    }
    assert reading.engine_info("podman", json.dumps(said)) == EngineInfo(
        "5.4.0",
        rootless=True,
        storage="overlay",
        root="/g",
        cgroup="2",
        cgroup_driver="systemd",
        oci_runtime="crun",
        security=("selinux",),
        system="fedora 43",
        memory=7,
    )


@pytest.mark.parametrize("name", ["docker", "podman"])
@pytest.mark.parametrize(
    "said", ["", "nonsense", "[]", "null", "{}", '{"host": 3}', '{"ServerVersion": ""}', "[" * 9999]
)
def test_an_engine_that_says_nothing_of_use_is_not_known(name: Any, said: str) -> None:
    assert reading.engine_info(name, said) is None


def test_the_containers_that_publish_ports_are_known_by_port() -> None:
    printed = (
        "web-1\tshop\t127.0.0.1:8080->80/tcp, 443/tcp\n"
        "many\t\t0.0.0.0:7000-7001->7000-7001/tcp, [::]:7000-7001->7000-7001/tcp\n"
        "dns\tnet\t0.0.0.0:53->53/udp\nquiet\tx\t\n"
    )
    assert reading.published("docker", printed) == {
        8080: Holder("web-1", "shop", "docker"),
        7000: Holder("many", "", "docker"),
        7001: Holder("many", "", "docker"),
    }


def test_the_same_of_podman() -> None:
    shop = {"com.docker.compose.project": "shop"}
    ports = [{"host_ip": "", "container_port": 80, "host_port": 8080, "range": 2, "protocol": "tcp"}]
    printed = [
        {"Names": ["web-1"], "Labels": shop, "Ports": ports},
        {"Names": ["dns"], "Labels": None, "Ports": [{"host_port": 53, "range": 1, "protocol": "udp"}]},
        {"Names": ["quiet"], "Labels": None, "Ports": None},
        "nonsense",
    ]
    web = Holder("web-1", "shop", "podman")
    assert reading.published("podman", json.dumps(printed)) == {8080: web, 8081: web}
    assert reading.published("podman", "Error: nonsense") == {}


def test_of_logins_only_names_are_kept() -> None:
    first = {"auths": {"https://index.docker.io/v1/": {"auth": "c2VjcmV0"}, "quay.io/me": {}}, "credsStore": "pass"}
    second = {"credHelpers": {"gcr.io": "gcloud"}, "credsStore": "other"}
    texts = [json.dumps(first), None, "nonsense", json.dumps(second)]
    found = reading.logins(texts, lambda program: program.endswith("pass"))
    assert found == Logins(
        frozenset(["docker.io", "quay.io"]),
        {"*": "docker-credential-pass", "gcr.io": "docker-credential-gcloud"},
        frozenset(["docker-credential-gcloud"]),
    )
    assert "c2VjcmV0" not in repr(found)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("postgres:17", "docker.io"),
        ("ogx/starter:1", "docker.io"),
        ("quay.io/a/b:1", "quay.io"),
        ("localhost/a", "localhost"),
        ("here:5000/a", "here:5000"),
    ],
)
def test_the_registry_of_an_image(reference: str, expected: str) -> None:
    assert registry(reference) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4g", 4 * GIB), ("512m", GIB // 2), ("1.5GiB", GIB * 3 // 2), ("1024", 1024), ("2kb", 2048), ("", 0), ("x", 0)],
)
def test_a_limit_in_bytes(text: str, expected: int) -> None:
    assert sizes.limit(text) == expected


# ---------------------------------------------------------------- whose a port is

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(address: str, state: str = "0A", uid: int = 0, inode: int = 77) -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid} 0 {inode} 1 0 100\n"


def machine(tcp: str = "", tcp6: str = "", links: dict[str, str] | None = None) -> Recorded:
    files = {
        "/proc/net/tcp": HEAD + tcp,
        "/proc/net/tcp6": HEAD + tcp6,
        "/proc/12/comm": "nginx\n",
        "/proc/40/comm": "nginx\n",
        "/etc/passwd": "root:x:0:0::/:\npostgres:x:70:70::/:\n",
    }
    return Recorded(files, {"/proc/12/fd/3": "socket:[77]", "/proc/40/fd/3": "socket:[77]"} if links is None else links)


LOOPBACK6, ANY6 = f"{'0' * 24}01000000", "0" * 32
MAPPED = "0000000000000000FFFF00000100007F"
NGINX = Listener(12, "nginx")


@pytest.mark.parametrize(
    ("tcp", "tcp6", "bind", "expected"),
    [
        (row("0100007F:1F90"), "", "127.0.0.1", NGINX),
        (row("00000000:1F90"), "", "127.0.0.1", NGINX),
        (row("0100007F:1F90"), "", "0.0.0.0", NGINX),
        (row("0100007F:1F90"), "", "", NGINX),
        ("", row(f"{ANY6}:1F90"), "127.0.0.1", NGINX),
        ("", row(f"{MAPPED}:1F90"), "127.0.0.1", NGINX),
        ("", row(f"{LOOPBACK6}:1F90"), "::1", NGINX),
        ("", row(f"{LOOPBACK6}:1F90"), "127.0.0.1", None),
        (row("0200007F:1F90"), "", "127.0.0.1", None),
        (row("0100007F:1F91"), "", "127.0.0.1", None),
        (row("0100007F:1F90", state="01"), "", "127.0.0.1", None),
        (row("0100007F:1F90", inode=78, uid=70), "", "127.0.0.1", Listener(user="postgres")),
        (row("0100007F:1F90", inode=78, uid=71), "", "127.0.0.1", Listener(user="71")),
        ("nonsense\n", "", "127.0.0.1", None),
    ],
)
def test_who_listens_at_a_port(tcp: str, tcp6: str, bind: str, expected: Listener | None) -> None:
    assert listener(machine(tcp, tcp6), bind, 8080) == expected


def test_auto_means_the_vendor_whose_gpu_has_most_room_as_up_takes_it() -> None:
    small = Gpu("xpu", memory=8 * GIB, free=8 * GIB)
    large = Gpu("cuda", memory=24 * GIB, free=20 * GIB)
    inside = Gpu("rocm", memory=64 * GIB, free=64 * GIB, integrated=True)
    seen = facts(machine=Machine(gpus=(small, inside, large)), stack=stack(gpu="auto"))
    assert wanted(seen) == "cuda"
    settings, _ = decided(resolve_settings([Layer("own", {"gpu": "auto"})]), seen.machine)
    assert settings.gpu == "cuda"


def test_the_model_that_is_served_by_itself_counts_whoever_named_it(tmp_path: Path) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    options = Options(directory=str(tmp_path), gpu="none", inference="vllm")
    found = configured(options, {}, ())
    assert found and (found.stack.model, found.stack.model_size > GIB) == ("Qwen/Qwen3-0.6B", True)
