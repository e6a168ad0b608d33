"""Writes documents: atomically, never over a person's own file; and the state that lcompose keeps."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lcompose.errors import DriftError, LockedError, UsageError
from lcompose.host import state_directory
from lcompose.spec.bundle import Bundle

MARK = "# Made by lcompose"
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
    directory cannot be written.
    """
    targets = [(directory / document.path, sealed(document.text)) for document in bundle.documents]
    for path, _ in targets:
        _refuse_foreign(path, force=force)
    try:
        return [_write_if_changed(path, text) for path, text in targets]
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"the folder cannot be written: {reason}", str(directory), "Name another -o.") from error


def _refuse_foreign(path: Path, *, force: bool) -> None:
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"this cannot be replaced: {reason}", str(path), "Name another folder with -o.") from error
    if not is_ours(text):
        raise DriftError("this file is not lcompose's, and is left alone", str(path), "Move it, or use another -o.")
    if was_edited(text) and not force:
        raise DriftError("somebody edited this generated file", str(path), "Keep the edit, or pass --force.")


def _write_if_changed(path: Path, text: str) -> Path:
    if not path.exists() or path.read_text(errors="replace") != text:
        write_atomically(path, text, mode=0o644)
    return path


def write_atomically(path: Path, text: str, *, mode: int) -> None:
    """Writes a file so that a reader sees the old one or the new one, and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
            stream.write(text)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads."""
    write_atomically(path, text, mode=0o600)


def project_directory(env: Mapping[str, str], endpoint: str, project: str) -> Path:
    """Where the state of a project on an engine is kept.

    Raises: UsageError when it cannot be made.
    """
    key = hashlib.sha256(endpoint.encode()).hexdigest()[:12]
    directory = state_directory(env) / key / project
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        reason = error.strerror or str(error)
        fix = "Set XDG_STATE_HOME to a folder that you may write."
        raise UsageError(f"lcompose cannot keep its state: {reason}", str(directory), fix) from error
    return directory


def replace_private_bundle(bundle: Bundle, directory: Path) -> Path:
    """Writes the documents that the engine itself reads; nobody else edits them.

    They stay readable for containers, whose user is another one; the folder above is private.
    """
    for document in bundle.documents:
        write_atomically(directory / document.path, document.text, mode=0o644)
    return directory / bundle.main.path


@contextmanager
def locked(directory: Path, project: str) -> Iterator[None]:
    """Holds a project, so that two commands do not change it at the same time.

    Raises: LockedError when another lcompose holds it.
    """
    import fcntl

    with (directory / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fix = "Wait until it has finished, then try again."
            raise LockedError(f"another lcompose works on the project {project!r}", "", fix) from None
        yield
