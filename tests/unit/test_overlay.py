"""A person's own words of Compose over ours: merged as Compose itself merges, from the right folder."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lcompose.cli.stack import open_rendered
from lcompose.emit import yaml_text
from lcompose.errors import ConfigError, UsageError
from lcompose.gatespec import refuse_impossible, with_overlay
from lcompose.load import parse, plain
from lcompose.overlay.merging import INSTEAD, fields, merged, together
from lcompose.overlay.ours import mount_targets, passed_on, said_of, waits_for
from lcompose.overlay.paths import binds, relocated, seen_from
from lcompose.overlay.tags import TAGGED, with_paths, without_reset
from lcompose.settings import FILE, checked_layer, resolve_settings
from lcompose.spec.bundle import Bundle
from lcompose.spec.project import Dependency, Derived, DocumentMount, Port, Probe, Project, Service, VolumeMount
from lcompose.spec.run import Gated, GateSpec
from lcompose.spec.target import Form, TargetFacts
from lcompose.spec.text import EnvRef
from lcompose.targets import Place, translate
from lcompose.workspace import Options
from tests.unit.given import LIGHTSPEED, RUN
from tests.unit.test_stack import docker

# What stands in a service of one file, in that of another, and in what they are together.
MERGES: list[tuple[str, str, str]] = [
    ("{image: a}", "{image: b}", "{image: b}"),
    ("{image: a, tty: true}", "{tty: false}", "{image: a, tty: false}"),
    ("{environment: {A: 1, B: 2}}", "{environment: {B: 3, C: }}", "{environment: {A: 1, B: 3, C: }}"),
    ("{environment: {A: '1'}}", "{environment: [A, B=2]}", "{environment: {A: , B: '2'}}"),
    ("{environment: {A: 1}}", "{environment: }", "{environment: {A: 1}}"),
    ("{environment: ['A=x=y', B]}", "{environment: {B: 2}}", "{environment: {A: x=y, B: 2}}"),
    ("{labels: [a, b=1]}", "{labels: {a: x}}", "{labels: {a: x, b: '1'}}"),
    ("{annotations: {a: b}}", "{annotations: [a=c]}", "{annotations: {a: c}}"),
    ("{sysctls: {net.core.somaxconn: 1}}", "{sysctls: [net.core.somaxconn=2]}", "{sysctls: {net.core.somaxconn: '2'}}"),
    ("{command: [a, b]}", "{command: [c]}", "{command: [c]}"),
    ("{command: [a, b]}", "{command: c d}", "{command: c d}"),
    ("{entrypoint: a}", "{entrypoint: [b]}", "{entrypoint: [b]}"),
    (
        "{healthcheck: {test: [CMD, a], retries: 2}}",
        "{healthcheck: {test: 'b c', interval: 3s}}",
        "{healthcheck: {test: 'b c', retries: 2, interval: 3s}}",
    ),
    ("{dns: 1.1.1.1}", "{dns: [1.1.1.1, 8.8.8.8]}", "{dns: [1.1.1.1, 8.8.8.8]}"),
    ("{dns_search: a.example}", "{dns_search: b.example}", "{dns_search: [a.example, b.example]}"),
    ("{dns_opt: ['ndots:1']}", "{dns_opt: [use-vc]}", "{dns_opt: ['ndots:1', use-vc]}"),
    ("{tmpfs: /tmp}", "{tmpfs: [/run]}", "{tmpfs: [/tmp, /run]}"),
    ("{expose: [80]}", "{expose: ['80', 90]}", "{expose: ['80', 90]}"),
    ("{cap_add: [A]}", "{cap_add: [B, A]}", "{cap_add: [A, B]}"),
    ("{cap_drop: [ALL]}", "{cap_drop: [ALL]}", "{cap_drop: [ALL]}"),
    ("{security_opt: [a]}", "{security_opt: [b]}", "{security_opt: [a, b]}"),
    ("{group_add: [a]}", "{group_add: [b]}", "{group_add: [a, b]}"),
    ("{ports: ['80:80']}", "{ports: ['80:80', '81:80/udp']}", "{ports: ['80:80', '81:80/udp']}"),
    (
        "{ports: [{target: 80, published: '8080', host_ip: 127.0.0.1, protocol: tcp}]}",
        "{ports: [{target: 80, published: '9090', protocol: tcp}]}",
        "{ports: [{target: 80, published: '8080', host_ip: 127.0.0.1, protocol: tcp},"
        " {target: 80, published: '9090', protocol: tcp}]}",
    ),
    (
        "{ports: [{target: 80, published: '8080', protocol: tcp}]}",
        "{ports: ['127.0.0.1:8080:80', '[::1]:8080:80']}",
        "{ports: [{target: 80, published: '8080', protocol: tcp}, '127.0.0.1:8080:80', '[::1]:8080:80']}",
    ),
    ("{volumes: ['va:/x', 'vb:/y']}", "{volumes: ['vc:/x:ro']}", "{volumes: ['vc:/x:ro', 'vb:/y']}"),
    (
        "{volumes: [{type: volume, source: va, target: /x}]}",
        "{volumes: ['/host:/x', /only]}",
        "{volumes: ['/host:/x', /only]}",
    ),
    ("{devices: ['/dev/a:/dev/x']}", "{devices: ['/dev/b:/dev/y']}", "{devices: ['/dev/a:/dev/x', '/dev/b:/dev/y']}"),
    (
        "{configs: [c]}",
        "{configs: [{source: c2, target: /c}, c2]}",
        "{configs: [{source: c2, target: /c}, c2]}",
    ),
    (
        "{secrets: [c, d]}",
        "{secrets: [{source: d, target: /run/secrets/c}]}",
        "{secrets: [{source: d, target: /run/secrets/c}, d]}",
    ),
    ("{networks: [one]}", "{networks: {two: {aliases: [x]}}}", "{networks: {one: , two: {aliases: [x]}}}"),
    (
        "{networks: {one: {aliases: [x]}}}",
        "{networks: {one: {aliases: [x, y]}}}",
        "{networks: {one: {aliases: [x, y]}}}",
    ),
    (
        "{depends_on: [other]}",
        "{depends_on: {other: {condition: service_healthy, required: true}}}",
        "{depends_on: {other: {condition: service_healthy, required: true}}}",
    ),
    (
        "{depends_on: {other: {condition: service_healthy, required: false}}}",
        "{depends_on: [other]}",
        "{depends_on: {other: {condition: service_started, required: true}}}",
    ),
    (
        "{depends_on: {other: {condition: service_healthy}}}",
        "{depends_on: {another: {condition: service_started, restart: true}}}",
        "{depends_on: {other: {condition: service_healthy}, another: {condition: service_started, restart: true}}}",
    ),
    (
        "{logging: {driver: json-file, options: {max-size: 1m}}}",
        "{logging: {options: {max-file: '2'}}}",
        "{logging: {driver: json-file, options: {max-size: 1m, max-file: '2'}}}",
    ),
    (
        "{logging: {driver: json-file, options: {max-size: 1m}}}",
        "{logging: {driver: syslog, options: {tag: x}}}",
        "{logging: {driver: syslog, options: {tag: x}}}",
    ),
    ("{logging: {options: {a: b}}}", "{logging: {driver: local}}", "{logging: {driver: local, options: {a: b}}}"),
    (
        "{ulimits: {nproc: 1, nofile: {soft: 1, hard: 2}}}",
        "{ulimits: {nproc: {soft: 3, hard: 4}, nofile: 5}}",
        "{ulimits: {nproc: {soft: 3, hard: 4}, nofile: 5}}",
    ),
    (
        "{build: /a}",
        "{build: {dockerfile: D, args: [X=1, Y], labels: {l: m}}}",
        "{build: {context: /a, dockerfile: D, args: {X: '1', Y: }, labels: {l: m}}}",
    ),
    (
        "{build: {context: /a, args: {X: 1}, labels: [l]}}",
        "{build: {context: /b, args: {X: 2, Z: 3}, labels: [l=m]}}",
        "{build: {context: /b, args: {X: 2, Z: 3}, labels: {l: m}}}",
    ),
    (
        "{deploy: {resources: {limits: {cpus: '1', memory: 1g}}}}",
        "{deploy: {resources: {limits: {memory: 2g}}, replicas: 2}}",
        "{deploy: {resources: {limits: {cpus: '1', memory: 2g}}, replicas: 2}}",
    ),
    (
        "{deploy: {resources: {reservations: {devices: [{driver: a, capabilities: [gpu]}]}}}}",
        "{deploy: {resources: {reservations: {devices: [{driver: b, capabilities: [gpu]}]}}}}",
        "{deploy: {resources: {reservations: {devices: "
        "[{driver: a, capabilities: [gpu]}, {driver: b, capabilities: [gpu]}]}}}}",
    ),
    ("{deploy: {labels: {a: b}}}", "{deploy: {labels: [a=c]}}", "{deploy: {labels: {a: c}}}"),
    ("{x-mine: {a: 1}}", "{x-mine: {a: 2, b: c}}", "{x-mine: {a: 2, b: c}}"),
    ("{restart: always}", "{restart: 'no'}", "{restart: 'no'}"),
    (
        "{extra_hosts: {a: 10.0.0.1}}",
        "{extra_hosts: ['b:10.0.0.2', 'a=10.0.0.1']}",
        "{extra_hosts: ['a=10.0.0.1', 'b:10.0.0.2']}",
    ),
    ("{profiles: [a]}", "{profiles: [a, b]}", "{profiles: [a, b]}"),
    ("{links: ['other:o']}", "{links: [another]}", "{links: ['other:o', another]}"),
]
DEPENDS_ON_ANOTHER = "{depends_on: {another: {condition: service_started, required: true}}}"
# The same for what stands beside the services; the names in it are not those of the services' words.
BESIDE: list[tuple[str, str, str]] = [
    ("{volumes: {a: }}", "{volumes: {a: {driver: x}, b: }}", "{volumes: {a: {driver: x}, b: }}"),
    ("{volumes: {c: {labels: [x=1]}}}", "{volumes: {c: {labels: {x: 2}}}}", "{volumes: {c: {labels: {x: 2}}}}"),
    (
        "{networks: {n: {internal: true}}}",
        "{networks: {n: {labels: [l]}}}",
        "{networks: {n: {internal: true, labels: {l: ''}}}}",
    ),
    (
        "{networks: {m: {ipam: {config: [{subnet: 10.1.0.0/16}]}}}}",
        "{networks: {m: {ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.9}]}}}}",
        "{networks: {m: {ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.9}]}}}}",
    ),
    ("{configs: {f: {content: a}}}", "{configs: {f: {content: b}}}", "{configs: {f: {content: b}}}"),
    (
        "{secrets: {s: {file: /a}}}",
        "{secrets: {s: {file: /b}, t: {environment: T}}}",
        "{secrets: {s: {file: /b}, t: {environment: T}}}",
    ),
    ("{x-mine: 1}", "{x-mine: 2}", "{x-mine: 2}"),
]


def tree(text: str) -> Any:
    return yaml.safe_load(text)


@pytest.mark.parametrize(("base", "over", "result"), MERGES)
def test_a_services_words_merge_as_compose_merges_them(base: str, over: str, result: str) -> None:
    found = merged({"services": {"a": tree(base)}}, {"services": {"a": tree(over)}})
    assert found == {"services": {"a": tree(result)}}


@pytest.mark.parametrize(("base", "over", "result"), BESIDE)
def test_what_is_beside_the_services_merges_too(base: str, over: str, result: str) -> None:
    assert merged(tree(base), tree(over)) == tree(result)


@pytest.mark.parametrize(
    ("base", "over", "where"),
    [
        ("{deploy: {resources: {a: 1}}}", "{deploy: {resources: [a]}}", "services.a.deploy.resources"),
        ("{cap_add: [A]}", "{cap_add: {A: 1}}", "services.a.cap_add"),
        ("{cap_add: [A]}", "{cap_add: A}", "services.a.cap_add"),
        ("{image: a}", "{image: [a]}", "services.a.image"),
    ],
)
def test_what_does_not_fit_together_is_refused(base: str, over: str, where: str) -> None:
    with pytest.raises(UsageError) as caught:
        merged({"services": {"a": tree(base)}}, {"services": {"a": tree(over)}})
    assert caught.value.where.endswith(where) and caught.value.fix


def test_nothing_is_changed_in_what_is_merged() -> None:
    base, over = tree("{services: {a: {labels: {b: c}}}}"), tree("{services: {a: {labels: [b=d]}}}")
    merged(base, over)
    assert (base, over) == (tree("{services: {a: {labels: {b: c}}}}"), tree("{services: {a: {labels: [b=d]}}}"))


def test_no_without_quotes_is_the_restart_policy_that_was_meant() -> None:
    assert merged({}, tree("{services: {a: {restart: no}}}")) == {"services": {"a": {"restart": "no"}}}


# ---------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """``docker compose``, which needs no engine to merge."""
    argv = ["docker", "compose"]
    if not shutil.which("docker") or subprocess.run([*argv, "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not here: on Debian run .ci/engines as root")
    return argv


def config(compose: list[str], folder: Path, *trees: Any) -> Any:
    """What Compose makes of files, one over the other."""
    files = []
    for number, one in enumerate(trees):
        path = folder / f"{number}.yaml"
        path.write_text(one if isinstance(one, str) else yaml_text(one))
        files += ["--file", str(path)]
    argv = [*compose, "--project-name", "demo", *files, "--profile", "*", "config"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return in_order(yaml.safe_load(done.stdout))


def in_order(found: Any) -> Any:
    """Lists in which the order says nothing, sorted: Compose sorts some of them itself."""
    if isinstance(found, dict):
        return {
            name: value if name in ("command", "entrypoint", "test") else in_order(value)
            for name, value in found.items()
        }
    return sorted(map(in_order, found), key=repr) if isinstance(found, list) else found


def differences(compose: list[str], folder: Path, base: Any, over: Any) -> dict[str, Any]:
    """What of our merge Compose reads otherwise than its own: ours and its, by section and name."""
    ours, its = config(compose, folder, merged(base, over)), config(compose, folder, base, over)
    sections = [one for one in {**ours, **its} if ours.get(one) != its.get(one)]
    return {
        f"{section}.{name}": (ours[section].get(name), its[section].get(name))
        for section in sections
        for name in {**ours[section], **its[section]}
        if ours[section].get(name) != its[section].get(name)
    }


BASE = {"other": {"image": "o"}, "another": {"image": "o"}}
DECLARED = tree("""
volumes: {va: , vb: , vc: }
networks: {one: , two: }
configs: {c: {content: x}, c2: {content: x}}
secrets: {c: {file: /c}, d: {file: /d}}
""")


def file_of(services: dict[str, Any]) -> dict[str, Any]:
    """A whole file with these services."""
    return {"services": {**BASE, **services}, **DECLARED}


def test_compose_itself_merges_the_words_so(compose: list[str], tmp_path: Path) -> None:
    pairs = {f"s{number}": (tree(base), tree(over)) for number, (base, over, _) in enumerate(MERGES)}
    base = file_of({name: {"image": "i", **one} for name, (one, _) in pairs.items()})
    over = {"services": {name: one for name, (_, one) in pairs.items()}}
    assert differences(compose, tmp_path, base, over) == {}


def test_compose_itself_merges_what_is_beside_so(compose: list[str], tmp_path: Path) -> None:
    base, over = together(tree(one) for one, _, _ in BESIDE), together(tree(one) for _, one, _ in BESIDE)
    # Compose leaves out what nobody uses.
    uses = tree("{image: i, networks: [n, m], configs: [f], secrets: [s, t], volumes: ['a:/a', 'b:/b', 'c:/c']}")
    base = {"services": {"web": uses}, **base}
    assert differences(compose, tmp_path, base, over) == {}


# A service of one file, its words in another with tags, and the service that they are together.
INSTEAD_OF: list[tuple[str, str, str]] = [
    ("{ports: ['80:80']}", "{ports: !reset []}", "{}"),
    ("{ports: ['80:80']}", "{ports: !reset null}", "{}"),
    ("{ports: ['80:80']}", "{ports: !reset }", "{}"),
    ("{ports: ['80:80']}", "{ports: !reset ['81:81']}", "{}"),
    ("{ports: ['80:80', '81:81']}", "{ports: !override ['82:82']}", "{ports: ['82:82']}"),
    ("{}", "{ports: !override ['82:82'], labels: !reset {a: b}}", "{ports: ['82:82']}"),
    ("{environment: {A: '1', B: '2'}}", "{environment: {A: !reset null, C: '3'}}", "{environment: {B: '2', C: '3'}}"),
    ("{environment: {A: '1', B: '2'}}", "{environment: !override [C=3]}", "{environment: {C: '3'}}"),
    ("{environment: [A=1]}", "{environment: !override {C: '3'}}", "{environment: {C: '3'}}"),
    ("{dns: 1.1.1.1}", "{dns: !override 8.8.8.8}", "{dns: [8.8.8.8]}"),
    ("{image: a}", "{image: !override b}", "{image: b}"),
    ("{labels: {n: '0'}}", "{labels: {n: !override '1'}}", "{labels: {n: '1'}}"),
    ("{read_only: true}", "{read_only: !reset false}", "{}"),
    ("{command: [a]}", "{command: !reset null}", "{}"),
    (
        "{deploy: {resources: {limits: {cpus: '1', memory: 1g}}}}",
        "{deploy: {resources: {limits: {cpus: !reset null}}}}",
        "{deploy: {resources: {limits: {memory: 1g}}}}",
    ),
    (
        "{deploy: {resources: {limits: {cpus: '1', memory: 1g}}}}",
        "{deploy: {resources: {limits: !override {pids: 5}}}}",
        "{deploy: {resources: {limits: {pids: 5}}}}",
    ),
    (
        "{healthcheck: {test: [CMD, a], retries: 2}}",
        "{healthcheck: {test: !reset null, retries: !override 5}}",
        "{healthcheck: {retries: 5}}",
    ),
    ("{depends_on: [other, another]}", "{depends_on: {other: !reset null}}", DEPENDS_ON_ANOTHER),
    ("{networks: [one, two]}", "{networks: {two: !reset null}}", "{networks: {one: }}"),
    ("{image: a, tty: true, expose: ['80']}", "!override {image: b}", "{image: b}"),
    ("{volumes: ['va:/x', 'vb:/y']}", "{volumes: !override ['vc:/x']}", "{volumes: ['vc:/x']}"),
]


def read_words(text: str) -> Any:
    """Words of Compose with tags, as the settings have them."""
    document = parse(f"compose: {text}".encode(), "lcompose.yaml", TAGGED)
    return with_paths(plain(without_reset(document)), document)["compose"]


def without_paths(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != INSTEAD}


@pytest.mark.parametrize(("base", "over", "result"), INSTEAD_OF)
def test_a_tag_takes_away_what_was_there(base: str, over: str, result: str) -> None:
    found = merged({"services": {"a": tree(base)}}, read_words(f"{{services: {{a: {over}}}}}"))
    assert without_paths(found) == {"services": {"a": tree(result)}}


def test_compose_itself_takes_away_so(compose: list[str], tmp_path: Path) -> None:
    pairs = {f"s{number}": (tree(base), over) for number, (base, over, _) in enumerate(INSTEAD_OF)}
    base = file_of({name: {"image": "i", **one} for name, (one, _) in pairs.items()})
    text = "\n".join(["services:", *(f"  {name}: {over}" for name, (_, over) in pairs.items())])
    ours = config(compose, tmp_path, without_paths(merged(base, read_words(f"\n{indented(text)}"))))
    assert ours == config(compose, tmp_path, base, text)


def indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("{ports: ['1:1']}", "{ports: !reset []}", "{}"),
        ("{ports: !reset []}", "{ports: ['1:1']}", "{ports: ['1:1']}"),
        ("{ports: !override ['9:9']}", "{ports: ['1:1']}", "{ports: ['9:9', '1:1']}"),
        ("{environment: {A: !reset null}}", "{environment: {A: '9'}}", "{environment: {A: '9', B: '2'}}"),
        ("{environment: [A=5]}", "{environment: !override [C=5]}", "{environment: {C: '5'}}"),
    ],
)
def test_of_several_layers_each_takes_away_what_was_there_before(
    compose: list[str], tmp_path: Path, first: str, second: str, result: str
) -> None:
    base = {"services": {"a": tree("{image: i, ports: ['80:80'], environment: {B: '2', A: '1'}}")}}
    layers = [f"{{services: {{a: {one}}}}}" for one in (first, second)]
    found = without_paths(merged(base, together(map(read_words, layers))))
    expected = {**base["services"]["a"], **tree(result)}
    gone = {word for word in ("ports",) if word in first and word not in tree(result)}
    assert found["services"]["a"] == {word: value for word, value in expected.items() if word not in gone}
    assert config(compose, tmp_path, found) == config(compose, tmp_path, base, *layers)


@pytest.mark.parametrize(
    ("base", "over"),
    [
        ("{volumes: {va: {labels: {a: b}}}}", "{volumes: {va: !override {name: x}}}"),
        ("{networks: {one: {internal: true}}}", "{networks: {one: {internal: !reset null, labels: [a]}}}"),
        ("{secrets: {c: {file: /c}}}", "{secrets: {c: !override {environment: C}}}"),
        ("{secrets: {c: {file: /c}}}", "{secrets: {c: {file: !reset null, environment: C}}}"),
    ],
)
def test_compose_itself_takes_away_so_beside_the_services(
    compose: list[str], tmp_path: Path, base: str, over: str
) -> None:
    uses = tree("{image: i, networks: [one], secrets: [c], volumes: ['va:/x']}")
    whole = {
        "services": {"web": uses},
        "volumes": {"va": None},
        "networks": {"one": None},
        "secrets": {"c": {"file": "/c"}},
    }
    start = {**whole, **tree(base)}
    found = config(compose, tmp_path, without_paths(merged(start, read_words(over))))
    assert found == config(compose, tmp_path, start, over)


NAMES = st.sampled_from(["A", "B", "C"])
VALUES = st.sampled_from(["", "x", "y=z", "0"])
TEXTS = st.dictionaries(NAMES, VALUES, max_size=3) | st.lists(
    st.builds(lambda name, value: f"{name}={value}", NAMES, VALUES), unique_by=lambda one: one[0], max_size=3
)
PORTS = st.sampled_from(["80", "8080:80", "127.0.0.1:8080:80", "8080:80/udp", "[::1]:80:80"])
MOUNTS = st.sampled_from(["va:/x", "vb:/x:ro", "/h:/x", "/only", "vc:/y"])
SERVICE = st.fixed_dictionaries(
    {"image": st.sampled_from(["i", "j"])},
    optional={
        "environment": TEXTS,
        "labels": TEXTS,
        "command": st.sampled_from(["a b", ["c"], []]),
        "ports": st.lists(PORTS, unique=True),
        "volumes": st.lists(MOUNTS, unique_by=lambda one: fields(one)[:2][-1]),
        "cap_add": st.lists(NAMES, unique=True),
        "tmpfs": st.sampled_from(["/t", ["/t", "/u"]]),
        "depends_on": st.sampled_from([["other"], {"other": {"condition": "service_healthy"}}, ["other", "another"]]),
        "networks": st.sampled_from([["one"], ["one", "two"], {"two": {"aliases": ["x"]}}]),
        "logging": st.sampled_from([{"driver": "a", "options": {"k": "v"}}, {"driver": "b"}, {"options": {"l": "w"}}]),
        "mem_limit": st.sampled_from(["1g", "2g"]),
    },
)


@given(st.lists(st.tuples(SERVICE, SERVICE), min_size=40, max_size=40))
@settings(max_examples=4)
def test_whatever_is_merged_compose_reads_the_same(
    compose: list[str], tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[Any, Any]]
) -> None:
    base = file_of({f"s{number}": one for number, (one, _) in enumerate(pairs)})
    over = {"services": {f"s{number}": one for number, (_, one) in enumerate(pairs)}}
    folder = tmp_path_factory.mktemp("merged")
    assert differences(compose, folder, base, over) == {}


# ---------------------------------------------------------------- paths


FROM_HOME = """
services:
  a:
    build: ./src
    env_file: a.env
    volumes:
    - ./data:/data:ro
    - named:/x
    - /abs:/y
    - ~/z:/z
    - ${V}:/v
    - ./${V:-a:b}:/w
    - {type: bind, source: f, target: /f}
  b:
    build: {context: src, additional_contexts: {x: ./x, y: 'docker-image://y'}}
    env_file: [a.env, {path: b.env}]
  c: {build: 'https://example.com/x.git', volumes: [{type: volume, source: named, target: /x}]}
configs: {k: {file: k.txt}, l: {content: x}}
secrets: {s: {file: ../s.txt}}
volumes: {named: {driver_opts: {o: bind, device: ./d}}, other: }
"""
FROM_ELSEWHERE = """
services:
  a:
    build: HOME/src
    env_file: [HOME/a.env]
    volumes:
    - HOME/data:/data:ro
    - named:/x
    - /abs:/y
    - ~/z:/z
    - ${V}:/v
    - HOME/${V:-a:b}:/w
    - {type: bind, source: HOME/f, target: /f}
  b:
    build: {context: HOME/src, additional_contexts: {x: HOME/x, y: 'docker-image://y'}}
    env_file: [HOME/a.env, {path: HOME/b.env}]
  c: {build: 'https://example.com/x.git', volumes: [{type: volume, source: named, target: /x}]}
configs: {k: {file: HOME/k.txt}, l: {content: x}}
secrets: {s: {file: UP/s.txt}}
volumes: {named: {driver_opts: {o: bind, device: HOME/d}}, other: }
"""


@pytest.mark.parametrize(
    ("directory", "absolute", "home", "up"),
    [
        ("/my/here", False, ".", ".."),
        ("/my/here/deploy", False, "..", "../.."),
        ("/elsewhere/far/away", False, "/my/here", "/my"),
        ("/my/here/deploy", True, "/my/here", "/my"),
    ],
)
def test_paths_start_from_the_persons_folder_wherever_the_file_lies(
    directory: str, absolute: bool, home: str, up: str
) -> None:
    found = relocated(tree(FROM_HOME), seen_from("/my/here", directory, absolute=absolute))
    assert found == tree(FROM_ELSEWHERE.replace("HOME", home).replace("UP", up))


def test_a_dollar_in_the_name_of_the_folder_is_no_variable() -> None:
    assert seen_from("/my/$here", "/state", absolute=True)("x") == "/my/$$here/x"


@pytest.mark.parametrize(
    ("text", "found"),
    [("a:b:c", ["a", "b", "c"]), ("${A:-b:c}:d", ["${A:-b:c}", "d"]), ("[::1]:80:80", ["[::1]", "80", "80"])],
)
def test_colons_inside_of_something_do_not_separate(text: str, found: list[str]) -> None:
    assert fields(text) == found


def test_what_a_service_mounts_of_the_host_is_known() -> None:
    said = tree("""
      volumes:
      - ./a:/a:ro,z
      - /b:/b:rw
      - ~/c:/c
      - named:/d:ro
      - /only
      - {type: bind, source: /e, target: /e, read_only: true}
      - {type: volume, source: v, target: /f}
    """)
    assert list(binds(said)) == [("./a", True), ("/b", False), ("~/c", False), ("/e", True)]


# ---------------------------------------------------------------- over what is rendered


WEB = Service("web", "web:1", after=("db",), mounts=(DocumentMount("a.yaml", "/app/a.yaml"),))
PLACE = Place("/my/here", {}, "/my/here")


def bundle_of(said: str, target: str = "docker", form: Form = "inline", place: Place = PLACE) -> Bundle:
    """What is rendered of a project of two services with words of Compose over it."""
    documents = (Derived("a.yaml", "web/a.yaml", {"a": 1}),)
    project = Project("demo", (Service("db", "db:1"), WEB), documents, compose=(tree(said),))
    return translate(project, TargetFacts(target, form), place)


def rendered(said: str, target: str = "docker", form: Form = "inline", place: Place = PLACE) -> Any:
    """The same as a tree."""
    return yaml.safe_load(bundle_of(said, target, form, place).main.text)


BETWEEN = """
services:
  mcp: {image: m, depends_on: [db], volumes: ['./m:/m']}
  web: {depends_on: {mcp: {condition: service_healthy}}, environment: {A: b}}
"""


def test_further_services_stand_beside_ours_and_ours_keep_their_labels() -> None:
    found = rendered(BETWEEN)["services"]
    assert list(found) == ["db", "web", "mcp"]
    assert found["mcp"] == {
        "image": "m",
        "depends_on": {"db": {"condition": "service_started", "required": True}},
        "volumes": ["./m:/m"],
        "labels": {"lcompose.after": "db"},
    }
    before = rendered("{}")["services"]
    assert found["db"] == before["db"]
    changed = {"labels", "depends_on", "environment"}
    assert {name: value for name, value in found["web"].items() if name not in changed} == {
        name: value for name, value in before["web"].items() if name not in changed
    }
    assert found["web"]["labels"] == {**before["web"]["labels"], "lcompose.after": "db,mcp"}
    assert found["web"]["depends_on"] == {
        "db": {"condition": "service_started"},
        "mcp": {"condition": "service_healthy"},
    }


def test_without_further_words_nothing_changes() -> None:
    assert bundle_of("{}") == translate(
        Project("demo", (Service("db", "db:1"), WEB), (Derived("a.yaml", "web/a.yaml", {"a": 1}),)),
        TargetFacts(),
        PLACE,
    )


def test_the_digest_of_a_service_changes_with_its_words() -> None:
    first, second = (dict(bundle_of(said).services) for said in (BETWEEN, BETWEEN.replace("A: b", "A: c")))
    assert first["web"] != second["web"]
    assert (first["db"], first["mcp"]) == (second["db"], second["mcp"])


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("{services: {x: {image: a, depends_on: [gone]}}}", "there is no service 'gone'"),
        ("{services: {web: {volumes: ['./x:/app/a.yaml']}}}", "/app/a.yaml is where lcompose puts a document"),
        ("{services: {web: {configs: [{source: x, target: /app/a.yaml}]}}}", "/app/a.yaml is where lcompose puts"),
        ("{configs: {a: {content: x}}}", "the config 'a' is one of lcompose's own"),
    ],
)
def test_what_would_break_ours_is_refused(said: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        rendered(said)
    assert caught.value.what.startswith(what) and caught.value.fix
    assert caught.value.where.startswith("compose in lcompose.yaml: ")


def test_who_need_not_be_there_may_be_missing() -> None:
    rendered("{services: {x: {image: a, depends_on: {no: {condition: service_started, required: false}}}}}")


def test_what_ours_publish_may_be_other_ports_and_nothing_tells_of_the_tag() -> None:
    own = Service("web", "web:1", ports=(Port("127.0.0.1", 8080, 80),))
    words = read_words("{services: {web: {ports: !override ['9:80'], restart: !reset null}, gone: !reset null}}")
    text = translate(Project("demo", (own,), compose=(words,)), TargetFacts(), PLACE).main.text
    web = yaml.safe_load(text)["services"]["web"]
    assert (web["ports"], "restart" in web) == (["9:80"], False)
    assert list(yaml.safe_load(text)["services"]) == ["web"]
    assert INSTEAD not in text and "!" not in text


def test_a_volume_of_ours_may_be_another_and_not_none() -> None:
    own = Service("web", "web:1", mounts=(VolumeMount("data", "/data"),))
    project = Project("demo", (own,), volumes=("data",), compose=(read_words("{volumes: {data: !reset null}}"),))
    with pytest.raises(UsageError, match="'data' is one of lcompose's own volumes"):
        translate(project, TargetFacts(), PLACE)
    another = replace(project, compose=(read_words("{volumes: {data: !override {external: true}}}"),))
    assert yaml.safe_load(translate(another, TargetFacts(), PLACE).main.text)["volumes"] == {"data": {"external": True}}


def test_a_path_behind_a_tag_starts_from_the_persons_folder_too() -> None:
    words = read_words(
        "{services: {m: {image: m, volumes: !override ['./m:/m']}}, secrets: {s: !override {file: ./s}}}"
    )
    found = relocated(words, seen_from("/my/here", "/far/away/from", absolute=False))
    assert found["services"]["m"]["volumes"] == ["/my/here/m:/m"]
    assert found["secrets"] == {"s": {"file": "/my/here/s"}}


def test_what_is_said_of_a_service_is_known_though_it_is_taken_away() -> None:
    words = read_words("{services: {web: {ports: !reset [], tty: true}, gone: !reset null}}")
    assert said_of([words]) == {"web": {"tty": True, "ports": None}}


def test_a_folder_elsewhere_still_finds_the_persons_files() -> None:
    found = rendered(BETWEEN, form="folder", place=Place("/my/here/deploy", {}, "/my/here"))
    assert found["services"]["mcp"]["volumes"] == ["../m:/m"]


# ---------------------------------------------------------------- for Podman


def test_for_podman_nothing_depends_and_variables_go_by_name() -> None:
    said = """
    services:
      mcp:
        image: m
        depends_on: [db]
        volumes: ['./m:/m']
        environment: {MY_TOKEN: , URL: '${URL:-http://x}', KEY: '${KEY:?set it}', PLAIN: x, MODE: 'a${B}'}
    """
    bundle = bundle_of(said, "podman", "run", Place("/state", {}, "/my/here"))
    assert yaml.safe_load(bundle.main.text)["services"]["mcp"] == {
        "image": "m",
        "volumes": ["/my/here/m:/m"],
        "labels": {"lcompose.variables-digest": "${LCOMPOSE_VARIABLES_DIGEST:-}", "lcompose.after": "db"},
        "environment": {"PLAIN": "x", "MODE": "a${B}"},
    }
    by_name = (EnvRef("MY_TOKEN"), EnvRef("URL", "http://x"), EnvRef("KEY"))
    assert dict(bundle.inherited)["mcp"] == by_name


def test_for_podman_a_secret_under_another_name_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        bundle_of("{services: {m: {image: m, environment: {A_TOKEN: '${B}'}}}}", "podman", "run")
    assert caught.value.where == "compose in lcompose.yaml: services.m.environment.A_TOKEN"


def test_podman_composes_own_file_keeps_the_order() -> None:
    found = rendered(BETWEEN, "podman", "folder")["services"]
    assert list(found["mcp"]["depends_on"]) == ["db"]


def test_podman_composes_own_file_mounts_what_is_a_config_in_a_file() -> None:
    said = """
    services:
      m: {image: m, volumes: ['v:/v'], configs: [x, {source: y, target: /etc/y}], secrets: [s]}
    configs: {x: {file: x.txt}, y: {file: /abs/y}}
    secrets: {s: {file: ./s}}
    volumes: {v: }
    """
    found = rendered(said, "podman", "folder", Place("/my/here/out", {}, "/my/here"))["services"]["m"]
    shared = {"create_host_path": False, "selinux": "z"}
    assert found["volumes"] == [
        "v:/v",
        {"type": "bind", "source": "../x.txt", "target": "/x", "read_only": True, "bind": shared},
        {"type": "bind", "source": "/abs/y", "target": "/etc/y", "read_only": True, "bind": shared},
    ]
    assert (found["secrets"], "configs" in found) == (["s"], False)


@pytest.mark.parametrize(
    ("said", "what", "where"),
    [
        ("{services: {m: {image: m, configs: [x]}}, configs: {x: {content: a}}}", "takes no configs that", "m.configs"),
        (
            "{services: {m: {image: m, secrets: [{source: x, target: y}]}}, secrets: {x: {environment: A}}}",
            "takes no secrets that",
            "m.secrets",
        ),
        ("{services: {m: {image: m, configs: [x]}}}", "no file is named for the config 'x'", "configs.x"),
    ],
)
def test_podman_composes_own_file_takes_nothing_that_is_in_no_file(said: str, what: str, where: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        rendered(said, "podman", "folder")
    assert caught.value.where.endswith(where) and "file: ./PATH" in caught.value.fix


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ("A", "")),
        ("$A", ("A", "")),
        ("${A}", ("A", "")),
        ("${A:-b c}", ("A", "b c")),
        ("${A:?why}", ("A", "")),
        ("${A?why}", ("A", "")),
        ("${A-b}", None),
        ("${A:-${B}}", None),
        ("${B}", None),
        ("x${A}", None),
        ("$$A", None),
        (5, None),
    ],
)
def test_a_variable_is_passed_on_where_it_has_the_same_name(value: Any, found: Any) -> None:
    assert passed_on("A", value) == found


def test_all_that_a_service_waits_for_is_known() -> None:
    said = tree("{depends_on: {a: }, links: ['b:x'], network_mode: 'service:c', pid: host, ipc: 'service: d'}")
    assert list(waits_for(said)) == ["a", "b", "c", "d"]


def test_all_that_is_mounted_is_known() -> None:
    said = tree("{volumes: ['a:/x/:ro', /y, {type: bind, target: /z}], configs: [c, {source: d, target: /e}]}")
    assert mount_targets(said) == {"/x", "/y", "/z", "/c", "/e"}


# ---------------------------------------------------------------- what may be said


def complaints(said: str) -> list[str]:
    """What is wrong with an lcompose.yaml whose compose is this."""
    text = f"compose:\n  {said}\n"
    try:
        checked_layer("lcompose.yaml", parse(text.encode(), "lcompose.yaml", TAGGED), FILE)
    except ConfigError as error:
        return [str(found) for found in error.findings]
    return []


OURS = "lightspeed-stack is one of lcompose's own services, which this would break"


@pytest.mark.parametrize(
    ("said", "place", "what"),
    [
        ("{name: x}", "2:4: compose.name", "this may not stand in compose"),
        ("{servces: {}}", "2:4: compose.servces", "this may not stand in compose"),
        ("{include: [x]}", "2:4: compose.include", "this may not stand in compose"),
        ("{services: [a]}", "2:4: compose.services", "input should be a valid dictionary"),
        ("{services: {a: }}", "2:15: compose.services.a", "input should be a valid dictionary"),
        ("{services: {-a: {image: i}}}", "2:15: compose.services.-a", "this cannot be the name of a service"),
        ("{services: {../a: {image: i}}}", "2:15: compose.services.../a", "this cannot be the name of a service"),
        ("{services: {a: {extends: b}}}", "2:19: compose.services.a.extends", "podman-compose reads this otherwise"),
        (
            "{services: {a: {profiles: [b]}}}",
            "2:19: compose.services.a.profiles",
            "nothing would choose Compose's profiles",
        ),
        (
            "{services: {a: {labels: [lcompose.x=1]}}}",
            "2:28: compose.services.a.labels[0]",
            "labels that begin so are lcompose's own",
        ),
        (
            "{services: {a: {labels: {lcompose.x: 1}}}}",
            "2:28: compose.services.a.labels.lcompose.x",
            "labels that begin so are lcompose's own",
        ),
        (
            "{services: {a: {environment: {A: yes}}}}",
            "2:33: compose.services.a.environment.A",
            "this is read as true or false, and must be text",
        ),
        (
            "{services: {a: {ports: [8080:22]}}}",
            "2:27: compose.services.a.ports[0]",
            "a port without quotes may be read as another number",
        ),
        (
            "{services: {a: {volumes: ['${V:-./x}:/x']}}}",
            "2:29: compose.services.a.volumes[0]",
            "this path may be relative, and would start from another folder",
        ),
        ("{x-when: 2025-01-01}", "2:4: compose.x-when", "this is read as a date"),
        ("{x-lcompose-instead: []}", "2:4: compose.x-lcompose-instead", "this may not stand in compose"),
        ("{services: !override {}}", "2:4: compose.services", "!override would take away what lcompose itself makes"),
        ("{volumes: !reset {}}", "2:4: compose.volumes", "!reset would take away what lcompose itself makes"),
        (
            "{services: {a: {image: i, ports: [!reset '80:80']}}}",
            "2:37: compose.services.a.ports[0]",
            "Compose takes no notice of !reset in a list",
        ),
        (
            "{services: {a: {labels: !override }}}",
            "2:19: compose.services.a.labels",
            "there is nothing that !override would put here",
        ),
        ("{services: {lightspeed-stack: !reset null}}", "2:15: compose.services.lightspeed-stack", OURS),
        ("{services: {lightspeed-stack: !override {tty: true}}}", "2:15: compose.services.lightspeed-stack", OURS),
        ("{services: {lightspeed-stack: {image: !reset x}}}", "2:34: compose.services.lightspeed-stack.image", OURS),
        (
            "{services: {lightspeed-stack: {volumes: !reset []}}}",
            "2:34: compose.services.lightspeed-stack.volumes",
            OURS,
        ),
        (
            "{services: {lightspeed-stack: {depends_on: {mcp: !reset null}}}}",
            "2:47: compose.services.lightspeed-stack.depends_on.mcp",
            OURS,
        ),
        (
            "{services: {lightspeed-stack: {networks: {default: !reset null}}}}",
            "2:34: compose.services.lightspeed-stack.networks",
            "the other services would not reach lightspeed-stack",
        ),
        ("{services: {lightspeed-stack: {image: x}}}", "2:34: compose.services.lightspeed-stack.image", OURS),
        ("{services: {lightspeed-stack: {command: x}}}", "2:34: compose.services.lightspeed-stack.command", OURS),
        ("{services: {lightspeed-stack: {scale: 2}}}", "2:34: compose.services.lightspeed-stack.scale", OURS),
        (
            "{services: {lightspeed-stack: {deploy: {replicas: 2}}}}",
            "2:43: compose.services.lightspeed-stack.deploy.replicas",
            OURS,
        ),
        (
            "{services: {lightspeed-stack: {networks: [front]}}}",
            "2:34: compose.services.lightspeed-stack.networks",
            "the other services would not reach lightspeed-stack",
        ),
        (
            "{services: {lightspeed-stack: {environment: [LCOMPOSE_X=1]}}}",
            "2:48: compose.services.lightspeed-stack.environment[0]",
            "variables that begin so are lcompose's own",
        ),
    ],
)
def test_what_may_not_be_said_is_told_with_its_place(said: str, place: str, what: str) -> None:
    (found,) = complaints(said)
    first, fix = found.split("\n")
    assert first == f"lcompose.yaml:{place}: error: {what}"
    assert fix.strip()


@pytest.mark.parametrize(
    "said",
    [
        "{}",
        "{x-mine: [1], volumes: {a: }, networks: {b: }, configs: {}, secrets: {s: {file: f}}}",
        "{services: {a: {image: i, labels: [x=1], ports: ['80:80'], x-lcompose: {role: oneshot}, scale: 2}}}",
        "{services: {lightspeed-stack: {networks: [default, front], user: '1', restart: no}}, networks: {front: }}",
        "{services: {lightspeed-stack: {networks: {default: , front: }}}}",
        "{services: {a: {volumes: ['${V}:/x', './${V:-x}:/y']}}}",
        "{services: {a: !reset null, b: !override {image: i}, c: {image: !override i, labels: !reset {}}}}",
        "{services: {lightspeed-stack: {ports: !override ['1:1'], restart: !reset null, labels: {x: !reset null}}}}",
        "{services: {lightspeed-stack: {deploy: {resources: {limits: !override {memory: 1g}}}}}}",
        "{volumes: {a: !reset null}}",
        "{x-a: !override [a]}",
    ],
)
def test_what_may_be_said_is_no_error(said: str) -> None:
    assert complaints(said) == []


def test_the_words_of_all_layers_come_in_their_order() -> None:
    texts = ["compose: {x-a: 1}", "engine: docker", "compose: {x-a: 2, services: {}}"]
    layers = [checked_layer(text, parse(text.encode(), "f"), FILE) for text in texts]
    assert resolve_settings(layers).compose == ({"x-a": 1}, {"x-a": 2, "services": {}})
    assert resolve_settings([]).compose == ()


# ---------------------------------------------------------------- what must be ready


SPEC = GateSpec(
    "demo",
    (
        Gated("db", role="server", image="db:1"),
        Gated("web", Probe(80), role="server", depends=(Dependency("db", "healthy"),)),
    ),
)


def gated(said: str, reading: str = "") -> GateSpec:
    """What must be ready with these words; an engine reads of them what is said, but no depends_on."""
    services = together([{"services": tree(said)}])["services"]
    read = {
        name: {word: value for word, value in one.items() if word != "depends_on"} for name, one in services.items()
    }
    return with_overlay(SPEC, services, {"services": read}, "lcompose.yaml")


def test_the_gate_knows_further_services_and_who_waits_for_whom() -> None:
    found = gated("""
      proxy: {image: p, depends_on: {web: {condition: service_healthy}}, x-lcompose: {probe: {port: 80}}, scale: 2}
      job: {image: j, x-lcompose: {role: oneshot}}
      mcp: {image: m, depends_on: {job: {condition: service_completed_successfully}}}
      web: {depends_on: {mcp: {condition: service_started}}}
    """)
    assert {one.name: one.depends for one in found.services} == {
        "db": (),
        "job": (),
        "mcp": (Dependency("job", "completed"),),
        "web": (Dependency("db", "healthy"), Dependency("mcp", "started")),
        "proxy": (Dependency("web", "healthy"),),
    }
    names = [one.name for one in found.services]
    assert [name for name in names if name != "db"] == ["job", "mcp", "web", "proxy"]
    assert (found.service("proxy").probe, found.service("proxy").replicas) == (Probe(80), 2)
    assert (found.service("job").role, found.service("mcp").role) == ("oneshot", "")


def test_ours_keep_how_they_are_asked_and_take_what_is_said_anew() -> None:
    web = gated("web: {restart: always, ports: ['9:9'], stop_grace_period: 7s, depends_on: [db]}").service("web")
    assert (web.probe, web.role) == (Probe(80), "server")
    assert (web.restart, web.ports, web.stop_grace) == ("always", (("0.0.0.0", 9, "tcp"),), 7)
    assert web.depends == (Dependency("db", "started"),)


def test_those_that_wait_for_each_other_are_still_there_to_be_told() -> None:
    found = gated("db: {depends_on: [web]}")
    assert {one.name for one in found.services} == {"db", "web"}
    with pytest.raises(ConfigError):
        refuse_impossible(found, "lcompose.yaml", {})


def test_wrong_words_to_lcompose_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        gated("mcp: {image: m, x-lcompose: {rol: oneshot}}")
    assert caught.value.findings[0].path == "services.mcp.x-lcompose.rol"


# ---------------------------------------------------------------- the whole, as an engine reads it


def test_the_stack_is_what_the_engine_reads_of_the_whole(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (folder / "run.yaml").write_text(RUN)
    own = (
        "compose: {services: {mcp: {image: '${I:-m}'}, llama-stack: {depends_on: {mcp: {condition: service_healthy}}}}}"
    )
    (folder / "lcompose.yaml").write_text(own)
    reading = "services: {mcp: {image: m, environment: {API_KEY: abcdef}}, llama-stack: {image: x}, lightspeed-stack: }"
    env = docker(folder, reading)
    stack = open_rendered(Options(directory=str(folder)), env)
    assert [one.name for one in stack.spec.services] == ["lightspeed-stack", "mcp", "llama-stack"]
    assert (stack.spec.service("mcp").image, stack.spec.service("mcp").check) == ("m", None)
    assert stack.spec.service("llama-stack").depends == (Dependency("mcp", "healthy"),)
    assert stack.spec.service("llama-stack").probe
    assert stack.secrets.redact("abcdef") == "<API_KEY>"
    assert set(stack.wanted("salt").digests) == {"llama-stack", "lightspeed-stack", "mcp"}
    assert stack.bundle and "mcp" in stack.bundle.main.text
    assert not (tmp_path / "state").exists()
    assert open_rendered(Options(directory=str(folder)), env).digests("salt") == stack.digests("salt")


def test_what_composes_reading_refuses_is_told_as_a_mistake_in_compose(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (folder / "run.yaml").write_text(RUN)
    (folder / "lcompose.yaml").write_text("compose: {services: {mcp: {imagge: m}}}")
    with pytest.raises(UsageError, match="Additional property") as caught:
        open_rendered(Options(directory=str(folder)), docker(folder, "services.mcp Additional property", code=15))
    assert caught.value.where == "compose in lcompose.yaml"


def test_what_names_files_beside_it_is_read_from_where_these_lie(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    # Digits cannot be a variable, so the document is private and lies in a file.
    secret = LIGHTSPEED.replace('8321"}', '8321", api_key: "12345678"}')
    (folder / "lightspeed-stack.yaml").write_text(secret)
    (folder / "run.yaml").write_text(RUN)
    (folder / "lcompose.yaml").write_text("compose: {services: {mcp: {image: m, volumes: ['./site:/site']}}}")
    stack = open_rendered(Options(directory=str(folder)), docker(folder, "services: {mcp: {image: m}}"))
    assert stack.bundle and len(stack.bundle.documents) > 1
    assert stack.compose.directory == stack.place
    (mount,) = yaml.safe_load(stack.bundle.main.text)["services"]["mcp"]["volumes"]
    assert Path(stack.place, mount.split(":")[0]).resolve() == folder / "site"
