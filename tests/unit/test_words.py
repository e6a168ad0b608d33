"""Words of Compose files: what is written is what a reader of Compose files reads."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.errors import UsageError
from lcompose.lightspeed.wiring import variables
from lcompose.spec.project import (
    AcceleratorRequest,
    Derived,
    DocumentMount,
    FileMount,
    Hardening,
    Healthcheck,
    Limits,
    Port,
    Probe,
    Project,
    Service,
    VolumeMount,
)
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import Address, ComposeText, EnvRef
from lcompose.targets import Place, words

PLACE = Place("/my/here", {})
# Compose's rule: "$$" is a dollar, "${NAME:-default}" and its like are filled in, other dollars are wrong.
COMPOSE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_]\w*)(?::(?P<operator>[-?])(?P<rest>[^}]*))?\}|(?P<wrong>))"
)


def read_by_compose(text: str, env: dict[str, str]) -> str:
    """Text as Compose reads it."""

    def fill(found: re.Match[str]) -> str:
        assert found["wrong"] is None, f"{text!r} has a dollar that Compose refuses"
        if found["dollar"]:
            return "$"
        value = env.get(found["name"], "")
        assert value or found["operator"] != "?", found["rest"]
        return value or (found["rest"] if found["operator"] == "-" else "")

    return COMPOSE.sub(fill, text)


@given(st.text() | st.text("${}:-?A$", max_size=12))
def test_literal_text_comes_back_as_it_was(text: str) -> None:
    assert read_by_compose(words.literal(text), {"A": "wrong"}) == text
    assert words.in_compose(text) == words.literal(text)


DEFAULTS = st.text("ab :/?=#,[]()&*!|>%@-", max_size=10)


@given(DEFAULTS, st.none() | DEFAULTS)
def test_a_variable_with_a_default_comes_back_as_its_value_or_that(default: str, value: str | None) -> None:
    env = {} if value is None else {"A": value}
    assert read_by_compose(words.in_compose(EnvRef("A", default)), env) == (value or default)


@given(st.text("ab$}\n`\"'\\ :{", max_size=8))
def test_a_default_of_a_document_is_never_read_as_something_else(default: str) -> None:
    [found] = variables({"a": f"${{env.A:={default}}}"}) or [EnvRef("A")]
    assert read_by_compose(words.in_compose(found), {}) in (default.split("}")[0], "")


def test_a_required_variable_stops_compose_with_the_way_out() -> None:
    assert words.in_compose(EnvRef("A", required=True)) == "${A:?set A in the environment or in .env}"


def test_composes_own_words_are_left_alone() -> None:
    assert words.in_compose(ComposeText("${A:-b}$$c")) == "${A:-b}$$c"


def test_addresses_are_names_on_the_projects_network() -> None:
    tree: Any = {"a": [Address("llama-stack", 8321)], "b": {"c": Address("inference", 8000, "/v1", "https")}, "d": 1}
    assert words.document_text(Derived("run.yaml", "x/run.yaml", tree)) == (
        "# Made by lcompose from your run.yaml; changes here are lost.\n"
        'a:\n- "http://llama-stack:8321"\nb:\n  c: "https://inference:8000/v1"\nd: 1\n'
    )


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/my/here/a", "./a"),
        ("/my/here/a/b", "./a/b"),
        ("/my/a", "../a"),
        ("/a", "../../a"),
        ("/my", ".."),
        ("/my/here", "./."),
        ("/my/here/a$b", "./a$$b"),
    ],
)
def test_a_near_path_is_relative(source: str, shown: str) -> None:
    assert words.host_path(source, PLACE) == shown


@pytest.mark.parametrize("source", ["/a", "/my", "/my/a"])
def test_a_far_path_is_absolute(source: str) -> None:
    assert words.host_path(source, Place("/my/here/very/deep", {})) == source


def test_a_volume_is_in_the_long_form() -> None:
    assert words.volume_mount(VolumeMount("data", "d:/data$")) == {
        "type": "volume",
        "source": "data",
        "target": "d:/data$$",
    }


def test_a_file_that_is_missing_is_never_made_a_directory() -> None:
    assert words.file_mount(FileMount("/my/here/a", "/a"), PLACE, selinux="z") == {
        "type": "bind",
        "source": "./a",
        "target": "/a",
        "read_only": True,
        "bind": {"create_host_path": False, "selinux": "z"},
    }


def common(**more: Any) -> dict[str, Any]:
    """The words for a service, without those that every one has."""
    found = words.common(Service("s", "team/image:1", **more), "0123", TargetFacts())
    usual = {"image": "team/image:1", "restart": "no", "stop_grace_period": "10s"}
    return {key: value for key, value in found.items() if usual.get(key) != value}


def test_a_plain_service_has_few_words() -> None:
    assert words.common(Service("s", "team/image:1"), "0123", TargetFacts()) == {
        "image": "team/image:1",
        "labels": {"lcompose.config-digest": "0123"},
        "restart": "no",
        "stop_grace_period": "10s",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pull_policy": "always"}, {"pull_policy": "always"}),
        ({"entrypoint": ("a$", "b"), "command": ("c",)}, {"entrypoint": ["a$$", "b"], "command": ["c"]}),
        (
            {"ports": (Port("::1", 80, 8080),)},
            {"ports": [{"target": 8080, "published": "80", "host_ip": "::1", "protocol": "tcp"}]},
        ),
        ({"limits": Limits("1.5", "2g", 9)}, {"cpus": "1.5", "mem_limit": "2g", "pids_limit": 9}),
        ({"shm_size": "8gb"}, {"shm_size": "8gb"}),
        ({"hardening": Hardening(read_only=True)}, {"read_only": True, "tmpfs": ["/tmp"]}),
        (
            {"hardening": Hardening(read_only=True, tmpfs=("/run", "/tmp"))},
            {"read_only": True, "tmpfs": ["/tmp", "/run"]},
        ),
        (
            {"hardening": Hardening(read_only=True, tmpfs=("/tmp", "/tmp:size=1g"))},
            {"read_only": True, "tmpfs": ["/tmp:size=1g"]},
        ),
        ({"hardening": Hardening(tmpfs=("/run",))}, {"tmpfs": ["/run"]}),
        ({"hardening": Hardening(drop_capabilities=True)}, {"cap_drop": ["ALL"]}),
        (
            {"hardening": Hardening(drop_capabilities=True, keep_capabilities=("CHOWN",))},
            {"cap_drop": ["ALL"], "cap_add": ["CHOWN"]},
        ),
        ({"hardening": Hardening(no_new_privileges=True)}, {"security_opt": ["no-new-privileges:true"]}),
    ],
)
def test_each_wish_has_its_words(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = common(**given)
    del found["labels"]
    assert found == expected


def test_labels_say_what_down_and_status_must_know() -> None:
    probe = Probe(80, "/a$b", field="x")
    assert common(after=("a", "b"), probe=probe)["labels"] == {
        "lcompose.config-digest": "0123",
        "lcompose.after": "a,b",
        "lcompose.probe": '{"port": 80, "path": "/a$$b", "scheme": "http", "field": "x"}',
    }


def test_cuda_is_a_reservation_and_rocm_is_devices() -> None:
    cuda, rocm = (common(accelerator=AcceleratorRequest(gpu)) for gpu in ("cuda", "rocm"))
    assert cuda["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    ]
    assert "devices" not in cuda
    assert rocm["devices"] == ["/dev/kfd", "/dev/dri"]
    assert "deploy" not in rocm


def test_a_hardened_service_on_rocm_keeps_both_sets_of_options() -> None:
    hardening = Hardening(no_new_privileges=True, drop_capabilities=True, keep_capabilities=("CHOWN",))
    found = common(accelerator=AcceleratorRequest("rocm"), hardening=hardening)
    assert found["security_opt"] == ["no-new-privileges:true", "seccomp=unconfined"]
    assert found["cap_add"] == ["CHOWN", "SYS_PTRACE"]


def test_a_health_check_has_times_and_literal_words() -> None:
    assert words.healthcheck(Healthcheck(("CMD", "a$"), interval=0.5, start_period=90)) == {
        "test": ["CMD", "a$$"],
        "interval": "0.5s",
        "timeout": "5s",
        "retries": 5,
        "start_period": "90s",
    }


def test_services_are_each_one_text() -> None:
    services = {"web": {"image": "web:1", "labels": {"a": "é"}}, "db": {"image": "db:1"}}
    found = words.as_json(services)
    assert {name: json.loads(text) for name, text in found} == services
    assert [name for name, _ in found] == ["web", "db"]


READER = Service("s", "i", mounts=(DocumentMount("a.yaml", "/a"), FileMount("/f", "/f"), VolumeMount("v", "/v")))


def digest(text: str = "a: 1\n", file: str = "1", other: str = "b") -> str:
    """The digest of a service that reads a document and a file."""
    return words.digest_of(READER, {"a.yaml": text, "b.yaml": other}, Place("/x", {"/f": file, "/g": other}))


def test_the_digest_changes_with_what_the_service_reads() -> None:
    assert len({digest(), digest(text="a: 2\n"), digest(file="2")}) == 3


def test_the_digest_does_not_change_with_what_the_service_does_not_read() -> None:
    assert digest() == digest(other="c")


def test_text_that_is_too_long_for_a_variable_is_refused_by_its_bytes() -> None:
    words.refuse_long("a" * 1024, "a.yaml", 1024)
    with pytest.raises(UsageError) as caught:
        words.refuse_long("é" * 513, "a.yaml", 1024)
    assert (caught.value.what, caught.value.fix) == (
        "a.yaml is longer than a variable may be (1 KiB)",
        "Render to a folder instead: lcompose render -o DIR.",
    )


@pytest.mark.parametrize(
    ("source", "bind"),
    [
        ("/my/certs/ca.pem", {"create_host_path": False, "selinux": "z"}),
        ("/etc/pki/ca.pem", {"create_host_path": False}),
    ],
)
def test_a_file_of_the_system_keeps_its_label(source: str, bind: dict[str, Any]) -> None:
    service = Service("web", "web:1", mounts=(FileMount(source, "/ca.pem"),))
    [mount] = words.mounts(service, Place("/my", {}), Project("demo", (service,)), documents=True)
    assert mount["bind"] == bind
