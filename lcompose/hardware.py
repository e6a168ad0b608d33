"""What the kernel says of the hardware, whoever made it: cards on the PCI bus, device nodes, memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lcompose.machine import Host, name_of

PCI = "/sys/bus/pci/devices"
DISPLAY = "0x03"  # VGA, 3D, and those without a connector
ACCELERATOR = "0x12"

# Drivers that keep a card for virtual machines.
_KEPT = frozenset(["vfio-pci", "pci-stub", "pciback", "xen-pciback"])

# More digits than that are no number of a driver's.
_DECIMAL = re.compile(r"[0-9]{1,18}")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{1,16}")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a GPU cannot be used, and one thing to do; it is false where nothing is in the way."""

    problem: str = ""
    fix: str = ""

    def __bool__(self) -> bool:
        return bool(self.problem)


CLEAR = Obstacle()


@dataclass(frozen=True, slots=True)
class Card:
    """A card on the PCI bus: its address, its vendor's and its own number, and the driver that holds it."""

    address: str
    vendor: int
    device: int
    driver: str = ""

    @property
    def folder(self) -> str:
        """Where the kernel tells of it."""
        return f"{PCI}/{self.address}"

    @property
    def number(self) -> str:
        """What it is, as lists of hardware have it: ``1002:744c``."""
        return f"{self.vendor:04x}:{self.device:04x}"


def cards(host: Host, vendor: int, classes: Sequence[str] = (DISPLAY, ACCELERATOR)) -> tuple[Card, ...]:
    """A vendor's cards of these classes, by address."""
    return tuple(
        Card(address, vendor, hexadecimal(host.text(f"{PCI}/{address}/device")) or 0, _driver(host, address))
        for address in host.names(PCI)
        if _text(host, address, "class").startswith(tuple(classes))
        if hexadecimal(host.text(f"{PCI}/{address}/vendor")) == vendor
    )


def kept(card: Card) -> Obstacle:
    """Whether a card is kept for virtual machines."""
    if card.driver not in _KEPT:
        return CLEAR
    return Obstacle(
        f"it is kept for virtual machines ({card.driver})",
        f"Run lcompose in the virtual machine that has it, or take it from {card.driver}.",
    )


def render_nodes(host: Host, card: Card) -> tuple[str, ...]:
    """The device nodes in /dev/dri that are this card's alone."""
    paths = [f"/dev/dri/{name}" for name in host.names(f"{card.folder}/drm")]
    return tuple(path for path in paths if host.node(path))


def no_render_node(driver: str) -> Obstacle:
    """What to say of a card whose driver made no render node."""
    return Obstacle(
        "it has no render node in /dev/dri",
        f"Look at what 'sudo dmesg | grep {driver}' says; with nomodeset on the kernel's command line there is none.",
    )


def memory(host: Host, key: str = "MemTotal") -> int:
    """A number of /proc/meminfo, in bytes; 0 if it is not there."""
    found = re.search(rf"^{key}:\s*([0-9]{{1,15}}) kB", host.text("/proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def decimal(text: str | None) -> int | None:
    """The whole number that a text is, or None."""
    stripped = (text or "").strip()
    return int(stripped) if _DECIMAL.fullmatch(stripped) else None


def hexadecimal(text: str | None) -> int | None:
    """The hexadecimal number that a text is, with or without 0x, or None."""
    stripped = (text or "").strip()
    return int(stripped, 16) if _HEX.fullmatch(stripped) else None


def label(text: str | None) -> str:
    """A text in one line that may be printed, whoever wrote it."""
    return "".join(one if one.isprintable() else " " for one in (text or "").strip())[:100].strip()


def _text(host: Host, address: str, name: str) -> str:
    return (host.text(f"{PCI}/{address}/{name}") or "").strip()


def _driver(host: Host, address: str) -> str:
    return label(name_of(host.link(f"{PCI}/{address}/driver")))
