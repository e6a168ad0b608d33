"""The words of Compose that give a container its GPUs: one form for each vendor, reader and version.

No form works everywhere, and most readers drop one that they do not know without a word: then the
container works on the processor. So there is a table, and what no row of it can say is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from lcompose import vendors
from lcompose.errors import MachineError
from lcompose.spec.machine import DeviceNode, Machine
from lcompose.spec.project import AcceleratorRequest
from lcompose.spec.target import TargetFacts
from lcompose.vendors import Vendor

Words = dict[str, Any]
Version = tuple[int, ...]

LABELS_OFF = "label=disable"
KEEP_GROUPS = "keep-groups"
FOR_ALL = 0o006
# Docker answers a request for the vendor's driver from a specification, if there is one, since then.
CDI_FIRST = (29, 2)
# Docker reads specifications without being told to since then.
CDI_ON = (28, 2)


@dataclass(frozen=True, slots=True)
class Row:
    """How a GPU is asked for with one reader of compose files, from these versions on; the first that fits holds.

    ``by`` is what the vendor's GPUs are asked for by: their ``driver``, or their device ``nodes``. A ``form``
    that is not one of FORMS does not exist: ``why`` is what would happen, and ``fix`` the way out.
    With ``only_cdi`` it is for a machine that has a specification, and no hook that the driver could use.
    """

    by: str
    target: str
    reader: str
    engine: Version
    compose: Version
    form: str
    why: str = ""
    fix: str = ""
    only_cdi: bool = False


NO_WAY = "no way is known to give {title} GPUs there"
OTHER_READER = "Use podman-compose (PODMAN_COMPOSE_PROVIDER=podman-compose), or Podman 5.4 or later."
ROWS = (
    # Compose takes the names of CDI for files before 2.30.
    Row("driver", "docker", "docker-compose", CDI_ON, (2, 30), "cdi names", only_cdi=True),
    Row("driver", "docker", "docker-compose", CDI_ON, (), "cdi reservation", only_cdi=True),
    # Before 2.30 Compose takes this word, and leaves the GPU out.
    Row("driver", "docker", "docker-compose", (), (2, 30), "gpus"),
    Row("driver", "docker", "docker-compose", (), (), "reservation"),
    Row("driver", "podman", "podman-compose", (4, 1), (), "cdi names"),
    Row(
        "driver",
        "podman",
        "podman-compose",
        (),
        (),
        "",
        "Podman knows CDI, by which it gives {title} GPUs, since 4.1",
        "Update Podman, or use Docker: --engine docker.",
    ),
    Row("driver", "podman", "docker-compose", (5, 4), (), "cdi reservation"),
    Row(
        "driver",
        "podman",
        "docker-compose",
        (),
        (),
        "",
        "Podman's socket drops what docker-compose asks it for, before 5.4: the container would run without a GPU",
        OTHER_READER,
    ),
    Row("nodes", "docker", "docker-compose", (), (), "nodes"),
    Row("nodes", "podman", "podman-compose", (), (), "nodes"),
    Row("nodes", "podman", "docker-compose", (), (), "nodes"),
)


def device_words(request: AcceleratorRequest, facts: TargetFacts) -> Words:
    """What a service says to be given its GPUs.

    Raises: MachineError for what would be dropped in silence, and where this machine lacks what the form needs.
    """
    vendor = vendors.vendor(request.vendor)
    if vendor.gpu == vendors.CPU:
        return {}
    row = row_for(vendor, facts)
    if not row.form:
        raise MachineError(row.why.format(title=vendor.title), f"{facts.target}, {facts.reader}", row.fix)
    words = FORMS[row.form](vendor, request, facts)
    security = [*vendor.security_opt, *_labels_off(words, facts)]
    more = {"security_opt": security, "cap_add": list(vendor.cap_add)}
    return words | {name: found for name, found in more.items() if found}


def row_for(vendor: Vendor, facts: TargetFacts) -> Row:
    """The first row that fits."""
    by = "driver" if vendor.driver else "nodes"
    fitting = (
        row
        for row in ROWS
        if (row.by, row.target, row.reader) == (by, facts.target, facts.reader)
        and facts.engine_version >= row.engine
        and facts.compose_version >= row.compose
        and (not row.only_cdi or _only_cdi(vendor, facts))
    )
    return next(fitting, Row(by, facts.target, facts.reader, (), (), "", NO_WAY, "Use Docker or Podman."))


# ---------------------------------------------------------------- the forms


def _reservation(vendor: Vendor, request: AcceleratorRequest, facts: TargetFacts) -> Words:
    _needs_hook(vendor, facts)
    return _reserved({"driver": vendor.driver, **_which(vendor, request, facts)})


def _gpus(vendor: Vendor, request: AcceleratorRequest, facts: TargetFacts) -> Words:
    _needs_hook(vendor, facts)
    # Not the text "all", which came three versions later.
    return {"gpus": [{"driver": vendor.driver, **_which(vendor, request, facts)}]}


def _cdi_names(vendor: Vendor, request: AcceleratorRequest, facts: TargetFacts) -> Words:
    return {"devices": _names(vendor, request, facts)}


def _cdi_reservation(vendor: Vendor, request: AcceleratorRequest, facts: TargetFacts) -> Words:
    # With a count instead of ids the engine refuses it.
    return _reserved({"driver": "cdi", "device_ids": _names(vendor, request, facts)})


def _nodes(vendor: Vendor, request: AcceleratorRequest, facts: TargetFacts) -> Words:
    if not request.nodes and (request.ids or request.count != "all"):
        what = "which device nodes these GPUs have is not known: the container would be given every GPU"
        raise MachineError(what, "gpu_ids", "Leave --gpu-ids out for all of them.")
    words: Words = {"devices": list(request.nodes or vendor.nodes)}
    groups = _groups(vendor, words["devices"], facts)
    return words | ({"group_add": groups} if groups else {})


FORMS: Mapping[str, Callable[[Vendor, AcceleratorRequest, TargetFacts], Words]] = {
    "reservation": _reservation,
    "gpus": _gpus,
    "cdi names": _cdi_names,
    "cdi reservation": _cdi_reservation,
    "nodes": _nodes,
}


def _reserved(wish: Words) -> Words:
    return {"deploy": {"resources": {"reservations": {"devices": [{**wish, "capabilities": ["gpu"]}]}}}}


def _which(vendor: Vendor, request: AcceleratorRequest, facts: TargetFacts) -> Words:
    """Ids, or how many: Compose takes no two of them. A number without quotes stops it as an id."""
    ids = [_known_to_driver(vendor, one, facts) for one in request.ids]
    return {"device_ids": ids} if ids else {"count": request.count}


def _known_to_driver(vendor: Vendor, one: str, facts: TargetFacts) -> str:
    """A name that the driver knows; where it looks at a specification, one that is in there."""
    names = _called(vendor, one, facts)
    looks = facts.machine is not None and facts.engine_version >= CDI_FIRST
    there = facts.machine.cdi_devices(vendor.cdi_kind) if looks and facts.machine else ()
    return next((name for name in names if name in there), names[0])


def _called(vendor: Vendor, one: str, facts: TargetFacts) -> tuple[str, ...]:
    """What a driver and a specification may call a GPU or a part of one, the word that was asked for first.

    Its address on the bus is not among them: it is no name to either.
    """
    gpus = facts.machine.of(vendor.gpu) if facts.machine else ()
    for gpu in gpus:
        names = [name for name in ("" if gpu.index is None else str(gpu.index), gpu.uuid) if name]
        if names and one in (*names, gpu.pci):
            return tuple(sorted(names, key=lambda name: name != one))
    return (one,)


def _names(vendor: Vendor, request: AcceleratorRequest, facts: TargetFacts) -> list[str]:
    """Names of CDI, each of which must be in a specification of this machine, if that is known.

    A part of a GPU goes by its UUID: its short name has a colon, at which Compose would cut it.
    """
    counted = ["all"] if request.count == "all" else [str(number) for number in range(request.count)]
    wanted = [_called(vendor, one, facts) for one in request.ids or counted]
    there = facts.machine.cdi_devices(vendor.cdi_kind) if facts.machine else tuple(names[0] for names in wanted)
    # Specifications have numbers, UUIDs or both, as whoever made them chose.
    found = [next((name for name in names if name in there), "") for names in wanted]
    missing = [names[0] for names, name in zip(wanted, found, strict=True) if not name]
    if missing:
        raise _without_specification(vendor, facts, missing, there)
    return [f"{vendor.cdi_kind}={name}" for name in found]


# ---------------------------------------------------------------- what the machine must have


def _without_specification(
    vendor: Vendor, facts: TargetFacts, missing: list[str], there: tuple[str, ...]
) -> MachineError:
    assert facts.machine
    stale = _stale(vendor, facts)
    if there:
        what = f"no CDI specification has {vendor.cdi_kind}={missing[0]}; there is {', '.join(there)}"
        return MachineError(what, "gpu_ids", _other_names(vendor, facts, there))
    what = f"{facts.target} gives {vendor.title} GPUs by CDI, and there is no specification of {vendor.cdi_kind} here"
    # One that cannot be read does not say whose devices it has.
    unread = [f"{spec.path}: {spec.problem}" for spec in facts.machine.cdi if not spec.kind and spec.problem]
    if unread:
        what = f"{what} that can be read ({'; '.join(unread)})"
    if stale:
        what = f"the CDI specification {stale[0]} is out of date, or cannot be read"
    first = "Run" if _has_toolkit(vendor, facts) else "Install the vendor's container toolkit, then run"
    return MachineError(what, "gpu", f"{first}: {vendors.make_cdi(vendor, facts.machine, *stale[:1])}")


def _other_names(vendor: Vendor, facts: TargetFacts, there: tuple[str, ...]) -> str:
    if any(name != "all" for name in there):
        return "Choose one of these with --gpu-ids, or leave it out for all."
    every = f"Ask for all of them: --gpu {vendor.gpu}, without --gpu-ids."
    # In Windows' Linux there are no single ones to be named.
    return every if facts.machine and facts.machine.wsl else f"{every} Or name them there: {vendor.make_cdi}"


def _needs_hook(vendor: Vendor, facts: TargetFacts) -> None:
    """Stops where the engine would say "could not select device driver", or look for files that are gone.

    Below Windows the engine may be Docker Desktop's, which has the toolkit where we cannot see it.

    Raises: MachineError.
    """
    if facts.machine is None or facts.machine.wsl:
        return
    if vendors.is_on_board(vendor, facts.machine):
        raise _not_by_driver(vendor, facts.machine, facts)
    if not _has_hook(vendor, facts):
        what = f"Docker needs {vendor.hook} to give {vendor.title} GPUs, and it is not installed"
        raise MachineError(what, "gpu", vendor.get_toolkit)
    stale = _stale(vendor, facts)
    if stale and facts.engine_version >= CDI_FIRST and not facts.machine.cdi_devices(vendor.cdi_kind):
        what = f"Docker looks at the CDI specification {stale[0]} first, and it is out of date, or cannot be read"
        raise MachineError(what, "gpu", f"Run: {vendors.make_cdi(vendor, facts.machine, stale[0])}")


def _not_by_driver(vendor: Vendor, machine: Machine, facts: TargetFacts) -> MachineError:
    """Of a board's GPU the hook says "not supported"."""
    what = f"Docker's driver does not give the GPU of {machine.of(vendor.gpu)[0].name}"
    if machine.cdi_devices(vendor.cdi_kind):
        what = f"{what}, and this version of Docker reads no specification by itself"
        return MachineError(what, "gpu", "Use Docker 28.2 or later, or Podman: --engine podman.")
    first = "Run" if _has_toolkit(vendor, facts) else "Install the vendor's container toolkit, then run"
    what = f"{what}, and there is no specification of {vendor.cdi_kind} here"
    return MachineError(what, "gpu", f"{first}: {vendors.make_cdi(vendor, machine)}")


def _has_toolkit(vendor: Vendor, facts: TargetFacts) -> bool:
    there = facts.machine.toolkits if facts.machine else ()
    return any(gpu == vendor.gpu for gpu, _ in there)


def _has_hook(vendor: Vendor, facts: TargetFacts) -> bool:
    there = facts.machine is not None and (vendor.gpu, vendor.hook) in facts.machine.toolkits
    return there and not vendors.is_on_board(vendor, facts.machine)


def _only_cdi(vendor: Vendor, facts: TargetFacts) -> bool:
    if facts.machine is None or facts.machine.wsl:
        return False
    # Without root the hook may not open devices, unless it is told to leave control groups alone.
    return bool(facts.machine.cdi_devices(vendor.cdi_kind)) and (facts.rootless or not _has_hook(vendor, facts))


def _stale(vendor: Vendor, facts: TargetFacts) -> list[str]:
    every = facts.machine.cdi if facts.machine else ()
    return [spec.path for spec in every if spec.kind == vendor.cdi_kind and (spec.missing or spec.problem)]


def _labels_off(words: Words, facts: TargetFacts) -> list[str]:
    """Podman's containers may not touch devices where SELinux is on; elsewhere the word does nothing.

    Where it is not known whether it is on, it is said.
    """
    selinux = facts.machine is None or facts.machine.selinux
    return [LABELS_OFF] if facts.target == "podman" and selinux else []


def _groups(vendor: Vendor, devices: list[str], facts: TargetFacts) -> list[str]:
    """The groups that may open the nodes, as numbers: images have no groups of these names.

    The images run as root, which needs none in a container of root's; where a machine is only described,
    its numbers are not known, and none is said.
    """
    nodes = _opened(vendor, devices, facts)
    closed = [node for node in nodes if node.mode & FOR_ALL != FOR_ALL]
    if facts.rootless and closed:
        # Numbers mean others in there. What the person is a member of can be kept, by crun alone.
        if facts.target == "podman" and facts.oci_runtime == "crun":
            return [KEEP_GROUPS]
        what = f"{closed[0].path} may not be opened in a container of {facts.target} without root"
        fix = "Let Podman use crun, run the engine as root, or let everybody open the device (udev, MODE=0666)."
        raise MachineError(what, "gpu", fix)
    return sorted({str(node.gid) for node in closed if node.gid}, key=int)


def _opened(vendor: Vendor, devices: list[str], facts: TargetFacts) -> list[DeviceNode]:
    """The nodes of this machine that a container opens, of those that a group guards."""
    every = facts.machine.nodes if facts.machine else ()
    below = tuple(f"{one}/" for one in devices)
    return [
        node
        for node in every
        if (node.path in devices or node.path.startswith(below))
        and any(fnmatch(node.path, pattern) for pattern in vendor.groups_of)
    ]
