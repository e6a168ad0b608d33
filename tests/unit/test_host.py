"""The reader of the machine: files, programs and ports, with clear errors."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from lcompose import host
from lcompose.errors import EngineError, MachineError, UsageError
from lcompose.host import (
    MAX_FILE,
    SHORT_GRACE,
    Finished,
    content,
    exists,
    file_named,
    find_program,
    lines,
    port_is_free,
    private_folder,
    read_file,
    run,
    running,
    socket_listens,
    state_directory,
)


def refusal(path: Path) -> tuple[str, str, str]:
    """What reading a file ends with: what, where, and what to do."""
    with pytest.raises(UsageError) as caught:
        read_file(path, "run.yaml", "Name another.")
    return caught.value.what, caught.value.where, caught.value.fix


def test_a_file_is_read_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\r\n")
    assert read_file(tmp_path / "a", "run.yaml", "") == b"\xff\r\n"


def test_of_a_huge_file_no_more_is_read_than_shows_that_it_is_too_big(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as stream:
        stream.truncate(10 * MAX_FILE)
    assert len(read_file(tmp_path / "a", "run.yaml", "")) == MAX_FILE


def test_an_endless_file_is_read_to_the_same_bound() -> None:
    assert len(read_file(Path("/dev/zero"), "run.yaml", "")) == MAX_FILE


def test_a_file_that_is_not_there_is_told_with_the_callers_way_out(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a") == ("run.yaml is not there", str(tmp_path / "a"), "Name another.")


def test_a_directory_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path) == ("run.yaml is a directory", str(tmp_path), "Name the file inside it.")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file/below", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("loop", "Too many levels of symbolic links"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_the_reason(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    what = f"run.yaml cannot be read: {reason}"
    assert refusal(tmp_path / name) == (what, str(tmp_path / name), "Check its permissions.")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.yaml", "/dir/a.yaml"),
        ("./x/../a", "/dir/x/../a"),
        ("/abs", "/abs"),
        ("~nobody-of-that-name/a", "/dir/~nobody-of-that-name/a"),
    ],
)
def test_a_name_means_a_file_in_its_directory(name: str, path: str) -> None:
    assert file_named(Path("/dir"), name) == Path(path)


def test_a_tilde_means_the_persons_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert file_named(Path("/dir"), "~/a") == Path("/home/me/a")


def test_whether_something_is_there_is_never_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert [exists(tmp_path / name) for name in ("file", "gone", "file/below", "x" * 300)] == [
        True,
        False,
        False,
        False,
    ]


def test_the_content_of_a_file_is_its_bytes_and_of_anything_else_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert [content(tmp_path / "a"), content(tmp_path), content(tmp_path / "gone")] == [b"x", b"", b""]


def test_a_program_is_found_on_the_path_that_is_given(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert [find_program("tool", str(tmp_path)), find_program("tool", "/nowhere")] == [str(program), None]


def test_a_program_runs_to_its_end() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10)
    assert done == Finished(3, "out\n", "err\n")


@pytest.mark.parametrize(("done", "said"), [(Finished(1, "out\n", ""), "out"), (Finished(1, "out\n", "err\n"), "err")])
def test_the_last_words_of_a_program_are_on_standard_error_if_anywhere(done: Finished, said: str) -> None:
    assert done.said == said


def test_of_a_talkative_program_the_end_is_kept() -> None:
    assert Finished(1, "", "a" * 5000 + "end").said == "a" * 1997 + "end"


def test_a_program_gets_the_environment_that_is_given_and_nothing_to_read() -> None:
    done = run(["/bin/sh", "-c", "echo $A $HOME; cat"], timeout=10, env={"A": "x"})
    assert done.out == "x\n"


def test_much_output_on_both_streams_blocks_nobody() -> None:
    program = "import sys; [print('x' * 1000, file=one) for _ in range(500) for one in (sys.stdout, sys.stderr)]"
    done = run([sys.executable, "-c", program], timeout=30)
    assert (len(done.out), len(done.err)) == (500_500, 500_500)


def test_output_that_is_not_utf_8_is_read_all_the_same() -> None:
    assert run(["printf", "caf\\351\\n"], timeout=10).out == "caf\ufffd\n"


def test_lines_of_standard_error_are_told_as_they_come() -> None:
    heard: list[str] = []
    run(["sh", "-c", "echo one >&2; echo out; echo two >&2"], timeout=10, on_line=heard.append)
    assert heard == ["one", "two"]


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> bool:
    """Whether a process ends soon."""
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(EngineError) as caught:
        run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], timeout=0.3)
    assert caught.value.what.endswith("did not end in time")
    assert wait_until_gone(int(pid_file.read_text()))


def test_a_grandchild_that_keeps_the_streams_open_does_not_keep_us() -> None:
    started = time.monotonic()
    done = run(["sh", "-c", "echo done; sleep 4 & exit 0"], timeout=10)
    assert (done.out, time.monotonic() - started < 3) == ("done\n", True)


def test_a_program_that_is_not_installed_is_told() -> None:
    with pytest.raises(MachineError) as caught:
        run(["no-such-program", "x"], timeout=1)
    assert (caught.value.what, caught.value.fix) == ("no-such-program is not installed", "Install no-such-program.")


def test_a_program_that_may_not_be_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("text")
    with pytest.raises(MachineError, match="tool cannot be run: Permission denied"):
        run([str(tmp_path / "tool")], timeout=1)


def test_lines_of_both_streams_come_in_order() -> None:
    assert list(lines(["sh", "-c", "echo a; echo b >&2; echo c"], env=os.environ)) == ["a", "b", "c"]


def test_closing_the_lines_ends_the_program(tmp_path: Path) -> None:
    stream = lines(["sh", "-c", "echo $$; exec sleep 60"], env=os.environ)
    pid = int(next(stream))
    stream.close()  # type: ignore[attr-defined]  # an Iterator to its readers, a generator here
    assert wait_until_gone(pid)


def test_a_program_runs_in_the_folder_that_is_given(tmp_path: Path) -> None:
    assert run(["pwd"], timeout=10, cwd=str(tmp_path)).out == f"{tmp_path}\n"


# ---------------------------------------------------------------- one limit for all


@pytest.fixture
def limited() -> Iterator[float]:
    """A moment, half a second from now, beyond which no program runs."""
    moment = time.monotonic() + 0.5
    host.limit(moment)
    yield moment
    host.limit(None)


def test_without_a_limit_there_is_all_the_time_in_the_world() -> None:
    assert host.left() == float("inf")


def test_what_is_left_gets_less_and_a_little_always_stays(limited: float) -> None:
    assert host.left() == pytest.approx(0.5, abs=0.1)
    host.limit(time.monotonic() - 60)
    assert host.left() == SHORT_GRACE


def test_a_limit_may_be_moved_and_taken_away(limited: float) -> None:
    host.limit(limited + 60)
    assert host.left() > 50
    host.limit(None)
    assert host.left() == float("inf")


def test_no_program_runs_beyond_the_limit_whatever_time_it_was_given(limited: float) -> None:
    with pytest.raises(EngineError, match="did not end"):
        run(["sleep", "60"], timeout=60)
    assert limited <= time.monotonic() < limited + 0.7


def test_a_program_that_has_less_time_than_the_limit_ends_in_its_own(limited: float) -> None:
    with pytest.raises(EngineError):
        run(["sleep", "60"], timeout=0.1)
    assert time.monotonic() < limited + 0.2


def test_beyond_the_limit_a_short_question_is_still_answered() -> None:
    host.limit(time.monotonic() - 60)
    try:
        assert run(["echo", "yes"], timeout=10).out == "yes\n"
    finally:
        host.limit(None)


def test_what_is_deaf_is_killed_soon_when_the_limit_has_passed(limited: float) -> None:
    with pytest.raises(EngineError):
        run(["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], timeout=60)
    assert time.monotonic() < limited + SHORT_GRACE + 1


def test_everything_that_still_runs_can_be_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    failed: list[object] = []

    def go() -> None:
        failed.append(run(["sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"], timeout=60).code)

    going = threading.Thread(target=go)
    going.start()
    until = time.monotonic() + 5
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < until:
        time.sleep(0.01)
    host.end_running(SHORT_GRACE)
    going.join(5)
    assert failed == [-15]


# ---------------------------------------------------------------- beside us


def test_a_program_that_runs_beside_us_is_ended_when_it_is_no_longer_needed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {pid_file}; exec sleep 60"
    with running(["sh", "-c", script], env={"PATH": os.defpath}, cwd=str(tmp_path)) as still_runs:
        until = time.monotonic() + 5
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < until:
            time.sleep(0.01)
        assert still_runs()
    assert wait_until_gone(int(pid_file.read_text()))


def test_a_program_that_runs_beside_us_and_ends_by_itself_is_told(tmp_path: Path) -> None:
    with running(["true"], env={"PATH": os.defpath}, cwd=str(tmp_path)) as still_runs:
        until = time.monotonic() + 5
        while still_runs() and time.monotonic() < until:
            time.sleep(0.01)
        assert not still_runs()


def test_a_private_folder_is_its_owners_and_gone_afterwards() -> None:
    with private_folder() as folder:
        (folder / "a").write_text("x")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_whether_somebody_answers_at_a_socket_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not socket_listens(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not socket_listens(path)
        server.listen()
        assert socket_listens(path)
    assert not socket_listens(path)


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0", "::1"])
def test_a_port_that_somebody_listens_on_is_not_free(bind: str) -> None:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((bind, 0))
        except OSError:
            pytest.skip(f"this machine has no address {bind}")
        listener.listen()
        port = listener.getsockname()[1]
        assert not port_is_free(bind, port)
    assert port_is_free(bind, port)


def test_a_port_behind_a_connection_that_just_ended_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        accepting = threading.Thread(target=lambda: listener.accept()[0].close())
        accepting.start()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.recv(1)
        accepting.join()
    assert port_is_free("127.0.0.1", port)


def test_a_port_of_ipv4_is_not_in_the_way_of_one_of_ipv6() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("0.0.0.0", 0)) as listener:
        assert port_is_free("::", listener.getsockname()[1])


def test_where_there_is_no_ipv6_its_ports_are_left_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EAFNOSUPPORT, "no such family")

    monkeypatch.setattr(socket, "socket", refuse)
    assert port_is_free("::1", 8080)


def test_an_address_that_this_machine_does_not_have_is_left_to_the_engine() -> None:
    assert port_is_free("192.0.2.1", 8080)


@pytest.mark.parametrize(
    ("env", "directory"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/state/lcompose"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/me"}, "/home/me/.local/state/lcompose"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.local/state/lcompose"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/lcompose"),
        ({}, "/tmp/.local/state/lcompose"),
    ],
)
def test_state_is_kept_where_the_convention_says(env: dict[str, str], directory: str) -> None:
    assert state_directory(env) == Path(directory)
