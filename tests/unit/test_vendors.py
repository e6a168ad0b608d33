"""GPU vendors: data, found by listing a folder, that fits together."""

from __future__ import annotations

import pytest

from lcompose.vendors import Vendor, choices, vendor

GPUS = [gpu for gpu in choices() if gpu != "none"]


def test_none_comes_first_and_every_vendor_has_a_word() -> None:
    assert choices() == ("none", "cuda", "rocm")


def test_nvidia_is_asked_for_by_its_driver() -> None:
    assert vendor("cuda") == Vendor(
        gpu="cuda",
        title="NVIDIA (CUDA)",
        inference_image="docker.io/vllm/vllm-openai:latest",
        form="reservation",
        driver="nvidia",
    )


def test_amd_is_asked_for_by_its_device_nodes_and_never_by_a_driver() -> None:
    amd = vendor("rocm")
    assert (amd.form, amd.devices, amd.driver) == ("devices", ("/dev/kfd", "/dev/dri"), "")


@pytest.mark.parametrize("gpu", GPUS)
def test_a_vendor_says_what_its_form_needs(gpu: str) -> None:
    one = vendor(gpu)
    assert (bool(one.driver), bool(one.devices)) == (one.form == "reservation", one.form == "devices")


@pytest.mark.parametrize("gpu", GPUS)
def test_a_vendor_has_an_image_of_its_own(gpu: str) -> None:
    others = {vendor(other).inference_image for other in GPUS if other != gpu}
    assert vendor(gpu).inference_image not in others


@pytest.mark.parametrize("gpu", ["none", "", "nvidia", "CUDA"])
def test_what_is_no_vendor_is_not_found(gpu: str) -> None:
    with pytest.raises(KeyError):
        vendor(gpu)
