"""What is said of values that variables have, in the words that help."""

from __future__ import annotations

import pytest

from lcompose.lightspeed.advice import judged
from tests.unit.given import LIGHTSPEED, RUN, config

DATABASE = LIGHTSPEED + "database: {postgres: {db: '${env.NAME}', user: a, password: 'p'}}\n"
PROVIDER = (
    "distro_name: x\nproviders: {inference: [{provider_id: x, provider_type: x, config: {KEY: '${env.TOKEN}'}}]}\n"
)


def said(lightspeed: str = LIGHTSPEED, run: str = RUN, **env: str) -> list[tuple[str, str, str]]:
    """The findings: at which path, how bad, and what."""
    return [(one.path, one.severity, one.what) for one in judged(config(lightspeed, run, env=env))]


@pytest.mark.parametrize(
    ("value", "arrives"), [("123", "a number"), ("1e5", "a number"), ("nan", "a number"), ("True", "true or false")]
)
def test_a_variable_whose_value_arrives_as_another_type_is_an_error_with_its_name(value: str, arrives: str) -> None:
    what = f"text must be here, and the value of NAME arrives as {arrives}"
    assert said(DATABASE, NAME=value) == [("database.postgres.db", "error", what)]


def test_the_place_and_the_way_out_are_told_and_the_value_is_not() -> None:
    [one] = judged(config(LIGHTSPEED.replace("ogx: {", "ogx: {api_key: '${env.K}', "), env={"K": "7654321"}))
    assert str(one.where) == "lightspeed-stack.yaml:4:16"
    assert one.fix == "Give K a value that is not just digits, true or a number, or write it here in quotes."
    assert "7654321" not in str(one)


@pytest.mark.parametrize("value", ["abc", "", "12 monkeys"])
def test_a_variable_whose_value_is_text_is_fine(value: str) -> None:
    assert said(DATABASE, NAME=value) == ([] if value else said(DATABASE))


@pytest.mark.parametrize(("key", "severity"), [("api_key", ["error"]), ("access_token", ["warning"]), ("max_size", [])])
def test_a_secret_of_a_provider_that_nobody_knows_is_a_warning(key: str, severity: list[str]) -> None:
    found = said(run=PROVIDER.replace("KEY", key), TOKEN="123456")
    assert [one[1] for one in found] == severity


def test_a_text_that_is_no_variable_keeps_the_finding_of_the_check() -> None:
    [one] = judged(config(LIGHTSPEED.replace("ogx: {", "ogx: {api_key: 123, ")))
    assert one.fix == "Here stands a whole number; put it in quotes."


def test_a_number_that_comes_from_a_variable_is_a_number() -> None:
    assert said(LIGHTSPEED.replace("8080", "'${env.PORT}'"), PORT="9000") == []
