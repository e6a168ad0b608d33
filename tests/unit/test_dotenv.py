"""``.env`` files mean here what they mean to Compose: each row was read by ``docker compose config`` 2.26.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.dotenv import variables
from lcompose.errors import ConfigError

ENV = {"X": "xv", "E": "", "HOME": "/h"}

# What stands in the file, and what Compose reads; None is what it refuses.
ROWS: list[tuple[str, dict[str, str] | None]] = [
    ("A=1", {"A": "1"}),
    ("A = 1", {"A": "1"}),
    ("A =1", {"A": "1"}),
    ("A= 1", {"A": "1"}),
    ("A=1 ", {"A": "1"}),
    ("export A=1", {"A": "1"}),
    ("export  A=1", {"A": "1"}),
    ("  A=1", {"A": "1"}),
    ("A='x y'", {"A": "x y"}),
    ('A="x y"', {"A": "x y"}),
    ("A=x y", {"A": "x y"}),
    ("A=x # c", {"A": "x"}),
    ("A=x#c", {"A": "x#c"}),
    ("A='x # c'", {"A": "x # c"}),
    ('A="x # c"', {"A": "x # c"}),
    ('A="x" # c', {"A": "x"}),
    ("A='x' # c", {"A": "x"}),
    ("A=x\t# c", {"A": "x\t# c"}),
    ('A="a\\nb"', {"A": "a\nb"}),
    ("A='a\\nb'", {"A": "a\\nb"}),
    ("A=a\\nb", {"A": "a\\nb"}),
    ('A="a\nb"', {"A": "a\nb"}),
    ("A='a\nb'", {"A": "a\nb"}),
    ('A="a\\"b"', {"A": 'a"b'}),
    ("A='a\\'b'", {"A": "a'b"}),
    ('A="a\\$b"', {"A": "a$b"}),
    ("A=a\\$b", {"A": "a\\"}),
    ("A='$X'", {"A": "$X"}),
    ('A="$X"', {"A": "xv"}),
    ("A=$X", {"A": "xv"}),
    ("A=${X}", {"A": "xv"}),
    ("A=${X:-d}", {"A": "xv"}),
    ("A=${X-d}", {"A": "xv"}),
    ("A=${NO:-d}", {"A": "d"}),
    ("A=${NO-d}", {"A": "d"}),
    ("A=${NO}", {"A": ""}),
    ("A=$NO", {"A": ""}),
    ("A=${X:+y}", {"A": "y"}),
    ("A=${NO:+y}", {"A": ""}),
    ("A=${NO:?msg}", None),
    ("A=a$$b", {"A": "a$b"}),
    ("A=$", {"A": "$"}),
    ("A=a$", {"A": "a$"}),
    ("A=$1x", {"A": "$1x"}),
    ("B=1\nA=$B", {"A": "1", "B": "1"}),
    ("B=1\nA=${B}2", {"A": "12", "B": "1"}),
    ("A=${E:-d}", {"A": "d"}),
    ("A=${NO:-${X}}", {"A": "xv"}),
    ("A=", {"A": ""}),
    ("A=''", {"A": ""}),
    ('A=""', {"A": ""}),
    ("# c\nA=1", {"A": "1"}),
    ("\nA=1\n\n", {"A": "1"}),
    ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("\ufeffA=1", {"A": "1"}),
    ("A: 1", {"A": "1"}),
    ("A:1", {"A": "1"}),
    ("A.B=1", {"A.B": "1"}),
    ("A-B=1", {"A-B": "1"}),
    ("1A=2", {"1A": "2"}),
    ("A=a=b", {"A": "a=b"}),
    ("A==b", {"A": "=b"}),
    ('A="a\'b"', {"A": "a'b"}),
    ("A='a\"b'", {"A": 'a"b'}),
    ("A=a'b", {"A": "a'b"}),
    ('A=a"b', {"A": 'a"b'}),
    ("A='unclosed", None),
    ('A="unclosed', None),
    ("A=1\nA=2", {"A": "2"}),
    ("a=1", {"a": "1"}),
    ("A=~/x", {"A": "~/x"}),
    ("A=\\x", {"A": "\\x"}),
    ('A="\\x"', {"A": "\\x"}),
    ("A=a\\", {"A": "a\\"}),
    ("A=a\\ b", {"A": "a\\ b"}),
    ("A=`id`", {"A": "`id`"}),
    ("A=$(id)", {"A": "$(id)"}),
    ("A=é", {"A": "é"}),
    ("A=a;b", {"A": "a;b"}),
    ("A=a,b", {"A": "a,b"}),
    ("A=[1,2]", {"A": "[1,2]"}),
    ('A={"a": 1}', {"A": '{"a": 1}'}),
    ("A=p@ss$word", {"A": "p@ss"}),
    ("A=pa$$word", {"A": "pa$word"}),
    ("A='pa$word'", {"A": "pa$word"}),
    ('A="pa$word"', {"A": "pa"}),
    ('A="\\t"', {"A": "\t"}),
    ("set A=1", None),
    ("A B=1", None),
    ("=1", None),
    ("A=${X", None),
    ("A=$X$X", {"A": "xvxv"}),
    ("A=${X}${X}", {"A": "xvxv"}),
    ("A=$XY", {"A": ""}),
    ("A=#x", {"A": "#x"}),
    ("A=x #", {"A": "x"}),
    ('A="x"#c', {"A": "x"}),
    ("A=1;B=2", {"A": "1;B=2"}),
    ('A="${X}" # c', {"A": "xv"}),
    ("A=${X} # c", {"A": "xv"}),
    ("A=%PATH%", {"A": "%PATH%"}),
    ("A=\\u00e9", {"A": "\\u00e9"}),
    ("A='x'  ", {"A": "x"}),
    ('A="x\\\\y"', {"A": "x\\y"}),
    ("A='x\\\\y'", {"A": "x\\\\y"}),
    ("A=x\\\\y", {"A": "x\\\\y"}),
    ("A=tab\tb", {"A": "tab\tb"}),
    ("\tA=1", {"A": "1"}),
    ('A="line1\nline2 # no"\nB=1', {"A": "line1\nline2 # no", "B": "1"}),
    ("A=${HOME}", {"A": "/h"}),
    ("A= # c", {"A": "# c"}),
    ("A=  ", {"A": ""}),
    ("export\tA=1", {"A": "1"}),
    ("A='it''s'", None),
    ("A=x'y'z", {"A": "x'y'z"}),
    ("X=1\nA=$X", {"A": "xv", "X": "1"}),
    ("A=${X:-a} ${E:-b}", {"A": "xv b"}),
    ("A=${E-d}x${E:+y}", {"A": "x"}),
    ('A="\\061\\0123\\09"', {"A": "\\61S\\9"}),
    ("A=${E?m}", {"A": ""}),
    ("A=${E:?m}", None),
    ("A='a\nb' B=2", {"A": "a\nb", "B": "2"}),
    ('A="x" B=2\n', {"A": "x", "B": "2"}),
    ("X\nB=1", {"B": "1", "X": "xv"}),
    ("NO\nB=1", {"B": "1"}),
    ("A=${NO:-a}b}", {"A": "ab}"}),
    ("A=${NO:-{}}", {"A": "{}"}),
    ("A=${1}", None),
    ("A=${}", None),
    ("A=$$$X", {"A": "$xv"}),
    ("A[0]=1", {"A[0]": "1"}),
    ('A="a\\\\$X"', {"A": "a\\xv"}),
    ('A="\\c"', {"A": "\\c"}),
    ("B=x\n\n# c\n  A=${B:-z}", {"A": "x", "B": "x"}),
    ("A=x\xa0", {"A": "x"}),
    ("A=x \t#c", {"A": "x \t#c"}),
    ("A=${NO:-$$x}", {"A": "$x"}),
    ("A=$X.y-z", {"A": "xv.y-z"}),
    ("A=${X}}", {"A": "xv}"}),
    ("é=1", {"é": "1"}),
    ("A=x # c # d", {"A": "x"}),
    ('A="multi\n\n${X}\n"\nB=2', {"A": "multi\n\nxv\n", "B": "2"}),
    ("A='ab'c\n", {"A": "ab"}),
    ("A=${NO-$X}", {"A": "xv"}),
    ("A=a${X}b$X", {"A": "axvbxv"}),
    ('A=${NO:-"q"}', {"A": '"q"'}),
    ("A\n", {}),
    ("export A\nB=1", {"B": "1"}),
    ("A=x\\", {"A": "x\\"}),
    ('A="x\\\\"', {"A": "x\\"}),
    ("A=\\$X", {"A": "\\xv"}),
    ("A = 'x'", {"A": "x"}),
    ("A:  'x'", {"A": "x"}),
    ('A="#x"', {"A": "#x"}),
    ("A=x  # c", {"A": "x"}),
    ('A="x\ty"', {"A": "x\ty"}),
    ("- A=1", None),
    ("A=1 B=2", {"A": "1 B=2"}),
    ("\n\n=x", None),
    ("A;=1", None),
    ("A=\u2028x", {"A": "\u2028x"}),
]


@pytest.mark.parametrize(("text", "expected"), ROWS)
def test_a_file_means_what_it_means_to_compose(text: str, expected: dict[str, str] | None) -> None:
    if expected is not None:
        assert variables(text, ENV) == expected
        return
    with pytest.raises(ConfigError):
        variables(text, ENV)


# Compose looks for the end of the line, and sees no name where the file ends without one.
@pytest.mark.parametrize(("text", "expected"), [("X", {"X": "xv"}), ("export X", {"X": "xv"}), ("NO", {})])
def test_a_name_alone_is_the_environments_also_at_the_end_of_the_file(text: str, expected: dict[str, str]) -> None:
    assert variables(text, ENV) == expected


def test_a_default_that_is_not_needed_is_not_looked_at() -> None:
    assert variables("A=${X:-${NO:?say it}}", ENV) == {"A": "xv"}


@pytest.mark.parametrize(
    ("text", "line", "path"),
    [
        ("A=1\n\nsecret value\n", 3, ""),
        ("A='1\n2'\nB='hunter22", 3, "B"),
        ("# c\nB=${hunter22", 2, "B"),
        ("A=1\nB=${NO:?hunter22}", 2, "B"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line_and_without_its_value(text: str, line: int, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        variables(text, ENV)
    [found] = caught.value.findings
    assert (found.where.file, found.where.line, found.path) == (".env", line, path)
    assert "hunter22" not in str(found)
    assert "secret" not in str(found)


@given(st.text("AB=: '\"$\\{}-+?#\n\r\tx", max_size=30))
def test_whatever_stands_in_it_is_read_or_refused(text: str) -> None:
    try:
        found = variables(text, ENV)
    except ConfigError:
        return
    assert all(name and " " not in name for name in found)


@given(st.text(st.characters(exclude_characters="'\\\r", exclude_categories=["Cs"]), max_size=30))
def test_what_stands_in_single_quotes_stays_as_it_is(value: str) -> None:
    assert variables(f"A='{value}'", ENV) == {"A": value}
