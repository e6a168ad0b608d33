"""A case: a compose file, and what ``lcompose up -f`` must make of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.engine.stack import Stack

# A story does more than one ``up``: it is told by a function, whose name is its sentence.
Story = Callable[[Stack], None]


@dataclass(frozen=True)
class Case:
    """``name`` is a sentence, ``code`` the exit code that ``up`` must have.

    ``prints`` are patterns of what it must say. ``states`` is what the engine must have of the
    services then; a service that is not named may be in any state. Where ``made`` is false,
    nothing may have been made. ``within`` is in seconds: it is far below the deadline of ``up``, so
    that whoever only waits for that one fails.
    """

    name: str
    compose: str
    code: int = 0
    prints: tuple[str, ...] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    made: bool = True
    options: tuple[str, ...] = ()
    within: float = 25

    def __call__(self, stack: Stack) -> None:
        """Runs it, and takes down what it made."""
        stack.write(self.compose)
        did = stack.up(*self.options)
        assert did.code == self.code, did.said
        missing = [text for text in self.prints if not re.search(text, did.said, re.MULTILINE)]
        assert not missing, did.said
        assert self._differences(stack) == {}, did.said
        assert did.seconds < self.within, did.said
        if not self.made:
            assert stack.left() == {}, did.said
        elif self.code == 0:
            stack.ends()
        else:
            stack.sweep()  # a third of the time of ``down``, which other cases try

    def _differences(self, stack: Stack) -> dict[str, tuple[str, str]]:
        found = stack.states()
        pairs = {name: (wanted, found.get(name, "absent")) for name, wanted in self.states.items()}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def row(service: str, code: int) -> str:
    """A pattern for a line of the table: the service, any state, and its exit code."""
    return rf"^ *{service}\S* +\S+ +{code}\b"


def ended(service: str, code: int) -> str:
    """The same, or words for it: a service in a crash loop may just be running again."""
    return rf"{row(service, code)}|^ *{service}\b.*\bcode {code}\b"


def sentence(of: Case | Story) -> str:
    """How a case or a story is called."""
    return (of.name if isinstance(of, Case) else of.__name__).replace(" ", "_")
