"""Environments that uv has made, remembered: what is in one is started without asking uv for it again.

That asking takes as long as all that lcompose does itself before a start, twice: once to see that
everything is here, and once to start it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lcompose.host import state_directory

TOOL = ("uv", "tool", "run")
OFFLINE = "--offline"
# Options of uv's, each with a value, that say which environment is meant.
SAYING_WHICH = ("--python", "--from", "--with")
# A program of Python's that tells where it is.
WHERE = ("python", "-c", "import sys; print(sys.prefix)")
# Only of such folders nothing is ever changed in place: they are named after what is in them.
NEVER_CHANGED = "archive-v"


def remember(argv: Sequence[str], env: Mapping[str, str], folder: str) -> None:
    """Remembers where the environment is that these words of uv's mean; where that cannot be, it is asked again."""
    if not _is_lasting(folder) or tuple(argv[:3]) != TOOL:
        return
    path = _path(argv, env)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.write_text(folder)
        fresh.replace(path)


def known(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """The folder of the environment that these words of uv's mean; empty where none is known, or it is gone."""
    try:
        folder = _path(argv, env).read_text()
    except (OSError, UnicodeDecodeError):
        return ""
    return folder if _is_lasting(folder) else ""


def directly(argv: Sequence[str], env: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """A command without uv before it, and the folder of its programs; the command as it is where none is known."""
    words, program = _parted(tuple(argv))
    folder = known(words, env) if program else ""
    path = f"{folder}/bin/{program[0]}" if folder else ""
    if not path or not os.access(path, os.X_OK):
        return tuple(argv), ""
    return (path, *program[1:]), f"{folder}/bin"


def _parted(argv: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words that say which environment is meant, and the program in it with its arguments."""
    if argv[:3] != TOOL:
        return (), ()
    rest = argv[4:] if argv[3:4] == (OFFLINE,) else argv[3:]
    count = 0
    while rest[count : count + 1] and rest[count] in SAYING_WHICH:
        count += 2
    return (*TOOL, *rest[:count]), rest[count:]


def _is_lasting(folder: str) -> bool:
    path = Path(folder)
    return path.parent.name.startswith(NEVER_CHANGED) and (path / "bin" / "python").exists()


def _path(argv: Sequence[str], env: Mapping[str, str]) -> Path:
    """A file named after all that has a say in which environment is meant; there may be passwords in that."""
    said = {name: value for name, value in env.items() if name.startswith("UV_") or name in ("HOME", "XDG_CACHE_HOME")}
    digest = hashlib.sha256("\0".join([*argv, *(f"{name}={said[name]}" for name in sorted(said))]).encode())
    return state_directory(env) / "environments" / digest.hexdigest()[:24]
