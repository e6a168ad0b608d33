"""Checks of GPUs, their drivers, and what gives them to containers."""

from __future__ import annotations

from collections.abc import Iterator

from lcompose import vendors
from lcompose.accelerators import AUTO, by_room
from lcompose.doctor.capabilities import shown
from lcompose.doctor.facts import Diagnosis, EngineSeen, Facts, State
from lcompose.doctor.sizes import told
from lcompose.spec.machine import CdiSpec, DeviceNode, Gpu, Machine

NVIDIA = "cuda"
# Docker answers requests for NVIDIA's driver from CDI specifications since then.
CDI_FIRST = (29, 2)
# It reads them without being told to since then.
CDI_ON = (28, 2)
SNAP = "/var/snap/"
INSTALL = {NVIDIA: "Install nvidia-container-toolkit, then: "}


def wanted(facts: Facts) -> str:
    """The vendor whose GPUs the stack asks for, the best one's for ``auto``; empty where it asks for none."""
    gpu = facts.stack.gpu if facts.stack else vendors.CPU
    if gpu == AUTO:
        return next(iter(by_room(facts.machine) if facts.machine else ()), AUTO)
    return "" if gpu == vendors.CPU else gpu


def _needs(vendor: str, facts: Facts) -> bool:
    """Whether the stack asks for this vendor's GPUs of this machine."""
    return wanted(facts) == vendor and not _is_elsewhere(facts)


def _is_elsewhere(facts: Facts) -> bool:
    seen = facts.engine or next((one for one in facts.engines if one.name == facts.wanted), None)
    return facts.needs_engine and seen is not None and seen.installed and not seen.here


def hardware(facts: Facts) -> Iterator[Diagnosis]:
    """Every GPU, and what stands in the way of using it."""
    if facts.machine is None:
        what = "this machine's GPUs were not found out in time"
        yield Diagnosis("gpu.found", "unknown", "machine", what, "Run: lcompose doctor --timeout 60")
        return
    if not facts.machine.gpus:
        yield Diagnosis("gpu.found", "ok", "machine", "no GPU is here; models run on the processor or elsewhere")
    for gpu in facts.machine.gpus:
        yield _gpu(gpu, facts)


def _gpu(gpu: Gpu, facts: Facts) -> Diagnosis:
    subject = gpu.uuid or gpu.pci or gpu.name or gpu.vendor
    title = gpu.name or vendors.vendor(gpu.vendor).title
    if gpu.problem:
        return Diagnosis("gpu.found", "warning", subject, f"{title} cannot be used: {gpu.problem}", gpu.fix)
    room = f", {told(gpu.memory)}" if gpu.memory else ""
    free = f" ({told(gpu.free)} free)" if gpu.memory and gpu.free is not None else ""
    parts = f", in {len(gpu.partitions)} partitions" if gpu.partitions else ""
    if gpu.driver and gpu.driver == vendors.vendor(gpu.vendor).on_board:
        parts = ", which it shares with the processor that it is in"
    return Diagnosis("gpu.found", "ok", subject, f"{title}: --gpu {gpu.vendor}{room}{free}{parts}")


def asked_for(facts: Facts) -> Iterator[Diagnosis]:
    """Whether the GPU that the stack asks for is here."""
    vendor, machine = wanted(facts), facts.machine
    if not vendor or not machine:
        return
    if _is_elsewhere(facts):
        what = f"the stack asks for a GPU (--gpu {vendor}); whether one is there is known only where the engine is"
        yield Diagnosis("gpu.wanted", "unknown", vendor, what)
    elif machine.of(vendor):
        yield Diagnosis("gpu.wanted", "ok", vendor, f"the GPU that the stack asks for is here (--gpu {vendor})")
    elif facts.stack and facts.stack.gpu_is_optional:
        what = f"the stack asks for a GPU (--gpu {vendor}), and none can be used: it will run on the processor"
        yield Diagnosis("gpu.wanted", "warning", vendor, what, "Expect it to be slow, or mend what is said above.")
    else:
        what = f"the stack asks for a GPU (--gpu {vendor}), and none can be used here"
        yield Diagnosis("gpu.wanted", "error", vendor, what, "Run: lcompose up --gpu none")


def drivers(facts: Facts) -> Iterator[Diagnosis]:
    """The versions of the drivers that are loaded."""
    for vendor, version in facts.machine.drivers if facts.machine else ():
        yield Diagnosis("gpu.driver", "ok", vendor, f"the driver is loaded: {version}")


def toolkits(facts: Facts) -> Iterator[Diagnosis]:
    """Whether engines are given the devices of vendors that need a program for that."""
    machine = facts.machine if facts.needs_engine else None
    for vendor in _present(machine) if machine else ():
        if machine and vendors.vendor(vendor).driver and not machine.wsl:
            yield _toolkit(vendor, machine, facts)


def _toolkit(vendor: str, machine: Machine, facts: Facts) -> Diagnosis:
    programs = [program for name, program in machine.toolkits if name == vendor]
    if vendors.is_on_board(vendors.vendor(vendor), machine):
        return _of_board(vendor, machine, facts, has_toolkit=bool(programs))
    if programs and not _lacks_hook(vendor, machine, facts):
        return Diagnosis("gpu.toolkit", "ok", vendor, f"its toolkit is here: {', '.join(programs)}")
    state: State = "error" if _needs(vendor, facts) and not machine.cdi_devices(_kind(vendor)) else "warning"
    lacks = f"{vendors.vendor(vendor).hook}, by which Docker gives its GPUs to containers,"
    what = "its driver works, and the toolkit that gives its GPUs to containers is missing"
    if programs:
        what = f"its driver works, and {lacks} is missing"
    fix = f"{INSTALL[vendor]}sudo systemctl restart docker" if vendor in INSTALL else "Install its container toolkit."
    return Diagnosis("gpu.toolkit", state, vendor, what, fix)


def _of_board(vendor: str, machine: Machine, facts: Facts, *, has_toolkit: bool) -> Diagnosis:
    """Of a GPU that only a specification gives to containers."""
    state: State = "error" if _needs(vendor, facts) else "warning"
    engine = facts.engine
    if not machine.cdi_devices(_kind(vendor)):
        what = "its GPU is in the processor, and only a CDI specification gives it to containers: there is none"
        fix = f"{'' if has_toolkit else INSTALL[vendor]}{vendors.make_cdi(vendors.vendor(vendor), machine)}"
        return Diagnosis("gpu.toolkit", state, vendor, what, fix)
    if engine and engine.name == "docker" and engine.version < CDI_ON:
        what = f"its GPU is in the processor, and Docker {shown(engine.version)} reads no CDI specification by itself"
        return Diagnosis("gpu.toolkit", state, vendor, what, "Use Docker 28.2 or later, or Podman: --engine podman.")
    what = "its GPU is in the processor, and a CDI specification gives it to containers"
    return Diagnosis("gpu.toolkit", "ok", vendor, what)


def _lacks_hook(vendor: str, machine: Machine, facts: Facts) -> bool:
    """Whether Docker, as the stack's engine, can give its GPUs neither by its driver nor by a specification."""
    with_docker = facts.engine is not None and facts.engine.name == "docker"
    there = (vendor, vendors.vendor(vendor).hook) in machine.toolkits
    return with_docker and not there and not machine.cdi_devices(_kind(vendor))


def restarts(facts: Facts) -> Iterator[Diagnosis]:
    """Whether Docker was started before there was a toolkit: it looks for one only then."""
    for one in facts.engines:
        if one.usable and one.here and one.older_than_toolkit and not _knows_nvidia(one):
            what = "it was started before NVIDIA's toolkit was installed or updated, and may not know it"
            yield Diagnosis("gpu.restart", "warning", one.name, what, "sudo systemctl restart docker")


def _knows_nvidia(one: EngineSeen) -> bool:
    info = one.info
    return info is not None and any("nvidia" in name for name in (*info.runtimes, *(info.devices or ())))


def specifications(facts: Facts) -> Iterator[Diagnosis]:
    """CDI specifications: readable, fresh, and in a folder that the engine reads."""
    for spec in facts.machine.cdi if facts.machine else ():
        yield _specification(spec, facts)


def _specification(spec: CdiSpec, facts: Facts) -> Diagnosis:
    fix = _making(spec, facts) or f"Write it anew with the vendor's tool, or remove it: sudo rm {spec.path}"
    state: State = "error" if _uses(spec, facts) else "warning"
    if "may not be read" in spec.problem:
        fix = f"sudo chmod 644 {spec.path}"
    if spec.problem:
        return Diagnosis("gpu.cdi", "warning", spec.path, f"this CDI specification cannot be read: {spec.problem}", fix)
    if spec.missing:
        what = f"this CDI specification is stale: {spec.missing[0]} is gone"
        more = f", and {len(spec.missing) - 1} more files" if len(spec.missing) > 1 else ""
        return Diagnosis("gpu.cdi", state, spec.path, f"{what}{more}", fix)
    devices = ", ".join(spec.devices[:4]) + (" …" if len(spec.devices) > 4 else "")
    return Diagnosis("gpu.cdi", "ok", spec.path, f"{spec.kind} is fresh: {devices or 'no device'}")


def _making(spec: CdiSpec, facts: Facts) -> str:
    """The command that writes a specification anew; empty for a vendor that is none of ours."""
    every = [vendors.vendor(name) for name in vendors.choices()]
    ours = [one for one in every if one.cdi_kind and one.cdi_kind == spec.kind]
    return next((vendors.make_cdi(one, facts.machine, spec.path) for one in ours), "")


def _uses(spec: CdiSpec, facts: Facts) -> bool:
    """Whether the stack asks for what a specification has, by an engine that looks at it first."""
    engine, vendor = facts.engine, wanted(facts)
    if not engine or not engine.here or vendor in ("", AUTO) or _kind(vendor) != spec.kind:
        return False
    return engine.name == "podman" or engine.version >= CDI_FIRST


def snap(facts: Facts) -> Iterator[Diagnosis]:
    """Whether Docker is shut up in a snap, from where it sees neither a toolkit nor specifications."""
    engine = facts.engine
    vendor = wanted(facts)
    if engine and engine.info and engine.info.root.startswith(SNAP) and vendor and vendor != AUTO:
        what = "it was installed as a snap, which does not see the programs and lists that give GPUs to containers"
        fix = "Install Docker Engine from Docker's own packages, and remove the snap."
        yield Diagnosis("gpu.snap", "warning", engine.name, what, fix)


def folders(facts: Facts) -> Iterator[Diagnosis]:
    """Whether Docker reads the folders in which specifications lie."""
    one = next((each for each in facts.engines if each.name == "docker" and each.usable and each.here), None)
    info = one.info if one else None
    if not one or not info or info.cdi_folders is None or not facts.machine or not facts.machine.cdi:
        return
    if not info.cdi_folders:
        what = "CDI is switched off in it, so it reads no specification"
        fix = 'Put {"features": {"cdi": true}} into /etc/docker/daemon.json, then: sudo systemctl restart docker'
        yield Diagnosis("gpu.cdi_folders", "warning", one.name, what, fix)
        return
    read = {_real(folder) for folder in info.cdi_folders}
    outside = [spec.path for spec in facts.machine.cdi if _real(spec.path.rpartition("/")[0]) not in read]
    if outside:
        what = f"it does not read {outside[0]}: it looks in {', '.join(info.cdi_folders)}"
        yield Diagnosis("gpu.cdi_folders", "warning", one.name, what, f"sudo mv {outside[0]} {info.cdi_folders[0]}/")


def _real(folder: str) -> str:
    return folder.rstrip("/").replace("/var/run/", "/run/")


def groups(facts: Facts) -> Iterator[Diagnosis]:
    """Whether a rootless engine may open the device nodes: root may open all."""
    engine, machine = facts.engine, facts.machine
    if not engine or not machine or not engine.info or not engine.info.rootless or not engine.here:
        return
    for vendor in _present(machine):
        closed = [node for node in _nodes_of(vendor, machine) if not _opens(node, facts)]
        if closed:
            yield _closed(vendor, closed, facts)


def _closed(vendor: str, closed: list[DeviceNode], facts: Facts) -> Diagnosis:
    gids = sorted({node.gid for node in closed})
    names = [facts.person.groups.get(gid, str(gid)) for gid in gids]
    state: State = "error" if wanted(facts) == vendor else "warning"
    what = f"you may not open {', '.join(node.path for node in closed[:3])}: you are not in {' and '.join(names)}"
    fix = f"sudo usermod -aG {','.join(names)} $USER   and log in again"
    return Diagnosis("gpu.groups", state, vendor, what, fix)


def kept_groups(facts: Facts) -> Iterator[Diagnosis]:
    """Whether rootless containers keep the groups that device nodes ask for."""
    engine, machine = facts.engine, facts.machine
    if not engine or engine.name != "podman" or not engine.info or not engine.info.rootless or not machine:
        return
    if _is_elsewhere(facts):
        return
    vendor = next((one for one in _present(machine) if vendors.vendor(one).groups_of), "")
    if vendor and engine.info.oci_runtime != "crun":
        what = (
            f"containers keep no groups with {engine.info.oci_runtime or 'this runtime'}, and the GPU's nodes need them"
        )
        state: State = "error" if wanted(facts) == vendor else "warning"
        yield Diagnosis("gpu.keep_groups", state, engine.name, what, "Install crun.")


def _present(machine: Machine) -> list[str]:
    return list(dict.fromkeys(gpu.vendor for gpu in machine.gpus if gpu.usable))


def _kind(vendor: str) -> str:
    return vendors.vendor(vendor).cdi_kind


def _nodes_of(vendor: str, machine: Machine) -> list[DeviceNode]:
    from fnmatch import fnmatch

    patterns = vendors.vendor(vendor).groups_of
    return [node for node in machine.nodes if any(fnmatch(node.path, pattern) for pattern in patterns)]


def _opens(node: DeviceNode, facts: Facts) -> bool:
    return node.mode & 0o006 == 0o006 or (node.mode & 0o060 == 0o060 and node.gid in facts.person.gids)
