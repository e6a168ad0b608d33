"""lcompose's own settings: what may be said where, which layer wins, and what comes out typed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lcompose.errors import ConfigError, UsageError
from lcompose.load import parse
from lcompose.merge import Layer
from lcompose.settings import (
    EMBEDDED,
    FILE,
    SERVICES,
    ServiceSettings,
    Settings,
    checked_layer,
    layer_from_env,
    layer_from_options,
    parse_port,
    resolve_settings,
    setting_paths,
    variable_of,
)
from lcompose.spec.project import Limits, LogRotation, Port


def tree_of(source: str) -> dict[str, Any]:
    """What lcompose.yaml says, as a layer's tree."""
    return dict(checked_layer("lcompose.yaml", parse(source.encode(), "lcompose.yaml"), FILE).tree)


def complaints(source: str) -> list[str]:
    """What is wrong with an lcompose.yaml."""
    with pytest.raises(ConfigError) as caught:
        tree_of(source)
    return [str(found) for found in caught.value.findings]


def settled(*trees: dict[str, Any]) -> Settings:
    """The settings that follow from some layers."""
    return resolve_settings([Layer(str(number), tree) for number, tree in enumerate(trees, 1)])


def test_a_settings_file_may_say_everything() -> None:
    source = """
version: 1
engine: podman
profiles: [prod]
gpu: rocm
wait_timeout: 60
lightspeed_version: 0.6
services:
  llama-stack:
    limits: {cpus: 2, memory: 2g, pids: 100}
    env: {A: x, PASSED_ON: }
"""
    assert tree_of(source) == {
        "engine": "podman",
        "profiles": ["prod"],
        "gpu": "rocm",
        "wait_timeout": 60,
        "lightspeed_version": "0.6",
        "services": {
            "llama-stack": {
                "limits": {"cpus": "2", "memory": "2g", "pids": 100},
                "env": {"A": "x", "PASSED_ON": None},
            }
        },
    }


def test_an_empty_settings_file_says_nothing() -> None:
    assert tree_of("# nothing yet\n") == {}


def test_every_mistake_in_a_settings_file_is_told_with_its_near_miss() -> None:
    source = "wait_timout: 3\ncontaner: {}\nservices:\n  llama-stak: {}\n  llama-stack: {imag: x, restart: no}\n"
    assert complaints(source) == [
        "lcompose.yaml:1:1: wait_timout: error: unknown key\n    Did you mean 'wait_timeout'?",
        "lcompose.yaml:2:1: contaner: error: unknown key\n    Did you mean 'container'?",
        "lcompose.yaml:4:3: services.llama-stak: error: unknown key\n    Did you mean 'llama-stack'?",
        "lcompose.yaml:5:17: services.llama-stack.imag: error: unknown key\n    Did you mean 'image'?",
        "lcompose.yaml:5:26: services.llama-stack.restart: error: input should be a valid string\n"
        "    Here stands true or false; put it in quotes.",
    ]


@pytest.mark.parametrize(
    "value",
    [
        "version: 2",
        "engine: dcoker",
        "wait_timeout: 0",
        "wait_timeout: soon",
        "model: ''",
        "profiles: prod",
        "services: {llama-stack: {limits: {memory: 2GB}}}",
        "services: {llama-stack: {limits: {cpus: two}}}",
        "services: {llama-stack: {limits: {pids: 0}}}",
        "services: {llama-stack: {restart: sometimes}}",
        "services: {llama-stack: {imagePullPolicy: often}}",
        "services: {llama-stack: {log_level: loud}}",
        "services: {llama-stack: {logging: {max_size: big}}}",
        "runtime: cloud",
        "container: {env: {A B: x}}",
        "container: {env: {A=B: x}}",
        "container: {env: {'': x}}",
        "container: {runtime: auto}",
        "- engine",
    ],
)
def test_a_value_that_cannot_be_is_refused(value: str) -> None:
    assert len(complaints(value)) == 1


def test_container_means_the_section_of_llama_stack() -> None:
    assert tree_of("container: {image: x, env: {A: b}, ports: ['1:1'], imagePullPolicy: Always}") == {
        "services": {"llama-stack": {"image": "x", "env": {"A": "b"}, "ports": ["1:1"], "imagePullPolicy": "Always"}}
    }


def test_container_runtime_means_the_engine() -> None:
    assert tree_of("container: {runtime: podman}") == {"engine": "podman"}


def test_an_engine_named_beside_container_runtime_wins() -> None:
    assert tree_of("container: {runtime: podman}\nengine: docker") == {"engine": "docker"}


def test_container_and_the_section_of_llama_stack_add_up_and_the_section_wins() -> None:
    source = """
container: {image: old, limits: {cpus: 1, memory: 1g}, volumes: [a:/a]}
services:
  llama-stack: {image: new, limits: {memory: 2g}, volumes: [b:/b]}
"""
    assert tree_of(source)["services"]["llama-stack"] == {
        "image": "new",
        "limits": {"cpus": "1", "memory": "2g"},
        "volumes": ["a:/a", "b:/b"],
    }


def test_a_higher_layer_wins_whichever_spelling_it_uses() -> None:
    below = tree_of("services: {llama-stack: {image: section, limits: {pids: 5}}}")
    above = tree_of("container: {image: shorthand}")
    service = settled(below, above).services["llama-stack"]
    assert (service.image, service.limits) == ("shorthand", Limits(pids=5))


def test_sections_of_lightspeed_stack_yaml_are_settings_too() -> None:
    node = parse(b"runtime: local\ncontainer: {image: x}\nlocal: {command: ogx}\n", "lightspeed-stack.yaml")
    assert checked_layer("lightspeed-stack.yaml", node, EMBEDDED).tree == {
        "runtime": "local",
        "services": {"llama-stack": {"image": "x", "local": {"command": "ogx"}}},
    }


@pytest.mark.parametrize(
    ("variable", "value", "tree"),
    [
        ("LCOMPOSE_GPU", "cuda", {"gpu": "cuda"}),
        ("LCOMPOSE_WAIT_TIMEOUT", "20", {"wait_timeout": 20}),
        ("LCOMPOSE_PROFILES", "prod, ./mine.yaml,", {"profiles": ["prod", "./mine.yaml"]}),
        ("LCOMPOSE_CONTAINER__IMAGE", "x", {"services": {"llama-stack": {"image": "x"}}}),
        ("LCOMPOSE_CONTAINER__RUNTIME", "podman", {"engine": "podman"}),
        (
            "LCOMPOSE_SERVICES__LIGHTSPEED_STACK__READ_ONLY",
            "true",
            {"services": {"lightspeed-stack": {"read_only": True}}},
        ),
        (
            "LCOMPOSE_SERVICES__LLAMA_STACK__LIMITS__PIDS",
            "200",
            {"services": {"llama-stack": {"limits": {"pids": 200}}}},
        ),
        ("LCOMPOSE_CONTAINER__LIMITS__CPUS", "1.5", {"services": {"llama-stack": {"limits": {"cpus": "1.5"}}}}),
        ("LCOMPOSE_CONTAINER__ENV__My__Var", "a=b", {"services": {"llama-stack": {"env": {"My__Var": "a=b"}}}}),
        ("LCOMPOSE_CONTAINER__ENV__EMPTY", "", {"services": {"llama-stack": {"env": {"EMPTY": ""}}}}),
        ("LCOMPOSE_GPU", "", {}),
        ("LCOMPOSE_PROJECT_NAME", "x", {}),
        ("LCOMPOSE_PROFILE", "prod", {"profiles": ["prod"]}),
        ("PATH", "/bin", {}),
        ("lcompose_gpu", "cuda", {}),
    ],
)
def test_a_variable_is_a_setting_of_the_right_type(variable: str, value: str, tree: dict[str, Any]) -> None:
    assert layer_from_env({variable: value}) == Layer("environment", tree)


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("LCOMPOSE_GPUU", "Did you mean 'LCOMPOSE_GPU'?"),
        ("LCOMPOSE_WAIT_TIMOUT", "Did you mean 'LCOMPOSE_WAIT_TIMEOUT'?"),
        ("LCOMPOSE_SERVICES__LLAMA_STAK__IMAGE", "Did you mean 'LCOMPOSE_SERVICES__LLAMA_STACK__IMAGE'?"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_its_near_miss(variable: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        layer_from_env({variable: "1"})
    assert [(found.path, found.fix) for found in caught.value.findings] == [(variable, advice)]


def test_every_wrong_variable_is_told_by_its_name() -> None:
    with pytest.raises(ConfigError) as caught:
        layer_from_env({"LCOMPOSE_WAIT_TIMEOUT": "soon", "LCOMPOSE_ENGINE": "dcoker"})
    assert [(str(found.where), found.path) for found in caught.value.findings] == [
        ("LCOMPOSE_ENGINE", "engine"),
        ("LCOMPOSE_WAIT_TIMEOUT", "wait_timeout"),
    ]


def test_every_setting_has_a_variable_of_its_own() -> None:
    paths = [path for path, _ in setting_paths()]
    assert len({variable_of(path) for path in paths}) == len(paths)


@pytest.mark.parametrize(
    ("sets", "tree"),
    [
        (["wait_timeout=5"], {"wait_timeout": 5}),
        (["wait_timeout=5", "wait_timeout=6"], {"wait_timeout": 6}),
        (["services.llama-stack.publish=false"], {"services": {"llama-stack": {"publish": False}}}),
        (["container.ports=1:1, 2:2"], {"services": {"llama-stack": {"ports": ["1:1", "2:2"]}}}),
        (["container.env.URL=http://x?a=b"], {"services": {"llama-stack": {"env": {"URL": "http://x?a=b"}}}}),
        (["container.env.A="], {"services": {"llama-stack": {"env": {"A": ""}}}}),
        (["profiles="], {"profiles": []}),
    ],
)
def test_set_is_a_setting_of_the_right_type(sets: list[str], tree: dict[str, Any]) -> None:
    assert layer_from_options(sets, {}) == Layer("command line", tree)


def test_an_option_wins_over_set() -> None:
    assert layer_from_options(["gpu=cuda", "model=m"], {"gpu": "rocm"}).tree == {"gpu": "rocm", "model": "m"}


def test_set_without_a_value_is_refused() -> None:
    with pytest.raises(UsageError, match="--set 'gpu' has no '='"):
        layer_from_options(["gpu"], {})


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ("wait_timout=1", "--set: wait_timout: error: unknown key\n    Did you mean 'wait_timeout'?"),
        ("container.imag=x", "--set: container.imag: error: unknown key\n    Did you mean 'image'?"),
        ("wait_timeout.x=1", "--set: wait_timeout: error: input should be a valid integer\n"
                             "    Here stands a mapping; correct it."),
        ("container=x", "--set: container: error: input should be a valid dictionary\n"
                        "    Here stands text; correct it."),
    ],
)  # fmt: skip
def test_set_of_something_that_is_no_setting_is_refused(item: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        layer_from_options([item], {})
    assert [str(found) for found in caught.value.findings] == [complaint]


@pytest.mark.parametrize("path", ["", ".", "..", "container..image", "a.b.c", "version"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        layer_from_options([f"{path}=1"], {})


def test_without_any_layer_the_defaults_hold() -> None:
    plain = ServiceSettings()
    assert replace(settled(), layers=()) == Settings(
        runtime="container",
        engine=None,
        profiles=("dev",),
        gpu="none",
        gpu_ids=(),
        gpu_is_optional=False,
        inference="auto",
        model="",
        tool_call_parser="",
        inference_args=(),
        lightspeed_version="",
        ogx_version="",
        wait_timeout=300,
        pull_timeout=1800,
        pinned_images=False,
        bytecode_cache=True,
        boot="parallel",
        proxies=True,
        ca_bundle="",
        companions={},
        secrets={},
        services=dict.fromkeys(SERVICES, plain),
        origin=dict.fromkeys(
            [
                "runtime", "engine", "profiles", "gpu", "gpu_ids", "accelerator.optional", "inference", "model",
                "tool_call_parser", "inference_args",
                "lightspeed_version", "ogx_version", "wait_timeout", "pull_timeout", "pinned_images",
                "bytecode_cache", "boot", "proxies", "ca_bundle",
                "runtimes.allowed", "runtimes.disabled", "runtimes.default", "runtimes.strict",
            ],
            "default",
        ),
    )  # fmt: skip


def test_all_that_is_said_of_a_service_comes_out_typed() -> None:
    said = {
        "image": "i",
        "imagePullPolicy": "IfNotPresent",
        "publish": False,
        "ports": ["8080:80", "0.0.0.0:1:2"],
        "volumes": ["a:/b"],
        "env": {"A": "x", "B": None},
        "limits": {"cpus": "2", "memory": "2g", "pids": 9},
        "restart": "on-failure:3",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "no_new_privileges": True,
        "drop_capabilities": True,
        "logging": {"max_size": "10m", "max_file": 5},
        "log_level": "debug",
    }
    assert settled({"services": {"inference": said}}).services["inference"] == ServiceSettings(
        image="i",
        pull_policy="missing",
        publish=False,
        ports=(Port("127.0.0.1", 8080, 80), Port("0.0.0.0", 1, 2)),
        volumes=("a:/b",),
        env=(("A", "x"), ("B", None)),
        limits=Limits("2", "2g", 9),
        restart="on-failure:3",
        read_only=True,
        tmpfs=("/tmp",),
        no_new_privileges=True,
        drop_capabilities=True,
        log_rotation=LogRotation("10m", 5),
        log_level="debug",
    )


@pytest.mark.parametrize(
    ("asked", "policy"),
    [("Always", "always"), ("IfNotPresent", "missing"), ("Never", "never"), ("missing", "missing")],
)
def test_a_pull_policy_may_be_spelled_as_in_kubernetes(asked: str, policy: str) -> None:
    service = settled({"services": {"llama-stack": {"imagePullPolicy": asked}}}).services["llama-stack"]
    assert service.pull_policy == policy


def test_the_last_layer_wins_and_is_named_as_the_origin() -> None:
    settings = settled({"gpu": "cuda", "model": "a"}, {"gpu": "rocm"})
    assert (settings.gpu, settings.origin["gpu"], settings.origin["model"]) == ("rocm", "2", "1")


def test_auto_as_the_engine_leaves_the_choice_to_the_machine() -> None:
    assert settled({"engine": "podman"}, {"engine": "auto"}).engine is None


@pytest.mark.parametrize(
    ("value", "port"),
    [
        ("8080:80", Port("127.0.0.1", 8080, 80)),
        ("0.0.0.0:1:65535", Port("0.0.0.0", 1, 65535)),
        ("[::1]:1:2", Port("::1", 1, 2)),
        ("[FE80::A]:1:2", Port("FE80::A", 1, 2)),
    ],
)
def test_a_port_to_publish_has_an_address_a_port_here_and_one_inside(value: str, port: Port) -> None:
    assert parse_port(value, "here") == port


@pytest.mark.parametrize(
    "value",
    ["", "80", "0:1", "1:0", "1:65536", "65536:1", "a:1", "1:2:3", "localhost:1:2", "999.1.1.1:1:2", "...:1:2",
     "[:]:1:2", "[::g]:1:2", "::1:1:2", "1:2\n", " 1:2", "1:2/udp", "1-2:3-4", "٣:٣", "-1:2"],
)  # fmt: skip
def test_what_is_no_port_to_publish_is_refused(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_port(value, "services.llama-stack.ports")
    assert (caught.value.what, caught.value.where, caught.value.fix) == (
        f"{value!r} is not a port to publish",
        "services.llama-stack.ports",
        "Write [ADDRESS:]HOST:CONTAINER, such as 8080:8080 or 0.0.0.0:8080:8080.",
    )
