"""Sends one request to a service of this machine, past every proxy, and gives up in time."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from lcompose.errors import EngineError

MOST_READ = 8 * 1024 * 1024
PIECE = 64 * 1024
HERE = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered: the status, the kind of body, and the body."""

    status: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens on this machine."""

    port: int
    scheme: str = "http"


def ask(
    address: Address, method: str, path: str, headers: Mapping[str, str], body: bytes | None, seconds: float
) -> Reply:
    """The answer to a request, complete within ``seconds``.

    Raises: EngineError when there is none.
    """
    end = time.monotonic() + seconds
    connection = _connection(address, seconds)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        # Kept aside: a connection forgets its socket as soon as the answer says that it will be closed.
        sock = connection.sock
        response = connection.getresponse()
        kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        return Reply(response.status, kind, _read(response, sock, end))
    except (OSError, http.client.HTTPException) as error:
        what = f"there was no whole answer within {seconds:g} s: {type(error).__name__}"
        raise EngineError(what, f"{method} {path}", "Look at the service's log.") from error
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, sock: socket.socket, end: float) -> bytes:
    """The body, piece by piece: a timeout of a socket counts for each of them anew.

    Raises: OSError.
    """
    pieces: list[bytes] = []
    size = 0
    while size < MOST_READ:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        piece = response.read1(PIECE)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _connection(address: Address, seconds: float) -> http.client.HTTPConnection:
    # http.client asks no proxy.
    if address.scheme != "https":
        return http.client.HTTPConnection(HERE, address.port, timeout=seconds)
    context = ssl._create_unverified_context()  # noqa: S323  # what it answers counts, and not who signed
    return http.client.HTTPSConnection(HERE, address.port, timeout=seconds, context=context)


def free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """Ports of this machine that nobody listens on now, no two of them the same, and none that is promised."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            # Each is held until there are enough, so that none comes twice.
            probe = stack.enter_context(socket.socket())
            probe.bind((HERE, 0))
            port = int(probe.getsockname()[1])
            found += [] if port in taken else [port]
    return found
