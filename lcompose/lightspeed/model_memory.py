"""How much memory a model needs, by its name: told before anything is fetched, where it will not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import sqrt

from lcompose.errors import Finding, Position
from lcompose.spec.machine import GIB, Gpu, Machine
from lcompose.vendors import CPU

BILLION = 1_000_000_000
# Bits of one weight, where the name does not tell. What is called 4 bits has scales beside it, and some
# layers stay whole.
DEFAULT_BITS = {"bf16": 16.0, "q4": 4.85}
# Words for how weights are kept; the first that is in a name counts.
BITS: tuple[tuple[str, float], ...] = (
    (r"fp32|f32", 32),
    (r"q8_0|q8", 8.5),
    (r"fp8|int8|w8a8|w8a16|8-?bit", 8.2),
    (r"bf16|fp16|f16", 16),
    (r"iq1_?\w*|q1_?\w*", 2.0),
    (r"iq2_?\w*|q2_?\w*", 3.0),
    (r"iq3_?\w*|q3_?\w*|int3|3-?bit", 3.9),
    (r"q6_?\w*|6-?bit", 6.6),
    (r"q5_?\w*|5-?bit", 5.7),
    (r"iq4_?\w*|q4_?\w*", 4.85),
    (r"awq|gptq|int4|w4a16|w4a4|4-?bit|mxfp4|nvfp4|fp4|qat", 4.85),
)
# Names without a number in them, or with one that means something else: billions of parameters, and how
# the weights are published if that is unusual.
KNOWN: tuple[tuple[str, float, float], ...] = (
    (r"llama-?4[-:]scout", 109, 0),
    (r"llama-?4[-:]maverick", 402, 0),
    (r"gpt-oss[-:]20b", 21, 4.85),
    (r"gpt-oss[-:]120b", 117, 4.85),
    (r"deepseek-(v3|r1)(?!-distill|:\d)", 685, 8.2),
    (r"kimi-k2", 1030, 8.2),
    (r"mistral-small", 24, 0),
    (r"mistral-nemo", 12.2, 0),
    (r"phi-?4-mini", 3.8, 0),
    (r"phi-?4", 14.7, 0),
    (r"granite-4\.0-h-small", 32, 0),
    (r"granite-4\.0-h-tiny", 7, 0),
)
_EXPERTS = re.compile(r"(?<![a-z0-9.])(\d+)x(\d+(?:\.\d+)?)b(?![a-z0-9])")
_SIZE = re.compile(r"(?<![a-z0-9.])(?P<effective>e?)(?P<number>\d+(?:\.\d+)?)(?P<unit>[bm])(?![a-z0-9])")
# Experts share what is not theirs: 8 of 7 billion are 47 billion, and no 56.
SHARED = 0.82
# Of a model that names the parameters that count ("E4B"), twice as many lie in memory.
EFFECTIVE = 2.0
# Names round down.
ROUNDING = 1.04
# What a conversation of 8 000 tokens takes with 8 billion parameters; it grows with the root of these.
CONVERSATION, OF_PARAMETERS = 1.0 * GIB, 8 * BILLION
LEAST_CONVERSATION = GIB // 4
# The runtime itself, and what is computed with.
RUNTIME = {"bf16": 1.5 * GIB, "q4": 0.5 * GIB}
WAYS_OUT = (
    "Take a smaller model, or a quantised one, with --model; let it remember less, "
    "such as --set inference_args=--max-model-len,8192 for vLLM; or give it more GPUs with --gpu-ids."
)


def estimate(model: str, weights: str) -> int | None:
    """Bytes that a model needs while it answers; None where its name does not say.

    ``weights`` is how its server keeps them if the name does not tell: bf16 or q4.
    """
    name = model.lower()
    found = _parameters(name)
    if found is None:
        return None
    parameters, published = found
    bits = _bits(name) or published or DEFAULT_BITS[weights]
    conversation = max(LEAST_CONVERSATION, CONVERSATION * sqrt(parameters / OF_PARAMETERS))
    return int(parameters * bits / 8 + conversation + RUNTIME[weights])


def _parameters(name: str) -> tuple[float, float] | None:
    """How many parameters a name stands for, and the bits that they are published with (0: the usual)."""
    for pattern, billions, bits in KNOWN:
        if re.search(pattern, name):
            return billions * BILLION, bits
    experts = _EXPERTS.search(name)
    if experts:
        return int(experts[1]) * float(experts[2]) * SHARED * BILLION, 0
    largest = max((_size(match) for match in _SIZE.finditer(name)), default=0.0)
    return (largest * ROUNDING, 0) if largest else None


def _size(match: re.Match[str]) -> float:
    unit = BILLION if match["unit"] == "b" else BILLION / 1000
    return float(match["number"]) * unit * (EFFECTIVE if match["effective"] else 1)


def _bits(name: str) -> float:
    return next((bits for pattern, bits in BITS if re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", name)), 0)


def chosen(machine: Machine, vendor: str, ids: Iterable[str]) -> tuple[Gpu, ...]:
    """The GPUs of a machine that ids mean, by number or UUID, also of a part; all that are no small help if none."""
    usable, wanted = machine.of(vendor), set(ids)
    if not wanted:
        return tuple(gpu for gpu in usable if not gpu.integrated) or usable
    return tuple(gpu for gpu in usable if wanted.intersection(gpu.names))


def room(machine: Machine, vendor: str, ids: Iterable[str] = ()) -> int | None:
    """Bytes that are there for a model: free on the GPUs that ids mean, or of memory. None: nobody knows."""
    if vendor == CPU:
        return machine.memory or None
    wanted = tuple(ids)
    parts = [
        part.memory
        for gpu in chosen(machine, vendor, wanted)
        for part in gpu.partitions
        if part.uuid in wanted and part.memory
    ]
    whole = [gpu.room for gpu in chosen(machine, vendor, wanted)]
    found = parts or whole
    return sum(found) if found and all(found) else None


def warning(model: str, weights: str, machine: Machine, vendor: str, ids: Iterable[str] = ()) -> Finding | None:
    """What to say before a model is fetched that does not fit; None where it does, or nobody knows."""
    needed, there = estimate(model, weights), room(machine, vendor, ids)
    if needed is None or there is None or needed <= there:
        return None
    where = "of memory are there" if vendor == CPU else "are free on the GPUs that it gets"
    what = f"{model} needs about {_told(needed)}, and {_told(there)} {where}"
    return Finding(Position("settings"), "model", what, WAYS_OUT, "warning")


def _told(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
