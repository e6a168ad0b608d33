"""The services of a stack: how each is started, watched and asked whether it is ready."""

from __future__ import annotations

from typing import Any, Literal

from lcompose.lightspeed import bytecode, derive, wiring
from lcompose.lightspeed.config import DEFAULT_LCORE_PORT, Configuration, is_library, server_is_ours
from lcompose.lightspeed.images import LCORE, LLAMA_STACK, ImageFacts, Images, server_facts
from lcompose.spec.project import Healthcheck, Mount, Port, Probe, Service
from lcompose.spec.text import EnvRef, Text

ANY_TOKEN = "lcompose"  # noqa: S105  # a module that takes any token gets this one
# Plain lines for log collection. And without one of OTEL_SDK_DISABLED and OTEL_ANONYMIZATION_SECRET
# every query ends in an error 500, while readiness stays healthy.
LCORE_ENVIRONMENT: tuple[tuple[str, Text], ...] = (
    ("LIGHTSPEED_STACK_DISABLE_RICH_HANDLER", "1"),
    ("OTEL_SDK_DISABLED", EnvRef("OTEL_SDK_DISABLED", "true")),
)


def own_directory(facts: ImageFacts) -> str:
    """Where Llama Stack in an image keeps its own files; named, so that it never migrates older ones."""
    return f"{facts.owned}/ogx" if facts.owned else f"{facts.home}/.ogx/data"


def _on_volume(facts: ImageFacts) -> str:
    """A directory that is always on the service's volume."""
    return facts.owned or f"{facts.home}/.ogx"


def lcore_service(
    config: Configuration,
    images: Images,
    document: Any,
    mounts: tuple[Mount, ...],
    *,
    run: Any = None,
    cached: bool = False,
    ordered: bool = False,
) -> Service:
    """Lightspeed Core, reading ``document``, and ``run`` where Llama Stack is inside it; ``cached`` keeps its
    bytecode.
    """
    facts = images.lcore_facts
    port = config.number("service", "port") or DEFAULT_LCORE_PORT
    scheme = _scheme(tls=derive.lcore_has_tls(config))
    # This module asks for a token on probes too, and takes any.
    bearer = ANY_TOKEN if config.value("authentication", "module") == "noop-with-token" else ""
    library = is_library(config)
    waits_for = (LLAMA_STACK,) if server_is_ours(config) and not library else ()
    return Service(
        name=LCORE,
        image=images.lcore,
        # Only where it is known what the image starts: another one may have more to do first.
        entrypoint=(*bytecode.STARTER, *facts.entrypoint) if cached and facts.published else (),
        own_entrypoint=facts.entrypoint,
        command=("-c", f"{facts.workdir}/{derive.LIGHTSPEED_FILE}"),
        environment=(
            *LCORE_ENVIRONMENT,
            *(bytecode.environment(_on_volume(facts), images.lcore) if cached else ()),
            *(((server_facts(images.version).directory_variable, own_directory(facts)),) if library else ()),
            *_references([document, run]),
        ),
        mounts=mounts,
        ports=(Port("127.0.0.1", port, port),),
        healthcheck=_healthcheck(Probe(port, "/liveness", scheme, bearer=bearer)),
        probe=Probe(
            port,
            "/readiness",
            scheme,
            field="overall_status",
            expected="healthy",
            bearer=bearer,
        ),
        after=waits_for,
        ordered=ordered and bool(waits_for),
        afterwards=bytecode.precompiling(facts.workdir) if cached else (),
    )


def server_service(
    config: Configuration,
    images: Images,
    document: Any,
    mounts: tuple[Mount, ...],
    *,
    cached: bool = False,
) -> Service:
    """Our own Llama Stack, reading ``document``; ``cached`` keeps its bytecode."""
    facts = server_facts(images.version)
    port = derive.server_port(config)
    scheme = _scheme(tls=derive.server_has_tls(config))
    probe = Probe(port, "/v1/health", scheme)
    return Service(
        name=LLAMA_STACK,
        image=images.server,
        entrypoint=(*(bytecode.STARTER if cached else ()), *facts.program[:1]),
        command=(
            *facts.program[1:],
            *derive.insecure_option(config),
            f"{images.server_facts.workdir}/{derive.RUN_FILE}",
        ),
        environment=(
            (facts.directory_variable, own_directory(images.server_facts)),
            (facts.port_variable, str(port)),
            *(bytecode.environment(_on_volume(images.server_facts), images.server) if cached else ()),
            *_references(document),
        ),
        mounts=mounts,
        ports=(Port("127.0.0.1", port, port),),
        healthcheck=_healthcheck(probe),
        probe=probe,
        afterwards=bytecode.precompiling(facts.package) if cached else (),
    )


def _scheme(*, tls: bool) -> Literal["http", "https"]:
    return "https" if tls else "http"


def _references(tree: Any) -> tuple[tuple[str, Text], ...]:
    return tuple((variable.name, variable) for variable in wiring.variables(tree))


def _healthcheck(probe: Probe) -> Healthcheck:
    """A check with the Python that is in every image of ours: no curl, and no proxy is asked.

    It runs beside services that are starting: a socket alone costs a tenth of what http.client costs,
    and without the service's own variables Python finds its bytecode.
    """
    bearer = f"Authorization: Bearer {probe.bearer}\r\n" if probe.bearer else ""
    request = f"GET {probe.path} HTTP/1.0\r\nHost: localhost\r\n{bearer}\r\n".encode()
    tls = "c=__import__('ssl')._create_unverified_context().wrap_socket(c);" if probe.scheme == "https" else ""
    code = (
        f"import socket;c=socket.create_connection(('127.0.0.1',{probe.port}),4);{tls}c.sendall({request!r});"
        "r=c.makefile('rb').read(4000);print(r[9:12].decode(),r.partition(b'\\r\\n\\r\\n')[2][:300]);"
        "raise SystemExit(r[9:12]!=b'200')"
    )
    return Healthcheck(("CMD", "python3", "-I", "-S", "-c", code))
