"""Compose files, and what ``lcompose up -f`` makes of them: the verdicts are the same on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.engine.case import Case, Story, sentence
from tests.engine.cases import EVERYTHING
from tests.engine.stack import Stack, new_stack

# Cases wait for half of their time; deadlines in them leave room for a machine that is busy.
AT_ONCE = 8

Verdicts = dict[str, Future[None]]


@pytest.fixture(scope="module")
def verdicts(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Verdicts]:
    """Starts all cases that were chosen for one engine, side by side; each test takes its own verdict."""
    chosen = _chosen(request.session, engine)
    parent = tmp_path_factory.mktemp(engine)
    stacks = [new_stack(engine, parent) for _ in chosen]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {sentence(case): pool.submit(_tried, case, stack) for case, stack in zip(chosen, stacks, strict=True)}
        pool.shutdown(cancel_futures=True)


def _chosen(session: pytest.Session, engine: str) -> list[Case | Story]:
    found = [item for item in session.items if getattr(item, "originalname", "") == "test_the_verdict_is_right"]
    params = [item.callspec.params for item in found]  # type: ignore[attr-defined]
    return [one["case"] for one in params if one["engine"] == engine]


def _tried(case: Case | Story, stack: Stack) -> None:
    try:
        case(stack)
    except BaseException:
        stack.sweep()
        raise


@pytest.mark.parametrize("case", [pytest.param(one, id=sentence(one)) for one in EVERYTHING])
def test_the_verdict_is_right(engine: str, case: Case | Story, verdicts: Verdicts) -> None:
    verdicts[sentence(case)].result()
