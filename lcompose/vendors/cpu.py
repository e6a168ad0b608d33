"""No GPU at all: the processor does it, and nothing is asked of the engine."""

from __future__ import annotations

from lcompose.machine import Host
from lcompose.spec.machine import Gpu
from lcompose.vendors import CPU, Vendor

VENDOR = Vendor(gpu=CPU, title="the processor", shm_size="4gb")


def detect(host: Host) -> tuple[Gpu, ...]:
    """There is none to find."""
    return ()


def driver_version(host: Host) -> str:
    """There is none."""
    return ""
