"""Bytecode of Python services: their images have none, and compiling takes half of their start.

It lies on the service's volume, apart for each image: Python takes a source of the same size and time
for the same source, and images may be made with one time for all files. The services write none
themselves, which upstream's images forbid: writing thousands of files holds up a first start for seconds.

Until it is there Python must not look for it: it would pass over the bytecode that images do have, that of
the standard library.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from lcompose.spec.text import Text

PRECOMPILE = Path(__file__).with_name("precompile.py")
# The mark is set when what is imported at once has been compiled.
STARTER = ("sh", "-c", '[ -e "$PYTHONPYCACHEPREFIX/made" ] || unset PYTHONPYCACHEPREFIX; exec "$@"', "sh")


def environment(directory: str, image: str) -> tuple[tuple[str, Text], ...]:
    """The variables that put it below a directory."""
    return (("PYTHONPYCACHEPREFIX", f"{directory}/bytecode/{sha256(image.encode()).hexdigest()[:8]}"),)


def precompiling(program: str) -> tuple[str, ...]:
    """What compiles a program, a package or a directory of the container, for its next start."""
    return ("python3", "-c", PRECOMPILE.read_text(encoding="utf-8"), program)
