"""How much memory a model needs, by its name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from lcompose.lightspeed.companion_files import companion, servers
from lcompose.lightspeed.model_memory import chosen, estimate, room, warning
from lcompose.spec.machine import GIB, Gpu, Machine, Partition

# The weights in GiB as they are published, and what a server needs beside them at least and at most.
MODELS = [
    ("Qwen/Qwen3-0.6B", "bf16", 1.2, 4),
    ("Qwen/Qwen3-1.7B", "bf16", 3.2, 7),
    ("Qwen/Qwen3-4B-Instruct-2507", "bf16", 7.5, 11),
    ("Qwen/Qwen3-8B", "bf16", 15.3, 20),
    ("Qwen/Qwen3-8B-FP8", "bf16", 8.0, 13),
    ("Qwen/Qwen3-8B-AWQ", "bf16", 5.0, 9),
    ("Qwen/Qwen3-14B", "bf16", 27.5, 34),
    ("Qwen/Qwen3-32B", "bf16", 61, 72),
    ("Qwen/Qwen3-30B-A3B", "bf16", 57, 68),
    ("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8", "bf16", 29, 38),
    ("Qwen/Qwen2.5-7B-Instruct", "bf16", 14.2, 18.5),
    ("Qwen/Qwen2.5-32B-Instruct-AWQ", "bf16", 18, 25),
    ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4", "bf16", 39, 50),
    ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8", "bf16", 71, 85),
    ("meta-llama/Llama-3.1-8B-Instruct", "bf16", 15.0, 19.5),
    ("meta-llama/Llama-3.3-70B-Instruct", "bf16", 131, 150),
    ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "bf16", 67, 80),
    ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "bf16", 5.3, 9),
    ("meta-llama/Llama-3.2-1B-Instruct", "bf16", 2.0, 5),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "bf16", 200, 225),
    ("mistralai/Mixtral-8x7B-Instruct-v0.1", "bf16", 86, 96),
    ("mistralai/Mixtral-8x22B-Instruct-v0.1", "bf16", 258, 290),
    ("mistralai/Mistral-7B-Instruct-v0.3", "bf16", 13.5, 18),
    ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "bf16", 44, 54),
    ("ibm-granite/granite-3.3-8b-instruct", "bf16", 15.2, 20),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "bf16", 14.2, 18.5),
    ("deepseek-ai/DeepSeek-V3-0324", "bf16", 640, 700),
    ("openai/gpt-oss-20b", "bf16", 12, 17),
    ("openai/gpt-oss-120b", "bf16", 60, 75),
    ("microsoft/Phi-4-mini-instruct", "bf16", 7.1, 11),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "bf16", 0.25, 3),
    ("google/gemma-3-27b-it", "bf16", 51, 60),
    ("llama3.2:3b", "q4", 1.9, 4),
    ("llama3.1:8b", "q4", 4.6, 7),
    ("llama3.1:8b-instruct-q8_0", "q4", 7.9, 11),
    ("llama3.1:8b-instruct-fp16", "q4", 15, 19),
    ("llama3.3:70b", "q4", 39.5, 50),
    ("qwen3:0.6b", "q4", 0.35, 1.6),
    ("qwen3:8b", "q4", 4.8, 7.5),
    ("qwen3:30b-a3b", "q4", 17, 23),
    ("gemma3n:e4b", "q4", 4.3, 8),
    ("deepseek-r1:14b", "q4", 8.3, 12),
    ("mixtral:8x7b", "q4", 24.5, 31),
    ("Qwen/Qwen3-8B-GGUF:Q4_K_M", "q4", 4.7, 7.5),
    ("unsloth/Qwen3-30B-A3B-GGUF:Q2_K", "q4", 10, 15),
    ("bartowski/Llama-3.2-3B-Instruct-GGUF:Q6_K", "q4", 2.4, 5),
]


@pytest.mark.parametrize(("model", "weights", "least", "most"), MODELS)
def test_the_estimate_of_a_well_known_model_is_near(model: str, weights: str, least: float, most: float) -> None:
    found = estimate(model, weights)
    assert found is not None
    assert least <= found / GIB <= most


@pytest.mark.parametrize(
    "model", ["", "mistral", "llama3.1", "org/my-model", "org/v2-final", "a1b2c3", "/models/x.gguf"]
)
def test_a_name_that_says_nothing_gives_no_number(model: str) -> None:
    assert estimate(model, "bf16") is None


NAMES = some.text(alphabet="abcdefghijklmnopqrstuvwxyzABC0123456789./:-_", max_size=40)
SIZES = some.integers(1, 700)
WEIGHTS = some.sampled_from(["bf16", "q4"])


@settings(max_examples=200, deadline=None)
@given(NAMES, WEIGHTS)
def test_any_name_at_all_gives_a_number_or_none(name: str, weights: str) -> None:
    found = estimate(name, weights)
    assert found is None or found > 0


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, WEIGHTS)
def test_more_parameters_never_need_less(one: int, other: int, weights: str) -> None:
    small, large = sorted((one, other))
    first, second = (estimate(f"org/model-{size}b", weights) for size in (small, large))
    assert first is not None and second is not None and first <= second


@settings(max_examples=100, deadline=None)
@given(SIZES, some.sampled_from(["AWQ", "FP8", "GPTQ-Int4", "w4a16", "Q4_K_M", "Q2_K"]))
def test_a_quantised_model_needs_less_and_at_least_its_weights(size: int, words: str) -> None:
    whole, quantised = estimate(f"org/model-{size}B", "bf16"), estimate(f"org/model-{size}B-{words}", "bf16")
    assert whole is not None and quantised is not None
    assert size * 1e9 * 2 / 8 < quantised < whole


@settings(max_examples=100, deadline=None)
@given(SIZES, some.integers(1, 20))
def test_the_experts_that_work_at_a_time_do_not_count(size: int, active: int) -> None:
    assert estimate(f"org/model-{size + active}B-A{active}B", "bf16") == estimate(f"org/model-{size + active}B", "bf16")


def test_every_server_says_how_it_keeps_weights() -> None:
    for name in servers():
        vendor = "cuda"
        kind = companion(name, vendor)
        assert estimate(kind.model, kind.weights), name


def gpus(*free: int | None, vendor: str = "cuda") -> Machine:
    """A machine with GPUs of 24 GiB, so much of which is free."""
    found = (
        Gpu(vendor, index=n, uuid=f"GPU-{n}", memory=24 * GIB, free=None if one is None else one * GIB)
        for n, one in enumerate(free)
    )
    return Machine(tuple(found), memory=32 * GIB)


@pytest.mark.parametrize(
    ("machine", "vendor", "ids", "size"),
    [
        (gpus(20, 10), "cuda", (), 30),
        (gpus(20, 10), "cuda", ("1",), 10),
        (gpus(20, 10), "cuda", ("GPU-0",), 20),
        (gpus(None), "cuda", (), 24),
        (gpus(20), "rocm", (), None),
        (gpus(20), "cuda", ("7",), None),
        (gpus(20), "none", (), 32),
        (Machine(), "none", (), None),
        (Machine((Gpu("cuda"),)), "cuda", (), None),
    ],
)
def test_there_is_as_much_room_as_is_free(
    machine: Machine, vendor: str, ids: tuple[str, ...], size: int | None
) -> None:
    assert room(machine, vendor, ids) == (None if size is None else size * GIB)


def test_a_part_of_a_gpu_has_its_own_memory() -> None:
    parts = (Partition("MIG-a", "1g.10gb", 10 * GIB), Partition("MIG-b", "3g.40gb", 40 * GIB))
    whole = Machine((Gpu("cuda", uuid="GPU-a", memory=80 * GIB, partitions=parts),))
    assert room(whole, "cuda", ("MIG-a",)) == 10 * GIB
    assert chosen(whole, "cuda", ("MIG-a",)) == whole.gpus


def test_a_gpu_with_a_problem_is_no_room() -> None:
    assert room(Machine((Gpu("cuda", memory=GIB, problem="no driver"),)), "cuda") is None


def test_what_does_not_fit_is_told_with_the_ways_out() -> None:
    found = warning("Qwen/Qwen3-8B", "bf16", gpus(10, 4), "cuda", ())
    assert found and found.severity == "warning" and found.path == "model"
    assert found.what == "Qwen/Qwen3-8B needs about 18.0 GiB, and 14.0 GiB are free on the GPUs that it gets"
    assert all(word in found.fix for word in ("--model", "--max-model-len", "--gpu-ids"))


@pytest.mark.parametrize("model", ["Qwen/Qwen3-8B-AWQ", "org/who-knows"])
def test_what_fits_or_is_not_known_is_not_told(model: str) -> None:
    assert warning(model, "bf16", gpus(10, 4), "cuda", ()) is None
