"""Which GPUs a stack gets: what a person asks for, and what there is on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lcompose import vendors
from lcompose.errors import Finding, MachineError, Position, UsageError
from lcompose.settings import Settings
from lcompose.spec.machine import Gpu, Machine
from lcompose.vendors import CPU

AUTO = "auto"
GIB = 1 << 30
# A desktop or a forgotten program takes a little of every GPU.
NEARLY_FREE = 0.8
HERE = "Look at this machine with --for here"
NO_GPU = "Or use the processor: --gpu none."
OPTIONAL = "accelerator.optional=true takes the processor where there is none"


def is_asked_for(settings: Settings) -> bool:
    """Whether a machine must be looked at: for GPUs, or for the memory that a model gets."""
    return settings.gpu != CPU or settings.inference not in (AUTO, "none")


def decided(settings: Settings, machine: Machine | None) -> tuple[Settings, tuple[Finding, ...]]:
    """The settings with a vendor and ids that there are, and what is to be said of the choice.

    ``machine`` is where the stack runs; None where it is only described.

    Raises: MachineError where there is no such GPU; UsageError for what only a look at the machine tells.
    """
    ids = settings.gpu_ids
    if len(set(ids)) < len(ids):
        raise UsageError(f"a GPU is named twice: {', '.join(ids)}", "gpu_ids", "Name each one once.")
    if settings.gpu == CPU and ids:
        raise UsageError("GPUs are named, and none is asked for", "gpu_ids", "Say whose they are, such as --gpu cuda.")
    if settings.gpu == CPU or settings.gpu not in (AUTO, *vendors.choices()):
        return settings, ()
    if machine is None:
        _refuse_unseen(settings)
        return settings, ()
    there = _there(settings.gpu, machine)
    if not there:
        return _without(settings, machine)
    if ids:
        return _named(settings, there), ()
    picked = _picked(there) if settings.gpu == AUTO else _real(there)
    found = replace(settings, gpu=there[0].vendor, gpu_ids=_ids(picked, machine))
    return found, _told(settings, picked, machine)


def _refuse_unseen(settings: Settings) -> None:
    if settings.gpu == AUTO:
        what = "which GPU there is only a look at the machine can tell"
        raise UsageError(what, "gpu", f"{HERE}, or name the vendor: --gpu cuda, rocm or xpu.")
    if settings.gpu_ids and not vendors.vendor(settings.gpu).driver:
        what = "which device nodes these GPUs have only a look at the machine can tell"
        raise UsageError(what, "gpu_ids", f"{HERE}, or leave --gpu-ids out for all of them.")


def _there(wanted: str, machine: Machine) -> tuple[Gpu, ...]:
    """The usable GPUs of the vendor that is asked for, or of the one that has the GPU with most free memory."""
    if wanted != AUTO:
        return machine.of(wanted)
    usable = _real([gpu for gpu in machine.gpus if gpu.usable])
    return machine.of(max(usable, key=_free).vendor) if usable else ()


def _real(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Without those inside a processor, unless there are no others: servers that pick one of these stop."""
    return tuple(gpu for gpu in gpus if not gpu.integrated) or tuple(gpus)


def _free(gpu: Gpu) -> int:
    return gpu.memory if gpu.free is None else gpu.free


def _picked(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Those that nobody else uses; else the one with most memory left."""
    real = _real(gpus)
    idle = tuple(gpu for gpu in real if _free(gpu) >= NEARLY_FREE * gpu.memory)
    return idle or (max(real, key=_free),)


def _ids(picked: Sequence[Gpu], machine: Machine) -> tuple[str, ...]:
    """What says just these; nothing where they are all that the machine has of the vendor.

    A GPU that is cut into parts cannot be used as a whole: its largest part is taken.
    """
    parts = [part for gpu in picked for part in gpu.partitions]
    if parts:
        return (max(parts, key=lambda part: part.memory).uuid,)
    every = [gpu for gpu in machine.gpus if gpu.vendor == picked[0].vendor and not gpu.problem]
    # In Windows' Linux there are no GPUs one by one.
    if machine.wsl or len(picked) == len(every):
        return ()
    return tuple(gpu.uuid or (str(gpu.index) if gpu.index is not None else gpu.pci) for gpu in picked)


def _names(gpu: Gpu) -> list[str]:
    number = [] if gpu.index is None else [str(gpu.index)]
    return [name for name in (*number, gpu.uuid, gpu.pci, *(part.uuid for part in gpu.partitions)) if name]


def _named(settings: Settings, there: Sequence[Gpu]) -> Settings:
    known = {name for gpu in there for name in _names(gpu)}
    unknown = [one for one in settings.gpu_ids if one not in known]
    if unknown:
        names = "; ".join(f"{gpu.name or gpu.vendor}: {', '.join(_names(gpu))}" for gpu in there)
        raise MachineError(f"no GPU here is called {unknown[0][:60]!r}", "gpu_ids", f"There is {names}.")
    return replace(settings, gpu=there[0].vendor)


def _without(settings: Settings, machine: Machine) -> tuple[Settings, tuple[Finding, ...]]:
    """There is none: the processor where that is allowed, else an error that says what was found."""
    title = "GPU" if settings.gpu == AUTO else f"GPU of {vendors.vendor(settings.gpu).title}"
    broken = [gpu for gpu in machine.gpus if gpu.problem and settings.gpu in (AUTO, gpu.vendor)]
    seen = "; ".join(f"{gpu.name or gpu.pci}: {gpu.problem}" for gpu in broken)
    what = f"there is no {title} here that can be used{f' ({seen})' if seen else ''}"
    if settings.gpu_is_optional:
        told = Finding(Position("settings"), "gpu", f"{what}: the processor is used", "", "warning")
        return replace(settings, gpu=CPU, gpu_ids=()), (told,)
    fixes = [gpu.fix for gpu in broken if gpu.fix][:1]
    raise MachineError(what, "gpu", " ".join([*fixes, NO_GPU, f"({OPTIONAL}.)"]))


def _told(settings: Settings, picked: Sequence[Gpu], machine: Machine) -> tuple[Finding, ...]:
    """Which ones were chosen, where it was not the person who chose."""
    if settings.gpu != AUTO:
        return ()
    left = [gpu for gpu in machine.gpus if gpu not in picked]
    others = f"; not {_list(left)}" if left else ""
    what = f"chosen: {_list(picked)}{others}"
    return (Finding(Position("settings"), "gpu", what, "", "warning"),)


def _list(gpus: Iterable[Gpu]) -> str:
    return ", ".join(f"{gpu.name or gpu.vendor} {_memory(gpu)}".strip() for gpu in gpus)


def _memory(gpu: Gpu) -> str:
    if gpu.problem:
        return f"({gpu.problem})"
    if not gpu.memory:
        return ""
    return f"({_free(gpu) / GIB:.0f} of {gpu.memory / GIB:.0f} GiB free)"
