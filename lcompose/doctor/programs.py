"""Checks of what the stack's processes need of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lcompose.doctor.facts import Diagnosis, Facts, NeedSeen, State
from lcompose.preflight import Found
from lcompose.spec.program import Kind

STATES: Mapping[Found, State] = {"here": "ok", "fetched": "ok", "missing": "error", "unknown": "unknown"}
TOLD: Mapping[Found, str] = {
    "here": ", and here",
    "fetched": ", and uv will fetch it",
    "missing": "; there is no such file",
    "unknown": "; nobody could be asked",
}
# What some kinds say otherwise.
OF_KIND: Mapping[tuple[Kind, Found], str] = {
    ("program", "missing"): "; this program is not installed",
    ("python", "missing"): "; uv finds none, and may fetch none",
    ("folder", "missing"): "; there is no such folder",
    ("packages", "fetched"): ", and uv will fetch what is not here",
    ("packages", "unknown"): "; uv is missing, or may fetch nothing: then all of it must be here",
}


def needs(facts: Facts) -> Iterator[Diagnosis]:
    """Programs, checkouts and what uv fetches, each with the services that need it."""
    for one in facts.stack.needs if facts.stack else ():
        yield _need(one)


def _need(one: NeedSeen) -> Diagnosis:
    subject = f"Python {one.name}" if one.kind == "python" and one.name[:1].isdecimal() else one.name
    what = f"for {', '.join(one.services)}{OF_KIND.get((one.kind, one.state)) or TOLD[one.state]}"
    return Diagnosis("stack.process", STATES[one.state], subject, what, one.fix if one.state == "missing" else "")
