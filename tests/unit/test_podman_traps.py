"""What podman-compose gets wrong: a compose file in, what must be read after it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lcompose.emit import Tagged
from lcompose.engines.podman_edits import Beside, Edit, joined
from lcompose.engines.podman_spelling import spelled, top_level_words
from lcompose.engines.podman_traps import Surroundings, override, refuse_unread, without_start_intervals
from lcompose.errors import ConfigError, UsageError

RESET = Tagged("!reset")
ENVIRONMENT = {"TOKEN": "a$b"}
GPU = "deploy.resources.reservations.devices"


def edit(text: str) -> Edit:
    """What comes of a file that podman-compose reads as it stands here."""
    around = Surroundings("demo", "compose.yaml", Path("/state"), ENVIRONMENT, spelled(text))
    return override(yaml.safe_load(text), around)


def web(service: str, rest: str = "") -> tuple[set[str], dict[str, Any]]:
    """What is taken out of the service "web", and what is put in."""
    found = edit(f"services: {{web: {{{service}}}}}\n{rest}")
    services = found.adds.get("services", {})
    assert set(services) <= {"web"}
    out = {".".join(path[2:]) for path in found.resets}
    return out, services.get("web", {})


def refused(service: str) -> list[tuple[str, str]]:
    """What cannot be said, and where it stands."""
    with pytest.raises(ConfigError) as caught:
        edit(f"services: {{web: {{{service}}}}}")
    assert all("PODMAN_COMPOSE_PROVIDER=docker-compose" in one.fix for one in caught.value.findings)
    return [(one.path, one.what) for one in caught.value.findings]


# What stands in a service; the keys that are taken out of it; what is put in.
CASES: dict[str, tuple[str, set[str], dict[str, Any]]] = {
    "nothing to do": ("image: a, command: [b]", set(), {}),
    "a dependency would be started again with its dependent": (
        "depends_on: {a: {condition: service_completed_successfully}, b: {condition: service_started}}",
        {"depends_on"},
        {"labels": {"lcompose.after": "a,b"}},
    ),
    "a link is a dependency too": ("links: ['a:other']", set(), {"labels": {"lcompose.after": "a"}}),
    "who shares a network is made later": (
        "network_mode: 'service:a'",
        set(),
        {"depends_on": {"a": {"condition": "service_started"}}, "labels": {"lcompose.after": "a"}},
    ),
    "the time to end is told to us": ("stop_grace_period: 1m1500ms", set(), {"labels": {"lcompose.grace": "62"}}),
    "replicas without Swarm's mode": ("deploy: {replicas: 2}", set(), {"scale": 2}),
    "replicas as text": ("deploy: {replicas: '2'}", set(), {"scale": 2}),
    "a scale as text": ("scale: '2'", {"scale"}, {"scale": 2}),
    "a scale that is right": ("scale: 2", set(), {}),
    "no replica at all": ("deploy: {replicas: 0}", set(), {"scale": 0}),
    "a restart policy in Swarm's words": (
        "deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}",
        set(),
        {"restart": "on-failure:3"},
    ),
    "its own restart policy wins": ("restart: always, deploy: {restart_policy: {condition: none}}", set(), {}),
    "a health check's first interval": (
        "healthcheck: {test: [CMD, a], start_interval: 1s}",
        {"healthcheck.start_interval"},
        {},
    ),
    "hosts as a mapping": (
        "extra_hosts: {a: 10.0.0.1, b: '::1'}",
        {"extra_hosts"},
        {"extra_hosts": ["a:10.0.0.1", "b:::1"]},
    ),
    "hosts in the newer notation": ("extra_hosts: ['a=10.0.0.1']", {"extra_hosts"}, {"extra_hosts": ["a:10.0.0.1"]}),
    "hosts that are right": ("extra_hosts: ['a:10.0.0.1']", set(), {}),
    "a device as a mapping": (
        "devices: [/dev/a, {source: /dev/b, target: /dev/c, permissions: r}]",
        {"devices"},
        {"devices": ["/dev/a", "/dev/b:/dev/c:r"]},
    ),
    "Docker's own log driver": ("logging: {driver: local}", set(), {"logging": {"driver": "k8s-file"}}),
    "an older word for pulling": ("pull_policy: if_not_present", set(), {"pull_policy": "missing"}),
    "restart: no without quotes": ("restart: no", {"restart"}, {"restart": "no"}),
    "words that YAML 1.1 takes for truth": (
        "environment: {A: yes, B: true, C: 'yes', D: 1}, labels: {x: off}",
        {"environment.A", "environment.B", "labels.x"},
        {"environment": {"A": "yes", "B": "true"}, "labels": {"x": "off"}},
    ),
    "a port that YAML 1.1 takes for a number": ("ports: [22:22, 80]", {"ports"}, {"ports": ["22:22", 80]}),
    "every GPU": (
        "gpus: all",
        set(),
        {
            "deploy": {
                "resources": {
                    "reservations": {"devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]}
                }
            }
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_trap_is_gone_round(case: str) -> None:
    service, out, put_in = CASES[case]
    assert web(service) == (out, put_in)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("count: '1', capabilities: [gpu]", {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}),
        ("driver: nvidia, count: '2', capabilities: [gpu]", {"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}),
        ("device_ids: ['3'], capabilities: [gpu]", {"driver": "nvidia", "device_ids": ["3"], "capabilities": ["gpu"]}),
    ],
)
def test_a_gpu_has_its_driver_and_a_count_that_is_a_number(wish: str, expected: dict[str, Any]) -> None:
    out, put_in = web(f"deploy: {{resources: {{reservations: {{devices: [{{{wish}}}]}}}}}}")
    assert out == {GPU}
    assert put_in["deploy"]["resources"]["reservations"]["devices"] == [expected]


def test_a_gpu_that_is_asked_for_rightly_is_left_alone() -> None:
    wish = "{driver: nvidia, count: 1, capabilities: [gpu]}"
    assert web(f"deploy: {{resources: {{reservations: {{devices: [{wish}]}}}}}}") == (set(), {})


def test_a_device_of_the_container_device_interface_is_named() -> None:
    wish = "{driver: cdi, device_ids: ['amd.com/gpu=all']}"
    put_in = web(f"deploy: {{resources: {{reservations: {{devices: [{wish}]}}}}}}")[1]
    assert put_in == {"devices": ["amd.com/gpu=all"]}


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        ("driver: amdgpu, capabilities: [gpu]", "podman-compose leaves a device of the driver 'amdgpu' out"),
        ("capabilities: [tpu]", "podman-compose leaves a device that can do tpu out"),
    ],
)
def test_a_device_that_would_be_missing_is_refused(wish: str, what: str) -> None:
    service = f"deploy: {{resources: {{reservations: {{devices: [{{{wish}}}]}}}}}}"
    assert refused(service) == [(f"services.web.{GPU}", what)]


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("ipc: host", "ipc"),
        ("provider: {type: model}", "provider"),
        ("models: [m]", "models"),
        ("volumes_from: [a]", "volumes_from"),
        ("memswap_limit: 1g", "memswap_limit"),
        ("post_start: [{command: a}]", "post_start"),
        ("networks: {back: {link_local_ips: [169.254.1.1]}}", "networks.back.link_local_ips"),
        ("volumes: [{type: volume, source: v, target: /v, volume: {nocopy: true}}]", "volumes.0.volume.nocopy"),
    ],
)
def test_what_would_be_left_out_in_silence_is_refused(service: str, path: str) -> None:
    [(where, what)] = refused(service)
    assert where == f"services.web.{path}"
    assert what.startswith("podman-compose leaves this out: ")


def test_everything_that_cannot_be_said_is_told_at_once() -> None:
    assert len(refused("ipc: host, uts: host, gpus: [{driver: intel}]")) == 3


def test_what_has_no_effect_on_a_start_is_let_through() -> None:
    assert web("attach: false, develop: {watch: []}, oom_kill_disable: false, deploy: {placement: {}}") == (set(), {})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", {"in_pod": False, "default_net_behavior_compat": True}),
        ("x-podman: {default_net_behavior_compat: false}", {"in_pod": False}),
        (
            "x-podman: {in_pod: true, default_net_behavior_compat: true}",
            {"pod_args": ["--infra=false", "--share=", "--label=com.docker.compose.project=demo"]},
        ),
    ],
)
def test_no_pod_is_left_over_unless_one_is_asked_for(said: str, expected: dict[str, Any]) -> None:
    assert edit(f"services: {{web: {{image: a}}}}\n{said}").adds == {"x-podman": expected}


def mounted(service: str, declared: str) -> tuple[list[tuple[str, str]], tuple[Beside, ...]]:
    """Where files are mounted from and to, and those that are written for it."""
    found = edit(f"services: {{web: {{{service}}}}}\n{declared}")
    volumes = found.adds["services"]["web"]["volumes"]
    assert all(one["read_only"] and one["bind"] == {"create_host_path": False, "selinux": "z"} for one in volumes)
    return [(one["source"], one["target"]) for one in volumes], found.files


def test_a_config_inside_the_file_becomes_a_file_that_is_mounted() -> None:
    volumes, [beside] = mounted("configs: [app]", "configs: {app: {content: 'a: $1'}}")
    assert volumes == [(f"/state/{beside.name}", "/app")]
    assert (beside.text, beside.mode, beside.uid, beside.gid) == ("a: $1", 0o444, 0, 0)


@pytest.mark.parametrize(("mode", "expected"), [("0440", 0o440), ("'0440'", 0o440), ("0400", 0o400)])
def test_a_config_has_the_owner_and_mode_that_are_asked_for(mode: str, expected: int) -> None:
    grant = f"{{source: app, target: /etc/app.yaml, mode: {mode}, uid: '33', gid: '44'}}"
    volumes, [beside] = mounted(f"configs: [{grant}]", "configs: {app: {content: x}}")
    assert volumes[0][1] == "/etc/app.yaml"
    assert (beside.mode, beside.uid, beside.gid) == (expected, 33, 44)


def test_another_content_is_another_file_so_the_container_is_made_anew() -> None:
    [first] = mounted("configs: [app]", "configs: {app: {content: x}}")[1]
    [second] = mounted("configs: [app]", "configs: {app: {content: y}}")[1]
    assert first.name != second.name


def test_a_secret_from_a_variable_becomes_a_file() -> None:
    out, put_in = web("secrets: [{source: key, target: token}]", "secrets: {key: {environment: TOKEN}}")
    assert (out, put_in["volumes"][0]["target"]) == ({"secrets"}, "/run/secrets/token")


def test_a_file_of_the_persons_is_mounted_as_it_is() -> None:
    declared = "configs: {a: {file: conf/a}, b: {file: ../b}, c: {file: ~/c}}"
    assert mounted("configs: [a, b, c]", declared) == ([("./conf/a", "/a"), ("../b", "/b"), ("~/c", "/c")], ())


def test_a_file_of_the_system_keeps_its_label() -> None:
    put_in = web("configs: [a]", "configs: {a: {file: /etc/hosts}}")[1]
    assert put_in["volumes"][0]["bind"] == {"create_host_path": False}


def test_a_secret_that_podman_keeps_stays_podmans() -> None:
    declared = "secrets: {mine: {content: x}, kept: {external: true}}"
    out, put_in = web("secrets: [mine, {source: kept, target: k}]", declared)
    assert (out, put_in["secrets"]) == ({"secrets"}, [{"source": "kept", "target": "k"}])
    assert web("secrets: [kept]", declared) == (set(), {})


@pytest.mark.parametrize(
    ("service", "declared", "what"),
    [
        ("configs: [a]", "", "web wants 'a', which is not among the file's configs"),
        ("configs: [a]", "configs: {a: {external: true}}", "the config 'a' is kept outside the file"),
        ("secrets: [a]", "secrets: {a: {environment: UNSET}}", "the variable UNSET, which web reads"),
        ("configs: [{source: a, uid: me}]", "configs: {a: {content: x}}", "the owner 'me' of 'a' is no number"),
    ],
)
def test_a_config_that_cannot_be_given_is_refused(service: str, declared: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        edit(f"services: {{web: {{{service}}}}}\n{declared}")
    assert caught.value.what.startswith(what)


def test_extends_is_refused_because_podman_compose_does_not_say_what_it_becomes() -> None:
    with pytest.raises(UsageError) as caught:
        refuse_unread({"services": {"web": {"extends": {"service": "base"}}}}, "compose.yaml")
    assert caught.value.where == "compose.yaml: services.web.extends"
    assert caught.value.fix.endswith("PODMAN_COMPOSE_PROVIDER=docker-compose")


def test_both_files_are_written_as_podman_compose_reads_them() -> None:
    found = Edit((("services", "web", "scale"),), {"services": {"web": {"scale": 2, "labels": {"a": "$x"}}}})
    assert found.removals_text.split("\n", 1)[1] == "services:\n  web:\n    scale: !reset\n"
    assert yaml.safe_load(found.additions_text) == {"services": {"web": {"scale": 2, "labels": {"a": "$$x"}}}}


def test_edits_are_joined_with_their_lists_one_after_the_other() -> None:
    first, second = ({"services": {"web": {"volumes": [one], "scale": 1}}} for one in "ab")
    assert joined([Edit((("a",),), first), Edit((("a",), ("b",)), second)]) == Edit(
        (("a",), ("b",)), {"services": {"web": {"volumes": ["a", "b"], "scale": 1}}}
    )


def test_docker_compose_needs_only_to_forget_the_first_interval() -> None:
    reading = yaml.safe_load("services: {a: {healthcheck: {start_interval: 1s}}, b: {depends_on: [a]}}")
    assert without_start_intervals(reading) == Edit((("services", "a", "healthcheck", "start_interval"),))


def test_the_keys_of_a_file_are_read_whatever_tags_are_in_it() -> None:
    assert top_level_words("include: [a]\nservices: {web: {ports: !override []}}") == ("include", "services")
    assert top_level_words("") == ()


def test_what_came_over_an_alias_is_spelled_as_yaml_has_it_today() -> None:
    text = "x-a: &a {A: yes}\nservices: {web: {environment: {<<: *a, B: off}}}"
    assert edit(text).adds["services"]["web"]["environment"] == {"A": "true", "B": "off"}
