"""Checks of room: on disks, and in memory."""

from __future__ import annotations

from collections.abc import Iterator

from lcompose import vendors
from lcompose.doctor import sizes
from lcompose.doctor.facts import Diagnosis, Disk, Facts
from lcompose.doctor.gpus import wanted
from lcompose.doctor.sizes import told
from lcompose.doctor.stack import fetched
from lcompose.spec.machine import GIB

# Where something is always written, less than that is too little.
LEAST = GIB
CLEAN = "{engine} system df   tells what takes room; {engine} image prune frees some"


def disks(facts: Facts) -> Iterator[Diagnosis]:
    """Whether there is room for the images that are fetched and for the model, where they and volumes lie."""
    need = sum(sizes.image(one.reference) for one in fetched(facts))
    model = facts.stack.model_size if facts.stack else 0
    for disk in facts.disks:
        yield _disk(disk, need, model, facts)


def _disk(disk: Disk, need: int, model: int, facts: Facts) -> Diagnosis:
    free = f"{told(disk.free)} of {told(disk.size)} are free for {disk.what}"
    fix = CLEAN.format(engine=facts.engine.name) if facts.engine else f"du -xh --max-depth=1 {disk.path}"
    if disk.free < LEAST:
        return Diagnosis("room.disk", "error", disk.path, f"only {free}", fix)
    if need > disk.free:
        what = f"{free}, and what is fetched takes about {told(need)}"
        return Diagnosis("room.disk", "error", disk.path, what, fix)
    if model and need + model > disk.free:
        # The model may lie on its volume already, where nobody has looked.
        named = facts.stack.model if facts.stack else ""
        what = f"{free}, and what is fetched takes about {told(need + model)}, {named} included"
        return Diagnosis("room.disk", "warning", disk.path, what, fix)
    about = f"; what is fetched takes about {told(need + model)}" if need + model else ""
    return Diagnosis("room.disk", "ok", disk.path, f"{free}{about}")


def memory(facts: Facts) -> Iterator[Diagnosis]:
    """Whether there is memory for what services may use."""
    machine, stack, engine = facts.machine, facts.stack, facts.engine
    if engine and not engine.here:
        whole, free = (engine.info.memory if engine.info else 0), 0
    else:
        whole, free = (machine.memory if machine else 0), facts.memory_free
    if not whole:
        return
    limits = stack.limits if stack else 0
    has = f"{told(whole)}" + (f", {told(free)} free" if free else "")
    if limits > whole:
        what = f"{has}; the services may use {told(limits)} together, which is more than there is"
        yield Diagnosis("room.memory", "warning", "memory", what, "Lower services.NAME.limits.memory in lcompose.yaml.")
    else:
        more = f"; the services may use {told(limits)} together" if limits else ""
        yield Diagnosis("room.memory", "ok", "memory", f"{has}{more}")


def on_the_processor(facts: Facts) -> Iterator[Diagnosis]:
    """A model that runs on the processor, where that is not what the machine is for."""
    stack, machine = facts.stack, facts.machine
    if stack and stack.model and machine and not wanted(facts):
        usable = [gpu for gpu in machine.gpus if gpu.usable and not gpu.integrated]
        if usable:
            title = usable[0].name or vendors.vendor(usable[0].vendor).title
            what = f"{stack.model} runs on the processor, and {title} is not used"
            yield Diagnosis(
                "room.processor", "warning", stack.model, what, f"Run: lcompose up --gpu {usable[0].vendor}"
            )


def state(facts: Facts) -> Iterator[Diagnosis]:
    """Whether lcompose may keep what it must remember."""
    if facts.state_folder and not facts.state_is_writable:
        what = "lcompose may not write here, where it keeps logs and what it started"
        yield Diagnosis("room.state", "error", facts.state_folder, what, "export XDG_STATE_HOME=a folder of yours")
