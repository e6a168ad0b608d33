"""What is told and kept: states, logs, the bundle of a failure, the timeline."""

from __future__ import annotations

import json
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


STORIES = (
    status_follows_what_the_engine_has,
    logs_stay_when_the_containers_are_gone,
    every_start_of_a_crash_loop_is_in_the_logs,
    a_failure_leaves_a_bundle,
    a_timeline_has_a_bar_for_each_service_and_json_tells_the_same,
    a_dry_run_makes_nothing,
)
