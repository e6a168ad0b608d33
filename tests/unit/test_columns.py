"""Rows as lines: columns stand below each other, and nothing trails."""

from __future__ import annotations

from lcompose.columns import aligned


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned([("A", "STATE"), ("long", "x")]) == ["A     STATE", "long  x"]


def test_nothing_trails() -> None:
    assert aligned([("A", "B"), ("a", "")]) == ["A  B", "a"]
