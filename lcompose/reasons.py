"""Why a stack is not ready, for people: a table of its services, and what those said that failed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from lcompose.engines import Engine
from lcompose.errors import LcomposeError
from lcompose.logs import TIME
from lcompose.readiness import Verdict
from lcompose.spec.run import Container
from lcompose.work import Work

HEADER = ("SERVICE", "STATE", "EXIT", "RESTARTS", "REASON")
LAST_LINES = 15
LONGEST_LINE = 300
# So many are quoted: more of them have one cause, and each is a call to the engine.
MOST_QUOTED = 5
WORDS = "words"


def row(name: str, one: Container | None, verdict: Verdict) -> tuple[str, ...]:
    """What the table says of one container, or of a service that has none."""
    if one is None:
        return (name, "absent", "", "", verdict.reason)
    code = "" if one.state in ("running", "created", "configured") and not one.exit_code else str(one.exit_code)
    return (name, one.state, code, str(one.restarts), verdict.reason)


def last_words(containers: Sequence[Container], engine: Engine, work: Work, seconds: float) -> list[str]:
    """The last lines of some containers, as far as they can be had in time."""
    asked = containers[:MOST_QUOTED]
    for one in asked:
        work.submit((WORDS, one.id), partial(engine.logs, one.id, LAST_LINES))
    texts: dict[str, str] = {}
    until = work.now() + seconds
    while len(texts) < len({one.id for one in asked}) and work.now() < until:
        for result in work.wait(until - work.now()):
            if result.key[0] == WORDS:
                texts[result.key[1]] = _said(result.value, result.error)
    missing = "(its log could not be read in time)"
    return [line for one in asked for line in _quoted(one, texts.get(one.id, missing))]


def _said(text: Any, error: Exception | None) -> str:
    if isinstance(error, LcomposeError):
        return f"({error.what})"
    if error:
        raise error
    return str(text)


def _quoted(one: Container, text: str) -> list[str]:
    said = [line[:LONGEST_LINE] for raw in text.splitlines() if (line := TIME.sub("", raw).rstrip())][-LAST_LINES:]
    return [f"--- the last lines of {one.name}:", *(said or ["(it printed nothing)"])]
