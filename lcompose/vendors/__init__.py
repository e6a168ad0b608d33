"""GPU vendors as data: one module each, found by listing this folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Literal

# ``reservation`` asks the engine for GPUs by driver; ``devices`` maps device nodes.
FormKind = Literal["reservation", "devices"]


@dataclass(frozen=True, slots=True)
class Vendor:
    """What a vendor's GPUs need: the inference image, and how the devices are asked for."""

    gpu: str
    title: str
    inference_image: str
    form: FormKind
    driver: str = ""
    devices: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    shm_size: str = "8gb"
    environment: tuple[tuple[str, str], ...] = field(default=())


def choices() -> tuple[str, ...]:
    """What ``--gpu`` may say, ``none`` included."""
    return ("none", *sorted(vendor.gpu for vendor in _all().values()))


def vendor(gpu: str) -> Vendor:
    """The vendor for a value of ``--gpu``.

    Raises: KeyError.
    """
    return _all()[gpu]


def _all() -> dict[str, Vendor]:
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    found = [import_module(f"{__name__}.{name}").VENDOR for name in names]
    return {one.gpu: one for one in found}
