"""Rows as lines of text, for people."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as it must be."""
    widths = [max(len(str(one[index])) for one in rows) for index in range(len(rows[0]))]
    return ["  ".join(str(cell).ljust(width) for cell, width in zip(one, widths, strict=True)).rstrip() for one in rows]
