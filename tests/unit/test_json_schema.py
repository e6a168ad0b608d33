"""JSON Schema made from the tables: what lcompose accepts fits, and what it refuses by its shape does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from lcompose.cli.schema import command
from lcompose.json_schema import DOCUMENTS, KINDS, Reading, json_schema, schema_of
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.load import parse, plain
from lcompose.schema import (
    Key,
    Kind,
    Record,
    amount,
    anything,
    by_generation,
    choice,
    either,
    flag,
    listing,
    mapping,
    number,
    optional,
    positive,
    record,
    tagged,
    text,
    url,
    whole,
)
from lcompose.settings import DEFAULTS, EMBEDDED, FILE
from lcompose.templates import data_directory
from tests.conftest import QUICKSTART, SHARED

CORPUS = SHARED / "corpus"
EVERY = [(name, generation) for name in DOCUMENTS for generation in ("0.6", "0.7")]
PET = tagged(
    "kind",
    {
        "cat": record({"kind": Key(choice("cat"), required=True), "lives": Key(positive())}),
        "dog": record({"kind": Key(choice("dog"), required=True)}),
    },
)
SMALL = {"name": "x", "service": {}, "user_data_collection": {}}


@cache
def validator(name: str, generation: str = "0.7") -> Draft202012Validator:
    return Draft202012Validator(json_schema(name, generation))


def wrong(tree: Any, name: str = "lightspeed-stack", generation: str = "0.7") -> list[str]:
    """Where a tree does not fit, as paths."""
    found = validator(name, generation).iter_errors(tree)
    return sorted(".".join(map(str, one.absolute_path)) for one in found)


def fits(value: Any, kind: Kind, *, variables: bool = True) -> bool:
    """Whether a value fits the schema of one kind."""
    schema = schema_of(kind, Reading("0.7", variables=variables))
    defs = json_schema("run", "0.7")["$defs"]
    return Draft202012Validator({**schema, "$defs": defs}).is_valid(value)


@pytest.mark.parametrize(("name", "generation"), EVERY)
def test_every_schema_is_one_by_the_metaschema(name: str, generation: str) -> None:
    schema = json_schema(name, generation)
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


# --- kinds ---


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (text(), ["", "a"], [1, True, None, []]),
        (text(min_length=1), ["a"], [""]),
        (text(pattern="^a$"), ["a", "${env.A}"], ["b"]),
        (text(pattern=r"\Aa\Z"), ["a"], ["b", "ab", "A"]),
        (amount(r"^\d+$"), ["1", 1, 1.5], ["x", None]),
        (whole(), [1, -1, "8080", "${env.PORT:=8080}"], ["many", 1.5, None]),
        (positive(le=10), [1, 10], [0, 11]),
        (whole(ge=0), [0], [-1]),
        (number(gt=0), [0.5, 1, "0.5"], [0, "half"]),
        (flag(), [True, False, "yes", "Off", "${env.TLS:+true}"], ["maybe", "y es", None]),
        (url(), ["http://a", "https://a:1/b", "http://${env.HOST}:1", "${env.URL}"], ["ftp://a", "localhost", 1]),
        (choice("a", "b"), ["a", "${env.WORD:=b}"], ["c", None]),
        (anything(), [1, None, {}, "x"], []),
        (optional(positive()), [None, 1], [0, "many"]),
        (listing(text()), [[], ["a"]], ["a", [1], None]),
        (mapping(positive()), [{}, {"a": 1}], [{"a": 0}, []]),
        (mapping(text(), text(pattern="^[a-z]+$")), [{"a": "x"}], [{"A": "x"}]),
        (record({"a": Key(text(), required=True)}), [{"a": "x"}], [{}, {"a": "x", "b": 1}, None]),
        (record({"a": Key(text())}, extra="allow"), [{}, {"b": 1}], [{"a": 1}]),
        (flag(strict=True), [True, "${env.ON:=true}"], ["yes", 1]),
        (listing(text(), min_length=1), [["a"]], [[]]),
        (PET, [{"kind": "cat", "lives": 9}, {"kind": "dog"}], [{"lives": 9}, {"kind": "dog", "lives": 9}, {}]),
        (by_generation({"0.6": text(), "0.7": flag()}), [True], ["text", 1]),
        (either(choice("a"), record({"b": Key(flag())})), ["a", {"b": True}], ["c", {"c": 1}]),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) and "type" in value else "",
)
def test_a_kind_allows_what_lcompose_allows(kind: Kind, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not fits(value, kind)] == []
    assert [value for value in bad if fits(value, kind)] == []


@pytest.mark.parametrize("kind", [whole(), flag(), url(), choice("a"), text(pattern="^a$"), amount(r"^\d+$")])
def test_variables_stand_only_where_a_document_has_them_filled_in(kind: Kind) -> None:
    assert fits("${env.NAME}", kind)
    assert fits("${env.NAME:=x}", kind)
    assert not fits("${env.NAME}", kind, variables=False)
    assert not fits("${NAME}", kind)


def test_a_choice_that_allows_all_needs_no_list() -> None:
    assert schema_of(optional(anything()), Reading("0.7", variables=True)) == {}


def test_keys_are_offered_even_where_anything_is_allowed() -> None:
    kind = either(record({"a": Key(text())}), anything())
    assert fits({"b": 1}, kind)
    assert "a" in schema_of(kind, Reading("0.7", variables=True))["anyOf"][0]["properties"]


def test_a_kind_that_is_not_known_allows_anything() -> None:
    assert fits({"whatever": 1}, {"type": "of-tomorrow"})


def inside(kind: Kind) -> list[Kind]:
    """The kinds that a kind is made of, for generation 0.7."""
    if kind["type"] == "record":
        return [key.kind for key in kind["keys"].values()]
    values = list(kind.values())
    values += [one for value in values for one in (value if isinstance(value, list) else [])]
    values += [one for value in values if isinstance(value, dict) for one in value.values()]
    return [one for one in values if isinstance(one, dict) and isinstance(one.get("type"), str)]


def kinds(kind: Kind) -> Iterator[str]:
    """The names of a kind and of all that is in it."""
    yield kind["type"]
    for one in inside(kind):
        yield from kinds(one)


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_every_kind_of_the_tables_is_known(name: str) -> None:
    document = DOCUMENTS[name]
    assert set(kinds(record({**document.keys, **document.own}))) <= set(KINDS)


# --- keys ---


def paths(keys: Record, generation: str, above: str = "") -> Iterator[str]:
    """Every key of a table that a generation has, with the path to it."""
    for name, key in keys.items():
        if key.known_in(generation):
            yield f"{above}{name}"
            for inner in records(key.kind, generation):
                yield from paths(inner, generation, f"{above}{name}.")


def records(kind: Kind, generation: str) -> Iterator[Record]:
    if kind["type"] == "record":
        yield kind["keys"]
        return
    held = [one for since, one in kind.get("kinds", {}).items() if since <= generation]
    for one in held[-1:] if held else inside(kind):
        yield from records(one, generation)


def schema_paths(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    """Every property of a schema, with the path to it."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{above}{name}"
        yield from schema_paths(inner, f"{above}{name}.")
    for inner in [*schema.get("anyOf", []), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(inner, dict):
            yield from schema_paths(inner, above)


@pytest.mark.parametrize(("name", "generation"), EVERY)
def test_every_key_of_a_table_is_in_the_schema_and_no_other(name: str, generation: str) -> None:
    keys = {**DOCUMENTS[name].keys, **DOCUMENTS[name].own}
    assert set(schema_paths(json_schema(name, generation))) == set(paths(keys, generation))


def test_keys_are_those_of_their_generation() -> None:
    assert "ogx" in json_schema("lightspeed-stack", "0.7")["properties"]
    assert "ogx" not in json_schema("lightspeed-stack", "0.6")["properties"]
    assert "byok_rag" in json_schema("lightspeed-stack", "0.6")["properties"]
    assert "byok_rag" not in json_schema("lightspeed-stack", "0.7")["properties"]


def test_a_key_says_what_it_is_what_it_means_and_its_default() -> None:
    settings = json_schema("lcompose", "0.7")["properties"]
    assert settings["wait_timeout"]["default"] == DEFAULTS["wait_timeout"]
    assert settings["wait_timeout"]["description"] == FILE["wait_timeout"].doc
    assert "default" not in settings["ogx_version"]
    embedded = json_schema("lightspeed-stack", "0.7")["properties"]
    assert embedded["runtime"]["default"] == "container"
    postgres = next(one for one in embedded["database"]["properties"]["postgres"]["anyOf"] if "properties" in one)
    assert "A secret:" in postgres["properties"]["password"]["description"]


def test_lcomposes_own_keys_stand_beside_lightspeeds() -> None:
    assert wrong(SMALL | {"runtime": "container", "container": {"image": "a", "limits": {"memory": "2g"}}}) == []
    assert wrong(SMALL | {"runtime": "cloud"}) == ["runtime"]
    assert wrong(SMALL | {"runtime": "${env.RUNTIME}"}) == ["runtime"]
    assert set(EMBEDDED) <= set(json_schema("lightspeed-stack", "0.7")["properties"])
    assert set(json_schema("lcompose", "0.7")["properties"]) == set(FILE)


def test_a_missing_key_an_unknown_one_and_a_wrong_value_are_marked() -> None:
    assert wrong({"name": "x"}) == ["", ""]
    assert wrong(SMALL | {"servic": {}}) == [""]
    assert wrong(SMALL | {"service": {"port": "many"}}) == ["service.port"]
    assert wrong({"version": 2}, "lcompose") == ["version"]
    assert wrong({"providers": {}, "of_tomorrow": 1}, "run") == []
    assert wrong({"of_tomorrow": 1}, "run") == [""]


# --- real files ---


def real(folder: str) -> list[Path]:
    return sorted((CORPUS / folder).glob("*.yaml")) or [CORPUS / folder / "absent"]


def tree(path: Path) -> Any:
    if not path.exists():
        pytest.skip(f"the corpus is not here: {CORPUS}")
    return plain(parse(path.read_bytes(), path.name))


# Refused by rules between keys, which no schema of ours says.
BY_RULE = ("ambiguous", "config_format_version is 'legacy'")


@pytest.mark.parametrize("path", real("lightspeed-stack"), ids=lambda path: path.name)
def test_upstreams_files_fit_where_upstream_accepts_them(path: Path) -> None:
    found = wrong(tree(path))
    expected = json.loads((CORPUS / "expected.json").read_text())[path.name]
    by_shape = expected["verdict"] == "reject" and not any(rule in expected["why"] for rule in BY_RULE)
    if by_shape and "shields" in expected["why"] and LIGHTSPEED["shields"].kind == listing(anything()):
        pytest.xfail("the table does not know what a shield holds yet")
    assert bool(found) == by_shape, found


@pytest.mark.parametrize("path", real("run"), ids=lambda path: path.name)
def test_every_run_configuration_fits(path: Path) -> None:
    assert wrong(tree(path), "run") == []


def test_our_own_files_fit() -> None:
    assert wrong(plain(parse((QUICKSTART / "lightspeed-stack.yaml").read_bytes(), "x"))) == []
    baseline = data_directory("templates") / "baseline-run.yaml"
    assert wrong(plain(parse(baseline.read_bytes(), "x")), "run") == []


# --- the command ---


def test_the_command_prints_the_schema_of_the_file_that_is_named() -> None:
    run = CliRunner().invoke
    assert json.loads(run(command, []).stdout) == json_schema("lightspeed-stack", "0.7")
    assert json.loads(run(command, ["run"]).stdout) == json_schema("run", "0.7")
    older = run(command, ["lightspeed-stack", "--generation", "0.6"]).stdout
    assert json.loads(older) == json_schema("lightspeed-stack", "0.6")
    assert set(RUN) == set(json.loads(run(command, ["run"]).stdout)["properties"])


def test_a_file_that_has_no_schema_is_refused() -> None:
    result = CliRunner().invoke(command, ["compose"])
    assert result.exit_code == 2
    assert "lightspeed-stack" in result.output


PARITY_FILE = """
- name: who am I
  path: /v1/info
  headers: {Authorization: "Bearer ${TOKEN}"}
  expect: {status: 200, equal: {name: quickstart}, present: ["models[*].identifier"]}
- {name: models, service: llama-stack, path: /v1/models, compare: shape}
"""


def test_requests_of_a_comparison_have_a_schema_too() -> None:
    done = CliRunner().invoke(command, ["parity"])
    validator = Draft202012Validator(json.loads(done.output))
    Draft202012Validator.check_schema(validator.schema)
    assert not list(validator.iter_errors(plain(parse(PARITY_FILE.encode(), "parity.yaml"))))
    for wrong in ("- {name: a}", "- {name: a, path: no-slash}", "- {name: a, path: /a, method: FETCH}", "a: 1"):
        assert list(validator.iter_errors(plain(parse(wrong.encode(), "parity.yaml")))), wrong
