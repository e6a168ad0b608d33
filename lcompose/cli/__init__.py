"""The command line: the only place that knows click, and the one error boundary."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from lcompose.errors import LcomposeError

INTERRUPTED = 130
TERMINATED = 143
BUG = 3


class Terminated(BaseException):
    """SIGTERM arrived; whatever holds something lets it go on the way out."""


def main() -> NoReturn:
    """Runs a command and exits with its code; nobody ever sees a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    code = _run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        _silence_stdout()
    # Not sys.exit: it waits for threads, and one of them may hang with the engine that it asked.
    os._exit(code)


def _run() -> int:
    import click

    from lcompose.cli.root import root
    from lcompose.console import Console
    from lcompose.spec.secrets import Secrets

    console = Console(as_json="--json" in sys.argv[1:], redact=Secrets(os.environ).redact)
    try:
        result: Any = root.main(standalone_mode=False, prog_name="lcompose")
    except LcomposeError as error:
        _recognise(error)
        console.error(error)
        _annotate(console, error)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        console.note(error.format_message())
        return 2
    except click.ClickException as error:
        console.error(_usage(error))
        return 2
    except (KeyboardInterrupt, click.exceptions.Abort):
        console.note("lcompose: interrupted")
        return INTERRUPTED
    except Terminated:
        console.note("lcompose: terminated")
        return TERMINATED
    except BrokenPipeError:
        _silence_stdout()
        return 0
    except Exception as error:  # noqa: BLE001  # the boundary: a bug becomes a report
        console.error(_report(error))
        return BUG
    return result if isinstance(result, int) else 0


def _recognise(error: LcomposeError) -> None:
    """Looks whether the failure is a known one, where nobody has."""
    from lcompose.failures import known_of

    error.known = error.known or known_of(error)


def _annotate(console: Any, error: LcomposeError) -> None:
    """In a workflow of GitHub's, an error also stands beside the line that it is about."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from lcompose.annotations import lines

    root = os.environ.get("GITHUB_WORKSPACE", "")
    for line in lines(error, directory=str(Path.cwd()), root=root, redact=console.redact):
        # Not a note: nothing may stand before the two colons.
        sys.stderr.write(f"{line}\n")


def _usage(error: Any) -> LcomposeError:
    from lcompose.errors import UsageError

    command = error.ctx.command_path if getattr(error, "ctx", None) else "lcompose"
    return UsageError(error.format_message(), "command line", f"See: {command} --help")


def _report(error: Exception) -> LcomposeError:
    """A bug of ours, written to a file that can be sent to us."""
    import platform
    import traceback

    from lcompose import __version__
    from lcompose.bundle import write_private
    from lcompose.host import state_directory
    from lcompose.spec.secrets import Secrets

    text = "".join(traceback.format_exception(error))
    about = f"lcompose {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    path = state_directory(os.environ) / "report.txt"
    try:
        write_private(path, Secrets(os.environ).redact(about + text))
        where = str(path)
    except OSError:
        where = ""
    fix = "Please send us that file. Until it is mended, try the command with fewer options."
    return LcomposeError(f"a bug in lcompose: {type(error).__name__}", where, fix)


def _terminate(*_: Any) -> None:
    raise Terminated


def _silence_stdout() -> None:
    """Whoever read our output has gone; the interpreter must not stumble over that at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
