"""Logs that are never lost: kept over restarts, failure and ``down``, and shown as one stream.

``lines`` is what an engine's log looks like, ``cursor`` how far it is known, ``files`` and ``book``
where it is kept; ``collect`` keeps it, ``source`` reads one container's, ``show`` and ``follow`` a
project's.
"""

from __future__ import annotations

from lcompose.logs.collect import collect, collect_all, say_missing
from lcompose.logs.files import kept, read_kept, service_of
from lcompose.logs.follow import followed
from lcompose.logs.lines import TIME, Line
from lcompose.logs.show import View, merged
from lcompose.logs.when import since

__all__ = [
    "TIME",
    "Line",
    "View",
    "collect",
    "collect_all",
    "followed",
    "kept",
    "merged",
    "read_kept",
    "say_missing",
    "service_of",
    "since",
]
