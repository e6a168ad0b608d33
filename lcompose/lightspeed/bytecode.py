"""Bytecode of Python services: their images have none, and compiling takes half of their start.

It lies on the service's volume, apart for each image: Python takes a source of the same size and time
for the same source, and images may be made with one time for all files.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from lcompose.spec.text import Text

PRECOMPILE = Path(__file__).with_name("precompile.py")


def environment(directory: str, image: str, *, written: bool) -> tuple[tuple[str, Text], ...]:
    """The variables that put it below a directory; ``written`` lets the service write it itself."""
    prefix = f"{directory}/bytecode/{sha256(image.encode()).hexdigest()[:8]}"
    # Upstream's images forbid writing.
    allowed: tuple[tuple[str, Text], ...] = (("PYTHONDONTWRITEBYTECODE", ""),) if written else ()
    return (("PYTHONPYCACHEPREFIX", prefix), *allowed)


def precompiling(directory: str) -> tuple[str, ...]:
    """What compiles the program in a directory of the container, beside it."""
    return ("python3", "-c", PRECOMPILE.read_text(encoding="utf-8"), directory)
