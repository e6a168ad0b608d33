"""A container's log as it comes: from its engine's socket where that can be asked, else from its command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

from lcompose import host
from lcompose.engines import recent
from lcompose.engines.glued import unglued

PATIENCE = 20.0  # seconds without a word while a log is read that is there already
# Gets the container, a time or nothing, a number of last lines, and whether to follow.
Ask = Callable[[str, str, int | None, bool], Iterator[bytes]]


def stream(ask: Ask, container: str, since: str, tail: int | None, *, follow: bool, loses: bool) -> Iterator[bytes]:
    """See Engine.stream; ``loses`` says that what is asked loses lines when it follows the last ones."""
    if not since or tail is not None or (follow and loses):
        pieces = ask(container, since, tail, follow)
    else:
        pieces = recent.since(lambda since, tail: ask(container, since, tail, follow), since)
    return pieces if follow else host.in_time(pieces, PATIENCE)


def from_command_line(program: str, env: Mapping[str, str]) -> Ask:
    """Asks an engine's command line."""
    return partial(_printed, program, env)


def _printed(
    program: str, env: Mapping[str, str], container: str, since: str, tail: int | None, follow: bool
) -> Iterator[bytes]:
    options = ["--since", since] if since else []
    options += ["--tail", str(tail)] if tail is not None else []
    options += ["--follow"] if follow else []
    return unglued(host.chunks([program, "logs", "--timestamps", *options, container], env=env), _now)


def _now() -> bytes:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}999Z ".encode()
