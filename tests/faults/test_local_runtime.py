"""Native processes that do not want to end, supervisors that are killed, disks that are full."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lcompose.errors import EngineError, MachineError
from lcompose.keeper import WAS_KILLED, processes
from lcompose.lifecycle import State, may_follow, observed_state
from lcompose.readiness import Observation, judge
from lcompose.spec.run import Gated
from tests.native import PROJECT, Native, native, wait_until

STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.05; done"
FAMILY = (
    "trap 'exit 9' TERM; sleep 1000 & setsid sleep 1000 & "
    "(setsid sh -c \"trap '' TERM; sleep 1000 & sleep 1000\" &) ; echo up; while :; do sleep 0.05; done"
)
CHATTY = "exec python3 -c \"import sys\nwhile True: sys.stdout.write('x' * 99 + chr(10))\""
# So much is printed before each stop of one that prints all the time: 100 MB in ten of them.
PRINTED = 10 * 1000 * 1000
LINES = 1_000_000
MUCH = f"exec python3 -c \"import sys; sys.stdout.writelines('%099d\\n' % i for i in range({LINES}))\""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Native]:
    with native(tmp_path) as project:
        yield project


# ---------------------------------------------------------------- stopping


def logged(here: Native, container: str) -> int:
    """Bytes of a log."""
    return sum(path.stat().st_size for path in here.kept(container).log.iterdir())


@pytest.mark.parametrize(
    ("script", "grace", "code", "printed"),
    [(STUBBORN, 0, 137, 0), (FAMILY, 0.2, 9, 0), (CHATTY, 2, 143, PRINTED)],
    ids=["ignores SIGTERM", "has grandchildren", "prints all the time"],
)
def test_30_of_30_stops_leave_nothing_and_keep_the_code(
    script: str, grace: int, code: int, printed: int, here: Native
) -> None:
    container = here.web(script, log={"max_size": "200m", "max_file": 2})
    found = []
    for _ in range(10):
        before = logged(here, container)
        here.engine.start(container)
        wait_until(lambda before=before: logged(here, container) > before + printed)
        here.engine.stop(container, grace)
        one = here.of(container)
        found.append((one.state, one.exit_code, one.error, here.left()))
    assert found == [("exited", code, "", [])] * 10


def test_100_mb_of_log_are_kept_to_the_last_line_and_hold_nobody_up(here: Native) -> None:
    begun = time.monotonic()
    subprocess.run(["sh", "-c", f"{MUCH} | cat > /dev/null"], check=True, cwd=here.folder)
    by_hand = time.monotonic() - begun
    container = here.started(MUCH, log={"max_size": "200m", "max_file": 2})
    one = here.ended(container, 60)
    assert one.finished - one.started < 4 * by_hand + 2
    text = b"".join(here.engine.stream(container))
    assert text.count(b"\n") == LINES
    assert text.endswith(b" %099d\n" % (LINES - 1))


def test_a_supervisor_that_stands_still_is_no_reason_not_to_end(here: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcompose.engines.local_supervise.BEYOND_GRACE", 0.3)
    container = here.started(FAMILY)
    for supervisor in (here.state(container).keeper, here.state(container).guard):
        os.kill(supervisor[0], signal.SIGSTOP)
    here.engine.stop(container, 0)
    assert (here.left(), here.of(container).state) == ([], "exited")


def test_a_supervisor_that_is_told_to_end_ends_what_it_keeps_first(here: Native) -> None:
    container = here.started("trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done")
    wait_until(lambda: here.said(container))
    processes.send(here.state(container).keeper, signal.SIGTERM)
    one = here.ended(container)
    assert (one.exit_code, one.error) == (4, "")


# ---------------------------------------------------------------- killed supervisors


def supervisors(container: str) -> list[processes.Process]:
    """The keeper and its guard, as far as they run: found by what they are, whatever is written down."""
    found = []
    for process in processes.marked(container):
        try:
            if b"lcompose/keeper" in Path(f"/proc/{process[0]}/cmdline").read_bytes():
                found.append(process)
        except OSError:
            continue
    return sorted(found)


@pytest.mark.parametrize("seed", range(20))
def test_a_supervisor_killed_at_any_moment_leaves_no_orphan_and_the_truth(seed: int, here: Native) -> None:
    chance = random.Random(seed)
    container = here.web(FAMILY)
    refused: list[EngineError] = []

    def start() -> None:
        try:
            here.engine.start(container)
        except EngineError as error:
            refused.append(error)

    thread = Thread(target=start)
    thread.start()
    time.sleep(chance.random() * 0.06)
    wait_until(lambda: supervisors(container))
    victims = supervisors(container)[:2]  # a third is a child that is not its program yet
    # The guard first, the keeper, or both: whoever is there.
    killed = victims if seed % 3 == 0 else [victims[-1]] if seed % 3 == 1 else [victims[0]]
    for victim in killed:
        assert processes.send(victim, signal.SIGKILL)
    thread.join(10)
    assert not thread.is_alive()

    one = here.of(container)
    if one.state == "running":
        # Only the guard is gone, or the keeper's end is just being noticed.
        wait_until(lambda: here.of(container).state == "exited" or len(supervisors(container)) == 1)
        here.engine.stop(container, 0)
        one = here.of(container)
        assert (one.state, one.error in ("", WAS_KILLED)) == ("exited", True)
    elif one.state == "exited":
        assert (one.exit_code, one.error) == (137, WAS_KILLED)
        assert observed_state(one) == "error"
    else:
        assert (one.state, one.started) == ("created", 0.0)
        assert "its supervisor was killed" in refused[0].what
    wait_until(lambda: not here.left(), 2)
    # And it can be started as if nothing had been.
    here.engine.start(container)
    assert (here.of(container).state, here.of(container).error) == ("running", "")


def test_a_supervisor_that_says_nothing_is_given_up_and_nothing_of_it_stays(
    here: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = here.web(FAMILY)
    monkeypatch.setattr("lcompose.engines.local_supervise.START_WITHIN", 0.001)
    with pytest.raises(EngineError, match="did not say in time"):
        here.engine.start(container)
    assert here.left() == []
    assert here.of(container).state != "running"


def test_a_supervisor_that_has_ended_is_not_left_in_the_list_of_processes(here: Native) -> None:
    container = here.started("exec sleep 1000")
    guard = here.state(container).guard[0]
    here.engine.stop(container, 1)
    wait_until(lambda: not Path(f"/proc/{guard}").exists())


def test_without_its_keeper_a_process_and_all_its_children_end_within_a_second(here: Native) -> None:
    container = here.started(FAMILY)
    wait_until(lambda: here.said(container))
    assert len(here.left()) > 5
    processes.send(here.state(container).keeper, signal.SIGKILL)
    wait_until(lambda: not here.left(), 1)
    one = here.of(container)
    assert (one.state, one.exit_code, one.error) == ("exited", 137, WAS_KILLED)
    found = judge(Observation(Gated("web"), (one,)))
    told = "its supervisor was killed, so it and all that it started were ended (exit code 137)"
    assert (found.state, found.reason) == ("failed", told)


def test_without_its_guard_a_process_runs_on_and_ends_as_usual(here: Native) -> None:
    container = here.started(FAMILY)
    wait_until(lambda: here.said(container))
    processes.send(here.state(container).guard, signal.SIGKILL)
    time.sleep(0.1)
    assert here.of(container).state == "running"
    here.engine.stop(container, 0.2)  # type: ignore[arg-type]
    assert (here.of(container).exit_code, here.left()) == (9, [])


def test_a_number_that_somebody_else_has_by_now_is_never_killed(here: Native) -> None:
    with subprocess.Popen(["sleep", "1000"]) as other:
        try:
            stranger = (other.pid, processes.birth(other.pid))
            assert not processes.send((other.pid, stranger[1] + 1), signal.SIGKILL)
            assert not processes.lives((other.pid, stranger[1] - 1))
            assert other.poll() is None
            assert processes.send(stranger, signal.SIGKILL)
        finally:
            other.kill()


def test_what_runs_after_its_folder_was_removed_is_ended(here: Native) -> None:
    container = here.started(FAMILY, stop_grace=0)
    wait_until(lambda: here.said(container))
    shutil.rmtree(here.kept(container).folder)
    wait_until(lambda: not here.left())
    assert here.all() == {}


# ---------------------------------------------------------------- any sequence of commands and accidents


class Life(RuleBasedStateMachine):
    """One process, and what it must be after whatever is done to it."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory(prefix="lcompose-life-")
        self.context = native(Path(self.folder.name))
        self.here = self.context.__enter__()
        self.number = 0
        self.state: State = "offline"
        self.container = ""
        self.recreate()

    def becomes(self, *path: State) -> None:
        """It goes along edges of the table, each of which a command or an accident may take."""
        for after in path:
            assert may_follow(self.state, after), (self.state, after)
            self.state = after

    @rule()
    def recreate(self) -> None:
        self.number += 1
        self.container = self.here.web(FAMILY.replace("exit 9", "exit 143"), digest=str(self.number), stop_grace=0)
        self.becomes("offline")

    @precondition(lambda self: may_follow(self.state, "starting"))
    @rule()
    def start(self) -> None:
        self.here.engine.start(self.container)
        self.becomes("starting", "warming")

    @precondition(lambda self: self.state == "warming")
    @rule()
    def start_again(self) -> None:
        self.here.engine.start(self.container)

    @rule(grace=st.sampled_from([0, 0.05]))
    def stop(self, grace: float) -> None:
        self.here.engine.stop(self.container, grace)  # type: ignore[arg-type]
        if self.state == "warming":
            self.becomes("unloading", "offline")

    @precondition(lambda self: self.state == "warming")
    @rule(number=st.sampled_from([signal.SIGSEGV, signal.SIGABRT]))
    def crash(self, number: int) -> None:
        processes.send(self.here.state(self.container).pid, number)
        assert self.here.ended(self.container).exit_code == 128 + number
        self.becomes("error")

    @precondition(lambda self: self.state == "warming")
    @rule()
    def kill_the_keeper(self) -> None:
        processes.send(self.here.state(self.container).keeper, signal.SIGKILL)
        assert self.here.ended(self.container).error == WAS_KILLED
        self.becomes("error")

    @precondition(lambda self: self.state == "warming")
    @rule()
    def kill_both(self) -> None:
        state = self.here.state(self.container)
        for supervisor in (state.guard, state.keeper):
            processes.send(supervisor, signal.SIGKILL)
        assert self.here.ended(self.container).error == WAS_KILLED
        self.becomes("error")

    @precondition(lambda self: self.state == "warming")
    @rule()
    def kill_the_guard(self) -> None:
        processes.send(self.here.state(self.container).guard, signal.SIGKILL)

    @invariant()
    def what_is_seen_is_what_it_is(self) -> None:
        seen = self.here.all()["web"]
        assert (seen.id, observed_state(seen)) == (self.container, self.state)

    @invariant()
    def nothing_runs_of_what_does_not_run(self) -> None:
        if self.state != "warming":
            wait_until(lambda: not self.here.left(), 2)

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)
        self.folder.cleanup()


Life.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestLife = Life.TestCase


# ---------------------------------------------------------------- logs that cannot be written


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[Native]:
    state = tmp_path / "state"
    state.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(state)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        with native(tmp_path) as project:
            yield project
    finally:
        subprocess.run(["umount", str(state)], check=True)


def fill(folder: Path) -> Path:
    """Leaves no room at all."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            return path


def test_a_full_disk_neither_holds_up_nor_ends_a_process_and_its_code_is_kept(on_small_disk: Native) -> None:
    here = on_small_disk
    os.mkfifo(here.folder / "gate")
    container = here.started("read x < gate; seq 20000; touch printed; read x < gate; exit 5")
    filler = fill(here.folder / "state")
    (here.folder / "gate").write_text("go\n")
    wait_until(lambda: (here.folder / "printed").exists())
    assert here.of(container).state == "running"
    filler.unlink()
    (here.folder / "gate").write_text("go\n")
    one = here.ended(container)
    assert (one.exit_code, one.error) == (5, "")
    kept = [line for line in here.said(container) if line.isdecimal()]
    lost = [line for line in here.said(container) if "lines are lost here" in line]
    assert sum(int(line.split()[1]) for line in lost) + len(kept) == 20000
    assert [line for line in lost if "No space left on device" not in line] == []


def test_where_there_is_no_room_to_the_end_the_code_and_what_is_lost_are_told_all_the_same(
    on_small_disk: Native,
) -> None:
    here = on_small_disk
    os.mkfifo(here.folder / "gate")
    container = here.started("read x < gate; seq 1000; exit 5")
    fill(here.folder / "state")
    (here.folder / "gate").write_text("go\n")
    one = here.ended(container)
    assert (one.state, one.exit_code, one.error) == ("exited", 5, "")
    last = here.said(container)[-1]
    kept = [line for line in here.said(container) if line.isdecimal()]
    assert last.startswith(f"lcompose: {1000 - len(kept)} lines are lost here")
    assert here.left() == []


def test_without_any_room_nothing_is_made_and_that_is_told(on_small_disk: Native) -> None:
    fill(on_small_disk.folder / "state")
    with pytest.raises(MachineError, match="no space left"):
        on_small_disk.web("true")
    assert on_small_disk.all() == {}


def test_a_log_that_somebody_removes_goes_on_in_a_new_one(here: Native) -> None:
    os.mkfifo(here.folder / "gate")
    container = here.started("echo before; read x < gate; echo after; read x < gate")
    wait_until(lambda: here.said(container) == ["before"])
    shutil.rmtree(here.kept(container).log)
    (here.folder / "gate").write_text("go\n")
    wait_until(lambda: here.said(container)[-1:] == ["after"])
    assert here.said(container)[0] == "lcompose: earlier lines are gone: somebody removed this log"
    assert here.of(container).state == "running"


def test_who_follows_a_log_that_is_removed_goes_on_with_the_new_one(here: Native) -> None:
    os.mkfifo(here.folder / "gate")
    container = here.started("echo before; read x < gate; echo after")
    pieces: list[bytes] = []
    thread = Thread(target=lambda: pieces.extend(here.engine.stream(container, follow=True)), daemon=True)
    thread.start()
    wait_until(lambda: b"before" in b"".join(pieces))
    shutil.rmtree(here.kept(container).log)
    (here.folder / "gate").write_text("go\n")
    thread.join(5)
    assert not thread.is_alive()
    assert b"".join(pieces).rstrip().endswith(b"after")


def test_a_damaged_state_is_no_reason_to_fail(here: Native) -> None:
    container = here.started("exec sleep 1000")
    (here.kept(container).folder / "state.json").write_bytes(b'{"n": 5, "state": "runn')
    assert here.of(container).state in ("created", "running")
    here.engine.stop(container, 1)
    assert (here.of(container).state, here.of(container).exit_code) == ("exited", 143)
    assert [one.service for one in here.engine.containers(PROJECT)] == ["web"]
