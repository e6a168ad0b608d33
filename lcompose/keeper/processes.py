"""Processes of this machine: told apart by number and moment of birth, since numbers are used again."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress

# The variable that all processes of one service have.
MARK = "LCOMPOSE_PROCESS"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl
# Fields of /proc/PID/stat, counted from the one behind the name.
_STATE, _PARENT, _SESSION, _BIRTH = 0, 1, 3, 19

# A number, and the moment of birth in ticks since the machine started.
Process = tuple[int, int]


def adopt_orphans() -> None:
    """From now on, whoever loses its parent below us becomes ours."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Has the kernel kill us when our parent is gone."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def birth(pid: int) -> int:
    """When a process was born; 0 where there is none, or only what is left of one."""
    found = _stat(pid)
    return int(found[_BIRTH]) if found and found[_STATE] not in ("Z", "X") else 0


def lives(process: Process) -> bool:
    """Whether just this process runs."""
    return process[0] > 0 and birth(process[0]) == process[1] > 0


def send(process: Process, number: int) -> bool:
    """Sends a signal to just this process, and says whether it was there."""
    try:
        handle = os.pidfd_open(process[0])
    except OSError:
        return False
    try:
        # The handle stands for one process, so what is true now stays true of it.
        if birth(process[0]) != process[1]:
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def below(pid: int) -> list[Process]:
    """All that came of a process and still runs, however many generations on."""
    stats = [(one, found) for one in _all() if (found := _stat(one))]
    children: dict[int, list[int]] = {}
    for one, found in stats:
        children.setdefault(int(found[_PARENT]), []).append(one)
    births = {one: int(found[_BIRTH]) for one, found in stats if found[_STATE] not in ("Z", "X")}
    family, waiting = [], [pid]
    while waiting:
        brood = children.get(waiting.pop(), [])
        family += brood
        waiting += brood
    return [(one, births[one]) for one in family if one in births]


def marked(mark: str) -> list[Process]:
    """All processes that have a mark in their environment, as far as we may look."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in _all():
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as stream:
            if wanted in stream.read().split(b"\0") and (moment := birth(pid)):
                found.append((pid, moment))
    return found


def is_of(pid: int, mark: str) -> bool:
    """Whether a process, or one that it came of, has a mark: some write over what the kernel shows of their own."""
    wanted = f"{MARK}={mark}".encode()
    while pid > 1:
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as stream:
            if wanted in stream.read().split(b"\0"):
                return True
        found = _stat(pid)
        pid = int(found[_PARENT]) if found else 0
    return False


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    # A name may hold anything, brackets too.
    return text.rpartition(")")[2].split()
