"""Intel GPUs: Arc, Data Center GPU Max and Flex, and those inside processors; the drivers xe and i915."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from lcompose.hardware import CLEAR, DISPLAY, Card, Obstacle, cards, decimal, kept, label, no_render_node, render_nodes
from lcompose.machine import PATIENCE, Host, side_by_side
from lcompose.spec.machine import Gpu
from lcompose.vendors import Vendor

VENDOR = Vendor(
    gpu="xpu",
    title="Intel (XPU)",
    pci=0x8086,
    nodes=("/dev/dri",),
    groups_of=("/dev/dri/renderD*",),
    binds=("/dev/dri/by-path",),
    inside=(("/dev/dri/renderD*",), ("/dev/dxg",)),
    said=("xpu", "sycl", "oneapi"),
)

DRIVERS = ("xe", "i915")
TOOL = "xpu-smi"
# Where the GPU of a processor is on the bus, and no other.
INSIDE = ":00:02.0"


def detect(host: Host) -> tuple[Gpu, ...]:
    """The kernel knows what there is; only names and memory need Intel's tool, which few have."""
    # A processor for neural networks is of the class of accelerators, and is none of this.
    found = cards(host, VENDOR.pci, (DISPLAY,))
    if not found:
        return ()
    told = _told(host)
    return tuple(_gpu(host, card, told.get(card.address, {})) for card in found)


def driver_version(host: Host) -> str:
    """The kernel's own, since its drivers come with it."""
    loaded = any(host.names(f"/sys/module/{driver}") for driver in DRIVERS)
    return label(host.text("/proc/sys/kernel/osrelease")) if loaded else ""


def _gpu(host: Host, card: Card, told: dict[str, Any]) -> Gpu:
    nodes = render_nodes(host, card)
    obstacle = _obstacle(card, nodes)
    return Gpu(
        vendor=VENDOR.gpu,
        pci=card.address,
        name=label(str(told.get("device_name") or "")) or f"Intel GPU {card.number}",
        driver=card.driver,
        index=_number(told),
        uuid=label(str(told.get("uuid") or "")),
        memory=_memory(host, card, told),
        integrated=card.address.endswith(INSIDE),
        nodes=nodes,
        problem=obstacle.problem,
        fix=obstacle.fix,
    )


def _obstacle(card: Card, nodes: tuple[str, ...]) -> Obstacle:
    if kept(card):
        return kept(card)
    if not card.driver:
        return Obstacle("no driver holds it", "Load xe or i915 (sudo modprobe xe); a new card needs a new kernel.")
    if card.driver not in DRIVERS:
        return Obstacle(f"it is held by {card.driver}, not by xe or i915", f"Unload {card.driver}, and load xe.")
    return CLEAR if any("/renderD" in node for node in nodes) else no_render_node(card.driver)


def _memory(host: Host, card: Card, told: dict[str, Any]) -> int:
    names = host.names(f"{card.folder}/drm")
    sizes = [decimal(host.text(f"{card.folder}/drm/{name}/lmem_total_bytes")) or 0 for name in names]
    return max([*sizes, decimal(str(told.get("memory_physical_size_byte", ""))) or 0])


def _told(host: Host) -> dict[str, dict[str, Any]]:
    """What Intel's tool says of each GPU, by its address on the bus."""
    if not host.program(TOOL):
        return {}
    listed = _tree(host.run((TOOL, "discovery", "-j"))).get("device_list")
    devices = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    details = side_by_side([partial(_detail, host, one) for one in devices], PATIENCE)
    return {
        str(one.get("pci_bdf_address", "")).lower(): one | (detail or {})
        for one, detail in zip(devices, details, strict=True)
    }


def _detail(host: Host, device: dict[str, Any]) -> dict[str, Any]:
    number = _number(device)
    return {} if number is None else _tree(host.run((TOOL, "discovery", "-d", str(number), "-j")))


def _number(device: dict[str, Any]) -> int | None:
    return decimal(str(device.get("device_id", "")))


def _tree(text: str | None) -> dict[str, Any]:
    try:
        tree = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}
