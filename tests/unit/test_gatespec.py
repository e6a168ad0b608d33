"""What the gate must know: from a Project, from a file as an engine's compose reads it, and from images."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lcompose.errors import ConfigError, Finding
from lcompose.gatespec import refuse_impossible, seconds, spec_of_project, spec_of_reading, with_images
from lcompose.spec.project import Dependency, Healthcheck, Port, Probe, Project, Service
from lcompose.spec.run import Gated, GateSpec, ImageInfo

FILE = "compose.yaml"


def spec(text: str) -> GateSpec:
    """What must be ready of a compose file."""
    return spec_of_reading("demo", yaml.safe_load(text) or {}, FILE, 60)


def web(text: str = "") -> Gated:
    """One service, of which a file says so much."""
    return spec_of_reading("demo", {"services": {"web": yaml.safe_load(text)}}, FILE, 60).service("web")


def findings(error: ConfigError) -> list[str]:
    """Where something is wrong, and what."""
    return [f"{one.path}: {one.what}" for one in error.findings]


# ---------------------------------------------------------------- durations


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("10s", 10),
        ("1m30s", 90),
        ("1h", 3600),
        ("1h0m1s", 3601),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("1.5s", 1.5),
        ("1.5h", 5400),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("1s5ns", 1.000000005),
        (" 5s ", 5),
        ("0s", 0),
        (7, 7),
        (2.5, 2.5),
        (None, 99),
        ("", 99),
        ("soon", 99),
        ("5", 99),
        ("5s soon", 99),
        ("-5s", 99),
    ],
)
def test_a_duration_is_read_in_composes_words(said: Any, expected: float) -> None:
    assert seconds(said, 99) == pytest.approx(expected)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_whatever_go_writes_is_read(hours: int, minutes: int, whole: int, thousandths: int) -> None:
    text = f"{hours}h{minutes}m{whole}.{thousandths:03}s"
    assert seconds(text, -1) == pytest.approx(hours * 3600 + minutes * 60 + whole + thousandths / 1000)


@given(st.text("0123456789hmsuµn. -", max_size=12))
def test_nothing_that_looks_like_a_duration_is_an_error(text: str) -> None:
    assert seconds(text, 99) >= 0


# ---------------------------------------------------------------- a Project


def test_the_services_of_a_project_are_started_side_by_side() -> None:
    check = Healthcheck(("CMD", "true"))
    project = Project(
        "demo",
        (
            Service("db", "db:1", healthcheck=check, restart="on-failure:3", ports=(Port("127.0.0.1", 15432, 5432),)),
            Service("web", "web:1", probe=Probe(80), after=("db",), pull_policy="always", stop_grace=20),
        ),
    )
    assert spec_of_project(project, 120) == GateSpec(
        "demo",
        (
            Gated(
                "db",
                check=check,
                role="server",
                restart="on-failure",
                image="db:1",
                pull_policy="missing",
                ports=(("127.0.0.1", 15432, "tcp"),),
            ),
            Gated("web", Probe(80), role="server", image="web:1", pull_policy="always", stop_grace=20),
        ),
        120,
        3.0,
    )


def test_a_service_of_a_project_that_is_ordered_waits_until_the_others_are_healthy() -> None:
    project = Project("demo", (Service("db", "db:1"), Service("web", "web:1", after=("db",), ordered=True)))
    assert spec_of_project(project, 120).service("web").depends == (Dependency("db", "healthy"),)


# ---------------------------------------------------------------- a file


@pytest.mark.parametrize("text", ["", "services:", "services: {}"])
def test_a_file_without_services_has_nothing_to_wait_for(text: str) -> None:
    assert spec(text) == GateSpec("demo", (), 60)


def test_a_service_of_which_nothing_is_said_is_plain() -> None:
    assert web() == Gated("web")


def test_a_service_is_read_whole() -> None:
    text = """
    image: team/web:1
    build: .
    pull_policy: build
    restart: unless-stopped
    scale: 2
    stop_grace_period: 1m30s
    ports: ["8080:80"]
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: [CMD, check], interval: 2s, timeout: 1s, retries: 9, start_period: 1m, start_interval: 500ms}
    x-lcompose: {role: server, gauge: running, probe: {port: 80, path: /health, status: 204}}
    """
    assert web(text) == Gated(
        "web",
        probe=Probe(80, "/health", status=204),
        check=Healthcheck(("CMD", "check"), 2, 1, 9, 60, 0.5),
        depends=(Dependency("db", "healthy"),),
        role="server",
        replicas=2,
        restart="unless-stopped",
        image="team/web:1",
        pull_policy="build",
        built=True,
        ports=(("0.0.0.0", 8080, "tcp"),),
        stop_grace=90,
        gauge="running",
    )


@pytest.mark.parametrize(
    ("text", "depends"),
    [
        ("depends_on: [a, b]", (Dependency("a"), Dependency("b"))),
        ("depends_on: {a: }", (Dependency("a"),)),
        ("depends_on: {a: {condition: service_started}}", (Dependency("a", "started"),)),
        ("depends_on: {a: {condition: service_healthy}}", (Dependency("a", "healthy"),)),
        ("depends_on: {a: {condition: service_completed_successfully}}", (Dependency("a", "completed"),)),
        ("depends_on: {a: {condition: service_healthy, required: false}}", (Dependency("a", "healthy", False),)),
        ("network_mode: service:a", (Dependency("a"),)),
        ("ipc: service:a", (Dependency("a"),)),
        ("pid: service:a", (Dependency("a"),)),
        ("network_mode: service:a\nipc: service:b", (Dependency("a"), Dependency("b"))),
        (
            "network_mode: service:a\ndepends_on: {a: {condition: service_healthy}, b: {}}",
            (Dependency("a", "healthy"), Dependency("b")),
        ),
        ("network_mode: host\nipc: host\npid: host", ()),
        ("depends_on:", ()),
        ("depends_on: []", ()),
    ],
)
def test_what_a_service_waits_for_is_said_or_implied(text: str, depends: tuple[Dependency, ...]) -> None:
    assert web(text).depends == depends


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("image: x", "no"),
        ('restart: "no"', "no"),
        ("restart: no", "no"),
        ("restart: always", "always"),
        ("restart: unless-stopped", "unless-stopped"),
        ("restart: on-failure", "on-failure"),
        ("restart: on-failure:5", "on-failure"),
        ("deploy: {restart_policy: {condition: any}}", "always"),
        ("deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}", "on-failure"),
        ("deploy: {restart_policy: {condition: none}}", "no"),
        ("deploy: {restart_policy: {delay: 5s}}", "no"),
        ("deploy: {restart_policy: }", "no"),
        ("deploy: ", "no"),
    ],
)
def test_a_restart_policy_is_read_from_both_places(text: str, policy: str) -> None:
    assert web(text).restart == policy


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("image: x", 1),
        ("scale: 2", 2),
        ("deploy: {replicas: 3}", 3),
        ("scale: 2\ndeploy: {replicas: 2}", 2),
        ("scale: 0", 0),
        ("deploy: {replicas: 0}", 0),
        ('deploy: {replicas: "2"}', 2),
        ("deploy: {resources: {}}", 1),
    ],
)
def test_the_number_of_containers_is_read_from_both_places(text: str, number: int) -> None:
    assert web(text).replicas == number


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("8080:80", ("0.0.0.0", 8080, "tcp")),
        ("127.0.0.1:8080:80", ("127.0.0.1", 8080, "tcp")),
        ("8080:80/udp", ("0.0.0.0", 8080, "udp")),
        ("[::1]:8080:80/udp", ("::1", 8080, "udp")),
        ("[::]:8080:80", ("::", 8080, "tcp")),
        ("80", None),
        (80, None),
        ("0:80", None),
        ("127.0.0.1::80", None),
        ("8000-8001:80-81", None),
        ("8000-8010:80", None),
        ({"target": 80, "published": "8080"}, ("0.0.0.0", 8080, "tcp")),
        ({"target": 80, "published": 8080, "protocol": "udp"}, ("0.0.0.0", 8080, "udp")),
        ({"target": 80, "published": "8080", "host_ip": "127.0.0.1"}, ("127.0.0.1", 8080, "tcp")),
        ({"target": 80, "published": "8080", "host_ip": "::1", "mode": "ingress"}, ("::1", 8080, "tcp")),
        ({"target": 80, "published": "8000-8010"}, None),
        ({"target": 80}, None),
    ],
)
def test_a_port_of_this_machine_is_read_in_both_forms(port: Any, expected: tuple[str, int, str] | None) -> None:
    reading = {"services": {"web": {"ports": [port]}}}
    assert spec_of_reading("demo", reading, FILE, 60).service("web").ports == ((expected,) if expected else ())


SHELL = Healthcheck(("CMD-SHELL", "curl -f x"), 30, 30, 3, 0, 5)


@pytest.mark.parametrize(
    ("text", "check", "unchecked"),
    [
        ("{test: curl -f x}", SHELL, False),
        ("{test: [CMD-SHELL, curl -f x]}", SHELL, False),
        ("{test: [CMD, a, 5]}", Healthcheck(("CMD", "a", "5"), 30, 30, 3, 0, 5), False),
        ("{test: [CMD, a], interval: 0s, timeout: 0, retries: 0}", Healthcheck(("CMD", "a"), 30, 30, 3, 0, 5), False),
        ("{interval: 2s}", Healthcheck((), 2, 0, 0, 0, 0), False),
        ("{disable: true}", None, True),
        ("{test: [CMD, a], disable: true}", None, True),
        ("{test: [NONE]}", None, True),
        ("{disable: false}", Healthcheck((), 0, 0, 0, 0, 0), False),
        ("{}", None, False),
        ("", None, False),
    ],
)
def test_a_health_check_is_read_or_switched_off(text: str, check: Healthcheck | None, unchecked: bool) -> None:
    found = web(f"healthcheck: {text}")
    assert (found.check, found.unchecked) == (check, unchecked)


# ---------------------------------------------------------------- words to us


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("{rol: oneshot}", "services.web.x-lcompose.rol: unknown key"),
        ("{role: job}", "services.web.x-lcompose.role: input should be 'server' or 'oneshot'"),
        ("{probe: {path: /x}}", "services.web.x-lcompose.probe.port: this key must be there"),
        ("{probe: {port: 70000}}", "services.web.x-lcompose.probe.port: "),
        ("{probe: {port: web}}", "services.web.x-lcompose.probe.port: "),
        ("{probe: {port: 80, path: x}}", "services.web.x-lcompose.probe.path: "),
        ("{probe: {port: 80, scheme: ftp}}", "services.web.x-lcompose.probe.scheme: "),
        ("{probe: {port: 80, status: 99}}", "services.web.x-lcompose.probe.status: "),
        ("oneshot", "services.web.x-lcompose: "),
        ("[oneshot]", "services.web.x-lcompose: "),
    ],
)
def test_a_wrong_word_to_us_is_told_with_its_path(text: str, finding: str) -> None:
    with pytest.raises(ConfigError) as caught:
        web(f"x-lcompose: {text}")
    [found] = findings(caught.value)
    assert found.startswith(finding)
    assert caught.value.findings[0].where.file == FILE


def test_wrong_words_of_all_services_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        spec("services: {a: {x-lcompose: {rol: x}}, b: {x-lcompose: {role: x, probe: {}}}, c: {}}")
    paths = [one.path for one in caught.value.findings]
    assert paths == ["services.a.x-lcompose.rol", "services.b.x-lcompose.role", "services.b.x-lcompose.probe.port"]


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_no_word_to_us_is_fine(text: str) -> None:
    assert web(f"x-lcompose: {text}") == Gated("web")


# ---------------------------------------------------------------- images


BUILT_IN = Healthcheck(("CMD", "of", "image"), 9, 8, 7, 6, 5)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("", BUILT_IN),
        ("healthcheck: {interval: 2s}", Healthcheck(("CMD", "of", "image"), 2, 8, 7, 6, 5)),
        ("healthcheck: {retries: 1, start_period: 1m}", Healthcheck(("CMD", "of", "image"), 9, 8, 1, 60, 5)),
        ("healthcheck: {test: [CMD, own]}", Healthcheck(("CMD", "own"), 30, 30, 3, 0, 5)),
        ("healthcheck: {disable: true}", None),
    ],
)
def test_the_check_of_an_image_counts_where_the_file_has_none(text: str, check: Healthcheck | None) -> None:
    reading = {"services": {"web": {"image": "web:1", **(yaml.safe_load(text) or {})}}}
    found = with_images(spec_of_reading("demo", reading, FILE, 60), {"web:1": ImageInfo("1", BUILT_IN)})
    assert found.service("web").check == check
    assert with_images(found, {"web:1": ImageInfo("1", BUILT_IN)}) == found


@pytest.mark.parametrize("images", [{}, {"web:1": ImageInfo("1")}, {"other": ImageInfo("1", BUILT_IN)}])
def test_an_image_without_a_check_adds_none(images: dict[str, ImageInfo]) -> None:
    found = with_images(spec("services: {web: {image: web:1}}"), images)
    assert found.service("web").check is None


# ---------------------------------------------------------------- what can never work


def refusal(text: str, *checked: str, here: tuple[str, ...] = ()) -> list[str]:
    """What is told of a file that can never work; of the images that are here, some have a check."""
    images = {one: ImageInfo(one, BUILT_IN if one in checked else None) for one in (*checked, *here)}
    try:
        refuse_impossible(with_images(spec(text), images), FILE, images)
    except ConfigError as error:
        return findings(error)
    return []


NEVER = "db has no health check, neither in the file nor in its image, so it never becomes healthy"
WAITS = "web: {depends_on: {db: {condition: service_healthy}}}"


@pytest.mark.parametrize(
    ("db", "expected"),
    [
        ("{image: plain}", [f"services.web.depends_on.db: {NEVER}"]),
        ("{image: plain, healthcheck: {interval: 2s}}", [f"services.web.depends_on.db: {NEVER}"]),
        ("{image: checked, healthcheck: {disable: true}}", [f"services.web.depends_on.db: {NEVER}"]),
        ("{image: not-here, healthcheck: {disable: true}}", [f"services.web.depends_on.db: {NEVER}"]),
        ("{image: not-here, healthcheck: {test: [NONE]}}", [f"services.web.depends_on.db: {NEVER}"]),
        # An image that is not here yet may have one, and so may one that is built.
        ("{image: not-here}", []),
        ("{build: .}", []),
        ("{image: checked}", []),
        ("{image: checked, healthcheck: {interval: 2s}}", []),
        ("{image: plain, healthcheck: {test: [CMD, a]}}", []),
        ("{image: plain, x-lcompose: {probe: {port: 80}}}", []),
        ("{image: plain, scale: 0}", []),
    ],
)
def test_nobody_waits_for_what_can_never_be_healthy(db: str, expected: list[str]) -> None:
    assert refusal(f"services: {{db: {db}, {WAITS}}}", "checked", here=("plain",)) == expected


@pytest.mark.parametrize("how", ["{condition: service_started}", "{condition: service_healthy, required: false}", "{}"])
def test_who_does_not_need_it_to_be_healthy_may_wait_for_it(how: str) -> None:
    text = f"services: {{db: {{image: plain}}, web: {{depends_on: {{db: {how}}}}}}}"
    assert refusal(text, here=("plain",)) == []


def test_a_dependency_that_is_not_there_is_told_unless_nobody_requires_it() -> None:
    text = "services: {web: {depends_on: {gone: {}, left: {required: false}}}}"
    assert refusal(text) == ["services.web.depends_on: there is no service 'gone'"]


@pytest.mark.parametrize(
    ("text", "circle"),
    [
        ("{a: {depends_on: [a]}}", "a -> a"),
        ("{a: {depends_on: [b]}, b: {depends_on: [a]}}", "a -> b -> a"),
        (
            "{x: {depends_on: [a]}, a: {depends_on: [b]}, b: {depends_on: [c]}, c: {depends_on: [a]}}",
            "a -> b -> c -> a",
        ),
        ("{a: {network_mode: 'service:b'}, b: {depends_on: [a]}}", "a -> b -> a"),
        ("{a: {depends_on: {b: {required: false}}}, b: {depends_on: [a]}}", "a -> b -> a"),
        ("{free: {}, a: {depends_on: [free, b]}, b: {depends_on: [free, a]}}", "a -> b -> a"),
    ],
)
def test_services_that_wait_for_each_other_are_told_as_a_circle(text: str, circle: str) -> None:
    [found] = refusal(f"services: {text}")
    assert found == f"services.{circle[0]}.depends_on: these services wait for each other: {circle}"


NAMES = st.sampled_from("abcde")


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3, unique=True), max_size=5))
def test_a_circle_is_told_where_there_is_one_and_nowhere_else(graph: dict[str, list[str]]) -> None:
    services = tuple(Gated(name, depends=tuple(Dependency(one) for one in on)) for name, on in graph.items())
    try:
        refuse_impossible(GateSpec("demo", services), FILE, {})
    except ConfigError as error:
        told = [one.what.partition("each other: ")[2].split(" -> ") for one in error.findings if "each" in one.what]
    else:
        told = []
    for circle in told:
        assert circle[0] == circle[-1]
        assert all(after in graph[before] for before, after in pairwise(circle))
    assert bool(told) == (not can_be_ordered(graph))


def can_be_ordered(graph: dict[str, list[str]]) -> bool:
    """Whether one can be started after the other."""
    left = {name: {one for one in on if one in graph} for name, on in graph.items()}
    while free := [name for name, on in left.items() if not on & left.keys()]:
        for name in free:
            del left[name]
    return not left


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        ("8080:80", "8080:81", True),
        ("8080:80", "127.0.0.1:8080:81", True),
        ("127.0.0.1:8080:80", "8080:81", True),
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80", True),
        ("[::]:8080:80", "[::1]:8080:80", True),
        ("127.0.0.1:8080:80", "127.0.0.2:8080:80", False),
        ("0.0.0.0:8080:80", "[::]:8080:80", False),
        ("127.0.0.1:8080:80", "[::1]:8080:80", False),
        ("8080:80", "8081:80", False),
        ("8080:80/tcp", "8080:80/udp", False),
        ("8080-8090:80", "8080-8090:80", False),
        ("80", "80", False),
    ],
)
def test_two_services_on_one_port_of_this_machine_are_told(first: str, second: str, collide: bool) -> None:
    found = refusal(f"services: {{a: {{ports: ['{first}']}}, b: {{ports: ['{second}']}}}}")
    assert found == (["services.b.ports: port 8080 of this machine is also taken by a"] if collide else [])


def test_a_service_may_publish_a_port_on_both_families() -> None:
    assert refusal("services: {a: {ports: ['0.0.0.0:8080:80', '[::]:8080:80']}}") == []


def test_two_containers_of_a_service_cannot_have_one_port() -> None:
    assert refusal("services: {a: {scale: 2, ports: ['8080:80']}}") == [
        "services.a.ports: port 8080 of this machine is also taken by another of its 2 replicas"
    ]


def test_a_service_that_is_scaled_to_0_takes_no_port() -> None:
    assert refusal("services: {a: {scale: 0, ports: ['8080:80']}, b: {ports: ['8080:80']}}") == []


def test_all_that_can_never_work_is_told_at_once() -> None:
    text = """
    services:
      a: {image: plain, depends_on: [b], ports: ["1:1"]}
      b: {image: plain, depends_on: {a: {condition: service_healthy}, gone: {}}, ports: ["1:1"]}
    """
    assert len(refusal(text, here=("plain",))) == 4


def test_a_finding_says_what_to_do() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_impossible(spec(f"services: {{db: {{image: plain}}, {WAITS}}}"), FILE, {"plain": ImageInfo("1")})
    [found] = caught.value.findings
    assert found == Finding(
        found.where,
        "services.web.depends_on.db",
        NEVER,
        "Give db a healthcheck or an x-lcompose probe, or use condition: service_started.",
    )
    assert caught.value.exit_code == 2
