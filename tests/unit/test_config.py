"""The person's two documents: what is wrong with them, and which variables they need."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lcompose.lightspeed.config import embedded_settings, findings, missing_variables, without_settings
from lcompose.load import plain
from tests.unit.given import LIGHTSPEED, OLDER, RUN, config, node

COMMON = "name: test\nservice: {port: 8080}\nuser_data_collection: {}\n"


def complaints(*args: Any, **more: Any) -> list[str]:
    """What is wrong, each in a line: where, at which path, how bad, what."""
    return [str(found).split("\n")[0] for found in findings(config(*args, **more))]


def test_a_small_configuration_is_right() -> None:
    assert complaints(LIGHTSPEED) == []


def test_a_small_configuration_of_the_older_generation_is_right() -> None:
    assert complaints(OLDER, generation="0.6", version=(0, 6, 0)) == []


@pytest.mark.parametrize(
    ("source", "place", "what"),
    [
        (COMMON, "1:1", "error: the key 'ogx' must be there"),
        (COMMON + "ogx: {}\n", "4:1: ogx", "error: server mode needs a url"),
        (COMMON + "ogx: {url: null}\n", "4:1: ogx", "error: server mode needs a url"),
        (
            COMMON + "ogx:\n  url: ${env.WHERE}\n",
            "5:3: ogx.url",
            "error: where Llama Stack is must be known now, and WHERE is not set",
        ),
        (
            LIGHTSPEED.replace("{}", "{feedback_enabled: true}"),
            "5:1: user_data_collection.feedback_storage",
            "error: feedback is enabled and has no storage",
        ),
        (
            LIGHTSPEED.replace("{}", "{transcripts_enabled: true}"),
            "5:1: user_data_collection.transcripts_storage",
            "error: transcripts is enabled and has no storage",
        ),
        (
            LIGHTSPEED + "database: {sqlite: {db_path: a}, postgres: {db: a, user: a, password: a}}\n",
            "6:1: database",
            "error: sqlite and postgres exclude each other",
        ),
        (
            LIGHTSPEED + "a2a_state: {sqlite: {db_path: a}, postgres: {db: a, user: a, password: a}}\n",
            "6:1: a2a_state",
            "error: sqlite and postgres exclude each other",
        ),
        (
            LIGHTSPEED + "quota_handlers: {sqlite: {db_path: a}, postgres: {db: a, user: a, password: a}}\n",
            "6:1: quota_handlers",
            "warning: LCORE takes sqlite and postgres together, and then mixes them up",
        ),
        (
            LIGHTSPEED.replace("{port: 8080}", "{cors: {allow_credentials: true}}"),
            "3:18: service.cors.allow_credentials",
            "error: credentials cannot be allowed for every origin",
        ),
        (
            LIGHTSPEED.replace("{port: 8080}", "{cors: {allow_origins: [a, '*'], allow_credentials: true}}"),
            "3:43: service.cors.allow_credentials",
            "error: credentials cannot be allowed for every origin",
        ),
        (
            LIGHTSPEED.replace("{port: 8080}", "{cors: {allow_origins: null}}"),
            "3:18: service.cors.allow_origins",
            "error: input should be a valid list",
        ),
        (OLDER, "4:1: llama_stack", "warning: this key was renamed in 0.7"),
        (LIGHTSPEED + "llama_stack: {}\n", "6:1: llama_stack", "warning: this key was renamed in 0.7"),
        (LIGHTSPEED + "skils: {}\n", "6:1: skils", "error: unknown key"),
        (LIGHTSPEED + "byok_rag: []\n", "6:1: byok_rag", "error: unknown key"),
        ("", "1:1", "error: the file is empty"),
        ("- a\n", "1:1", "error: the file must hold keys and values"),
        ("just words\n", "1:1", "error: the file must hold keys and values"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(source: str, place: str, what: str) -> None:
    assert complaints(source) == [f"lightspeed-stack.yaml:{place}: {what}"]


@pytest.mark.parametrize(
    "source",
    [
        LIGHTSPEED.replace("{}", "{feedback_enabled: true, feedback_storage: /tmp/a}"),
        LIGHTSPEED.replace("{}", "{feedback_enabled: false}"),
        LIGHTSPEED + "database: {sqlite: {db_path: a}, postgres: null}\n",
        LIGHTSPEED.replace("{port: 8080}", "{cors: {allow_origins: [a], allow_credentials: true}}"),
        LIGHTSPEED.replace("{port: 8080}", "{cors: {allow_credentials: false}}"),
        LIGHTSPEED.replace("ogx: {", "ogx: {use_as_library_client: 'false', "),
        LIGHTSPEED + "inference: {providers: []}\n",
        LIGHTSPEED + "runtime: container\ncontainer: {image: x}\nlocal: {}\n",
        LIGHTSPEED.replace("8080", '"8080"'),
    ],
)
def test_what_is_right_is_left_alone(source: str) -> None:
    assert complaints(source) == []


@pytest.mark.parametrize(
    "source",
    [
        LIGHTSPEED.replace("{port: 8080}", "{workers: '${env.WORKERS}'}"),
        LIGHTSPEED.replace("{port: 8080}", "{workers: '${env.ONE}${env.MORE}'}"),
        LIGHTSPEED.replace("{}", "{feedback_enabled: true, feedback_storage: '${env.WHERE}'}"),
        LIGHTSPEED.replace("{}", "{feedback_enabled: '${env.WHETHER}'}"),
        LIGHTSPEED.replace("{port: 8080}", "{cors: {allow_origins: '${env.O}', allow_credentials: true}}"),
        LIGHTSPEED + "authentication: {module: '${env.MODULE}'}\n",
        LIGHTSPEED + "mcp_servers: [{name: a, url: '${env.A}', timeout: '${env.B}'}]\n",
    ],
)
def test_a_value_that_is_not_known_yet_is_no_error(source: str) -> None:
    assert complaints(source) == []


def test_the_port_must_be_known_now() -> None:
    [told] = complaints(LIGHTSPEED.replace("8080", "'${env.PORT}'"))
    assert "the port must be known now" in told


def test_a_value_is_judged_by_what_its_variable_holds() -> None:
    source = LIGHTSPEED.replace("8080", "'${env.PORT}'")
    assert complaints(source, env={"PORT": "8080"}) == []
    assert complaints(source, env={"PORT": "many"}) == [
        "lightspeed-stack.yaml:3:11: service.port: error: input should be a valid integer, "
        "unable to parse string as an integer"
    ]


def test_a_run_file_that_nothing_reads_is_not_judged() -> None:
    assert complaints(LIGHTSPEED.replace("localhost", "stack.example.com"), "") == []


def test_a_url_with_a_default_is_known() -> None:
    assert complaints(COMMON + "ogx: {url: '${env.WHERE:=http://localhost:8321}'}\n") == []


def test_the_key_of_the_older_generation_must_be_there_in_the_older_generation() -> None:
    where = "lightspeed-stack.yaml:1:1"
    assert complaints(COMMON, generation="0.6", version=(0, 6, 0)) == [
        f"{where}: error: the key 'llama_stack' must be there"
    ]


def test_the_newer_key_is_unknown_in_the_older_generation() -> None:
    [first, *_] = complaints(LIGHTSPEED, generation="0.6", version=(0, 6, 0))
    assert first == "lightspeed-stack.yaml:4:1: ogx: error: unknown key"


def test_ogx_wins_over_llama_stack() -> None:
    both = COMMON + "ogx: {url: 'http://newer:1'}\nllama_stack: {url: 'http://older:1'}\n"
    found = config(both)
    assert (found.section, found.value(found.section, "url")) == ("ogx", "http://newer:1")


def test_one_run_tells_everything_that_is_wrong_in_both_documents() -> None:
    source = "name: 1\nservice: {port: 0}\nuser_data_collection: {}\n"
    assert complaints(source, "distro_name: x\nproviders: {}\nserver: {port: 80}\n") == [
        "lightspeed-stack.yaml:1:1: name: error: input should be a valid string",
        "lightspeed-stack.yaml:2:11: service.port: error: input should be greater than 0",
        "lightspeed-stack.yaml:1:1: error: the key 'ogx' must be there",
        "run.yaml:3:10: server.port: error: input should be greater than or equal to 1024",
    ]


def test_a_key_that_llama_stack_ignores_is_a_warning_with_its_near_miss() -> None:
    [found] = findings(config(LIGHTSPEED, RUN + "sever: {port: 8321}\n"))
    assert (str(found.where), found.severity, found.fix) == ("run.yaml:5:1", "warning", "Did you mean 'server'?")


def test_providers_may_have_keys_that_are_not_known() -> None:
    provider = "{provider_id: x, provider_type: 'remote::x', config: {anything: 1}, more: 2}"
    run = f"distro_name: x\nproviders: {{inference: [{provider}]}}\n"
    assert complaints(LIGHTSPEED, run) == []


@pytest.mark.parametrize(("run", "what"), [("", "the file is empty"), ("[]\n", "the file is empty")])
def test_an_empty_run_file_is_told(run: str, what: str) -> None:
    assert complaints(LIGHTSPEED, run) == [f"run.yaml:1:1: error: {what}"]


@pytest.mark.parametrize(
    ("generation", "version", "warned"),
    [("0.7", (1, 2, 5), False), ("0.7", (1, 2, 6), True), ("0.6", (1, 0, 2), False), ("0.6", (1, 2, 5), True)],
)
def test_a_server_that_is_too_new_for_lcore_is_a_warning(generation: Any, version: Any, warned: bool) -> None:
    source = LIGHTSPEED if generation == "0.7" else OLDER
    assert bool(complaints(source, generation=generation, version=version)) is warned


def test_each_missing_variable_is_told_once_at_its_first_place() -> None:
    lightspeed = LIGHTSPEED.replace("test", "${env.NAME}").replace("8080", "'${env.PORT}'") + (
        "splunk: {url: '${env.NAME}/${env.HERE}', index: '${env.INDEX:=main}', source: '${env.SOURCE:+x}'}\n"
    )
    run = "providers: {}\ndistro_name: ${env.NAME}\nimage_name: ${env.ONLY_HERE}\n"
    found = missing_variables(config(lightspeed, run), {"HERE": "x", "PORT": ""})
    assert [(one.what, str(one.where), one.path) for one in found] == [
        ("the variable NAME is not set", "lightspeed-stack.yaml:2:7", "name"),
        ("the variable PORT is not set", "lightspeed-stack.yaml:3:17", "service.port"),
        ("the variable ONLY_HERE is not set", "run.yaml:3:13", "image_name"),
    ]


def test_a_variable_in_whose_place_something_else_will_stand_is_not_missing() -> None:
    lightspeed = LIGHTSPEED.replace("test", "${env.NAME}")
    run = "providers: {}\nserver: {host: '${env.HOST}'}\ndistro_name: ${env.NAME}\n"
    rewritten: list[set[Any]] = [{("name",)}, {("server", "host")}]
    assert [(one.what, str(one.where)) for one in missing_variables(config(lightspeed, run), {}, rewritten)] == [
        ("the variable NAME is not set", "run.yaml:3:14")
    ]


def test_the_variables_of_a_run_file_that_nothing_reads_are_not_missing() -> None:
    remote = LIGHTSPEED.replace("localhost", "stack.example.com")
    run = "providers: {}\ndistro_name: ${env.ONLY_HERE}\n"
    assert missing_variables(config(remote, run), {}) == []


def test_the_settings_of_lcompose_are_taken_out_and_kept() -> None:
    source = node("name: a\nruntime: local\ncontainer: {image: x}\nlocal: {}\n")
    assert plain(without_settings(source)) == {"name": "a"}
    assert plain(embedded_settings(source)) == {"runtime": "local", "container": {"image": "x"}, "local": {}}


@pytest.mark.parametrize("source", ["", "name: a\n", "- a\n"])
def test_a_document_without_settings_has_none(source: str) -> None:
    assert plain(embedded_settings(node(source))) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.sampled_from(["a", "*", "true", "${env.UNSET}", "http://["]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["sqlite", "x"]), inner, max_size=2),
    max_leaves=3,
)


def below(*keys: str) -> st.SearchStrategy[Any]:
    """A section with any values, or anything in its place."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, VALUES)) | VALUES


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "service": st.fixed_dictionaries({"cors": below("allow_credentials", "allow_origins")}) | VALUES,
            "ogx": below("url", "use_as_library_client", "config", "max_retries"),
            "llama_stack": below("url"),
            "user_data_collection": below("feedback_enabled", "feedback_storage"),
            "database": below("sqlite", "postgres"),
            "inference": below("providers"),
            "vector_store": below("providers"),
        },
    ),
    st.fixed_dictionaries({}, optional={"providers": below("inference"), "server": below("port")}),
)
def test_whatever_a_document_says_there_are_findings_and_never_a_crash(lightspeed: Any, run: Any) -> None:
    read = config(yaml.safe_dump(lightspeed), yaml.safe_dump(run))
    assert isinstance(findings(read), list)
