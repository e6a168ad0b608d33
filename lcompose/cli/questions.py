"""Questions that are asked side by side, each on a thread of its own, and what is answered in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

from lcompose.errors import LcomposeError

T = TypeVar("T")


class Question(Generic[T]):
    """A call that is made at once; one that hangs is left behind."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._found: T | None = None
        self._error: Exception | None = None
        self._thread = Thread(target=self._make, daemon=True)
        self._thread.start()

    def answer(self, until: float) -> T | None:
        """What it returns; None where it is refused, or not there at a moment of ``time.monotonic``.

        Raises: what the call raises that is no error of ours.
        """
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._error and not isinstance(self._error, LcomposeError):
            raise self._error
        return self._found

    def _make(self) -> None:
        try:
            self._found = self._call()
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            self._error = error
