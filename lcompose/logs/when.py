"""What ``--since`` means."""

from __future__ import annotations

import re

from lcompose.errors import UsageError
from lcompose.logs.lines import in_utc, stamp_of

AGO = re.compile(r"(?:(?P<d>\d{1,6})d)?(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,6})m)?(?:(?P<s>\d{1,6})s)?")
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
# With its day and its time; a zone may be left out, and is UTC then, as in the lines themselves.
TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?)?")


def since(text: str, now: float) -> str:
    """The time that is meant by ``10m``, ``1h30m`` or a time of RFC 3339, as lines have it.

    Raises: UsageError.
    """
    ago = AGO.fullmatch(text)
    if text and ago:
        seconds = sum(int(ago[unit] or 0) * factor for unit, factor in SECONDS.items())
        return stamp_of(max(0.0, now - seconds))
    found = in_utc(text.upper().replace(" ", "T")) if TIME.fullmatch(text) else ""
    if not found:
        fix = "Use 30s, 10m, 2h, 1d, or a time such as 2025-01-31T12:00:00Z."
        raise UsageError(f"{text[:40]!r} is no time to begin at", "--since", fix)
    return found
