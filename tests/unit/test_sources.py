"""Where a person can change what a service is made of."""

from __future__ import annotations

import pytest

from lcompose.errors import Finding, Position
from lcompose.sources import Sources
from lcompose.spec.project import Port, Project, Service

OURS = Project(
    "demo",
    (
        Service("lightspeed-stack", "l:1", ports=(Port("127.0.0.1", 9000, 8080),)),
        Service("llama-stack", "s:1", ports=(Port("0.0.0.0", 55000, 8321),)),
        Service("inference", "i:1", ports=(Port("::1", 7000, 70),)),
        Service("postgres-2", "p:1", ports=(Port("127.0.0.1", 5432, 5432), Port("127.0.0.1", 5433, 5433))),
    ),
)
SAID = {"mcp.one": {"image": "m"}, "lightspeed-stack": {"ports": ["1:1"]}, "inference": {"environment": {}}}
RENDERED = Sources("/here", OURS, {"postgres-2": "postgres"}, SAID)
FILE = Sources("a.yaml, b.yaml")


@pytest.mark.parametrize(
    ("sources", "service", "told"),
    [
        (FILE, "web", "services.web.image in a.yaml, b.yaml"),
        (RENDERED, "mcp.one", "compose.services.mcp.one.image in lcompose.yaml"),
        (RENDERED, "lightspeed-stack", "--image lightspeed-stack=IMAGE"),
        (RENDERED, "postgres-2", "--image postgres=IMAGE"),
    ],
)
def test_another_image_is_named_where_the_service_has_its_own_from(sources: Sources, service: str, told: str) -> None:
    assert sources.another_image(service) == told


@pytest.mark.parametrize(
    ("sources", "service", "bind", "port", "told"),
    [
        (FILE, "web", "0.0.0.0", 80, "publish another port: services.web.ports in a.yaml, b.yaml"),
        (RENDERED, "mcp.one", "0.0.0.0", 80, "publish another port: compose.services.mcp.one.ports in lcompose.yaml"),
        (
            RENDERED,
            "lightspeed-stack",
            "127.0.0.1",
            9000,
            "publish another port: compose.services.lightspeed-stack.ports in lcompose.yaml",
        ),
        (
            RENDERED,
            "llama-stack",
            "0.0.0.0",
            55000,
            "take another port: --set services.llama-stack.ports=0.0.0.0:45000:8321",
        ),
        (RENDERED, "inference", "::1", 7000, "take another port: --set services.inference.ports=[::1]:17000:70"),
        (RENDERED, "postgres-2", "127.0.0.1", 5433, "publish another port: services.postgres.ports in lcompose.yaml"),
    ],
)
def test_another_port_is_published_where_the_service_has_its_own_from(
    sources: Sources, service: str, bind: str, port: int, told: str
) -> None:
    assert sources.another_port(service, bind, port) == told


def test_without_words_of_its_own_a_service_of_ours_takes_another_port_by_an_option() -> None:
    told = Sources("/here", OURS).another_port("lightspeed-stack", "127.0.0.1", 9000)
    assert told == "take another port: --set services.lightspeed-stack.ports=19000:8080"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("services.mcp.one.image", "lcompose.yaml: compose.services.mcp.one.image"),
        ("services.lightspeed-stack.ports", "lcompose.yaml: compose.services.lightspeed-stack.ports"),
        ("services.lightspeed-stack.depends_on", "/here: services.lightspeed-stack.depends_on"),
        ("services.mcp.ports", "/here: services.mcp.ports"),
        ("name", "/here: name"),
    ],
)
def test_a_finding_is_where_its_words_stand(path: str, where: str) -> None:
    (found,) = RENDERED.placed([Finding(Position("/here"), path, "what", "fix")])
    assert f"{found.where}: {found.path}" == where
