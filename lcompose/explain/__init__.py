"""Why each value of a stack is what it is: which layer set it, where that stands, and the reason.

A value comes from a layer of settings, from a person's own words of Compose, from one of the two documents,
or from lcompose itself. Of the last kind, the reasons are in a table (``reasons``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lcompose.errors import UsageError
from lcompose.explain import natively, overlay, runtimes, written
from lcompose.explain.evidence import DEFAULT, OURS, Cause, Evidence, Explained
from lcompose.explain.fields import AS_MADE, DOCS, NOT_SET, fields_of, settings_of
from lcompose.schema import suggestion
from lcompose.spec.project import Service

# What a person asks for to see settings that belong to no service.
SETTINGS_NAME = "settings"

__all__ = [
    "AS_MADE",
    "DEFAULT",
    "DOCS",
    "NOT_SET",
    "OURS",
    "SETTINGS_NAME",
    "Cause",
    "Evidence",
    "Explained",
    "asked_for",
    "explained",
]


def explained(evidence: Evidence) -> tuple[Explained, ...]:
    """Every value of every service, in their order, what stands beside them, and settings that belong to none."""
    services = [row for service in evidence.resolved.project.services for row in _service(service, evidence)]
    beside = (*overlay.whole_services(evidence), *overlay.sections(evidence))
    return (*services, *beside, *settings_of(evidence, SETTINGS_NAME))


def _service(service: Service, evidence: Evidence) -> Iterator[Explained]:
    own = {row.field: row for row in (*fields_of(service, evidence), *runtimes.rows(service, evidence))}
    if service.name in evidence.processes:
        return natively.rows(service, own, evidence)
    before = written.own_words(service, own, evidence)
    return written.joined(own, before, list(overlay.words_of(service.name, before, evidence)))


def asked_for(rows: Sequence[Explained], wanted: str) -> tuple[Explained, ...]:
    """The rows that ``SERVICE`` or ``SERVICE.FIELD`` means.

    A field may also be called as settings call it, or as it stands in the compose file.

    Raises: UsageError for a service or field that there is not.
    """
    service, name = _parts(rows, wanted)
    own = tuple(row for row in rows if row.service == service)
    if not own:
        known = list(dict.fromkeys(row.service for row in rows))
        raise UsageError(f"no service is called {service[:40]!r}", "explain", suggestion(service, known))
    listed = tuple(row for row in own if row.listed)
    if not name:
        return listed
    for is_meant in (_is_called, _is_below):
        for some in (listed, own):
            if found := tuple(row for row in some if is_meant(row, name)):
                return found
    raise UsageError(f"{service} has no field {name[:60]!r}", "explain", _near(name, own))


def _parts(rows: Sequence[Explained], wanted: str) -> tuple[str, str]:
    """The service and the field; there may be dots in either."""
    known = [row.service for row in rows if wanted == row.service or wanted.startswith(f"{row.service}.")]
    service = max(known, key=len, default=wanted.partition(".")[0])
    return service, wanted[len(service) + 1 :]


def _is_called(row: Explained, name: str) -> bool:
    return name in (row.field, row.word)


def _is_below(row: Explained, name: str) -> bool:
    return any(known.startswith(f"{name}.") for known in (row.field, row.word))


def _near(name: str, rows: Sequence[Explained]) -> str:
    below = [row.field for row in rows if row.field.startswith(f"{name.split('.')[0]}.")]
    known = [row.field.split(".")[0] for row in rows] + [row.word for row in rows if row.word]
    return suggestion(name, below or list(dict.fromkeys(known)))
