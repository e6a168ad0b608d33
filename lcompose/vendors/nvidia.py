"""NVIDIA GPUs. An engine knows them by its driver, or by a CDI specification."""

from __future__ import annotations

import re
from dataclasses import replace

from lcompose.hardware import CLEAR, Card, Obstacle, cards, decimal, kept, label, memory
from lcompose.machine import PATIENCE, Host
from lcompose.spec.machine import Gpu, Partition
from lcompose.vendors import Vendor

VENDOR = Vendor(
    gpu="cuda",
    title="NVIDIA (CUDA)",
    pci=0x10DE,
    driver="nvidia",
    cdi_kind="nvidia.com/gpu",
    inside=(("/dev/nvidiactl",), ("/dev/dxg",), ("/dev/nvhost-ctrl-gpu",), ("/dev/nvgpu/*/ctrl",)),
    said=("cuda",),
    control=("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/dxg"),
    toolkit=("nvidia-ctk", "nvidia-cdi-hook", "nvidia-container-runtime-hook", "nvidia-container-runtime"),
    hook="nvidia-container-runtime-hook",
    get_toolkit="Install nvidia-container-toolkit, and restart Docker: sudo systemctl restart docker",
    make_cdi="sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    visible="NVIDIA_VISIBLE_DEVICES",
    on_board="nvgpu",
    make_cdi_on_board="sudo nvidia-ctk cdi generate --mode=csv --output=/etc/cdi/nvidia.yaml",
)

DRIVER = "nvidia"
TOOL = "nvidia-smi"
OPEN_DRIVERS = frozenset(["nouveau", "nova", "nova-core", "nova_core"])
PROC = "/proc/driver/nvidia"
BASIC = "index,uuid,name,memory.total,memory.free,driver_version,pci.bus_id"
# Older tools refuse the whole question where they do not know a word of it.
FULL = f"{BASIC},compute_cap,mig.mode.current"
FULL_SINCE = 510
FORMAT = "--format=csv,noheader,nounits"
ABSENT = frozenset(["[N/A]", "N/A", "[Not Supported]", "Not Supported"])
LOST = "[GPU is lost]"
MIB = 1024**2
# What every container needs beside the GPU's own node.
SHARED_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")

# Windows has the driver; there are no nodes of single GPUs.
WSL_NODE = "/dev/dxg"
WSL_TOOL = "/usr/lib/wsl/lib/nvidia-smi"
# A board whose GPU is in the processor, and on no bus.
TEGRA = "/etc/nv_tegra_release"
FAMILY = "/sys/devices/soc0/family"
MODEL = "/proc/device-tree/model"

LIBRARY = "libnvidia-ml.so.1"
LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/run/opengl-driver/lib",
    "/usr/lib/wsl/lib",
)
_VERSION = re.compile(r"\b([0-9]{3,4}(?:\.[0-9]{1,4}){1,2})\b")
_LISTED_GPU = re.compile(r"GPU [0-9]+: .*\(UUID: (GPU-[^)\s]+)\)")
_LISTED_PART = re.compile(r"\s+MIG (\S+)\s+Device\s+[0-9]+: \(UUID: (MIG-[^)\s]+)\)")
_PROFILE_MEMORY = re.compile(r"\.([0-9]{1,4})gb")
_BUS_ID = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])")


def detect(host: Host) -> tuple[Gpu, ...]:
    """The bus says which there are, the kernel which driver has them, and nvidia-smi the rest."""
    if host.node(WSL_NODE):
        return _below_windows(host)
    found = cards(host, VENDOR.pci)
    if not found:
        return _in_processor(host)
    version = driver_version(host)
    answers = _asked(host, TOOL, version) if version else None
    return tuple(_gpu(host, card, version, answers) for card in found)


def driver_version(host: Host) -> str:
    """The version of the module in the kernel; below Windows, of the driver there."""
    if host.node(WSL_NODE):
        return next((row["driver_version"] for row in (_asked(host, WSL_TOOL, "") or {}).values()), "")
    found = _VERSION.search(host.text(f"{PROC}/version") or "")
    return found[1] if found else ""


def _gpu(host: Host, card: Card, version: str, answers: dict[str, dict[str, str]] | None) -> Gpu:
    row = (answers or {}).get(card.address, {})
    obstacle = _unheld(card, version) or _unanswered(host, version, answers) or _unlisted(row, answers)
    known = _information(host, card.address)
    gpu = Gpu(
        vendor=VENDOR.gpu,
        pci=card.address,
        name=known.get("Model") or f"NVIDIA GPU {card.number}",
        driver=card.driver,
        uuid=known.get("GPU UUID", ""),
        nodes=_nodes(host, known),
        problem=obstacle.problem,
        fix=obstacle.fix,
    )
    return gpu if obstacle or not row else _with_answer(host, TOOL, gpu, row)


def _with_answer(host: Host, tool: str, gpu: Gpu, row: dict[str, str]) -> Gpu:
    """What nvidia-smi says of a GPU, and of its parts."""
    capability = row.get("compute_cap", "")
    known = replace(
        gpu,
        name=row["name"] or gpu.name,
        index=decimal(row["index"]),
        uuid=row["uuid"] or gpu.uuid,
        memory=_memory(host, row, "memory.total", "MemTotal") or 0,
        free=_memory(host, row, "memory.free", "MemAvailable"),
        arch=f"sm_{capability.replace('.', '')}" if re.fullmatch(r"[0-9]{1,2}\.[0-9]", capability) else "",
    )
    return _in_parts(host, tool, known) if row.get("mig.mode.current") == "Enabled" else known


def _in_parts(host: Host, tool: str, gpu: Gpu) -> Gpu:
    parts = _partitions(host.run((tool, "-L")) or "", gpu.uuid)
    if parts:
        return replace(gpu, partitions=parts)
    fix = f"Make partitions (nvidia-smi mig -cgi), or switch MIG off: sudo nvidia-smi -i {gpu.index} -mig 0."
    return replace(gpu, problem="MIG is on, and it has no partitions", fix=fix)


def _memory(host: Host, row: dict[str, str], column: str, shared: str) -> int | None:
    """Bytes; where a GPU has no memory of its own, it takes the machine's."""
    if row["memory.total"] in ABSENT:
        return memory(host, shared) or None
    size = decimal(row[column])
    return None if size is None else size * MIB


def _partitions(listed: str, uuid: str) -> tuple[Partition, ...]:
    parts: list[Partition] = []
    whose = ""
    for line in listed.splitlines():
        if gpu := _LISTED_GPU.match(line):
            whose = gpu[1]
        elif whose == uuid and (part := _LISTED_PART.match(line)):
            size = _PROFILE_MEMORY.search(part[1])
            # The name rounds; a container finds a little more than that in decimal units.
            parts.append(Partition(part[2], part[1], int(size[1]) * 10**9 if size else 0))
    return tuple(parts)


def _unheld(card: Card, version: str) -> Obstacle:
    if card.driver == DRIVER:
        return CLEAR
    if kept(card):
        return kept(card)
    if card.driver:
        what = f"it is held by {card.driver}, which cannot compute" if card.driver in OPEN_DRIVERS else ""
        return Obstacle(what or f"it is held by {card.driver}, not by nvidia", _INSTALL)
    if version:
        return Obstacle("the driver is loaded, and does not hold it", _ASK_KERNEL)
    return Obstacle("no driver holds it", _INSTALL)


_INSTALL = "Install NVIDIA's driver as your system does it, and restart the machine."
_ASK_KERNEL = "Look at what 'sudo dmesg | grep NVRM' says: a card may be too old or too new for a driver."


def _unanswered(host: Host, version: str, answers: dict[str, dict[str, str]] | None) -> Obstacle:
    """Why there is no answer of the driver's tool, where that is in the way."""
    if answers is not None:
        return CLEAR
    folder = next((folder for folder in LIBRARIES if not host.gone(f"{folder}/{LIBRARY}")), "")
    tool = host.program(TOOL)
    if not folder and not tool:
        what = f"only the kernel's part of driver {version} is here; its libraries and {TOOL} are not"
        return Obstacle(what, f"Install the package that has {TOOL}, of the same version.")
    library = _VERSION.search(host.link(f"{folder}/{LIBRARY}"))
    if library and version and library[1] != version:
        what = f"the driver in the kernel is {version}, and its libraries are {library[1]}"
        return Obstacle(what, "Restart the machine: the driver was updated while it ran.")
    if not tool:
        return CLEAR
    what = f"{TOOL} fails, or takes longer than {PATIENCE:.0f} s"
    return Obstacle(what, f"Run {TOOL}: it says why. If it is only slow: sudo {TOOL} -pm 1.")


def _unlisted(row: dict[str, str], answers: dict[str, dict[str, str]] | None) -> Obstacle:
    if answers is not None and not row:
        return Obstacle(f"{TOOL} does not list it", _ASK_KERNEL)
    if LOST in row.values():
        return Obstacle("it has fallen off the bus", "Restart the machine; look at its power and its cooling.")
    return CLEAR


def _asked(host: Host, tool: str, version: str) -> dict[str, dict[str, str]] | None:
    """What nvidia-smi says of each GPU, by address on the bus; None where it does not answer."""
    if not host.program(tool):
        return None
    major = decimal(version.split(".")[0])
    question = FULL if major is None or major >= FULL_SINCE else BASIC
    printed = host.run((tool, f"--query-gpu={question}", FORMAT))
    if printed is None:
        return None
    rows = [_row(question, line) for line in printed.splitlines() if line.strip()]
    return {address: row for row in rows if (address := _address(row.get("pci.bus_id", "")))}


def _row(question: str, line: str) -> dict[str, str]:
    words = question.split(",")
    values = [label(value) for value in line.split(",")]
    return dict(zip(words, values, strict=True)) if len(values) == len(words) else {}


def _address(bus_id: str) -> str:
    """As the kernel writes it: the tool has eight digits for the domain, and capitals."""
    found = _BUS_ID.fullmatch(bus_id.lower())
    return f"{int(found[1], 16):04x}:{found[2]}" if found else ""


def _information(host: Host, address: str) -> dict[str, str]:
    lines = (host.text(f"{PROC}/gpus/{address}/information") or "").splitlines()
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    return {key.strip(): label(value) for key, value in pairs if "?" not in value}


def _nodes(host: Host, known: dict[str, str]) -> tuple[str, ...]:
    minor = decimal(known.get("Device Minor"))
    own = f"/dev/nvidia{minor}"
    if minor is None or not host.node(own):
        return ()
    return (own, *(path for path in SHARED_NODES if host.node(path)))


def _below_windows(host: Host) -> tuple[Gpu, ...]:
    rows = (_asked(host, WSL_TOOL, "") or {}).items()
    blank = Gpu(vendor=VENDOR.gpu, driver="dxgkrnl", nodes=(WSL_NODE,))
    return tuple(_with_answer(host, WSL_TOOL, replace(blank, pci=address), row) for address, row in rows)


def _in_processor(host: Host) -> tuple[Gpu, ...]:
    """The GPU of a Jetson, which shares the machine's memory."""
    if host.text(TEGRA) is None and "tegra" not in (host.text(FAMILY) or "").lower():
        return ()
    name = label(host.text(MODEL)) or "NVIDIA Jetson"
    size, free = memory(host), memory(host, "MemAvailable")
    return (Gpu(vendor=VENDOR.gpu, name=name, driver=VENDOR.on_board, memory=size, free=free or None),)
