"""What a probe finds of a machine's accelerators: the hardware, and what stands in the way of using it."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of a GPU that is used like one of its own (MIG); ``memory`` in bytes, 0 if it is not known."""

    uuid: str
    profile: str = ""
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. ``memory`` and ``free`` are in bytes; 0 and None mean that nobody says.

    ``driver`` is the kernel's that holds it, ``index`` and ``uuid`` are what its vendor's own tools call
    it, ``arch`` is the vendor's name of its architecture. ``nodes`` are the device nodes that a container
    needs for this one alone. With a ``problem`` it cannot be used, and ``fix`` is one thing to do.
    """

    vendor: str
    pci: str = ""
    name: str = ""
    driver: str = ""
    index: int | None = None
    uuid: str = ""
    memory: int = 0
    free: int | None = None
    arch: str = ""
    integrated: bool = False
    partitions: tuple[Partition, ...] = ()
    nodes: tuple[str, ...] = ()
    problem: str = ""
    fix: str = ""

    @property
    def usable(self) -> bool:
        """Whether a container could be given it."""
        return not self.problem

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be called by: its number, its UUID, its place on the bus, the UUIDs of its parts."""
        number = "" if self.index is None else str(self.index)
        return tuple(name for name in (number, self.uuid, self.pci, *(part.uuid for part in self.partitions)) if name)

    @property
    def room(self) -> int:
        """Bytes that are free; all of its memory where nobody says."""
        return self.memory if self.free is None else self.free


@dataclass(frozen=True, slots=True)
class CdiSpec:
    """A file that tells engines what a device consists of (Container Device Interface).

    ``kind`` is such as ``nvidia.com/gpu``, and ``devices`` are the names behind it. ``missing`` are files of
    this machine that it names and that are gone: then it is stale. ``problem`` is why it cannot be read.
    """

    path: str
    kind: str = ""
    devices: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device node, its group, and its permissions as in ``chmod``."""

    path: str
    gid: int
    mode: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of a machine. ``memory`` is in bytes; ``drivers`` has the version of each vendor's driver.

    ``toolkits`` are the programs found that give engines a vendor's devices, by the vendor's name.
    """

    gpus: tuple[Gpu, ...] = ()
    cdi: tuple[CdiSpec, ...] = ()
    nodes: tuple[DeviceNode, ...] = ()
    drivers: tuple[tuple[str, str], ...] = ()
    toolkits: tuple[tuple[str, str], ...] = ()
    arch: str = ""
    memory: int = 0
    wsl: bool = False
    selinux: bool = False

    def of(self, vendor: str) -> tuple[Gpu, ...]:
        """The usable GPUs of a vendor."""
        return tuple(gpu for gpu in self.gpus if gpu.vendor == vendor and gpu.usable)

    def cdi_devices(self, kind: str) -> tuple[str, ...]:
        """The names of all devices of a kind that some readable, fresh specification has."""
        return tuple(
            name
            for spec in self.cdi
            if spec.kind == kind and not spec.problem and not spec.missing
            for name in spec.devices
        )
