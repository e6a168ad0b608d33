"""Sealed values: they travel beside the Project, never inside it."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A value is hidden in output when its variable's name says that it is a secret; hiding every
# variable would also blank ports and model names.
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|DSN", re.IGNORECASE)
SHORTEST_HIDDEN = 4


class Secrets:
    """Values of variables. Only ``reveal`` gives them out; printing shows the names alone."""

    def __init__(self, values: Mapping[str, str], *, hidden: frozenset[str] = frozenset()) -> None:
        self._values = dict(values)
        self._hidden = hidden

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
        for name, value in self._secret_values():
            text = text.replace(value, f"<{name}>")
        return text

    def _secret_values(self) -> list[tuple[str, str]]:
        found = [
            (name, value)
            for name, value in self._values.items()
            if len(value) >= SHORTEST_HIDDEN and (name in self._hidden or SECRET_NAME.search(name))
        ]
        return sorted(found, key=lambda pair: -len(pair[1]))
