"""Services that do their job and end."""

from __future__ import annotations

from tests.engine.case import Case, ended, row

CASES = (
    Case(
        "a one-shot that nobody waits for is done when it exits with 0",
        """
        services:
          init: {image: $IMAGE, command: echo made}
          app: {image: $IMAGE, init: true, command: sleep 60}
        """,
        states={"init": "exited 0", "app": "running"},
    ),
    Case(
        "what waits for one-shots starts after their end",
        """
        services:
          one: {image: $IMAGE, command: touch /work/one, volumes: ["work:/work"]}
          two:
            image: $IMAGE
            command: sh -c "sleep 1; mv /work/one /work/two"
            volumes: ["work:/work"]
            depends_on: {one: {condition: service_completed_successfully}}
            # What it is while it runs does not matter.
            healthcheck: {test: ["CMD", "false"], interval: 0.3s, retries: 100}
          app:
            image: $IMAGE
            init: true
            command: sh -c "test -f /work/two && exec sleep 60"
            volumes: ["work:/work"]
            depends_on: {two: {condition: service_completed_successfully}}
        volumes: {work: {}}
        """,
        states={"one": "exited 0", "two": "exited 0", "app": "running"},
    ),
    Case(
        "a one-shot that fails is told with its exit code and its last words",
        """
        services:
          init: {image: $IMAGE, command: sh -c "echo migration broke >&2; exit 4"}
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            depends_on: {init: {condition: service_completed_successfully}}
        """,
        code=5,
        prints=(row("init", 4), "migration broke"),
        states={"init": "exited 4", "app": "created"},
        within=15,
    ),
    Case(
        "a one-shot that nobody waits for fails the stack too",
        """
        services:
          init: {image: $IMAGE, command: sh -c "echo migration broke; exit 4"}
          app: {image: $IMAGE, init: true, command: sleep 60}
        """,
        code=5,
        prints=(row("init", 4), "migration broke"),
        within=15,
    ),
    Case(
        "a one-shot that fails again and again is not waited for",
        """
        services:
          init: {image: $IMAGE, command: sh -c "echo no database; exit 4", restart: on-failure}
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            depends_on: {init: {condition: service_completed_successfully}}
        """,
        code=5,
        prints=(ended("init", 4), "no database", "restart"),
        states={"app": "created"},
    ),
    Case(
        "a one-shot that does its job at the second try is done",
        """
        services:
          init:
            image: $IMAGE
            command: sh -c "test -f /work/tried || { touch /work/tried; exit 1; }"
            volumes: ["work:/work"]
            restart: on-failure
            x-lcompose: {role: oneshot}
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            depends_on: {init: {condition: service_completed_successfully}}
        volumes: {work: {}}
        """,
        states={"init": "exited 0", "app": "running"},
    ),
    Case(
        "one of two replicas of a one-shot that fails is enough to fail",
        """
        services:
          init:
            image: $IMAGE
            command: sh -c "mkdir /work/first || { sleep 1; echo second of two >&2; exit 3; }"
            volumes: ["work:/work"]
            scale: 2
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            depends_on: {init: {condition: service_completed_successfully}}
        volumes: {work: {}}
        """,
        code=5,
        prints=(row("init", 3), "second of two"),
        states={"init": "exited 0, exited 3", "app": "created"},
    ),
    Case(
        "a one-shot that does not end is told at the deadline",
        """
        services:
          init: {image: $IMAGE, init: true, command: sleep 60, x-lcompose: {role: oneshot}}
        """,
        options=("--wait-timeout", "10"),
        code=5,
        prints=(r"^ *init +running\b",),
    ),
    Case(
        "a server that exits with 0 is not ready",
        """
        services:
          app: {image: $IMAGE, command: echo nothing to do, x-lcompose: {role: server}}
        """,
        code=5,
        prints=(row("app", 0), "nothing to do"),
        within=15,
    ),
)
