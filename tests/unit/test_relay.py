"""What comes to another address of this machine reaches a process that listens on loopback alone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lcompose.errors import EngineError
from tests.conftest import free_port
from tests.native import Native, native, wait_until

THERE = "127.0.0.77"
# Says back what it is told, until nothing more is said; then how much it was.
ECHO = """
import socket, sys, threading
def said(c):
    with c:
        n = 0
        while piece := c.recv(65536): c.sendall(piece); n += len(piece)
        c.sendall(str(n).encode())
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True: threading.Thread(target=said, args=(s.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Native]:
    with native(tmp_path) as made:
        (tmp_path / "echo.py").write_text(ECHO)
        yield made


def echo(here: Native, port: int, **more: object) -> str:
    """A process that says back what it hears, which containers call; it is not started yet."""
    command = ["python3", str(here.folder / "echo.py"), str(port)]
    tree = {"command": command, "ports": [["127.0.0.1", port]], "called": True, **more}
    return here.create({"echo": tree})["echo"].id


def told(port: int, text: bytes, address: str = THERE) -> bytes:
    """All that is said back."""
    with socket.create_connection((address, port), 5) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while piece := connection.recv(65536):
            found += piece
    return found


def listens(port: int, address: str = "127.0.0.1") -> bool:
    with suppress(OSError), socket.create_connection((address, port), 1):
        return True
    return False


def test_both_directions_are_passed_on_to_their_ends(here: Native) -> None:
    port = free_port()
    here.engine.start_called(echo(here, port), [THERE])
    wait_until(lambda: listens(port))
    large = os.urandom(300_000)
    assert told(port, large) == large + b"300000"
    assert told(port, b"") == b"0"


def test_many_are_passed_on_at_a_time(here: Native) -> None:
    port = free_port()
    here.engine.start_called(echo(here, port), [THERE])
    wait_until(lambda: listens(port))
    connections = [socket.create_connection((THERE, port), 5) for _ in range(50)]
    for number, one in enumerate(connections):
        one.sendall(str(number).encode())
    assert [one.recv(9) for one in connections] == [str(number).encode() for number in range(50)]
    for one in connections:
        one.close()


def test_an_address_that_comes_only_later_is_listened_on(here: Native) -> None:
    # As that of a bridge, which is there only while a container is connected to it.
    port = free_port()
    here.engine.start_called(echo(here, port), ["192.0.2.201"])
    wait_until(lambda: listens(port))
    assert here.all()["echo"].state == "running"


def test_it_ends_with_its_process_and_lives_through_its_restarts(here: Native) -> None:
    port = free_port()
    container = echo(here, port, restart="always")
    here.engine.start_called(container, [THERE])
    wait_until(lambda: listens(port))
    os.kill(here.state(container).pid[0], signal.SIGKILL)
    wait_until(lambda: here.of(container).restarts == 1 and listens(port))
    assert told(port, b"again") == b"again5"
    for _ in range(5):
        here.engine.stop(container, 1)
        assert not listens(port, THERE)
        here.engine.start_called(container, [THERE])
    here.engine.stop(container, 1)
    assert here.left() == []


def test_nothing_of_it_is_left_where_all_that_keeps_it_is_killed(here: Native) -> None:
    port = free_port()
    container = echo(here, port)
    here.engine.start_called(container, [THERE])
    state = here.state(container)
    for pid, _ in (state.guard, state.keeper):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not listens(port, THERE) and not here.left())


def test_a_port_that_another_program_has_there_is_told(here: Native) -> None:
    port = free_port()
    container = echo(here, port)
    with socket.create_server((THERE, port)), pytest.raises(EngineError) as caught:
        here.engine.start_called(container, [THERE])
    assert caught.value.what == (
        f"echo cannot be started: another program has {THERE}:{port}, where containers are to reach it"
    )
    assert caught.value.fix == "Stop the program that has it, or take another port for the service."
    here.engine.start_called(container, [THERE])
    assert here.of(container).state == "running"


def test_what_listens_everywhere_needs_nobody_who_passes_it_on(here: Native) -> None:
    port = free_port()
    container = echo(here, port, ports=[["0.0.0.0", port]])
    here.engine.start_called(container, [THERE])
    assert not listens(port, THERE)
