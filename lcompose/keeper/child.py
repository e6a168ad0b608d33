"""Starts a program as a child that ends with us, in a session of its own."""

from __future__ import annotations

import errno
import os
import signal

from lcompose.keeper.limits import Groups
from lcompose.keeper.processes import die_with_parent

# What Python ignores, or a keeper does, and no program expects to be ignored.
_BY_DEFAULT = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGCHLD,
)
# As shells and engines have it.
NOT_FOUND, NOT_RUNNABLE = 127, 126
_AT_DIRECTORY, _AT_PROGRAM = "directory", "program"


class Refused(Exception):  # noqa: N818  # it is an answer of the kernel's, and told as such
    """A program cannot be started: why, and the exit code that stands for it."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.why, self.code = why, code


def start(argv: list[str], directory: str, outputs: tuple[int, int], groups: Groups | None = None) -> int:
    """Starts a program with our environment; gives back its number once it is the program that runs.

    Raises: Refused, OSError.
    """
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _become(argv, directory, outputs, groups, writer, parent)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read().decode()
    if not said:
        return pid
    os.waitpid(pid, 0)
    stage, _, number = said.partition(" ")
    raise _refused(stage, int(number), argv[0], directory)


def _become(
    argv: list[str], directory: str, outputs: tuple[int, int], groups: Groups | None, writer: int, parent: int
) -> None:
    stage = _AT_DIRECTORY
    try:
        os.setsid()
        die_with_parent()
        if os.getppid() != parent:
            os._exit(NOT_RUNNABLE)  # it died in between, and the kernel does not tell of that
        for number in _BY_DEFAULT:
            signal.signal(number, signal.SIG_DFL)
        if groups:
            groups.enter()
        os.chdir(directory)
        stage = _AT_PROGRAM
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for place, output in enumerate(outputs, 1):
            os.dup2(output, place)
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(writer, f"{stage} {error.errno or 0}".encode())
    finally:
        os._exit(NOT_FOUND)


def _refused(stage: str, number: int, program: str, directory: str) -> Refused:
    why = os.strerror(number)
    if stage == _AT_DIRECTORY:
        return Refused(f"its directory {directory} cannot be entered: {why}", NOT_RUNNABLE)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return Refused(f"the program {program} is not there", NOT_FOUND)
    return Refused(f"the program {program} cannot be run: {why}", NOT_RUNNABLE)


def exit_code(status: int) -> int:
    """How a program ended, as engines say it: a signal is 128 and its number."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
