"""What containers get of a person's surroundings: proxies, certificate authorities, credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lcompose.lightspeed.surroundings import authorities_file, handed_on, local_proxies, surprises, with_credentials
from lcompose.spec.project import FileMount, Service
from lcompose.spec.text import EnvRef, Text

STACK = (Service("llama-stack", "s"), Service("lightspeed-stack", "l"))
OURS = "localhost,127.0.0.1,llama-stack,lightspeed-stack"
CA = "/etc/lcompose/ca-bundle.pem"
BEHIND = {"HTTPS_PROXY": "http://me:secret@proxy:3128"}


def given(
    env: Mapping[str, str], service: str = "llama-stack", *, proxies: bool = True, ca_bundle: str = ""
) -> dict[str, Text]:
    """The variables that a service of the stack gets."""
    found = handed_on(STACK, env, proxies=proxies, ca_bundle=ca_bundle, directory="/my/here")
    return dict(next(one.environment for one in found if one.name == service))


def with_own(*environment: tuple[str, Text]) -> Service:
    """A service that says some variables itself."""
    return Service("llama-stack", "s", environment=environment)


def test_surroundings_with_nothing_in_them_change_nothing() -> None:
    assert handed_on(STACK, {"PATH": "/bin", "HOME": "/home/me"}, proxies=True, ca_bundle="") == STACK


@pytest.mark.parametrize("service", ["llama-stack", "lightspeed-stack"])
def test_a_proxy_goes_to_every_service_by_name_and_is_not_asked_for_the_services(service: str) -> None:
    found = given(BEHIND, service)
    assert found == {"HTTPS_PROXY": EnvRef("HTTPS_PROXY"), "NO_PROXY": OURS, "no_proxy": OURS}
    assert "secret" not in repr(found)


def test_a_proxy_is_called_what_the_person_calls_it() -> None:
    found = given({"http_proxy": "http://p:1", "HTTP_PROXY": "http://p:2", "HTTPS_PROXY": ""})
    assert [name for name in found if "NO" not in name.upper()] == ["HTTP_PROXY", "http_proxy"]


@pytest.mark.parametrize(
    ("env", "upper", "lower"),
    [
        ({}, OURS, OURS),
        ({"NO_PROXY": "corp.example"}, f"corp.example,{OURS}", f"corp.example,{OURS}"),
        ({"no_proxy": "a, .b ,"}, f"a,.b,{OURS}", f"a,.b,{OURS}"),
        ({"NO_PROXY": "a", "no_proxy": "b"}, f"a,{OURS}", f"b,{OURS}"),
        ({"NO_PROXY": "localhost,a"}, "localhost,a,127.0.0.1,llama-stack,lightspeed-stack", None),
        ({"NO_PROXY": "*"}, "*", "*"),
        ({"NO_PROXY": "a,*"}, "*", "*"),
    ],
)
def test_what_the_person_excepts_stays_excepted(env: dict[str, str], upper: str, lower: str | None) -> None:
    found = given({**BEHIND, **env})
    assert found["NO_PROXY"] == upper
    assert found["no_proxy"] == (upper if lower is None else lower)


def test_exceptions_alone_are_no_reason_to_hand_on_anything() -> None:
    assert given({"NO_PROXY": "a"}) == {}


def test_a_proxy_for_everything_is_not_handed_on() -> None:
    assert given({"ALL_PROXY": "socks5://p:1", "all_proxy": "socks5://p:1"}) == {}


@pytest.mark.parametrize("env", [{}, BEHIND])
def test_without_proxies_a_container_has_none_whatever_its_engine_would_add(env: dict[str, str]) -> None:
    none = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "")
    assert given(env, proxies=False) == none


def test_a_variable_that_a_service_says_itself_is_left_alone() -> None:
    own = with_own(("HTTPS_PROXY", "http://mine:1"), ("NO_PROXY", "all.mine"))
    [found] = handed_on([own], BEHIND, proxies=True, ca_bundle="")
    assert found.environment == (*own.environment, ("no_proxy", "localhost,127.0.0.1,llama-stack"))


def test_certificate_authorities_are_mounted_and_named_in_every_dialect() -> None:
    [found, _] = handed_on(STACK, {}, proxies=True, ca_bundle="/my/ca.pem")
    assert found.mounts == (FileMount("/my/ca.pem", CA),)
    assert dict(found.environment) == {"SSL_CERT_FILE": CA, "REQUESTS_CA_BUNDLE": CA, "CURL_CA_BUNDLE": CA}


def test_authorities_that_a_service_names_itself_are_not_mounted_over() -> None:
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    own = with_own(*((name, "/in/the/image.pem") for name in names))
    assert handed_on([own], {}, proxies=True, ca_bundle="/my/ca.pem") == (own,)


@pytest.mark.parametrize(
    ("said", "env", "file"),
    [
        ("", {"SSL_CERT_FILE": "/a.pem"}, ""),
        ("./environment", {"SSL_CERT_FILE": "/a.pem"}, "./environment"),
        ("environment", {}, ""),
        ("environment", {"SSL_CERT_FILE": "/a.pem", "CURL_CA_BUNDLE": "/c.pem"}, "/a.pem"),
        ("environment", {"CURL_CA_BUNDLE": "/c.pem", "REQUESTS_CA_BUNDLE": "/r.pem"}, "/r.pem"),
        # Nobody knows from which folder.
        ("environment", {"SSL_CERT_FILE": "a.pem", "REQUESTS_CA_BUNDLE": ""}, ""),
    ],
)
def test_the_authorities_of_the_surroundings_are_trusted_where_that_is_said(
    said: str, env: dict[str, str], file: str
) -> None:
    assert authorities_file(said, env) == file


def test_what_lightspeed_core_takes_from_its_environment_goes_to_it_alone() -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318", "SENTRY_DSN": "https://key@sentry/1", "OTEL_X": "y"}
    expected = {name: EnvRef(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "SENTRY_DSN")}
    assert given(env, "lightspeed-stack") == expected
    assert given(env, "llama-stack") == {}


@pytest.mark.parametrize(("path", "source"), [("/c/ca.pem", "/c/ca.pem"), ("ca.pem", "/my/here/ca.pem")])
def test_a_file_that_lightspeed_cores_environment_names_is_mounted(path: str, source: str) -> None:
    found = handed_on(STACK, {"SENTRY_CA_CERTS": path}, proxies=True, ca_bundle="", directory="/my/here")[1]
    assert found.environment == (("SENTRY_CA_CERTS", "/run/secrets/SENTRY_CA_CERTS"),)
    assert found.mounts == (FileMount(source, "/run/secrets/SENTRY_CA_CERTS"),)


def credentials(*kinds: str, **env: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """What a service with such providers gets: variables and mounts."""
    found = with_credentials(STACK[0], kinds, env, "/my/here")
    return dict(found.environment), found.mounts


@pytest.mark.parametrize(
    ("path", "source"),
    [("/k/g.json", "/k/g.json"), ("~/g.json", "/home/me/g.json"), ("./g.json", "/my/here/g.json")],
)
def test_vertex_gets_the_file_with_its_credentials(path: str, source: str) -> None:
    found, mounts = credentials("remote::vertexai", GOOGLE_APPLICATION_CREDENTIALS=path, HOME="/home/me")
    place = "/run/secrets/GOOGLE_APPLICATION_CREDENTIALS"
    assert (found, mounts) == ({"GOOGLE_APPLICATION_CREDENTIALS": place}, (FileMount(source, place),))


def test_bedrock_gets_what_it_signs_with_by_name_and_its_token_as_a_file() -> None:
    found, mounts = credentials("remote::bedrock", AWS_WEB_IDENTITY_TOKEN_FILE="/t")
    place = "/run/secrets/AWS_WEB_IDENTITY_TOKEN_FILE"
    assert found.pop("AWS_WEB_IDENTITY_TOKEN_FILE") == place
    assert mounts == (FileMount("/t", place),)
    assert found["AWS_SECRET_ACCESS_KEY"] == EnvRef("AWS_SECRET_ACCESS_KEY")
    assert "AWS_PROFILE" not in found


@pytest.mark.parametrize("kind", ["remote::openai", "remote::watsonx", "remote::azure"])
def test_other_providers_read_nothing_that_their_document_does_not_say(kind: str) -> None:
    env = {"GOOGLE_APPLICATION_CREDENTIALS": "/k", "AWS_ACCESS_KEY_ID": "x"}
    assert credentials(kind, **env) == ({}, ())


@pytest.mark.parametrize(
    "address", ["http://localhost:3128", "http://me:secret@127.0.0.1:3128", "localhost:3128", "http://[::1]:1"]
)
def test_a_proxy_on_this_machine_is_a_warning_without_its_password(address: str) -> None:
    [found] = local_proxies({"https_proxy": address})
    assert (found.path, found.severity) == ("https_proxy", "warning")
    assert "secret" not in str(found)


@pytest.mark.parametrize("address", ["http://proxy:1", "proxy:1", "", "http://[::1", "http://localhost.corp:1"])
def test_a_proxy_elsewhere_is_none(address: str) -> None:
    assert list(local_proxies({"HTTP_PROXY": address})) == []


@pytest.mark.parametrize(
    ("env", "warned"),
    [
        ({}, False),
        ({"OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SDK_DISABLED": "false"}, True),
        ({"OTEL_SDK_DISABLED": "false", "OTEL_ANONYMIZATION_SECRET": "x"}, False),
    ],
)
def test_tracing_without_its_secret_is_a_warning(env: dict[str, str], warned: bool) -> None:
    assert bool(surprises(env)) is warned
