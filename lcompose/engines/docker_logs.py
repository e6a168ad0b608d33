"""A container's log from Docker's own socket: its command line takes twice as long for the same lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from lcompose import host
from lcompose.errors import EngineError

CONNECT_TIMEOUT = 8.0
# The streams of a frame: standard input, output and error, and what the daemon itself says.
FRAME = 8
STREAMS = (0, 1, 2, 3)
DAEMON = 3
LINE_END = ord("\n")
# A line of more pieces, 16 KiB each, is cut.
MOST_PIECES = 64
MOST_OF_A_HEAD = 64 * 1024
FIX = "Look at what 'docker info' says, then try again."


def stream(path: str, container: str, since: str, tail: int | None, follow: bool) -> Iterator[bytes]:
    """See Engine.stream.

    Raises: EngineError.
    """
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(CONNECT_TIMEOUT)
            connection.connect(path)
            connection.sendall(_request(container, since, tail, follow=follow))
            connection.setblocking(True)
            yield from _frames(_body(host.batches(connection.fileno())))
        except OSError as error:
            raise EngineError(f"Docker does not answer: {error.strerror or error}", path, FIX) from error


def _request(container: str, since: str, tail: int | None, *, follow: bool) -> bytes:
    """A request of HTTP 1.0: so the answer is what follows the head, until the connection ends."""
    asked = ["stdout=1", "stderr=1", "timestamps=1", f"follow={int(follow)}"]
    asked += [f"since={_seconds(since)}"] if since else []
    asked += [f"tail={tail}"] if tail is not None else []
    return f"GET /containers/{container}/logs?{'&'.join(asked)} HTTP/1.0\r\nHost: docker\r\n\r\n".encode()


def _seconds(time: str) -> str:
    """A time as the socket wants it: seconds since 1970, with nine digits behind the point."""
    whole, _, rest = time.partition(".")
    digits = rest.rstrip("Z") or "0"
    moment = datetime.fromisoformat(whole.rstrip("Z") + "+00:00")
    return f"{int(moment.timestamp())}.{digits:0<9.9}"


def _body(pieces: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for piece in pieces:
        head += piece
        yield b""  # whoever waits for us may look at the time
        if b"\r\n\r\n" in head or len(head) > MOST_OF_A_HEAD:
            break
    status, _, _ = head.partition(b"\r\n")
    _, _, first = head.partition(b"\r\n\r\n")
    if b" 200 " not in status:
        raise _refused(first + b"".join(pieces))
    if first:
        yield first
    yield from pieces


def _refused(body: bytes) -> EngineError:
    message = body.decode(errors="replace").strip()
    with suppress(ValueError, KeyError, TypeError):
        message = json.loads(body)["message"]
    return EngineError(f"docker logs failed: {message or 'it said nothing'}", "", FIX)


def _frames(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What is in the frames. A container with a terminal has none: its log begins with a time at once."""
    reader = Frames()
    framed: bool | None = None
    for piece in pieces:
        if framed is None and piece:
            framed = piece[0] in STREAMS
        yield reader.read(piece) if framed else piece
    if reader.rest:
        raise EngineError("docker logs failed: the connection ended in the middle of a line", "", FIX)


class Frames:
    """Makes lines of frames. A long line comes in several, each with the same time before it."""

    def __init__(self) -> None:
        self.rest = b""
        # The stream and the time of a line that has no end yet, and how many pieces of it there were.
        self._open: tuple[int, bytes] | None = None
        self._pieces = 0

    def read(self, piece: bytes) -> bytes:
        """The lines in what came, as far as its frames are whole.

        Raises: EngineError when the daemon says that it cannot go on.
        """
        data = self.rest + piece
        found: list[bytes] = []
        position, end = 0, len(data)
        # As short as it is because it runs for every line.
        while position + FRAME <= end:
            begin = position + FRAME
            behind = begin + int.from_bytes(data[position + 4 : begin], "big")
            if behind > end:
                break
            text = data[begin:behind]
            if self._open or data[position] == DAEMON or data[behind - 1] != LINE_END:
                text = self._unusual(data[position], text)
            found.append(text)
            position = behind
        self.rest = data[position:]
        return b"".join(found)

    def _unusual(self, stream: int, text: bytes) -> bytes:
        if stream == DAEMON:
            raise EngineError(f"docker logs failed: {text.decode(errors='replace').strip()}", "", FIX)
        time, _, printed = text.partition(b" ")
        before, self._open = self._open, None if text.endswith(b"\n") else (stream, time)
        if before == (stream, time) and self._pieces < MOST_PIECES:
            self._pieces += 1
            return printed
        self._pieces = 1
        return b"\n" + text if before else text
