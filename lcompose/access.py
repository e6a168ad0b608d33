"""Which user of a container may read a file of this machine, and the command that lets it."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

ACL = "system.posix_acl_access"
# Kinds of entries in an ACL: one named user, and the bound for all who are named.
NAMED, MASK = 0x02, 0x10
READ, ENTER = 4, 1


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a mounted file: a service, its user's number, and the command that lets it where it may not."""

    service: str
    uid: int
    command: str = ""


def readable_by(path: Path, uid: int, *, mapped: bool) -> bool:
    """Whether the user of that number in a container may read a file or folder.

    ``mapped`` says that the engine is a person's own: then 0 is that person, and any other number somebody
    whose number here is not known.

    Raises: OSError.
    """
    found = path.stat()
    wanted = READ | ENTER if stat.S_ISDIR(found.st_mode) else READ
    own = uid if not mapped else (os.getuid() if uid == 0 else -1)
    users = _named_users(path, wanted)
    named = bool(users) if mapped else uid in users
    return named or _may(found.st_mode, wanted) or (found.st_uid == own and _may(found.st_mode >> 6, wanted))


def _may(bits: int, wanted: int) -> bool:
    return bits & wanted == wanted


def _named_users(path: Path, wanted: int) -> frozenset[int]:
    """The users whom the file's ACL names and lets do what is wanted."""
    try:
        entries = list(_entries(os.getxattr(path, ACL)))
    except OSError:
        return frozenset()
    bound = next((bits for kind, bits, _ in entries if kind == MASK), 7)
    return frozenset(uid for kind, bits, uid in entries if kind == NAMED and _may(bits & bound, wanted))


def _entries(data: bytes) -> Iterator[tuple[int, int, int]]:
    whole = len(data) - (len(data) - 4) % 8
    return struct.iter_unpack("<HHI", data[4:whole])


def command_for(path: Path, uid: int, setfacl: str) -> str:
    """What to run so that a user may read a file, or all of a folder; without ``setfacl``, everybody may then."""
    more, bits = ("-R ", "rX") if path.is_dir() else ("", "r")
    where = quote(str(path))
    return f"{setfacl} {more}-m u:{uid}:{bits} {where}" if setfacl else f"chmod {more}o+{bits} {where}"
