"""``lcompose migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.console import Console, finding_fields
from lcompose.errors import ConfigError, DriftError, UsageError
from lcompose.migrate import Migration, Written, difference, has_secrets, migrate, sources

YAML_ENDINGS = (".yaml", ".yml")


@click.command()
@shared_options
@click.option("--to", "target", type=click.Choice(["0.7", "0.6"]), default="0.7", help="The generation. Default: 0.7.")
@click.option("--one-file", is_flag=True, help="Put run.yaml into lightspeed-stack.yaml.")
@click.option("-o", "--output", metavar="FILE|DIR", help="Write the result there.")
@click.option("--write", is_flag=True, help="Write the result in the place of the files; needs --force.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("--dry-run", is_flag=True, help="Only show the changes, as without -o and --write.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Bring older configuration files to the form of today.

    Shows what would change, and why. Comments are kept where what they stand at is.

    \b
    lcompose migrate                    show the changes
    lcompose migrate -o new             write the files to a folder
    lcompose migrate --one-file -o lightspeed-stack.new.yaml
    lcompose migrate --write --force    replace the files
    """
    options = options_of(ctx, given)
    console = console_of(options)
    read = sources(options, environment())
    done = migrate(read, given["target"], one_file=given["one_file"])
    targets = [] if given["dry_run"] else _targets(done, given["output"], write=given["write"])
    _refuse_existing(targets, force=given["force"])
    if options.json:
        console.value(_fields(done, [path for _, path in targets] if done.moves else []))
    else:
        _show(console, done, quiet=bool(targets))
    if not done.moves:
        return
    if any(found.severity == "error" for found in done.findings):
        raise ConfigError(done.findings)
    _write(console, targets)


def _targets(done: Migration, output: str | None, *, write: bool) -> list[tuple[Written, Path]]:
    """Which text goes where; nothing where nothing is to be written.

    Raises: UsageError.
    """
    if output and write:
        raise UsageError("-o and --write exclude each other", "command line", "Use one of them.")
    kept = [one for one in done.files if not one.gone]
    if write:
        return [(one, one.source.path) for one in kept if one.is_new]
    if not output:
        return []
    path = Path(output).absolute()
    if not output.endswith(YAML_ENDINGS) or path.is_dir():
        return [(one, path / one.source.role) for one in kept]
    if len(kept) > 1:
        raise UsageError("there are two files to write, and -o names one", output, "Name a folder, or add --one-file.")
    return [(one, path) for one in kept]


def _refuse_existing(targets: list[tuple[Written, Path]], *, force: bool) -> None:
    """Stops before anything is written over.

    Raises: DriftError.
    """
    there = [path for _, path in targets if path.exists() or path.is_symlink()]
    if there and not force:
        raise DriftError("this file exists, and is left alone", str(there[0]), "Name another -o, or pass --force.")


def _show(console: Console, done: Migration, *, quiet: bool) -> None:
    for note in done.notes:
        console.note(f"note: {note}")
    if not done.moves:
        console.result("Nothing needs to be changed: " + ", ".join(one.source.shown for one in done.files) + ".")
        return
    if not quiet:
        console.result(difference(done))
    for move in done.moves:
        console.note(f"{move.document}: {move.what}: {move.why}")
    for comment in done.lost:
        console.note(f"this comment could not be kept: {comment}")
    console.warn(done.findings)


def _write(console: Console, targets: list[tuple[Written, Path]]) -> None:
    from lcompose.bundle import unwritable, write_atomically

    for one, path in targets:
        # A secret in clear is for its owner only.
        mode = 0o600 if has_secrets(one) else 0o644
        try:
            write_atomically(path, one.text, mode=mode)
        except OSError as error:
            raise unwritable(error, path.parent, "Name another -o.") from error
        if not console.as_json:
            console.note(
                f"wrote {path}" + (", which only you can read: it has secrets in clear" if mode == 0o600 else "")
            )


def _fields(done: Migration, written: list[Path]) -> dict[str, Any]:
    return {
        "changed": bool(done.moves),
        "files": [
            {"document": one.source.role, "path": str(one.source.path), "changed": one.is_new, "gone": one.gone}
            for one in done.files
        ],
        "moves": [
            {
                "document": move.document,
                "kind": move.kind,
                "before": move.before,
                "after": move.after,
                "why": move.why,
            }
            for move in done.moves
        ],
        "lost_comments": list(done.lost),
        "notes": list(done.notes),
        "findings": [finding_fields(found) for found in done.findings],
        "diff": difference(done),
        "written": [str(path) for path in written],
    }
