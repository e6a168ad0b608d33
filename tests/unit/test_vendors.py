"""GPU vendors: data, found by listing a folder, that fits together."""

from __future__ import annotations

import pytest

from lcompose.machine import Recorded
from lcompose.vendors import choices, modules, vendor

GPUS = [gpu for gpu in choices() if gpu != "none"]


def test_none_comes_first_and_every_vendor_has_a_word() -> None:
    assert choices() == ("none", "cuda", "rocm", "xpu")


@pytest.mark.parametrize(
    ("gpu", "driver", "kind", "nodes"),
    [
        ("none", "", "", ()),
        ("cuda", "nvidia", "nvidia.com/gpu", ()),
        ("rocm", "", "amd.com/gpu", ("/dev/kfd", "/dev/dri")),
        ("xpu", "", "", ("/dev/dri",)),
    ],
)
def test_how_a_vendor_is_asked_for(gpu: str, driver: str, kind: str, nodes: tuple[str, ...]) -> None:
    one = vendor(gpu)
    assert (one.gpu, one.driver, one.cdi_kind, one.nodes) == (gpu, driver, kind, nodes)


def test_only_nvidia_is_ever_asked_for_by_a_driver() -> None:
    assert [gpu for gpu in choices() if vendor(gpu).driver] == ["cuda"]


@pytest.mark.parametrize("gpu", GPUS)
def test_a_vendor_can_be_asked_for_in_some_way_and_is_known_on_the_bus(gpu: str) -> None:
    one = vendor(gpu)
    assert one.driver or one.nodes
    assert one.pci


@pytest.mark.parametrize("words", ["pci", "title", "gpu"])
def test_no_two_vendors_share_a_number_or_a_name(words: str) -> None:
    assert len({getattr(vendor(gpu), words) for gpu in choices()}) == len(choices())


@pytest.mark.parametrize("gpu", choices())
def test_in_an_empty_machine_no_vendor_finds_anything(gpu: str) -> None:
    one = modules()[gpu]
    assert (one.detect(Recorded()), one.driver_version(Recorded())) == ((), "")


@pytest.mark.parametrize("gpu", ["", "nvidia", "CUDA", "gpu"])
def test_what_is_no_vendor_is_not_found(gpu: str) -> None:
    with pytest.raises(KeyError):
        vendor(gpu)
