"""Native processes, told of as containers: made, started, stopped, asked, and what they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lcompose import logs
from lcompose.engines import ComposeFile, Creation, Engine, EngineEvent
from lcompose.engines.local import Local, connect
from lcompose.engines.local_limits import Enforcement, Surroundings, enforcement, unenforced
from lcompose.engines.local_store import spec_of
from lcompose.engines.select import connect as select_engine
from lcompose.environments import remember
from lcompose.errors import EngineError, LcomposeError, MachineError, NotReadyError, UsageError
from lcompose.gate import Gate
from lcompose.keeper.log import LONGEST, Lines, Log, names, stamp
from lcompose.lifecycle import observed_state
from lcompose.logs.lines import STAMP
from lcompose.observe import ask, run_check
from lcompose.spec.project import Dependency, Healthcheck, Limits, Probe
from lcompose.spec.run import Gated, GateSpec
from lcompose.spec.secrets import Secrets
from lcompose.verify import verify
from lcompose.work import Threads
from tests.conftest import ROOT, SECRET, free_port
from tests.native import PROJECT, Native, native, wait_until
from tests.unit.test_environments import environment

FOREVER = "exec sleep 1000"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Native]:
    with native(tmp_path, MY_KEY=SECRET, UNRELATED="not for services") as project:
        yield project


# ---------------------------------------------------------------- the engine


def test_it_is_an_engine_that_can_be_used() -> None:
    engine: Engine = connect({"HOME": "/nowhere"})
    facts = engine.facts()
    assert (facts.name, facts.usable, engine.endpoint()) == ("local", True, "local")
    assert facts.version > (4,)


def test_it_has_no_images(here: Native) -> None:
    engine = here.engine
    assert engine.images(["", "docker.io/any:1"]) == {}
    with pytest.raises(MachineError, match=r"docker\.io/any:1 is not fetched"):
        engine.pull("docker.io/any:1", 1, print)
    with pytest.raises(MachineError, match=r"docker\.io/any:1 cannot be run"):
        engine.run_once("docker.io/any:1", [], entrypoint="", mounts=[], environment={}, timeout=1)


def test_it_has_neither_networks_nor_pods(here: Native) -> None:
    assert (here.engine.networks(PROJECT), here.engine.pods(PROJECT)) == ([], [])


def test_a_process_that_was_promised_a_gpu_is_held_to_what_it_says(here: Native) -> None:
    promised = {"labels": {"lcompose.accelerator": "rocm"}}
    says = {"command": ["sh", "-c", "echo Automatically detected platform cpu.; sleep 9"]}
    made = here.create({"model": {**says, **promised}, "other": says, "created": {**says, **promised}})
    for name in ("model", "other"):
        here.engine.start(made[name].id)
    wait_until(lambda: b"platform" in b"".join(here.engine.stream(made["model"].id)))
    (given,) = here.engine.accelerators(PROJECT)
    assert (given.container, given.service, given.vendor) == (made["model"].id, "model", "rocm")
    (found,) = verify(here.engine, PROJECT)
    assert (found.state, found.line) == ("cpu", "Automatically detected platform cpu.")


def test_a_program_of_a_known_environment_is_started_without_uv(here: Native, tmp_path: Path) -> None:
    program = environment(tmp_path, "a", "serve") / "bin" / "serve"
    program.write_text('#!/bin/sh\necho "$0 $1 in $PATH"; exec sleep 1000\n')
    which = ("uv", "tool", "run", "--from", "server==1")
    command = ["uv", "tool", "run", "--offline", "--from", "server==1", "serve", "now"]
    remember(which, here.env, str(program.parents[1]))
    container = here.create({"web": {"command": command}})["web"]
    here.engine.start(container.id)
    wait_until(lambda: here.said(container.id))
    assert here.said(container.id) == [f"{program} now in {program.parent}:{here.env['PATH']}"]
    # It is the same service, whether uv is asked or not.
    assert here.of(container.id).parts == container.parts


def test_it_is_found_by_its_name(tmp_path: Path) -> None:
    assert isinstance(select_engine("local", {"HOME": str(tmp_path)}), Local)


def test_a_keeper_imports_next_to_nothing() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import lcompose.keeper.guard; print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", program, str(ROOT)]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    slow = ("click", "dataclasses", "inspect", "pathlib", "pydantic", "subprocess", "typing", "yaml")
    assert [name for name in loaded if name in slow] == []
    ours = [name for name in loaded if name.startswith("lcompose")]
    assert {name.split(".")[1] for name in ours if "." in name} == {"keeper"}


# ---------------------------------------------------------------- making


def test_what_is_made_is_told_as_a_container(here: Native) -> None:
    here.create(
        {
            "web": {
                "command": ["sleep", "9"],
                "ports": [["127.0.0.1", 8080]],
                "after": ["db"],
                "restart": "on-failure:3",
                "stop_grace": 7,
                "probe": {"port": 8080, "path": "/readiness"},
                "healthcheck": {"test": ["CMD", "true"], "interval": 2, "timeout": 3, "retries": 4, "start_period": 5},
                "digest": "abc",
            }
        }
    )
    one = here.all()["web"]
    assert here.told == ["Container demo-web-1 Created"]
    assert (one.name, one.service, one.state, one.digest) == ("demo-web-1", "web", "created", "abc")
    assert (one.ports, one.after, one.stop_grace) == (((8080, "127.0.0.1", 8080),), ("db",), 7)
    assert (one.restart, one.most_restarts) == ("on-failure", 3)
    assert one.probe == Probe(8080, "/readiness")
    assert one.check == Healthcheck(("CMD", "true"), 2, 3, 4, 5)
    assert one.started == 0.0 < one.created
    assert [name for name, _ in one.parts] == ["command", "variables", "ports"]


def test_what_has_not_changed_is_left_alone_and_what_has_is_made_anew(here: Native) -> None:
    before = here.create({"a": {"command": ["sleep", "9"]}, "b": {"command": ["sleep", "9"]}})
    here.engine.start(before["a"].id)
    here.engine.start(before["b"].id)
    after = here.create({"a": {"command": ["sleep", "9"]}, "b": {"command": ["sleep", "8"], "digest": "2"}})
    assert after["a"] == here.of(before["a"].id)
    assert (after["a"].state, after["b"].state) == ("running", "created")
    assert after["b"].id != before["b"].id
    assert here.told[2:] == ["Container demo-b-1 Recreated"]


def test_what_is_no_longer_in_the_file_is_not_removed(here: Native) -> None:
    here.create({"a": {"command": ["true"]}, "b": {"command": ["true"]}})
    assert set(here.create({"a": {"command": ["true"]}})) == {"a", "b"}


def test_only_the_services_that_were_asked_for_are_made(here: Native) -> None:
    assert set(here.create({"a": {"command": ["true"]}, "b": {"command": ["true"]}}, "b")) == {"b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "has no services"),
        ("services: {'../x': {command: [a], directory: /}}", "is not a name"),
        ("services: {web: {directory: /}}", "cannot be used"),
        ("services: {web: {command: ls, directory: /}}", "cannot be used"),
        ("services: {web: {command: [], directory: /}}", "cannot be used"),
        ("services: {web: {command: [ls], directory: here}}", "not absolute"),
        ("services: {web: [1]}", "cannot be used"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(text: str, expected: str, here: Native) -> None:
    file = here.folder / "processes.yaml"
    file.write_text(text)
    creation = Creation(ComposeFile(PROJECT, (file,), here.folder, here.env), (), {}, 10.0)
    with pytest.raises(UsageError, match=expected):
        here.engine.create(creation, print)
    assert here.all() == {}


def test_a_container_of_no_ones_is_told_in_the_words_of_engines(here: Native) -> None:
    for wrong in ("f" * 32, "../../etc", ""):
        with pytest.raises(EngineError, match="no such container"):
            here.engine.start(wrong)


def test_projects_are_those_that_have_a_process(here: Native) -> None:
    assert here.engine.projects() == []
    container = here.web("true")
    assert here.engine.projects() == [PROJECT]
    here.engine.remove([container])
    assert here.engine.projects() == []


# ---------------------------------------------------------------- starting and ending


def test_a_process_runs_in_its_directory_with_its_variables_and_no_others(here: Native) -> None:
    script = 'pwd; echo "$GREETING ${MY_KEY:+has a key} ${UNRELATED:-nothing else}"'
    container = here.started(script, environment={"GREETING": "hello"}, inherit=["MY_KEY"])
    here.ended(container)
    assert here.said(container) == [str(here.folder), "hello has a key nothing else"]


def test_values_that_a_creation_brings_along_are_passed_on_by_name(here: Native) -> None:
    here.env["LATER"] = "brought along"
    container = here.web('echo "$LATER"', inherit=["LATER"])
    here.engine.start(container)
    here.ended(container)
    assert here.said(container) == ["brought along"]


def test_a_default_holds_where_a_variable_is_not_set_or_empty(here: Native) -> None:
    here.env |= {"SET": "mine", "EMPTY": ""}
    defaults = {"SET": "a", "EMPTY": "b", "UNSET": "c"}
    container = here.started('echo "$SET $EMPTY $UNSET"', inherit=[*defaults], defaults=defaults)
    here.ended(container)
    assert here.said(container) == ["mine b c"]


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143), ("kill -11 $$", 139)]
)
def test_an_exit_code_is_kept_and_a_signal_is_128_and_its_number(script: str, code: int, here: Native) -> None:
    one = here.ended(here.started(script))
    assert (one.state, one.exit_code, one.error, one.restarts) == ("exited", code, "", 0)
    assert one.created <= one.started <= one.finished


@pytest.mark.parametrize(
    ("changes", "code", "why"),
    [
        ({"command": ["no-such-program"]}, 127, "the program no-such-program is not there"),
        ({"command": ["/etc"]}, 126, "the program /etc cannot be run: Permission denied"),
        ({"directory": "/no/such"}, 126, "its directory /no/such cannot be entered: No such file or directory"),
    ],
)
def test_what_cannot_be_started_says_why(changes: dict[str, Any], code: int, why: str, here: Native) -> None:
    one = here.create({"web": {"command": ["true"], **changes}})["web"]
    with pytest.raises(EngineError, match="web cannot be started") as raised:
        here.engine.start(one.id)
    assert raised.value.what == f"web cannot be started: {why}"
    assert raised.value.fix
    seen = here.of(one.id)
    assert (seen.state, seen.exit_code, seen.error) == ("created", code, why)
    assert observed_state(seen) == "error"


def test_one_that_runs_is_not_started_twice(here: Native) -> None:
    container = here.web(f"echo once; {FOREVER}")
    threads = [Thread(target=here.engine.start, args=(container,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    here.engine.start(container)
    assert here.of(container).state == "running"
    wait_until(lambda: here.said(container))
    assert here.said(container) == ["once"]


def test_one_that_has_ended_can_be_started_again_at_once_and_its_log_goes_on(here: Native) -> None:
    container = here.started("echo again; exit 3")
    for _ in range(3):
        here.ended(container)
        here.engine.start(container)
    assert here.ended(container).exit_code == 3
    assert here.said(container) == ["again"] * 4


def test_a_stop_asks_first_and_keeps_the_code_that_it_is_answered_with(here: Native) -> None:
    container = here.started("trap 'echo bye; exit 7' TERM; echo up; while :; do :; done")
    wait_until(lambda: here.said(container))
    here.engine.stop(container, 5)
    one = here.of(container)
    assert (one.state, one.exit_code, here.said(container)) == ("exited", 7, ["up", "bye"])
    assert here.state(container).stopped


def test_a_stop_of_what_does_not_run_does_nothing(here: Native) -> None:
    container = here.web("exit 3")
    here.engine.stop(container, 1)
    assert here.of(container).state == "created"
    here.engine.start(container)
    here.ended(container)
    here.engine.stop(container, 1)
    assert (here.of(container).exit_code, here.state(container).stopped) == (3, False)


def test_what_a_process_leaves_behind_ends_with_it(here: Native) -> None:
    container = here.started("sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &); exit 4")
    assert here.ended(container).exit_code == 4
    wait_until(lambda: not here.left())


def test_its_end_is_asked_for_once_and_of_all_that_it_started(here: Native) -> None:
    (here.folder / "child").write_text("trap 'echo asked $1' TERM; echo up; while :; do sleep 0.05; done 2>/dev/null\n")
    container = here.started("trap : TERM; setsid sh child one & sh child two & wait; exit 5")
    wait_until(lambda: len(here.said(container)) == 2)
    here.engine.stop(container, 1)
    assert sorted(here.said(container)[2:]) == ["asked one", "asked two"]
    assert here.of(container).exit_code == 5


def test_it_is_started_again_as_often_as_was_said_and_that_is_counted(here: Native) -> None:
    container = here.started("echo try; exit 5", restart="on-failure:2")
    wait_until(lambda: here.of(container).restarts == 2 and here.of(container).state == "exited")
    one = here.of(container)
    assert (one.exit_code, here.said(container)) == (5, ["try"] * 3)
    assert here.state(container).stopped is False


def test_one_that_did_its_job_is_not_started_again_on_failure_only(here: Native) -> None:
    assert here.ended(here.started("exit 0", restart="on-failure")).restarts == 0


def test_between_two_runs_it_is_restarting_and_can_be_stopped(here: Native) -> None:
    container = here.started("exit 6", restart="always")
    wait_until(lambda: here.of(container).restarts >= 2)
    wait_until(lambda: here.of(container).state == "restarting")
    assert observed_state(here.of(container)) == "starting"
    begun = time.monotonic()
    here.engine.stop(container, 10)
    assert time.monotonic() - begun < 3
    assert (here.of(container).state, here.of(container).exit_code) == ("exited", 6)


def test_it_runs_on_when_whoever_started_it_has_ended(here: Native) -> None:
    container = here.started(FOREVER)
    other = Local(here.env)
    assert [one.state for one in other.containers(PROJECT)] == ["running"]
    other.stop(container, 1)
    assert here.of(container).exit_code == 143


def test_a_removal_ends_what_runs_and_leaves_nothing(here: Native) -> None:
    container = here.started(FOREVER)
    folder = here.kept(container).folder
    here.engine.remove([container])
    assert (here.all(), folder.exists(), here.left()) == ({}, False, [])


# ---------------------------------------------------------------- secrets


def test_a_secret_is_in_no_file_and_in_no_list_of_processes(here: Native) -> None:
    container = here.started(f"echo the key is $MY_KEY; {FOREVER}", inherit=["MY_KEY"])
    wait_until(lambda: here.said(container))
    assert here.said(container) == ["the key is <MY_KEY>"]
    files = [path for path in here.folder.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid, _ in here.left()]
    assert len(lines) == 3
    assert not any(SECRET.encode() in line for line in lines)


def test_the_variables_of_a_process_are_known_so_that_what_is_secret_is(here: Native) -> None:
    container = here.web(FOREVER, inherit=["MY_KEY"], environment={"A": "1"})
    assert here.engine.environment(container)["MY_KEY"] == SECRET
    here.engine.start(container)
    other = Local({"XDG_STATE_HOME": here.env["XDG_STATE_HOME"]})
    found = other.environment(container)
    assert (found["MY_KEY"], found["A"], "LCOMPOSE_PROCESS" in found) == (SECRET, "1", False)


# ---------------------------------------------------------------- asking


def test_a_health_check_runs_where_the_process_does(here: Native) -> None:
    container = here.started(FOREVER, environment={"A": "1"}, inherit=["MY_KEY"])
    found = here.engine.execute(container, ["sh", "-c", 'echo "$A ${MY_KEY:+key}"; pwd; echo no >&2; exit 4'], 5)
    assert (found.code, found.out, found.err) == (4, f"1 key\n{here.folder}\n", "no\n")


def test_a_program_that_is_not_there_is_told_as_engines_do(here: Native) -> None:
    container = here.started(FOREVER)
    answer = run_check(here.engine, Healthcheck(("CMD", "no-such-check")), here.of(container))
    assert (answer.ok, answer.missing) == (False, "no-such-check")


def test_a_check_that_hangs_is_given_up(here: Native) -> None:
    container = here.started(FOREVER)
    answer = run_check(here.engine, Healthcheck(("CMD", "sleep", "60"), timeout=0.2), here.of(container))
    assert answer.detail == "it did not end within 0.2 s"


def test_nothing_runs_in_what_does_not_run(here: Native) -> None:
    container = here.web("true")
    assert here.engine.execute(container, ["true"], 5).code == 1
    with pytest.raises(EngineError, match="web does not run"):
        here.engine.begin(container, ["true"])


def test_what_is_begun_runs_beside_it_and_ends_with_it(here: Native) -> None:
    container = here.started(FOREVER)
    here.engine.begin(container, ["sh", "-c", "echo begun > mark; sleep 1000"])
    wait_until(lambda: (here.folder / "mark").exists())
    here.engine.stop(container, 1)
    assert here.left() == []


def test_what_can_be_begun_is_no_longer_than_a_pipe_takes(here: Native) -> None:
    container = here.started(FOREVER)
    with pytest.raises(EngineError, match="too long for web"):
        here.engine.begin(container, ["echo", "x" * 5000])


def test_its_port_is_asked_like_one_of_a_container(here: Native) -> None:
    port = free_port()
    serve = f"exec python3 -m http.server {port} --bind 127.0.0.1"
    container = here.started(serve, ports=[["127.0.0.1", port]])
    probe = Probe(port)
    wait_until(lambda: ask(here.engine, probe, here.of(container)).ok)
    here.engine.stop(container, 5)
    assert not ask(here.engine, probe, here.of(container)).ok


def test_what_another_program_answers_at_its_port_is_no_answer_of_its_own(here: Native) -> None:
    port = free_port()
    address = [["127.0.0.1", port]]
    with subprocess.Popen([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]) as thief:
        try:
            wait_until(lambda: _listens(port))
            container = here.started("exec sleep 1000", ports=address)
            said = ask(here.engine, Probe(port), here.of(container))
            name = Path(f"/proc/{thief.pid}/comm").read_text().strip()
            told = f"another program ({name}, pid {thief.pid}) answers at its port {port}"
            assert (said.ok, said.detail) == (False, told)
        finally:
            thief.kill()


def test_what_a_child_of_its_answers_is_its_own_answer(here: Native) -> None:
    port = free_port()
    serve = f"env -i setsid {sys.executable} -m http.server {port} --bind 127.0.0.1 & exec sleep 1000"
    container = here.started(serve, ports=[["127.0.0.1", port]])
    wait_until(lambda: ask(here.engine, Probe(port), here.of(container)).ok)


def test_who_finds_its_port_taken_says_so_itself(here: Native) -> None:
    port = free_port()
    serve = f"exec python3 -m http.server {port} --bind 127.0.0.1"
    found = here.create({name: {"command": ["sh", "-c", serve]} for name in ("a", "b")})
    here.engine.start(found["a"].id)
    wait_until(lambda: ask(here.engine, Probe(port), here.of(found["a"].id)).ok or _listens(port))
    here.engine.start(found["b"].id)
    assert here.ended(found["b"].id).exit_code == 1
    assert "Address already in use" in here.said(found["b"].id)[-1]


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


# ---------------------------------------------------------------- the gate, as of any other engine


def gate_of(here: Native, *services: Gated, seconds: float = 10) -> Gate:
    spec = GateSpec(PROJECT, services, seconds, stability=0.2)
    return Gate(spec, here.engine, Threads(), Secrets({}), deadline=time.monotonic() + seconds)


def test_the_gate_starts_processes_in_order_and_passes_when_all_are_ready(here: Native) -> None:
    port = free_port()
    serve = f"exec python3 -m http.server {port} --bind 127.0.0.1"
    here.create(
        {
            "job": {"command": ["sh", "-c", "sleep 0.2; touch done"]},
            "web": {"command": ["sh", "-c", f"test -f done && {serve}"], "ports": [["127.0.0.1", port]]},
            "checked": {"command": ["sleep", "1000"]},
        }
    )
    web = Gated("web", Probe(port), depends=(Dependency("job", "completed"),))
    gate = gate_of(here, Gated("job", role="oneshot"), web, Gated("checked", check=Healthcheck(("CMD", "true"))))
    told = [(event.subject, event.text) for event in gate.run()]
    assert gate.passed is not None
    assert {name: verdict.state for name, verdict in gate.passed.verdicts.items()} == {
        "job": "done",
        "web": "ready",
        "checked": "ready",
    }
    assert told.index(("job", "offline")) < told.index(("web", "starting"))


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({"command": ["sh", "-c", "echo last words; exit 3"]}, ("it exited with code 3", "last words")),
        ({"command": ["sh", "-c", "echo again; exit 3"], "restart": "always"}, ("it keeps dying", "again")),
        ({"command": ["no-such-program"]}, ("could not be started", "no-such-program is not there")),
    ],
)
def test_the_gate_says_why_a_process_is_not_ready(
    service: dict[str, Any], expected: tuple[str, ...], here: Native
) -> None:
    here.create({"web": service})
    with pytest.raises(NotReadyError) as raised:
        list(gate_of(here, Gated("web", restart=service.get("restart", "no"))).run())
    assert all(words in "\n".join(raised.value.details) for words in expected)


# ---------------------------------------------------------------- events


def test_events_tell_what_happens_from_now_on(here: Native) -> None:
    found: list[EngineEvent] = []
    here.web("exit 3")
    Thread(target=lambda: found.extend(_until_destroyed(here.engine.events(PROJECT), found)), daemon=True).start()
    time.sleep(0.1)
    container = here.started("exit 3")
    here.ended(container)
    here.engine.start(container)
    here.ended(container)
    here.engine.remove([container])
    wait_until(lambda: found and found[-1].action == "destroy")
    assert [(one.action, one.exit_code) for one in found] == [
        ("start", None),
        ("die", 3),
        ("start", None),
        ("die", 3),
        ("destroy", None),
    ]
    assert {(one.container, one.service) for one in found} == {(container, "web")}
    assert all(earlier.time <= later.time for earlier, later in pairwise(found))


def _until_destroyed(events: Iterator[EngineEvent], found: list[EngineEvent]) -> Iterator[EngineEvent]:
    for event in events:
        yield event
        if event.action == "destroy":
            return


def test_an_event_is_told_within_50_ms(here: Native) -> None:
    container = here.web("exit 3")
    late: list[float] = []

    def listen() -> None:
        for event in here.engine.events(PROJECT):
            late.append(time.time() - event.time)
            if event.action == "die":
                return

    thread = Thread(target=listen, daemon=True)
    thread.start()
    time.sleep(0.1)
    here.engine.start(container)
    thread.join(5)
    assert len(late) == 2
    assert min(late) < 0.05


# ---------------------------------------------------------------- logs


def test_each_line_has_a_time_as_engines_write_it(here: Native) -> None:
    container = here.started("echo one; echo two >&2; printf 'without an end'")
    here.ended(container)
    raw = b"".join(here.engine.stream(container))
    assert len(STAMP.findall(raw)) == 3 == raw.count(b"\n")
    assert sorted(here.said(container)) == ["one", "two", "without an end"]


def test_the_last_lines_and_those_since_a_time(here: Native) -> None:
    container = here.started("for i in 1 2 3 4; do echo $i; sleep 0.02; done")
    here.ended(container)
    lines = here.engine.logs(container).splitlines()
    third = lines[2].split(" ")[0]
    assert b"".join(here.engine.stream(container, since=third)).decode().splitlines() == lines[2:]
    assert here.engine.logs(container, 2).splitlines() == lines[2:]
    assert here.engine.logs(container, 0) == ""
    assert b"".join(here.engine.stream(container, since=third, tail=1)).decode().splitlines() == lines[3:]
    assert b"".join(here.engine.stream(container, since="2999-01-01T00:00:00.000000000Z")) == b""


def test_a_log_is_followed_until_the_process_ends(here: Native) -> None:
    container = here.started("for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; echo last")
    pieces = list(here.engine.stream(container, follow=True))
    assert here.of(container).state == "exited"
    assert b"".join(pieces).decode().splitlines() == here.engine.logs(container).splitlines()
    assert len([piece for piece in pieces if piece]) > 2


def test_who_follows_a_quiet_log_may_leave(here: Native) -> None:
    container = here.started(FOREVER)
    assert next(iter(here.engine.stream(container, follow=True))) == b""


def test_a_log_is_followed_over_restarts(here: Native) -> None:
    container = here.started("echo run; exit 1", restart="on-failure:2")
    text = b"".join(here.engine.stream(container, follow=True)).decode()
    assert [line.split(" ")[1] for line in text.splitlines()] == ["run"] * 3


def test_logs_are_kept_by_cursor_as_those_of_other_engines(here: Native, tmp_path: Path) -> None:
    gate = here.folder / "gate"
    os.mkfifo(gate)
    container = here.started("seq 1000; read x < gate; seq 1001 2000", log={"max_size": "20k", "max_file": 50})
    wait_until(lambda: len(here.said(container)) == 1000)
    logs.collect(here.engine, here.of(container), tmp_path / "kept", Secrets({}), last=False)
    gate.write_text("go on\n")
    here.ended(container)
    path = logs.collect(here.engine, here.of(container), tmp_path / "kept", Secrets({}))
    kept = [line.text for line in logs.read_kept(path)]
    assert kept == here.said(container) == [str(number) for number in range(1, 2001)]


def test_a_log_keeps_to_its_size_and_number(here: Native) -> None:
    container = here.started("seq 20000", log={"max_size": "100k", "max_file": 2})
    here.ended(container)
    files = sorted(here.kept(container).log.iterdir())
    assert len(files) == 2
    assert [path.stat().st_size <= 100 * 1024 for path in files] == [True, True]
    assert here.said(container)[-1] == "20000"


def test_lines_are_made_of_pieces_of_any_size() -> None:
    lines = Lines()
    found = [lines.stamped(piece, b"T ") for piece in (b"a", b"b\nc\n", b"d", b"", b"e\n\n")]
    assert found == [b"", b"T ab\nT c\n", b"", b"", b"T de\nT \n"]
    assert (lines.last(b"T "), lines.rest) == (b"", b"")
    assert lines.stamped(b"end", b"T ") == b""
    assert lines.last(b"T ") == b"T end\n"


def test_a_line_that_never_ends_is_cut() -> None:
    lines = Lines()
    found = b"".join(lines.stamped(b"x" * 65536, b"T ") for _ in range(2 * LONGEST // 65536 + 2))
    assert 1 <= found.count(b"\n") <= 3
    assert len(lines.rest) <= LONGEST


def test_a_time_has_nine_digits_and_is_in_utc() -> None:
    assert stamp(1_700_000_000_000_000_042) == b"2023-11-14T22:13:20.000000042Z "


def test_a_log_goes_on_in_the_next_file_and_the_oldest_is_removed(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 10, 3)
    for number in range(6):
        log.write(f"line {number}\n".encode())
    log.close()
    assert names(str(tmp_path / "log")) == ["00000004.log", "00000005.log", "00000006.log"]
    assert (tmp_path / "log" / "00000006.log").read_bytes() == b"line 5\n"


# ---------------------------------------------------------------- volumes


def test_volumes_are_folders_and_only_these_are_removed(here: Native) -> None:
    project = here.kept(here.web("true")).folder.parent.parent
    (project / "volumes" / "data" / "deep").mkdir(parents=True)
    (here.folder / "precious").mkdir()
    (project / "volumes" / "link").symlink_to(here.folder / "precious")
    assert here.engine.volumes(PROJECT) == ["demo_data"]
    for wrong in ("demo_link", "demo_..", "demo_../../precious", "other_data", ""):
        with pytest.raises(EngineError, match="no such volume"):
            here.engine.remove_volume(wrong)
    here.engine.remove_volume("demo_data")
    assert here.engine.volumes(PROJECT) == []
    assert (here.folder / "precious").is_dir()


# ---------------------------------------------------------------- limits

TWO_GIB = Limits(cpus="1.5", memory="2g", pids=200)


def machine(root: Path, uid: int = 1000, **files: str) -> Surroundings:
    (root / "bin").mkdir()
    for path, text in files.items():
        (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (root / path.lstrip("/")).write_text(text)
    return Surroundings({"PATH": str(root / "bin")}, uid, root)


def files(*given: tuple[str, str]) -> dict[str, str]:
    return dict(given)


def test_where_nobody_enforces_limits_each_is_told(tmp_path: Path) -> None:
    nothing = machine(tmp_path)
    assert enforcement(TWO_GIB, "x", nothing) == Enforcement(missing=("memory", "cpus", "pids"))
    assert unenforced(Limits(memory="2g"), nothing) == ("memory 2g: nothing on this machine enforces it for this user",)
    assert enforcement(Limits(), "x", nothing) == Enforcement()


def test_systemd_of_a_user_enforces_what_it_was_given(tmp_path: Path) -> None:
    user = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers"
    found = machine(tmp_path, **files((user, "memory pids\n"), ("/run/user/1000/systemd/private", "")))
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    program = tmp_path / "bin" / "systemd-run"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert enforcement(TWO_GIB, "x", found) == Enforcement(
        (
            *("systemd-run", "--user", "--scope", "--quiet", "--collect"),
            *("-p", "MemoryMax=2147483648", "-p", "TasksMax=200", "--"),
        ),
        missing=("cpus",),
    )


def test_a_group_that_was_handed_to_us_enforces_what_it_hands_on(tmp_path: Path) -> None:
    group = "/sys/fs/cgroup/ours"
    found = machine(
        tmp_path,
        **files(
            ("/proc/self/cgroup", "0::/ours/job\n"),
            (f"{group}/cgroup.subtree_control", "cpu memory\n"),
            (f"{group}/cgroup.procs", ""),
            (f"{group}/job/cgroup.subtree_control", "\n"),
            (f"{group}/job/cgroup.procs", ""),
        ),
    )
    written = (("memory.max", "2147483648"), ("cpu.max", "150000 100000"))
    assert enforcement(TWO_GIB, "x", found) == Enforcement(
        groups=((str(tmp_path / "sys/fs/cgroup/ours/lcompose-x"), written),), missing=("pids",)
    )


def test_older_kernels_have_a_group_for_each_limit(tmp_path: Path) -> None:
    found = machine(
        tmp_path,
        **files(
            ("/proc/self/cgroup", "4:memory:/here\n2:cpu,cpuacct:/\n"),
            ("/sys/fs/cgroup/memory/here/cgroup.procs", ""),
            ("/sys/fs/cgroup/cpu/cgroup.procs", ""),
        ),
    )
    top = tmp_path / "sys/fs/cgroup"
    assert enforcement(TWO_GIB, "x", found) == Enforcement(
        groups=(
            (str(top / "memory/here/lcompose-x"), (("memory.limit_in_bytes", "2147483648"),)),
            (str(top / "cpu/lcompose-x"), (("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000"))),
        ),
        missing=("pids",),
    )


def test_what_takes_more_memory_than_it_may_is_ended_and_told(here: Native) -> None:
    hungry = "x = bytearray(400 * 2**20); print(len(x))"
    one = here.create({"web": {"command": ["python3", "-c", hungry], "limits": {"memory": "60m"}}})["web"]
    if here.engine.unenforced(PROJECT):
        assert any("web: the limit memory 60m" in line for line in here.told)
        pytest.skip("nothing enforces a limit of memory for this user here")
    here.engine.start(one.id)
    ended = here.ended(one.id, 20)
    assert (ended.exit_code, ended.oom_killed, observed_state(ended)) == (137, True, "error")
    events = here.kept(one.id).folder.parent / "events"
    wait_until(lambda: '"die"' in events.read_text())
    actions = [json.loads(line)["action"] for line in events.read_text().splitlines()]
    assert actions == ["create", "start", "oom", "die"]


def test_words_for_sizes_are_those_of_engines() -> None:
    def tree(text: str) -> dict[str, Any]:
        return {"command": ["a"], "directory": "/", "log": {"max_size": text}}

    sizes = {text: spec_of(tree(text), "i", "p", "s", 0).log_size for text in ("10", "2k", "3M", "1.5g", "4mb")}
    assert sizes == {"10": 10, "2k": 2048, "3M": 3 * 2**20, "1.5g": 3 * 2**29, "4mb": 4 * 2**20}
    with pytest.raises(ValueError):
        spec_of(tree("many"), "i", "p", "s", 0)


def test_an_error_has_something_to_do(here: Native) -> None:
    calls = [
        lambda: here.engine.start("0" * 32),
        lambda: here.engine.pull("x", 1, print),
        lambda: here.engine.remove_volume("x"),
        lambda: here.engine.read(ComposeFile(PROJECT, (here.folder / "no.yaml",), here.folder, {})),
    ]
    for call in calls:
        with pytest.raises(LcomposeError) as raised:
            call()
        assert raised.value.what and raised.value.fix
