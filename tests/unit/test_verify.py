"""Whether a service works on the GPU that it was promised: evidence in, verdict out."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import pytest

from lcompose import vendors
from lcompose.engines.fake import FakeEngine
from lcompose.engines.given import given
from lcompose.errors import EngineError, NotReadyError
from lcompose.host import Finished
from lcompose.spec.run import Given
from lcompose.verify import LIST, SAID, Evidence, fallen_back, judged, refuse_fallback, said, verify

ROCM = Given("id", "demo-inference-1", "inference", "rocm", ("/dev/kfd", "/dev/dri"))
CUDA = Given("id", "demo-inference-1", "inference", "cuda", ("nvidia: all",))
ROCM_NODES = ("/dev/kfd", "/dev/dri/card0", "/dev/dri/renderD128")
CUDA_NODES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm")


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (Evidence(CUDA, CUDA_NODES, "gpu"), "gpu"),
        (Evidence(CUDA, ("/dev/dxg",), "gpu"), "gpu"),
        (Evidence(CUDA, None, "gpu"), "gpu"),
        (Evidence(ROCM, ROCM_NODES, "gpu"), "gpu"),
        # Dropped without a word by what read the file.
        (Evidence(Given("id", "n", "s", "cuda"), CUDA_NODES, "gpu"), "cpu"),
        # Asked for, and not there.
        (Evidence(CUDA, (), None), "cpu"),
        (Evidence(CUDA, ROCM_NODES, None), "cpu"),
        (Evidence(ROCM, ("/dev/kfd",), "gpu"), "cpu"),
        (Evidence(ROCM, ("/dev/dri/renderD128",), "gpu"), "cpu"),
        # All there, and the server does not take it.
        (Evidence(CUDA, CUDA_NODES, "cpu"), "cpu"),
        (Evidence(CUDA, None, "cpu"), "cpu"),
        # Nobody knows.
        (Evidence(CUDA, CUDA_NODES, None), "unknown"),
        (Evidence(CUDA, None, None), "unknown"),
    ],
)
def test_what_was_promised_and_is_missing_anywhere_is_the_processor(evidence: Evidence, state: str) -> None:
    verdict = judged(evidence)
    assert verdict.state == state and verdict.reason and verdict.service == evidence.given.service


VLLM = "INFO 06-01 10:00:00 [__init__.py:239] Automatically detected platform {}."
OLLAMA = (
    'time=2025-06-01T10:00:00Z level=INFO source=types.go:130 msg="inference compute" id=GPU-1 library={} compute=8.9'
)
LLAMA = "ggml_cuda_init: found {} devices:"


@pytest.mark.parametrize(
    ("lines", "vendor", "word"),
    [
        ([VLLM.format("cuda")], "cuda", "gpu"),
        ([VLLM.format("rocm")], "rocm", "gpu"),
        ([VLLM.format("xpu")], "xpu", "gpu"),
        ([VLLM.format("cpu")], "cuda", "cpu"),
        # An image for another vendor.
        ([VLLM.format("cuda")], "rocm", "cpu"),
        (["No platform detected, vLLM is running on UnspecifiedPlatform"], "cuda", "cpu"),
        ([OLLAMA.format("CUDA")], "cuda", "gpu"),
        ([OLLAMA.format("cuda")], "cuda", "gpu"),
        ([OLLAMA.format("ROCm")], "rocm", "gpu"),
        ([OLLAMA.format("Vulkan")], "xpu", "gpu"),
        ([OLLAMA.format("cpu")], "cuda", "cpu"),
        (['msg="no compatible GPUs were discovered"'], "cuda", "cpu"),
        ([LLAMA.format("1 CUDA")], "cuda", "gpu"),
        ([LLAMA.format("2 ROCm")], "rocm", "gpu"),
        (["ggml_vulkan: Found 1 Vulkan devices:".replace("Found", "found")], "xpu", "gpu"),
        (["warning: no usable GPU found, --gpu-layers option will be ignored"], "cuda", "cpu"),
        (["load_tensors: offloaded 0/33 layers to GPU"], "cuda", "cpu"),
        (["load_tensors: offloaded 33/33 layers to GPU"], "cuda", "gpu"),
        # The last word counts: a GPU that is found, and then not used.
        ([LLAMA.format("1 CUDA"), "load_tensors: offloaded 0/33 layers to GPU"], "cuda", "cpu"),
        ([OLLAMA.format("cpu"), OLLAMA.format("cuda")], "cuda", "gpu"),
        (["Uvicorn running on http://0.0.0.0:8000", ""], "cuda", None),
        ([], "cuda", None),
    ],
)
def test_what_a_server_says_of_itself(lines: list[str], vendor: str, word: str | None) -> None:
    found, line = said(lines, vendors.vendor(vendor).said)
    assert found == word
    assert bool(line) == (word is not None) and (not line or line in lines)


def test_every_name_in_a_server_s_word_is_looked_at_alike() -> None:
    assert all(word == "gpu" for pattern, word in SAID if "name" in pattern.groupindex)


@pytest.mark.parametrize("name", [one for one in vendors.choices() if one != vendors.CPU])
def test_every_vendor_says_what_a_container_has_of_it(name: str) -> None:
    assert vendors.vendor(name).inside and vendors.vendor(name).said


def test_an_engine_is_asked_for_all_of_it() -> None:
    engine = FakeEngine(
        given=[CUDA, Given("other", "demo-x-1", "x", "", ("/dev/dri/card0",))],
        inside={"id": [Finished(0, "/dev/nvidia0\n/dev/nvidiactl\n", "")]},
        printed={"id": f"2025-01-01T00:00:00Z {VLLM.format('cuda')}\n"},
    )
    (found,) = verify(engine, "demo")
    assert (found.service, found.state, found.line) == ("inference", "gpu", VLLM.format("cuda"))
    assert found.nodes == ("/dev/nvidia0", "/dev/nvidiactl") and found.devices == ("nvidia: all",)


@pytest.mark.parametrize(
    ("nodes", "state"),
    [
        (("/dev/nvhost-ctrl-gpu",), "unknown"),
        (("/dev/nvgpu/igpu0/ctrl",), "unknown"),
        (("/dev/nvidia0", "/dev/nvidia-modeset"), "cpu"),
        ((), "cpu"),
    ],
)
def test_the_gpu_of_a_board_has_nodes_of_its_own(nodes: tuple[str, ...], state: str) -> None:
    assert judged(Evidence(CUDA, nodes)).state == state


def test_a_container_is_asked_for_every_node_that_says_something() -> None:
    asked = LIST[-1].split()
    known = {one for name in vendors.choices() for row in vendors.vendor(name).inside for one in row}
    assert [one for one in known if not any(fnmatch(one, pattern) for pattern in asked)] == []


def test_a_container_without_a_shell_is_not_called_wrong() -> None:
    engine = FakeEngine(given=[CUDA], inside={"id": [Finished(127, "", "sh: not found")]})
    assert [one.state for one in verify(engine, "demo")] == ["unknown"]
    broken = FakeEngine(given=[CUDA], failures={"execute": EngineError("hangs")})
    assert [one.state for one in verify(broken, "demo")] == ["unknown"]


def test_a_fallback_is_an_error_that_says_of_each_service_why() -> None:
    wrong = judged(Evidence(CUDA, CUDA_NODES, "cpu", "library=cpu"))
    right = judged(Evidence(ROCM, ROCM_NODES, "gpu"))
    refuse_fallback([right])
    with pytest.raises(NotReadyError) as caught:
        refuse_fallback([right, wrong])
    assert caught.value.exit_code == 5 and fallen_back([right, wrong]) == [wrong]
    assert caught.value.details == ("inference: its server says that it works on the processor: library=cpu",)


def test_several_are_told_in_the_order_of_their_names() -> None:
    given = [Given(name, f"demo-{name}-1", name, "cuda") for name in ("b", "c", "a")]
    with pytest.raises(NotReadyError, match=r"^a, b, c were to work on a GPU, and work on the processor"):
        refuse_fallback(verify(FakeEngine(given=given), "demo"))


def inspected(host: dict[str, Any], command: list[str] | None = None, **carried: str) -> dict[str, Any]:
    """A container as engines describe it, the parts that matter."""
    config = {"Labels": {"com.docker.compose.service": "web", **carried}, "CreateCommand": command}
    return {"Id": "abc", "Name": "/demo-web-1", "Config": config, "HostConfig": host}


@pytest.mark.parametrize(
    ("host", "command", "devices"),
    [
        ({"DeviceRequests": None, "Devices": None}, None, ()),
        ({"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "DeviceIDs": None}]}, None, ("nvidia: all",)),
        ({"DeviceRequests": [{"Driver": "", "Count": 2}]}, None, ("gpu: 2",)),
        (
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]},
            None,
            ("cdi: nvidia.com/gpu=all",),
        ),
        ({"Devices": [{"PathOnHost": "/dev/kfd", "PathInContainer": "/dev/kfd"}]}, None, ("/dev/kfd",)),
        ({"Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse"}]}, None, ()),
        ({}, ["podman", "run", "--device", "nvidia.com/gpu=all", "image"], ("nvidia.com/gpu=all",)),
        ({}, ["podman", "create", "--device=/dev/dri", "image"], ("/dev/dri",)),
        ({}, ["podman", "run", "image", "--device"], ()),
    ],
)
def test_engines_say_in_different_ways_what_they_were_told(
    host: dict[str, Any], command: list[str] | None, devices: tuple[str, ...]
) -> None:
    found = given(inspected(host, command, **{"lcompose.accelerator": "cuda"}))
    assert found == Given("abc", "demo-web-1", "web", "cuda", devices)


def test_what_nobody_promised_has_no_vendor() -> None:
    assert given(inspected({})) == Given("abc", "demo-web-1", "web")
