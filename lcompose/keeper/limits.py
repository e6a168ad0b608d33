"""Groups of processes that the kernel holds to a limit: made, entered and removed by writing files."""

from __future__ import annotations

import os
from contextlib import suppress

# Where the kernel counts those that it killed because memory ran out: for version 2, and for version 1.
_KILLS = ("memory.events", "memory.oom_control")
ENABLED = "cgroup.subtree_control"


class Groups:
    """The groups of one process, each a folder with what is written into its files first."""

    def __init__(self, wanted: list[tuple[str, dict[str, str]]]) -> None:
        self.wanted = wanted
        self._kills = 0

    def make(self) -> str:
        """Makes them anew, and says what cannot be done; empty where all can."""
        self.remove()
        problems = []
        for folder, files in self.wanted:
            try:
                self._make(folder, files)
            except OSError as error:
                problems.append(f"{folder}: {error.strerror or error}")
        self._kills = self._counted()
        return "; ".join(problems)

    def _make(self, folder: str, files: dict[str, str]) -> None:
        os.makedirs(folder, exist_ok=True)
        for name, value in files.items():
            _write(os.path.join(folder, name), value)

    def enter(self) -> None:
        """Puts the process that calls into them."""
        for folder, _ in self.wanted:
            with suppress(OSError):
                _write(os.path.join(folder, "cgroup.procs"), "0")

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed one of them for that since they were made."""
        return self._counted() > self._kills

    def _counted(self) -> int:
        found = 0
        for folder, _ in self.wanted:
            for name in _KILLS:
                with suppress(OSError, ValueError), open(os.path.join(folder, name)) as stream:
                    lines = [line.split() for line in stream]
                    found += sum(int(line[1]) for line in lines if line[:1] == ["oom_kill"])
        return found

    def remove(self) -> None:
        """Removes them; one that somebody is still in stays."""
        for folder, _ in self.wanted:
            with suppress(OSError):
                os.rmdir(folder)


def _write(path: str, value: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, value.encode())
    finally:
        os.close(handle)
