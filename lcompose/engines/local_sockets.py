"""The place of a socket that is a file: made before a process starts, and free of one that nobody listens at."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

from lcompose import host
from lcompose.errors import EngineError

FIX = "Stop what listens there, or name another: services.NAME.local.socket."


def make_room(service: str, path: Path) -> None:
    """Makes the folder of a socket, for this user alone, and removes a socket that is left over.

    Raises: EngineError where something else is there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_stale(service, path)
    except OSError as error:
        what = f"{service} cannot listen there: {error.strerror or error}"
        raise EngineError(what, str(path), "Name another: services.NAME.local.socket.") from error


def remove_stale(service: str, path: Path) -> None:
    """Removes a socket at which nobody listens.

    Raises: EngineError where somebody does, or where it is none; OSError.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise EngineError(f"{service} cannot listen there: a file that is no socket is in the way", str(path), FIX)
    if host.socket_listens(path):
        raise EngineError(f"{service} cannot listen there: another program does", str(path), FIX)
    path.unlink(missing_ok=True)


def forget(path: Path) -> None:
    """Removes what a process that has ended left there; what is not its own stays."""
    with suppress(EngineError, OSError):
        remove_stale("", path)
