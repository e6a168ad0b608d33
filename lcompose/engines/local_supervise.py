"""Starts, asks and ends the keepers of native processes."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import lcompose.keeper
from lcompose import host
from lcompose.engines.local_limits import Enforcement
from lcompose.engines.local_store import Kept, State, end_left_over, look
from lcompose.errors import EngineError
from lcompose.keeper import TAKEN, WAS_KILLED, processes, record

# Seconds in which a keeper has started its process, and in which it has ended beyond the grace that it gives.
START_WITHIN = 20.0
BEYOND_GRACE = 5.0
PAUSE = 0.005
# What is written in one go comes in one piece.
LONGEST_ORDER = select.PIPE_BUF
LOOK = "Look at what 'lcompose status' and 'lcompose logs' say."
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
MAIN = Path(lcompose.keeper.__file__).with_name("__main__.py")


def start(
    one: Kept,
    env: Mapping[str, str],
    hidden: list[str],
    limits: Enforcement,
    unenforced: str,
    addresses: Sequence[str] = (),
) -> None:
    """Starts a process with exactly that environment; one that runs is left alone.

    What comes to its ports at one of these addresses is passed on to it.

    Raises: EngineError that says why it cannot be started.
    """
    held = _held(one)
    if held < 0:
        return
    try:
        end_left_over(one)
        orders = {**_orders(one, hidden, limits, unenforced), "relays": _relays(one, addresses)}
        said = _report(one, held, env, json.dumps(orders))
        if not said:
            end_left_over(one)
            said = "its supervisor did not say in time whether it could"
    finally:
        os.close(held)
    if said != "ok":
        raise EngineError(f"{one.spec.service} cannot be started: {said}", "", _fix(said))


def _fix(said: str) -> str:
    if said.startswith(TAKEN):
        return "Stop the program that has it, or take another port for the service."
    return "Install it, or correct the command." if "program" in said else LOOK


def _held(one: Kept) -> int:
    """Holds a process that does not run; -1 for one that does. Who just starts or ends it is waited for.

    Raises: EngineError.
    """
    until = time.monotonic() + min(START_WITHIN, host.left())
    while time.monotonic() < until:
        try:
            held = record.hold(str(one.folder))
        except OSError as error:
            raise EngineError(f"it cannot be started: {error.strerror}", str(one.folder), LOOK) from error
        if held >= 0 or look(one).is_up:
            return held
        time.sleep(PAUSE)
    raise EngineError(f"{one.spec.service} cannot be started: something else holds it", str(one.folder), LOOK)


def _orders(one: Kept, hidden: list[str], limits: Enforcement, unenforced: str) -> dict[str, Any]:
    spec = one.spec
    return {
        "folder": str(one.folder),
        "container": spec.id,
        "service": spec.service,
        "argv": [*limits.before, *spec.command],
        "directory": spec.directory,
        "restart": spec.restart,
        "most_restarts": spec.most_restarts,
        "grace": spec.stop_grace,
        "log_size": spec.log_size,
        "log_files": spec.log_files,
        "groups": [(folder, dict(files)) for folder, files in limits.groups],
        "hidden": hidden,
        "unenforced": unenforced,
        "socket": str(spec.socket or ""),
    }


def _relays(one: Kept, addresses: Sequence[str]) -> list[tuple[str, str, int]]:
    """From where to where its ports are passed on; what listens everywhere needs that nowhere."""
    ports = [(bind, port) for bind, port in one.spec.ports if bind not in EVERYWHERE]
    return [(address, bind, port) for address in dict.fromkeys(addresses) for bind, port in ports]


def _report(one: Kept, held: int, env: Mapping[str, str], orders: str) -> str:
    """Starts a keeper, and gives back what it says of the start."""
    import subprocess

    reader, writer = os.pipe()
    # Isolated, and without the packages of its surroundings: it must be there at once.
    argv = [sys.executable, "-I", "-S", str(MAIN), str(held), str(writer)]
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**env, processes.MARK: one.spec.id},
            cwd="/",
            pass_fds=(held, writer),
            start_new_session=True,
        )
    except OSError as error:
        os.close(reader)
        return f"its supervisor cannot be started: {error.strerror or error}"
    finally:
        os.close(writer)
    # It outlives us, or we it: then nothing of it may stay in the list of processes.
    Thread(target=child.wait, daemon=True).start()
    assert child.stdin is not None
    with suppress(BrokenPipeError), child.stdin as stream:
        stream.write(orders.encode())
    return _read(reader, min(START_WITHIN, host.left()))


def _read(handle: int, timeout: float) -> str:
    """What is said in time; nothing where nothing is."""
    try:
        if not select.select([handle], [], [], timeout)[0]:
            return ""
        return os.read(handle, 4096).decode(errors="replace") or WAS_KILLED
    finally:
        os.close(handle)


def stop(one: Kept, grace: float) -> None:
    """Ends a process and all that it started: asks, and after ``grace`` seconds kills.

    Raises: EngineError when it cannot be ended.
    """
    if not _gone(one, grace + BEYOND_GRACE, {"stop": grace}):
        _end_by_force(one)
    look(one)
    if not end_left_over(one):
        raise EngineError(f"{one.spec.service} does not end, though it was killed", "", "Look at what 'ps' says of it.")


def begin(one: Kept, argv: list[str]) -> None:
    """Has a program begun beside a process, that ends with it.

    Raises: EngineError.
    """
    if not look(one).is_up or not _tell(one, {"begin": argv}):
        raise EngineError(f"{one.spec.service} does not run, so nothing can be begun in it", "", LOOK)


def _tell(one: Kept, order: Mapping[str, Any]) -> bool:
    """Gives an order to the keeper, and says whether one took it; it does not wait for anything."""
    line = json.dumps(order).encode() + b"\n"
    if len(line) > LONGEST_ORDER:
        raise EngineError(f"this command is too long for {one.spec.service}", "", "Put it into a script.")
    try:
        handle = os.open(one.folder / record.ORDERS, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.write(handle, line) == len(line)
        finally:
            os.close(handle)
    except OSError:
        return False


def _gone(one: Kept, seconds: float, order: Mapping[str, Any] | None = None) -> bool:
    """Waits until nobody keeps a process; gives an order meanwhile, as soon as there is somebody to take it."""
    until = time.monotonic() + min(seconds, max(host.left(), BEYOND_GRACE))
    while record.is_held(str(one.folder)):
        if order and _tell(one, order):
            order = None
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE)
    return True


def _end_by_force(one: Kept) -> None:
    """A keeper that does not answer is killed; then its guard, which would have ended the rest."""
    state = look(one)
    for supervisor in (state.keeper, state.guard):
        processes.send(supervisor, signal.SIGKILL)
        if _gone(one, BEYOND_GRACE):
            return


def environment(one: Kept, state: State) -> dict[str, str]:
    """The variables of a process that is kept; empty for any other.

    They are the keeper's own: a program may write over what the kernel shows of it.
    """
    for process in (state.keeper, state.guard):
        if state.is_up and processes.lives(process):
            found = _read_environment(process[0])
            if found.pop(processes.MARK, "") == one.spec.id:
                return found
    return {}


def _read_environment(pid: int) -> dict[str, str]:
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:
        return {}
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
