"""Failures that are known by name: what was said before one, looked up in data files; its cause, and what to do.

The files are read only after a failure. What is searched is bounded, and so is each line of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from lcompose.errors import ConfigError, Finding, Heard, HeardBy, Known, LcomposeError
from lcompose.load import Node, Path, dotted, locate, parse, plain
from lcompose.schema import Key, Record, check, choice, flag, listing, mapping, record, text, url
from lcompose.templates import data_directory

MOST_KNOWN = 3
# What one part of a stack says stands before what anything may say.
FILES = ("lightspeed.yaml", "gpu.yaml", "engines.yaml")
# What is searched of each text: its end, since a program says at last why it gives up.
MOST_TEXT, MOST_LINES, LONGEST_LINE = 64 * 1024, 500, 2000
# What a message's own words may add to ours.
LONGEST_WORD, LONGEST_QUOTE = 100, 300
COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")
NOT_FOR_PEOPLE = re.compile(r"[\x00-\x1f\x7f]+")
# Programs that write for a terminal break their lines at blanks, and indent what follows.
BLANK = r"(?: |\n {1,40})"
WORD = re.compile(r"\{(\w+)\}")

ROW: Record = {
    "patterns": Key(
        listing(text(min_length=6), min_length=1),
        required=True,
        doc="Regular expressions, of which one is found; a blank also stands for the end of a line.",
    ),
    "said_by": Key(listing(choice("engine", "log", "probe"), min_length=1), required=True),
    "of": Key(listing(text(min_length=2), min_length=1), doc="Of these, one is in the service's name or image."),
    "cause": Key(
        text(min_length=1), required=True, doc="`{service}`, and the groups of its patterns, stand for words."
    ),
    "fix": Key(text(min_length=1), required=True, doc="One thing to do; the same words stand for the same."),
    "silent": Key(choice("fatal", "warning"), required=True, doc="What it is where nothing fails by it."),
    "general": Key(flag(strict=True), doc="Told only where nothing more special is found."),
    "more": Key(url(), doc="A page about it."),
}
TABLE: Record = {
    "description": Key(text(min_length=1), required=True),
    "failures": Key(mapping(record(ROW), text(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")), required=True),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: what is said before it, by whom, what that means, and what to do about it."""

    id: str
    patterns: tuple[re.Pattern[str], ...]
    said_by: tuple[HeardBy, ...]
    of: tuple[str, ...]
    cause: str
    fix: str
    silent: Literal["fatal", "warning"]
    general: bool
    more: str

    def may_be_of(self, heard: Heard) -> bool:
        """Whether it can be said there at all."""
        names = f"{heard.service} {heard.image}"
        return heard.by in self.said_by and (not self.of or any(word in names for word in self.of))


@cache
def all_known() -> tuple[Failure, ...]:
    """Every failure, those of the same words more special ones first.

    Raises: ConfigError when a file is wrong.
    """
    rows: dict[str, Failure] = {}
    for file in FILES:
        data, name = (data_directory("profiles") / "failures" / file).read_bytes(), f"profiles/failures/{file}"
        for row in parsed(data, name):
            if row.id in rows:
                raise ConfigError([_finding(parse(data, name), row.id, (), "another file has this, too")])
            rows[row.id] = row
    return tuple(sorted(rows.values(), key=lambda row: row.general))


def parsed(data: bytes, name: str) -> tuple[Failure, ...]:
    """The failures of one file.

    Raises: ConfigError with everything that is wrong in it.
    """
    node = parse(data, name)
    checked = check(node, plain(node), record(TABLE))
    if checked.findings:
        raise ConfigError(checked.findings)
    rows: Mapping[str, Any] = checked.value["failures"]
    wrong = [finding for id_, row in rows.items() for finding in _wrong(node, id_, row)]
    if wrong:
        raise ConfigError(wrong)
    return tuple(_failure(id_, row) for id_, row in rows.items())


def _failure(id_: str, row: Mapping[str, Any]) -> Failure:
    return Failure(
        id_,
        tuple(_compiled(pattern) for pattern in row["patterns"]),
        tuple(row["said_by"]),
        tuple(row.get("of", ())),
        row["cause"],
        row["fix"],
        row["silent"],
        row.get("general", False),
        str(row.get("more", "")),
    )


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace(" ", BLANK), re.MULTILINE)


def _wrong(node: Node, id_: str, row: Mapping[str, Any]) -> Iterator[Finding]:
    """What a table of keys cannot say: that a pattern can be read, and has the words that are used."""
    for index, pattern in enumerate(row["patterns"]):
        try:
            groups = {"service", *_compiled(pattern).groupindex}
        except re.error as error:
            yield _finding(node, id_, ("patterns", index), f"this is no regular expression: {error}")
            continue
        for key in ("cause", "fix"):
            for word in set(WORD.findall(row[key])) - groups:
                yield _finding(node, id_, (key,), f"{{{word}}} is no group of pattern {index + 1}")


def _finding(node: Node, id_: str, path: Path, what: str) -> Finding:
    whole: Path = ("failures", id_, *path)
    return Finding(locate(node, whole), dotted(whole), what, "Correct this value.")


def known_of(error: LcomposeError) -> tuple[Known, ...]:
    """What is known of the failure that an error tells of; nothing where the data itself is broken."""
    if isinstance(error, ConfigError):
        return ()
    with suppress(LcomposeError):
        return recognise(error.heard or (Heard("engine", "\n".join((*error.details, error.what))),))
    return ()


def recognise(heard: Iterable[Heard], most: int = MOST_KNOWN) -> tuple[Known, ...]:
    """The failures that are known by what was said, the most special first; each is told once.

    Takes time in proportion to the number of texts: of each only the end is searched.
    """
    rank = {row.id: place for place, row in enumerate(all_known())}
    found: dict[str, tuple[Failure, Known]] = {}
    for one in heard:
        for row, known in _known_in(one):
            found.setdefault(row.id, (row, known))
    special = [pair for pair in found.values() if not pair[0].general]
    told = sorted(special or found.values(), key=lambda pair: rank[pair[0].id])
    return tuple(known for _, known in told[:most])


def _known_in(heard: Heard) -> Iterator[tuple[Failure, Known]]:
    """Each line is explained once, by the first that knows it."""
    said = _bounded(heard.text)
    explained: set[int] = set()
    for row in all_known() if said else ():
        match = _first(row, said, explained) if row.may_be_of(heard) else None
        if match:
            begin = _line_of(said, match)
            explained.add(begin)
            line = NOT_FOR_PEOPLE.sub(" ", said[begin:].partition("\n")[0]).strip()[:LONGEST_QUOTE]
            told = (_told(row.cause, match, heard), _told(row.fix, match, heard))
            yield row, Known(row.id, *told, heard.service, line, row.more)


def _first(row: Failure, said: str, explained: set[int]) -> re.Match[str] | None:
    matches = (match for pattern in row.patterns for match in pattern.finditer(said))
    return next((match for match in matches if _line_of(said, match) not in explained), None)


def _line_of(said: str, match: re.Match[str]) -> int:
    return said.rfind("\n", 0, match.start()) + 1


def _bounded(said: str) -> str:
    lines = COLOUR.sub("", said[-MOST_TEXT:]).splitlines()[-MOST_LINES:]
    return "\n".join(line[:LONGEST_LINE].rstrip() for line in lines)


def _told(sentence: str, match: re.Match[str], heard: Heard) -> str:
    """A sentence of ours with the words of the message in it."""
    words = {"service": heard.service or "the service", **match.groupdict()}
    return WORD.sub(lambda found: _shown(words.get(found[1]) or "?"), sentence)


def _shown(word: str) -> str:
    plain_word = NOT_FOR_PEOPLE.sub(" ", word).strip()
    return plain_word if len(plain_word) <= LONGEST_WORD else f"{plain_word[:LONGEST_WORD]}…"
