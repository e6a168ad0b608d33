"""Services that exit, are killed, or are started again and again."""

from __future__ import annotations

from tests.engine.case import Case, ended, row

CASES = (
    Case(
        "a service that exits at once is told with its last words",
        """
        services:
          db: {image: $IMAGE, command: ["sh", "-c", "echo 'FATAL: bad config key' >&2; exit 1"]}
          app: {image: $IMAGE, init: true, command: sleep 60, depends_on: [db]}
        """,
        code=5,
        prints=(row("db", 1), "FATAL: bad config key"),
        within=15,
    ),
    Case(
        "a service that is always started again is a crash loop",
        """
        services:
          app: {image: $IMAGE, command: sh -c "echo starting up; sleep 1; exit 1", restart: always}
        """,
        code=5,
        prints=(ended("app", 1), "restart", "starting up"),
    ),
    Case(
        "a service that exits with 0 and is always started again is a crash loop",
        """
        services:
          app: {image: $IMAGE, command: sh -c "echo all done; sleep 0.5", restart: unless-stopped}
        """,
        code=5,
        prints=("restart", "all done"),
    ),
    Case(
        "a service that may be started five times is a crash loop",
        """
        services:
          app: {image: $IMAGE, command: sh -c "echo no such file; exit 2", restart: "on-failure:5"}
        """,
        code=5,
        prints=(ended("app", 2), "restart", "no such file"),
    ),
    Case(
        "a service that runs after its first crash is ready",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sh -c "test -f /work/tried || { touch /work/tried; exit 1; }; exec sleep 60"
            volumes: ["work:/work"]
            restart: on-failure
        volumes: {work: {}}
        """,
        states={"app": "running"},
    ),
    Case(
        "a service without a check that crashes late is not ready",
        """
        services:
          app: {image: $IMAGE, command: sh -c "sleep 2; echo too late; exit 6"}
        """,
        code=5,
        prints=(row("app", 6), "too late"),
    ),
    Case(
        "one replica that flaps is enough to fail",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sh -c "mkdir /work/first && exec sleep 60; sleep 0.5; echo one too many; exit 1"
            volumes: ["work:/work"]
            restart: always
            deploy: {replicas: 2}
        volumes: {work: {}}
        """,
        code=5,
        prints=(ended("app", 1), "restart", "one too many"),
    ),
    Case(
        "one replica that dies is enough to fail",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sh -c "mkdir /work/first && exec sleep 60; sleep 1; echo one too many; exit 1"
            volumes: ["work:/work"]
            scale: 2
        volumes: {work: {}}
        """,
        code=5,
        prints=(row("app", 1), "one too many"),
        states={"app": "exited 1, running"},
    ),
    Case(
        "all replicas run when it is ready",
        """
        services:
          two: {image: $IMAGE, init: true, command: sleep 60, scale: 2}
          three: {image: $IMAGE, init: true, command: sleep 60, deploy: {replicas: 3}}
        """,
        states={"two": "running, running", "three": "running, running, running"},
    ),
    Case(
        "a service that runs out of memory is told so",
        """
        services:
          app:
            image: $IMAGE
            command: python3 -c "x = bytearray(300_000_000); print(len(x))"
            mem_limit: 32m
        """,
        code=5,
        prints=(row("app", 137), "out of memory"),
        within=15,
    ),
    Case(
        "a service that is killed is told so",
        """
        services:
          app: {image: $IMAGE, init: true, command: sh -c "sleep 1; kill -9 $$$$"}
        """,
        code=5,
        prints=(row("app", 137), "killed"),
        within=15,
    ),
    Case(
        "a service that answers and dies while others are waited for fails",
        """
        services:
          quick:
            image: $IMAGE
            command: python3 /server.py --die 3
            volumes: ["./server.py:/server.py:ro"]
            x-lcompose: {probe: {port: 8000}}
          slow:
            image: $IMAGE
            init: true
            command: sleep 60
            healthcheck: {test: ["CMD", "false"], interval: 0.5s, retries: 1000}
        """,
        code=5,
        prints=(row("quick", 3), "the disk is on fire"),
        states={"quick": "exited 3"},
    ),
    Case(
        "a program that is not in the image is told",
        """
        services:
          app: {image: $IMAGE, command: ["/no/such/program"]}
        """,
        code=5,
        prints=("/no/such/program",),
        within=15,
    ),
)
