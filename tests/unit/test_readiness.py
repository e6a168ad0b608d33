"""What an observation means: waiting, ready, done or failed, and a line that says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.keeper import FAILED, WAS_KILLED
from lcompose.readiness import REVIVAL, RULES, Checked, Observation, Verdict, ending, judge, missing_program
from lcompose.spec.project import Healthcheck, Probe
from lcompose.spec.run import Answer, Container, Gated
from tests.unit.given import container

NOW = 1_700_000_000.0
CHECK = Healthcheck(("CMD", "true"), interval=2, retries=3)
PROBED, PLAIN = Gated("web", Probe(80, "/")), Gated("web")
CHECKED = Gated("web", check=CHECK)
YES, NO = Answer(ok=True, detail="HTTP 200"), Answer(ok=False, detail="HTTP 503")
DEGRADED = Answer(ok=False, detail="overall_status: degraded (no server)")
IS_DEGRADED = Verdict("failed", "degraded: it started without Llama Stack, and stays so until it is restarted")


def web(state: str = "running", **more: Any) -> Container:
    """A container of the service, that was started a minute ago."""
    return container("web", state, **{"started": NOW - 60, "finished": NOW - 30, **more})


def waiting(reason: str) -> Verdict:
    """Not yet."""
    return Verdict("waiting", reason)


def failed(reason: str) -> Verdict:
    """Never."""
    return Verdict("failed", reason)


def seen(*found: Container, service: Gated = PROBED, answer: Answer | None = None, **more: Any) -> Observation:
    """An observation in which every container answers the same."""
    answers = {one.id: answer for one in found} if answer else {}
    return Observation(service, found, answers, **{"now": NOW, "stability": 3, **more})


def verdict(*found: Container, **more: Any) -> Verdict:
    """The verdict on it."""
    return judge(seen(*found, **more))


@pytest.mark.parametrize("service", [PROBED, CHECKED, PLAIN])
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((), failed("it has no container: something removed it")),
        ((web("exited", exit_code=1),), failed("it exited with code 1")),
        ((web("exited", exit_code=127, error="no x"),), failed("it could not be started: no x")),
        ((web("exited", exit_code=137),), failed("it was killed (exit code 137), perhaps out of memory")),
        ((web("exited", exit_code=1, oom_killed=True),), failed("it was killed (exit code 1), perhaps out of memory")),
        ((web("dead"),), failed("it exited with code 0")),
        ((web("stopped", exit_code=2),), failed("it exited with code 2")),
        ((web("exited", started=0.0),), failed("it exited with code 0")),
        ((web("created"),), waiting("not started yet")),
        ((web("configured"),), waiting("not started yet")),
        ((web("initialized"),), waiting("not started yet")),
        ((web("starting"),), waiting("not started yet")),
        ((web("removing"),), waiting("not started yet")),
        ((web("created", error="port is taken"),), failed("it could not be started: port is taken")),
        ((web("restarting", exit_code=1),), waiting("restarting: it exited with code 1")),
        (
            (web("restarting", exit_code=137),),
            waiting("restarting: it was killed (exit code 137), perhaps out of memory"),
        ),
        ((web("paused"),), waiting("somebody paused it")),
        ((web("stopping"),), waiting("stopping")),
        ((web("a word of tomorrow"),), waiting("a word of tomorrow")),
    ],
)
def test_what_does_not_run_has_its_verdict_however_it_is_asked(
    service: Gated, found: tuple[Container, ...], expected: Verdict
) -> None:
    assert verdict(*found, service=service) == expected


@pytest.mark.parametrize("service", [PROBED, CHECKED, PLAIN])
def test_an_error_of_the_last_start_is_forgotten_once_it_runs(service: Gated) -> None:
    assert verdict(web(error="port is taken"), service=service, answer=YES).state != "failed"


@pytest.mark.parametrize(
    ("found", "answer", "expected"),
    [
        ((web(),), None, waiting("not asked yet")),
        ((web(),), NO, waiting("HTTP 503")),
        ((web(),), YES, Verdict("ready", "HTTP 200")),
        ((web(),), DEGRADED, IS_DEGRADED),
        ((web(health="unhealthy"),), YES, Verdict("ready", "HTTP 200")),
        ((web(), web("created")), YES, waiting("not started yet")),
        ((web(), web("exited")), YES, failed("it exited with code 0")),
    ],
)
def test_a_service_that_is_probed_has_the_verdict_of_its_answer(
    found: tuple[Container, ...], answer: Answer | None, expected: Verdict
) -> None:
    assert verdict(*found, answer=answer) == expected


def test_what_another_service_answered_says_nothing_of_this_one() -> None:
    found = Observation(PROBED, (web(),), {"web": YES, "other": DEGRADED}, now=NOW)
    assert judge(found) == Verdict("ready", "HTTP 200")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("created", failed("it could not be started: port is taken")),
        ("exited", failed("it could not be started: port is taken")),
        ("removing", failed("it could not be started: port is taken")),
        ("running", Verdict("ready", "HTTP 200")),
    ],
)
def test_what_an_engine_refused_to_start_has_failed_unless_it_runs_all_the_same(state: str, expected: Verdict) -> None:
    assert verdict(web(state), answer=YES, refused={"web": "port is taken", "other": "x"}) == expected


# ---------------------------------------------------------------- replicas


TWO = Gated("web", Probe(80, "/"), replicas=2)
ONE, OTHER = web(), replace(web(), id="w2")


@pytest.mark.parametrize(
    ("found", "answers", "expected"),
    [
        ((ONE, OTHER), {"web": YES, "w2": YES}, Verdict("ready", "HTTP 200")),
        ((ONE, OTHER), {"web": YES, "w2": NO}, waiting("HTTP 503")),
        ((ONE, OTHER), {"web": NO, "w2": YES}, waiting("HTTP 503")),
        ((ONE, OTHER), {"web": YES}, waiting("not asked yet")),
        ((ONE,), {"web": YES}, failed("1 of its 2 containers are gone: something removed them")),
        ((), {}, failed("it has no container: something removed it")),
    ],
)
def test_a_service_of_two_is_ready_when_both_are(
    found: tuple[Container, ...], answers: dict[str, Answer], expected: Verdict
) -> None:
    assert judge(Observation(TWO, found, answers, now=NOW)) == expected


@pytest.mark.parametrize("found", [(), (web(),), (web("exited", exit_code=1),)])
def test_a_service_of_no_replicas_is_done(found: tuple[Container, ...]) -> None:
    assert verdict(*found, service=replace(PROBED, replicas=0)) == Verdict("done", "scaled to 0")


# ---------------------------------------------------------------- one-shots


DONE = Verdict("done", "it did its job (exit code 0)")
CODE_0, CODE_1 = failed("it exited with code 0"), failed("it exited with code 1")


@pytest.mark.parametrize(
    ("service", "code", "expected"),
    [
        (PLAIN, 0, DONE),
        (PLAIN, 1, CODE_1),
        (replace(PLAIN, restart="on-failure"), 0, DONE),
        (replace(PLAIN, restart="on-failure"), 1, CODE_1),
        (replace(PLAIN, restart=""), 0, DONE),
        (replace(PLAIN, restart="always"), 0, CODE_0),
        (replace(PLAIN, restart="unless-stopped"), 0, CODE_0),
        (replace(PLAIN, role="oneshot"), 0, DONE),
        (replace(PLAIN, role="oneshot"), 1, CODE_1),
        (replace(PLAIN, role="oneshot", restart="always"), 0, DONE),
        (replace(PROBED, role="oneshot"), 0, DONE),
        (replace(PLAIN, role="server"), 0, CODE_0),
        (PROBED, 0, CODE_0),
        (CHECKED, 0, DONE),
    ],
)
def test_what_ended_with_0_did_its_job_unless_it_is_a_server(service: Gated, code: int, expected: Verdict) -> None:
    assert verdict(web("exited", exit_code=code), service=service) == expected


def test_a_one_shot_of_two_is_done_when_both_are() -> None:
    service = replace(PLAIN, replicas=2)
    ended, other = web("exited"), replace(web(), id="w2")
    assert verdict(ended, other, service=service) == Verdict("ready", "it runs (it has no health check)")
    assert verdict(ended, replace(other, state="exited"), service=service) == DONE
    assert verdict(ended, replace(other, state="exited", exit_code=1), service=service) == CODE_1


def test_what_somebody_waits_for_to_be_healthy_must_not_end_before() -> None:
    found = verdict(web("exited"), service=CHECKED, never_healthy=True)
    assert found == failed("it ended (exit code 0) before it was healthy")


@pytest.mark.parametrize(
    ("own", "of_file", "code", "comes_back"),
    [
        ("no", "no", 1, False),
        ("always", "no", 1, True),
        ("always", "no", 0, True),
        ("unless-stopped", "no", 0, True),
        ("on-failure", "no", 1, True),
        ("on-failure", "no", 0, False),
        ("no", "always", 1, True),
        ("no", "on-failure", 0, False),
    ],
)
def test_what_its_engine_may_start_again_is_waited_for_a_moment(
    own: str, of_file: str, code: int, comes_back: bool
) -> None:
    one = web("exited", exit_code=code, restart=own, finished=NOW - REVIVAL / 2)
    late = replace(one, finished=NOW - REVIVAL)
    service = replace(PLAIN, restart=of_file)
    after = f"it exited with code {code}"
    assert (verdict(one, service=service) == waiting(f"{after}, and is to be started again")) is comes_back
    assert verdict(late, service=service).state in ("failed", "done")


@pytest.mark.parametrize("restart", ["no", "always", "on-failure"])
def test_what_lost_its_supervisor_has_failed_and_nobody_starts_it_again(restart: str) -> None:
    one = web("exited", exit_code=137, error=WAS_KILLED, restart=restart, started=NOW - 5, finished=NOW)
    said = "its supervisor was killed, so it and all that it started were ended (exit code 137)"
    assert verdict(one, service=replace(PLAIN, restart=restart)) == failed(said)


# ---------------------------------------------------------------- crash loops


LOOP = {"web": 3}


@pytest.mark.parametrize(
    ("one", "more", "expected"),
    [
        (
            web("restarting", restarts=3, exit_code=1),
            {},
            failed("it keeps dying: 3 restarts, it exited with code 1"),
        ),
        (
            web("exited", restarts=4, exit_code=137, restart="always", finished=NOW),
            {},
            failed("it keeps dying: 4 restarts, it was killed (exit code 137), perhaps out of memory"),
        ),
        (web(restarts=3), {"answer": NO}, failed("it keeps dying: 3 restarts")),
        (web(restarts=3), {}, failed("it keeps dying: 3 restarts")),
        (web(restarts=3, exit_code=2), {}, failed("it keeps dying: 3 restarts, it exited with code 2")),
        (web(restarts=3), {"answer": YES}, Verdict("ready", "HTTP 200")),
        (web(restarts=3), {"service": PLAIN}, failed("it keeps dying: 3 restarts")),
        (web(restarts=3), {"service": CHECKED}, failed("it keeps dying: 3 restarts")),
        (web(restarts=3, health="healthy"), {"service": CHECKED}, Verdict("ready", "its health check passes")),
        (
            web(restarts=3),
            {"service": CHECKED, "checked": {"web": Checked(YES)}},
            Verdict("ready", "its health check passes"),
        ),
        (web("restarting", restarts=2, exit_code=1), {}, waiting("restarting: it exited with code 1")),
        (web(restarts=9), {"most_restarts": {}}, waiting("not asked yet")),
        (web(restarts=9), {"most_restarts": {"another": 1}}, waiting("not asked yet")),
        (web("created", restarts=9), {"waits_for": "waits until db is healthy"}, waiting("waits until db is healthy")),
    ],
)
def test_a_crash_loop_is_told_by_its_restarts_unless_it_got_over_them(
    one: Container, more: dict[str, Any], expected: Verdict
) -> None:
    assert verdict(one, **{"most_restarts": LOOP, **more}) == expected


# ---------------------------------------------------------------- health checks


def own(answer: Answer, failures: int = 0) -> dict[str, dict[str, Checked]]:
    """What our own runs of the check found."""
    return {"checked": {"web": Checked(answer, failures)}}


SICK = Answer(ok=False, detail="no connection")
MUTE = Answer(ok=False)
NO_CURL = 'exec: "curl": executable file not found in $PATH'
UNHEALTHY = "unhealthy (3 checks in a row, 2 s apart, failed)"


@pytest.mark.parametrize(
    ("one", "more", "expected"),
    [
        (web(), {}, waiting("not healthy yet")),
        (web(health="starting"), {}, waiting("not healthy yet")),
        (web(health="starting", health_output="no db"), {}, waiting("its health check fails: no db")),
        (web(health="healthy"), {}, Verdict("ready", "its health check passes")),
        (web(health="unhealthy", health_output="no db"), {}, failed(f"{UNHEALTHY}: no db")),
        (web(health="unhealthy"), {}, failed(f"{UNHEALTHY}: its health check says nothing")),
        (web(), own(Answer(ok=True)), Verdict("ready", "its health check passes")),
        (web(health="unhealthy"), own(Answer(ok=True)), Verdict("ready", "its health check passes")),
        (web(), own(SICK), waiting("its health check fails: no connection")),
        (web(), own(SICK, 2), waiting("its health check fails: no connection")),
        (web(), own(SICK, 3), failed(f"{UNHEALTHY}: no connection")),
        (web(), own(MUTE, 3), failed(f"{UNHEALTHY}: its health check says nothing")),
        (web(health="healthy"), own(SICK, 9), Verdict("ready", "its health check passes")),
        (
            web(),
            own(Answer(ok=False, detail="sh: curl: not found", missing="curl")),
            failed("its health check cannot run: curl: not found in the image"),
        ),
        (
            web(health="starting", health_output=NO_CURL),
            {},
            failed("its health check cannot run: curl: not found in the image"),
        ),
        (web(health="healthy", health_output=NO_CURL), {}, Verdict("ready", "its health check passes")),
    ],
)
def test_a_health_check_inside_has_its_verdict(one: Container, more: dict[str, Any], expected: Verdict) -> None:
    assert verdict(one, service=CHECKED, **more) == expected


def test_of_two_containers_the_one_that_failed_is_told_before_the_one_that_is_waited_for() -> None:
    checked = {"w2": Checked(SICK, 3)}
    assert verdict(ONE, OTHER, service=CHECKED, checked=checked) == failed(f"{UNHEALTHY}: no connection")


@pytest.mark.parametrize(
    "service", [replace(CHECKED, unchecked=True), Gated("web", check=Healthcheck(())), Gated("web", unchecked=True)]
)
def test_a_check_that_is_switched_off_counts_as_none(service: Gated) -> None:
    assert verdict(web(health="unhealthy"), service=service) == Verdict("ready", "it runs (it has no health check)")


@pytest.mark.parametrize(
    ("said", "command", "program"),
    [
        # Docker, runc
        (
            'OCI runtime exec failed: exec failed: unable to start container process: exec: "curl": executable file '
            "not found in $PATH: unknown",
            "",
            "curl",
        ),
        (
            'OCI runtime exec failed: exec failed: unable to start container process: exec: "/usr/bin/curl": stat '
            "/usr/bin/curl: no such file or directory: unknown",
            "",
            "/usr/bin/curl",
        ),
        (
            "OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: exec: "
            '"/bin/bash": no such file or directory: unknown',
            "",
            "/bin/bash",
        ),
        # Podman, runc and crun
        (
            'Error: runc: exec failed: unable to start container process: exec: "curl": executable file not found in '
            "$PATH: OCI runtime attempted to invoke a command that was not found",
            "",
            "curl",
        ),
        (
            "Error: crun: executable file `curl` not found in $PATH: No such file or directory: OCI runtime attempted "
            "to invoke a command that was not found",
            "",
            "curl",
        ),
        # Shells: BusyBox, dash, bash
        ("/bin/sh: curl: not found", "curl -f localhost", "curl"),
        ("sh: /usr/bin/curl: not found", "/usr/bin/curl localhost", "/usr/bin/curl"),
        ("/bin/sh: 1: curl: not found", "curl localhost || exit 1", "curl"),
        ("/bin/sh: line 1: curl: command not found", "curl localhost || false", "curl"),
        ("bash: line 1: pg_isready: command not found", "pg_isready", "pg_isready"),
        ("some words before /bin/sh: curl: not found", "echo some words before; curl x", "curl"),
        # What is not certain
        ("/bin/sh: curl: not found wget: can't connect", "curl x || wget x", ""),
        ("/check.sh: line 3: curl: command not found", "/check.sh", ""),
        ("stat /run/ready: no such file or directory", "", ""),
        ("cat: /run/ready: No such file or directory", "cat /run/ready", ""),
        ("404 page not found", "", ""),
        ("host: not found", "", ""),
        ("sh: can't open '/run/ready': no such file", "", ""),
        ("exec: no such thing", "", ""),
        ("", "", ""),
    ],
)
def test_a_program_that_is_missing_is_told_where_that_is_certain(said: str, command: str, program: str) -> None:
    assert missing_program(said, ("CMD-SHELL", command)) == program


def test_an_engine_that_misses_one_of_two_programs_does_not_end_the_waiting() -> None:
    check = Healthcheck(("CMD-SHELL", "curl -f localhost || wget -q localhost"))
    one = web(health="starting", health_output="/bin/sh: curl: not found")
    found = verdict(one, service=Gated("web", check=check))
    assert found == waiting("its health check fails: /bin/sh: curl: not found")


# ---------------------------------------------------------------- without any check


RUNS = Verdict("ready", "it runs (it has no health check)")
WATCHED = waiting("runs; has no health check, so it is watched for 3 s")


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, WATCHED), (2.9, WATCHED), (3, RUNS), (3600, RUNS), (-1, WATCHED)]
)
def test_a_service_without_any_check_is_ready_when_it_has_run_for_a_while(seconds: float, expected: Verdict) -> None:
    assert verdict(web(started=NOW - seconds), service=PLAIN) == expected


def test_all_replicas_must_have_run_for_a_while() -> None:
    young = replace(OTHER, started=NOW - 1)
    assert verdict(ONE, young, service=replace(PLAIN, replicas=2)) == WATCHED


# ---------------------------------------------------------------- what holds for all


def test_what_is_not_to_be_started_yet_is_waited_for_whatever_is_left_of_it() -> None:
    for state in ("created", "exited", "dead", "running"):
        found = verdict(web(state, exit_code=1), waits_for="waits until db is healthy")
        assert found == waiting("waits until db is healthy")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"exit_code": 3}, "it exited with code 3"),
        ({"exit_code": 137}, "it was killed (exit code 137), perhaps out of memory"),
        ({"exit_code": 1, "oom_killed": True}, "it was killed (exit code 1), perhaps out of memory"),
        ({"exit_code": 127, "error": "no such file"}, "it exited with code 127: no such file"),
        (
            {"exit_code": 137, "error": WAS_KILLED},
            "its supervisor was killed, so it and all that it started were ended (exit code 137)",
        ),
        (
            {"exit_code": 3, "error": FAILED},
            "its supervisor failed, so it and all that it started were ended (exit code 3)",
        ),
    ],
)
def test_an_end_is_told_for_people(more: dict[str, Any], said: str) -> None:
    assert ending(web("exited", **more)) == said


ANSWERS = st.sampled_from([YES, NO, DEGRADED, SICK, Answer(ok=False, detail="no", missing="curl")])
STATES = st.sampled_from(
    ["running", "created", "configured", "initialized", "starting", "removing", "restarting", "paused", "exited"]
) | st.sampled_from(["stopped", "stopping", "dead", "unknown", "a word of tomorrow"])
TIMES = st.sampled_from([0.0, NOW - 60, NOW - 1, NOW, NOW + 60])
CONTAINERS = st.lists(
    st.builds(
        lambda number, state, **more: Container(f"c{number}", "", "web", state, **more),
        st.integers(0, 3),
        STATES,
        exit_code=st.sampled_from([0, 1, 137, 143]),
        restarts=st.integers(0, 9),
        oom_killed=st.booleans(),
        error=st.sampled_from(["", "no such file"]),
        health=st.sampled_from(["", "starting", "healthy", "unhealthy", "a word of tomorrow"]),
        health_output=st.sampled_from(["", "no", NO_CURL]),
        started=TIMES,
        finished=TIMES,
        restart=st.sampled_from(["", "no", "always", "on-failure", "unless-stopped"]),
    ),
    max_size=3,
    unique_by=lambda one: one.id,
).map(tuple)
SERVICES = st.builds(
    Gated,
    st.just("web"),
    st.none() | st.just(Probe(80)),
    st.none() | st.sampled_from([CHECK, Healthcheck(())]),
    unchecked=st.booleans(),
    role=st.sampled_from(["", "server", "oneshot"]),
    replicas=st.integers(0, 3),
    restart=st.sampled_from(["", "no", "always", "on-failure", "unless-stopped"]),
)
IDS = st.sampled_from(["c0", "c1", "c2", "c3", "another"])
OBSERVATIONS = st.builds(
    Observation,
    SERVICES,
    CONTAINERS,
    st.dictionaries(IDS, ANSWERS, max_size=4),
    st.dictionaries(IDS, st.builds(Checked, ANSWERS, st.integers(0, 9)), max_size=4),
    st.just(NOW),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from(["", "", "waits until db is started"]),
    st.dictionaries(IDS, st.just("port is taken"), max_size=1),
    st.dictionaries(IDS, st.integers(0, 9), max_size=4),
    st.booleans(),
)


@given(OBSERVATIONS)
def test_every_observation_has_one_of_four_verdicts_and_a_reason(found: Observation) -> None:
    verdict = judge(found)
    assert verdict.state in ("waiting", "ready", "done", "failed")
    assert verdict.reason


@given(OBSERVATIONS)
def test_nothing_is_ready_that_does_not_run(found: Observation) -> None:
    if judge(found).state == "ready":
        assert any(one.state == "running" for one in found.containers)
        ended = [one for one in found.containers if one.state != "running"]
        assert all(one.state in ("exited", "stopped") and one.exit_code == 0 for one in ended)


@given(OBSERVATIONS)
def test_nothing_that_is_probed_is_ready_before_all_of_it_said_so(found: Observation) -> None:
    if judge(found).state == "ready" and found.service.probe:
        assert all((answer := found.answers.get(one.id)) and answer.ok for one in found.containers)


@given(OBSERVATIONS)
def test_nothing_is_done_that_still_runs_or_ended_badly(found: Observation) -> None:
    if judge(found).state == "done" and found.service.replicas:
        assert all(one.state in ("exited", "stopped") and one.exit_code == 0 for one in found.containers)


@given(OBSERVATIONS)
def test_what_ended_badly_is_never_passed_over(found: Observation) -> None:
    bad = [one for one in found.containers if one.state in ("exited", "stopped") and one.exit_code]
    if bad and found.service.replicas and not found.waits_for:
        assert judge(found).state in ("failed", "waiting")


@given(OBSERVATIONS, st.permutations(RULES))
def test_no_rule_ever_fails_whatever_it_is_asked(found: Observation, rules: list[Any]) -> None:
    for rule in rules:
        rule(found)
