"""The group of commands; a command's module is imported when it is used, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from lcompose import __version__
from lcompose.cli.options import remember, shared_options

# Every command: the module it is in, and the line that says what it does.
COMMANDS: dict[str, tuple[str, str]] = {
    "render": ("render", "Write the compose file, and what goes with it."),
    "validate": ("validate", "Say whether the configuration is right, and whether all it needs is here."),
    "up": ("up", "Start the stack, and wait until it is ready."),
    "down": ("down", "Stop the stack and remove it; its logs are kept."),
    "status": ("status", "Show what runs, and whether it is ready."),
    "events": ("events", "Show how the services' states changed, and go on as they do."),
    "logs": ("logs", "Show what the services print."),
    "verify-gpu": ("verify_gpu", "Say whether services that were promised a GPU work on it."),
    "parity": ("parity", "Say whether it does the same on every engine."),
    "doctor": ("doctor", "Say whether this machine can run the stack, and what is in the way."),
    "explain": ("explain", "Say where each value comes from, and what was changed."),
    "init": ("init", "Write a configuration to start from."),
    "ci": ("ci", "Write a workflow that checks the configuration."),
    "migrate": ("migrate", "Bring older configuration files to the form of today."),
    "schema": ("schema", "Print a JSON Schema for an editor."),
    "profiles": ("profiles", "List the profiles."),
    "completion": ("completion", "Print a shell's completion script."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports only the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"lcompose.cli.{COMMANDS[cmd_name][0]}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from lcompose.schema import suggestion

            hint = suggestion(args[0], list(COMMANDS))
            raise click.UsageError(f"there is no command {args[0][:40]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="lcompose %(version)s")
@shared_options
@click.pass_context
def root(ctx: click.Context, /, **given: Any) -> None:
    """One Lightspeed configuration in, a running, ready stack out.

    \b
    lcompose render > compose.yaml     a file that starts with docker compose
    lcompose up                        start, and wait until it answers
    lcompose up -f compose.yaml        the same for any compose file
    lcompose down                      take it down again

    Run it in the folder of your lightspeed-stack.yaml. Options may stand before or after the
    command.
    """
    remember(ctx, given)
