"""What an engine's log looks like, as text and as times."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.logs.lines import Line, in_utc, read_lines, stamp_of, whole_lines
from lcompose.spec.secrets import Secrets
from tests.unit.given import T1, T2, T3

PLAIN = Secrets({}).redact
HIDING = Secrets({"API_KEY": "abcdef"}).redact


def whole(*pieces: bytes, redact: object = PLAIN) -> bytes:
    """What is made of pieces."""
    return b"".join(whole_lines(pieces, redact))  # type: ignore[arg-type]


def read(*pieces: str) -> list[Line]:
    """The lines of pieces of whole lines."""
    return [line for lines in read_lines("web", [piece.encode() for piece in pieces]) for line in lines]


@given(st.lists(st.integers(0, 60), max_size=6))
def test_pieces_of_any_size_give_the_same_lines(cuts: list[int]) -> None:
    text = f"{T1} one\n{T2} zwölf abcdef\n{T3} three".encode()
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[begin:end] for begin, end in itertools.pairwise(places)]
    found = list(whole_lines(pieces, HIDING))
    assert b"".join(found) == f"{T1} one\n{T2} zwölf <API_KEY>\n{T3} three".encode()
    assert all(piece.endswith(b"\n") or not piece for piece in found[:-1])


def test_what_the_engine_says_before_the_first_line_is_no_log() -> None:
    assert whole(b"WARNING: something\n", f"also this\n{T1} one\n".encode()) == f"{T1} one\n".encode()
    assert whole(b"Error: no such container\n") == b""


def test_a_secret_that_looks_like_a_part_of_a_time_leaves_times_alone() -> None:
    redact = Secrets({"PASSWORD": "2025"}).redact
    assert whole(f"{T1} in 2025\n{T2} b\n".encode(), redact=redact) == f"{T1} in <PASSWORD>\n{T2} b\n".encode()


def test_what_is_no_text_stays_as_it_is() -> None:
    assert whole(f"{T1} a".encode() + b"\xff\n") == f"{T1} a".encode() + b"\xff\n"
    assert read(f"{T1} a\n") == [Line(T1, "web", "a")]


def test_a_line_that_never_ends_is_cut_before_it_fills_the_memory() -> None:
    found = list(whole_lines([f"{T1} ".encode(), b"x" * 3_000_000, b"y"], PLAIN))
    assert [len(piece) for piece in found] == [0, 3_000_000 + len(T1) + 2, 0, 1]


def test_a_line_without_a_time_goes_with_the_one_before_it() -> None:
    assert read(f"{T2} one\nmore\n{T3} two\n", "end\n") == [
        Line(T2, "web", "one"),
        Line(T2, "web", "more"),
        Line(T3, "web", "two"),
        Line(T3, "web", "end"),
    ]


def test_each_state_of_a_progress_bar_is_a_line() -> None:
    assert [line.text for line in read(f"{T1} 10%\r 20%\r\n{T2} done\r\n")] == ["10%", " 20%", "done"]


def test_an_empty_line_of_a_service_is_a_line() -> None:
    assert read(f"{T1} \n{T2} b\n") == [Line(T1, "web", ""), Line(T2, "web", "b")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-01T02:00:01.5+02:00", "2025-01-01T00:00:01.500000000Z"),
        ("2025-01-01T00:00:01Z", T1),
        ("2025-01-01", "2025-01-01T00:00:00.000000000Z"),
        ("2025-01-01T00:00:01.1234567891Z", "2025-01-01T00:00:01.123456789Z"),
        ("2025-13-01T00:00:01Z", ""),
        ("yesterday", ""),
    ],
)
def test_times_are_compared_in_utc(text: str, expected: str) -> None:
    assert in_utc(text) == expected


def test_lines_in_another_zone_are_shown_in_utc() -> None:
    [line] = read("2025-01-01T02:00:01.000000000+02:00 one\n")
    assert line == Line(T1, "web", "one")


def test_a_moment_is_written_as_engines_write_it() -> None:
    assert stamp_of(1735689601.0) == T1
    assert stamp_of(1735689601.25) == "2025-01-01T00:00:01.250000000Z"
