"""Stands behind a keeper: where that is killed, nothing of what it kept is left, and it is told why."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

from lcompose.keeper import FAILED, WAS_KILLED, processes, record
from lcompose.keeper.child import exit_code
from lcompose.keeper.keep import Keeper, Orders
from lcompose.keeper.limits import Groups

KILLED = 137
PAUSE = 0.01
UP = ("running", "restarting")


def main() -> None:
    """Reads orders from standard input; the arguments are the handles that hold the process, and that report."""
    held, report = (int(one) for one in sys.argv[1:3])
    for handle in (held, report):
        os.set_inheritable(handle, False)
    orders = Orders(sys.stdin.read())
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    # What the keeper leaves behind comes to us.
    processes.adopt_orphans()
    guard = os.getpid()
    relay, why = _relay(orders.relays, (held, report))
    if why:
        os.write(report, why.encode())
        return
    keeper = os.fork()
    if not keeper:
        _keep(orders, guard, report)
    os.close(report)
    _guard(orders, keeper, relay)


def _relay(relays: list[tuple[str, str, int]], ours: tuple[int, ...]) -> tuple[processes.Process, str]:
    if not relays:
        return (0, 0), ""
    # Only what containers call needs sockets, and their modules take time.
    from lcompose.keeper.relay import opened

    return opened(relays, ours)


def _keep(orders: Orders, guard: int, report: int) -> None:
    def tell(error: str) -> None:
        os.write(report, (error or "ok").encode())
        os.close(report)

    code = 1
    try:
        processes.adopt_orphans()
        Keeper(orders, guard, tell).run()
        code = 0
    finally:
        os._exit(code)


def _guard(orders: Orders, keeper: int, relay: processes.Process) -> None:
    status = _ended(keeper)
    if os.waitstatus_to_exitcode(status) == 0:
        # Whoever starts it again needs its ports: it counts as ended when they are free.
        if processes.send(relay, signal.SIGKILL):
            os.waitpid(relay[0], 0)
        return
    known = record.Record(orders.folder)
    code = _end_all(known.fields["pid"])
    Groups(orders.groups).remove()
    why = WAS_KILLED if os.WIFSIGNALED(status) else FAILED
    known.change(state="exited", pid=[0, 0], exit_code=code, error=why, finished=time.time())
    record.tell(orders.folder, orders.container, orders.service, "die", code)


def _ended(keeper: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == keeper:
            return status


def _end_all(main_process: object) -> int:
    """Kills all that the keeper left behind, and says how the process itself ended."""
    code = KILLED
    while True:
        for process in processes.below(os.getpid()):
            processes.send(process, signal.SIGKILL)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if isinstance(main_process, list) and ended[0] == main_process[0]:
                    code = exit_code(ended[1])
            time.sleep(PAUSE)
            continue
        return code
