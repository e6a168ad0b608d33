"""Comparing legs: what counts as the same, what a difference looks like, and a person's own requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.errors import ConfigError, EngineError, UsageError
from lcompose.load import parse
from lcompose.parity import Difference, Row, Seen, compare, differing, report
from lcompose.parity.answers import events, found_at, seen
from lcompose.parity.asking import Address, Reply, ask, free_ports
from lcompose.parity.legs import LEGS, named, own_options, suffix
from lcompose.parity.library import in_library_mode, write_copy
from lcompose.parity.normal import Ground, addresses_of, normalised, shape
from lcompose.parity.rendered import comparable, rendered
from lcompose.parity.requests import OURS, Asked, Request, asked, sent, variables_of, with_headers
from lcompose.spec.secrets import Secrets

HERE = Ground("demo-docker", {"llama-stack": (8321, 41001), "lightspeed-stack": (8080, 41002)})
THERE = Ground("demo-podman", {"llama-stack": (8321, 52001), "lightspeed-stack": (8080, 52002)})
JSON = "application/json"

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=6), below, max_size=3),
    max_leaves=12,
)


def rows(*seen_by: Seen) -> tuple[Row, ...]:
    return compare(["models"], {f"leg{index}": {"models": one} for index, one in enumerate(seen_by)}, {})


def reply(body: Any, status: int = 200) -> Reply:
    return Reply(status, JSON, json.dumps(body).encode())


# --- rows ---


@given(TREES)
def test_a_leg_agrees_with_itself(value: Any) -> None:
    (row,) = rows(Seen(value), Seen(json.loads(json.dumps(value))))
    assert row.verdicts == {"leg0": "ok", "leg1": "ok"}
    assert row.agrees
    assert differing(value, value) == ()


@given(TREES, TREES)
def test_a_difference_is_one_from_both_sides(one: Any, other: Any) -> None:
    there = rows(Seen(one), Seen(other))[0].verdicts["leg1"]
    back = rows(Seen(other), Seen(one))[0].verdicts["leg1"]
    assert there == back
    swapped = {(found.path, found.found, found.wanted) for found in differing(other, one)}
    assert {(found.path, found.wanted, found.found) for found in differing(one, other)} == swapped


@given(TREES, TREES)
def test_what_differs_has_a_place_that_can_be_shown(one: Any, other: Any) -> None:
    verdict = rows(Seen(one), Seen(other))[0].verdicts["leg1"]
    assert (verdict == "differs") == bool(differing(one, other))


def test_every_difference_is_told_with_its_path_and_both_values() -> None:
    wanted = {"models": [{"id": "a", "size": 1}], "only here": True}
    found = {"models": [{"id": "b", "size": 1}], "only there": None}
    assert differing(wanted, found) == (
        Difference("models[0].id", '"a"', '"b"'),
        Difference("only here", "true", "(nothing)"),
        Difference("only there", "(nothing)", "null"),
    )


def test_the_leg_that_stands_alone_is_the_one_that_differs() -> None:
    (row,) = rows(Seen({"v": 1}), Seen({"v": 2}), Seen({"v": 2}))
    assert row.yardstick == "leg1"
    assert row.verdicts == {"leg0": "differs", "leg1": "ok", "leg2": "ok"}
    assert row.differences == {"leg0": (Difference("v", "2", "1"),)}


def test_a_leg_that_failed_is_no_yardstick_and_does_not_agree() -> None:
    (row,) = rows(Seen(problem="no answer"), Seen({"v": 2}))
    assert (row.yardstick, row.verdicts) == ("leg1", {"leg0": "failed", "leg1": "ok"})
    assert not row.agrees


def test_a_leg_that_was_not_asked_is_in_nobodys_way() -> None:
    (row,) = compare(["models"], {"a": {}, "b": {"models": Seen(1)}}, {})
    assert row.verdicts == {"a": "absent", "b": "ok"}
    assert row.agrees


# --- what means nothing ---


def test_the_same_service_has_the_same_address_from_everywhere() -> None:
    for text in ("http://llama-stack:8321/v1", "http://127.0.0.1:41001/v1", "http://localhost:41001/v1"):
        assert normalised(text, HERE) == "http://<llama-stack>/v1"
    assert normalised("http://127.0.0.1:52001/v1", THERE) == "http://<llama-stack>/v1"


def test_this_machine_is_one_place_by_all_its_names_and_other_machines_are_not() -> None:
    ground = Ground(machine=("localhost", "host.docker.internal", "host.containers.internal", "172.17.0.1"))
    for name in ground.machine:
        assert normalised(f"http://{name}:9000/v1", ground) == "http://<this machine>:9000/v1"
    for other in ("http://172.17.0.11:9000", "http://localhost.example.com", "http://my-localhost:1"):
        assert normalised(other, ground) == other
    assert normalised("http://localhost:9001", ground) != normalised("http://localhost:9000", ground)


def test_the_addresses_of_this_machine_are_read_from_its_routes() -> None:
    local = "     |-- 10.0.0.7\n        /32 host LOCAL\n"
    table = f"  |-- 10.0.0.0\n     /24 link UNICAST\n{local}{local}"
    assert addresses_of(table) == ("10.0.0.7",)


def test_a_port_is_the_services_inside_and_outside() -> None:
    said = {"service": {"port": 8080}, "OGX_PORT": "8321"}
    assert normalised(said, HERE) == normalised({"service": {"port": 52002}, "OGX_PORT": "52001"}, THERE)
    assert normalised(said, HERE) != normalised({"service": {"port": 52003}, "OGX_PORT": "52001"}, THERE)
    assert normalised(True, Ground(ports={"x": (1,)})) is True


def test_names_of_a_run_and_what_changes_at_each_call_are_taken_out() -> None:
    def answer(project: str, number: int) -> dict[str, Any]:
        return {
            "network": f"{project}_default",
            "conversation_id": "x" * number,
            "created": number,
            "id": f"msg-{number:08x}-0000-4000-8000-000000000000",
            "at": f"2026-01-0{number}T10:00:00.12Z",
        }

    assert normalised(answer("demo-docker", 1), HERE) == normalised(answer("demo-podman", 2), THERE)


def test_a_list_of_models_has_no_order_and_a_list_of_words_has_one() -> None:
    models = [{"id": "b"}, {"id": "a"}]
    assert normalised(models, HERE) == normalised(models[::-1], HERE)
    assert normalised(["b", "a"], HERE) != normalised(["a", "b"], HERE)


def test_folders_are_the_same_by_their_last_step_where_legs_are_at_other_places() -> None:
    anywhere = Ground(anywhere=True)
    one = normalised("/opt/app-root/src/.llama/storage/kv.db", anywhere)
    assert one == normalised("/home/me/.local/state/volumes/data/kv.db", anywhere) == "…/kv.db"
    assert normalised("http://example.com/a/b", anywhere) == "http://example.com/a/b"
    assert normalised("${env.DIR:=~/.llama}/kv.db", anywhere) == "${env.DIR:=…/.llama}/kv.db"
    assert normalised("/a/b", HERE) == "/a/b"


FILES = {"/app-root/certs/tls.crt": "./own/server.crt", "/app-root/prompts": "/home/me/prompts"}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("certs/tls.crt", "…/server.crt"),
        ("/app-root/certs/tls.crt", "…/server.crt"),
        ("/app-root/prompts", "…/prompts"),
        ("/app-root/prompts/system.txt", "…/system.txt"),
        # Nothing that is mounted: a model, a word in which the end of a path stands.
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("not tls.crt", "not tls.crt"),
        ("prompts", "prompts"),
    ],
)
def test_a_file_is_the_same_as_it_is_mounted_and_as_it_lies_here(said: str, found: str) -> None:
    assert normalised(said, Ground(anywhere=True, files=FILES)) == found
    assert normalised(said, Ground(files=FILES)) == said
    # A document is called the same on every leg.
    assert normalised({"tls.crt": 1}, Ground(anywhere=True, files=FILES)) == {"tls.crt": 1}


def test_a_service_whose_port_nobody_tells_is_on_this_machine_where_one_leg_is_processes() -> None:
    services = ("ollama", "inference")
    ground = Ground(anywhere=True, services=services, ports={"inference": (8000,)})
    assert normalised("http://ollama:11434/v1", ground) == normalised("http://127.0.0.1:11434/v1", ground)
    assert normalised("http://inference:8000/v1", ground) == "http://<inference>/v1"
    assert normalised({"ollama": "ollama"}, ground) == {"ollama": "ollama"}
    one, other = {"host": "ollama", "db": 1}, {"host": "127.0.0.1", "port": 11434, "db": 1}
    assert normalised(one, ground) == normalised(other, ground)
    assert normalised(other | {"host": "db.example.com"}, ground)["port"] == 11434
    apart = replace(ground, anywhere=False)
    assert normalised("http://ollama:11434/v1", apart) == "http://ollama:11434/v1"
    assert normalised(other, apart)["port"] == 11434


@given(TREES)
def test_normalising_twice_is_normalising_once(value: Any) -> None:
    once = normalised(value, HERE)
    assert normalised(once, HERE) == once


def test_a_shape_has_keys_and_kinds_and_no_values() -> None:
    body = {"text": "hi", "n": 1, "f": 0.5, "ok": True, "none": None, "list": [{"a": 1}, {"a": 2}, "x"]}
    assert shape(body) == {
        "text": "text",
        "n": "number",
        "f": "number",
        "ok": "true or false",
        "none": "null",
        "list": ["text", {"a": "number"}],
    }


# --- answers ---

MODELS = Request("models", "lightspeed-stack", "/v1/models")
QUERY = Request("query", "lightspeed-stack", "/v1/query", "POST", compare="shape")


def test_a_status_and_a_kind_of_body_are_compared_too() -> None:
    assert seen(reply({}, 200), MODELS, HERE).value != seen(reply({}, 503), MODELS, HERE).value
    text = Reply(200, "text/plain", b"{}")
    assert seen(reply({}), MODELS, HERE).value != seen(text, MODELS, HERE).value
    assert seen(reply({}, 503), MODELS, HERE).told == "503"


def test_what_a_model_says_counts_only_where_that_is_asked_for() -> None:
    one, other = reply({"response": "Hello."}), reply({"response": "Good day."})
    assert seen(one, QUERY, HERE).value == seen(other, QUERY, HERE).value
    assert seen(one, QUERY, HERE, texts=True).value != seen(other, QUERY, HERE, texts=True).value
    assert seen(reply({"response": None}), QUERY, HERE).value != seen(one, QUERY, HERE).value


def stream(*tokens: str, end: str = "end") -> Reply:
    told = [{"event": "start", "data": {"conversation_id": "x"}}]
    told += [{"event": "token", "data": {"id": index, "token": one}} for index, one in enumerate(tokens)]
    told += [{"event": end, "data": {"referenced_documents": []}}]
    lines = "".join(f"data: {json.dumps(one)}\n\n" for one in told)
    return Reply(200, "text/event-stream", lines.encode())


def test_a_stream_is_compared_by_its_kinds_of_events_and_not_by_how_many_there_are() -> None:
    one, other = stream("Hel", "lo"), stream("H", "e", "llo")
    assert seen(one, QUERY, HERE).value == seen(other, QUERY, HERE).value
    assert seen(one, QUERY, HERE, texts=True).value == seen(other, QUERY, HERE, texts=True).value
    assert seen(stream("Hi"), QUERY, HERE, texts=True).value != seen(one, QUERY, HERE, texts=True).value
    assert seen(stream("Hel", end="error"), QUERY, HERE).value != seen(one, QUERY, HERE).value
    assert seen(one, QUERY, HERE).value["body"]["events"] == ["start", "token", "end"]


def test_events_are_named_by_their_line_or_by_their_data() -> None:
    body = b'event: ping\ndata: {}\n\n: a comment\ndata: {"type": "delta"}\n\ndata: [DONE]\n\ndata: words\n'
    assert [one["kind"] for one in events(body)] == ["ping", "delta", "[DONE]", "data"]


def test_an_interface_is_its_operations() -> None:
    request = Request("interface", "x", "/openapi.json", compare="operations")
    body = {"info": {"title": "any"}, "paths": {"/b": {"post": {}, "get": {}, "summary": "x"}, "/a": {"get": {}}}}
    assert seen(reply(body), request, HERE).value["body"] == {"/a": ["get"], "/b": ["get", "post"]}
    assert seen(reply({"detail": "Not Found"}, 404), request, HERE).value["body"] == {"detail": "text"}


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"status": 404}, "it answered 200, and 404 is expected"),
        ({"present": ("models[*].size",)}, "its answer has no models[*].size"),
        ({"present": ("models[0].id", "total")}, ""),
        ({"equal": {"models[1].id": "b", "$.total": 2}}, ""),
        ({"equal": {"models[*].id": "a"}}, 'at models[*].id stands "a", "b", and "a" is expected'),
        ({"equal": {"nowhere": None}}, "at nowhere stands nothing, and null is expected"),
    ],
)
def test_an_answer_is_held_against_what_a_person_expects(expected: dict[str, Any], problem: str) -> None:
    request = Request("mine", "x", "/", **expected)
    assert seen(reply({"models": [{"id": "a"}, {"id": "b"}], "total": 2}), request, HERE).problem == problem


def test_what_is_ignored_does_not_differ() -> None:
    request = Request("mine", "x", "/", ignore=("models[*].size", "took"))
    one = reply({"models": [{"id": "a", "size": 1}], "took": 3})
    other = reply({"models": [{"id": "a", "size": 9}], "took": 4})
    assert seen(one, request, HERE).value == seen(other, request, HERE).value
    assert seen(one, MODELS, HERE).value != seen(other, MODELS, HERE).value
    assert seen(reply({"models": [{"id": "b", "size": 1}]}), request, HERE).value != seen(one, request, HERE).value


def test_paths_lead_to_everything_they_mean() -> None:
    tree = {"a": [{"b": 1}, {"b": 2}, {}], "c": {"d": 3}}
    found = {path: list(found_at(tree, path)) for path in ("a[*].b", "a[1].b", "a[7].b", "$.c.d", "c[0]", "a.b")}
    assert found == {"a[*].b": [1, 2], "a[1].b": [2], "a[7].b": [], "$.c.d": [3], "c[0]": [], "a.b": []}


def test_a_secret_is_taken_out_before_anything_is_compared() -> None:
    secret = 'with "quotes"'
    redact = Secrets({"API_KEY": secret}).redact

    def clean(value: Any) -> Any:
        return {key: redact(one) for key, one in value.items()}

    found = seen(reply({"echo": secret}), MODELS, HERE, clean)
    assert found.value["body"] == {"echo": "<API_KEY>"}


# --- a person's own requests ---


def read(text: str, env: Mapping[str, str] | None = None) -> Asked:
    return asked(text.encode(), "parity.yaml", ["lightspeed-stack", "llama-stack"], env or {})


def findings(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(text)
    assert all(one.fix for one in error.value.findings)
    return [f"{one.where.line}: {one.path}: {one.what}" for one in error.value.findings]


def test_own_requests_are_asked_after_ours() -> None:
    found = read(
        """
- name: who am I
  path: /v1/info
  method: POST
  service: llama-stack
  headers: {Authorization: "Bearer ${TOKEN}"}
  body: {user: "${WHO}", n: [1, "$${x}"]}
  compare: shape
  expect: {status: 200, present: [name], equal: {version: "0.7"}, ignore: [time]}
""",
        {"TOKEN": "abcd", "WHO": "me"},
    )
    assert found.variables == {"TOKEN", "WHO"}
    assert found.requests[:-1] == OURS
    assert found.requests[-1] == Request(
        "who am I",
        "llama-stack",
        "/v1/info",
        "POST",
        {"Authorization": "Bearer abcd"},
        {"user": "me", "n": [1, "${x}"]},
        "shape",
        200,
        {"version": "0.7"},
        ("name",),
        ("time",),
        "parity.yaml:2:3",
    )


def test_an_own_request_takes_the_place_of_ours_by_its_name() -> None:
    found = read("- {name: models, path: /v1/models, expect: {status: 200}}").requests
    assert [one.status for one in found if one.name == "models"] == [200]
    assert len(found) == len(OURS)


def test_an_empty_file_asks_nothing_more() -> None:
    assert read("# nothing yet\n") == Asked(OURS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {name: a}", ["1: [0].path: this key must be there"]),
        ("- {name: a, path: v1}", ["1: [0].path: this is not written as it must be"]),
        ("- {name: a, path: /, expct: {}}", ["1: [0].expct: unknown key"]),
        (
            "- name: a\n  path: /\n  expect: {status: 9}",
            ["3: [0].expect.status: input should be greater than or equal to 100"],
        ),
        (
            "- name: a\n  path: /\n  expect: {present: ['a..b']}",
            ["3: [0].expect.present[0]: this is not written as it must be"],
        ),
        ("- {name: a, path: /}\n- {name: a, path: /}", ["2: [1].name: this name is here twice"]),
        ("- name: a\n  path: /\n  service: lama-stack", ["3: [0].service: no service is called 'lama-stack'"]),
        (
            "- name: a\n  path: /\n  headers:\n    Authorization: Bearer abcdefgh",
            ["4: [0].headers.Authorization: this is a secret, and it stands in the file"],
        ),
        ("- name: a\n  path: /\n  body: {k: '${NOT_SET}'}", ["3: 0.body.k: the variable NOT_SET is not set"]),
        ('- {name: a, path: /, headers: {X: "a\\r\\nb"}}', ["1: [0].headers.X: this is not written as it must be"]),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line(text: str, told: list[str]) -> None:
    assert findings(text) == told


def test_a_file_that_is_no_list_is_refused() -> None:
    assert findings("name: a") == ["1: : input should be a valid list"]


def test_the_variables_of_a_file_are_known_without_their_values() -> None:
    assert variables_of(b"- {name: a, path: /, headers: {X: '${ONE}'}, body: ['${TWO}', $$]}", "f") == {"ONE", "TWO"}


def test_a_body_is_sent_as_json_and_a_header_of_ones_own_wins() -> None:
    headers, body = sent(Request("a", "x", "/", "POST", {"Content-Type": "text/plain"}, {"a": 1}))
    assert (headers["Content-Type"], body) == ("text/plain", b'{"a": 1}')
    assert sent(Request("a", "x", "/"))[1] is None


# --- asking ---


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.end_headers()
        self.wfile.write(b'{"got": ' + body + b"}")

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(50):
            with suppress(OSError):  # whoever asked has gone
                self.wfile.write(b".")
            time.sleep(0.1)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Address]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Address(server.server_port)
    finally:
        server.shutdown()
        server.server_close()


def test_an_answer_comes_past_every_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving() as address:
        assert ask(address, "POST", "/x", {}, b"1", 5) == Reply(201, JSON, b'{"got": 1}')


def test_an_answer_that_never_ends_is_given_up_in_time() -> None:
    begun = time.monotonic()
    with serving() as address, pytest.raises(EngineError) as error:
        ask(address, "GET", "/slow", {}, None, 0.5)
    assert time.monotonic() - begun < 3
    assert error.value.what.startswith("there was no whole answer within 0.5 s")


def test_nobody_there_is_told() -> None:
    (port,) = free_ports(1)
    with pytest.raises(EngineError, match="ConnectionRefusedError"):
        ask(Address(port), "GET", "/", {}, None, 1)


def test_free_ports_are_all_different_and_none_that_is_taken_already() -> None:
    first = free_ports(20)
    taken = range(first[0] - 2000, first[0] + 2000)
    found = free_ports(20, taken)
    assert len(set(first)) == len(set(found)) == 20
    assert not set(found) & set(taken)


# --- legs ---


def test_legs_are_named_with_commas() -> None:
    assert [leg.name for leg in named("container:docker, library")] == ["container:docker", "library"]
    assert [suffix(leg) for leg in LEGS.values()] == ["docker", "podman", "local", "library"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("container:docker", "one leg has nothing to be compared with"),
        ("local,local", "a leg is named twice"),
        ("local,container:dokcer", "no leg is called 'container:dokcer'"),
        ("", "one leg has nothing to be compared with"),
    ],
)
def test_legs_that_cannot_be_compared_are_refused(text: str, what: str) -> None:
    with pytest.raises(UsageError) as error:
        named(text)
    assert error.value.what == what
    assert error.value.fix


def test_a_setting_of_one_leg_is_its_alone() -> None:
    legs = named("container:docker,container:podman")
    found = own_options([("container:podman", "gpu=none"), ("container:podman", "model=m")], legs)
    assert found == {"container:docker": (), "container:podman": ("--set", "gpu=none", "--set", "model=m")}
    with pytest.raises(UsageError):
        own_options([("local", "gpu=none")], legs)


# --- files ---

COMPOSE = """
services:
  llama-stack:
    ports: [{target: 8321, published: "8321"}]
    labels: {lcompose.probe: '{"port": 8321, "path": "/v1/health", "scheme": "https"}'}
    environment: {A: "${A:?set A}", B: "${B:-b}", C: "$$c", D: null, E: null, F: "${F:-f}", G: "${G:-g}"}
  postgres: {}
"""
PROCESSES = """
name: demo
services:
  llama-stack:
    ports: [[127.0.0.1, 8321]]
    probe: {port: 8321, scheme: https}
    environment: {B: b, C: $c}
    inherit: [A, D, E, F, G]
    defaults: {F: f, G: g}
  postgres: {}
"""


def test_a_process_and_a_container_with_the_same_variables_are_the_same() -> None:
    env = {"A": "a", "D": "d", "F": "other", "G": ""}
    container = rendered({"compose.yaml": COMPOSE, "llama-stack/run.yaml": "port: 8321"}, env)
    process = rendered({"processes.yaml": PROCESSES, "run.yaml": "port: 8321"}, env)
    assert replace(container, natively=True) == process
    assert container.environment["llama-stack"] == {"A": "a", "B": "b", "C": "$c", "D": "d", "F": "other", "G": "g"}
    assert container.probes == {"llama-stack": (8321, "https")}
    assert container.published == {"llama-stack": (8321,), "postgres": ()}
    assert container.documents == {"run.yaml": {"port": 8321}}


def test_a_stack_of_both_has_the_services_of_both_files() -> None:
    compose = """
services:
  lightspeed-stack:
    environment: {A: "$$a"}
    volumes:
    - {type: bind, source: ./own/x.crt, target: /certs/x.crt}
    - {type: volume, source: data, target: /data}
volumes: {data: {}}
"""
    found = rendered({"compose.yaml": compose, "processes.yaml": PROCESSES}, {})
    assert found.services == ("lightspeed-stack", "llama-stack", "postgres")
    assert found.environment["lightspeed-stack"] == {"A": "$a"}
    assert found.environment["llama-stack"]["C"] == "$c"
    assert (found.files, found.volumes) == ({"/certs/x.crt": "./own/x.crt"}, {"data": ("/data",)})


def test_variables_of_a_place_count_only_where_all_legs_are_at_the_same_one() -> None:
    given_ = {"x": {"SSL_CERT_FILE": "/ca.pem", "B": "b", "EMPTY": ""}}
    assert comparable(given_, anywhere=False) == {"x": {"B": "b", "EMPTY": "", "SSL_CERT_FILE": "/ca.pem"}}
    assert comparable(given_, anywhere=True) == {"x": {"B": "b"}}


# A place within another one is the longer name of it.
VOLUMES = {"llama-stack-data": ("/root/.llama", "/root/.llama/storage", "/root/.ogx"), "other": ()}


@pytest.mark.parametrize(
    "said",
    [
        "/root/.llama/storage/files",
        "~/.llama/storage/files",
        "/home/me/.local/state/lcompose/25bf/demo/volumes/llama-stack-data/files",
        "/root/.ogx/files",
        "/x/volumes/other/files",
    ],
)
def test_a_volume_is_the_same_wherever_it_lies(said: str) -> None:
    ground = Ground(project="demo", anywhere=True, volumes=VOLUMES)
    assert normalised(said, ground) == "<volume>/files"
    assert normalised(f"${{env.DIR:={said}}}", ground) == "${env.DIR:=<volume>/files}"
    assert normalised(said, replace(ground, anywhere=False)) != "<volume>/files"


@pytest.mark.parametrize("said", ["/root/.ogx2/files", "my/volumes/another", "https://x/root/.ogx"])
def test_what_only_looks_like_a_volume_is_none(said: str) -> None:
    assert "<volume>" not in normalised(said, Ground(anywhere=True, volumes=VOLUMES))


# --- a failure that all share ---


def judged(statuses: list[int], request: Request = OURS[0], body: bytes = b"{}", kind: str = JSON) -> list[str]:
    """The verdicts on legs that answer with these."""
    legs = {
        f"leg {number}": {request.name: seen(Reply(status, kind, body), request, Ground())}
        for number, status in enumerate(statuses)
    }
    [row] = compare([request.name], legs, {})
    return list(row.verdicts.values())


@pytest.mark.parametrize(
    ("statuses", "verdicts"),
    [
        ([200, 200], ["ok", "ok"]),
        ([500, 500], ["failed", "failed"]),
        ([422, 422], ["failed", "failed"]),
        ([404, 404], ["failed", "failed"]),
        ([401, 401], ["refused", "refused"]),
        ([403, 403], ["refused", "refused"]),
        ([200, 404], ["ok", "differs"]),
        ([500, 200, 200], ["differs", "ok", "ok"]),
    ],
)
def test_a_failure_that_all_legs_share_is_a_failure(statuses: list[int], verdicts: list[str]) -> None:
    assert judged(statuses) == verdicts


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"detail": "Not Found"}', "absent"),
        # There is such a path: what is not found is something else.
        (b'{"detail": {"response": "Model not found", "cause": "none is there"}}', "failed"),
    ],
)
def test_a_path_that_no_leg_has_is_told_and_is_no_failure(body: bytes, verdict: str) -> None:
    assert judged([404, 404], OURS[0], body) == [verdict, verdict]


def test_a_stream_that_ends_with_an_error_is_a_failure_whatever_its_status() -> None:
    ours = next(one for one in OURS if one.name == "streamed query")
    wrong = stream("Hel", end="error")
    assert judged([200, 200], ours, stream("Hel").body, "text/event-stream") == ["ok", "ok"]
    assert judged([200, 200], ours, wrong.body, wrong.kind) == ["failed", "failed"]


def test_a_bad_request_must_be_refused_and_a_persons_own_is_compared_as_it_is() -> None:
    bad = next(one for one in OURS if one.name == "bad request")
    assert (judged([422, 422], bad), judged([200, 200], bad)) == (["ok", "ok"], ["failed", "failed"])
    assert judged([401, 401], bad) == ["refused", "refused"]
    assert judged([500, 500], Request("mine", "lightspeed-stack", "/mine")) == ["ok", "ok"]


def test_what_is_refused_for_want_of_a_token_is_told_with_the_way_out() -> None:
    [row] = compare(["query"], {one: {"query": Seen(1, told="401", alike="refused")} for one in ("a", "b")}, {})
    assert row.agrees
    assert report.lines([row], ["a", "b"]) == [
        "ASSERTION  A            B",
        "query      refused 401  refused 401",
        "",
        "a, b agree in 1 assertions.",
        "Refused for want of a token: query. Send one: --header 'Authorization: Bearer ${NAME}'",
    ]
    [leg, _] = report.document([row], [])["assertions"][0]["legs"].values()
    assert (leg["verdict"], leg["absent"]) == ("refused", report.REFUSED)
    root = ElementTree.fromstring(report.junit([row], ["a"], str).split("\n", 1)[1])
    assert root.get("skipped") == "1"


# --- headers for all of ours ---


def test_a_header_goes_to_lightspeed_core_with_every_request_that_has_none_of_its_own() -> None:
    own = read("- {name: mine, path: /, headers: {authorization: '${OTHER}'}}\n- {name: too, path: /}", {"OTHER": "o"})
    found = with_headers(own, ["Authorization: Bearer ${TOKEN}"], {"TOKEN": "abcd"})
    by_name = {one.name: dict(one.headers) for one in found.requests}
    assert by_name["query"] == by_name["too"] == {"Authorization": "Bearer abcd"}
    assert by_name["mine"] == {"authorization": "o"}
    assert by_name["server: models"] == {}
    assert found.variables == {"OTHER", "TOKEN"}
    assert with_headers(own, [], {}) == own


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("Authorization", "a header is written as NAME: VALUE"),
        ("A B: c", "a header is written as NAME: VALUE"),
        ("X: a\r\nY: b", "a header is written as NAME: VALUE"),
        ("Authorization: Bearer abcdefgh", "this is a secret, and other users of this machine see it"),
        ("Authorization: Bearer ${TOKEN}", "the variable TOKEN is not set"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(line: str, what: str) -> None:
    with pytest.raises(UsageError) as error:
        with_headers(Asked(OURS), [line], {})
    assert (error.value.what, error.value.where) == (what, "--header")
    assert error.value.fix
    assert "abcdefgh" not in error.value.fix


# --- library mode ---


def library(text: str) -> Any:
    return in_library_mode(parse(text.encode(), "lightspeed-stack.yaml"), "run.yaml")


def test_library_mode_says_the_same_without_the_address_of_a_server() -> None:
    text = "name: a\nllama_stack: {url: 'http://localhost:8321', api_key: k, timeout: 9}\n"
    own = {"timeout": 9, "use_as_library_client": True, "library_client_config_path": "run.yaml"}
    assert library(text) == {"name": "a", "llama_stack": own}


def test_library_mode_needs_no_run_file_where_the_configuration_says_what_it_is() -> None:
    text = "ogx: {url: 'http://localhost:8321'}\ninference: {providers: [{type: openai}]}\n"
    assert library(text)["ogx"] == {"use_as_library_client": True}


def test_a_llama_stack_of_somebody_else_cannot_be_put_inside() -> None:
    with pytest.raises(UsageError, match="somewhere else"):
        library("ogx: {url: 'https://llama.example.com'}")


def test_the_copy_lies_beside_what_it_names_and_the_original_is_left_alone(tmp_path: Path) -> None:
    original = tmp_path / "mine"
    original.mkdir()
    config = original / "lightspeed-stack.yaml"
    config.write_text("ogx: {url: 'http://localhost:8321'}\n")
    (original / "prompt.txt").write_text("hello")
    before = config.read_text()
    path = write_copy(parse(before.encode(), "x"), config, None, tmp_path / "copy" / "config")
    assert (path.parent / "prompt.txt").read_text() == "hello"
    assert "use_as_library_client: true" in path.read_text()
    assert "providers:" in (path.parent / "run.yaml").read_text()
    assert config.read_text() == before
    assert sorted(one.name for one in original.iterdir()) == ["lightspeed-stack.yaml", "prompt.txt"]


# --- reports ---

FOUND = compare(
    ["ready", "models", "mine"],
    {
        "container:docker": {"ready": Seen({}, seconds=1.5), "models": Seen({"m": ["a"]}, told="200"), "mine": Seen(1)},
        "library": {"ready": Seen({}), "models": Seen({"m": ["s3cret-\x00"]}, told="500"), "mine": Seen(absent="none")},
    },
    {"models": "parity.yaml:3:1"},
)
NAMES = ["container:docker", "library"]


def test_the_table_shows_every_leg_and_a_small_diff_below() -> None:
    assert report.lines(FOUND, NAMES) == [
        "ASSERTION  CONTAINER:DOCKER  LIBRARY",
        "ready      ok                ok",
        "models     ok 200            DIFFERS 500",
        "mine       ok                -",
        "",
        "models   (parity.yaml:3:1)",
        "  --- container:docker",
        "  +++ library",
        '  -m[0]: "a"',
        '  +m[0]: "s3cret-\\u0000"',
        "",
        "1 of 3 assertions do not hold: models.",
    ]
    assert not report.agree(FOUND)
    assert report.agree(FOUND[:1])


def test_the_document_has_each_verdict_and_each_difference() -> None:
    found = report.document(FOUND, [{"name": "container:docker"}, {"name": "library"}])
    assert set(found) == {"agree", "legs", "assertions"}
    assert found["agree"] is False
    models = found["assertions"][1]
    assert models["legs"]["library"] == {
        "verdict": "differs",
        "seconds": 0.0,
        "told": "500",
        "problem": "",
        "absent": "",
        "differences": [{"path": "m[0]", "wanted": '"a"', "found": '"s3cret-\\u0000"'}],
    }
    assert (models["where"], models["agrees"], models["compared_with"]) == (
        "parity.yaml:3:1",
        False,
        "container:docker",
    )


def test_junit_has_a_suite_for_each_leg_and_a_case_for_each_assertion() -> None:
    text = report.junit(FOUND, NAMES, lambda said: said.replace("s3cret", "<KEY>"))
    root = ElementTree.fromstring(text.split("\n", 1)[1])
    assert root.tag == "testsuites"
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    assert [suite.get("name") for suite in root] == NAMES
    for suite in root:
        cases = suite.findall("testcase")
        assert len(cases) == int(suite.get("tests") or 0) == 3
        assert all(case.get("classname") and case.get("name") and float(case.get("time") or "x") >= 0 for case in cases)
        assert int(suite.get("failures") or 0) == sum(case.find("failure") is not None for case in cases)
    failure = root.find("testsuite[@name='library']/testcase[@name='models']/failure")
    assert failure is not None
    assert failure.get("type") == "differs"
    assert '+m[0]: "<KEY>-' in (failure.text or "")
    assert "s3cret" not in text


@given(st.text())
def test_junit_can_be_read_whatever_a_service_says(said: str) -> None:
    found = compare(["a"], {"x": {"a": Seen(problem=said or "?")}, "y": {"a": Seen(absent=said)}}, {})
    ElementTree.fromstring(report.junit(found, ["x", "y"], str).split("\n", 1)[1])


def test_github_is_told_at_the_place_of_a_request() -> None:
    (line,) = report.workflow_commands(FOUND, "/repo/stack", "/repo", lambda said: said.replace("s3cret", "<KEY>"))
    assert line.startswith(
        "::error file=stack/parity.yaml,line=3,col=1,title=lcompose::models does not hold on library%0A"
    )
    assert "s3cret" not in line
