"""The documents that the services read: what they say differently from the person's own."""

from __future__ import annotations

from typing import Any

import pytest

from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.derive import (
    Edit,
    applied,
    insecure_option,
    lightspeed_edits,
    run_edits,
    server_port,
    settings_removed,
)
from lcompose.load import plain
from lcompose.spec.project import Change
from lcompose.spec.text import Address
from tests.unit.given import LCORE_IMAGE, LIGHTSPEED, OLDER, ROOT_IMAGE, RUN, config, node

PATIENT = {"max_retries": 60, "retry_delay": 1}
KEPT = {"sqlite": {"db_path": "/opt/app-root/src/.llama/storage/lightspeed-stack.db"}}


def lightspeed(found: Configuration, image: Any = LCORE_IMAGE) -> Any:
    """LCORE's derived document."""
    return applied(plain(found.lightspeed), "lightspeed-stack.yaml", lightspeed_edits(found, image))[0]


def run(found: Configuration) -> Any:
    """Llama Stack's derived document."""
    return applied(plain(found.run), "run.yaml", run_edits(found))[0]


def reached(url: str, **more: str) -> Any:
    """How LCORE reaches Llama Stack when its url says this."""
    return lightspeed(config(LIGHTSPEED.replace("http://localhost:8321", url), **more))["ogx"]["url"]


def test_a_small_document_becomes_one_for_a_container() -> None:
    assert lightspeed(config()) == {
        "name": "test",
        "service": {"port": 8080, "host": "0.0.0.0"},
        "ogx": {"url": Address("llama-stack", 8321), **PATIENT},
        "user_data_collection": {},
        "database": KEPT,
    }


def test_every_difference_is_told_with_its_reason() -> None:
    source = LIGHTSPEED.replace("port: 8080", "host: localhost, port: 8080")
    found = config(source.replace("ogx: {", "ogx: {max_retries: 60, "))
    _, changes = applied(plain(found.lightspeed), "lightspeed-stack.yaml", lightspeed_edits(found, LCORE_IMAGE))
    told = [(one.path, one.before, one.after) for one in changes]
    assert told == [
        ("service.host", "localhost", "0.0.0.0"),
        ("ogx.url", "http://localhost:8321", "http://llama-stack:8321"),
        ("database.sqlite", "", "{…}"),
    ]
    assert all(one.reason for one in changes)


def test_what_already_says_so_is_no_change() -> None:
    edit = Edit(("a", "b"), 1, "because")
    assert applied({"a": {"b": 1}}, "x.yaml", [edit]) == ({"a": {"b": 1}}, [])


def test_the_document_that_is_edited_stays_as_it_was() -> None:
    tree = {"a": [{"b": 1}]}
    applied(tree, "x.yaml", [Edit(("a", 0, "b"), 2, "because")])
    assert tree == {"a": [{"b": 1}]}


def test_what_a_secret_was_is_not_told() -> None:
    edits = [Edit(("key",), "${env.KEY}", "because", secret=True)]
    assert applied({"key": "abc"}, "x.yaml", edits)[1] == [Change("x.yaml", "key", "(hidden)", "${env.KEY}", "because")]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0.0.0.0", "[::1]", "llama-stack", "ogx", "LOCALHOST"])
def test_a_url_beside_me_becomes_the_name_of_the_service(host: str) -> None:
    assert reached(f"http://{host}:8321") == Address("llama-stack", 8321)


@pytest.mark.parametrize(
    "url", ["http://stack.example.com:8321/v1", "https://10.0.0.7", "http://host.docker.internal:8321", "http://ogx.io"]
)
def test_a_url_elsewhere_stays(url: str) -> None:
    assert reached(url) == url


def test_a_remote_server_is_asked_as_often_as_the_person_says() -> None:
    source = LIGHTSPEED.replace("localhost", "stack.example.com")
    assert lightspeed(config(source))["ogx"] == {"url": "http://stack.example.com:8321"}


def test_a_url_in_a_variable_is_written_out() -> None:
    found = config(LIGHTSPEED.replace("http://localhost", "http://${env.WHERE}"), env={"WHERE": "stack.example.com"})
    assert lightspeed(found)["ogx"]["url"] == "http://stack.example.com:8321"


@pytest.mark.parametrize(("path", "kept"), [("", ""), ("/", ""), ("/api", "/api"), ("/api/v2/", "/api/v2")])
def test_the_path_of_the_url_is_kept(path: str, kept: str) -> None:
    assert reached(f"http://localhost:8321{path}") == Address("llama-stack", 8321, kept)


def test_a_server_with_certificates_is_reached_by_https() -> None:
    run = RUN + "server: {tls_certfile: a.crt, tls_keyfile: a.key}\n"
    assert reached("http://localhost:8321", run=run) == Address("llama-stack", 8321, "", "https")


@pytest.mark.parametrize("server", ["{tls_certfile: a.crt}", "{tls_keyfile: a.key}", "{}"])
def test_a_server_without_both_halves_speaks_http(server: str) -> None:
    assert reached("https://localhost:8321", run=RUN + f"server: {server}\n") == Address("llama-stack", 8321)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", PATIENT),
        ("max_retries: 10, retry_delay: 2", PATIENT),
        ("max_retries: 29", PATIENT),
        ("max_retries: '29'", PATIENT),
        ("max_retries: 30", {"max_retries": 30}),
        ("max_retries: '30'", {"max_retries": "30"}),
        ("retry_delay: 12", {"retry_delay": 12}),
        ("max_retries: 6, retry_delay: 10", {"max_retries": 6, "retry_delay": 10}),
        ("max_retries: '${env.UNSET}'", PATIENT),
    ],
)
def test_lcore_asks_for_a_minute_at_least(own: str, expected: dict[str, Any]) -> None:
    found = config(LIGHTSPEED.replace("ogx: {", f"ogx: {{{own}{', ' if own else ''}"))
    section = lightspeed(found)["ogx"]
    assert {key: value for key, value in section.items() if key != "url"} == expected


@pytest.mark.parametrize("module", ["k8s", "jwk-token", "api-key-token", "rh-identity", "trusted-proxy"])
def test_a_module_that_would_refuse_probes_lets_them_through(module: str) -> None:
    found = config(LIGHTSPEED + f"authentication: {{module: {module}}}\n")
    assert lightspeed(found)["authentication"] == {"module": module, "skip_for_health_probes": True}


@pytest.mark.parametrize("module", ["noop", "noop-with-token"])
def test_a_module_that_refuses_no_probe_stays_as_it_is(module: str) -> None:
    found = config(LIGHTSPEED + f"authentication: {{module: {module}}}\n")
    assert lightspeed(found)["authentication"] == {"module": module}


@pytest.mark.parametrize("own", ["", "database: {}\n", "database: {sqlite: null}\n"])
def test_the_default_database_is_kept_on_the_volume(own: str) -> None:
    assert lightspeed(config(LIGHTSPEED + own))["database"] == KEPT


@pytest.mark.parametrize("own", ["{sqlite: {db_path: /data/a.db}}", "{postgres: {db: a, user: b, password: c}}"])
def test_a_database_of_ones_own_stays(own: str) -> None:
    found = config(LIGHTSPEED + f"database: {own}\n")
    assert lightspeed(found)["database"] == found.value("database")


def test_an_image_without_a_directory_of_its_own_keeps_the_default_database() -> None:
    assert "database" not in lightspeed(config(), ROOT_IMAGE)


@pytest.mark.parametrize("port", ["8090", "'8090'", "'${env.PORT}'", "'${env.UNSET:=8090}'"])
def test_the_port_of_lcore_is_written_out(port: str) -> None:
    found = config(LIGHTSPEED.replace("8080", port), env={"PORT": "8090"})
    assert lightspeed(found)["service"]["port"] == 8090


def test_a_port_that_is_not_known_is_left_to_lcore() -> None:
    found = config(LIGHTSPEED.replace("8080", "'${env.PORT}'"))
    assert lightspeed(found)["service"]["port"] == "${env.PORT}"


@pytest.mark.parametrize(
    ("url", "run", "port"),
    [
        ("http://localhost", RUN, 8321),
        ("http://localhost:9000", RUN, 9000),
        ("http://localhost:9000", RUN + "server: {port: 9001}\n", 9001),
        ("http://localhost:9000", RUN + "server: {port: '9001'}\n", 9001),
        ("http://localhost:9000", RUN + "server: {port: '${env.PORT}'}\n", 9002),
        ("http://localhost:9000", RUN + "server: {port: '${env.UNSET}'}\n", 9000),
        ("http://localhost:9000", RUN + "server: {port: null}\n", 9000),
        ("http://localhost:many", RUN, 8321),
    ],
)
def test_the_port_of_the_server_is_the_run_files_then_the_urls_then_the_default(url: str, run: str, port: int) -> None:
    found = config(LIGHTSPEED.replace("http://localhost:8321", url), run, env={"PORT": "9002"})
    assert server_port(found) == port


def test_the_server_listens_for_other_containers_on_its_one_port() -> None:
    assert run(config(LIGHTSPEED, RUN + "server: {host: localhost, auth: null}\n"))["server"] == {
        "host": "0.0.0.0",
        "auth": None,
        "port": 8321,
    }


@pytest.mark.parametrize(
    ("version", "tls", "option"),
    [
        ((1, 2, 0), False, ("--insecure",)),
        ((1, 5), False, ("--insecure",)),
        ((1, 1, 9), False, ()),
        ((0, 6, 0), False, ()),
        ((1, 2, 0), True, ()),
    ],
)
def test_only_a_server_since_1_2_without_certificates_is_told_to_go_without(
    version: tuple[int, ...], tls: bool, option: tuple[str, ...]
) -> None:
    server = "server: {tls_certfile: a, tls_keyfile: b}\n" if tls else ""
    assert insecure_option(config(LIGHTSPEED, RUN + server, version=version)) == option


def test_llama_stack_is_renamed_to_ogx_in_0_7() -> None:
    found = lightspeed(config(OLDER.replace("llama_stack: {", "llama_stack: {timeout: 9, ")))
    assert found["ogx"] == {"url": Address("llama-stack", 8321), "timeout": 9, **PATIENT}
    assert "llama_stack" not in found


def test_llama_stack_keeps_its_name_in_0_6() -> None:
    found = lightspeed(config(OLDER, generation="0.6", version=(0, 6, 0)))
    assert found["llama_stack"] == {"url": Address("llama-stack", 8321), **PATIENT}
    assert "ogx" not in found


def test_an_older_key_beside_the_newer_one_is_left_out() -> None:
    found = lightspeed(config(LIGHTSPEED + 'llama_stack: {url: "http://older:1"}\n'))
    assert found["ogx"] == {"url": Address("llama-stack", 8321), **PATIENT}
    assert "llama_stack" not in found


def test_settings_of_lcompose_that_are_in_the_document_are_removed_and_told() -> None:
    text = f"{LIGHTSPEED}runtime: container\ncontainer: {{limits: {{memory: 3g}}}}\n"
    found = settings_removed(node(text))
    assert [(one.document, one.path, one.before, one.after) for one in found] == [
        ("lightspeed-stack.yaml", "runtime", "container", ""),
        ("lightspeed-stack.yaml", "container", "{…}", ""),
    ]
    assert settings_removed(node(LIGHTSPEED)) == ()
