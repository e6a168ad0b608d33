"""AMD GPUs. Device nodes need no toolkit and work on every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lcompose.hardware import CLEAR, Card, Obstacle, cards, decimal, kept, label, no_render_node, render_nodes
from lcompose.machine import Host
from lcompose.spec.machine import GIB, Gpu
from lcompose.vendors import Vendor

VENDOR = Vendor(
    gpu="rocm",
    title="AMD (ROCm)",
    pci=0x1002,
    cdi_kind="amd.com/gpu",
    nodes=("/dev/kfd", "/dev/dri"),
    groups_of=("/dev/kfd", "/dev/dri/renderD*"),
    security_opt=("seccomp=unconfined",),
    cap_add=("SYS_PTRACE",),
    inside=(("/dev/kfd", "/dev/dri/renderD*"), ("/dev/dxg",)),
    said=("rocm", "hip"),
    toolkit=("amd-ctk", "amd-container-runtime"),
    make_cdi="sudo amd-ctk cdi generate --output=/etc/cdi/amd.json",
)

DRIVER = "amdgpu"
KFD = "/dev/kfd"
TOPOLOGY = "/sys/class/kfd/kfd/topology/nodes"
# A processor's GPU that has less than this of its own beside a real one is only in the way.
CARVE_OUT = 4 * GIB
# Processors whose GPU is meant for models: it takes what it needs of the machine's memory.
SHARING = frozenset(["gfx1150", "gfx1151"])
OLDEST = 9
FRAME_BUFFERS = frozenset([1, 2])


@dataclass(frozen=True, slots=True)
class _Compute:
    """A GPU as the compute driver numbers and knows it."""

    index: int
    version: int
    memory: int = 0
    uuid: str = ""

    @property
    def arch(self) -> str:
        return f"gfx{self.version // 10000}{self.version // 100 % 100:x}{self.version % 100:x}"


def detect(host: Host) -> tuple[Gpu, ...]:
    """All that is needed stands in files of the kernel; AMD's tools are not asked."""
    found = cards(host, VENDOR.pci)
    computing = _topology(host) if found else {}
    return tuple(_gpu(host, card, computing.get(card.address)) for card in found)


def driver_version(host: Host) -> str:
    """The version of amdgpu: its own where it was installed apart, else its kernel's."""
    if not host.names(f"/sys/module/{DRIVER}"):
        return ""
    return label(host.text(f"/sys/module/{DRIVER}/version")) or label(host.text("/proc/sys/kernel/osrelease"))


def _gpu(host: Host, card: Card, compute: _Compute | None) -> Gpu:
    nodes = render_nodes(host, card)
    obstacle = _obstacle(host, card, nodes, compute)
    arch = compute.arch if compute else ""
    memory, used = _memory(host, card, compute)
    shared = _bytes(host, card, "mem_info_gtt_total") if arch in SHARING else 0
    return Gpu(
        vendor=VENDOR.gpu,
        pci=card.address,
        name=label(host.text(f"{card.folder}/product_name")) or f"AMD GPU {card.number}",
        driver=card.driver,
        index=compute.index if compute else None,
        uuid=compute.uuid if compute else "",
        memory=max(memory, shared),
        free=None if used is None or shared > memory else max(0, memory - used),
        arch=arch,
        integrated=0 < memory < CARVE_OUT and arch not in SHARING,
        nodes=(KFD, *nodes) if host.node(KFD) else nodes,
        problem=obstacle.problem,
        fix=obstacle.fix,
    )


def _obstacle(host: Host, card: Card, nodes: tuple[str, ...], compute: _Compute | None) -> Obstacle:
    if card.driver != DRIVER:
        return kept(card) or _not_held(card)
    if not host.node(KFD):
        return Obstacle(f"there is no {KFD}", "Use a kernel with HSA_AMD, or install AMD's own driver (amdgpu-dkms).")
    if not any("/renderD" in node for node in nodes):
        return no_render_node(DRIVER)
    if not compute:
        return Obstacle("its driver cannot compute with it", "Look at what 'sudo dmesg | grep kfd' says.")
    if compute.version < OLDEST * 10000:
        return Obstacle(f"ROCm no longer supports {compute.arch}", "Use a GPU of gfx900 or later, or --gpu none.")
    return CLEAR


def _not_held(card: Card) -> Obstacle:
    if card.driver:
        return Obstacle(f"it is held by {card.driver}, not by {DRIVER}", f"Unload {card.driver}, and load {DRIVER}.")
    return Obstacle("no driver holds it", f"Load {DRIVER} (sudo modprobe {DRIVER}); a new card needs a new kernel.")


def _memory(host: Host, card: Card, compute: _Compute | None) -> tuple[int, int | None]:
    """The memory of its own, and how much of it is used."""
    total = _bytes(host, card, "mem_info_vram_total")
    used = decimal(host.text(f"{card.folder}/mem_info_vram_used"))
    return (total, used) if total else (compute.memory if compute else 0, None)


def _bytes(host: Host, card: Card, name: str) -> int:
    return decimal(host.text(f"{card.folder}/{name}")) or 0


def _topology(host: Host) -> dict[str, _Compute]:
    """What the compute driver knows of GPUs, by address on the bus; a GPU in parts is the first of them."""
    found: dict[str, _Compute] = {}
    index = 0
    for number in sorted(number for name in host.names(TOPOLOGY) if (number := decimal(name)) is not None):
        known = _properties(host, f"{TOPOLOGY}/{number}/properties")
        if not (version := known.get("gfx_target_version", 0)):
            continue  # it is a processor
        uuid = f"GPU-{known['unique_id']:016x}" if known.get("unique_id") else ""
        memory = _banks(host, f"{TOPOLOGY}/{number}/mem_banks")
        found.setdefault(_address(known), _Compute(index, version, memory, uuid))
        index += 1
    return found


def _address(known: Mapping[str, int]) -> str:
    place = known.get("location_id", 0)
    return f"{known.get('domain', 0):04x}:{place >> 8 & 0xFF:02x}:{place >> 3 & 0x1F:02x}.{place & 7}"


def _banks(host: Host, folder: str) -> int:
    banks = [_properties(host, f"{folder}/{name}/properties") for name in host.names(folder)]
    return sum(bank.get("size_in_bytes", 0) for bank in banks if bank.get("heap_type") in FRAME_BUFFERS)


def _properties(host: Host, path: str) -> dict[str, int]:
    """The numbers of a file with a word and a number in each line."""
    pairs = [line.split() for line in (host.text(path) or "").splitlines()]
    # An identifier takes all of 64 bits: that is up to 20 digits.
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isascii() and _short(pair[1])}


def _short(text: str) -> bool:
    return text.isdigit() and len(text) <= 20
