"""How far a log is known: nothing is read twice, nothing is missed, and what is lost is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lcompose.logs.cursor import Cursor, beyond
from tests.unit.given import T1, T2, T3


def log(*lines: str) -> bytes:
    """Lines with their ends."""
    return "".join(f"{line}\n" for line in lines).encode()


def rest(cursor: Cursor, *lines: str) -> str:
    """What of an engine's answer is not known yet."""
    return b"".join(beyond([log(*lines)], cursor)).decode()


def test_the_engine_is_asked_from_a_little_before_what_is_known() -> None:
    assert Cursor().since == ""
    assert Cursor(T2.encode(), 1).since == "2025-01-01T00:00:01.999000000Z"
    assert Cursor(b"2025-01-01T02:00:01.500000000+02:00", 1).since == "2025-01-01T02:00:01.499000000+02:00"


def test_a_cursor_counts_the_lines_from_the_first_of_the_latest_time_on() -> None:
    cursor = Cursor().after(log(f"{T1} a", f"{T2} b", f"{T2} c", f"{T1} late", "no time"))
    assert cursor == Cursor(T2.encode(), equal=2, late=1)
    assert cursor.after(log(f"{T2} d", f"{T1} e")) == Cursor(T2.encode(), equal=3, late=2)
    assert cursor.after(log(f"{T1} late", f"{T3} f")) == Cursor(T3.encode(), equal=1)
    assert cursor.after(b"") == cursor


def test_only_what_is_new_is_left() -> None:
    cursor = Cursor().after(log(f"{T1} a", f"{T2} b", f"{T2} c"))
    assert rest(cursor, f"{T1} a", f"{T2} b", f"{T2} c") == ""
    assert rest(cursor, f"{T2} b", f"{T2} c", f"{T2} d", f"{T3} e") == f"{T2} d\n{T3} e\n"


def test_lines_that_are_late_are_neither_repeated_nor_missed() -> None:
    cursor = Cursor().after(log(f"{T2} b", f"{T1} late"))
    assert rest(cursor, f"{T2} b", f"{T1} late", f"{T1} later", f"{T3} c") == f"{T1} later\n{T3} c\n"


def test_an_engine_that_leaves_late_lines_out_is_understood() -> None:
    cursor = Cursor().after(log(f"{T2} b", f"{T1} late"))
    assert rest(cursor, f"{T2} b", f"{T3} c") == f"{T3} c\n"


def test_lines_that_the_engine_does_not_have_any_more_are_said_to_be_lost() -> None:
    cursor = Cursor().after(log(f"{T1} a"))
    between = f"# lcompose: lines are lost here: between {T1} and {T3}, the engine does not have them any more\n"
    assert rest(cursor, f"{T3} c") == f"{between}{T3} c\n"
    after = f"# lcompose: lines are lost here: after {T1}, the engine does not have them any more\n"
    assert rest(cursor) == after


def test_what_the_engine_says_itself_is_no_new_line() -> None:
    cursor = Cursor().after(log(f"{T1} a"))
    assert rest(cursor, "a warning", f"{T1} a", "a warning", f"{T2} b") == f"{T2} b\n"


def test_a_line_without_an_end_is_new_until_it_has_one() -> None:
    cursor = Cursor().after(log(f"{T1} a"))
    assert b"".join(beyond([log(f"{T1} a"), f"{T2} ha".encode()], cursor)) == f"{T2} ha".encode()


MOMENTS = [f"2025-01-01T00:00:0{second}.{part}00000000Z" for second in (1, 2) for part in range(4)]


@given(st.lists(st.tuples(st.sampled_from(MOMENTS), st.sampled_from("ab")), min_size=1), st.data())
def test_a_log_that_grows_is_read_once_however_often_it_is_asked_for(
    printed: list[tuple[str, str]], data: st.DataObject
) -> None:
    lines = [f"{time} {text}" for time, text in printed]
    stops = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=4)))
    cursor, found = Cursor(), b""
    for stop in [*stops, len(lines)]:
        for piece in beyond(answer(lines[:stop], cursor.since), cursor):
            cursor, found = cursor.after(piece), found + piece
    assert found == log(*lines)


def answer(lines: list[str], since: str) -> list[bytes]:
    """As Docker does it: from the first line that is late enough on, everything."""
    first = next((number for number, line in enumerate(lines) if line >= since), len(lines))
    return [log(*lines[first:])]
