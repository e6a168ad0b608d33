"""``lcompose completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lcompose.console import Console


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a shell's completion script.

    \b
    bash:  eval "$(lcompose completion bash)"
    zsh:   eval "$(lcompose completion zsh)"
    fish:  lcompose completion fish | source
    """
    from lcompose.cli.root import root

    found = get_completion_class(shell)
    assert found is not None
    Console().result(found(root, {}, "lcompose", "_LCOMPOSE_COMPLETE").source())
