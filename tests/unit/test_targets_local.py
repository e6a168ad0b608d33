"""Containers' words as processes' words: paths, addresses, ports, variables, and what is not said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from lcompose.engines.local_store import spec_of
from lcompose.errors import UsageError
from lcompose.spec.program import Natively, Program
from lcompose.spec.project import (
    AcceleratorRequest,
    Change,
    Dependency,
    Derived,
    DocumentMount,
    FileMount,
    Hardening,
    Healthcheck,
    Limits,
    LogRotation,
    Port,
    Probe,
    Project,
    Service,
    VolumeMount,
)
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import Address, ComposeText, EnvRef
from lcompose.targets import Place, translate
from lcompose.targets.local import localised

WEB = Service(
    "web",
    "team/web:1",
    entrypoint=("serve",),
    command=("-c", "/app/web.yaml"),
    mounts=(
        DocumentMount("web.yaml", "/app/web.yaml"),
        VolumeMount("web-data", "/srv/data"),
        VolumeMount("web-data", "/root/.web"),
        FileMount("/my/prompts", "/srv/data/prompts"),
    ),
    ports=(Port("127.0.0.1", 18080, 8080),),
    probe=Probe(8080, "/ready"),
)
PLACE = Place("/state/demo", {}, "/my")
HOME = Natively((Program("web", ("serve", "-c", "/app/web.yaml"), home="/root"),), "/usr/bin/python3.11")


def facts(natively: Natively = HOME) -> TargetFacts:
    return TargetFacts("local", "run", natively=natively)


def project(*services: Service, tree: Any = None, **more: Any) -> Project:
    return Project("demo", services or (WEB,), (Derived("web.yaml", "web/web.yaml", tree or {}),), **more)


def processes(found: Project, natively: Natively = HOME) -> Any:
    return yaml.safe_load(translate(found, facts(natively), PLACE).main.text)


def web(natively: Natively = HOME, **more: Any) -> Any:
    return processes(project(replace(WEB, **more)), natively)["services"]["web"]


def document(tree: Any, *others: Service, **more: Any) -> Any:
    bundle = translate(project(replace(WEB, **more), *others, tree=tree), facts(), PLACE)
    return yaml.safe_load(next(one.text for one in bundle.documents if one.path == "web/web.yaml"))


def test_a_service_is_a_process_with_everything_that_the_engine_reads() -> None:
    found = web(
        healthcheck=Healthcheck(("CMD", "python3", "-c", "ask(8080)"), interval=10, timeout=5, retries=5),
        after=("db",),
        needs=(Dependency("cache", "healthy"),),
        restart="on-failure:3",
        limits=Limits("1.5", "2g", 200),
        log_rotation=LogRotation("10m", 3),
        stop_grace=30,
        environment=(("PLAIN", "$5"), ("KEY", EnvRef("KEY", required=True))),
    )
    digest = found.pop("digest")
    assert found == {
        "command": ["serve", "-c", "/state/demo/web/web.yaml"],
        "directory": "/my",
        "environment": {"PLAIN": "$5"},
        "inherit": ["KEY"],
        "ports": [["127.0.0.1", 18080]],
        "healthcheck": {
            "test": ["CMD", "/usr/bin/python3.11", "-c", "ask(18080)"],
            "interval": 10, "timeout": 5, "retries": 5, "start_period": 120, "start_interval": 5,
        },
        "probe": {"port": 18080, "path": "/ready", "scheme": "http"},
        "after": ["db", "cache"],
        "restart": "on-failure:3",
        "stop_grace": 30,
        "limits": {"cpus": "1.5", "memory": "2g", "pids": 200},
        "log": {"max_size": "10m", "max_file": 3},
    }  # fmt: skip
    spec = spec_of({**found, "digest": digest}, "0" * 32, "demo", "web", 0)
    assert (spec.ports, spec.restart, spec.most_restarts) == ((("127.0.0.1", 18080),), "on-failure", 3)
    assert spec.probe == Probe(18080, "/ready")


@pytest.mark.parametrize(
    ("said", "here"),
    [
        ("/srv/data", "/state/demo/volumes/web-data"),
        ("/srv/data/x/y.db", "/state/demo/volumes/web-data/x/y.db"),
        # The longest target is meant, not the one around it.
        ("/srv/data/prompts/a.txt", "/my/prompts/a.txt"),
        ("~/.web/kv.db", "/state/demo/volumes/web-data/kv.db"),
        ("/root/.web", "/state/demo/volumes/web-data"),
        ("${env.DIR:=/srv/data}/kv.db", "${env.DIR:=/state/demo/volumes/web-data}/kv.db"),
        ("${env.DIR:=~/.web}/kv.db", "${env.DIR:=/state/demo/volumes/web-data}/kv.db"),
        # None of these is the place.
        ("/srv/data2", "/srv/data2"),
        ("/my/srv/data", "/my/srv/data"),
        ("look into /srv/data", "look into /srv/data"),
        ("http://host/srv/data", "http://host/srv/data"),
        ("srv/data", "srv/data"),
        ("~/.webs", "~/.webs"),
        ("/etc/passwd", "/etc/passwd"),
    ],
)
def test_a_path_in_a_document_is_where_it_is_on_this_machine(said: str, here: str) -> None:
    assert document({"a": [{"b": said}]}) == {"a": [{"b": here}]}


@pytest.mark.parametrize(
    ("said", "here"),
    [
        ("--data=/srv/data/x", "--data=/state/demo/volumes/web-data/x"),
        ("/a:/srv/data:/b", "/a:/state/demo/volumes/web-data:/b"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0:8080", "127.0.0.1:18080"),
        ("8080", "18080"),
        ("18080", "18080"),
        ("80801", "80801"),
        ("/srv/database", "/srv/database"),
    ],
)
def test_words_and_variables_are_those_of_this_machine(said: str, here: str) -> None:
    natively = Natively((Program("web", ("serve", said)),))
    found = web(natively, environment=(("X", said), ("Y", EnvRef("Y", said)), ("Z", ComposeText(said))))
    assert found["command"] == ["serve", here]
    assert (found["environment"], found["defaults"]) == (dict.fromkeys("XZ", here), {"Y": here})


def test_a_service_listens_where_it_is_published() -> None:
    tree = {"service": {"host": "0.0.0.0", "port": 8080}, "other": {"host": "0.0.0.0", "port": 8080}}
    assert document(tree) == {
        "service": {"host": "127.0.0.1", "port": 18080},
        "other": {"host": "0.0.0.0", "port": 8080},
    }
    everywhere = document(tree, ports=(Port("0.0.0.0", 8080, 8080),))
    assert everywhere["service"] == {"host": "0.0.0.0", "port": 8080}


@pytest.mark.parametrize(
    ("ports", "url"),
    [
        ((), "https://127.0.0.1:9000/v1"),
        ((Port("127.0.0.1", 19000, 9000),), "https://127.0.0.1:19000/v1"),
        ((Port("0.0.0.0", 19000, 9000),), "https://127.0.0.1:19000/v1"),
        ((Port("::1", 19000, 9000),), "https://[::1]:19000/v1"),
    ],
)
def test_an_address_is_where_the_other_one_listens(ports: tuple[Port, ...], url: str) -> None:
    other = Service("llm", "l", ports=ports, probe=Probe(9000))
    assert document({"url": Address("llm", 9000, "/v1", "https")}, other) == {"url": url}


def test_two_that_would_listen_on_one_port_are_refused_with_a_free_one() -> None:
    other = Service("llm", "l", probe=Probe(18080))
    with pytest.raises(UsageError) as caught:
        processes(project(WEB, other))
    assert caught.value.what == "web and llm would both listen on port 18080 of this machine"
    assert caught.value.fix == "Take another: --set services.llm.ports=28080:18080"


def test_a_variable_is_passed_on_by_name_with_its_default_whether_it_has_a_value_here_or_not() -> None:
    environment = (("DIR", EnvRef("DIR", "/srv/data")), ("TOKEN", EnvRef("TOKEN")))
    unset = web(environment=environment)
    assert (unset["defaults"], unset["inherit"]) == ({"DIR": "/state/demo/volumes/web-data"}, ["DIR", "TOKEN"])
    assert "environment" not in unset
    assert web(replace(HOME, variables=frozenset({"DIR"})), environment=environment) == unset


def test_a_default_is_meant_where_nobody_set_the_variable_that_goes_by_another_name() -> None:
    environment = (("HERE", EnvRef("DIR", "/srv/data")),)
    assert web(environment=environment)["environment"] == {"HERE": "/state/demo/volumes/web-data"}
    with pytest.raises(UsageError, match="needs DIR under the name HERE"):
        web(replace(HOME, variables=frozenset({"DIR"})), environment=environment)


def test_what_a_program_reads_by_itself_never_overrides_what_the_service_is_given() -> None:
    program = replace(HOME.programs[0], reads=("SSL_CERT_FILE", "HF_HOME"), environment=(("OWN", "1"),))
    found = web(replace(HOME, programs=(program,)), environment=(("SSL_CERT_FILE", "/srv/data/ca.pem"), ("OWN", "0")))
    assert found["environment"] == {"SSL_CERT_FILE": "/state/demo/volumes/web-data/ca.pem", "OWN": "1"}
    assert found["inherit"] == ["HF_HOME"]


def test_no_value_that_may_be_secret_gets_into_a_file() -> None:
    with pytest.raises(UsageError) as caught:
        web(environment=(("URL", ComposeText("http://${PASSWORD}@host")),))
    assert caught.value.fix == "Write 'URL:' without a value, and set the variable URL itself."
    assert web(environment=(("COST", ComposeText("$$5")),))["environment"] == {"COST": "$5"}
    with pytest.raises(UsageError, match="under the name PASSWORD"):
        web(environment=(("PASSWORD", EnvRef("DB_PASSWORD")),))


def test_a_document_with_a_secret_is_private() -> None:
    secret = Project("demo", (WEB,), (Derived("web.yaml", "web/web.yaml", {}, secret_at="there"),))
    assert [one.private for one in translate(secret, facts(), PLACE).documents] == [False, True]


def test_a_persons_own_compose_is_refused() -> None:
    with pytest.raises(UsageError, match="describe containers"):
        processes(project(compose=({"services": {"mine": {"image": "x"}}},)))


def test_everything_that_a_process_cannot_have_is_reported() -> None:
    service = replace(
        WEB,
        hardening=Hardening(True, True, True, tmpfs=("/run",)),
        accelerator=AcceleratorRequest("cuda", ids=("0", "2")),
        shm_size="4g",
        pull_policy="always",
        mounts=(*WEB.mounts, FileMount("/my/other", "/unsaid")),
    )
    bundle = translate(project(service), facts(), PLACE)
    assert bundle.report == (
        "web: it may write wherever you may: read_only is for containers",
        "web: it has what you may do: drop_capabilities is for containers",
        "web: no_new_privileges is for containers",
        "web: tmpfs is for containers: it writes to this machine's folders",
        "web: it has this machine's shared memory: shm_size is for containers",
        "web: it sees the GPUs of this machine: nothing is reserved",
        "web: there is no image: imagePullPolicy is for containers",
        "web: what a container has at /srv/data/prompts is at /my/prompts only",
        "web: what a container has at /unsaid is at /my/other only",
    )
    tree = yaml.safe_load(bundle.main.text)["services"]["web"]
    assert tree["environment"] == {"CUDA_VISIBLE_DEVICES": "0,2"}
    assert tree["labels"] == {"lcompose.accelerator": "cuda"}
    assert translate(project(WEB, tree={"a": "/srv/data/prompts"}), facts(), PLACE).report == ()


def test_the_digest_changes_with_the_process_and_with_what_it_reads() -> None:
    def digest(found: Project, place: Place = PLACE) -> str:
        return dict(translate(found, facts(), place).digests)["web"]

    same = digest(project())
    mounted = Place(PLACE.directory, {"/my/prompts": "other"}, PLACE.home)
    assert digest(project()) == same
    changed = {
        digest(project(tree={"a": 1})),
        digest(project(replace(WEB, stop_grace=11))),
        digest(project(), mounted),
        same,
    }
    assert len(changed) == 4


def test_changes_tell_what_really_changes_here() -> None:
    llm = Service("llm", "l", ports=(Port("127.0.0.1", 19000, 9000),), probe=Probe(9000))
    told = (
        Change("web.yaml", "url", "http://localhost:9000", "http://llm:9000/v1", "it is another container"),
        Change("web.yaml", "service.host", "localhost", "0.0.0.0", "reached from outside"),
        Change("web.yaml", "service.port", "", "8080", "the one port"),
        Change("web.yaml", "file", "a.txt", "/srv/data/prompts/a.txt", "it is started elsewhere"),
        Change("web.yaml", "retries", "5", "60", "both start at once"),
        Change("web.yaml", "host", "127.0.0.1", "127.0.0.1", "nothing"),
    )
    found = localised(project(WEB, llm, changes=told), facts(), PLACE).changes
    here = "where that is on this machine"
    assert [(one.path, one.after, one.reason) for one in found] == [
        ("url", "http://127.0.0.1:19000/v1", here),
        ("service.host", "127.0.0.1", here),
        ("service.port", "18080", "the one port"),
        ("file", "/my/prompts/a.txt", here),
        ("retries", "60", "both start at once"),
    ]


def test_a_script_and_its_own_files_are_apart_for_each_project() -> None:
    script = Derived("go.sh", "companions/go.sh", text="ready=/tmp/ready\n: >/tmp/ready; ls /tmp/readying\n")
    service = Service("llm", "l", mounts=(DocumentMount("go.sh", "/lcompose/go.sh"),), probe=Probe(9000))
    natively = Natively((Program("llm", ("sh", "/lcompose/go.sh"), files=("/tmp/ready",)),))
    check = Healthcheck(("CMD-SHELL", "test -e /tmp/ready && ask"))
    bundle = translate(Project("demo", (replace(service, healthcheck=check),), (script,)), facts(natively), PLACE)
    ready = "/state/demo/llm.ready"
    assert bundle.documents[1].text == f"ready={ready}\n: >{ready}; ls /tmp/readying\n"
    found = yaml.safe_load(bundle.main.text)["services"]["llm"]
    assert found["command"] == ["sh", "/state/demo/companions/go.sh"]
    assert found["healthcheck"]["test"] == ["CMD-SHELL", f"test -e {ready} && ask"]


def test_a_service_that_is_neither_asked_nor_published_listens_on_this_machine_alone() -> None:
    quiet = replace(WEB, ports=(), probe=None, port=8080, environment=(("BIND", "0.0.0.0:8080"),))
    assert processes(project(quiet))["services"]["web"]["environment"] == {"BIND": "127.0.0.1:8080"}
