"""Calls that may hang, each on a thread of its own: nobody who waits for them is held up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a call: its value, or the error that it ended with."""

    key: tuple[str, ...]
    value: Any = None
    error: Exception | None = None


class Work(Protocol):
    """Where calls are made, so that tests need neither threads nor time."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""

    def wall(self) -> float:
        """Seconds since 1970."""

    def submit(self, key: tuple[str, ...], call: Callable[[], Any]) -> None:
        """Begins a call; what comes of it is among the results of ``wait`` later."""

    def follow(self, key: tuple[str, ...], source: Callable[[], Iterator[Any]]) -> None:
        """Begins to read from a source: each thing is a result, and so is the end (None)."""

    def wait(self, seconds: float) -> list[Result]:
        """The results that have come, as soon as there is one, and at the latest after ``seconds``."""


class Threads:
    """Daemon threads: one that hangs keeps neither a result from another nor the program from ending."""

    def __init__(self) -> None:
        from queue import SimpleQueue

        self._results: SimpleQueue[Result] = SimpleQueue()

    def now(self) -> float:
        """See Work."""
        return time.monotonic()

    def wall(self) -> float:
        """See Work."""
        return time.time()

    def submit(self, key: tuple[str, ...], call: Callable[[], Any]) -> None:
        """See Work."""

        def run() -> None:
            try:
                self._results.put(Result(key, call()))
            except Exception as error:  # noqa: BLE001  # whoever waits for the result raises it
                self._results.put(Result(key, error=error))

        self._start(run)

    def follow(self, key: tuple[str, ...], source: Callable[[], Iterator[Any]]) -> None:
        """See Work."""

        def run() -> None:
            try:
                for one in source():
                    self._results.put(Result(key, one))
                self._results.put(Result(key))
            except Exception as error:  # noqa: BLE001  # see above
                self._results.put(Result(key, error=error))

        self._start(run)

    def wait(self, seconds: float) -> list[Result]:
        """See Work."""
        from queue import Empty

        found: list[Result] = []
        try:
            found.append(self._results.get(timeout=max(0.0, seconds)))
            while True:
                found.append(self._results.get_nowait())
        except Empty:
            return found

    def _start(self, run: Callable[[], None]) -> None:
        from threading import Thread

        Thread(target=run, daemon=True).start()
