"""Probes from outside, which need nothing in the image."""

from __future__ import annotations

from tests.engine.case import Case, row

CASES = (
    Case(
        "a probe finds its way to the service",
        """
        services:
          published:
            image: $IMAGE
            init: true
            command: python3 -m http.server 8000
            ports: ["127.0.0.1:$PORT:8000"]
            x-lcompose: {probe: {port: 8000, path: /etc/hostname}}
          by-its-address:
            image: $IMAGE
            init: true
            command: python3 -m http.server 8000
            x-lcompose: {probe: {port: 8000}}
          from-inside:
            image: $IMAGE
            init: true
            command: python3 -m http.server 8000
            network_mode: none
            x-lcompose: {probe: {port: 8000}}
        """,
        states={"published": "running", "by-its-address": "running", "from-inside": "running"},
    ),
    Case(
        "a probe may want an open port or another status",
        """
        services:
          open:
            image: $IMAGE
            init: true
            command: sh -c "sleep 1; exec python3 -m http.server 8000"
            x-lcompose: {probe: {port: 8000, scheme: tcp}}
          locked:
            image: $IMAGE
            init: true
            command: python3 /server.py --status 401
            volumes: ["./server.py:/server.py:ro"]
            x-lcompose: {probe: {port: 8000, status: 401}}
        """,
        states={"open": "running", "locked": "running"},
    ),
    Case(
        "a probe over TCP through a published port waits for the service itself",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            ports: ["127.0.0.1:$PORT:8000"]
            x-lcompose: {probe: {port: 8000, scheme: tcp}}
        """,
        options=("--wait-timeout", "10"),
        code=5,
        prints=(r"^ *app +running\b",),
    ),
    Case(
        "a server that warms up is waited for",
        """
        services:
          db:
            image: $IMAGE
            init: true
            command: python3 /server.py --warm 3
            volumes: ["./server.py:/server.py:ro"]
            x-lcompose: {probe: {port: 8000, path: /ready}}
          app:
            image: $IMAGE
            init: true
            command: >-
              python3 -c "import urllib.request, time; urllib.request.urlopen('http://db:8000/'); time.sleep(60)"
            depends_on: {db: {condition: service_healthy}}
        """,
        states={"db": "running", "app": "running"},
    ),
    Case(
        "a server that goes on warming up is told at the deadline with what it answers",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: python3 /server.py --warm 60
            volumes: ["./server.py:/server.py:ro"]
            x-lcompose: {probe: {port: 8000, path: /ready}}
        """,
        options=("--wait-timeout", "10"),
        code=5,
        prints=(r"^ *app +running\b", "503"),
    ),
    Case(
        "a page that is not there is told with what the server answers",
        """
        services:
          app:
            image: $IMAGE
            init: true
            command: python3 -m http.server 8000
            x-lcompose: {probe: {port: 8000, path: /health}}
        """,
        options=("--wait-timeout", "10"),
        code=5,
        prints=("404",),
    ),
    Case(
        "a service that dies before it answers is told at once",
        """
        services:
          app:
            image: $IMAGE
            command: sh -c "echo 'address already in use' >&2; exit 1"
            x-lcompose: {probe: {port: 8000}}
        """,
        code=5,
        prints=(row("app", 1), "address already in use"),
        within=15,
    ),
)
