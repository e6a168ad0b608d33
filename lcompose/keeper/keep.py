"""Keeps one process: one loop over what it prints, what is asked of it, and how it ends."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import time
from contextlib import suppress

from lcompose.keeper import FOLDER_GONE, processes, record
from lcompose.keeper.child import Refused, exit_code, start
from lcompose.keeper.limits import Groups
from lcompose.keeper.log import OURS, Lines, Log, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# So much may wait in a pipe while we write; less where the kernel allows less.
PIPE = 1024 * 1024
# Seconds before it is started again: doubled each time, and from the beginning when it ran for long enough.
FIRST_PAUSE, LONGEST_PAUSE, RAN_WELL = 0.1, 60.0, 10.0
# Seconds between two looks at whether our folder is still there, and between two goes at killing.
LOOK_EVERY, KILL_EVERY = 1.0, 0.02
NEVER = float("inf")


class Orders:
    """What a keeper is told when it is started."""

    def __init__(self, text: str) -> None:
        found = json.loads(text)
        self.folder: str = found["folder"]
        self.container: str = found["container"]
        self.service: str = found["service"]
        self.argv: list[str] = found["argv"]
        self.directory: str = found["directory"]
        self.restart: str = found["restart"]
        self.most_restarts: int = found["most_restarts"]
        self.grace: float = found["grace"]
        self.log_size: int = found["log_size"]
        self.log_files: int = found["log_files"]
        self.groups: list[tuple[str, dict[str, str]]] = found["groups"]
        self.hidden: list[str] = found["hidden"]
        self.unenforced: str = found["unenforced"]
        self.socket: str = found["socket"]
        self.relays: list[tuple[str, str, int]] = found.get("relays", [])


def remove_left(path: str) -> None:
    """Removes the socket that a process left at a path, unless somebody listens there by now."""
    import stat

    with suppress(OSError):
        if path and stat.S_ISSOCK(os.lstat(path).st_mode) and not _listens(path):
            os.unlink(path)


def _listens(path: str) -> bool:
    # Of no use to most, and slow to import.
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        return asking.connect_ex(path) == 0


class Keeper:
    """One process, from its start to its end."""

    def __init__(self, orders: Orders, guard: int, tell: Callable[[str], None]) -> None:
        self.orders, self.guard, self.tell = orders, guard, tell
        self.record = record.Record(orders.folder)
        self.log = Log(os.path.join(orders.folder, record.LOG), orders.log_size, orders.log_files)
        self.groups = Groups(orders.groups)
        self.poll = select.poll()
        self.readers: dict[int, Callable[[int], None]] = {}
        self.outputs: dict[int, Lines] = {}
        values = {os.environ.get(name, ""): name for name in orders.hidden}
        self.hidden = [(value.encode(), f"<{values[value]}>".encode()) for value in sorted(values, key=len) if value]
        self.pid = 0
        self.code: int | None = None
        self.begun = 0.0
        self.pause = FIRST_PAUSE
        # When all is killed, and when it is started again.
        self.kill_at = NEVER
        self.again_at = NEVER
        self.stopped = False
        self.why = ""
        self.over = False

    def run(self) -> None:
        """Returns when the process has ended for good."""
        self._listen()
        self.record.change(restarts=0, exit_code=0, error="", stopped=False, oom_killed=False, lost=0)
        self._start()
        self.tell(str(self.record.fields["error"]))
        while not self.over:
            self._turn()
        self.groups.remove()

    def _listen(self) -> None:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self._hear(reader, self._woken)
        # Also for writing, so that it has no end when nobody else does.
        path = os.path.join(self.orders.folder, record.ORDERS)
        self._hear(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), self._told)

    def _hear(self, handle: int, reader: Callable[[int], None]) -> None:
        self.readers[handle] = reader
        self.poll.register(handle, select.POLLIN)

    # ------------------------------------------------------------ the loop

    def _turn(self) -> None:
        for handle, _ in self.poll.poll(self._patience() * 1000):
            self.readers[handle](handle)
        empty = self._reap()
        now = time.monotonic()
        if self.code is not None and not self.stopped:
            self.kill_at = min(self.kill_at, now)
        if now >= self.kill_at and not empty:
            self._signal_all(signal.SIGKILL)
            self.kill_at = now + KILL_EVERY
        if self.code is not None and empty:
            self._ended(self.code)
        if now >= self.again_at:
            self._start(again=True)
        if not self.over and not os.path.exists(os.path.join(self.orders.folder, record.SPEC)):
            self._stop(self.orders.grace, FOLDER_GONE)

    def _patience(self) -> float:
        next_time = min(self.kill_at, self.again_at, time.monotonic() + LOOK_EVERY)
        return max(0.0, next_time - time.monotonic())

    def _woken(self, handle: int) -> None:
        if signal.SIGTERM in os.read(handle, 4096):
            self._stop(self.orders.grace, "")

    def _told(self, handle: int) -> None:
        """Takes orders: a line of JSON each."""
        for line in os.read(handle, 65536).splitlines():
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                order = json.loads(line)
                if "stop" in order:
                    self._stop(float(order["stop"]), "")
                elif "begin" in order:
                    self._begin([str(part) for part in order["begin"]])

    def _reap(self) -> bool:
        """Takes in who has ended, and says whether nobody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if not pid:
                return False
            if pid == self.pid:
                self.code = exit_code(status)

    # ------------------------------------------------------------ starting

    def _start(self, *, again: bool = False) -> None:
        self.again_at = self.kill_at = NEVER
        self.code = None
        if again:
            remove_left(self.orders.socket)
        unenforced = self.groups.make()
        if unenforced:
            note = f"its limits cannot be enforced: {unenforced}\n"
            self.log.write(stamp(time.time_ns()) + OURS + note.encode())
        restarts = self.record.fields["restarts"]
        assert isinstance(restarts, int)
        restarts += again
        try:
            self.pid = self._started(self.orders.argv, self.groups)
        except (Refused, OSError) as error:
            self._refused(error, restarts)
            return
        self.begun = time.monotonic()
        me = os.getpid()
        self.record.change(
            state="running",
            pid=[self.pid, processes.birth(self.pid)],
            keeper=[me, processes.birth(me)],
            guard=[self.guard, processes.birth(self.guard)],
            restarts=restarts,
            started=time.time(),
            unenforced="; ".join(filter(None, [self.orders.unenforced, unenforced])),
            **({} if again else {"exit_code": 0}),
        )
        self._event("start")

    def _started(self, argv: list[str], groups: Groups) -> int:
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        try:
            pid = start(argv, self.orders.directory, (pipes[0][1], pipes[1][1]), groups)
        except BaseException:
            for reader, _ in pipes:
                os.close(reader)
            raise
        finally:
            for _, writer in pipes:
                os.close(writer)
        for reader, _ in pipes:
            with suppress(OSError):
                fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE)
            os.set_blocking(reader, False)
            self.outputs[reader] = Lines()
            self._hear(reader, self._printed)
        return pid

    def _refused(self, error: Refused | OSError, restarts: int) -> None:
        why, code = (error.why, error.code) if isinstance(error, Refused) else (error.strerror or "it failed", 126)
        state = "exited" if self.record.fields["started"] else "created"
        self.record.change(state=state, error=why, exit_code=code, restarts=restarts, finished=time.time())
        self.log.close()
        self.over = True

    def _begin(self, argv: list[str]) -> None:
        """Begins a program beside it, which ends with it; what it prints is of no concern."""
        if not self.pid or self.code is not None:
            return
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            start(argv, self.orders.directory, (nowhere, nowhere), self.groups)
        except (Refused, OSError) as error:
            self.log.write(stamp(time.time_ns()) + f"lcompose: could not be begun: {error}\n".encode())
        finally:
            os.close(nowhere)

    # ------------------------------------------------------------ what it prints

    def _printed(self, handle: int) -> None:
        mark, lines = stamp(time.time_ns()), self.outputs[handle]
        try:
            piece = os.read(handle, PIPE)
        except BlockingIOError:
            return
        if piece:
            self._write(lines.stamped(piece, mark))
        else:
            self._close(handle)

    def _close(self, handle: int) -> None:
        self._write(self.outputs.pop(handle).last(stamp(time.time_ns())))
        self.poll.unregister(handle)
        del self.readers[handle]
        os.close(handle)

    def _write(self, lines: bytes) -> None:
        for value, name in reversed(self.hidden):
            lines = lines.replace(value, name)
        self.log.write(lines)

    def _drain(self) -> None:
        """Reads what is still in the pipes; whoever else may hold them keeps us waiting no longer."""
        for handle in list(self.outputs):
            with suppress(BlockingIOError):
                while piece := os.read(handle, PIPE):
                    self._write(self.outputs[handle].stamped(piece, stamp(time.time_ns())))
            self._close(handle)

    # ------------------------------------------------------------ ending

    def _stop(self, grace: float, why: str) -> None:
        """Asks all to end; those that are left after so many seconds are killed."""
        first, self.stopped, self.why = not self.stopped, True, self.why or why
        if self.again_at < NEVER:
            self.again_at = NEVER
            self._over(int(str(self.record.fields["exit_code"])))
            return
        self.kill_at = min(self.kill_at, time.monotonic() + max(0.0, grace))
        if first:
            self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: int) -> None:
        for process in processes.below(os.getpid()):
            processes.send(process, number)

    def _ended(self, code: int) -> None:
        self._drain()
        oom = self.groups.ran_out_of_memory()
        if oom:
            self._event("oom")
        if self.stopped or not self._comes_back(code):
            self._over(code, oom=oom)
            return
        self.pause = FIRST_PAUSE if time.monotonic() - self.begun >= RAN_WELL else self.pause
        self.record.change(state="restarting", exit_code=code, oom_killed=oom, finished=time.time(), pid=[0, 0])
        self._event("die", code)
        self.pid, self.code, self.kill_at = 0, None, NEVER
        self.again_at = time.monotonic() + self.pause
        self.pause = min(self.pause * 2, LONGEST_PAUSE)

    def _comes_back(self, code: int) -> bool:
        policy, most = self.orders.restart, self.orders.most_restarts
        if policy == "on-failure":
            return code != 0 and (not most or int(str(self.record.fields["restarts"])) < most)
        return policy in ("always", "unless-stopped")

    def _over(self, code: int, *, oom: bool = False) -> None:
        was_running = bool(self.pid)
        self.log.close()
        self.pid, self.over = 0, True
        self.record.change(
            state="exited",
            pid=[0, 0],
            exit_code=code,
            oom_killed=oom,
            stopped=self.stopped,
            error=self.why,
            lost=self.log.lost,
            finished=time.time(),
        )
        if was_running:
            self._event("die", code)
        if self.stopped:
            self._event("stop")

    def _event(self, action: str, code: int | None = None) -> None:
        record.tell(self.orders.folder, self.orders.container, self.orders.service, action, code)
