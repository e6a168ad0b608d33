"""Health checks: of the file, of the image, missing, failing, hanging, switched off."""

from __future__ import annotations

from tests.engine.case import Case, ended

CASES = (
    Case(
        "what waits for a healthy service starts when it is healthy",
        """
        services:
          db:
            image: $IMAGE
            init: true
            command: sh -c "sleep 1; touch /work/ok; exec sleep 60"
            volumes: ["work:/work"]
            healthcheck: {test: ["CMD", "test", "-f", "/work/ok"], interval: 0.3s, retries: 100}
          app:
            image: $IMAGE
            init: true
            command: sh -c "test -f /work/ok && exec sleep 60"
            volumes: ["work:/work"]
            depends_on: {db: {condition: service_healthy}}
        volumes: {work: {}}
        """,
        states={"db": "running", "app": "running"},
    ),
    Case(
        "a service that never gets healthy is told at the deadline with what its check says",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            healthcheck: {test: echo nobody home; exit 1, interval: 0.5s, retries: 1000}
        """,
        options=("--wait-timeout", "10"),
        code=5,
        prints=("nobody home", r"^ *app +running\b"),
        states={"app": "running"},
    ),
    Case(
        "a dependency that never gets healthy is told at the deadline",
        """
        services:
          db:
            image: $IMAGE
            init: true
            command: sleep 60
            healthcheck: {test: ["CMD", "false"], interval: 0.5s, retries: 1000}
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            depends_on: {db: {condition: service_healthy}}
        """,
        options=("--wait-timeout", "10"),
        code=5,
        prints=(r"^ *db +running\b",),
        states={"db": "running", "app": "created"},
    ),
    Case(
        "an unhealthy service is told before the deadline with what its check says",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            healthcheck: {test: echo nobody home; exit 1, interval: 0.3s, retries: 3}
        """,
        code=5,
        prints=("unhealthy", "nobody home"),
        within=15,
    ),
    Case(
        "a check that is switched off counts as none",
        """
        services:
          disabled: {image: $CHECKED, init: true, command: sleep 60, healthcheck: {disable: true}}
          nothing: {image: $CHECKED, init: true, command: sleep 60, healthcheck: {test: ["NONE"]}}
        """,
        states={"disabled": "running", "nothing": "running"},
    ),
    Case(
        "a check whose program is not in the image is told as that",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8000"], interval: 0.3s, retries: 3}
        """,
        code=5,
        prints=(r"\bcurl\b.* not found in the image",),
        within=15,
    ),
    Case(
        "a program that a shell does not find is told the same way",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            healthcheck: {test: curl -f http://localhost:8000 || exit 1, interval: 0.3s, retries: 3}
        """,
        code=5,
        prints=(r"\bcurl\b.* not found in the image",),
        within=15,
    ),
    Case(
        "a crash loop is told as that and not as unhealthy",
        """
        services:
          db:
            image: $IMAGE
            command: sh -c "echo FATAL no space; exit 9"
            restart: always
            healthcheck: {test: ["CMD", "true"], interval: 0.3s, retries: 3}
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            depends_on: {db: {condition: service_healthy}}
        """,
        code=5,
        prints=(ended("db", 9), "restart", "FATAL no space"),
        states={"app": "created"},
    ),
    Case(
        "a check that is built into the image counts, also with times of the file",
        """
        services:
          db: {image: $CHECKED, init: true, command: sh -c "touch /tmp/ok; exec sleep 60"}
          slow:
            image: $CHECKED
            init: true
            command: sh -c "sleep 3; touch /tmp/ok; exec sleep 60"
            healthcheck: {interval: 0.3s, retries: 100}
          app:
            image: $IMAGE
            init: true
            command: sh -c "sleep 3; touch /tmp/ok; exec sleep 60"
            # Failures do not count while it may start.
            healthcheck: {test: ["CMD", "test", "-f", "/tmp/ok"], interval: 0.3s, retries: 1, start_period: 30s}
            depends_on: {db: {condition: service_healthy}}
        """,
        states={"db": "running", "slow": "running", "app": "running"},
    ),
    Case(
        "a check that is built into the image and fails is told",
        """
        services:
          app: {image: $CHECKED, init: true, command: sleep 60}
        """,
        code=5,
        prints=("unhealthy", "not yet"),
        states={"app": "running"},
    ),
    Case(
        "a check that hangs is a failure after its timeout",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            healthcheck: {test: ["CMD", "sleep", "50"], interval: 0.3s, timeout: 1s, retries: 2}
        """,
        code=5,
        prints=(r"^ *app +running\b", r"1 ?s\b"),
    ),
)
