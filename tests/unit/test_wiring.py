"""What documents imply for containers: volumes, files of the host, variables, secrets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.lightspeed.envrefs import references
from lcompose.lightspeed.images import ImageFacts
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.lightspeed.wiring import (
    Storage,
    elsewhere,
    host_files,
    in_container,
    lifted_secrets,
    storage,
    undeclared_secrets,
    variables,
)
from lcompose.load import plain
from lcompose.schema import record
from lcompose.spec.project import FileMount, VolumeMount
from lcompose.spec.text import EnvRef
from tests.unit.given import LCORE_IMAGE, ROOT_IMAGE, SERVER_IMAGE, node

LCORE_KEYS, RUN_KEYS = record(LIGHTSPEED), record(RUN, extra="allow")
OWNED = "/opt/app-root/src/.llama/storage"


def kept(source: str, image: ImageFacts = LCORE_IMAGE, kind: Any = LCORE_KEYS, more: tuple[str, ...] = ()) -> Storage:
    """Where what a document writes is kept."""
    read = node(source)
    return storage(read, plain(read), kind, "data", image, more)


def targets(found: Storage) -> list[str]:
    """Where the volume is mounted."""
    assert {mount.volume for mount in found.mounts} <= {"data"}
    return [mount.target for mount in found.mounts]


def moves(found: Storage) -> dict[str, str]:
    """What is kept elsewhere than the document says."""
    return {str(edit.path[-1]): edit.value for edit in found.edits}


def databases(*paths: str) -> str:
    """A run.yaml with backends b0, b1, … at these paths."""
    lines = [f"    b{number}: {{type: kv_sqlite, db_path: '{path}'}}" for number, path in enumerate(paths)]
    return "\n".join(["providers: {}", "storage:", "  backends:", *lines])


def moved_databases(found: Storage) -> dict[Any, str]:
    """The backends that are kept elsewhere."""
    return {edit.path[2]: edit.value for edit in found.edits}


def test_what_writes_nothing_has_the_directory_that_the_image_owns() -> None:
    assert kept("name: a\n") == Storage((VolumeMount("data", OWNED),), ())


def test_siblings_share_one_mount() -> None:
    source = "user_data_collection: {feedback_storage: /tmp/data/feedback, transcripts_storage: /tmp/data/transcripts}"
    found = kept(source)
    assert (targets(found), moves(found)) == ([OWNED, "/tmp/data"], {})


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/data", "/data"),
        ("/data/feedback", "/data"),
        ("/tmp/feedback", "/tmp/feedback"),
        ("/var/lib/feedback", "/var/lib/feedback"),
        ("/usr/local/feedback", "/usr/local/feedback"),
        ("/var/lib/stack/feedback", "/var/lib/stack"),
        ("feedback", "/app-root/feedback"),
        ("./data/feedback", "/app-root/data"),
        ("/data/../else/feedback", "/else"),
    ],
)
def test_a_directory_that_is_written_is_on_the_volume_and_never_a_system_directory(path: str, target: str) -> None:
    found = kept(f"user_data_collection: {{feedback_storage: {path}}}")
    assert (targets(found), moves(found)) == ([OWNED, target], {})


@pytest.mark.parametrize("path", ["/tmp", "/var/log", "/usr/local", "/", "/app-root", "."])
def test_a_system_directory_that_is_written_is_moved(path: str) -> None:
    found = kept(f"user_data_collection: {{feedback_storage: {path}}}")
    assert targets(found) == [OWNED]
    assert moves(found)["feedback_storage"].startswith(OWNED)


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/tmp/a.db", f"{OWNED}/a.db"),
        ("/var/lib/a.db", f"{OWNED}/a.db"),
        ("a.db", f"{OWNED}/a.db"),
        ("~/a.db", f"{OWNED}/a.db"),
    ],
)
def test_a_database_in_a_system_directory_is_moved_to_the_owned_one(path: str, at: str) -> None:
    found = kept(f"database: {{sqlite: {{db_path: {path}}}}}")
    assert targets(found) == [OWNED]
    assert found.edits[-1].value == at


def test_a_database_elsewhere_has_its_directory_mounted() -> None:
    found = kept("database: {sqlite: {db_path: /data/here/a.db}}")
    assert (targets(found), moves(found)) == ([OWNED, "/data/here"], {})


def test_a_root_inside_another_is_mounted_too() -> None:
    source = "user_data_collection: {feedback_storage: /data/deep/feedback, transcripts_storage: /data}"
    assert targets(kept(source)) == [OWNED, "/data/deep", "/data"]


def test_what_is_below_a_mount_needs_none_of_its_own() -> None:
    source = "user_data_collection: {feedback_storage: /data, transcripts_storage: /data/very/deep/transcripts}"
    assert targets(kept(source)) == [OWNED, "/data"]


def test_a_directory_below_the_owned_one_needs_no_mount() -> None:
    found = kept(f"user_data_collection: {{feedback_storage: {OWNED}/feedback}}")
    assert (targets(found), moves(found)) == ([OWNED], {})


def test_two_databases_of_one_name_in_two_directories_stay_two() -> None:
    found = kept(databases("/data/a/store.db", "/data/b/store.db"), SERVER_IMAGE, RUN_KEYS)
    assert moved_databases(found) == {"b1": f"{OWNED}/data-b-store.db"}


def test_two_databases_of_one_name_that_are_moved_stay_two() -> None:
    found = kept(databases("/tmp/store.db", "/var/tmp/store.db"), SERVER_IMAGE, RUN_KEYS)
    assert moved_databases(found) == {"b0": f"{OWNED}/store.db", "b1": f"{OWNED}/var-tmp-store.db"}


def test_a_database_is_not_mixed_up_with_one_in_the_owned_directory() -> None:
    found = kept(databases(f"{OWNED}/store.db", "/data/store.db"), SERVER_IMAGE, RUN_KEYS)
    assert moved_databases(found) == {"b1": f"{OWNED}/data-store.db"}


def test_one_database_that_is_named_twice_stays_one() -> None:
    found = kept(databases("/data/store.db", "/data/store.db"), SERVER_IMAGE, RUN_KEYS)
    assert moved_databases(found) == {}


def test_an_image_that_runs_as_root_needs_no_owned_directory() -> None:
    found = kept(databases("~/.llama/storage/kv.db"), ROOT_IMAGE, RUN_KEYS, ("/root/.ogx/data",))
    assert (targets(found), moved_databases(found)) == (
        ["/root/.llama/storage", "/root/.ogx"],
        {"b0": "/root/.llama/storage/kv.db"},
    )


def test_what_is_moved_in_an_image_that_runs_as_root_is_on_the_volume() -> None:
    found = kept(databases("/tmp/kv.db"), ROOT_IMAGE, RUN_KEYS, ("/root/.ogx/data",))
    assert (targets(found), moved_databases(found)) == (["/root/.ogx"], {"b0": "/root/.ogx/kv.db"})


def test_what_is_moved_is_on_the_volume_even_where_nothing_else_is() -> None:
    found = kept(databases("/tmp/kv.db"), ROOT_IMAGE, RUN_KEYS)
    assert (targets(found), moved_databases(found)) == (["/root/.data"], {"b0": "/root/.data/kv.db"})


def test_a_value_that_is_not_known_yet_is_left_alone() -> None:
    read = node("database: {sqlite: {db_path: '${env.WHERE}'}}")
    values = {"database": {"sqlite": {"db_path": None}}}
    assert storage(read, values, LCORE_KEYS, "data", LCORE_IMAGE) == Storage((VolumeMount("data", OWNED),), ())


SEGMENTS = st.lists(st.sampled_from(["tmp", "data", "var", "a", "b"]), min_size=1, max_size=3)
PATHS = SEGMENTS.map(lambda parts: "/" + "/".join(parts) + "/x.db")


@given(st.lists(PATHS, min_size=1, max_size=5), st.sampled_from([SERVER_IMAGE, ROOT_IMAGE]))
def test_every_database_is_on_the_volume_and_none_is_another(paths: list[str], image: ImageFacts) -> None:
    found = kept(databases(*paths), image, RUN_KEYS, ("/root/.ogx/data",))
    moved = moved_databases(found)
    places = {}
    for number, path in enumerate(paths):
        at = moved.get(f"b{number}", path)
        above = [target for target in targets(found) if at.startswith(f"{target}/")]
        assert above, f"{at} is on no volume of {targets(found)}"
        places[path] = at.removeprefix(max(above, key=len))
    assert len(set(places.values())) == len(set(paths))


def mounts(source: str, kind: Any = LCORE_KEYS, image: ImageFacts = LCORE_IMAGE) -> list[tuple[str, FileMount]]:
    """The files of the host that a document in /my/here names: at which key, and the mount."""
    read = node(source)
    found = host_files(read, plain(read), kind, "/my/here", image)
    return [(".".join(map(str, one.path)), one.mount) for one in found]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("service: {tls_config: {tls_certificate_path: F}}", "service.tls_config.tls_certificate_path"),
        ("service: {tls_config: {tls_key_path: F}}", "service.tls_config.tls_key_path"),
        ("service: {tls_config: {tls_key_password: F}}", "service.tls_config.tls_key_password"),
        ("customization: {profile_path: F}", "customization.profile_path"),
        ("customization: {system_prompt_path: F}", "customization.system_prompt_path"),
        ("customization: {agent_card_path: F}", "customization.agent_card_path"),
        ("authentication: {k8s_ca_cert_path: F}", "authentication.k8s_ca_cert_path"),
        ("database: {postgres: {ca_cert_path: F}}", "database.postgres.ca_cert_path"),
        ("splunk: {token_path: F}", "splunk.token_path"),
        ("skills: {paths: [F]}", "skills.paths.0"),
        ("mcp_servers: [{authorization_headers: {X: F}}]", "mcp_servers.0.authorization_headers.X"),
    ],
)
def test_every_key_that_names_a_file_gives_a_mount(source: str, path: str) -> None:
    mount = FileMount("/my/here/certs/a.pem", "/app-root/certs/a.pem")
    assert mounts(source.replace("F", "certs/a.pem")) == [(path, mount)]


@pytest.mark.parametrize("key", ["tls_certfile", "tls_keyfile", "tls_cafile"])
def test_the_servers_certificates_are_mounted(key: str) -> None:
    found = mounts(f"server: {{{key}: a.pem}}", RUN_KEYS, SERVER_IMAGE)
    assert found == [(f"server.{key}", FileMount("/my/here/a.pem", "/opt/app-root/a.pem"))]


@pytest.mark.parametrize(
    ("path", "source", "target"),
    [
        ("/etc/a.pem", "/etc/a.pem", "/etc/a.pem"),
        ("../a.pem", "/my/a.pem", "/a.pem"),
        ("./a/../b.pem", "/my/here/b.pem", "/app-root/b.pem"),
        ("~/a.pem", "~/a.pem", "/opt/app-root/src/a.pem"),
        (" a.pem ", "/my/here/a.pem", "/app-root/a.pem"),
    ],
)
def test_a_path_means_what_it_means_to_the_service(path: str, source: str, target: str) -> None:
    assert mounts(f"splunk: {{token_path: '{path}'}}") == [("splunk.token_path", FileMount(source, target))]


@pytest.mark.parametrize("word", ["kubernetes", "client", "oauth", " client "])
def test_a_header_that_lcore_fills_in_is_no_file(word: str) -> None:
    assert mounts(f"mcp_servers: [{{authorization_headers: {{Authorization: '{word}'}}}}]") == []


@pytest.mark.parametrize("value", ["null", "''", "' '", "[]", "7"])
def test_what_is_no_path_is_no_file(value: str) -> None:
    assert mounts(f"splunk: {{token_path: {value}}}") == []


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"a": "${env.A}"}, EnvRef("A", required=True)),
        ({"a": "${env.A:=x}"}, EnvRef("A", "x")),
        ({"a": "${env.A:=}"}, EnvRef("A")),
        ({"a": "${env.A:+x}"}, EnvRef("A")),
        ({"a": "${env.A:=x}", "b": ["${env.A}"]}, EnvRef("A", required=True)),
        ({"a": "${env.A:=x}", "b": "${env.A:=x}"}, EnvRef("A", "x")),
        ({"a": "${env.A:=x}", "b": "${env.A:=y}"}, EnvRef("A")),
        ({"a": "${env.A:=x}", "b": "${env.A:+y}"}, EnvRef("A")),
        ({"a": "${env.A:=http://h:1/v1?q=a b}"}, EnvRef("A", "http://h:1/v1?q=a b")),
        ({"a": "${env.A:=a$b}"}, EnvRef("A")),
        ({"a": "${env.A:=a`b}"}, EnvRef("A")),
        ({"a": '${env.A:="a"}'}, EnvRef("A")),
        ({"a": "${env.A:='a'}"}, EnvRef("A")),
        ({"a": "${env.A:=a\\b}"}, EnvRef("A")),
        ({"a": "${env.A:=a\nb}"}, EnvRef("A")),
    ],
)
def test_a_variable_is_required_or_has_the_one_default_that_is_safe(tree: Any, expected: EnvRef) -> None:
    assert variables(tree) == (expected,)


def test_variables_come_in_the_order_of_the_document_and_once() -> None:
    assert [one.name for one in variables({"b": "${env.B} ${env.A}", "a": "${env.A}${env.B}"})] == ["B", "A"]


def test_the_home_stays_the_containers_own() -> None:
    assert variables({"a": "${env.HOME}/.llama"}) == ()


def lifted(source: str, kind: Any = LCORE_KEYS, prefix: str = "LIGHTSPEED_") -> list[tuple[str, str, Any]]:
    """The secrets of a document that became variables: name, value and what stands there now."""
    return [(one.name, one.value, one.edit.value) for one in lifted_secrets(node(source), kind, prefix)]


def test_a_secret_in_clear_becomes_a_variable() -> None:
    name = "LIGHTSPEED_OGX_API_KEY"
    assert lifted("ogx: {api_key: abc}") == [(name, "abc", f"${{env.{name}}}")]


@pytest.mark.parametrize("value", ["${env.KEY}", "sk-${env.KEY}", "${env.KEY:=x}", "", "null"])
def test_a_secret_that_is_a_variable_already_stays(value: str) -> None:
    assert lifted(f"ogx: {{api_key: '{value}'}}" if value != "null" else "ogx: {api_key: null}") == []


def test_secrets_are_found_at_every_depth() -> None:
    source = """
providers:
  inference:
    - {provider_type: a, config: {api_key: one}}
    - {provider_type: b, config: {api_token: two}}
storage: {backends: {my-db.main: {type: sql_postgres, password: three}}}
"""
    assert [(name, value) for name, value, _ in lifted(source, RUN_KEYS, "LLAMA_STACK_")] == [
        ("LLAMA_STACK_PROVIDERS_INFERENCE_0_CONFIG_API_KEY", "one"),
        ("LLAMA_STACK_PROVIDERS_INFERENCE_1_CONFIG_API_TOKEN", "two"),
        ("LLAMA_STACK_STORAGE_BACKENDS_MY_DB_MAIN_PASSWORD", "three"),
    ]


def test_two_secrets_never_share_a_variable() -> None:
    source = "storage: {backends: {a-b: {type: x, password: one}, a_b: {type: x, password: two}}}"
    found = lifted(source, RUN_KEYS, "LLAMA_STACK_")
    assert [value for _, value, _ in found] == ["one", "two"]
    assert len({name for name, _, _ in found}) == 2


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.just({"type": "x", "password": "abc"}), max_size=4))
def test_a_lifted_secret_is_a_variable_that_llama_stack_reads(backends: Any) -> None:
    from lcompose.errors import Position
    from lcompose.load import Node

    where = Position("run.yaml")

    def as_node(value: Any) -> Node:
        return Node({k: as_node(v) for k, v in value.items()} if isinstance(value, dict) else value, where)

    for one in lifted_secrets(as_node({"storage": {"backends": backends}}), RUN_KEYS, "LLAMA_STACK_"):
        assert [found.name for found in references({"a": one.edit.value})] == [one.name]


@pytest.mark.parametrize("value", ["123", "true", "False", "1e5", "nan", "1_000", "~/secret"])
def test_a_secret_that_would_arrive_as_something_else_stays_where_it_is(value: str) -> None:
    [one] = lifted_secrets(node(f"ogx: {{api_key: '{value}'}}"), LCORE_KEYS, "LIGHTSPEED_")
    assert (one.stays, one.edit.path, one.edit.value) == (True, ("ogx", "api_key"), value)
    assert (str(one.finding.where), one.finding.path, one.finding.severity, one.finding.what, one.finding.fix) == (
        "lightspeed-stack.yaml:1:16",
        "ogx.api_key",
        "warning",
        "this secret stands here in clear, and cannot travel as a variable: it would arrive as another type",
        "It stays in a file that only you can reach; one that is not just digits, true or a number need not.",
    )


@pytest.mark.parametrize("value", ["abc", "123abc", "True story", "1e5x", "a~b"])
def test_a_secret_that_arrives_as_it_is_does_not_stay(value: str) -> None:
    [one] = lifted_secrets(node(f"ogx: {{api_key: '{value}'}}"), LCORE_KEYS, "LIGHTSPEED_")
    assert not one.stays


def test_a_secret_in_clear_is_a_warning_that_does_not_repeat_it() -> None:
    [one] = lifted_secrets(node("ogx: {api_key: abcdef}"), LCORE_KEYS, "LIGHTSPEED_")
    assert one.finding.severity == "warning"
    assert "abcdef" not in str(one.finding)


def files(
    source: str, secrets: dict[str, str] | None = None, image: ImageFacts = LCORE_IMAGE
) -> list[tuple[str, str, bool]]:
    """The files that a document names: where they are here, and there, and whether the image may have them."""
    read = node(source)
    found = host_files(read, plain(read), LCORE_KEYS, "/my/here", image, secrets or {})
    return [(one.mount.source, one.mount.target, one.otherwise == "image") for one in found]


HEADER = "mcp_servers: [{authorization_headers: {Authorization: PATH}}]"
SECRETS = {"mcp-token": "/my/here/tokens/mcp", "relative": "tokens/other"}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/run/secrets/mcp-token", "/my/here/tokens/mcp"),
        ("/run/secrets//mcp-token", "/my/here/tokens/mcp"),
        ("/run/secrets/relative", "/my/here/tokens/other"),
        ("/run/secrets/unknown", "/run/secrets/unknown"),
        ("/run/secrets/deeper/mcp-token", "/run/secrets/deeper/mcp-token"),
    ],
)
def test_a_secret_that_is_declared_is_found_where_compose_puts_it(path: str, source: str) -> None:
    [(found, target, _)] = files(HEADER.replace("PATH", path), SECRETS)
    assert (found, target) == (source, path.replace("//", "/"))


def test_a_secret_that_nobody_declares_is_told_with_what_to_write() -> None:
    read = node(HEADER.replace("PATH", "/run/secrets/other"))
    found = host_files(read, plain(read), LCORE_KEYS, "/my/here", LCORE_IMAGE, SECRETS)
    [one] = undeclared_secrets(found, SECRETS, frozenset())
    assert one.what == "no secret is called other, and /run/secrets/other is not here"
    assert one.fix == "Write 'secrets: {other: {file: PATH}}' in lcompose.yaml."
    assert undeclared_secrets(found, SECRETS, frozenset({"/run/secrets/other"})) == []


@pytest.mark.parametrize(
    ("path", "source", "in_image"),
    [
        ("/app-root/prompts/a.txt", "/my/here/prompts/a.txt", True),
        ("/app-root/../etc/a", "/etc/a", False),
        ("/opt/app-root/src/a.txt", "/opt/app-root/src/a.txt", True),
        ("/etc/a.txt", "/etc/a.txt", False),
        ("/application/a.txt", "/application/a.txt", False),
        ("prompts/a.txt", "/my/here/prompts/a.txt", False),
        ("~/a.txt", "~/a.txt", False),
    ],
)
def test_what_may_be_in_the_image_is_known(path: str, source: str, in_image: bool) -> None:
    [(found, _, own)] = files(f"customization: {{system_prompt_path: {path}}}")
    assert (found, own) == (source, in_image)


def test_what_is_not_here_and_may_be_in_the_image_is_left_alone_with_a_warning() -> None:
    paths = ["/app-root/here", "/app-root/gone", "/elsewhere/gone"]
    read = node(f"skills: {{paths: [{', '.join(paths)}]}}")
    found = host_files(read, plain(read), LCORE_KEYS, "/my/here", LCORE_IMAGE)
    kept, [warning] = elsewhere(found, frozenset({"/my/here/here"}))
    assert [one.mount.target for one in kept] == ["/app-root/here", "/elsewhere/gone"]
    assert (warning.path, warning.severity) == ("skills.paths[1]", "warning")
    assert warning.what == "/app-root/gone is taken to be in the image: /my/here/gone is not here"


def test_two_slashes_in_front_of_a_path_mean_one() -> None:
    assert in_container("//data/x", ImageFacts("")) == "/data/x"
