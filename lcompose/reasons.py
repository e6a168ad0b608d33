"""Why a stack is not ready, for people: a table of its services, and what those said that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lcompose.engines import Engine
from lcompose.errors import Heard, HeardBy, LcomposeError
from lcompose.logs import TIME
from lcompose.readiness import Verdict
from lcompose.spec.run import Container
from lcompose.work import Work

HEADER = ("SERVICE", "STATE", "EXIT", "RESTARTS", "REASON")
LAST_LINES = 15
LONGEST_LINE = 300
# Lines that are read: what a service failed by may stand before a long traceback.
MOST_READ = 500
# So many are quoted: more of them have one cause, and each is a call to the engine.
MOST_QUOTED = 5
WORDS = "words"


def row(name: str, one: Container | None, verdict: Verdict) -> tuple[str, ...]:
    """What the table says of one container, or of a service that has none."""
    if one is None:
        return (name, "absent", "", "", verdict.reason)
    code = "" if one.state in ("running", "created", "configured") and not one.exit_code else str(one.exit_code)
    return (name, one.state, code, str(one.restarts), verdict.reason)


def last_words(containers: Sequence[Container], engine: Engine, work: Work, seconds: float) -> dict[str, str]:
    """The end of what some containers printed, by container, as far as it can be had in time."""
    asked = containers[:MOST_QUOTED]
    for one in asked:
        work.submit((WORDS, one.id), partial(engine.logs, one.id, MOST_READ))
    texts: dict[str, str] = {}
    until = work.now() + seconds
    while len(texts) < len({one.id for one in asked}) and work.now() < until:
        for result in work.wait(until - work.now()):
            if result.key[0] == WORDS:
                texts[result.key[1]] = _said(result.value, result.error)
    return {one.id: texts.get(one.id, "(its log could not be read in time)") for one in asked}


def quoted(containers: Sequence[Container], words: Mapping[str, str]) -> list[str]:
    """The last lines of what was read of each."""
    return [line for one in containers if one.id in words for line in _quoted(one, words[one.id])]


def heard(containers: Sequence[Container], words: Mapping[str, str], reasons: Mapping[str, str]) -> list[Heard]:
    """All that was said of some containers: by them, by what asks them, and by their engine.

    ``reasons`` say of each service why it failed; they hold the words of engines and of probes.
    """
    found: list[Heard] = []
    for one in containers:
        reason = reasons.get(one.service, "")
        texts: dict[HeardBy, str] = {
            "engine": "\n".join((one.error, reason)),
            "log": "\n".join(TIME.sub("", line) for line in words.get(one.id, "").splitlines()),
            "probe": "\n".join((one.health_output, reason)),
        }
        found += [Heard(by, text, one.service, one.image) for by, text in texts.items() if text.strip()]
    return found


def _said(text: Any, error: Exception | None) -> str:
    if isinstance(error, LcomposeError):
        return f"({error.what})"
    if error:
        raise error
    return str(text)


def _quoted(one: Container, text: str) -> list[str]:
    said = [line[:LONGEST_LINE] for raw in text.splitlines() if (line := TIME.sub("", raw).rstrip())][-LAST_LINES:]
    return [f"--- the last lines of {one.name}:", *(said or ["(it printed nothing)"])]
