"""The options that every command has, before or after its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from lcompose.console import Console
from lcompose.workspace import Options

F = TypeVar("F", bound=Callable[..., Any])


def _offer_profiles(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from lcompose.profiles import built_in

    return [name for name in built_in() if name.startswith(begun)]


def _offer_gpus(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from lcompose.vendors import choices

    return [name for name in ("auto", *choices()) if name.startswith(begun)]


def _offer_servers(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from lcompose.lightspeed.companion_files import servers

    return [name for name in ("auto", "none", *servers()) if name.startswith(begun)]


SHARED: tuple[Any, ...] = (
    click.option("-C", "directory", metavar="DIR", help="Work in this folder."),
    click.option("-c", "--config", "config", metavar="FILE", help="The lightspeed-stack.yaml to use."),
    click.option("--run-config", metavar="FILE", help="The run.yaml of Llama Stack to use."),
    click.option("-p", "--project-name", metavar="NAME", help="Name of the project; the folder's by default."),
    click.option(
        "--profile",
        "profiles",
        multiple=True,
        metavar="NAME|FILE",
        help="Profile of settings; may be repeated.",
        shell_complete=_offer_profiles,
    ),
    click.option("--engine", type=click.Choice(["auto", "docker", "podman"]), help="Container engine."),
    click.option("--runtime", type=click.Choice(["container", "local"]), help="Containers or local processes."),
    click.option(
        "--strict-runtime",
        "strict_runtime",
        is_flag=True,
        default=None,
        help="Take no other runtime where that one cannot be had.",
    ),
    click.option(
        "--gpu",
        metavar="GPU",
        help="GPU of an inference service: none, auto, cuda, rocm, xpu.",
        shell_complete=_offer_gpus,
    ),
    click.option("--gpu-ids", metavar="ID,ID", help="Which GPUs it gets, by number or UUID; all by default."),
    click.option(
        "--inference",
        metavar="SERVER",
        help="Inference server to start: auto, none, vllm, ollama, llamacpp, rhaiis.",
        shell_complete=_offer_servers,
    ),
    click.option("--model", metavar="NAME", help="Model that the inference server serves."),
    click.option("--image", "images", multiple=True, metavar="SERVICE=IMAGE", help="Image of a service."),
    click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Any setting."),
    click.option("--json", "json", is_flag=True, default=None, help="Print JSON."),
    click.option("-v", "--verbose", is_flag=True, default=None, help="Say more."),
)
FILE_OPTIONS: tuple[Any, ...] = (
    click.option(
        "-f", "--file", "files", multiple=True, metavar="FILE", help="Any compose file, instead; may be repeated."
    ),
    click.option(
        "--compose-profile",
        "compose_profiles",
        multiple=True,
        metavar="NAME",
        help="Profile of that file; may be repeated.",
    ),
)
LISTS = ("profiles", "images", "sets")


def shared_options(function: F) -> F:
    """Adds the shared options to a command."""
    for option in reversed(SHARED):
        function = option(function)
    return function


def file_options(function: F) -> F:
    """Adds the options that name somebody's compose file."""
    for option in reversed(FILE_OPTIONS):
        function = option(function)
    return function


def remember(ctx: click.Context, given: dict[str, Any]) -> None:
    """Keeps the options that stood before the command."""
    ctx.obj = given


def options_of(ctx: click.Context, given: dict[str, Any]) -> Options:
    """The options of both places; after the command wins, lists add up. Removes them from ``given``."""
    before = ctx.find_root().obj or {}
    result: dict[str, Any] = {}
    for name in Options.__dataclass_fields__:
        first, second = before.get(name), given.pop(name, None)
        if name in LISTS:
            result[name] = (*(first or ()), *(second or ()))
        elif second is not None or first is not None:
            result[name] = second if second is not None else first
    return Options(**result)


def console_of(options: Options) -> Console:
    """The console that the options ask for."""
    return Console(as_json=options.json, verbose=options.verbose)


def environment() -> dict[str, str]:
    """The environment of this process."""
    return dict(os.environ)
