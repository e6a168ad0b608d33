"""Sealed values: they travel beside the Project, never inside it."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A value is hidden in output when its variable's name says that it is a secret; hiding every
# variable would also blank ports and model names.
# TOKENIZERS_PARALLELISM=false and MAX_TOKENS=4096 are no secrets.
SECRET_NAME = re.compile(r"KEY(?!BOARD|CLOAK)|(?<!MAX_)TOKEN(?!IZ)|SECRET|PASS|CREDENTIAL|DSN", re.IGNORECASE)
# A password inside a URL, whatever the variable is called.
SECRET_VALUE = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
SHORTEST_HIDDEN = 4
# What cannot be a variable is digits, or a word such as true: those are ports and settings too.
SHORTEST_KEPT = 6
NONE: Mapping[str, str] = {}


class Secrets:
    """Values of variables. Only ``reveal`` gives them out; printing shows the names alone.

    ``hidden`` are names of secrets that are not called so. ``kept`` are secrets that stand in a document:
    they are hidden too, and given to nobody.
    """

    def __init__(
        self, values: Mapping[str, str], *, hidden: frozenset[str] = frozenset(), kept: Mapping[str, str] = NONE
    ) -> None:
        self._values = dict(values)
        self._names = {value: name for name, value in kept.items() if len(value) >= SHORTEST_KEPT}
        self._names |= {value: name for name, value in values.items() if _is_secret(name, value, hidden)}
        # The longest first: one secret may be the beginning of another.
        self._pattern = re.compile("|".join(re.escape(one) for one in sorted(self._names, key=len, reverse=True)))

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"

    def has(self, name: str) -> bool:
        """Whether the variable has a value that is not empty."""
        return bool(self._values.get(name))

    def reveal(self) -> dict[str, str]:
        """The values, for a child's environment."""
        return dict(self._values)

    def redact(self, text: str) -> str:
        """The text with every secret value replaced by the name of its variable."""
        return self._pattern.sub(lambda found: f"<{self._names[found[0]]}>", text) if self._names else text


def _is_secret(name: str, value: str, hidden: frozenset[str]) -> bool:
    telling = name in hidden or SECRET_NAME.search(name) or SECRET_VALUE.search(value)
    return len(value) >= SHORTEST_HIDDEN and bool(telling)
