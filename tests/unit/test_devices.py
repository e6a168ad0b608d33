"""The words that give a container its GPUs: the right ones for each engine and reader, or a refusal that says why."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcompose import vendors
from lcompose.emit import yaml_text
from lcompose.errors import MachineError
from lcompose.machine import recorded
from lcompose.probe import probe
from lcompose.spec.machine import CdiSpec, DeviceNode, Gpu, Machine, Partition
from lcompose.spec.project import AcceleratorRequest
from lcompose.spec.target import TargetFacts
from lcompose.targets.devices import FORMS, ROWS, device_words, row_for

MACHINES = Path(__file__).resolve().parent.parent / "machines"
KIND = "nvidia.com/gpu"
NVIDIA = Gpu("cuda", "0000:01:00.0", "a card", index=0, uuid="GPU-0a")
TOOLKIT = (("cuda", "nvidia-ctk"), ("cuda", "nvidia-container-runtime-hook"))
# The package without the hook has these; Docker's driver needs the hook.
TOOLS = (("cuda", "nvidia-ctk"), ("cuda", "nvidia-cdi-hook"), ("cuda", "nvidia-container-runtime"))
BOTH_NAMES = CdiSpec("/etc/cdi/nvidia.yaml", KIND, ("0", "GPU-0a", "all"))
KFD = DeviceNode("/dev/kfd", 110, 0o660)
RENDER = DeviceNode("/dev/dri/renderD128", 105, 0o660)
SCREEN = DeviceNode("/dev/dri/card0", 44, 0o660)
ALL = AcceleratorRequest("cuda")
ROCM = AcceleratorRequest("rocm")
XPU = AcceleratorRequest("xpu")


def on(target: str, reader: str = "", engine: tuple[int, ...] = (), compose: tuple[int, ...] = (), **more: Any) -> Any:
    """Where it is read; on a machine that is only described unless it is given."""
    usual = {"docker": "docker-compose", "podman": "podman-compose"}
    return TargetFacts(target, "folder", engine, compose, reader or usual[target], **more)  # type: ignore[arg-type]


def reserved(**wish: Any) -> dict[str, Any]:
    """A reservation of devices."""
    return {"deploy": {"resources": {"reservations": {"devices": [wish]}}}}


def known(name: str) -> Machine:
    """A machine that was recorded."""
    return probe(recorded(yaml.safe_load((MACHINES / f"{name}.yaml").read_text())))


OLD_DOCKER = on("docker", engine=(26, 1), compose=(2, 26))
NEW_DOCKER = on("docker", engine=(29, 2), compose=(2, 40))
PODMAN = on("podman", engine=(4, 3), compose=(1, 4))
SOCKET = on("podman", "docker-compose", (5, 4), (2, 26))
LABELS = {"security_opt": ["label=disable"]}
AMD_MORE = {"security_opt": ["seccomp=unconfined"], "cap_add": ["SYS_PTRACE"]}
AMD_PODMAN = {"security_opt": ["seccomp=unconfined", "label=disable"], "cap_add": ["SYS_PTRACE"]}
TWO = AcceleratorRequest("cuda", 2)
FIRST = AcceleratorRequest("cuda", ids=("0",))
PART = AcceleratorRequest("cuda", ids=("MIG-c7",))
ALL_AMD = {"devices": ["/dev/kfd", "/dev/dri"]}


@pytest.mark.parametrize(
    ("request_", "facts", "expected"),
    [
        # Compose before 2.30 would take "gpus", and leave the GPU out.
        (ALL, OLD_DOCKER, reserved(driver="nvidia", count="all", capabilities=["gpu"])),
        (TWO, OLD_DOCKER, reserved(driver="nvidia", count=2, capabilities=["gpu"])),
        (FIRST, OLD_DOCKER, reserved(driver="nvidia", device_ids=["0"], capabilities=["gpu"])),
        (PART, OLD_DOCKER, reserved(driver="nvidia", device_ids=["MIG-c7"], capabilities=["gpu"])),
        (
            ALL,
            on("docker", engine=(29,), compose=(2, 29, 7)),
            reserved(driver="nvidia", count="all", capabilities=["gpu"]),
        ),
        (ALL, on("docker", engine=(19, 3), compose=(2, 30)), {"gpus": [{"driver": "nvidia", "count": "all"}]}),
        (ALL, NEW_DOCKER, {"gpus": [{"driver": "nvidia", "count": "all"}]}),
        (TWO, NEW_DOCKER, {"gpus": [{"driver": "nvidia", "count": 2}]}),
        (FIRST, NEW_DOCKER, {"gpus": [{"driver": "nvidia", "device_ids": ["0"]}]}),
        (PART, NEW_DOCKER, {"gpus": [{"driver": "nvidia", "device_ids": ["MIG-c7"]}]}),
        # An engine that does not tell its version gets what all of them know.
        (ALL, on("docker"), reserved(driver="nvidia", count="all", capabilities=["gpu"])),
        (ALL, PODMAN, {"devices": [f"{KIND}=all"], **LABELS}),
        (ALL, on("podman", engine=(4, 1)), {"devices": [f"{KIND}=all"], **LABELS}),
        (TWO, PODMAN, {"devices": [f"{KIND}=0", f"{KIND}=1"], **LABELS}),
        (FIRST, PODMAN, {"devices": [f"{KIND}=0"], **LABELS}),
        (PART, PODMAN, {"devices": [f"{KIND}=MIG-c7"], **LABELS}),
        # With this driver a count is refused, so ids are said for all and for some.
        (ALL, SOCKET, reserved(driver="cdi", device_ids=[f"{KIND}=all"], capabilities=["gpu"]) | LABELS),
        (TWO, SOCKET, reserved(driver="cdi", device_ids=[f"{KIND}=0", f"{KIND}=1"], capabilities=["gpu"]) | LABELS),
        (ROCM, OLD_DOCKER, ALL_AMD | AMD_MORE),
        (ROCM, NEW_DOCKER, ALL_AMD | AMD_MORE),
        (ROCM, PODMAN, ALL_AMD | AMD_PODMAN),
        (ROCM, on("podman", "docker-compose", (4, 9), (2, 26)), ALL_AMD | AMD_PODMAN),
        (XPU, OLD_DOCKER, {"devices": ["/dev/dri"]}),
        (XPU, PODMAN, {"devices": ["/dev/dri"], **LABELS}),
        (XPU, SOCKET, {"devices": ["/dev/dri"], **LABELS}),
        (AcceleratorRequest("none"), NEW_DOCKER, {}),
        (AcceleratorRequest("none"), on("podman", "docker-compose", (3,)), {}),
    ],
)
def test_each_engine_has_its_words(request_: AcceleratorRequest, facts: TargetFacts, expected: dict[str, Any]) -> None:
    assert device_words(request_, facts) == expected


@pytest.mark.parametrize(
    ("facts", "what", "fix"),
    [
        (
            on("podman", engine=(4, 0, 9), compose=(1, 4)),
            "Podman knows CDI, by which it gives NVIDIA (CUDA) GPUs, since 4.1",
            "Update Podman, or use Docker: --engine docker.",
        ),
        (
            on("podman", "docker-compose", (5, 3, 2), (2, 33)),
            "Podman's socket drops what docker-compose asks it for, before 5.4: the container would run without a GPU",
            "Use podman-compose (PODMAN_COMPOSE_PROVIDER=podman-compose), or Podman 5.4 or later.",
        ),
        (on("docker", "podman-compose"), "no way is known to give NVIDIA (CUDA) GPUs there", "Use Docker or Podman."),
    ],
)
def test_what_would_be_dropped_in_silence_is_refused(facts: TargetFacts, what: str, fix: str) -> None:
    with pytest.raises(MachineError) as caught:
        device_words(ALL, facts)
    assert (caught.value.what, caught.value.where, caught.value.fix) == (what, f"{facts.target}, {facts.reader}", fix)


@pytest.mark.parametrize(("rootless", "form"), [(True, "devices"), (False, "gpus")])
def test_docker_without_root_is_asked_by_a_specification_since_its_hook_may_not_open_devices(
    rootless: bool, form: str
) -> None:
    machine = Machine((NVIDIA,), (BOTH_NAMES,), toolkits=TOOLKIT)
    assert set(device_words(ALL, replace(NEW_DOCKER, machine=machine, rootless=rootless))) == {form}


def test_a_specification_that_is_out_of_date_is_made_anew_where_it_lies() -> None:
    stale = CdiSpec("/var/run/cdi/nvidia.yaml", KIND, ("all",), missing=("/usr/lib/libcuda.so.1",))
    *_, fix = refusal(ALL, replace(PODMAN, machine=Machine((NVIDIA,), (stale,), toolkits=TOOLKIT)))
    assert fix == "Run: sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml"


JETSON = known("nvidia-jetson")
JETSON_CDI = known("nvidia-jetson-with-cdi")
ON_BOARD = "sudo nvidia-ctk cdi generate --mode=csv --output=/etc/cdi/nvidia.yaml"
NOT_BY_DRIVER = "Docker's driver does not give the GPU of NVIDIA Jetson "


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (NEW_DOCKER, {"devices": [f"{KIND}=all"]}),
        (
            on("docker", engine=(28, 2), compose=(2, 26)),
            reserved(driver="cdi", device_ids=[f"{KIND}=all"], capabilities=["gpu"]),
        ),
        (PODMAN, {"devices": [f"{KIND}=all"]}),
        (SOCKET, reserved(driver="cdi", device_ids=[f"{KIND}=all"], capabilities=["gpu"])),
    ],
)
def test_the_gpu_of_a_board_is_given_by_its_specification_also_where_there_is_a_hook(
    facts: TargetFacts, expected: dict[str, Any]
) -> None:
    assert device_words(ALL, replace(facts, machine=JETSON_CDI)) == expected


@pytest.mark.parametrize(
    ("facts", "machine", "what", "fix"),
    [
        (
            NEW_DOCKER,
            JETSON,
            f"{NOT_BY_DRIVER}AGX Orin Developer Kit, and there is no specification of nvidia.com/gpu here",
            f"Install the vendor's container toolkit, then run: {ON_BOARD}",
        ),
        (
            NEW_DOCKER,
            replace(JETSON, toolkits=TOOLKIT),
            f"{NOT_BY_DRIVER}AGX Orin Developer Kit, and there is no specification of nvidia.com/gpu here",
            f"Run: {ON_BOARD}",
        ),
        (
            OLD_DOCKER,
            JETSON_CDI,
            f"{NOT_BY_DRIVER}Orin NX Engineering Reference Developer Kit, and this version of Docker reads no "
            "specification by itself",
            "Use Docker 28.2 or later, or Podman: --engine podman.",
        ),
        (
            PODMAN,
            replace(JETSON, toolkits=TOOLKIT),
            "podman gives NVIDIA (CUDA) GPUs by CDI, and there is no specification of nvidia.com/gpu here",
            f"Run: {ON_BOARD}",
        ),
    ],
)
def test_the_gpu_of_a_board_without_a_specification_is_refused_with_the_way_to_one(
    facts: TargetFacts, machine: Machine, what: str, fix: str
) -> None:
    with pytest.raises(MachineError) as caught:
        device_words(ALL, replace(facts, machine=machine))
    assert (caught.value.what, caught.value.fix) == (what, fix)


def test_every_row_of_the_table_is_reached() -> None:
    versions: list[tuple[int, ...]] = [(), (4, 1), (5, 4), (28, 2)]
    places = product(("docker", "podman"), ("docker-compose", "podman-compose"), versions, [(), (2, 30)])
    machines = (None, Machine(cdi=(BOTH_NAMES,)))
    found = {
        row_for(vendors.vendor(gpu), on(*place, machine=machine))
        for place, machine, gpu in product(places, machines, ("cuda", "rocm"))
    }
    assert set(ROWS) <= found


MACHINES_OF_ALL_KINDS = (
    None,
    Machine(),
    Machine(gpus=(NVIDIA,), toolkits=TOOLKIT),
    Machine(gpus=(NVIDIA,), cdi=(BOTH_NAMES,), nodes=(KFD, RENDER)),
    Machine(gpus=(NVIDIA,), cdi=(BOTH_NAMES,), toolkits=TOOLKIT, selinux=True, wsl=True),
)
WISHES = tuple(
    request
    for gpu in vendors.choices()
    for request in (
        AcceleratorRequest(gpu),
        AcceleratorRequest(gpu, 1),
        AcceleratorRequest(gpu, ids=("0",)),
        AcceleratorRequest(gpu, ids=("0",), nodes=("/dev/dri/renderD128",)),
    )
)


def words_or_refusal(request: AcceleratorRequest, facts: TargetFacts) -> dict[str, Any]:
    """The words, or the one "refused" for an error that says what and what to do."""
    try:
        return device_words(request, facts)
    except MachineError as error:
        return {"refused": True} if error.what and error.fix else {}


@pytest.mark.parametrize("machine", MACHINES_OF_ALL_KINDS)
@pytest.mark.parametrize("request_", WISHES)
def test_one_form_or_a_refusal_and_never_two_forms(request_: AcceleratorRequest, machine: Machine | None) -> None:
    places = product(
        ("docker", "podman"),
        ("docker-compose", "podman-compose"),
        [(), (4, 0), (4, 1), (5, 3), (5, 4), (28, 1), (28, 2), (29, 3)],
        [(), (2, 26), (2, 30)],
    )
    for place, rootless, runtime in product(places, (False, True), ("", "crun", "runc")):
        facts = replace(on(*place), machine=machine, rootless=rootless, oci_runtime=runtime)
        words = words_or_refusal(request_, facts)
        forms = [word for word in ("deploy", "gpus", "devices", "refused") if word in words]
        assert len(forms) == (0 if request_.vendor == "none" else 1), facts
        assert set(words) <= {*forms, "group_add", "security_opt", "cap_add"}, facts


def test_every_form_that_a_row_names_is_there() -> None:
    assert {row.form for row in ROWS if row.form} == set(FORMS)
    assert all(row.why and row.fix for row in ROWS if not row.form)


# ---------------------------------------------------------------- what the machine has


def refusal(request: AcceleratorRequest, facts: TargetFacts) -> tuple[str, str, str]:
    """What an error says: what, where, what to do."""
    with pytest.raises(MachineError) as caught:
        device_words(request, facts)
    return caught.value.what, caught.value.where, caught.value.fix


@pytest.mark.parametrize("facts", [OLD_DOCKER, NEW_DOCKER])
def test_docker_needs_the_toolkit(facts: TargetFacts) -> None:
    assert refusal(ALL, replace(facts, machine=known("nvidia-toolkit-missing"))) == (
        "Docker needs nvidia-container-runtime-hook to give NVIDIA (CUDA) GPUs, and it is not installed",
        "gpu",
        "Install nvidia-container-toolkit, and restart Docker: sudo systemctl restart docker",
    )


def test_the_toolkit_of_docker_desktop_is_not_where_we_could_see_it() -> None:
    machine = Machine(gpus=(NVIDIA,), wsl=True)
    assert device_words(ALL, replace(NEW_DOCKER, machine=machine)) == {"gpus": [{"driver": "nvidia", "count": "all"}]}


@pytest.mark.parametrize(
    ("engine", "compose", "toolkits", "expected"),
    [
        ((28, 2), (2, 30), (), {"devices": [f"{KIND}=all"]}),
        ((28, 2), (2, 30), TOOLS, {"devices": [f"{KIND}=all"]}),
        # Compose takes the name for a file there.
        ((29,), (2, 29), (), reserved(driver="cdi", device_ids=[f"{KIND}=all"], capabilities=["gpu"])),
        ((28, 2), (2, 29), TOOLKIT, reserved(driver="nvidia", count="all", capabilities=["gpu"])),
        ((28, 2), (2, 30), TOOLKIT, {"gpus": [{"driver": "nvidia", "count": "all"}]}),
        ((28, 1), (2, 30), TOOLKIT, {"gpus": [{"driver": "nvidia", "count": "all"}]}),
    ],
)
def test_only_a_specification_and_no_hook_is_asked_for_by_its_names(
    engine: tuple[int, ...], compose: tuple[int, ...], toolkits: Any, expected: dict[str, Any]
) -> None:
    machine = Machine(gpus=(NVIDIA,), cdi=(BOTH_NAMES,), toolkits=toolkits)
    assert device_words(ALL, on("docker", engine=engine, compose=compose, machine=machine)) == expected


@pytest.mark.parametrize("compose", [(2, 29), (2, 40)])
@pytest.mark.parametrize("toolkits", [(), TOOLS])
def test_a_specification_is_of_no_use_to_an_older_docker(compose: tuple[int, ...], toolkits: Any) -> None:
    machine = Machine(gpus=(NVIDIA,), cdi=(BOTH_NAMES,), toolkits=toolkits)
    assert "runtime-hook" in refusal(ALL, on("docker", engine=(28, 1), compose=compose, machine=machine))[0]


def test_below_windows_the_engine_may_have_no_such_specification() -> None:
    machine = Machine(gpus=(NVIDIA,), cdi=(BOTH_NAMES,), wsl=True)
    assert device_words(ALL, replace(NEW_DOCKER, machine=machine)) == {"gpus": [{"driver": "nvidia", "count": "all"}]}


STALE = CdiSpec("/run/cdi/old.yaml", KIND, ("0", "all"), missing=("/usr/lib/libcuda.so.535",))


@pytest.mark.parametrize("compose", [(2, 29), (2, 40)])
def test_a_specification_that_docker_looks_at_first_must_be_up_to_date(compose: tuple[int, ...]) -> None:
    machine = Machine(gpus=(NVIDIA,), cdi=(STALE,), toolkits=TOOLKIT)
    assert refusal(ALL, on("docker", engine=(29, 2), compose=compose, machine=machine)) == (
        "Docker looks at the CDI specification /run/cdi/old.yaml first, and it is out of date, or cannot be read",
        "gpu",
        "Run: sudo nvidia-ctk cdi generate --output=/run/cdi/old.yaml",
    )


@pytest.mark.parametrize(
    ("engine", "cdi"), [((29, 1), (STALE,)), ((29, 2), (STALE, BOTH_NAMES)), ((29, 2), (BOTH_NAMES,)), ((29, 2), ())]
)
def test_a_stale_specification_is_in_nobodys_way_otherwise(engine: tuple[int, ...], cdi: tuple[CdiSpec, ...]) -> None:
    machine = Machine(gpus=(NVIDIA,), cdi=cdi, toolkits=TOOLKIT)
    assert "gpus" in device_words(ALL, on("docker", engine=engine, compose=(2, 30), machine=machine))


@pytest.mark.parametrize("facts", [PODMAN, SOCKET])
@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        (
            "nvidia-cdi-stale",
            "the CDI specification /etc/cdi/nvidia.yaml is out of date, or cannot be read",
            "Run: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        ),
        (
            "nvidia-toolkit-missing",
            "podman gives NVIDIA (CUDA) GPUs by CDI, and there is no specification of nvidia.com/gpu here",
            "Install the vendor's container toolkit, then run: "
            "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        ),
    ],
)
def test_podman_needs_a_specification_that_is_up_to_date(facts: TargetFacts, name: str, what: str, fix: str) -> None:
    assert refusal(ALL, replace(facts, machine=known(name))) == (what, "gpu", fix)


def test_a_specification_that_cannot_be_read_is_told() -> None:
    closed = CdiSpec("/etc/cdi/nvidia.yaml", problem="it may not be read by us")
    machine = Machine(gpus=(NVIDIA,), cdi=(closed,), toolkits=TOOLKIT)
    assert refusal(ALL, replace(PODMAN, machine=machine))[0] == (
        "podman gives NVIDIA (CUDA) GPUs by CDI, and there is no specification of nvidia.com/gpu here that can be read "
        "(/etc/cdi/nvidia.yaml: it may not be read by us)"
    )


def test_a_name_that_no_specification_has_is_told_with_those_that_there_are() -> None:
    facts = replace(PODMAN, machine=known("nvidia-two-cards-with-cdi"))
    assert refusal(AcceleratorRequest("cuda", ids=("0", "7")), facts) == (
        "no CDI specification has nvidia.com/gpu=7; there is 0, 1, all",
        "gpu_ids",
        "Choose one of these with --gpu-ids, or leave it out for all.",
    )


def test_a_machine_below_windows_has_no_single_gpus() -> None:
    facts = replace(PODMAN, machine=known("wsl2-nvidia"))
    assert device_words(ALL, facts) == {"devices": [f"{KIND}=all"]}
    assert refusal(FIRST, facts) == (
        "no CDI specification has nvidia.com/gpu=0; there is all",
        "gpu_ids",
        "Ask for all of them: --gpu cuda, without --gpu-ids.",
    )


def test_a_specification_without_single_gpus_can_be_made_anew() -> None:
    facts = replace(PODMAN, machine=replace(known("wsl2-nvidia"), wsl=False))
    assert refusal(FIRST, facts)[2] == (
        "Ask for all of them: --gpu cuda, without --gpu-ids. "
        "Or name them there: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    )


@pytest.mark.parametrize(
    ("asked", "there", "name"),
    [
        ("GPU-0a", ("0", "all"), "0"),
        ("0", ("GPU-0a", "all"), "GPU-0a"),
        ("0", ("0", "GPU-0a", "all"), "0"),
        ("GPU-0a", ("0", "GPU-0a", "all"), "GPU-0a"),
        ("0000:01:00.0", ("0", "all"), "0"),
        ("MIG-c7", ("0", "MIG-c7"), "MIG-c7"),
    ],
)
def test_a_gpu_goes_by_the_name_that_the_specification_has(asked: str, there: tuple[str, ...], name: str) -> None:
    gpu = replace(NVIDIA, partitions=(Partition("MIG-c7"),))
    machine = Machine(gpus=(gpu,), cdi=(CdiSpec("/etc/cdi/nvidia.yaml", KIND, there),))
    words = device_words(AcceleratorRequest("cuda", ids=(asked,)), replace(PODMAN, machine=machine))
    assert words == {"devices": [f"{KIND}={name}"]}


@pytest.mark.parametrize(
    ("engine", "there", "name"),
    [
        # It asks the hook, which knows both names.
        ((29, 1), ("0", "all"), "GPU-0a"),
        ((29, 2), ("0", "all"), "0"),
        ((29, 2), ("0", "GPU-0a", "all"), "GPU-0a"),
        ((29, 2), (), "GPU-0a"),
    ],
)
def test_a_docker_that_looks_at_a_specification_gets_the_name_in_it(
    engine: tuple[int, ...], there: tuple[str, ...], name: str
) -> None:
    cdi = (CdiSpec("/etc/cdi/nvidia.yaml", KIND, there),) if there else ()
    machine = Machine(gpus=(NVIDIA,), cdi=cdi, toolkits=TOOLKIT)
    words = device_words(
        AcceleratorRequest("cuda", ids=("GPU-0a",)), on("docker", engine=engine, compose=(2, 30), machine=machine)
    )
    assert words == {"gpus": [{"driver": "nvidia", "device_ids": [name]}]}


def test_docker_gets_no_address_on_the_bus() -> None:
    machine = Machine(gpus=(NVIDIA,), toolkits=TOOLKIT)
    wish = AcceleratorRequest("cuda", ids=("0000:01:00.0",))
    assert device_words(wish, replace(NEW_DOCKER, machine=machine))["gpus"][0]["device_ids"] == ["0"]


@pytest.mark.parametrize(
    ("facts", "selinux", "expected"),
    [
        (PODMAN, True, ["label=disable"]),
        (PODMAN, False, None),
        (SOCKET, True, ["label=disable"]),
        (SOCKET, False, None),
        (NEW_DOCKER, True, None),
    ],
)
def test_labels_are_off_for_podman_where_selinux_is_on(facts: TargetFacts, selinux: bool, expected: object) -> None:
    machine = replace(known("nvidia-fedora-selinux"), selinux=selinux)
    assert device_words(ALL, replace(facts, machine=machine)).get("security_opt") == expected


# ---------------------------------------------------------------- device nodes, and who may open them


@pytest.mark.parametrize("facts", [OLD_DOCKER, NEW_DOCKER, PODMAN, SOCKET])
@pytest.mark.parametrize(
    ("wish", "nodes", "groups"),
    [
        (ROCM, (KFD, RENDER, SCREEN), ["105", "110"]),
        (ROCM, (replace(KFD, gid=9), RENDER), ["9", "105"]),
        (XPU, (KFD, RENDER, SCREEN), ["105"]),
        (ROCM, (replace(KFD, mode=0o666), RENDER), ["105"]),
        (ROCM, (replace(KFD, mode=0o666), replace(RENDER, mode=0o666)), None),
        (ROCM, (replace(KFD, gid=0), replace(RENDER, gid=0)), None),
    ],
)
def test_groups_are_numbers_of_the_nodes_that_are_closed_to_others(
    facts: TargetFacts, wish: AcceleratorRequest, nodes: tuple[DeviceNode, ...], groups: object
) -> None:
    assert device_words(wish, replace(facts, machine=Machine(nodes=nodes))).get("group_add") == groups


def test_groups_are_written_as_text() -> None:
    words = device_words(ROCM, replace(PODMAN, machine=Machine(nodes=(KFD, RENDER))))
    assert yaml.safe_load(yaml_text(words))["group_add"] == ["105", "110"]


def test_just_the_nodes_of_the_chosen_gpu_are_given_and_just_their_groups() -> None:
    other = DeviceNode("/dev/dri/renderD129", 200, 0o660)
    wish = AcceleratorRequest("rocm", ids=("1",), nodes=("/dev/kfd", "/dev/dri/card1", "/dev/dri/renderD129"))
    words = device_words(wish, replace(NEW_DOCKER, machine=Machine(nodes=(KFD, RENDER, other))))
    assert words["devices"] == ["/dev/kfd", "/dev/dri/card1", "/dev/dri/renderD129"]
    assert words["group_add"] == ["110", "200"]


@pytest.mark.parametrize("wish", [AcceleratorRequest("rocm", ids=("1",)), AcceleratorRequest("xpu", 1)])
def test_some_gpus_whose_nodes_are_not_known_do_not_become_all(wish: AcceleratorRequest) -> None:
    assert refusal(wish, NEW_DOCKER) == (
        "which device nodes these GPUs have is not known: the container would be given every GPU",
        "gpu_ids",
        "Leave --gpu-ids out for all of them.",
    )


def test_without_root_crun_keeps_the_persons_own_groups() -> None:
    facts = replace(PODMAN, rootless=True, oci_runtime="crun", machine=Machine(nodes=(KFD, RENDER), selinux=True))
    # Podman takes no other group beside that one.
    assert device_words(ROCM, facts) == ALL_AMD | {"group_add": ["keep-groups"]} | AMD_PODMAN


@pytest.mark.parametrize(
    "facts",
    [
        replace(PODMAN, rootless=True, oci_runtime="runc"),
        replace(PODMAN, rootless=True),
        replace(SOCKET, rootless=True, oci_runtime="runc"),
        replace(NEW_DOCKER, rootless=True, oci_runtime="crun"),
    ],
)
def test_without_root_and_crun_a_closed_node_is_refused(facts: TargetFacts) -> None:
    assert refusal(ROCM, replace(facts, machine=Machine(nodes=(KFD, RENDER)))) == (
        f"/dev/kfd may not be opened in a container of {facts.target} without root",
        "gpu",
        "Let Podman use crun, run the engine as root, or let everybody open the device (udev, MODE=0666).",
    )


def test_without_root_an_open_node_needs_no_group() -> None:
    nodes = (replace(KFD, mode=0o666), replace(RENDER, mode=0o666))
    facts = replace(PODMAN, rootless=True, oci_runtime="runc", machine=Machine(nodes=nodes))
    assert "group_add" not in device_words(ROCM, facts)


def test_a_recorded_machine_gets_its_own_groups() -> None:
    words = device_words(ROCM, replace(OLD_DOCKER, machine=known("amd-two-instinct-with-cdi")))
    assert words == ALL_AMD | {"group_add": ["110"]} | AMD_MORE
