"""What is known of images and versions."""

from __future__ import annotations

import pytest

from lcompose.lightspeed.images import (
    DEFAULT_SERVER,
    DEFAULT_TAG,
    LCORE_IMAGES,
    NEWEST_SERVER,
    SERVER_IMAGES,
    Generation,
    ImageFacts,
    ServerFacts,
    default_lcore_image,
    default_server_image,
    generation_of,
    image_facts,
    server_facts,
    server_version,
)


@pytest.mark.parametrize(
    ("image", "declared", "generation"),
    [
        ("", "", "0.7"),
        ("quay.io/lightspeed-core/lightspeed-stack:0.6.2", "", "0.6"),
        ("quay.io/lightspeed-core/lightspeed-stack:v0.6.2-rc1", "", "0.6"),
        ("quay.io/lightspeed-core/lightspeed-stack:0.7.1", "", "0.7"),
        ("quay.io/lightspeed-core/lightspeed-stack:0.10.0", "", "0.7"),
        ("quay.io/lightspeed-core/lightspeed-stack:latest", "", "0.7"),
        ("quay.io/lightspeed-core/lightspeed-stack:dev-20240101", "", "0.7"),
        ("registry:5000/lightspeed-stack:0.6.0", "", "0.6"),
        ("registry:5000/lightspeed-stack", "", "0.7"),
        ("lightspeed-stack:0.6.2@sha256:0123456789abcdef", "", "0.6"),
        ("lightspeed-stack@sha256:0123456789abcdef", "", "0.7"),
        ("lightspeed-stack:latest", "0.6", "0.6"),
        ("lightspeed-stack:0.6.2", "0.7", "0.7"),
        ("lightspeed-stack:0.6.2", "0.10.1", "0.7"),
        ("lightspeed-stack:latest", "v0.5.3", "0.6"),
    ],
)
def test_the_generation_is_declared_or_told_by_the_tag_or_the_newest(
    image: str, declared: str, generation: Generation
) -> None:
    assert generation_of(image, declared) == generation


@pytest.mark.parametrize(
    ("image", "declared", "version"),
    [
        ("docker.io/ogx/distribution-starter:1.2.5", "", (1, 2, 5)),
        ("docker.io/llamastack/distribution-starter:0.2", "", (0, 2)),
        ("registry:5000/llama-stack:v1.2.5-cuda", "", (1, 2, 5)),
        ("llama-stack:latest", "", (1, 2, 5)),
        ("llama-stack:latest", "0.6.1", (0, 6, 1)),
        ("llama-stack:1.2.5", "1.0", (1, 0)),
    ],
)
def test_the_version_of_the_server_is_declared_or_told_by_the_tag_or_the_default(
    image: str, declared: str, version: tuple[int, ...]
) -> None:
    assert server_version(image, declared, "0.7") == version


@pytest.mark.parametrize(
    ("version", "facts"),
    [
        (
            (1, 2, 5),
            ServerFacts((1, 2), "ogx", ("ogx", "run"), "OGX_PORT", "OGX_CONFIG_DIR", True, ("--insecure",), True),
        ),
        ((1, 1, 9), ServerFacts((0, 8), "ogx", ("ogx", "run"), "OGX_PORT", "OGX_CONFIG_DIR")),
        ((0, 8), ServerFacts((0, 8), "ogx", ("ogx", "run"), "OGX_PORT", "OGX_CONFIG_DIR")),
        (
            (0, 7, 9),
            ServerFacts((), "llama_stack", ("llama", "stack", "run"), "LLAMA_STACK_PORT", "LLAMA_STACK_CONFIG_DIR"),
        ),
        ((), ServerFacts((), "llama_stack", ("llama", "stack", "run"), "LLAMA_STACK_PORT", "LLAMA_STACK_CONFIG_DIR")),
    ],
)
def test_every_version_of_the_server_is_started_in_its_own_way(version: tuple[int, ...], facts: ServerFacts) -> None:
    assert server_facts(version) == facts


@pytest.mark.parametrize(
    ("image", "home", "user"),
    [
        ("docker.io/ogx/distribution-starter:1.2.5", "/root", 0),
        ("localhost/my-own:1", "/opt/app-root/src", 1001),
    ],
)
def test_a_server_image_is_a_distribution_or_laid_out_like_lcores_own(image: str, home: str, user: int) -> None:
    facts = image_facts(image, SERVER_IMAGES)
    assert (facts.home, facts.user) == (home, user)


def test_any_lcore_image_is_laid_out_like_upstreams() -> None:
    assert image_facts("localhost/my-own:1", LCORE_IMAGES) == ImageFacts(
        "", workdir="/app-root", entrypoint=("/app-root/entrypoint.sh",)
    )


@pytest.mark.parametrize(
    ("version", "image"),
    [
        ((1, 2, 5), "docker.io/ogx/distribution-starter:1.2.5"),
        ((0, 8, 0), "docker.io/ogx/distribution-starter:0.8.0"),
        ((0, 6, 0), "docker.io/llamastack/distribution-starter:0.6.0"),
    ],
)
def test_the_default_image_of_the_server_follows_its_version(version: tuple[int, ...], image: str) -> None:
    assert default_server_image(version) == image


@pytest.mark.parametrize("generation", ["0.6", "0.7"])
def test_the_defaults_of_a_generation_fit_together(generation: Generation) -> None:
    assert generation_of(default_lcore_image(generation), "") == generation
    assert generation_of("", DEFAULT_TAG[generation]) == generation
    assert DEFAULT_SERVER[generation] <= NEWEST_SERVER[generation]
