"""The only reader of this machine: files, environment, ports, programs and their output."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcompose.errors import EngineError, MachineError, UsageError

MAX_FILE = 1024 * 1024 + 1

# Seconds that a program has to end by itself; an engine that creates a container needs some.
END_GRACE = 8.0
# Programs that run now: whoever is interrupted ends them, since each has a session of its own
# and no Ctrl-C reaches it.
_RUNNING: set[Any] = set()
# No program may run beyond this moment of the monotonic clock: a command has one deadline for all.
_LIMIT: list[float] = []
# What runs when the deadline passes is ended within this many seconds.
SHORT_GRACE = 0.2
# A log comes in pieces of a line each, and whoever reads each at once wakes up for each: measured on
# a million lines, that costs more than the reading. So a reader naps, and takes what came meanwhile.
PIECE = 512 * 1024
NAP = 0.0002
QUIET = 0.5


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Its last words, standard error first."""
        return (self.err.strip() or self.out.strip())[-2000:]


def read_file(path: Path, what: str, fix: str) -> bytes:
    """The bytes of a file, or a clear error; reads at most a little more than may be parsed.

    Raises: UsageError.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{what} is a directory", str(path), "Name the file inside it.")
        with path.open("rb") as stream:
            return stream.read(MAX_FILE)
    except FileNotFoundError:
        raise UsageError(f"{what} is not there", str(path), fix) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{what} cannot be read: {reason}", str(path), "Check its permissions.") from error


def file_named(directory: Path, name: str) -> Path:
    """The file that a name means in a directory, with ``~`` expanded."""
    # Path.expanduser raises where there is no such user; here the file is simply not there.
    return directory / os.path.expanduser(name)  # noqa: PTH111


def exists(path: Path) -> bool:
    """Whether there is anything at the path, without following errors up."""
    try:
        return path.exists()
    except OSError:
        return False


def content(path: Path) -> bytes:
    """What a digest of a mounted file is made of: its bytes, or nothing for a directory."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def find_program(name: str, search: str | None = None) -> str | None:
    """Where a program is, or None."""
    from shutil import which

    return which(name, path=search)


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    cwd: str | None = None,
    grace: float = END_GRACE,
) -> Finished:
    """Runs a program to its end, at most ``timeout`` seconds; its children end with it.

    ``on_line`` gets every line of standard error as it comes, on a thread of its own. ``grace`` is how
    long it has to end when its time is up.

    Raises: MachineError when it is not there, EngineError when it takes too long.
    """
    import subprocess

    timeout = min(timeout, left())
    child = _started(argv, env, cwd=cwd)
    _RUNNING.add(child)
    printed = _Collector(child, on_line)
    try:
        code = child.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        within = f"within {timeout:.0f} s" if timeout >= 1 else "in time"
        what = f"{' '.join(argv[:3])} did not end {within}"
        raise EngineError(what, "", "Look whether the engine hangs, then try again.") from None
    finally:
        if child.poll() is None:
            _end([child], grace if left() > grace else SHORT_GRACE)
            child.wait()
        _RUNNING.discard(child)
        out, err = printed.finish()
    return Finished(code, out, err)


def lines(argv: Sequence[str], *, env: Mapping[str, str]) -> Iterator[str]:
    """The lines that a program prints, both streams; closing the iterator ends the program.

    Raises: MachineError when it is not there.
    """
    child = _started(argv, env, merged=True)
    _RUNNING.add(child)
    assert child.stdout is not None
    try:
        for line in child.stdout:
            yield line.rstrip("\n")
    finally:
        if child.poll() is None:
            _end([child])
        child.wait()
        _RUNNING.discard(child)
        child.stdout.close()


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that nobody else reads, and that is gone afterwards."""
    from tempfile import TemporaryDirectory

    # What a program left in it may still be written to.
    with TemporaryDirectory(prefix="lcompose-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def lasting_folder(env: Mapping[str, str]) -> Path:
    """A folder of ours that stays, for programs that outlive us; where there can be none, the root."""
    folder = state_directory(env) / "started-here"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return Path("/")
    return folder


@contextmanager
def running(argv: Sequence[str], *, env: Mapping[str, str], cwd: str) -> Iterator[Callable[[], bool]]:
    """Has a program run beside us, and ends it; what is given says whether it still runs.

    Raises: MachineError when it is not there.
    """
    child = _started(argv, env, cwd=cwd)
    _RUNNING.add(child)
    printed = _Collector(child, None)
    try:
        yield lambda: child.poll() is None
    finally:
        if child.poll() is None:
            _end([child])
        child.wait()
        _RUNNING.discard(child)
        printed.finish()


def socket_listens(path: Path) -> bool:
    """Whether somebody answers at a socket of this machine."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(str(path))
        except OSError:
            return False
    return True


def user_is_root() -> bool:
    """Whether we are root."""
    return os.geteuid() == 0


def chunks(argv: Sequence[str], *, env: Mapping[str, str]) -> Iterator[bytes]:
    """What a program prints, both streams in their order; closing the iterator ends the program.

    Where nothing comes for a while there is an empty piece, so that a reader may leave.

    Raises: MachineError when it is not there, EngineError when it fails by itself.
    """
    child = _started(argv, env, merged=True)
    _RUNNING.add(child)
    last = b""
    try:
        with child.stdout:
            for piece in batches(child.stdout.fileno()):
                last = piece[-2000:] or last
                yield piece
        if child.wait():
            said = last.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise EngineError(f"{' '.join(argv[:2])} failed: {said[-1]}", "", f"Look at what '{argv[0]} info' says.")
    finally:
        if child.poll() is None:
            _end([child])
            child.wait()
        _RUNNING.discard(child)


def batches(descriptor: int) -> Iterator[bytes]:
    """What comes through a pipe or a socket until its end, in big pieces; see ``chunks``."""
    from select import POLLIN, poll

    waiting = poll()
    waiting.register(descriptor, POLLIN)
    held: list[bytes] = []
    size = 0
    while True:
        if not waiting.poll(0 if held else QUIET * 1000) or size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
            continue
        piece = os.read(descriptor, PIECE)
        if not piece:
            break
        held.append(piece)
        size += len(piece)
        if len(piece) < PIECE // 8:
            time.sleep(NAP)
    yield b"".join(held)


def in_time(pieces: Iterator[bytes], patience: float) -> Iterator[bytes]:
    """The same pieces, unless none comes for that many seconds, or the command's time is up.

    Raises: EngineError.
    """
    end, heard = time.monotonic() + left(), time.monotonic()
    for piece in pieces:
        now = time.monotonic()
        heard = now if piece else heard
        if now > min(end, heard + patience):
            raise EngineError("the engine does not go on with a log", "", "Look whether it hangs, then try again.")
        yield piece


def end_running(grace: float = END_GRACE) -> None:
    """Ends every program that was started here and still runs; after ``grace`` seconds by force."""
    _end(tuple(_RUNNING), grace)


def limit(moment: float | None) -> None:
    """Sets the moment (of ``time.monotonic``) beyond which no program runs; None takes it away."""
    _LIMIT[:] = [] if moment is None else [moment]


def left() -> float:
    """Seconds until that moment; a little is always left to ask what happened."""
    return max(SHORT_GRACE, _LIMIT[0] - time.monotonic()) if _LIMIT else float("inf")


def _started(
    argv: Sequence[str], env: Mapping[str, str] | None, *, merged: bool = False, cwd: str | None = None
) -> Any:
    import subprocess

    try:
        return subprocess.Popen(  # arguments are a list; no shell reads them
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError:
        raise MachineError(f"{argv[0]} is not installed", "", f"Install {argv[0]}.") from None
    except OSError as error:
        raise MachineError(f"{argv[0]} cannot be run: {error.strerror}", "", "Check it.") from error


class _Collector:
    """Reads both streams of a child on threads, so that neither can fill up and block it."""

    def __init__(self, child: Any, on_line: Callable[[str], None] | None) -> None:
        from threading import Thread

        self.out: list[str] = []
        self.err: list[str] = []
        self.threads = [
            Thread(target=self._read, args=(child.stdout, self.out, None), daemon=True),
            Thread(target=self._read, args=(child.stderr, self.err, on_line), daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def _read(self, stream: Any, kept: list[str], on_line: Callable[[str], None] | None) -> None:
        with stream:
            for line in stream:
                kept.append(line)
                if on_line:
                    on_line(line.rstrip("\n"))

    def finish(self) -> tuple[str, str]:
        # A grandchild that keeps a stream open must not keep us: what came until now is enough.
        enough = time.monotonic() + 1
        for thread in self.threads:
            thread.join(timeout=max(0, enough - time.monotonic()))
        return "".join(self.out), "".join(self.err)


def _end(children: Sequence[Any], grace: float = END_GRACE) -> None:
    """Asks programs and their children to end, and kills what is left after a while.

    An engine that is killed in the middle of a creation leaves a container that it cannot remove.
    """
    import signal
    import time

    for child in children:
        _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(_group_lives(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    for child in children:
        _signal_group(child, signal.SIGKILL)


def _group_lives(child: Any) -> bool:
    child.poll()  # else what has ended would count as long as nobody asks for its code
    return _signal_group(child, 0)


def _signal_group(child: Any, number: int) -> bool:
    """Sends a signal to a program's group, and says whether there was one."""
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def port_is_free(bind: str, port: int) -> bool:
    """Whether nothing listens there yet, as far as this user can tell."""
    import socket

    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # As engines do it; what listens on IPv4 is not in the way.
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((bind, port))
    except OSError as error:
        # A low port, or an address that is not of this machine, may still be open to the engine.
        return error.errno != errno.EADDRINUSE
    return True


def state_directory(env: Mapping[str, str]) -> Path:
    """Where lcompose keeps what it must remember: XDG_STATE_HOME, as the convention has it."""
    base = env.get("XDG_STATE_HOME") or ""
    home = Path(base) if base.startswith("/") else Path(env.get("HOME") or "/tmp") / ".local" / "state"  # noqa: S108
    return home / "lcompose"
