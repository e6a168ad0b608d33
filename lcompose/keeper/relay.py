"""Passes on what containers send: to a process that listens where only this machine reaches it.

A container's "this machine" is the address of the bridge that it is connected to. There we listen, and nowhere
else: no other machine reaches it, unless somebody makes a route.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from contextlib import suppress

from lcompose.keeper import TAKEN, processes

# Linux: an address may be one that this machine gets only later, as Podman's bridges come and go.
_IP_FREEBIND = 15
_WAITING, _PIECE = 128, 65536
# Connections at a time, of two files and two threads each.
_MOST = 256
# Seconds to reach the process, and before another try where nothing can be accepted.
_PATIENCE, _PAUSE = 10, 0.1


def opened(relays: list[tuple[str, str, int]], ours: tuple[int, ...]) -> tuple[processes.Process, str]:
    """Begins to pass on, in a child that ends with us: from an address to another one, at the same port.

    ``ours`` are files that the child is not to hold. Gives back the child, or why it cannot be.
    """
    listening = []
    for address, target, port in relays:
        try:
            listening.append((_listening(address, port), (target, port)))
        except OSError as error:
            why = TAKEN if error.errno == errno.EADDRINUSE else f"{error.strerror or error}:"
            return (0, 0), f"{why} {address}:{port}, where containers are to reach it"
    guard = os.getpid()
    child = os.fork()
    if not child:
        _pass_on(listening, guard, ours)
    for one, _ in listening:
        one.close()
    return (child, processes.birth(child)), ""


def _listening(address: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
        found.bind((address, port))
        found.listen(_WAITING)
    except OSError:
        found.close()
        raise
    return found


def _pass_on(listening: list[tuple[socket.socket, tuple[str, int]]], guard: int, ours: tuple[int, ...]) -> None:
    try:
        processes.die_with_parent()
        if os.getppid() != guard:
            return  # it died in between, and the kernel does not tell of that
        for handle in ours:
            os.close(handle)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        room = threading.BoundedSemaphore(_MOST)
        threads = [threading.Thread(target=_accept, args=(*one, room)) for one in listening]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os._exit(0)


def _accept(listening: socket.socket, target: tuple[str, int], room: threading.BoundedSemaphore) -> None:
    while True:
        room.acquire()
        try:
            connection, _ = listening.accept()
            threading.Thread(target=_connected, args=(connection, target, room)).start()
        except (OSError, RuntimeError):
            room.release()
            time.sleep(_PAUSE)


def _connected(connection: socket.socket, target: tuple[str, int], room: threading.BoundedSemaphore) -> None:
    try:
        with connection, suppress(OSError), socket.create_connection(target, _PATIENCE) as there:
            there.settimeout(None)
            back = threading.Thread(target=_copied, args=(there, connection))
            back.start()
            _copied(connection, there)
            back.join()
    finally:
        room.release()


def _copied(source: socket.socket, target: socket.socket) -> None:
    """Until the source has said all, which is passed on too."""
    try:
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    except OSError:
        # Whoever still waits for the other direction learns of it.
        with suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
