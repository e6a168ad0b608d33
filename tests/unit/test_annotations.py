"""Errors as GitHub's workflow commands: at their lines, escaped as GitHub wants, and without secrets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.annotations import lines
from lcompose.errors import ConfigError, EngineError, Finding, Known, LcomposeError, NotReadyError, Position
from lcompose.spec.secrets import Secrets


def test_each_finding_is_an_annotation_at_its_line() -> None:
    error = ConfigError(
        [
            Finding(Position("lightspeed-stack.yaml", 2, 3), "service.prot", "unknown key", "Did you mean 'port'?"),
            Finding(Position("run.yaml", 7), "", "odd", "", "warning"),
        ]
    )
    assert lines(error) == [
        "::error file=lightspeed-stack.yaml,line=2,col=3,title=lcompose::"
        "service.prot: unknown key%0ADid you mean 'port'?",
        "::warning file=run.yaml,line=7,title=lcompose::odd",
    ]


def test_a_finding_without_a_line_is_told_without_a_file() -> None:
    error = ConfigError([Finding(Position("settings"), "env", "API_KEY is not set")])
    assert lines(error) == ["::error title=lcompose::settings: env: API_KEY is not set"]


def test_any_other_error_is_one_annotation_with_all_that_it_says() -> None:
    error = NotReadyError("the stack is not ready", "demo", "Read the lines above.", ("SERVICE  STATE", "web  exited"))
    assert lines(error) == [
        "::error title=lcompose::the stack is not ready (demo)%0ARead the lines above.%0ASERVICE  STATE%0Aweb  exited"
    ]


@pytest.mark.parametrize(
    ("where", "properties"),
    [
        ("compose.yaml:3:5", "file=compose.yaml,line=3,col=5,title=lcompose"),
        ("compose.yml:3", "file=compose.yml,line=3,title=lcompose"),
        ("/my/here/compose.yaml", "file=/my/here/compose.yaml,title=lcompose"),
    ],
)
def test_an_error_at_a_place_in_a_file_is_there(where: str, properties: str) -> None:
    assert lines(EngineError("no", where)) == [f"::error {properties}::no"]


@pytest.mark.parametrize("where", ["tcp://10.0.0.1:2375", "127.0.0.1:8080", "image:1", "--image"])
def test_what_only_looks_like_a_place_in_a_file_is_none(where: str) -> None:
    assert lines(EngineError("no", where)) == [f"::error title=lcompose::no ({where})"]


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("run.yaml", "deploy/run.yaml"),
        ("../run.yaml", "run.yaml"),
        ("/work/repo/deploy/x/run.yaml", "deploy/x/run.yaml"),
        ("../../run.yaml", "/work/run.yaml"),
        ("/etc/run.yaml", "/etc/run.yaml"),
    ],
)
def test_files_are_named_from_the_root_of_the_checkout(file: str, told: str) -> None:
    error = ConfigError([Finding(Position(file, 1), "", "no")])
    found = lines(error, directory="/work/repo/deploy", root="/work/repo/")
    assert found == [f"::error file={told},line=1,title=lcompose::no"]


def test_what_is_known_of_a_failure_stands_in_its_annotation() -> None:
    error = LcomposeError("it failed", "", "Look.", ("a",), known=(Known("a-b", "no disk", "Add one.", "web"),))
    assert lines(error) == ["::error title=lcompose::it failed%0ALook.%0Aweb: no disk%0AAdd one.%0Aa"]


def test_what_github_would_take_for_its_own_is_escaped() -> None:
    error = ConfigError([Finding(Position("a,b:c%.yaml", 1), "", "50%: a, b\r\nc::d")])
    assert lines(error) == ["::error file=a%2Cb%3Ac%25.yaml,line=1,title=lcompose::50%25: a, b%0D%0Ac::d"]


def test_a_secret_is_taken_out_before_escaping_could_hide_it() -> None:
    secret = "50%\nok"
    [line] = lines(LcomposeError(f"it said {secret}"), redact=Secrets({"API_KEY": secret}).redact)
    assert line == "::error title=lcompose::it said <API_KEY>"


@given(what=st.text(), fix=st.text(), details=st.lists(st.text(), max_size=3), where=st.text())
def test_whatever_an_error_says_it_is_one_line_and_can_be_read_back(
    what: str, fix: str, details: list[str], where: str
) -> None:
    [line] = lines(LcomposeError(what, where, fix, tuple(details)))
    assert "\n" not in line and "\r" not in line
    match = re.fullmatch(r"::error (?:[a-z]+=[^,:\r\n]*,)*title=lcompose::(.*)", line, re.DOTALL)
    assert match
    assert what in match[1].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
