"""From documents and settings to the Project: services, mounts, variables, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lcompose.access import Reader
from lcompose.errors import ConfigError, UsageError
from lcompose.lightspeed.images import choose_images
from lcompose.merge import Layer
from lcompose.profiles import profile_layers
from lcompose.resolve import Resolved, missing_files, readers, resolve, unreadable_files
from lcompose.settings import resolve_settings
from lcompose.sides import Request
from lcompose.spec.project import (
    Dependency,
    DocumentMount,
    FileMount,
    Hardening,
    Limits,
    LogRotation,
    Port,
    VolumeMount,
)
from lcompose.spec.text import Address, ComposeText, EnvRef
from lcompose.templates import data_directory
from tests.unit.given import LIGHTSPEED, OLDER, RUN, node, resolved

REMOTE = LIGHTSPEED.replace("localhost", "stack.example.com")
LIBRARY = LIGHTSPEED.replace(
    'url: "http://localhost:8321"', "use_as_library_client: true, library_client_config_path: run.yaml"
)
OWNED = "/opt/app-root/src/.llama/storage"


def of(service: str, **settings: Any) -> dict[str, Any]:
    """Settings of one service."""
    return {"services": {service: settings}}


def names(found: Resolved) -> list[str]:
    """The services, in starting order."""
    return [service.name for service in found.project.services]


def refusal(*args: Any, **more: Any) -> tuple[str, str]:
    """What an error says: what, and where."""
    with pytest.raises(UsageError) as caught:
        resolved(*args, **more)
    return caught.value.what, caught.value.where


def test_a_small_configuration_is_two_services_with_a_document_each() -> None:
    project = resolved().project
    assert [service.name for service in project.services] == ["llama-stack", "lightspeed-stack"]
    assert [(one.name, one.filename) for one in project.documents] == [
        ("lightspeed-stack.yaml", "lightspeed-stack/lightspeed-stack.yaml"),
        ("run.yaml", "llama-stack/run.yaml"),
    ]
    assert project.volumes == ("llama-stack-data", "lightspeed-stack-data")
    assert project.variables == ()


def test_a_remote_server_leaves_one_service_and_one_document() -> None:
    found = resolved(
        REMOTE, "distro_name: x\nproviders: {}\nserver: {tls_certfile: a.crt, tls_keyfile: b.key, host: here}\n"
    )
    assert names(found) == ["lightspeed-stack"]
    assert [one.name for one in found.project.documents] == ["lightspeed-stack.yaml"]
    assert found.files == ()
    assert {change.document for change in found.project.changes} == {"lightspeed-stack.yaml"}


def test_in_library_mode_one_service_reads_both_documents() -> None:
    found = resolved(
        LIBRARY, "distro_name: x\nproviders: {}\nexternal_providers_dir: ${env.HOME}/more\nlogging: ${env.LEVEL}\n"
    )
    service = found.project.service("lightspeed-stack")
    assert names(found) == ["lightspeed-stack"]
    assert [(one.name, one.filename) for one in found.project.documents] == [
        ("lightspeed-stack.yaml", "lightspeed-stack/lightspeed-stack.yaml"),
        ("run.yaml", "lightspeed-stack/run.yaml"),
    ]
    assert found.project.volumes == ("lightspeed-stack-data",)
    assert [mount.target for mount in service.mounts if isinstance(mount, DocumentMount)] == [
        "/app-root/lightspeed-stack.yaml",
        "/app-root/run.yaml",
    ]
    assert len({mount.target for mount in service.mounts}) == len(service.mounts)
    assert service.after == ()
    environment = dict(service.environment)
    assert environment["OGX_CONFIG_DIR"] == f"{OWNED}/ogx"
    assert "OGX_PORT" not in environment
    assert environment["LEVEL"] == EnvRef("LEVEL", required=True)


def test_in_library_mode_lightspeed_core_is_told_where_run_yaml_is_and_nothing_is_served() -> None:
    lightspeed, run = (document.tree for document in resolved(LIBRARY).project.documents)
    assert isinstance(lightspeed, dict) and isinstance(run, dict)
    assert lightspeed["ogx"] == {
        "use_as_library_client": True,
        "library_client_config_path": "/app-root/run.yaml",
    }
    assert "server" not in run


def test_in_library_mode_a_gpu_serves_lightspeed_core_itself() -> None:
    found = resolved(LIBRARY, settings={"gpu": "cuda"})
    assert names(found) == ["inference", "lightspeed-stack"]
    assert found.project.service("lightspeed-stack").needs == (Dependency("inference", "healthy"),)


def test_a_gpu_adds_an_inference_service_in_front() -> None:
    found = resolved(settings={"gpu": "cuda"})
    assert names(found) == ["inference", "llama-stack", "lightspeed-stack"]
    # It asks once which models there are: what is not there by then, is not there for it.
    assert found.project.service("llama-stack").needs == (Dependency("inference", "healthy"),)
    run: Any = found.project.documents[1].tree
    assert run["providers"]["inference"][0]["config"]["base_url"] == Address("inference", 8000, "/v1")


def test_a_gpu_and_a_remote_server_do_not_go_together() -> None:
    what = "an inference service is wired into Llama Stack, and this one is remote"
    assert refusal(REMOTE, settings={"gpu": "cuda"}) == (what, "gpu")


def test_an_unknown_gpu_is_refused() -> None:
    assert refusal(settings={"gpu": "voodoo"}) == ("no GPU is called 'voodoo'", "gpu")


def test_a_service_mounts_its_document_its_files_and_its_volume() -> None:
    source = LIGHTSPEED + "splunk: {token_path: ~/token}\ncustomization: {system_prompt_path: prompts/a.txt}\n"
    assert resolved(source).project.service("lightspeed-stack").mounts == (
        DocumentMount("lightspeed-stack.yaml", "/app-root/lightspeed-stack.yaml"),
        FileMount("/home/me/token", "/opt/app-root/src/token"),
        FileMount("/my/here/prompts/a.txt", "/app-root/prompts/a.txt"),
        VolumeMount("lightspeed-stack-data", OWNED),
    )


def test_a_file_that_two_keys_name_is_mounted_once() -> None:
    run = RUN + "server: {tls_certfile: a.pem, tls_keyfile: ./a.pem}\n"
    mounts = resolved(run=run).project.service("llama-stack").mounts
    assert [one for one in mounts if isinstance(one, FileMount)] == [FileMount("/my/here/a.pem", "/app/a.pem")]


def test_models_that_the_server_downloads_are_kept() -> None:
    provider = "{provider_id: x, provider_type: 'inline::sentence-transformers'}"
    run = f"distro_name: x\nproviders: {{inference: [{provider}]}}\n"
    mounts = resolved(run=run).project.service("llama-stack").mounts
    assert VolumeMount("models", "/root/.cache/huggingface") in mounts


def test_a_secret_deep_in_a_renamed_section_does_not_take_the_place_of_another() -> None:
    override = "{tool_groups: [{toolgroup_id: a, provider_id: b, api_key: ijkl-mnop}]}"
    section = f'{{url: "http://localhost:8321", api_key: abcd-efgh, config: {{native_override: {override}}}}}'
    found = resolved(f"name: test\nservice: {{port: 8080}}\nllama_stack: {section}\nuser_data_collection: {{}}\n")
    tree: Any = next(one.tree for one in found.project.documents if one.name == "lightspeed-stack.yaml")
    assert tree["ogx"]["api_key"] == "${env.LIGHTSPEED_LLAMA_STACK_API_KEY}"


def test_a_secret_in_clear_leaves_the_document_and_is_a_warning() -> None:
    found = resolved(LIGHTSPEED.replace("ogx: {", "ogx: {api_key: abcdef, "))
    assert found.lifted == {"LIGHTSPEED_OGX_API_KEY": "abcdef"}
    assert "abcdef" not in repr(found.project)
    assert found.project.variables == ("LIGHTSPEED_OGX_API_KEY",)
    assert [(one.path, one.severity) for one in found.warnings] == [("ogx.api_key", "warning")]


def test_a_secret_in_a_renamed_section_leaves_the_document_too() -> None:
    found = resolved(OLDER.replace("llama_stack: {", "llama_stack: {api_key: abcdef, "))
    tree: Any = found.project.documents[0].tree
    assert tree["ogx"]["api_key"] == "${env.LIGHTSPEED_LLAMA_STACK_API_KEY}"
    assert "abcdef" not in repr(found.project)


def test_a_secret_that_cannot_travel_stays_in_a_private_document() -> None:
    found = resolved(LIGHTSPEED.replace("ogx: {", "ogx: {api_key: '123456', "))
    assert [(one.path, one.severity) for one in found.warnings] == [("ogx.api_key", "warning")]
    assert [bool(one.secret_at) for one in found.project.documents] == [True, False]
    assert (found.lifted, found.kept) == ({}, {"LIGHTSPEED_OGX_API_KEY": "123456"})
    assert "123456" not in repr(found.project.changes)


def test_an_error_comes_with_every_warning_of_the_run() -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(LIGHTSPEED + "skils: {}\n", RUN + "sever: {}\n")
    assert [(one.path, one.severity) for one in caught.value.findings] == [("skils", "error"), ("sever", "warning")]


def test_every_setting_of_a_service_arrives() -> None:
    settings = {
        "image": "team/stack:1.2.5",
        "imagePullPolicy": "Always",
        "ports": ["0.0.0.0:9000:8321"],
        "limits": {"cpus": "1.5", "memory": "2g", "pids": 100},
        "restart": "always",
        "read_only": True,
        "tmpfs": ["/tmp", "/run"],
        "no_new_privileges": True,
        "drop_capabilities": True,
        "logging": {"max_size": "1m", "max_file": 2},
    }
    service = resolved(settings=of("llama-stack", **settings)).project.service("llama-stack")
    assert service.image == "team/stack:1.2.5"
    assert service.pull_policy == "always"
    assert service.ports == (Port("0.0.0.0", 9000, 8321),)
    assert service.limits == Limits("1.5", "2g", 100)
    assert service.restart == "always"
    assert service.hardening == Hardening(True, True, True, (), ("/tmp", "/run"))
    assert service.log_rotation == LogRotation("1m", 2)


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        ({}, (Port("127.0.0.1", 8321, 8321),)),
        ({"publish": False}, ()),
        ({"publish": False, "ports": ["1234:8321"]}, (Port("127.0.0.1", 1234, 8321),)),
    ],
)
def test_a_service_is_published_as_it_is_asked_to_be(settings: Any, ports: Any) -> None:
    assert resolved(settings=of("llama-stack", **settings)).project.service("llama-stack").ports == ports


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        ("lightspeed-stack", ("LIGHTSPEED_STACK_LOG_LEVEL", "DEBUG")),
        ("llama-stack", ("OGX_LOGGING", "all=debug")),
        ("inference", ("VLLM_LOGGING_LEVEL", "DEBUG")),
    ],
)
def test_each_service_is_told_its_log_level_in_its_own_words(service: str, variable: tuple[str, str]) -> None:
    found = resolved(settings={"gpu": "cuda", **of(service, log_level="debug")})
    assert variable in found.project.service(service).environment


def test_a_service_that_logs_as_usual_is_told_nothing() -> None:
    environment = dict(resolved().project.service("lightspeed-stack").environment)
    assert "LIGHTSPEED_STACK_LOG_LEVEL" not in environment


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, EnvRef("NAME", required=True)),
        ("${NAME}", EnvRef("NAME", required=True)),
        ("${NAME:?say it}", EnvRef("NAME", required=True)),
        ("${NAME:-x}", EnvRef("NAME", "x")),
        ("${NAME:-}", EnvRef("NAME")),
        ("${OTHER}", ComposeText("${OTHER}")),
        ("a${NAME}b", ComposeText("a${NAME}b")),
        ("${NAME-x}", ComposeText("${NAME-x}")),
        ("plain", ComposeText("plain")),
        ("a$$b", ComposeText("a$$b")),
        ("", ComposeText("")),
    ],
)
def test_a_variable_of_ones_own_is_passed_on_by_name_or_in_composes_words(value: Any, expected: Any) -> None:
    found = resolved(settings=of("llama-stack", env={"NAME": value}))
    assert dict(found.project.service("llama-stack").environment)["NAME"] == expected


def test_a_variable_of_ones_own_wins_over_the_services() -> None:
    found = resolved(settings=of("lightspeed-stack", env={"OTEL_SDK_DISABLED": "false"}))
    environment = dict(found.project.service("lightspeed-stack").environment)
    assert environment["OTEL_SDK_DISABLED"] == ComposeText("false")


@pytest.mark.parametrize("name", ["HF_TOKEN", "api_key", "PGPASSWORD"])
def test_a_secret_in_the_settings_in_clear_is_refused(name: str) -> None:
    what, where = refusal(settings=of("llama-stack", env={name: "abcdef"}))
    assert what == f"{name} looks like a secret, and stands in the settings in clear"
    assert where == f"services.llama-stack.env.{name}"


@pytest.mark.parametrize("value", ["", None, "${HF_TOKEN}", "${OTHER}"])
def test_a_secret_that_is_passed_on_is_fine(value: Any) -> None:
    assert names(resolved(settings=of("llama-stack", env={"HF_TOKEN": value})))


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("cache:/cache", VolumeMount("cache", "/cache")),
        ("./a:/a", FileMount("/my/here/a", "/a", read_only=False)),
        (".:/a:ro", FileMount("/my/here", "/a")),
        ("../a:/a:rw", FileMount("/my/a", "/a", read_only=False)),
        ("/a/b:/a", FileMount("/a/b", "/a", read_only=False)),
        ("~/a:/a:ro", FileMount("/home/me/a", "/a")),
        ("~:/a:ro", FileMount("/home/me", "/a")),
    ],
)
def test_a_volume_of_ones_own_is_a_volume_or_a_folder_of_this_machine(text: str, mount: Any) -> None:
    found = resolved(settings=of("llama-stack", volumes=[text]))
    assert found.project.service("llama-stack").mounts[-1] == mount


def test_a_named_volume_of_ones_own_is_one_of_the_projects() -> None:
    assert "cache" in resolved(settings=of("llama-stack", volumes=["cache:/cache"])).project.volumes


@pytest.mark.parametrize("text", ["", "a", "a:b", "a:/b:xx", "a:/b:ro:z", ":/a", "Cache:/cache", "a b:/c"])
def test_what_is_no_volume_is_refused(text: str) -> None:
    assert refusal(settings=of("llama-stack", volumes=[text]))[1] == "volumes"


def test_where_images_ought_to_be_pinned_each_other_one_is_a_warning() -> None:
    pinned = of("lightspeed-stack", image="team/lcore@sha256:" + "0" * 64)
    found = resolved(settings={"pinned_images": True, **pinned})
    assert [(one.path, one.severity) for one in found.warnings] == [("services.llama-stack.image", "warning")]
    assert resolved(settings=pinned).warnings == ()


@pytest.mark.parametrize(
    ("processes", "warned"), [((), 3), (("llama-stack",), 2), (("llama-stack", "lightspeed-stack"), 0)]
)
def test_warnings_of_images_and_of_what_a_container_cannot_reach_are_not_told_of_processes(
    processes: tuple[str, ...], warned: int
) -> None:
    # A proxy of this machine, and two images that are not pinned.
    settings = {"pinned_images": True}
    layers = [*profile_layers(("base",), data_directory("profiles")), Layer("own", settings)]
    request = Request(
        "demo",
        replace(resolve_settings(layers), processes=frozenset(processes)),
        node(LIGHTSPEED),
        node(RUN, "run.yaml"),
        "/my/here",
        "/my/here",
        {},
        "/home/me",
        surroundings={"HTTPS_PROXY": "http://127.0.0.1:1"},
    )
    assert len(resolve(request).warnings) == warned


def test_each_file_that_is_not_here_is_told_at_its_place() -> None:
    found = resolved(LIGHTSPEED + "splunk: {token_path: here}\ncustomization: {system_prompt_path: gone}\n")
    [one] = missing_files(found.files, frozenset({"/my/here/here"}))
    assert (str(one.where), one.path) == ("lightspeed-stack.yaml:7:37", "customization.system_prompt_path")
    assert one.what == "the file /my/here/gone is to be mounted, and is not here"


def test_a_file_that_the_container_cannot_read_is_a_warning() -> None:
    found = resolved(LIGHTSPEED + "splunk: {token_path: token}\n")
    assert unreadable_files(found.files, {}) == []
    [one] = unreadable_files(found.files, {"/my/here/token": Reader("lightspeed-stack", 1001, "do this")})
    assert (one.severity, one.fix) == ("warning", "Run: do this")
    assert one.what == "the file /my/here/token cannot be read by the user 1001, which lightspeed-stack runs as"


CERTIFICATES = "providers: {}\nserver: {tls_certfile: ./c, tls_keyfile: ./k}\ndistro_name: starter\n"


@pytest.mark.parametrize(
    ("image", "settings", "readers_of_it"),
    [
        ("team/own:1", {}, {Reader("llama-stack", 1001)}),
        ("docker.io/ogx/distribution-starter:1.2.5", {}, set()),
        ("docker.io/ogx/distribution-starter:1.2.5", {"drop_capabilities": True}, {Reader("llama-stack", 0)}),
    ],
)
def test_who_reads_a_file_is_the_user_of_its_services_image(
    image: str, settings: dict[str, Any], readers_of_it: set[Reader]
) -> None:
    chosen = of("llama-stack", image=image, **settings)
    found = resolved(run=CERTIFICATES, settings=chosen)
    images = choose_images(resolve_settings([Layer("own", chosen)]))
    assert set(readers(found.project, images).values()) == readers_of_it


def test_what_lcore_reads_its_own_user_reads() -> None:
    found = resolved(LIGHTSPEED + "splunk: {token_path: token}\n")
    images = choose_images(resolve_settings([]))
    assert readers(found.project, images) == {"/my/here/token": Reader("lightspeed-stack", 1001)}


def test_a_variable_with_a_value_decides_what_is_mounted() -> None:
    source = LIGHTSPEED + "splunk: {token_path: '${env.WHERE}'}\n"
    assert [one.mount.source for one in resolved(source, env={"WHERE": "a/token"}).files] == ["/my/here/a/token"]
    assert resolved(source).files == ()


def test_the_older_generation_is_declared_or_read_off_the_image() -> None:
    by_setting = resolved(OLDER, settings={"lightspeed_version": "0.6.2"})
    by_image = resolved(OLDER, settings=of("lightspeed-stack", image="team/lightspeed-stack:0.6.1"))
    assert by_setting.configuration.generation == by_image.configuration.generation == "0.6"


def test_prod_hardens_and_publishes_lightspeed_core_alone() -> None:
    project = resolved(profiles=("prod",)).project
    assert [bool(service.ports) for service in project.services] == [False, True]
    assert all(service.hardening.read_only and service.hardening.drop_capabilities for service in project.services)
