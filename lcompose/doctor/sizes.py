"""How much room things take: in words, and as far as that is known beforehand."""

from __future__ import annotations

import re

from lcompose.spec.machine import GIB

MIB = 1024**2

# About what an image takes when it is unpacked, by a part of its name; the first that fits counts.
_IMAGES = (
    (re.compile(r"vllm.*(rocm)"), 30 * GIB),
    (re.compile(r"vllm|rhaiis|rhaii"), 20 * GIB),
    (re.compile(r"ollama.*rocm"), 10 * GIB),
    (re.compile(r"ollama"), 5 * GIB),
    (re.compile(r"llama\.cpp.*(cuda|rocm|intel)"), 8 * GIB),
    (re.compile(r"llama\.cpp"), GIB),
    (re.compile(r"postgres|pgvector"), GIB // 2),
    (re.compile(r"lightspeed|llama-stack|ogx|distribution"), 5 * GIB),
    (re.compile(r""), 2 * GIB),
)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": MIB, "g": GIB, "t": 1024 * GIB}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)


def told(size: int) -> str:
    """A number of bytes in words."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def image(reference: str) -> int:
    """About the bytes that an image takes on the disk."""
    return next(size for pattern, size in _IMAGES if pattern.search(reference))


def limit(text: str) -> int:
    """The bytes of a limit as Compose writes it, such as ``4g``; 0 for none, and for what is no size."""
    match = _SIZE.fullmatch(text.strip())
    return int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
