"""``lcompose parity``."""

from __future__ import annotations

import os
import secrets as random
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import click

from lcompose import host
from lcompose.bundle import unwritable, write_atomically
from lcompose.cli import Terminated
from lcompose.cli.legs import (
    BEYOND,
    DOCUMENTS,
    GONE,
    LACKING,
    LOGS,
    READY,
    STATE,
    VARIABLES,
    Course,
    Told,
    drive,
    keep,
    prepared,
    problems,
)
from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.console import Console
from lcompose.engines.select import PREFERENCE, connect
from lcompose.errors import LcomposeError, MachineError, NotReadyError, UsageError
from lcompose.machine import ThisMachine
from lcompose.names import checked_name
from lcompose.parity import Leg, Row, Seen, compare, report
from lcompose.parity.legs import FEWEST, LEGS, named, own_options, suffix
from lcompose.parity.library import write_copy
from lcompose.parity.normal import THIS_MACHINE, addresses_of
from lcompose.parity.requests import FILE, Asked, Request, asked, with_headers
from lcompose.spec.secrets import Secrets
from lcompose.targets.local import EVERYWHERE
from lcompose.workspace import Options, Workspace, directory_of, open_workspace, project_name, read_config

# Options that a leg's commands have from the comparison's.
HANDED_ON = {
    "config": "--config",
    "run_config": "--run-config",
    "gpu": "--gpu",
    "gpu_ids": "--gpu-ids",
    "inference": "--inference",
    "model": "--model",
}
HANDED_ON_LISTS = {"profiles": "--profile", "images": "--image", "sets": "--set"}
LONGEST_BASE = 18
PATIENCE = 60.0


@click.command()
@shared_options
@click.option(
    "--legs", metavar="LEG,LEG", help=f"What is compared, of {', '.join(LEGS)}; all that run here by default."
)
@click.option("--leg-set", "leg_sets", type=(str, str), multiple=True, metavar="LEG PATH=VALUE", help="Set on one leg.")
@click.option("--requests", metavar="FILE", help=f"Your own requests; {FILE} by default, where there is one.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="Sent to Lightspeed Core with every request, such as 'Authorization: Bearer ${NAME}'.",
)
@click.option("--compare-text", is_flag=True, help="What the model says must be the same too.")
@click.option("--parallel", is_flag=True, help="Run the legs side by side.")
@click.option("--wait-timeout", type=click.IntRange(1), metavar="SECONDS", help="Time for each leg to become ready.")
@click.option("--request-timeout", type=click.FloatRange(min=0.1), default=PATIENCE, help="Time for each answer.")
@click.option("--junit", metavar="FILE", help="Also write the result as JUnit's XML.")
@click.option("--artifacts", metavar="DIR", help="Keep the logs and the failure archives of every leg there.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Say whether the same configuration does the same on Docker, on Podman, as processes, and as a library.

    Each leg is started, asked the same, and taken down again, under a name and on ports of its own.
    Exits with 0 when all agree, with 5 when one differs or does not get ready, or when all answer a
    request of ours with an error, with 4 when something that a leg needs is not on this machine.

    What all of them refuse for want of a token is no difference, and is told: --header sends one.
    Without --legs, a leg that cannot be had here is left out, and it is said why: processes need
    to know where Lightspeed Core is (services.lightspeed-stack.local in lcompose.yaml).

    \b
    lcompose parity
    lcompose parity --legs container:docker,container:podman,local --parallel
    lcompose parity --leg-set container:podman services.llama-stack.env.OPENAI_BASE_URL=http://…
    """
    options = options_of(ctx, given)
    console = console_of(options)
    _refuse_of_one_leg(options)
    env = environment()
    workspace = open_workspace(options, env, variables=True, here=True)
    questions = with_headers(_asked(given["requests"], workspace), given["headers"], workspace.env)
    own = workspace.resolved
    hidden = frozenset(own.lifted) | questions.variables
    console.redact = Secrets({**workspace.env, **workspace.secrets.reveal()}, hidden=hidden, kept=own.kept).redact
    with host.private_folder() as folder:
        courses = _courses(options, given, workspace, folder, console)
        found = _drive(courses, questions.requests, given, console)
    rows = _rows(courses, questions.requests, found)
    _report(rows, courses, given, console)
    if any(seen[READY].told == LACKING for seen in found.values()):
        return MachineError.exit_code
    return 0 if report.agree(rows) else NotReadyError.exit_code


def _refuse_of_one_leg(options: Options) -> None:
    for name in ("engine", "runtime"):
        if getattr(options, name):
            raise UsageError(
                f"--{name} is what each leg says itself", "command line", f"Say it with --legs: {', '.join(LEGS)}."
            )


def _asked(file: str | None, workspace: Workspace) -> Asked:
    path = host.file_named(workspace.directory, file or FILE)
    services = [one.name for one in workspace.resolved.project.services]
    if not file and not host.exists(path):
        return asked(b"", FILE, services, workspace.env)
    data = host.read_file(path, "the file of requests", "Name an existing file with --requests.")
    return asked(data, file or FILE, services, workspace.env)


# ---------------------------------------------------------------- which legs, and what each needs


def _courses(
    options: Options, given: Mapping[str, Any], workspace: Workspace, folder: Path, console: Console
) -> list[Course]:
    """The legs, each with what it needs to be driven; nothing has been started by then.

    Raises: MachineError for what is not here, UsageError for what cannot be.
    """
    asked_for = named(given["legs"]) if given["legs"] else tuple(LEGS.values())
    legs = [_with_engine(leg, workspace.env) for leg in asked_for]
    lacking = problems(legs, workspace.env)
    if given["legs"] and lacking:
        raise _lacking(lacking)
    sets = own_options(given["leg_sets"], legs)
    base = _base(options, workspace)
    usual = _usual(options, given, workspace, folder)
    courses: list[Course] = []
    for leg in legs:
        if leg.name in lacking:
            continue
        try:
            course = _course(usual, leg, base, _library(leg, options, workspace, folder))
            taken = {address.port for one in courses for address in one.addresses.values()}
            courses.append(prepared(replace(course, options=(*course.options, *sets[leg.name])), taken))
        except LcomposeError as error:
            if given["legs"]:
                raise
            lacking[leg.name] = ("; ".join(error.details) or error.what, error.fix)
    if len(courses) < FEWEST:
        raise _lacking(lacking)
    for name, (problem, _) in lacking.items():
        console.note(f"note: {name} is left out: {problem}")
    return _on_one_ground(courses)


def _on_one_ground(courses: Sequence[Course]) -> list[Course]:
    """The legs with what is the same place for all of them."""
    machine = (*THIS_MACHINE, *addresses_of(ThisMachine().text("/proc/net/fib_trie") or ""))
    anywhere = any(one.files.natively for one in courses)
    # What listens on every address of a container listens on one of this machine.
    names = (*machine, *([EVERYWHERE] if anywhere else []))
    return [replace(one, ground=replace(one.ground, machine=names, anywhere=anywhere)) for one in courses]


def _with_engine(leg: Leg, env: Mapping[str, str]) -> Leg:
    """The leg with an engine that is here, where any will do."""
    if leg.engine:
        return leg
    usable = (name for name in PREFERENCE if connect(name, env).facts().usable)
    engine = next(usable, PREFERENCE[0])
    return replace(leg, engine=engine, options=(*leg.options, "--engine", engine))


def _lacking(found: Mapping[str, tuple[str, str]]) -> MachineError:
    what = "; ".join(f"{leg}: {problem}" for leg, (problem, _) in found.items())
    fixes = dict.fromkeys(fix for _, fix in found.values() if fix)
    return MachineError(f"not all that a comparison needs is here: {what}", "--legs", " Or: ".join(fixes))


def _base(options: Options, workspace: Workspace) -> str:
    """What the projects' names begin with: asked for, or one that no other comparison has."""
    if options.project_name:
        return options.project_name
    return f"{project_name(options, workspace.env)[:LONGEST_BASE].strip('-_')}-{random.token_hex(2)}"


def _usual(options: Options, given: Mapping[str, Any], workspace: Workspace, folder: Path) -> Course:
    """What all legs have in common."""
    settings = workspace.settings
    wait = given["wait_timeout"] or settings.wait_timeout
    return Course(
        leg=Leg("", ""),
        project="",
        directory=directory_of(options),
        folder=folder,
        options=tuple(_handed_on(options)),
        env=environment(),
        variables=workspace.env,
        wait_timeout=wait,
        patience=wait + settings.pull_timeout + BEYOND,
        request_patience=given["request_timeout"],
    )


def _course(usual: Course, leg: Leg, base: str, library: Sequence[str]) -> Course:
    folder = usual.folder / suffix(leg)
    folder.mkdir(exist_ok=True)
    return replace(
        usual,
        leg=leg,
        project=checked_name(f"{base}-{suffix(leg)}", "project"),
        folder=folder,
        options=(*usual.options, *library, *leg.options),
        env={**usual.env, "XDG_STATE_HOME": str(folder / "state")},
    )


def _handed_on(options: Options) -> list[str]:
    one = [part for name, option in HANDED_ON.items() if (value := getattr(options, name)) for part in (option, value)]
    many = [
        part for name, option in HANDED_ON_LISTS.items() for value in getattr(options, name) for part in (option, value)
    ]
    return [*one, *many]


def _library(leg: Leg, options: Options, workspace: Workspace, folder: Path) -> list[str]:
    """The derived configuration of library mode, as options."""
    if not leg.library:
        return []
    path, node = read_config(options, workspace.env, workspace.directory)
    run = host.file_named(workspace.directory, options.run_config) if options.run_config else None
    return ["--config", str(write_copy(node, path, run, folder / suffix(leg) / "config"))]


# ---------------------------------------------------------------- driving, and saying what came of it


def _drive(
    courses: Sequence[Course], requests: Sequence[Request], given: Mapping[str, Any], console: Console
) -> dict[str, dict[str, Seen]]:
    """Drives all legs; an interruption takes down what they started before it goes on."""
    told = Told(console.note, console.redacted, Event(), given["compare_text"])
    with ThreadPoolExecutor(len(courses) if given["parallel"] else 1) as pool:
        futures = [pool.submit(drive, course, requests, told) for course in courses]
        try:
            found = [future.result() for future in futures]
        except (KeyboardInterrupt, Terminated):
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            told.stop.set()
            console.note("lcompose: takes down what was started")
            host.end_running()
            raise
        finally:
            pool.shutdown()
            if given["artifacts"]:
                _keep(courses, Path(given["artifacts"]))
    return {course.leg.name: seen for course, seen in zip(courses, found, strict=True)}


def _keep(courses: Sequence[Course], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for course in courses:
            keep(course, folder)
    except OSError as error:
        raise unwritable(error, folder, "Name another place with --artifacts.") from error


def _rows(
    courses: Sequence[Course], requests: Sequence[Request], found: Mapping[str, Mapping[str, Seen]]
) -> tuple[Row, ...]:
    names = [READY, STATE, *(one.name for one in requests), VARIABLES, DOCUMENTS, LOGS, GONE]
    rows = compare(names, _without_other_forms(courses, found), {one.name: one.where for one in requests})
    return tuple(row for row in rows if not all(one.absent for one in row.seen.values()))


def _without_other_forms(
    courses: Sequence[Course], found: Mapping[str, Mapping[str, Seen]]
) -> dict[str, dict[str, Seen]]:
    """What library mode has by its nature otherwise than a server beside it is not compared."""
    usual = next((one for one in courses if not one.leg.library), courses[0]).files.services
    other = Seen(absent="library mode has other services")
    return {
        course.leg.name: {
            name: other
            if course.leg.library and course.files.services != usual and name in (STATE, VARIABLES, DOCUMENTS, LOGS)
            else seen
            for name, seen in found[course.leg.name].items()
        }
        for course in courses
    }


def _report(rows: Sequence[Row], courses: Sequence[Course], given: Mapping[str, Any], console: Console) -> None:
    legs = [course.leg.name for course in courses]
    if given["junit"]:
        _write(Path(given["junit"]), report.junit(rows, legs, console.redact))
    if console.as_json:
        about = [
            {"name": one.leg.name, "engine": one.leg.engine, "project": one.project, "library": one.leg.library}
            for one in courses
        ]
        console.value(console.redacted(report.document(rows, about)))
    else:
        console.result(console.redact("\n".join(report.lines(rows, legs))))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        root = os.environ.get("GITHUB_WORKSPACE", "")
        for line in report.workflow_commands(rows, str(courses[0].directory), root, console.redact):
            # Not a note: nothing may stand before the two colons.
            console.err.write(f"{line}\n")


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text, mode=0o644)
    except OSError as error:
        raise unwritable(error, path.parent, "Name another place with --junit.") from error
