"""Names that may become part of a path or of a container's name."""

from __future__ import annotations

import re

from lcompose.errors import UsageError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
NAME_RULE = "use 1 to 32 of a-z, 0-9, _ and -, starting with a letter or digit"


def checked_name(value: str, what: str) -> str:
    """A name that may become part of a path or of a container's name.

    Raises: UsageError.
    """
    if not NAME.fullmatch(value):
        shown = value if len(value) < 40 else f"{value[:40]}…"
        raise UsageError(f"{shown!r} is not a name for a {what}", "", f"Please {NAME_RULE}.")
    return value


def name_from_directory(directory: str) -> str:
    """A project name made of a directory's name: what no name may hold becomes ``-``."""
    cleaned = re.sub(r"[^a-z0-9_-]+", "-", directory.lower()).strip("-_")
    return cleaned[:32] or "lightspeed"
