"""Recorded machines in, what there is to compute with out; and no machine makes the search fail or hang."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lcompose import probe as probing
from lcompose import vendors
from lcompose.emit import yaml_text
from lcompose.hardware import decimal, hexadecimal
from lcompose.machine import Recorded, Recorder, ThisMachine, document, recorded, side_by_side
from lcompose.probe import probe, record
from lcompose.spec.machine import CdiSpec, DeviceNode, Gpu, Machine, Partition

MACHINES = Path(__file__).parent.parent / "machines"
TREES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(MACHINES.glob("*.yaml"))}
NAMES = sorted(TREES)
CARD = "/sys/bus/pci/devices/0000:01:00.0"


def machine_of(tree: dict[str, Any]) -> Machine:
    """What a recording expects, in the types of a probe."""
    words = dict(tree)
    words["gpus"] = tuple(gpu_of(one) for one in tree.get("gpus", ()))
    words["cdi"] = tuple(
        CdiSpec(**{key: tuple(value) if isinstance(value, list) else value for key, value in one.items()})
        for one in tree.get("cdi", ())
    )
    words["nodes"] = tuple(
        DeviceNode(path, int(gid), int(mode, 8)) for path, gid, mode in (one.split() for one in tree.get("nodes", ()))
    )
    words["drivers"] = tuple(tuple(one) for one in tree.get("drivers", ()))
    words["toolkits"] = tuple(tuple(one) for one in tree.get("toolkits", ()))
    return Machine(**words)


def gpu_of(tree: dict[str, Any]) -> Gpu:
    parts = tuple(Partition(**part) for part in tree.get("partitions", ()))
    return Gpu(**tree | {"partitions": parts, "nodes": tuple(tree.get("nodes", ()))})


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_machine_is_found_as_it_is(name: str) -> None:
    assert probe(recorded(TREES[name])) == machine_of(TREES[name]["expect"])


def test_there_are_enough_recorded_machines_and_each_says_what_it_shows() -> None:
    assert len(NAMES) >= 18
    assert [path.stem for path in sorted(MACHINES.glob("*.yaml")) if not path.read_text().startswith("# ")] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_that_cannot_be_used_has_a_reason_and_one_thing_to_do(name: str) -> None:
    for gpu in probe(recorded(TREES[name])).gpus:
        assert bool(gpu.problem) == bool(gpu.fix)
        assert not gpu.problem.endswith(".")
        assert not gpu.fix or gpu.fix.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_of_a_machine_gives_the_same_findings(name: str) -> None:
    again = yaml.safe_load(yaml_text(record(recorded(TREES[name]))))
    before = probe(recorded(TREES[name]))
    after = probe(recorded(again))
    # Why a specification cannot be read is not kept with it, only that it cannot.
    problems = [bool(spec.problem) for spec in before.cdi]
    assert [bool(spec.problem) for spec in after.cdi] == problems
    assert dataclasses.replace(after, cdi=()) == dataclasses.replace(before, cdi=())
    assert [spec for spec in after.cdi if not spec.problem] == [spec for spec in before.cdi if not spec.problem]


def test_a_recording_has_no_variables_and_arguments_of_a_specification() -> None:
    spec = {
        "kind": "nvidia.com/gpu",
        "devices": [{"name": "all", "containerEdits": {"env": ["TOKEN=sk-secret"]}}],
        "containerEdits": {
            "env": ["KEY=sk-secret"],
            "hooks": [{"path": "/bin/true", "args": ["sk-secret"], "env": ["A=sk-secret"]}],
        },
        "annotations": {"note": "sk-secret"},
    }
    text = yaml_text(record(Recorded(files={"/etc/cdi/one.yaml": yaml_text(spec)})))
    assert "/bin/true" in text
    assert "sk-secret" not in text


def test_the_devices_of_one_vendor_are_never_those_of_another() -> None:
    machine = probe(recorded(TREES["mixed-vendors"]))
    assert machine.cdi_devices("amd.com/gpu") == ("0", "all")
    assert machine.cdi_devices("nvidia.com/gpu") == ()


def test_a_stale_specification_gives_no_devices() -> None:
    assert probe(recorded(TREES["nvidia-cdi-stale"])).cdi_devices("nvidia.com/gpu") == ()


@pytest.mark.parametrize(
    ("number", "arch"),
    [
        (90010, "gfx90a"),
        (90402, "gfx942"),
        (90500, "gfx950"),
        (100306, "gfx1036"),
        (110501, "gfx1151"),
        (120001, "gfx1201"),
    ],
)
def test_the_number_of_an_architecture_becomes_its_name(number: int, arch: str) -> None:
    tree = TREES["amd-shared-memory"]
    path = "/sys/class/kfd/kfd/topology/nodes/1/properties"
    files = tree["files"] | {path: tree["files"][path].replace("110501", str(number))}
    assert [gpu.arch for gpu in probe(recorded(tree | {"files": files})).gpus] == [arch]


@pytest.mark.parametrize("number", ["9" * 5000, "²", "-1", "1.5", "x", ""])
def test_what_the_compute_driver_says_of_a_card_and_is_no_number_is_as_if_it_said_nothing(number: str) -> None:
    tree = TREES["amd-shared-memory"]
    path = "/sys/class/kfd/kfd/topology/nodes/1/properties"
    files = tree["files"] | {path: tree["files"][path].replace("110501", number)}
    assert [gpu.problem for gpu in probe(recorded(tree | {"files": files})).gpus] == [
        "its driver cannot compute with it"
    ]


@pytest.mark.parametrize("text", [None, "", "x", "-1", "1.5", "²", "1" * 19, "1_0", "+1", "0x1"])
def test_what_is_no_number_is_none(text: str | None) -> None:
    assert decimal(text) is None


@pytest.mark.parametrize(
    ("text", "number"), [("0x10de\n", 0x10DE), ("10DE", 0x10DE), ("0xg", None), ("f" * 17, None), (None, None)]
)
def test_hexadecimal_numbers_of_the_kernel(text: str | None, number: int | None) -> None:
    assert hexadecimal(text) == number


# Any machine


def scrambled(text: str) -> st.SearchStrategy[str]:
    """What a driver in trouble, or somebody's editor, could make of a text."""
    words = text.split()
    return st.one_of(
        st.text(max_size=200),
        st.integers(0, len(text)).map(lambda at: text[:at]),
        st.permutations(words).map(" ".join) if words else st.just(""),
        st.sampled_from(
            ["9" * 5000, "[" * 100_000, "{" * 100_000, '{"a":' * 50_000, "\0\x1b[2J", "&a [*a, *a]", "- \ud800", "²"]
        ),
        st.sampled_from(["9" * 30, "-1", "", "nan", "\ud800", "true", "null", ",", ": :"]).flatmap(
            lambda word: st.sampled_from(words or [""]).map(lambda old: text.replace(old, word) if old else word)
        ),
    )


@st.composite
def broken_machines(draw: st.DrawFn) -> Recorded:
    """A recorded machine with some of its texts made into something else."""
    tree = TREES[draw(st.sampled_from(NAMES))]
    machine = recorded(tree)
    files = dict(machine.files)
    for path in draw(st.sets(st.sampled_from(sorted(files)), max_size=4)):
        files[path] = draw(scrambled(files[path]))
    programs = {name: dict(printed) for name, printed in machine.programs.items()}
    for printed in programs.values():
        for question in list(printed):
            if draw(st.booleans()):
                printed[question] = draw(scrambled(printed[question]))
    links = {
        path: draw(st.sampled_from([target, "", "../x", "\udcff", "a" * 5000]))
        for path, target in machine.links.items()
    }
    return dataclasses.replace(machine, files=files, programs=programs, links=links)


@settings(max_examples=300)
@given(broken_machines())
def test_no_text_of_any_file_or_program_makes_the_search_fail_and_all_can_be_printed(machine: Recorded) -> None:
    found = probe(machine)
    repr(found).encode()
    assert all("\n" not in text and "\x1b" not in text for text in texts(dataclasses.asdict(found)))
    recorded(record(machine))


TEXTS = st.text(max_size=60) | st.sampled_from(["0x10de", "0x1002", "0x8086", "0x030000", "0x120000", "1\n"])
PLACES = st.sampled_from(
    [
        *(f"{CARD}/{name}" for name in ("class", "vendor", "device", "mem_info_vram_total", "product_name")),
        *(f"/etc/cdi/{name}" for name in ("a.yaml", "b.json", "c")),
        "/proc/driver/nvidia/version",
        "/proc/driver/nvidia/gpus/0000:01:00.0/information",
        "/proc/meminfo",
        "/proc/sys/kernel/osrelease",
        "/sys/class/kfd/kfd/topology/nodes/1/properties",
        "/sys/class/kfd/kfd/topology/nodes/x/properties",
        "/etc/nv_tegra_release",
    ]
)


@given(
    st.dictionaries(PLACES, TEXTS),
    st.dictionaries(st.just(f"{CARD}/driver"), st.sampled_from(["nvidia", "amdgpu", "xe", "", "/", "\udcff"])),
    st.sets(st.sampled_from(["/dev/kfd", "/dev/dxg", "/dev/dri/renderD128", f"{CARD}/drm/renderD128"])),
)
def test_a_machine_of_odds_and_ends_is_searched_to_the_end(
    files: dict[str, str], links: dict[str, str], nodes: set[str]
) -> None:
    found = probe(Recorded(files, links, {path: DeviceNode(path, 0, 0o666) for path in nodes}))
    assert all(bool(gpu.problem) == bool(gpu.fix) for gpu in found.gpus)


def texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from texts(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from texts(value)


# Drivers that hang


class Stuck(Recorder):
    """A machine whose tools never come back."""

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> str | None:
        threading.Event().wait(60)
        return None


def test_a_driver_that_hangs_costs_its_own_vendor_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "VENDOR_LIMIT", 0.3)
    begin = time.monotonic()
    machine = probe(Stuck(recorded(TREES["mixed-vendors"])))
    assert time.monotonic() - begin < 5
    assert [(gpu.vendor, gpu.problem) for gpu in machine.gpus] == [
        ("rocm", ""),
        ("xpu", ""),
        ("cuda", "its driver does not answer"),
    ]


def test_a_program_that_does_not_end_is_not_waited_for() -> None:
    begin = time.monotonic()
    assert ThisMachine().run(("sh", "-c", "trap '' TERM; echo half; sleep 30 & wait"), 0.2) is None
    assert time.monotonic() - begin < 3


def test_what_calls_return_keeps_their_order_and_a_slow_one_is_left_behind() -> None:
    calls: list[Callable[[], int | None]] = [lambda: 1, lambda: threading.Event().wait(30) or 2, lambda: 3]
    assert side_by_side(calls, 0.3) == [1, None, 3]


def test_an_error_of_a_call_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1, lambda: 1 // 0], 5)


# One more vendor is one more file

GAUDI = '''
"""A maker of accelerators that lcompose does not know yet."""

from lcompose.hardware import cards
from lcompose.spec.machine import Gpu
from lcompose.vendors import Vendor

VENDOR = Vendor(gpu="hpu", title="Gaudi", pci=0x1DA3, control=("/dev/accel",), toolkit=("habana-container-runtime",))


def detect(host):
    return tuple(Gpu("hpu", card.address, "Gaudi", card.driver, arch=card.number) for card in cards(host, VENDOR.pci))


def driver_version(host):
    return (host.text("/sys/module/habanalabs/version") or "").strip()
'''


def test_a_further_vendor_is_one_more_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gaudi.py").write_text(GAUDI)
    monkeypatch.setattr(vendors, "__path__", [*vendors.__path__, str(tmp_path)])
    monkeypatch.setattr(vendors, "gaudi", None, raising=False)  # the import sets it
    card = "/sys/bus/pci/devices/0000:19:00.0"
    machine = Recorded(
        files={
            f"{card}/class": "0x120000\n",
            f"{card}/vendor": "0x1da3\n",
            f"{card}/device": "0x1020\n",
            "/sys/module/habanalabs/version": "1.19.0\n",
        },
        links={f"{card}/driver": "../../../bus/pci/drivers/habanalabs"},
        nodes={"/dev/accel/accel0": DeviceNode("/dev/accel/accel0", 0, 0o666)},
        programs={"habana-container-runtime": {}},
    )
    try:
        assert vendors.choices() == ("none", "cuda", "hpu", "rocm", "xpu")
        assert probe(machine) == Machine(
            gpus=(Gpu("hpu", "0000:19:00.0", "Gaudi", "habanalabs", arch="1da3:1020"),),
            nodes=(DeviceNode("/dev/accel/accel0", 0, 0o666),),
            drivers=(("hpu", "1.19.0"),),
            toolkits=(("hpu", "habana-container-runtime"),),
            arch="x86_64",
        )
    finally:
        sys.modules.pop("lcompose.vendors.gaudi", None)


# This machine


def test_this_machine_is_searched_in_a_few_seconds_and_nothing_is_found_that_is_not_there() -> None:
    begin = time.monotonic()
    machine = probe(ThisMachine())
    assert time.monotonic() - begin < 12
    assert machine.arch == os.uname().machine
    assert machine.memory > 0
    assert [gpu.pci for gpu in machine.gpus if gpu.pci and not Path("/sys/bus/pci/devices", gpu.pci).exists()] == []
    assert [node.path for node in machine.nodes if not stat.S_ISCHR(os.stat(node.path).st_mode)] == []
    assert [spec.path for spec in machine.cdi if not Path(spec.path).exists()] == []


def test_a_recording_of_this_machine_gives_the_same_cards() -> None:
    again = probe(recorded(yaml.safe_load(yaml_text(record(ThisMachine())))))
    here = probe(ThisMachine())
    assert [(gpu.vendor, gpu.pci, gpu.memory, gpu.problem) for gpu in again.gpus] == [
        (gpu.vendor, gpu.pci, gpu.memory, gpu.problem) for gpu in here.gpus
    ]
    assert (again.arch, again.memory, again.nodes, again.drivers) == (here.arch, here.memory, here.nodes, here.drivers)


def test_files_of_this_machine(tmp_path: Path) -> None:
    here = ThisMachine()
    file, folder, pipe, link = (tmp_path / name for name in ("file", "folder", "pipe", "link"))
    file.write_bytes(b"one\xff\n")
    folder.mkdir()
    os.mkfifo(pipe)
    link.symlink_to("nowhere")
    (tmp_path / "bad\nname").touch()
    assert here.text(str(file)) == "one\ufffd\n"
    assert [here.text(str(path)) for path in (folder, pipe, link, tmp_path / "none")] == [None] * 4
    assert here.text("/dev/zero") is None
    assert here.names(str(tmp_path)) == ("file", "folder", "link", "pipe")
    assert (here.names(str(file)), here.names(str(tmp_path / "none"))) == ((), ())
    assert (here.link(str(link)), here.link(str(file))) == ("nowhere", "")
    assert [here.gone(str(path)) for path in (file, folder, link, file / "x")] == [False, False, True, True]
    assert (here.node(str(file)), here.node(str(tmp_path / "none"))) == (None, None)


def test_a_device_node_of_this_machine() -> None:
    found = os.stat("/dev/null")
    assert ThisMachine().node("/dev/null") == DeviceNode("/dev/null", found.st_gid, stat.S_IMODE(found.st_mode))


@pytest.mark.parametrize(
    ("argv", "printed"),
    [
        (("sh", "-c", "echo yes"), "yes\n"),
        (("sh", "-c", "echo yes; exit 3"), None),
        (("lcompose-no-such-program",), None),
    ],
)
def test_programs_of_this_machine(argv: tuple[str, ...], printed: str | None) -> None:
    assert ThisMachine().run(argv) == printed
    assert ThisMachine().program(argv[0]) == (argv[0] == "sh")


def test_a_recorder_asks_each_question_once() -> None:
    class Counting(Recorded):
        asked = 0

        def text(self, path: str) -> str | None:
            Counting.asked += 1
            return super().text(path)

    host = Recorder(Counting(files={"/a": "x"}))
    assert [host.text("/a"), host.text("/a"), host.text("/b"), host.text("/b")] == ["x", "x", None, None]
    assert Counting.asked == 2


def test_a_recorded_machine_is_a_plain_document_and_comes_back() -> None:
    machine = Recorded(
        files={"/a": "x\n"},
        links={"/b/driver": "../nvidia"},
        nodes={"/dev/kfd": DeviceNode("/dev/kfd", 110, 0o660)},
        paths=frozenset(["/c/d"]),
        programs={"tool": {"-L": "GPU 0\n"}, "other": {}},
        architecture="aarch64",
    )
    assert document(machine)["nodes"] == {"/dev/kfd": {"gid": 110, "mode": "0660"}}
    assert recorded(yaml.safe_load(yaml_text(document(machine)))) == machine
    assert machine.names("/") == ("a", "b", "c", "dev")
    assert [machine.gone(path) for path in ("/a", "/b", "/c/d", "/c/e", "/dev/kfd")] == [
        False,
        False,
        False,
        True,
        False,
    ]
