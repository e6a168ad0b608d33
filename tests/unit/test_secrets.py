"""Sealed values: given out by one method only, and hidden in every text that is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.spec.secrets import Secrets


def redacted(text: str, **values: str) -> str:
    """The text as people see it when these variables are set."""
    return Secrets(values).redact(text)


def test_printing_shows_names_and_no_values() -> None:
    assert (
        repr(Secrets({"B_TOKEN": "hunter2", "A": "x"}))
        == str(Secrets({"B_TOKEN": "y", "A": "z"}))
        == "Secrets(A, B_TOKEN)"
    )


def test_values_come_out_when_they_are_asked_for() -> None:
    assert Secrets({"A": "x"}).reveal() == {"A": "x"}


def test_what_was_given_out_is_a_copy() -> None:
    secrets = Secrets({"A": "x"})
    secrets.reveal()["A"] = "changed"
    assert secrets.reveal() == {"A": "x"}


@pytest.mark.parametrize(("value", "has"), [("x", True), ("", False)])
def test_a_variable_that_is_empty_has_no_value(value: str, has: bool) -> None:
    assert Secrets({"A": value}).has("A") is has


def test_a_variable_that_is_not_set_has_no_value() -> None:
    assert not Secrets({}).has("A")


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "HF_TOKEN", "client_secret", "PGPASSWORD", "MYSQL_PASSWD", "SSH_PASSPHRASE", "AWS_CREDENTIALS",
     "SENTRY_DSN"],
)  # fmt: skip
def test_a_variable_that_is_called_like_a_secret_is_hidden(name: str) -> None:
    assert redacted("it said: hunter22!", **{name: "hunter22"}) == f"it said: <{name}>!"


@pytest.mark.parametrize("name", ["MODEL", "PORT", "MAX_TOKENS", "TOKENIZERS_PARALLELISM", "KEYCLOAK_URL", "KEYBOARD"])
def test_a_variable_that_is_no_secret_is_shown(name: str) -> None:
    assert redacted("8080 is taken", **{name: "8080"}) == "8080 is taken"


def test_a_variable_may_be_hidden_whatever_it_is_called() -> None:
    assert Secrets({"LCORE_AUTH": "hunter22"}, hidden=frozenset({"LCORE_AUTH"})).redact("hunter22") == "<LCORE_AUTH>"


def test_a_text_without_secrets_is_left_alone() -> None:
    assert Secrets({}).redact("a.b") == "a.b"


def test_a_value_of_three_characters_is_too_short_to_hide() -> None:
    assert redacted("abc is a word", API_KEY="abc") == "abc is a word"


def test_the_longest_value_is_hidden_first() -> None:
    assert redacted("abcdefgh abcd", A_KEY="abcd", B_KEY="abcdefgh") == "<B_KEY> <A_KEY>"


def test_the_name_that_stands_for_a_value_is_not_redacted_again() -> None:
    assert redacted("hunter22", MY_TOKEN="hunter22", OTHER_KEY="TOKEN") == "<MY_TOKEN>"


def test_a_value_of_several_lines_is_hidden() -> None:
    assert redacted("key:\nab\ncd\n", PRIVATE_KEY="ab\ncd") == "key:\n<PRIVATE_KEY>\n"


def test_a_secret_that_stays_in_its_document_is_hidden_and_given_to_nobody() -> None:
    secrets = Secrets({"A": "x"}, kept={"LIGHTSPEED_OGX_API_KEY": "12345678"})
    assert secrets.redact("it said: 12345678!") == "it said: <LIGHTSPEED_OGX_API_KEY>!"
    assert secrets.reveal() == {"A": "x"}


@pytest.mark.parametrize("value", ["true", "8080", "False", "1e5"])
def test_a_short_one_that_stays_is_a_word_of_other_texts_too(value: str) -> None:
    assert Secrets({}, kept={"API_KEY": value}).redact(f"it is {value}") == f"it is {value}"


SECRET_TEXT = st.text("abc123!", min_size=4, max_size=8)


@given(st.text("abc123! ", max_size=20), SECRET_TEXT, SECRET_TEXT, st.text("abc123! ", max_size=20))
def test_no_secret_is_left_in_what_is_shown(before: str, one: str, two: str, after: str) -> None:
    shown = Secrets({"X_KEY": one, "Y_KEY": two}).redact(before + one + " " + two + after)
    assert one not in shown
    assert two not in shown
