"""What is known of one process, in a file: replaced as a whole, and written even where there is no space."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import time
from contextlib import suppress

STATE, SPARE, SPEC, HELD, ORDERS, LOG = "state.json", "spare", "spec.json", "held", "orders", "log"
EVENTS = "events"
# So much of the spare is there before it is needed.
ROOM = 4096
MOST_EVENTS = 1024 * 1024
_FLOCK = "hhqqi4x"

Fields = dict[str, object]
BEGINNING: Fields = {
    "n": 0,
    "state": "created",
    "pid": [0, 0],
    "keeper": [0, 0],
    "guard": [0, 0],
    "exit_code": 0,
    "restarts": 0,
    "started": 0.0,
    "finished": 0.0,
    "error": "",
    "oom_killed": False,
    "stopped": False,
    "lost": 0,
    "unenforced": "",
}


class Record:
    """The fields of one process; each change is written at once."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.fields = read(folder)

    def change(self, **fields: object) -> None:
        """Changes some fields; where they cannot be written, they are known here all the same."""
        number = self.fields["n"]
        assert isinstance(number, int)
        self.fields = {**self.fields, **fields, "n": number + 1}
        text = json.dumps(self.fields).encode()
        try:
            _replace(os.path.join(self.folder, STATE), text)
        except OSError:
            with suppress(OSError):
                _overwrite(os.path.join(self.folder, SPARE), text)


def read(folder: str) -> Fields:
    """The latest that was written; what is damaged counts as never written."""
    found = [BEGINNING | _read(os.path.join(folder, name)) for name in (STATE, SPARE)]
    return max(found, key=lambda fields: fields["n"])  # type: ignore[arg-type,return-value]


def make(folder: str) -> None:
    """Makes the files of a process that never ran.

    Raises: OSError.
    """
    with open(os.path.join(folder, SPARE), "wb") as stream:
        stream.write(b" " * ROOM)
    os.mkfifo(os.path.join(folder, ORDERS), 0o600)
    _replace(os.path.join(folder, STATE), json.dumps(BEGINNING).encode())


def _read(path: str) -> Fields:
    try:
        with open(path, "rb") as stream:
            found = json.loads(stream.read() or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("n", 0), int) else {}


def _replace(path: str, text: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(handle, text) < len(text):
                raise OSError("no space")
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _overwrite(path: str, text: bytes) -> None:
    """Writes where there is something already, which needs no new space."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(handle, text.ljust(ROOM), 0)
    finally:
        os.close(handle)


def tell(folder: str, container: str, service: str, action: str, exit_code: int | None = None) -> None:
    """Adds an event to those of the project; one that cannot be written is lost, as engines lose some."""
    event = {"time": time.time(), "action": action, "container": container, "service": service, "exit_code": exit_code}
    path = os.path.join(os.path.dirname(folder), EVENTS)
    with suppress(OSError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(handle).st_size > MOST_EVENTS:
                os.ftruncate(handle, 0)
            os.write(handle, json.dumps(event).encode() + b"\n")
        finally:
            os.close(handle)


def hold(folder: str) -> int:
    """Holds a process, as long as the handle is open here or in whoever got it from us; -1 if somebody does.

    Raises: OSError.
    """
    handle = os.open(os.path.join(folder, HELD), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _lock())
    except BlockingIOError:
        os.close(handle)
        return -1
    return handle


def is_held(folder: str) -> bool:
    """Whether somebody holds a process: asking does not get into anybody's way."""
    try:
        handle = os.open(os.path.join(folder, HELD), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, _lock())
    finally:
        os.close(handle)
    kind: int = struct.unpack(_FLOCK, found)[0]
    return kind != fcntl.F_UNLCK


def _lock() -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
