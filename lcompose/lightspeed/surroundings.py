"""What of a person's surroundings containers get: proxies, certificate authorities, credentials.

A proxy's address may hold a password, so it travels by name. What it must not be asked for, the
services of the project, are names that everybody may read, and are written down.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from posixpath import join, normpath
from urllib.parse import urlsplit

from lcompose.errors import Finding, Position
from lcompose.lightspeed.envrefs import expanded
from lcompose.lightspeed.images import LCORE
from lcompose.spec.project import FileMount, Mount, Service
from lcompose.spec.text import EnvRef, Text

# Not ALL_PROXY: a SOCKS proxy there stops every Python program that has no package for it.
EVERY_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
EXCEPTIONS = "NO_PROXY"
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
# Not ::1: an older httpx takes it in NO_PROXY for a host and a wrong port, and stops.
NEVER_ASKED = ("localhost", "127.0.0.1")
# Python's ssl and Go, requests and botocore, curl: each has its own name for the same file.
AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
AUTHORITIES_FILE = "/etc/lcompose/ca-bundle.pem"
# A ca_bundle that is no file, and means the one that a person's own programs trust.
OF_ENVIRONMENT = "environment"
CREDENTIALS_DIRECTORY = "/run/secrets"


@dataclass(frozen=True, slots=True)
class Reads:
    """Variables that a program reads by itself, whatever a configuration says, and those that name a file."""

    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    environment: Mapping[str, Text] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


# Podman hands its own on, and Docker those of its settings, unless there are others; empty is none.
NO_PROXIES = _Given(dict.fromkeys(EVERY_PROXY, ""))

# OGX's provider for Bedrock signs with these where it has no bearer token. Empty, each is as if not set;
# AWS_PROFILE is none of them: empty, it is a profile that does not exist.
_AMAZON = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_DEFAULT_REGION",
)
PROVIDERS: Mapping[str, Reads] = {
    "remote::bedrock": Reads(_AMAZON, ("AWS_WEB_IDENTITY_TOKEN_FILE",)),
    "remote::vertexai": Reads((), ("GOOGLE_APPLICATION_CREDENTIALS",)),
}
# What LCORE takes from its environment alone. Empty, an exporter's setting is not as if not set.
LCORE_READS = Reads(
    (
        "OTEL_ANONYMIZATION_SECRET",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_SERVICE_NAME",
        "SENTRY_DSN",
        "SENTRY_ENVIRONMENT",
    ),
    ("SENTRY_CA_CERTS",),
)


def handed_on(
    services: Sequence[Service], env: Mapping[str, str], *, proxies: bool, ca_bundle: str, directory: str = "/"
) -> tuple[Service, ...]:
    """The services with what they get of the surroundings; what a service says itself is left alone.

    ``env`` has what may be handed on; paths in it start in ``directory``. ``ca_bundle`` is a file of the
    host, or nothing. Without ``proxies`` containers get none, also where an engine hands them on by itself.
    """
    named = _proxies(services, env) if proxies else NO_PROXIES
    everywhere = (named, _authorities(ca_bundle))
    own = _files(LCORE_READS, env, directory)
    own = replace(own, environment={**_set(LCORE_READS, env), **own.environment})
    return tuple(_with(one, *everywhere, *([own] if one.name == LCORE else [])) for one in services)


def _set(reads: Reads, env: Mapping[str, str]) -> dict[str, Text]:
    return {name: EnvRef(name) for name in reads.variables if env.get(name)}


def _proxies(services: Sequence[Service], env: Mapping[str, str]) -> _Given:
    """By the names that the person uses; programs differ in which case they read, so exceptions come in both."""
    known: dict[str, Text] = {name: EnvRef(name) for name in EVERY_PROXY if env.get(name)}
    return _Given({**known, **dict(_exceptions(services, env))}) if known else _Given()


def _exceptions(services: Sequence[Service], env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    ours = [*NEVER_ASKED, *(service.name for service in services)]
    for name, other in ((EXCEPTIONS, EXCEPTIONS.lower()), (EXCEPTIONS.lower(), EXCEPTIONS)):
        theirs = (env.get(name) or env.get(other) or "").split(",")
        # All of them: then a list would be read by some as the name of one host.
        every = ["*"] if "*" in theirs else [*(one.strip() for one in theirs if one.strip()), *ours]
        yield name, ",".join(dict.fromkeys(every))


def _authorities(ca_bundle: str) -> _Given:
    if not ca_bundle:
        return _Given()
    return _Given(dict.fromkeys(AUTHORITIES, AUTHORITIES_FILE), (FileMount(ca_bundle, AUTHORITIES_FILE),))


def authorities_file(said: str, env: Mapping[str, str]) -> str:
    """The file with certificate authorities that ``ca_bundle`` means, or nothing: that of the surroundings where
    it says so.
    """
    if said != OF_ENVIRONMENT:
        return said
    return next((env[name] for name in AUTHORITIES if env.get(name, "").startswith("/")), "")


def with_credentials(service: Service, kinds: Collection[str], env: Mapping[str, str], directory: str) -> Service:
    """The service that runs Llama Stack, with what its providers' libraries look for by themselves.

    ``kinds`` are the types of its providers. Variables go by name, set or not; files where they are known.
    """
    for kind, reads in PROVIDERS.items():
        if kind in kinds:
            by_name = _Given({name: EnvRef(name) for name in reads.variables})
            service = _with(service, by_name, _files(reads, env, directory))
    return service


def _files(reads: Reads, env: Mapping[str, str], directory: str) -> _Given:
    """Files of the host that variables name, at a place in the container, with the variables naming that."""
    named = {name: expanded(env[name], env.get("HOME", "/")) for name in reads.files if env.get(name)}
    places = {name: f"{CREDENTIALS_DIRECTORY}/{name}" for name in named}
    mounts = [FileMount(normpath(join(directory, path)), places[name]) for name, path in named.items()]
    return _Given(places, tuple(mounts))


def _with(service: Service, *given: _Given) -> Service:
    """The service with more; a person's own variable wins, and then its file is not needed either."""
    environment, mounts = dict(service.environment), list(service.mounts)
    targets = {mount.target for mount in mounts}
    for one in given:
        new = {name: value for name, value in one.environment.items() if name not in environment}
        environment |= new
        mounts += [mount for mount in one.mounts if mount.target not in targets and mount.target in new.values()]
    return replace(service, environment=tuple(environment.items()), mounts=tuple(mounts))


def surprises(env: Mapping[str, str]) -> list[Finding]:
    """Warnings of what is handed on and does not do what it seems to say."""
    return list(_unusable_tracing(env))


def local_proxies(env: Mapping[str, str]) -> Iterator[Finding]:
    """Warnings of proxies of this machine, where containers are handed them."""
    what = "this proxy is this machine; in a container that is the container itself, and nobody answers there"
    fix = "Name an address at which containers reach it, or give them none: 'proxies: false' in lcompose.yaml."
    for name in EVERY_PROXY:
        if _host(env.get(name, "")) in THIS_MACHINE:
            yield Finding(Position("environment"), name, what, fix, "warning")


def _host(address: str) -> str:
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""


def _unusable_tracing(env: Mapping[str, str]) -> Iterator[Finding]:
    switched_on = env.get("OTEL_SDK_DISABLED", "true").lower() not in ("", "true", "1")
    if switched_on and not env.get("OTEL_ANONYMIZATION_SECRET"):
        what = "tracing is switched on, and without OTEL_ANONYMIZATION_SECRET every query ends in an error"
        fix = "Set OTEL_ANONYMIZATION_SECRET to a long random text in .env."
        yield Finding(Position("environment"), "OTEL_SDK_DISABLED", what, fix, "warning")
