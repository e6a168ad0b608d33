"""Writes documents: atomically, never over a person's own file; and the state that lcompose keeps."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from lcompose.errors import DriftError, LockedError, MachineError, UsageError
from lcompose.host import state_directory
from lcompose.spec.bundle import Bundle

MARK = "# Made by lcompose"
STATE_FIX = "lcompose keeps its state there. Set XDG_STATE_HOME to a folder that you may write."
LOCK_PAUSE = 0.1
# ``events`` tries the lock for a moment now and then: that is no other command at work.
LOCK_LEAST = 0.25
# What inline documents and secrets of a compose file become where its reader knows none.
CONTENTS = "contents"
SEAL = re.compile(r"^# lcompose-digest: ([0-9a-f]{16})\n", re.MULTILINE)


def sealed(text: str) -> str:
    """The text with a line in its header that tells later whether somebody edited it."""
    first, newline, rest = text.partition("\n")
    return f"{first}{newline}# lcompose-digest: {_digest(text)}\n{rest}"


def is_ours(text: str) -> bool:
    """Whether lcompose wrote a file."""
    return text.startswith(MARK)


def was_edited(text: str) -> bool:
    """Whether a file that lcompose wrote has changed since."""
    match = SEAL.search(text)
    return match is None or _digest(SEAL.sub("", text, count=1)) != match[1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_bundle(bundle: Bundle, directory: Path, *, force: bool = False) -> list[Path]:
    """Writes every document of a bundle below a directory; all or nothing is refused first.

    Raises: DriftError when a file there is not lcompose's, or was edited; UsageError when the
    directory cannot be written; MachineError when it is full.
    """
    targets = [(directory / document.path, sealed(document.text)) for document in bundle.documents]
    for path, _ in targets:
        _refuse_foreign(path, force=force)
    try:
        for document in bundle.documents:
            if document.private:
                _close((directory / document.path).parent)
        return [_write_if_changed(path, text) for path, text in targets]
    except OSError as error:
        raise unwritable(error, directory, "Name another -o.") from error


def _close(folder: Path) -> None:
    """Makes a folder that nobody else can enter. What is in it stays readable: a container's user is nobody
    of this machine, and gets the file mounted by itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def unwritable(error: OSError, directory: Path, fix: str) -> UsageError | MachineError:
    """What a failure to write means to a person: no space, or the wrong folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError("there is no space left to write to", str(directory), "Make space, then try again.")
    return UsageError(f"the folder cannot be written: {error.strerror or error}", str(directory), fix)


def _refuse_foreign(path: Path, *, force: bool) -> None:
    try:
        text = _read(path)
    except FileNotFoundError:
        return
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"this cannot be replaced: {reason}", str(path), "Name another folder with -o.") from error
    if not is_ours(text):
        raise DriftError("this file is not lcompose's, and is left alone", str(path), "Move it, or use another -o.")
    if was_edited(text) and not force:
        raise DriftError("somebody edited this generated file", str(path), "Keep the edit, or pass --force.")


def _read(path: Path) -> str:
    # Not read_text: it would take \r\n for \n, and the locale's encoding for ours.
    return path.read_bytes().decode(errors="replace")


def _write_if_changed(path: Path, text: str) -> Path:
    if not path.exists() or _read(path) != text:
        write_atomically(path, text, mode=0o644)
    return path


def write_atomically(path: Path, text: str, *, mode: int) -> None:
    """Writes a file so that a reader sees the old one or the new one, and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(text.encode())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads."""
    write_atomically(path, text, mode=0o600)


def project_path(env: Mapping[str, str], endpoint: str, project: str) -> Path:
    """Where the state of a project on an engine is kept; nothing is made."""
    key = hashlib.sha256(endpoint.encode()).hexdigest()[:12]
    return state_directory(env) / key / project


def project_directory(env: Mapping[str, str], endpoint: str, project: str) -> Path:
    """The same folder, made when it is not there.

    Raises: UsageError when it cannot be made.
    """
    directory = project_path(env, endpoint, project)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise unwritable(error, directory, STATE_FIX) from error
    return directory


def replace_private_bundle(bundle: Bundle, directory: Path) -> Path:
    """Writes the documents that the engine itself reads; nobody else edits them.

    They stay readable for containers, whose user is another one; the folder above is private.

    Raises: UsageError, MachineError.
    """
    try:
        for document in bundle.documents:
            path = directory / document.path
            write_atomically(path, document.text, mode=document.mode)
            hand_over(path, document.mode, document.uid, document.gid)
    except OSError as error:
        raise unwritable(error, directory, STATE_FIX) from error
    return directory / bundle.main.path


def hand_over(path: Path, mode: int, uid: int, gid: int) -> None:
    """Gives a file to a user and a group of a container; 0 is whoever writes it.

    Raises: MachineError where only root may do that; OSError.
    """
    if not (uid or gid):
        return
    try:
        os.chown(path, uid, gid)
    except PermissionError as error:
        what = f"only root can give a file to the user {uid}:{gid}"
        raise MachineError(what, path.name, "Leave out uid and gid, or run this as root.") from error
    path.chmod(mode)  # some systems take bits away with the owner


def forget_contents(directory: Path) -> None:
    """Removes what was written for containers that are gone: it may have been secret."""
    from shutil import rmtree

    rmtree(directory / CONTENTS, ignore_errors=True)


@contextmanager
def locked(
    directory: Path, project: str, patience: float = 0, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Holds a project, so that two commands do not change it at the same time.

    Another one that holds it is waited for, ``patience`` seconds at most; ``on_wait`` is told of it.

    Raises: LockedError when another lcompose holds it; UsageError when it cannot be held.
    """
    with _waited_for(directory, project, patience, on_wait):
        yield


def is_held(directory: Path, project: str) -> bool:
    """Whether somebody holds a project at this moment; nobody is waited for.

    Raises: UsageError when it cannot be told.
    """
    try:
        _held(directory, project).close()
    except LockedError:
        return True
    return False


def _waited_for(directory: Path, project: str, patience: float, on_wait: Callable[[], None] | None) -> TextIO:
    import time

    until = time.monotonic() + max(patience, LOCK_LEAST)
    while True:
        try:
            return _held(directory, project)
        except LockedError:
            if time.monotonic() >= until:
                raise
        if on_wait and patience:
            on_wait()
            on_wait = None
        time.sleep(LOCK_PAUSE)


def _held(directory: Path, project: str) -> TextIO:
    """The lock, now or never. The kernel lets go of it when its holder ends, however that comes."""
    import fcntl

    try:
        stream = (directory / "lock").open("w")
    except OSError as error:
        raise unwritable(error, directory, STATE_FIX) from error
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stream.close()
        if not isinstance(error, BlockingIOError):
            raise unwritable(error, directory, STATE_FIX) from error
        fix = "Wait until it has finished, then try again."
        raise LockedError(f"another lcompose works on the project {project!r}", "", fix) from None
    return stream


def salt_of(directory: Path) -> str:
    """A random text that belongs to a project's folder, made when it is asked for first.

    Raises: UsageError or MachineError when it cannot be kept.
    """
    path = directory / "salt"
    try:
        if not path.exists():
            write_private(path, secrets.token_hex(16))
        return path.read_text()
    except OSError as error:
        raise unwritable(error, directory, STATE_FIX) from error
