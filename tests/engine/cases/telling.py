"""What is told and kept: states, logs, the bundle of a failure, the timeline."""

from __future__ import annotations

import json
import os
import re
import tarfile

from tests.engine.stack import Stack

SERVED = """
    services:
      init: {image: $IMAGE, command: echo made}
      app:
        image: $IMAGE
        init: true
        command: python3 -m http.server 8000
        x-lcompose: {probe: {port: 8000}}
"""
# The line that is known comes long before the last ones, which are shown.
DIES = """
    services:
      vllm:
        image: $IMAGE
        command: [sh, -c, "echo 'ValueError: Free memory on device cuda:0 (7.34/15.49 GiB) on startup is less than
          desired GPU memory utilization (0.8, 12.39 GiB).'; for i in $$(seq 60); do echo line $$i; done; exit 1"]
      other: {image: $IMAGE, command: sleep 60, init: true}
"""
CAUSE = "too little of the GPU's memory is free (7.34/15.49 GiB); other programs have the rest"


def status_follows_what_the_engine_has(stack: Stack) -> None:
    stack.write(SERVED)
    stack.started()
    assert stack.status() == (0, {"app": "ready", "init": "offline"})
    stack.ask("kill", stack.container("app").id)
    code, states = stack.status()
    assert (code, states["app"]) == (5, "error")
    assert stack.down().code == 0
    assert stack.status() == (5, {})


def logs_stay_when_the_containers_are_gone(stack: Stack) -> None:
    stack.write("""
        services:
          app: {image: $IMAGE, init: true, command: "sh -c 'echo ${WORD:-one}; exec sleep 60'"}
    """)
    stack.started()
    stack.started(WORD="two")
    stack.ends()
    files = sorted(path for path in stack.state.rglob("logs/app/*.log") if not path.is_symlink())
    assert [path.read_text().split()[-1] for path in files] == ["one", "two"]
    assert "two" in stack.logs("app")


def every_start_of_a_crash_loop_is_in_the_logs(stack: Stack) -> None:
    stack.write("""
        services:
          app:
            image: $IMAGE
            command: sh -c "echo x >> /work/starts; echo start-$$(wc -l < /work/starts); exit 1"
            volumes: ["./work:/work"]
            restart: on-failure:3
    """)
    (stack.folder / "work").mkdir()
    assert stack.up().code == 5
    stack.ends()
    starts = len((stack.folder / "work" / "starts").read_text().split())
    found = re.findall(r"start-(\d+)", stack.logs())
    assert found == [str(number) for number in range(1, starts + 1)]


def a_failure_leaves_a_bundle(stack: Stack) -> None:
    stack.write("""
        services:
          app: {image: $IMAGE, command: sh -c "echo my last words; exit 3"}
    """)
    did = stack.up()
    assert did.code == 5, did.said
    (path,) = stack.state.rglob("failures/*.tar.gz")
    assert str(path) in did.said
    with tarfile.open(path) as bundle:
        names = bundle.getnames()
        logs = [bundle.extractfile(name) for name in names if "/logs/app" in name]
        said = b"".join(one.read() for one in logs if one)
    assert b"my last words" in said
    assert any(name.endswith("report.txt") for name in names)
    stack.ends()


def a_timeline_has_a_bar_for_each_service_and_json_tells_the_same(stack: Stack) -> None:
    stack.write(SERVED)
    page = stack.folder / "boot.html"
    first = json.loads(stack.started("--timeline", str(page), "--json").out)
    assert {"app", "init"} <= set(re.findall(r"\b(?:app|init)\b", page.read_text()))
    second = json.loads(stack.started("--json").out)
    assert [(one["ready"], one["nothing_to_do"]) for one in (first, second)] == [(True, False), (True, True)]
    stack.ends()


def a_dry_run_makes_nothing(stack: Stack) -> None:
    stack.write(SERVED)
    did = stack.started("--dry-run")
    assert re.search(r"start +app", did.out), did.said
    assert stack.left() == {}
    assert list(stack.state.iterdir()) == []


def what_a_service_printed_before_it_died_is_explained(stack: Stack) -> None:
    stack.write(DIES)
    did = stack.up()
    assert did.code == 5, did.said
    assert f"  known: vllm: {CAUSE}\n     do: End what uses the GPU" in did.err
    assert "Free memory on device" not in did.err
    (path,) = stack.state.rglob("failures/*.tar.gz")
    with tarfile.open(path) as bundle:
        (report,) = (name for name in bundle.getnames() if name.endswith("report.txt"))
        stream = bundle.extractfile(report)
        assert stream and CAUSE in stream.read().decode()
    (known,) = json.loads(stack.up("--json").out)["error"]["known"]
    assert (known["id"], known["service"], known["cause"]) == ("gpu-memory-in-use", "vllm", CAUSE)
    assert known["line"].startswith("ValueError: Free memory on device cuda:0") and known["fix"]
    stack.ends()


def what_the_engine_refuses_is_explained_and_annotated(stack: Stack) -> None:
    stack.write("services: {web: {image: $IMAGE, command: /no/such/program}}")
    did = stack.up(GITHUB_ACTIONS="true", GITHUB_WORKSPACE=os.fspath(stack.folder))
    cause = "web: the image of web has no program /no/such/program"
    assert did.code == 5, did.said
    assert f"  known: {cause}\n" in did.err
    assert f"%0A{cause}%0A" in did.err
    stack.ends()


def an_image_that_cannot_be_pulled_is_explained(stack: Stack) -> None:
    stack.write("services: {web: {image: 'no-such-registry.invalid/web:1'}}")
    did = stack.up("--json")
    assert (did.code, [one["id"] for one in json.loads(did.out)["error"]["known"]]) == (1, ["registry-name-unknown"])


STORIES = (
    what_a_service_printed_before_it_died_is_explained,
    what_the_engine_refuses_is_explained_and_annotated,
    an_image_that_cannot_be_pulled_is_explained,
    status_follows_what_the_engine_has,
    logs_stay_when_the_containers_are_gone,
    every_start_of_a_crash_loop_is_in_the_logs,
    a_failure_leaves_a_bundle,
    a_timeline_has_a_bar_for_each_service_and_json_tells_the_same,
    a_dry_run_makes_nothing,
)
