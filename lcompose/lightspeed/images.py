"""What is known of the images that LCORE and Llama Stack come in, and of their versions.

An image that is not known is taken to be laid out like LCORE's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lcompose.settings import Settings
from lcompose.spec.target import version_of

Generation = Literal["0.6", "0.7"]

LCORE = "lightspeed-stack"
LLAMA_STACK = "llama-stack"
INFERENCE = "inference"

DEFAULT_GENERATION: Generation = "0.7"
LCORE_REPOSITORY = "quay.io/lightspeed-core/lightspeed-stack"
VERSION_TAG = re.compile(r":v?(\d+)\.(\d+)(?:\.(\d+))?[^/]*\Z")


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The layout of an image.

    ``owned`` are directories that belong to the image's user: a named volume that is mounted
    there takes over their owner, and is writable at its second place too. ``keep`` are the
    capabilities that its entrypoint cannot do without. ``published`` says that all of this is known of
    just this image.
    """

    pattern: str
    home: str = "/opt/app-root/src"
    workdir: str = "/opt/app-root"
    owned: str = "/opt/app-root/src/.llama/storage"
    user: int = 1001
    keep: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    published: bool = False


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """How one range of Llama Stack versions is started; ``since`` is the first version of it, ``package`` its code."""

    since: tuple[int, ...]
    package: str
    program: tuple[str, ...]
    port_variable: str
    directory_variable: str
    needs_insecure: bool = False
    insecure_option: tuple[str, ...] = ()
    dry_run: bool = False


LCORE_IMAGES = (
    ImageFacts(f"{LCORE_REPOSITORY}:", workdir="/app-root", entrypoint=("/app-root/entrypoint.sh",), published=True),
    ImageFacts("", workdir="/app-root", entrypoint=("/app-root/entrypoint.sh",)),
)

SERVER_IMAGES = (
    # The distribution's own image runs as root, so any volume is writable where it is mounted.
    ImageFacts("distribution-", home="/root", workdir="/app", owned="", user=0),
    ImageFacts(""),
)

# Newest first. Before 1.1 the port in run.yaml is ignored, so it always travels as a variable;
# from 1.2 a server without certificates does not start unless it is told to.
SERVERS = (
    ServerFacts((1, 2), "ogx", ("ogx", "run"), "OGX_PORT", "OGX_CONFIG_DIR", True, ("--insecure",), True),
    ServerFacts((0, 8), "ogx", ("ogx", "run"), "OGX_PORT", "OGX_CONFIG_DIR"),
    ServerFacts((), "llama_stack", ("llama", "stack", "run"), "LLAMA_STACK_PORT", "LLAMA_STACK_CONFIG_DIR"),
)

# The server that LCORE's releases of a generation are made for, and the newest that they accept.
DEFAULT_SERVER: dict[Generation, tuple[int, ...]] = {"0.6": (0, 6, 0), "0.7": (1, 2, 5)}
NEWEST_SERVER: dict[Generation, tuple[int, ...]] = {"0.6": (1, 0, 2), "0.7": (1, 2, 5)}
DEFAULT_TAG: dict[Generation, str] = {"0.6": "0.6.2", "0.7": "0.7.1"}


@dataclass(frozen=True, slots=True)
class Images:
    """The images that run, and what is known of them."""

    generation: Generation
    version: tuple[int, ...]
    lcore: str
    server: str
    lcore_facts: ImageFacts
    server_facts: ImageFacts


def generation_of(image: str, declared: str) -> Generation:
    """The configuration shape that an LCORE image reads: declared, by its tag, or the default."""
    if declared:
        return "0.6" if version_of(declared) < (0, 7) else "0.7"
    match = VERSION_TAG.search(image)
    if not match:
        return DEFAULT_GENERATION
    return "0.6" if (int(match[1]), int(match[2])) < (0, 7) else "0.7"


def server_version(image: str, declared: str, generation: Generation) -> tuple[int, ...]:
    """The version of Llama Stack: declared, by the image's tag, or the generation's own."""
    if declared:
        return version_of(declared)
    match = VERSION_TAG.search(image)
    if match:
        return tuple(int(part) for part in match.groups() if part)
    return DEFAULT_SERVER[generation]


def server_facts(version: tuple[int, ...]) -> ServerFacts:
    """How that version is started."""
    return next(facts for facts in SERVERS if version >= facts.since)


def default_lcore_image(generation: Generation) -> str:
    """LCORE's own image for a generation."""
    return f"{LCORE_REPOSITORY}:{DEFAULT_TAG[generation]}"


def default_server_image(version: tuple[int, ...]) -> str:
    """The distribution's image for a version of Llama Stack."""
    repository = "docker.io/ogx" if version >= (0, 8) else "docker.io/llamastack"
    return f"{repository}/distribution-starter:{'.'.join(map(str, version))}"


def choose_images(settings: Settings) -> Images:
    """Which images run, and of which generation and version they are."""
    lcore = settings.services[LCORE].image
    generation = generation_of(lcore, settings.lightspeed_version)
    server = settings.services[LLAMA_STACK].image
    version = server_version(server, settings.ogx_version, generation)
    lcore = lcore or default_lcore_image(generation)
    server = server or default_server_image(version)
    return Images(
        generation,
        version,
        lcore,
        server,
        image_facts(lcore, LCORE_IMAGES),
        image_facts(server, SERVER_IMAGES),
    )


def image_facts(image: str, table: tuple[ImageFacts, ...]) -> ImageFacts:
    """The first row whose pattern the image's name contains, or LCORE's own layout."""
    return next((row for row in table if row.pattern in image), table[-1])
