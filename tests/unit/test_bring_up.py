"""From what is wanted to a stack that is ready: what is done, what is remembered, and what is left after a failure."""

from __future__ import annotations

import os
import socket
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lcompose import host
from lcompose.bring_up import Deadline, Job, bring_up, prepare, refuse_taken_ports
from lcompose.engines import ComposeFile, Creation
from lcompose.engines.fake import FakeEngine
from lcompose.errors import ConfigError, EngineError, LcomposeError, MachineError, NotReadyError
from lcompose.listeners import Listener
from lcompose.logs import kept
from lcompose.memory import history, load, save
from lcompose.plan import Wanted
from lcompose.sources import Sources
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.project import Dependency, Port, Probe, Project, Service
from lcompose.spec.run import Container, Gated, GateSpec, Memory, Plan, Remembered
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import EngineFacts
from tests.unit.given import container

WEB = Gated("web", image="web:1")
LINE = "2025-01-01T00:00:01.000000000Z key=abcdef\n"


@dataclass
class Engine(FakeEngine):
    """An engine in which what is started runs, and what ``ends`` has ended by then, with that code."""

    ends: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        """Makes what is not there yet, as Compose does."""
        self._called("create", creation.compose.project)
        there = {one.service for one in self.held}
        for name in (one for one in creation.services if one not in there):
            self.count += 1
            made = replace(container(name, "created"), id=f"{name}{self.count}", image_id="id of web:1")
            self.held.append(made)
            on_line(f"Container {made.name} Created")

    def start(self, container: str) -> None:
        super().start(container)
        code = self.ends.get(container.rstrip("0123456789"))
        changes: dict[str, Any] = {"started": time.time()}
        if code is not None:
            changes |= {"state": "exited", "exit_code": code, "finished": time.time()}
        self.held = [replace(one, **changes) if one.id == container else one for one in self.held]


@pytest.fixture(autouse=True)
def unlimited() -> Iterator[None]:
    """The limit of one test is none of another's."""
    yield
    host.limit(None)


def job(
    place: Path,
    engine: FakeEngine,
    *services: Gated,
    digests: Mapping[str, str] | None = None,
    timeout: float = 20,
    bundle: Bundle | None = None,
    secrets: Mapping[str, str] | None = None,
    reading: Mapping[str, Any] | None = None,
    sources: Sources | None = None,
) -> Job:
    """One ``up`` of services without any check, which are ready when they run."""
    begun = time.monotonic()
    names = tuple(service.name for service in services)
    compose = ComposeFile("demo", (place / "compose.yaml",), place, {})
    return Job(
        engine=engine,
        facts=EngineFacts("docker", (27, 0), (2, 30)),
        place=place,
        sources=sources or Sources("compose.yaml"),
        wanted=Wanted(GateSpec("demo", services, timeout, 0.0), digests or dict.fromkeys(names, "1")),
        creation=Creation(compose, names, {}, 60, reading=reading or {}),
        secrets=Secrets(secrets or {}),
        deadline=Deadline(begun + timeout),
        begun=begun,
        pull_timeout=60,
        bundle=bundle,
    )


def up(one: Job) -> list[str]:
    """Prepares and does it; what happens, as lines."""
    prepare(one)
    return [f"{event.subject}: {event.text}" for event in bring_up(one) if event.kind == "state"]


def fails(one: Job) -> NotReadyError:
    """The failure that it ends with."""
    with pytest.raises(NotReadyError) as caught:
        up(one)
    return caught.value


def done(engine: FakeEngine) -> list[str]:
    """What was done to the engine."""
    return [call for call in engine.calls if call.split()[0] in ("pull", "create", "start", "stop", "remove")]


def test_what_a_service_does_afterwards_is_begun_once_all_are_ready_and_not_again(tmp_path: Path) -> None:
    engine, kept = Engine(), replace(WEB, afterwards=("keep", "it"))
    one = job(tmp_path, engine, kept, Gated("other", image="web:1"))
    up(one)
    assert [call for call in engine.calls if call.startswith("begin")] == ["begin web1 keep it"]
    started = [engine.calls.index(f"start {name}") for name in ("web1", "other2")]
    assert engine.calls.index("begin web1 keep it") > max(started)
    up(job(tmp_path, engine, kept, Gated("other", image="web:1")))
    assert engine.calls.count("begin web1 keep it") == 1


def test_a_service_that_can_do_nothing_afterwards_is_ready_all_the_same(tmp_path: Path) -> None:
    engine = Engine(failures={"begin": EngineError("it cannot be done", "", "Do it.")})
    assert up(job(tmp_path, engine, replace(WEB, afterwards=("keep", "it"))))[-1] == "web: ready"


# ---------------------------------------------------------------- it goes well


def test_what_is_not_there_is_fetched_created_started_and_remembered(tmp_path: Path) -> None:
    engine = Engine()
    one = job(tmp_path, engine, WEB)
    assert up(one) == ["web: pulling", "web: starting", "web: ready"]
    assert done(engine) == ["pull web:1", "create demo", "start web1"]
    assert load(tmp_path).of("web") == Remembered("1", ("web1",), (), WEB)
    assert one.passed


def test_a_second_up_has_nothing_to_do(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"])
    up(job(tmp_path, engine, WEB))
    before = [(tmp_path / name).stat().st_mtime_ns for name in ("state.json", "events.jsonl")]
    engine.calls.clear()
    again = job(tmp_path, engine, WEB)
    assert up(again) == ["web: ready"]
    assert (again.plan, done(engine)) == (Plan(), [])
    assert [(tmp_path / name).stat().st_mtime_ns for name in ("state.json", "events.jsonl")] == before


def test_what_changed_is_replaced_and_its_log_is_kept(tmp_path: Path) -> None:
    engine, secrets = Engine(local=["web:1"], printed={"web1": LINE}), {"API_KEY": "abcdef"}
    up(job(tmp_path, engine, WEB, secrets=secrets))
    engine.calls.clear()
    up(job(tmp_path, engine, WEB, digests={"web": "2"}, secrets=secrets))
    assert done(engine) == ["stop web1", "remove web1", "create demo", "start web2"]
    assert load(tmp_path).of("web").digest == "2"
    [path] = [path for path in kept(tmp_path / "logs") if path.read_text()]
    assert "key=<API_KEY>" in path.read_text()


def test_what_a_service_reads_beside_is_remembered_and_told_when_it_was_changed(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"])

    def with_input(digest: str) -> Job:
        one = job(tmp_path, engine, WEB)
        one.wanted = replace(one.wanted, inputs={"web": (("./a.conf", digest),)})
        return one

    up(with_input("1"))
    assert load(tmp_path).of("web").inputs == (("./a.conf", "1"),)
    engine.calls.clear()
    up(with_input("1"))
    assert done(engine) == []
    changed = with_input("2")
    up(changed)
    assert done(engine) == ["stop web1", "remove web1", "create demo", "start web2"]
    assert {step.cause for step in changed.plan.steps if step.verb in ("stop", "start")} == {"./a.conf was changed"}
    assert load(tmp_path).of("web").inputs == (("./a.conf", "2"),)


def test_what_a_stack_of_before_reads_is_remembered_without_replacing_it(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"])
    up(job(tmp_path, engine, WEB))
    engine.calls.clear()
    one = job(tmp_path, engine, WEB)
    one.wanted = replace(one.wanted, inputs={"web": (("./a.conf", "1"),)})
    up(one)
    assert (done(engine), load(tmp_path).of("web").inputs) == ([], (("./a.conf", "1"),))


def test_our_documents_are_written_before_anything_is_created(tmp_path: Path) -> None:
    bundle = Bundle((Document("compose.yaml", "services: {}\n"), Document("web/a.yaml", "a: 1\n")))
    up(job(tmp_path, Engine(local=["web:1"]), WEB, bundle=bundle))
    assert (tmp_path / "web/a.yaml").read_text() == "a: 1\n"


def test_the_history_is_written_as_it_happens(tmp_path: Path) -> None:
    up(job(tmp_path, Engine(local=["web:1"]), WEB))
    assert [(one.before, one.after) for one in history(tmp_path)] == [
        ("offline", "starting"),
        ("starting", "ready"),
    ]


def test_what_runs_of_an_older_image_is_replaced_when_the_image_has_come(tmp_path: Path) -> None:
    engine = Engine([replace(container("web"), image_id="old", started=5.0)])
    save(tmp_path, Memory({"web": Remembered("1", ("web",), (), WEB)}))
    up(job(tmp_path, engine, WEB))
    assert done(engine) == ["pull web:1", "stop web", "remove web", "create demo", "start web1"]
    engine.calls.clear()
    up(job(tmp_path, engine, WEB))
    assert done(engine) == []


# ---------------------------------------------------------------- one-shots


INIT = Gated("init", image="web:1", role="oneshot")
WAITER = replace(WEB, depends=(Dependency("init", "completed"),))


def test_a_one_shot_is_run_once(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"], ends={"init": 0})
    up(job(tmp_path, engine, INIT, WAITER))
    assert done(engine) == ["create demo", "start init1", "start web2"]
    assert load(tmp_path).of("init").done == ("init1",)
    engine.calls.clear()
    up(job(tmp_path, engine, INIT, WAITER))
    assert done(engine) == []


def test_a_one_shot_that_changed_is_run_again(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"], ends={"init": 0})
    up(job(tmp_path, engine, INIT))
    engine.calls.clear()
    up(job(tmp_path, engine, INIT, digests={"init": "2"}))
    assert done(engine) == ["remove init1", "create demo", "start init2"]


def test_a_one_shot_that_did_its_job_is_not_run_again_because_another_service_failed(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"], ends={"init": 0, "web": 3})
    fails(job(tmp_path, engine, INIT, WAITER))
    engine.calls.clear()
    engine.ends = {"init": 0}
    up(job(tmp_path, engine, INIT, WAITER))
    assert done(engine) == ["start web2"]


def test_a_one_shot_that_somebody_else_ran_is_not_run_again(tmp_path: Path) -> None:
    found = container("init", "exited", started=5.0, image_id="id of web:1")
    engine = Engine([found], local=["web:1"], ends={"init": 0})
    up(job(tmp_path, engine, INIT, WAITER))
    assert done(engine) == ["create demo", "start web1"]
    engine.calls.clear()
    up(job(tmp_path, engine, INIT, WAITER))
    assert done(engine) == []


# ---------------------------------------------------------------- it cannot work


def test_what_can_never_work_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"])
    with pytest.raises(ConfigError):
        up(job(tmp_path, engine, WEB, replace(WEB, name="api", depends=(Dependency("web", "healthy"),))))
    assert done(engine) == []


def test_what_can_never_work_because_of_an_image_is_refused_when_the_image_is_here(tmp_path: Path) -> None:
    engine = Engine()
    with pytest.raises(ConfigError):
        up(job(tmp_path, engine, WEB, replace(WEB, name="api", depends=(Dependency("web", "healthy"),))))
    assert done(engine) == ["pull web:1"]


@pytest.mark.parametrize(
    "service", [replace(WEB, pull_policy="never"), replace(WEB, image="localhost/web:1")], ids=["never", "localhost"]
)
def test_an_image_that_is_not_here_and_cannot_be_fetched_is_told(service: Gated, tmp_path: Path) -> None:
    engine = Engine()
    with pytest.raises(MachineError) as caught:
        up(job(tmp_path, engine, service))
    assert caught.value.what == f"the image {service.image} of web is not here, and is not pulled"
    assert caught.value.fix == "Build or load it, or name another: services.web.image in compose.yaml"
    assert done(engine) == []


@pytest.mark.parametrize("more", [{"built": True}, {"replicas": 0}])
def test_an_image_that_is_built_or_not_needed_need_not_be_here(more: dict[str, Any], tmp_path: Path) -> None:
    prepare(job(tmp_path, Engine(), replace(WEB, image="localhost/web:1", **more)))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def refused(one: Job) -> str:
    """What is told of ports that are taken."""
    prepare(one)
    try:
        refuse_taken_ports(one)
    except MachineError as error:
        return f"{error.what} -- {error.fix}"
    return ""


def test_a_port_that_another_program_has_is_told_before_anything_is_made(taken: int, tmp_path: Path) -> None:
    service = replace(WEB, ports=(("127.0.0.1", taken, "tcp"),))
    program = Path("/proc/self/comm").read_text().strip()
    assert refused(job(tmp_path, Engine(local=["web:1"]), service)) == (
        f"port {taken} on 127.0.0.1, for web, is taken by another program ({program}, pid {os.getpid()}) -- "
        "Stop it, or publish another port: services.web.ports in compose.yaml"
    )


def test_a_container_of_another_project_that_has_a_port_is_named(taken: int, tmp_path: Path) -> None:
    service = replace(WEB, ports=(("127.0.0.1", taken, "tcp"),))
    other = replace(container("db", ports=((80, "127.0.0.1", taken),)), name="other-db-1")

    @dataclass
    class Two(Engine):
        def projects(self) -> list[str]:
            return ["demo", "other"]

        def containers(self, project: str) -> tuple[Container, ...]:
            return (other,) if project == "other" else super().containers(project)

    assert refused(job(tmp_path, Two(local=["web:1"]), service)) == (
        f"port {taken} on 127.0.0.1, for web, is taken by the container other-db-1 of the project other -- "
        "Take it down (lcompose down -p other), or publish another port: services.web.ports in compose.yaml"
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Listener(7, "docker-proxy"), "another container (docker-proxy, pid 7)"),
        (Listener(7, "nginx"), "another program (nginx, pid 7)"),
        (Listener(7), "another program (unknown, pid 7)"),
        (Listener(user="www"), "another program of the user www"),
        (None, "another program"),
    ],
)
def test_who_has_a_port_is_told_as_far_as_the_kernel_shows_it(
    found: Listener | None, said: str, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcompose.listeners.listener", lambda *_: found)
    service = replace(WEB, ports=(("127.0.0.1", taken, "tcp"),))
    assert f"is taken by {said} -- " in refused(job(tmp_path, Engine(local=["web:1"]), service))


def test_in_our_own_stack_the_setting_is_told_that_moves_the_port(taken: int, tmp_path: Path) -> None:
    service = replace(WEB, ports=(("127.0.0.1", taken, "tcp"),))
    own = Project("demo", (Service("web", "web:1", ports=(Port("127.0.0.1", taken, 80),)),))
    told = refused(job(tmp_path, Engine(local=["web:1"]), service, sources=Sources("/here", own)))
    assert f"--set services.web.ports={taken + (10000 if taken < 50000 else -10000)}:80" in told


def test_what_can_never_work_of_ones_own_words_is_told_with_where_they_stand(tmp_path: Path) -> None:
    own = Sources("/here", Project("demo", ()), said={"api": {"depends_on": ["web"]}})
    waiting = replace(WEB, name="api", depends=(Dependency("web", "healthy"),))
    with pytest.raises(ConfigError) as caught:
        up(job(tmp_path, Engine(local=["web:1"]), WEB, waiting, sources=own))
    (found,) = caught.value.findings
    assert (str(found.where), found.path) == ("lcompose.yaml", "compose.services.api.depends_on.web")


def test_a_port_is_no_trouble_where_it_is_ours_or_elsewhere(taken: int, tmp_path: Path) -> None:
    service = replace(WEB, ports=(("127.0.0.1", taken, "tcp"),))
    ours = Engine([container("web", ports=((80, "127.0.0.1", taken),))], local=["web:1"])
    assert refused(job(tmp_path, ours, service)) == ""
    assert refused(job(tmp_path, Engine(local=["web:1"], address="ssh://elsewhere"), service)) == ""
    udp = replace(WEB, ports=(("127.0.0.1", taken, "udp"),))
    assert refused(job(tmp_path, Engine(local=["web:1"]), udp)) == ""


# ---------------------------------------------------------------- it fails


def test_after_a_failure_logs_are_kept_and_an_archive_is_written_without_secrets(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"], ends={"web": 3}, printed={"web1": LINE})
    reading = {"services": {"web": {"environment": {"API_KEY": "abcdef"}}}}
    error = fails(job(tmp_path, engine, WEB, secrets={"API_KEY": "abcdef"}, reading=reading))
    assert error.what == "the stack is not ready: a service failed"
    told, _, path = error.details[-1].rpartition(": ")
    assert told == "everything for a bug report, without secrets"
    with tarfile.open(path) as archive:
        names = archive.getnames()
        files = {name: archive.extractfile(name) for name in names}
        text = b"".join(file.read() for file in files.values() if file)
    for part in ("report.txt", "states.json", "versions.json", "compose.yaml"):
        assert any(name.endswith(part) for name in names)
    assert b"abcdef" not in text
    assert b"key=<API_KEY>" in text
    assert [one.after for one in history(tmp_path)][-1] == "error"


def test_a_failure_that_is_known_is_in_the_error_and_in_the_report(tmp_path: Path) -> None:
    said = "2025-01-01T00:00:01.000000000Z exec /web: exec format error\n"
    error = fails(job(tmp_path, Engine(local=["web:1"], ends={"web": 1}, printed={"web1": said}), WEB))
    assert [(one.id, one.service) for one in error.known] == [("program-for-another-processor", "web")]
    with tarfile.open(error.details[-1].rpartition(": ")[2]) as archive:
        [report] = (one for one in archive.getnames() if one.endswith("report.txt"))
        stream = archive.extractfile(report)
        assert stream
        text = stream.read().decode()
    assert text.endswith(f"  known: {error.known[0]}\n     do: {error.known[0].fix}")


def test_an_archive_that_cannot_be_written_is_told_and_hides_no_failure(tmp_path: Path) -> None:
    (tmp_path / "failures").write_text("a file in the place of the folder")
    error = fails(job(tmp_path, Engine(local=["web:1"], ends={"web": 3}), WEB))
    assert error.details[-1].startswith("no archive for a bug report: ")
    assert any(line.endswith("it exited with code 3") for line in error.details)


def test_at_the_deadline_it_ends_within_a_second_archive_and_all(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"])
    service = replace(WEB, depends=(Dependency("db", "healthy"),))
    db = Gated("db", Probe(80), image="web:1")
    begun = time.monotonic()
    error = fails(job(tmp_path, engine, service, db, timeout=1))
    assert error.what == "the stack is not ready: it was not ready within 1 s"
    assert 1 <= time.monotonic() - begun < 2


def test_what_was_made_is_remembered_even_if_it_does_not_get_ready(tmp_path: Path) -> None:
    engine = Engine(local=["web:1"], ends={"web": 3})
    fails(job(tmp_path, engine, WEB))
    assert load(tmp_path).of("web").containers == ("web1",)
    engine.calls.clear()
    engine.ends = {}
    up(job(tmp_path, engine, WEB))
    assert done(engine) == ["start web1"]


@pytest.mark.parametrize(
    ("what", "error"),
    [("create", EngineError("no such file")), ("pull", EngineError("pull access denied"))],
)
def test_what_an_engine_cannot_do_is_its_error(what: str, error: LcomposeError, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        up(job(tmp_path, Engine(failures={what: error}), WEB))
    assert caught.value is error


# ---------------------------------------------------------------- the deadline


def test_what_has_a_time_of_its_own_moves_the_deadline() -> None:
    deadline = Deadline(time.monotonic() + 10)
    deadline.restart_clock(time.monotonic() - 5)
    assert deadline.left() == pytest.approx(15, abs=0.5)
    assert host.left() == pytest.approx(15, abs=0.5)


def test_the_time_of_a_pull_does_not_count(tmp_path: Path) -> None:
    @dataclass
    class Slow(Engine):
        """An engine that fetches slowly."""

        def pull(self, reference: str, timeout: float, on_line: Callable[[str], None]) -> None:
            time.sleep(0.7)
            super().pull(reference, timeout, on_line)

    one = job(tmp_path, Slow(), WEB, timeout=0.6)
    assert up(one)[-1] == "web: ready"


SLOW = [replace(WEB, pull_policy="always"), replace(WEB, built=True, image="own:1"), replace(WEB, built=True, image="")]


@dataclass
class Building(Engine):
    """An engine that creates slowly, and says how much time it was given for it."""

    seen: list[float] = field(default_factory=list)

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        self.seen.append(creation.timeout)
        time.sleep(0.7)
        super().create(creation, on_line)


@pytest.mark.parametrize("service", SLOW)
def test_what_is_built_or_fetched_in_the_creation_has_the_time_of_a_pull(service: Gated, tmp_path: Path) -> None:
    engine = Building(local=["web:1"])
    assert up(job(tmp_path, engine, service, timeout=0.6))[-1] == "web: ready"
    assert engine.seen == [60]


@pytest.mark.parametrize("service", [WEB, replace(WEB, built=True)])
def test_any_other_creation_has_the_time_until_the_deadline(service: Gated, tmp_path: Path) -> None:
    engine = Building(local=["web:1"])
    error = fails(job(tmp_path, engine, service, timeout=0.6))
    assert error.what == "the stack is not ready: time was up during: create demo"


def test_what_happened_during_a_pull_is_seen(tmp_path: Path) -> None:
    @dataclass
    class Dying(Engine):
        """An engine in which something dies while an image is fetched."""

        def pull(self, reference: str, timeout: float, on_line: Callable[[str], None]) -> None:
            self.held = [replace(one, state="exited", exit_code=1) for one in self.held]
            self.local.append(reference)

    engine = Dying([container("web", started=5.0)])
    save(tmp_path, Memory({"web": Remembered("1", ("web",), (), WEB)}))
    up(job(tmp_path, engine, WEB))
    assert done(engine) == ["start web"]


def test_one_that_is_interrupted_leaves_its_memory_behind(tmp_path: Path) -> None:
    one = job(tmp_path, Engine(local=["web:1"]), WEB)
    prepare(one)
    going = bring_up(one)
    for event in going:
        if event.text == "starting":
            break
    going.close()  # type: ignore[attr-defined]  # an Iterator to its readers, a generator here
    assert load(tmp_path).of("web").containers == ("web1",)


def test_a_container_that_somebody_elses_file_has_beside_is_left_alone(tmp_path: Path) -> None:
    other: Container = container("other", started=5.0)
    engine = Engine([other], local=["web:1"])
    one = job(tmp_path, engine, WEB)
    one.wanted = replace(one.wanted, sweep=False)
    up(one)
    assert other in engine.held
