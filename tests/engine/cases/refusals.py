"""What can never work is refused before anything is made."""

from __future__ import annotations

import socket

from tests.engine.case import Case
from tests.engine.stack import Stack

CASES = (
    Case(
        "services that wait for each other are refused",
        """
        services:
          one: {image: $IMAGE, command: sleep 60, depends_on: [two]}
          two: {image: $IMAGE, command: sleep 60, depends_on: [three]}
          three: {image: $IMAGE, command: sleep 60, depends_on: [one]}
        """,
        code=2,
        prints=("one", "two", "three", "compose.yaml"),
        made=False,
    ),
    Case(
        "a service that waits for itself is refused",
        """
        services:
          one: {image: $IMAGE, command: sleep 60, depends_on: [one]}
        """,
        code=2,
        prints=("one",),
        made=False,
    ),
    Case(
        "a service that waits for one that is not there is refused",
        """
        services:
          one: {image: $IMAGE, command: sleep 60, depends_on: [nobody]}
        """,
        code=2,
        prints=("one", "nobody"),
        made=False,
    ),
    Case(
        "waiting for the health of a service without a check is refused",
        """
        services:
          db: {image: $IMAGE, command: sleep 60}
          app: {image: $IMAGE, command: sleep 60, depends_on: {db: {condition: service_healthy}}}
        """,
        code=2,
        prints=("db has no health check", "healthcheck"),
        made=False,
    ),
    Case(
        "waiting for the health of a service whose check is switched off is refused",
        """
        services:
          db: {image: $CHECKED, command: sleep 60, healthcheck: {disable: true}}
          app: {image: $IMAGE, command: sleep 60, depends_on: {db: {condition: service_healthy}}}
        """,
        code=2,
        prints=("db",),
        made=False,
    ),
    Case(
        "two services on one port are refused",
        """
        services:
          one: {image: $IMAGE, command: sleep 60, ports: ["127.0.0.1:$PORT:8000"]}
          two: {image: $IMAGE, command: sleep 60, ports: ["$PORT:8000"]}
        """,
        code=2,
        prints=("one", "two", r"\bport \d+"),
        made=False,
    ),
    Case(
        "two replicas on one port are refused",
        """
        services:
          app: {image: $IMAGE, command: sleep 60, scale: 2, ports: ["127.0.0.1:$PORT:8000"]}
        """,
        code=2,
        prints=("app", r"\bport \d+"),
        made=False,
    ),
    Case(
        "one port on two addresses is no conflict",
        """
        services:
          one: {image: $IMAGE, init: true, command: sleep 60, ports: ["127.0.0.1:$PORT:8000"]}
          two: {image: $IMAGE, init: true, command: sleep 60, ports: ["127.0.0.2:$PORT:8000"]}
        """,
        states={"one": "running", "two": "running"},
    ),
    Case(
        "an unknown word to lcompose is refused",
        """
        services:
          app: {image: $IMAGE, command: sleep 60, x-lcompose: {rôle: server, probe: {port: 80, paht: /}}}
          init: {image: $IMAGE, command: sleep 60, x-lcompose: {role: job}}
        """,
        code=2,
        prints=("rôle", "paht", "oneshot"),
        made=False,
    ),
    Case(
        "an unknown condition is refused",
        """
        services:
          db: {image: $IMAGE, command: sleep 60}
          app: {image: $IMAGE, command: sleep 60, depends_on: {db: {condition: service_healty}}}
        """,
        code=2,
        prints=("service_healty|depends_on",),
        made=False,
    ),
    Case(
        "a file that is not YAML is refused",
        """
        services: {app: [
        """,
        code=2,
        prints=("compose.yaml",),
        made=False,
    ),
    Case(
        "an image that cannot be pulled is told with the reason",
        """
        services:
          app: {image: "127.0.0.1:9/nowhere:1", command: sleep 60}
          other: {image: $IMAGE, command: sleep 60}
        """,
        code=1,
        prints=("127.0.0.1:9/nowhere:1", "connection refused"),
        made=False,
    ),
    Case(
        "an image that is not here and never pulled is refused",
        """
        services:
          app: {image: "localhost/nowhere:1", command: sleep 60, pull_policy: never}
        """,
        code=4,
        prints=("localhost/nowhere:1",),
        made=False,
    ),
)

PUBLISHED = """
    services:
      first: {image: $IMAGE, init: true, command: sleep 60}
      app:
        image: $IMAGE
        init: true
        command: python3 -m http.server 8000
        ports: ["127.0.0.1:$PORT:8000"]
        x-lcompose: {probe: {port: 8000}}
"""


def a_port_that_another_program_has_is_refused_before_anything_is_made(stack: Stack) -> None:
    stack.write(PUBLISHED)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        did = stack.up(PORT=port)
    assert did.code == 4, did.said
    assert port in did.said
    assert "app" in did.said
    assert stack.left() == {}


def a_port_that_another_project_has_is_refused_before_anything_is_made(stack: Stack) -> None:
    stack.write(PUBLISHED)
    stack.started()
    other = stack.another(f"{stack.project}-other")
    other.write(PUBLISHED)
    did = other.up()
    assert did.code == 4, did.said
    assert stack.env["PORT"] in did.said
    assert other.left() == {}
    assert stack.status() == (0, {"app": "ready", "first": "ready"})
    stack.ends()


STORIES = (
    a_port_that_another_program_has_is_refused_before_anything_is_made,
    a_port_that_another_project_has_is_refused_before_anything_is_made,
)
