"""Whether LCORE can read a JSONPath: the grammar of the library that it reads them with (jsonpath-ng)."""

from __future__ import annotations

import re

# Each token becomes one letter: I a name, N a number, O this or parent, D two dots, W a word between paths.
_TOKENS = re.compile(
    r"""
    (?P<W> (?:where|wherenot)(?![\w@\-]) )
  | (?P<I> [a-zA-Z_@\u4E00-\u9FA5\U0001F600-\U0001F64F][a-zA-Z0-9_@\-\u4E00-\u9FA5\U0001F600-\U0001F64F]*
         | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" )
  | (?P<N> -?\d+ )
  | (?P<O> `this` | `parent` )
  | (?P<D> \.\. )
  | (?P<literal> [*.\[\]()$,:|&] )
  | (?P<nothing> [ \t\n] )
    """,
    re.VERBOSE,
)
_BRACKETS = r"\[(?:N(?:,N)*|I(?:,I)*|\*|N?:N?(?::N?)?)\]"
_STEP = rf"(?:I(?:,I)*|[NO*$P]|{_BRACKETS})(?:{_BRACKETS})*"
_PATH = rf"{_STEP}(?:[.DW|&]{_STEP})*"
_DEEPEST = 50  # parentheses in parentheses
_WHOLE, _IN_PARENTHESES = re.compile(_PATH), re.compile(rf"\({_PATH}\)")


def is_jsonpath(text: str) -> bool:
    """Whether the text is a path that LCORE can read."""
    letters, end = "", 0
    for token in _TOKENS.finditer(text):
        if token.start() != end:
            return False
        end = token.end()
        kind = token.lastgroup or ""
        letters += token[0] if kind == "literal" else "" if kind == "nothing" else kind
    if end != len(text):
        return False
    for _ in range(_DEEPEST):
        # What is in parentheses is a step like any other.
        letters = _IN_PARENTHESES.sub("P", letters)
    return _WHOLE.fullmatch(letters) is not None
