"""Which GPUs a stack gets: what a person asks for, and what there is on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lcompose import vendors
from lcompose.errors import Finding, MachineError, Position, UsageError
from lcompose.settings import Settings
from lcompose.spec.machine import GIB, Gpu, Machine, Partition
from lcompose.vendors import CPU

AUTO = "auto"
# A desktop or a forgotten program takes a little of every GPU.
NEARLY_FREE = 0.8
HERE = "For this machine it is rendered with --for here"
NO_GPU = "use the processor: --gpu none."
OPTIONAL = "accelerator.optional=true takes the processor where there is none"


def is_asked_for(settings: Settings) -> bool:
    """Whether a machine must be looked at: for GPUs, or for the memory that a model gets."""
    return settings.gpu != CPU or settings.inference not in (AUTO, "none")


def decided(
    settings: Settings, machine: Machine | None, *, elsewhere: bool = False
) -> tuple[Settings, tuple[Finding, ...]]:
    """The settings with a vendor and ids that there are, and what is to be said of the choice.

    ``machine`` is where the stack runs; None where it is only described, or where that is ``elsewhere``.

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
        _refuse_unseen(settings, elsewhere=elsewhere)
        return settings, (_UNSEEN,) if elsewhere else ()
    there = _there(settings, machine)
    if not there:
        return _without(settings, machine)
    if ids:
        return _named(settings, there, machine), ()
    picked = _whole(_picked(there) if settings.gpu == AUTO else _real(there))
    found = replace(settings, gpu=there[0].vendor, gpu_ids=_ids(picked, machine))
    return found, _told(settings, picked, machine)


_UNSEEN = Finding(
    Position("settings"),
    "gpu",
    "the engine is on another machine: whether the GPU is there is seen only when the service starts",
    "",
    "warning",
)


def _refuse_unseen(settings: Settings, *, elsewhere: bool) -> None:
    otherwise = "" if elsewhere else f" {HERE}."
    why = ", and the engine is on another one" if elsewhere else ""
    if settings.gpu == AUTO:
        what = f"which GPU there is only a look at the machine can tell{why}"
        raise UsageError(what, "gpu", f"Name the vendor: --gpu {', '.join(vendors.choices()[1:])}.{otherwise}")
    if settings.gpu_ids and not vendors.vendor(settings.gpu).driver:
        what = f"which device nodes these GPUs have only a look at the machine can tell{why}"
        raise UsageError(what, "gpu_ids", f"Leave --gpu-ids out for all of them.{otherwise}")


def _there(settings: Settings, machine: Machine) -> tuple[Gpu, ...]:
    """The usable GPUs of the vendor that is asked for, or of the one that has the GPU with most free memory.

    Ids that only another vendor has say whose they are.
    """
    if settings.gpu != AUTO:
        return machine.of(settings.gpu)
    found = [machine.of(vendor) for vendor in by_room(machine)]
    naming = [gpus for gpus in found if set(settings.gpu_ids) <= {name for gpu in gpus for name in gpu.names}]
    return next(iter([*naming, *found]), ())


def by_room(machine: Machine) -> tuple[str, ...]:
    """The vendors of which there is a GPU to be used, the one that has the GPU with most free memory first."""
    usable = [gpu for gpu in machine.gpus if gpu.usable]
    best = sorted(_real(usable), key=lambda gpu: gpu.room, reverse=True)
    return tuple(vendor for vendor in dict.fromkeys(gpu.vendor for gpu in (*best, *usable)) if machine.of(vendor))


def _real(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Without those inside a processor, unless there are no others: servers that pick one of these stop."""
    return tuple(gpu for gpu in gpus if not gpu.integrated) or tuple(gpus)


def _picked(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Those that nobody else uses; else the one with most memory left."""
    real = _real(gpus)
    idle = tuple(gpu for gpu in real if gpu.room >= NEARLY_FREE * gpu.memory)
    return idle or (max(real, key=lambda gpu: gpu.room),)


def _whole(picked: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Without those that are cut into parts, unless all are: then the one that has the largest part."""
    whole = tuple(gpu for gpu in picked if not gpu.partitions)
    return whole or (max(picked, key=lambda gpu: _largest(gpu).memory),)


def _ids(picked: Sequence[Gpu], machine: Machine) -> tuple[str, ...]:
    """What says just these; nothing where they are all that the machine has of the vendor.

    A GPU that is cut into parts cannot be used as a whole: its largest part is taken.
    """
    if picked[0].partitions:
        return (_largest(picked[0]).uuid,)
    every = [gpu for gpu in machine.gpus if gpu.vendor == picked[0].vendor and not gpu.problem]
    # In Windows' Linux there are no GPUs one by one.
    if machine.wsl or len(picked) == len(every):
        return ()
    return tuple(gpu.uuid or (str(gpu.index) if gpu.index is not None else gpu.pci) for gpu in picked)


def _largest(gpu: Gpu) -> Partition:
    return max(gpu.partitions, key=lambda part: part.memory)


def _named(settings: Settings, there: Sequence[Gpu], machine: Machine) -> Settings:
    """The same for GPUs that a person names, each of which must be there, and only once."""
    known = {name: gpu for gpu in there for name in gpu.names}
    unknown = [one for one in settings.gpu_ids if one not in known]
    if unknown:
        names = "; ".join(f"{gpu.name or gpu.vendor}: {', '.join(gpu.names)}" for gpu in there)
        broken = [gpu for gpu in machine.gpus if gpu.problem and unknown[0] in gpu.names]
        what = f"no GPU here is called {unknown[0][:60]!r}"
        if broken:
            what = f"the GPU {unknown[0][:60]!r} cannot be used: {broken[0].problem}"
        raise MachineError(what, "gpu_ids", f"There is {names}.")
    parts = {part.uuid for gpu in there for part in gpu.partitions}
    # A part is something of its own; a number and a UUID may mean the same GPU.
    meant = [one if one in parts else id(known[one]) for one in settings.gpu_ids]
    if len(set(meant)) < len(meant):
        what = f"two of these mean the same GPU: {', '.join(settings.gpu_ids)}"
        raise UsageError(what, "gpu_ids", "Name each one once.")
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
    otherwise = f"Or {NO_GPU}" if fixes else NO_GPU.capitalize()
    raise MachineError(what, "gpu", " ".join([*fixes, otherwise, f"({OPTIONAL}.)"]))


def _told(settings: Settings, picked: Sequence[Gpu], machine: Machine) -> tuple[Finding, ...]:
    """Which ones were chosen, where it was not the person who chose."""
    part = picked[0].partitions
    if settings.gpu != AUTO and not part:
        return ()
    left = [gpu for gpu in machine.gpus if gpu not in picked]
    others = f"; not {_list(left)}" if left else ""
    chosen = f"the part {_largest(picked[0]).profile} of {picked[0].name or 'a GPU'}" if part else _list(picked)
    what = f"chosen: {chosen}{others}"
    return (Finding(Position("settings"), "gpu", what, "", "warning"),)


def _list(gpus: Iterable[Gpu]) -> str:
    return ", ".join(f"{gpu.name or gpu.vendor} {_memory(gpu)}".strip() for gpu in gpus)


def _memory(gpu: Gpu) -> str:
    if gpu.problem:
        return f"({gpu.problem})"
    if not gpu.memory:
        return ""
    return f"({gpu.room / GIB:.0f} of {gpu.memory / GIB:.0f} GiB free)"
