"""Begins the fuzzing with the session: while tests of engines wait, the processor has nothing better to do."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.fuzz.test_fuzz import FOUND, begun

# Of nice: beside other tests only what they leave.
LEAST, USUAL = 19, 0
OPEN: pytest.StashKey[ExitStack] = pytest.StashKey()


def pytest_collection_finish(session: pytest.Session) -> None:
    mine = [item for item in session.items if item.path.name == "test_fuzz.py"]
    if mine and not session.config.option.collectonly:
        open_ones = session.config.stash[OPEN] = ExitStack()
        politeness = LEAST if len(session.items) > len(mine) else USUAL
        session.config.stash[FOUND] = open_ones.enter_context(begun(politeness))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if OPEN in session.config.stash:
        session.config.stash[OPEN].close()
