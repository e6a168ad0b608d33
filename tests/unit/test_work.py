"""Calls beside the waiting, on real threads: what they give, what they end with, and those that hang."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

import pytest

from lcompose.errors import EngineError
from lcompose.work import Result, Threads

AT_ONCE = 0.2


@pytest.fixture
def work() -> Threads:
    return Threads()


def results(work: Threads, number: int) -> list[Result]:
    """So many results, as they come."""
    found: list[Result] = []
    until = time.monotonic() + 5
    while len(found) < number and time.monotonic() < until:
        found += work.wait(1)
    return found


def test_the_result_of_a_call_has_its_key_and_its_value(work: Threads) -> None:
    work.submit(("look", "a"), lambda: 5)
    assert results(work, 1) == [Result(("look", "a"), 5)]


def test_the_error_of_a_call_is_a_result(work: Threads) -> None:
    error = EngineError("no")

    def fail() -> NoReturn:
        raise error

    work.submit(("look",), fail)
    assert results(work, 1) == [Result(("look",), error=error)]


def test_calls_are_made_side_by_side(work: Threads) -> None:
    both = threading.Barrier(2, timeout=5)
    for name in "ab":
        work.submit((name,), both.wait)
    assert {one.error for one in results(work, 2)} == {None}


def test_a_result_is_there_as_soon_as_it_comes(work: Threads) -> None:
    begun = time.monotonic()
    work.submit(("a",), lambda: 1)
    assert work.wait(60) == [Result(("a",), 1)]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("seconds", [-1, 0, 0.05])
def test_who_waits_for_nothing_waits_no_longer_than_that(work: Threads, seconds: float) -> None:
    begun = time.monotonic()
    assert work.wait(seconds) == []
    assert max(0, seconds) <= time.monotonic() - begun < max(0, seconds) + AT_ONCE


def test_a_call_that_hangs_keeps_no_result_from_another(work: Threads) -> None:
    hangs = threading.Event()
    work.submit(("hangs",), hangs.wait)
    work.submit(("a",), lambda: 1)
    assert results(work, 1) == [Result(("a",), 1)]
    hangs.set()


def test_a_call_that_hangs_does_not_keep_the_program_from_ending() -> None:
    program = "from lcompose.work import Threads; import time; Threads().submit(('a',), lambda: time.sleep(60))"
    subprocess.run([sys.executable, "-c", program], timeout=20, check=True)


def test_what_is_followed_comes_one_by_one_and_then_its_end(work: Threads) -> None:
    work.follow(("events",), lambda: iter("ab"))
    assert results(work, 3) == [Result(("events",), "a"), Result(("events",), "b"), Result(("events",))]


def test_what_is_followed_comes_while_it_goes_on(work: Threads) -> None:
    go_on = threading.Event()

    def source() -> Iterator[str]:
        yield "a"
        go_on.wait(5)
        yield "b"

    work.follow(("events",), source)
    assert results(work, 1) == [Result(("events",), "a")]
    go_on.set()
    assert results(work, 2) == [Result(("events",), "b"), Result(("events",))]


def test_the_error_of_what_is_followed_is_its_end(work: Threads) -> None:
    def source() -> Iterator[str]:
        yield "a"
        raise EngineError("the daemon is gone")

    work.follow(("events",), source)
    assert results(work, 2)[1] == Result(("events",), error=EngineError("the daemon is gone"))


def test_now_goes_forward_and_wall_is_the_time_of_day(work: Threads) -> None:
    before = work.now(), work.wall()
    time.sleep(0.01)
    assert work.now() > before[0]
    assert abs(work.wall() - time.time()) < 1
