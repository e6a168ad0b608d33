"""GPU vendors: one module each, found by listing this folder, with data and how its GPUs are found."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from lcompose.machine import Host
    from lcompose.spec.machine import Gpu, Machine

# What ``--gpu`` says where the processor is to do it.
CPU = "none"
OUTPUT = "--output="


@dataclass(frozen=True, slots=True)
class Vendor:
    """What a vendor's GPUs need to be given to a container.

    ``driver`` is the name that an engine knows them by in a reservation, if it knows one; ``cdi_kind``
    the kind of their CDI specifications. ``nodes`` are the device nodes where they are given one by one,
    and ``groups_of`` those whose groups a process must be in. ``pci`` is the vendor's number on the bus.
    ``inside`` is what a container that has a GPU has: all patterns of one of the rows. ``said`` are names
    for it in the logs of servers.
    ``get_toolkit`` and ``make_cdi`` say how to come by what engines need of it.
    ``control`` are further device nodes that a probe looks at, and ``toolkit`` the programs that give
    engines its devices; without the one that is the ``hook``, Docker does not know the driver.
    ``on_board`` is the kernel's driver of those GPUs that are in a processor and on no bus, which nothing but a
    specification gives to containers, and ``make_cdi_on_board`` how to come by that. ``visible`` is the variable
    that tells the vendor's runtime which GPUs a container gets, where an engine starts all containers with it.
    """

    gpu: str
    title: str
    pci: int = 0
    driver: str = ""
    cdi_kind: str = ""
    nodes: tuple[str, ...] = ()
    groups_of: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    shm_size: str = "8gb"
    inside: tuple[tuple[str, ...], ...] = ()
    said: tuple[str, ...] = ()
    control: tuple[str, ...] = ()
    toolkit: tuple[str, ...] = ()
    hook: str = ""
    get_toolkit: str = ""
    make_cdi: str = ""
    on_board: str = ""
    make_cdi_on_board: str = ""
    visible: str = ""


class Module(Protocol):
    """What a vendor's module has."""

    VENDOR: Vendor

    def detect(self, host: Host) -> tuple[Gpu, ...]:
        """Its GPUs in that machine, with what stands in the way of using them; never raises."""

    def driver_version(self, host: Host) -> str:
        """The version of its driver in that machine's kernel; empty where none is loaded."""


def choices() -> tuple[str, ...]:
    """What ``--gpu`` may name, ``none`` first."""
    return (CPU, *sorted(name for name in modules() if name != CPU))


def vendor(gpu: str) -> Vendor:
    """The vendor for a value of ``--gpu``.

    Raises: KeyError.
    """
    return modules()[gpu].VENDOR


def is_on_board(vendor: Vendor, machine: Machine | None) -> bool:
    """Whether a machine's GPUs of a vendor are in its processor, and on no bus."""
    there = machine.of(vendor.gpu) if machine and vendor.on_board else ()
    return bool(there) and all(gpu.driver == vendor.on_board for gpu in there)


def make_cdi(vendor: Vendor, machine: Machine | None, path: str = "") -> str:
    """The command that writes the vendor's CDI specification on that machine, in the place of one that is there."""
    command = vendor.make_cdi_on_board if is_on_board(vendor, machine) else vendor.make_cdi
    before, option, usual = command.partition(OUTPUT)
    return f"{before}{option}{path or usual}"


def modules() -> dict[str, Module]:
    """Every vendor's module, by what ``--gpu`` says."""
    names = [found.name for found in iter_modules(__path__) if not found.name.startswith("_")]
    found = [cast(Module, import_module(f"{__name__}.{name}")) for name in names]
    return {one.VENDOR.gpu: one for one in sorted(found, key=lambda one: one.VENDOR.gpu)}
