"""How engines hand out logs: frames of Docker's socket, glued lines, and the end of a long log."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose import host
from lcompose.engines import docker_logs, recent
from lcompose.engines.docker_logs import Frames
from lcompose.engines.glued import unglued
from lcompose.errors import EngineError
from tests.unit.given import T1, T2, T3

OUT, ERR, DAEMON = 1, 2, 3


def frame(stream: int, text: str) -> bytes:
    """A frame as Docker's socket sends it."""
    data = text.encode()
    return struct.pack(">BxxxL", stream, len(data)) + data


def unframed(*frames: bytes) -> str:
    """What is in frames that come one by one."""
    reader = Frames()
    return b"".join(reader.read(one) for one in frames).decode()


@given(st.lists(st.integers(0, 120), max_size=5))
def test_frames_that_come_in_pieces_are_read_whole(cuts: list[int]) -> None:
    data = frame(OUT, f"{T1} one\n") + frame(ERR, f"{T2} two\n")
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[begin:end] for begin, end in itertools.pairwise(places)]
    assert unframed(*pieces) == f"{T1} one\n{T2} two\n"


def test_the_pieces_of_a_long_line_become_one() -> None:
    pieces = [frame(OUT, f"{T1} aa"), frame(OUT, f"{T1} bb"), frame(OUT, f"{T1} cc\n")]
    assert unframed(*pieces, frame(OUT, f"{T2} d\n")) == f"{T1} aabbcc\n{T2} d\n"


def test_a_line_without_an_end_is_not_mixed_with_the_next_start_or_the_other_stream() -> None:
    assert unframed(frame(OUT, f"{T1} end"), frame(OUT, f"{T2} start\n")) == f"{T1} end\n{T2} start\n"
    assert unframed(frame(OUT, f"{T1} a"), frame(ERR, f"{T1} b\n")) == f"{T1} a\n{T1} b\n"
    assert unframed(frame(OUT, f"{T1} end")) == f"{T1} end"


def test_a_line_that_never_ends_is_cut_at_the_same_place_every_time() -> None:
    found = unframed(*[frame(OUT, f"{T1} x")] * 130).split("\n")
    assert [len(line) - len(T1) - 1 for line in found] == [64, 64, 2]


def test_a_time_that_a_program_printed_itself_is_left_alone() -> None:
    text = f"{T1} runs again at {T2} or so\n"
    assert unframed(frame(OUT, text)) == text


def test_what_the_daemon_says_is_an_error() -> None:
    with pytest.raises(EngineError, match="docker logs failed: no space left"):
        unframed(frame(DAEMON, "no space left\n"))


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[tuple[str, list[bytes], list[bytes]]]:
    """A socket, what it will answer, and what it was asked."""
    answers: list[bytes] = []
    asked: list[bytes] = []
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(4096))
                for answer in answers:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path, answers, asked
        thread.join(timeout=5)


Answering = tuple[str, list[bytes], list[bytes]]


def test_a_log_is_read_from_dockers_socket(answering: Answering) -> None:
    path, answers, asked = answering
    answers += [b"HTTP/1.0 200 OK\r\nServer: Docker\r\n", b"\r\n", frame(OUT, f"{T1} one\n"), frame(ERR, f"{T2} b\n")]
    found = b"".join(docker_logs.stream(path, "c1", T1, 5, True))
    assert found.decode() == f"{T1} one\n{T2} b\n"
    wanted = "stdout=1&stderr=1&timestamps=1&follow=1&since=1735689601.000000000&tail=5"
    assert asked[0].decode().startswith(f"GET /containers/c1/logs?{wanted} HTTP/1.0\r\n")


def test_a_container_with_a_terminal_has_no_frames(answering: Answering) -> None:
    path, answers, _ = answering
    answers += [b"HTTP/1.0 200 OK\r\n\r\n", f"{T1} one\r\n".encode()]
    assert b"".join(docker_logs.stream(path, "c1", "", None, False)) == f"{T1} one\r\n".encode()


def test_what_docker_refuses_is_an_error_with_its_words(answering: Answering) -> None:
    path, answers, _ = answering
    body = json.dumps({"message": "No such container: c1"}).encode()
    answers += [b"HTTP/1.0 404 Not Found\r\n\r\n" + body]
    with pytest.raises(EngineError, match="docker logs failed: No such container: c1"):
        list(docker_logs.stream(path, "c1", "", None, False))


def test_a_connection_that_ends_too_early_is_an_error(answering: Answering) -> None:
    path, answers, _ = answering
    answers += [b"HTTP/1.0 200 OK\r\n\r\n", frame(OUT, f"{T1} one\n")[:-3]]
    with pytest.raises(EngineError, match="in the middle of a line"):
        list(docker_logs.stream(path, "c1", "", None, False))


def test_a_socket_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Docker does not answer"):
        list(docker_logs.stream(str(tmp_path / "nowhere"), "c1", "", None, False))


def plain(*pieces: str, now: str = T3) -> str:
    """What is made of a log that a command line glued together."""
    return b"".join(unglued(iter([piece.encode() for piece in pieces]), lambda: f"{now} ".encode())).decode()


def test_times_in_the_middle_of_a_line_are_taken_out() -> None:
    assert plain(f"{T1} aa{T1} bb{T2} cc\n{T3} d\n") == f"{T1} aabbcc\n{T3} d\n"
    assert plain(f"{T1} aa{T1} b", f"b{T2} cc\n{T3} d") == f"{T1} aabbcc\n{T3} d"


def test_a_time_that_a_program_printed_stays_in_its_line() -> None:
    for text in (f"{T2} was at {T1} once\n{T3} b\n", f"{T1} will be at {T3} again\n{T2} b\n"):
        assert plain(text) == text


def test_a_glued_line_that_never_ends_is_cut_at_the_same_place_every_time() -> None:
    endless = f"{T1} x" * 130
    assert plain(endless) == plain(*[f"{T1} x"] * 130) == "\n".join(f"{T1} {'x' * n}" for n in (64, 64, 2))


def asked_of(log: bytes, time: str) -> tuple[list[tuple[str, int | None]], bytes]:
    """What is asked of an engine for the end of a log, and what comes of it."""
    calls: list[tuple[str, int | None]] = []

    def ask(since: str, tail: int | None) -> Iterator[bytes]:
        calls.append((since, tail))
        yield log if tail else b"all of it"

    return calls, b"".join(recent.since(ask, time))


def test_the_last_lines_are_enough_where_they_reach_back_far_enough() -> None:
    log = f"{T1} a\n{T3} b\n".encode()
    assert asked_of(log, T3) == ([("", recent.LINES)], log)


def test_all_is_asked_for_where_the_last_lines_may_not_be_enough() -> None:
    for log in (f"{T2} a\n{T3} b\n".encode(), b"", b"a warning\n"):
        assert asked_of(log, T3) == ([("", recent.LINES), (T3, None)], b"all of it")


def python(script: str) -> list[str]:
    """A program that runs a script."""
    return [sys.executable, "-u", "-c", script]


def test_a_program_is_read_in_pieces_with_both_streams_in_their_order() -> None:
    script = "import sys\nfor i in range(50): print(i, file=(sys.stdout, sys.stderr)[i % 2])"
    found = b"".join(host.chunks(python(script), env={}))
    assert found.decode().split() == [str(number) for number in range(50)]


def test_a_program_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(EngineError, match="failed: no such container"):
        list(host.chunks(python("import sys; print('a'); sys.exit('no such container')"), env={}))


def test_a_quiet_program_gives_empty_pieces_and_ends_when_nobody_reads_it() -> None:
    reading = host.chunks(python("import time; time.sleep(60)"), env={})
    assert next(reading) == b""
    reading.close()  # type: ignore[attr-defined]
    assert not [child for child in host._RUNNING if child.poll() is None]


def test_an_engine_that_stops_in_the_middle_is_given_up() -> None:
    def quiet() -> Iterator[bytes]:
        yield b"a"
        while True:
            yield b""

    with pytest.raises(EngineError, match="does not go on"):
        list(host.in_time(quiet(), 0.05))
