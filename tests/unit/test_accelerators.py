"""Which GPUs a stack gets: those that nobody uses, or those that are named, or a refusal that says what there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcompose import workspace
from lcompose.accelerators import AUTO, decided, is_asked_for
from lcompose.errors import LcomposeError, MachineError, UsageError
from lcompose.lightspeed.images import INFERENCE
from lcompose.machine import recorded
from lcompose.probe import probe
from lcompose.settings import Settings, resolve_settings
from lcompose.spec.machine import Gpu, Machine, Partition
from lcompose.spec.project import AcceleratorRequest
from lcompose.workspace import Options, Workspace, open_workspace
from tests.unit.given import LIGHTSPEED, RUN

MACHINES = Path(__file__).resolve().parent.parent / "machines"
GIB = 1 << 30
HERE = "For this machine it is rendered with --for here."
NO_GPU = "Use the processor: --gpu none. (accelerator.optional=true takes the processor where there is none.)"
OR_NO_GPU = NO_GPU.replace("Use", "Or use")
# Cards of recorded machines.
BUSY, IDLE = "GPU-0a7c1e5d-0b1f-4c3e-9d2a-6f5e4d3c2b10", "GPU-1a7c1e5d-0b1f-4c3e-9d2a-6f5e4d3c2b11"
LARGE_PART = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd"
SMALL_PART = "MIG-28d9fe6b-9d6c-5d94-8e8b-d9ef62b5a7b1"


def known(name: str) -> Machine:
    """A machine that was recorded."""
    return probe(recorded(yaml.safe_load((MACHINES / f"{name}.yaml").read_text())))


def cards(*gpus: Gpu, **more: Any) -> Machine:
    """A machine that has these."""
    return Machine(tuple(gpus), **more)


def card(index: int, free: float, size: int = 24, vendor: str = "cuda", **more: Any) -> Gpu:
    """A GPU with so many GiB free."""
    return Gpu(
        vendor, f"0000:0{index}:00.0", f"card {index}", "", index, f"GPU-{index}", size * GIB, int(free * GIB), **more
    )


def asked(gpu: str, *ids: str, optional: bool = False) -> Settings:
    """The settings that ask for it."""
    return replace(resolve_settings([]), gpu=gpu, gpu_ids=ids, gpu_is_optional=optional)


def choice(settings: Settings, machine: Machine | None) -> tuple[str, tuple[str, ...]]:
    """Whose GPUs they are, and which."""
    found, _ = decided(settings, machine)
    return found.gpu, found.gpu_ids


def told(settings: Settings, machine: Machine | None) -> list[str]:
    """What is said of the choice."""
    return [f"{one.severity}: {one.path}: {one.what}" for one in decided(settings, machine)[1]]


def refusal(settings: Settings, machine: Machine | None, kind: type[LcomposeError]) -> tuple[str, str, str]:
    """What an error says: what, where, what to do."""
    with pytest.raises(kind) as caught:
        decided(settings, machine)
    return caught.value.what, caught.value.where, caught.value.fix


@pytest.mark.parametrize(
    ("gpu", "inference", "expected"),
    [
        ("none", "auto", False),
        ("none", "none", False),
        ("none", "vllm", True),
        ("auto", "auto", True),
        ("cuda", "none", True),
    ],
)
def test_a_machine_is_looked_at_only_for_a_gpu_or_a_model(gpu: str, inference: str, expected: bool) -> None:
    assert is_asked_for(replace(asked(gpu), inference=inference)) is expected


# ---------------------------------------------------------------- auto


@pytest.mark.parametrize(
    ("name", "gpu", "ids"),
    [
        # One of two is in use; where all are chosen none is named.
        ("nvidia-two-cards-with-cdi", "cuda", (IDLE,)),
        ("amd-two-instinct-with-cdi", "rocm", ("GPU-5b1e2f3a4c5d6e7f",)),
        ("nvidia-fedora-selinux", "cuda", ()),
        ("amd-shared-memory", "rocm", ()),
        ("nvidia-jetson", "cuda", ()),
        # Not the GPU inside the processor.
        ("amd-desktop-processor-beside-card", "rocm", ("GPU-1122334455667788",)),
        ("intel-card-beside-processor", "xpu", ("00000000-0000-0003-0000-0000e20b8086",)),
        ("mixed-vendors", "rocm", ()),
        # One that is whole, and not the part of another.
        ("nvidia-mig", "cuda", (IDLE,)),
        ("nvidia-one-for-virtual-machines", "cuda", ()),
        ("wsl2-nvidia", "cuda", ()),
    ],
)
def test_auto_takes_what_is_free(name: str, gpu: str, ids: tuple[str, ...]) -> None:
    assert choice(asked(AUTO), known(name)) == (gpu, ids)


@pytest.mark.parametrize(
    ("gpus", "gpu", "ids"),
    [
        ((card(0, 23), card(1, 23)), "cuda", ()),
        ((card(0, 23), card(1, 2), card(2, 20)), "cuda", ("GPU-0", "GPU-2")),
        ((card(0, 5), card(1, 9)), "cuda", ("GPU-1",)),
        ((card(0, 10), card(1, 60, 64, "rocm")), "rocm", ()),
        ((card(0, 22), card(1, 20, 64, "rocm")), "cuda", ()),
        ((card(0, 2, 2, "rocm", integrated=True),), "rocm", ()),
        ((card(0, 90, 90, "xpu", integrated=True), card(1, 20)), "cuda", ()),
        ((card(0, 90, 90, problem="broken"), card(1, 20)), "cuda", ()),
    ],
)
def test_auto_takes_idle_ones_of_the_vendor_with_most_memory_free(
    gpus: tuple[Gpu, ...], gpu: str, ids: tuple[str, ...]
) -> None:
    assert choice(asked(AUTO), cards(*gpus)) == (gpu, ids)


def test_a_gpu_without_an_uuid_goes_by_its_number_or_its_address() -> None:
    plain = replace(card(0, 23), uuid="")
    assert choice(asked(AUTO), cards(plain, card(1, 2)))[1] == ("0",)
    assert choice(asked(AUTO), cards(replace(plain, index=None), card(1, 2)))[1] == ("0000:00:00.0",)


def test_single_gpus_are_never_named_below_windows() -> None:
    assert choice(asked(AUTO), cards(card(0, 23), card(1, 2), wsl=True)) == ("cuda", ())


def test_what_auto_chose_is_told_and_what_it_left() -> None:
    machine = cards(card(0, 23), card(1, 2), card(2, 0, vendor="xpu", problem="no driver holds it"))
    assert told(asked(AUTO), machine) == [
        "warning: gpu: chosen: card 0 (23 of 24 GiB free); not card 1 (2 of 24 GiB free), card 2 (no driver holds it)"
    ]
    assert told(asked("cuda"), machine) == []


@pytest.mark.parametrize("gpu", [AUTO, "cuda"])
def test_of_a_gpu_in_parts_the_largest_part_is_taken_and_told(gpu: str) -> None:
    parts = (Partition("MIG-a", "1g.10gb", 10), Partition("MIG-b", "3g.40gb", 40))
    machine = cards(card(0, 79, 80, partitions=parts[:1]), card(1, 79, 80, partitions=parts))
    assert choice(asked(gpu), machine) == ("cuda", ("MIG-b",))
    assert told(asked(gpu), machine) == [
        "warning: gpu: chosen: the part 3g.40gb of card 1; not card 0 (79 of 80 GiB free)"
    ]


# ---------------------------------------------------------------- a vendor, and ids


@pytest.mark.parametrize(
    ("gpu", "name", "ids"),
    [
        # Who names a vendor gets all of it, whoever else uses them.
        ("cuda", "nvidia-two-cards-with-cdi", ()),
        ("rocm", "amd-desktop-processor-beside-card", ("GPU-1122334455667788",)),
        ("cuda", "mixed-vendors", ()),
        ("rocm", "mixed-vendors", ()),
        ("xpu", "mixed-vendors", ()),
    ],
)
def test_a_vendor_gets_all_its_real_gpus(gpu: str, name: str, ids: tuple[str, ...]) -> None:
    assert choice(asked(gpu), known(name)) == (gpu, ids)


@pytest.mark.parametrize(
    ("gpu", "ids", "name", "vendor"),
    [
        ("cuda", ("0",), "nvidia-two-cards-with-cdi", "cuda"),
        ("cuda", (IDLE, "0"), "nvidia-two-cards-with-cdi", "cuda"),
        ("cuda", (SMALL_PART, LARGE_PART), "nvidia-mig", "cuda"),
        ("auto", ("0",), "nvidia-two-cards-with-cdi", "cuda"),
        ("rocm", ("1",), "amd-desktop-processor-beside-card", "rocm"),
        ("xpu", ("0000:00:02.0",), "intel-card-beside-processor", "xpu"),
        # The one with most memory is AMD's, and the name NVIDIA's.
        ("auto", (BUSY,), "mixed-vendors", "cuda"),
        ("auto", ("0000:00:02.0",), "mixed-vendors", "xpu"),
        ("auto", ("0",), "mixed-vendors", "rocm"),
    ],
)
def test_named_gpus_are_taken_as_they_are_named(gpu: str, ids: tuple[str, ...], name: str, vendor: str) -> None:
    settings, said = decided(asked(gpu, *ids), known(name))
    assert (settings.gpu, settings.gpu_ids, said) == (vendor, ids, ())


def test_a_name_that_no_gpu_has_is_told_with_all_that_there_are() -> None:
    assert refusal(asked("cuda", "0", "7"), known("nvidia-two-cards-with-cdi"), MachineError) == (
        "no GPU here is called '7'",
        "gpu_ids",
        f"There is NVIDIA GeForce RTX 4090: 0, {BUSY}, 0000:01:00.0; NVIDIA GeForce RTX 4090: 1, {IDLE}, 0000:41:00.0.",
    )
    assert SMALL_PART in refusal(asked("cuda", "MIG-other"), known("nvidia-mig"), MachineError)[2]


def test_a_named_gpu_that_cannot_be_used_is_told_with_the_reason() -> None:
    assert refusal(asked("cuda", IDLE), known("nvidia-gpu-lost"), MachineError)[0] == (
        f"the GPU '{IDLE}' cannot be used: it has fallen off the bus"
    )


@pytest.mark.parametrize("machine", [None, known("nvidia-two-cards-with-cdi")])
def test_a_gpu_that_is_named_twice_is_refused(machine: Machine | None) -> None:
    assert refusal(asked("cuda", "0", "1", "0"), machine, UsageError) == (
        "a GPU is named twice: 0, 1, 0",
        "gpu_ids",
        "Name each one once.",
    )


def test_two_names_of_one_gpu_are_refused_and_two_parts_of_it_are_not() -> None:
    assert refusal(asked("cuda", "0", BUSY), known("nvidia-two-cards-with-cdi"), UsageError) == (
        f"two of these mean the same GPU: 0, {BUSY}",
        "gpu_ids",
        "Name each one once.",
    )


def test_ids_without_a_vendor_are_refused() -> None:
    assert refusal(asked("none", "0"), known("nvidia-two-cards-with-cdi"), UsageError) == (
        "GPUs are named, and none is asked for",
        "gpu_ids",
        "Say whose they are, such as --gpu cuda.",
    )


@pytest.mark.parametrize("gpu", ["none", "unheard-of"])
def test_what_is_no_vendor_is_left_to_others(gpu: str) -> None:
    assert choice(asked(gpu), known("nvidia-two-cards-with-cdi")) == (gpu, ())


# ---------------------------------------------------------------- there is none


@pytest.mark.parametrize(
    ("gpu", "name", "what", "fix"),
    [
        ("auto", "no-gpu-server", "there is no GPU here that can be used", NO_GPU),
        ("cuda", "no-gpu-server", "there is no GPU of NVIDIA (CUDA) here that can be used", NO_GPU),
        ("rocm", "nvidia-two-cards-with-cdi", "there is no GPU of AMD (ROCm) here that can be used", NO_GPU),
        # The reason of the vendor that is asked for, and not another's.
        ("rocm", "nvidia-nouveau", "there is no GPU of AMD (ROCm) here that can be used", NO_GPU),
        (
            "auto",
            "nvidia-nouveau",
            "there is no GPU here that can be used (NVIDIA GPU 10de:2504: it is held by nouveau, which cannot compute)",
            f"Install NVIDIA's driver as your system does it, and restart the machine. {OR_NO_GPU}",
        ),
    ],
)
def test_nothing_there_is_an_error_that_says_what_was_found(gpu: str, name: str, what: str, fix: str) -> None:
    assert refusal(asked(gpu), known(name), MachineError) == (what, "gpu", fix)


@pytest.mark.parametrize("gpu", ["auto", "cuda"])
def test_where_it_is_optional_the_processor_does_it_and_that_is_told(gpu: str) -> None:
    settings = asked(gpu, optional=True)
    assert choice(settings, known("nvidia-nouveau")) == ("none", ())
    [said] = told(settings, known("nvidia-nouveau"))
    assert said.startswith("warning: gpu: there is no GPU")
    assert said.endswith("(NVIDIA GPU 10de:2504: it is held by nouveau, which cannot compute): the processor is used")
    assert choice(settings, known("nvidia-two-cards-with-cdi"))[0] == "cuda"


# ---------------------------------------------------------------- a machine that is only described


@pytest.mark.parametrize(
    ("settings", "what", "where", "fix"),
    [
        (
            asked("auto"),
            "which GPU there is only a look at the machine can tell",
            "gpu",
            f"Name the vendor: --gpu cuda, rocm, xpu. {HERE}",
        ),
        (
            asked("rocm", "0"),
            "which device nodes these GPUs have only a look at the machine can tell",
            "gpu_ids",
            f"Leave --gpu-ids out for all of them. {HERE}",
        ),
    ],
)
def test_what_only_a_look_can_tell_is_refused(settings: Settings, what: str, where: str, fix: str) -> None:
    assert refusal(settings, None, UsageError) == (what, where, fix)


@pytest.mark.parametrize("settings", [asked("cuda"), asked("rocm"), asked("xpu"), asked("cuda", "0", "GPU-x")])
def test_what_needs_no_look_stays_as_it_is(settings: Settings) -> None:
    assert decided(settings, None) == (settings, ())


# ---------------------------------------------------------------- up to the project


def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, looks: bool = True, **options: Any
) -> Workspace:
    """A folder, opened on a recorded machine."""
    (folder / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (folder / "run.yaml").write_text(RUN)
    monkeypatch.setattr(workspace, "look", lambda *_: known(name))
    return open_workspace(Options(directory=str(folder), **options), {}, allow_missing=True, looks=looks)


def request_of(found: Workspace) -> AcceleratorRequest | None:
    """What the inference service asks for."""
    return next(one.accelerator for one in found.resolved.project.services if one.name == INFERENCE)


def test_the_chosen_gpu_gets_to_the_service_with_its_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(tmp_path, monkeypatch, "amd-two-instinct-with-cdi", gpu="auto")
    assert (found.settings.gpu, found.settings.gpu_ids) == ("rocm", ("GPU-5b1e2f3a4c5d6e7f",))
    nodes = ("/dev/kfd", "/dev/dri/card0", "/dev/dri/renderD128")
    assert request_of(found) == AcceleratorRequest("rocm", ids=("GPU-5b1e2f3a4c5d6e7f",), nodes=nodes)
    assert any(one.what.startswith("chosen: AMD Instinct MI210") for one in found.warnings)


def test_ids_of_the_command_line_get_to_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(tmp_path, monkeypatch, "nvidia-two-cards-with-cdi", gpu="cuda", gpu_ids=" 1, 0 ")
    wish = request_of(found)
    assert wish
    assert (wish.vendor, wish.ids) == ("cuda", ("1", "0"))


def test_an_optional_gpu_that_is_not_there_leaves_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = ("accelerator.optional=true", "inference=vllm")
    found = opened(tmp_path, monkeypatch, "no-gpu-server", gpu="auto", sets=sets)
    assert found.settings.gpu == "none"
    assert request_of(found) is None
    assert "there is no GPU here that can be used: the processor is used" in [one.what for one in found.warnings]


def test_a_model_that_does_not_fit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(tmp_path, monkeypatch, "nvidia-fedora-selinux", gpu="auto", model="Qwen/Qwen3-32B")
    [said] = [one.what for one in found.warnings if one.what.startswith("Qwen/Qwen3-32B needs about")]
    assert said.endswith("and 11.6 GiB are free on the GPUs that it gets")


def test_without_a_look_nothing_of_the_machine_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(tmp_path, monkeypatch, "nvidia-two-cards-with-cdi", looks=False, gpu="cuda")
    assert (found.machine, request_of(found)) == (None, AcceleratorRequest("cuda"))


def test_nobody_is_asked_where_no_gpu_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(tmp_path, monkeypatch, "nvidia-two-cards-with-cdi").machine is None


@pytest.mark.parametrize("where", ["tcp://10.0.0.1:2375", "ssh://me@there", "https://there:2376"])
@pytest.mark.parametrize("variable", ["DOCKER_HOST", "CONTAINER_HOST"])
def test_a_machine_that_the_engine_is_not_on_is_not_looked_at(variable: str, where: str) -> None:
    assert workspace.look({variable: where}, resolve_settings([])) is None


def test_processes_run_here_wherever_the_engine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Machine(arch="nowhere")
    monkeypatch.setattr("lcompose.probe.probe", lambda _: nothing)
    settings = replace(resolve_settings([]), processes=frozenset([INFERENCE]))
    assert workspace.look({"DOCKER_HOST": "ssh://me@there"}, settings) is nothing


def test_where_the_engine_is_elsewhere_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (tmp_path / "run.yaml").write_text(RUN)
    env = {"DOCKER_HOST": "ssh://me@there"}
    found = open_workspace(Options(directory=str(tmp_path), gpu="cuda"), env, looks=True)
    assert found.machine is None
    told = "the engine is on another machine: whether the GPU is there is seen only when the service starts"
    assert [one.what for one in found.warnings if one.path == "gpu"] == [told]
    with pytest.raises(UsageError) as caught:
        open_workspace(Options(directory=str(tmp_path), gpu="auto"), env, looks=True)
    assert "and the engine is on another one" in caught.value.what and "--for here" not in caught.value.fix
