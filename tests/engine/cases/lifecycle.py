"""What a second ``up`` does, and how things stop."""

from __future__ import annotations

import time

import pytest

from tests.engine.stack import Stack

# Writes down that it was asked to stop, and ends by itself.
TIDY = "trap 'echo NAME >> /work/order; exit 0' TERM; sleep 60 & wait"

PAIR = """
    services:
      init: {image: $IMAGE, command: "echo ${ONCE:-once}"}
      app:
        image: $IMAGE
        init: true
        command: sleep ${SECONDS:-60}
        environment: {COLOUR: "${COLOUR:-red}"}
        configs: [{source: told, target: /told}]
        depends_on: {init: {condition: service_completed_successfully}}
      other: {image: "${OTHER:-$IMAGE}", init: true, command: sleep 60, healthcheck: {disable: true}}
    configs: {told: {content: "${TOLD:-first}"}}
"""


def a_second_up_finds_nothing_to_do(stack: Stack) -> None:
    stack.write(PAIR)
    stack.started()
    before = stack.containers()
    did = stack.started()
    assert "nothing to do" in did.said
    assert stack.containers() == before
    stack.ends()


def a_change_replaces_that_service_and_no_other(stack: Stack) -> None:
    """An environment and a one-shot; a command and an image; the content of a document."""
    stack.write(PAIR)
    stack.started()
    changes = [
        (["app", "init"], {"COLOUR": "blue", "ONCE": "twice"}),
        (["app", "other"], {"SECONDS": "61", "OTHER": stack.env["CHECKED"]}),
        (["app"], {"TOLD": "second"}),
    ]
    env: dict[str, str] = {}
    for services, change in changes:
        before = {one.service: one for one in stack.containers()}
        env |= change
        stack.started(**env)
        after = {one.service: one for one in stack.containers()}
        assert [name for name in after if after[name].id != before[name].id] == services, change
    assert stack.ask("exec", stack.container("app").id, "cat", "/told") == "second"
    stack.ends()


def a_tag_that_means_another_image_now_replaces_the_service(stack: Stack) -> None:
    moving = f"localhost/lcompose-test/{stack.project}:1"
    stack.ask("tag", stack.env["IMAGE"], moving)
    try:
        stack.write(f"""
            services:
              app: {{image: "{moving}", init: true, command: sleep 60, healthcheck: {{disable: true}}}}
        """)
        stack.started()
        before = stack.container("app")
        stack.ask("tag", stack.env["CHECKED"], moving)
        stack.started()
        assert stack.container("app").image != before.image
        stack.ends()
    finally:
        stack.ask("rmi", moving)


def a_one_shot_that_did_its_job_is_not_run_again(stack: Stack) -> None:
    stack.write(PAIR)
    stack.started()
    ran = stack.container("init")
    stack.started(COLOUR="blue")
    stack.started(COLOUR="blue")
    assert stack.container("init") == ran
    stack.ends()


def a_one_shot_that_failed_is_run_again(stack: Stack) -> None:
    stack.write("""
        services:
          init: {image: $IMAGE, command: test -f /work/ready, volumes: ["./work:/work"]}
    """)
    (stack.folder / "work").mkdir()
    assert stack.up().code == 5
    (stack.folder / "work" / "ready").touch()
    stack.started()
    stack.ends()


def a_file_that_was_mended_starts(stack: Stack) -> None:
    broken = """
        services:
          db: {image: $IMAGE, init: true, command: sleep 60}
          app: {image: $IMAGE, init: true, command: sh -c "exit 3"}
    """
    stack.write(broken)
    assert stack.up().code == 5
    db = stack.container("db")
    stack.write(broken.replace("exit 3", "exec sleep 60"))
    stack.started()
    assert stack.states() == {"app": "running", "db": "running"}
    assert stack.container("db") == db
    stack.ends()


def what_somebody_stopped_or_removed_is_there_again(stack: Stack) -> None:
    stack.write(PAIR)
    stack.started()
    before = stack.containers()
    stack.ask("stop", stack.container("app").id)
    code, states = stack.status()
    assert (code, states["other"]) == (5, "ready")
    stack.started()
    after = stack.containers()
    assert [one.id for one in after] == [one.id for one in before]
    assert [one.service for one, was in zip(after, before, strict=True) if one != was] == ["app"]
    stack.ask("rm", "--force", stack.container("app").id)
    stack.started()
    assert stack.states() == {"app": "running", "init": "exited 0", "other": "running"}
    assert stack.container("other") == before[-1]
    stack.ends()


def an_engine_goes_on_to_restart_what_was_started(stack: Stack) -> None:
    """What an engine leaves to watch over a container must survive the end of ``up``."""
    stack.write("""
        services:
          app:
            image: $IMAGE
            init: true
            command: sh -c "until test -f /tmp/die; do sleep 0.1; done; rm /tmp/die; exit 1"
            restart: always
    """)
    stack.started()
    app = stack.container("app")
    for restarts in (1, 2):
        # It may be dead before its engine has told that the file is there.
        stack.ask("exec", "--detach", app.id, "touch", "/tmp/die")
        deadline = time.monotonic() + 10
        while (now := stack.container("app")).restarts < restarts or now.state != "running":
            assert time.monotonic() < deadline, now
            time.sleep(0.1)
    stack.ends()


CHAIN = """
    x-tidy: &tidy {image: $IMAGE, volumes: ["./work:/work"], stop_grace_period: 8s}
    services:
      vllm: {<<: *tidy, command: ["sh", "-c", "VLLM"], environment: {COLOUR: "${COLOUR:-red}"}}
      llama: {<<: *tidy, command: ["sh", "-c", "LLAMA"], depends_on: [vllm]}
      lcs: {<<: *tidy, command: ["sh", "-c", "LCS"], depends_on: [llama]}
"""


def _chain(stack: Stack) -> None:
    text = CHAIN
    for name in ("vllm", "llama", "lcs"):
        text = text.replace(name.upper(), TIDY.replace("NAME", name))
    stack.write(text)
    (stack.folder / "work").mkdir()
    stack.started()


def _order(stack: Stack) -> list[str]:
    return (stack.folder / "work" / "order").read_text().split()


def what_depends_on_others_is_stopped_before_them(stack: Stack) -> None:
    _chain(stack)
    stack.ends()
    assert _order(stack) == ["lcs", "llama", "vllm"]


def what_depends_on_a_replaced_service_is_stopped_before_it(stack: Stack) -> None:
    _chain(stack)
    before = stack.container("vllm")
    stack.started(COLOUR="blue")
    assert _order(stack) == ["lcs", "llama", "vllm"]
    assert stack.container("vllm").id != before.id
    assert set(stack.states().values()) == {"running"}
    stack.ends()


def services_that_do_not_depend_on_each_other_stop_side_by_side(stack: Stack) -> None:
    slow = "trap 'echo begun >> /work/order; sleep 2; echo ended >> /work/order; exit 0' TERM; sleep 60 & wait"
    stack.write(f"""
        x-slow: &slow {{image: $IMAGE, volumes: ["./work:/work"], command: ["sh", "-c", "{slow}"]}}
        services:
          one: *slow
          two: *slow
          three: *slow
    """)
    (stack.folder / "work").mkdir()
    stack.started()
    stack.ends()
    assert _order(stack) == ["begun"] * 3 + ["ended"] * 3


def each_service_has_its_own_time_to_stop(stack: Stack) -> None:
    stack.write("""
        services:
          slow:
            image: $IMAGE
            command: sh -c "trap 'sleep 3; echo tidy; exit 0' TERM; sleep 60 & wait"
            stop_grace_period: 20s
          deaf:
            image: $IMAGE
            command: sh -c "trap '' TERM; sleep 60"
            stop_grace_period: 1s
    """)
    stack.started()
    did = stack.down("--volumes")
    assert did.code == 0, did.said
    # With the engine's own time, ten seconds, it would be the last.
    assert did.err.index("deaf: offline") < did.err.index("slow: offline")
    assert "tidy" in stack.logs("slow")


def down_removes_all_but_volumes_whatever_the_file_says_now(stack: Stack) -> None:
    stack.write("""
        services:
          app: {image: $IMAGE, init: true, command: sleep 60, volumes: ["work:/work"]}
          other: {image: $IMAGE, init: true, command: sleep 60, networks: [mine]}
        volumes: {work: {}}
        networks: {mine: {}}
    """)
    assert stack.down().code == 0  # nothing is there yet
    stack.started()
    stack.write("""
        services:
          app: {image: $IMAGE, init: true, command: sleep 60}
    """)
    assert stack.down().code == 0
    assert list(stack.left()) == ["volumes"]
    stack.ends()
    assert stack.down().code == 0


def what_compose_started_is_left_as_it_is(stack: Stack) -> None:
    if stack.engine != "docker":
        pytest.skip("podman-compose hashes in a way of its own")
    stack.write(PAIR)
    compose = ["compose", "-f", str(stack.file), "-p", stack.project, "up", "--detach"]
    stack.ask(*compose, env=stack.env)
    before = {one.service: one for one in stack.containers() if one.service != "init"}
    stack.started()
    stack.ask(*compose, env=stack.env)
    after = {one.service: one for one in stack.containers() if one.service != "init"}
    assert after == before
    stack.ends()


STORIES = (
    a_second_up_finds_nothing_to_do,
    a_change_replaces_that_service_and_no_other,
    a_tag_that_means_another_image_now_replaces_the_service,
    a_one_shot_that_did_its_job_is_not_run_again,
    a_one_shot_that_failed_is_run_again,
    a_file_that_was_mended_starts,
    what_somebody_stopped_or_removed_is_there_again,
    an_engine_goes_on_to_restart_what_was_started,
    what_depends_on_others_is_stopped_before_them,
    what_depends_on_a_replaced_service_is_stopped_before_it,
    services_that_do_not_depend_on_each_other_stop_side_by_side,
    each_service_has_its_own_time_to_stop,
    down_removes_all_but_volumes_whatever_the_file_says_now,
    what_compose_started_is_left_as_it_is,
)
