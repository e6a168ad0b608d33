"""What there is in a machine for containers to compute with: every vendor asked, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from lcompose import cdi
from lcompose.hardware import cards, memory
from lcompose.machine import Host, Recorder, document, side_by_side
from lcompose.spec.machine import DeviceNode, Gpu, Machine
from lcompose.vendors import Module, modules

# Seconds that a vendor has for all that it asks.
VENDOR_LIMIT = 10.0
NO_ANSWER = "its driver does not answer"
NO_ANSWER_FIX = "Look at what 'sudo dmesg' says, and restart the machine."

OSRELEASE = "/proc/sys/kernel/osrelease"
WSL_NODE = "/dev/dxg"
SELINUX = "/sys/fs/selinux/enforce"


def probe(host: Host) -> Machine:
    """What is found of a machine, the best GPU first; never raises, and takes some seconds at most.

    It says nothing of an engine elsewhere: one behind a remote context has another machine.
    """
    asked = Recorder(host)  # several ask the same
    vendors = modules()
    calls = [_looking(asked, one) for one in vendors.values()]
    results = side_by_side(calls, VENDOR_LIMIT)
    pairs = [result or _silent(asked, one) for one, result in zip(vendors.values(), results, strict=True)]
    gpus = tuple(sorted((gpu for found, _ in pairs for gpu in found), key=_rank))
    return Machine(
        gpus=gpus,
        cdi=cdi.specs(asked),
        nodes=_nodes(asked, vendors, gpus),
        drivers=tuple((gpu, version) for gpu, (_, version) in zip(vendors, pairs, strict=True) if version),
        toolkits=tuple(
            (gpu, name) for gpu, one in vendors.items() for name in one.VENDOR.toolkit if asked.program(name)
        ),
        arch=asked.arch(),
        memory=memory(asked),
        wsl="microsoft" in (asked.text(OSRELEASE) or "").lower() or bool(asked.node(WSL_NODE)),
        selinux=(asked.text(SELINUX) or "").strip() == "1",
    )


def record(host: Host) -> dict[str, Any]:
    """All that a probe asks of a machine and is told, for a bug report: a tree of plain values.

    In it are UUIDs of GPUs, and no other number of a piece of hardware; of CDI specifications what
    ``cdi.reduced`` leaves. ``machine.recorded`` makes a machine of it again.
    """
    asked = Recorder(host)
    probe(asked)
    made = asked.recording()
    files = {path: cdi.reduced(text) if path.startswith(cdi.FOLDERS) else text for path, text in made.files.items()}
    return document(replace(made, files=files))


def _looking(host: Host, one: Module) -> Callable[[], tuple[tuple[Gpu, ...], str]]:
    return lambda: (one.detect(host), one.driver_version(host))


def _silent(host: Host, one: Module) -> tuple[tuple[Gpu, ...], str]:
    """The cards of a vendor whose driver keeps everybody waiting."""
    vendor = one.VENDOR
    found = cards(host, vendor.pci) if vendor.pci else ()
    gpus = tuple(
        Gpu(
            vendor.gpu, card.address, f"{vendor.title} {card.number}", card.driver, problem=NO_ANSWER, fix=NO_ANSWER_FIX
        )
        for card in found
    )
    return gpus, ""


def _rank(gpu: Gpu) -> tuple[bool, bool, int, str, str]:
    """What can be used first, real cards before a processor's, more memory before less."""
    return (not gpu.usable, gpu.integrated, -gpu.memory, gpu.vendor, gpu.pci)


def _nodes(host: Host, vendors: dict[str, Module], gpus: tuple[Gpu, ...]) -> tuple[DeviceNode, ...]:
    wanted = {path for gpu in gpus for path in gpu.nodes}
    for one in vendors.values():
        wanted |= set(_within(host, (*one.VENDOR.nodes, *one.VENDOR.control)))
    return tuple(node for path in sorted(wanted) if (node := host.node(path)))


def _within(host: Host, paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        yield path
        yield from (f"{path}/{name}" for name in host.names(path))
