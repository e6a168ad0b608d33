"""``lcompose doctor``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from lcompose import host
from lcompose.cli.looking import look
from lcompose.cli.options import console_of, environment, file_options, options_of, shared_options
from lcompose.columns import aligned
from lcompose.doctor import examine, summary
from lcompose.doctor.capabilities import CAPABILITIES, Verdict, capabilities
from lcompose.doctor.facts import Diagnosis, EngineSeen, Facts, State
from lcompose.errors import MachineError
from lcompose.spec.secrets import Secrets

SECONDS = 30.0
MARKS: Mapping[State, str] = {"ok": "✓", "warning": "!", "error": "✗", "unknown": "?"}
CAN = {True: "yes", False: "no", None: "not known"}


@click.command()
@shared_options
@file_options
@click.option("--timeout", "seconds", type=click.FloatRange(min=1), default=SECONDS, help="Seconds for all of it.")
@click.option("--record", metavar="FILE", help="Also write down what this machine says of its GPUs, for a bug report.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Say whether this machine can run the stack, and what to do where it cannot.

    Looks at the engines, the GPUs and their drivers, and at the configuration here if there is one:
    its ports, images and variables. Changes nothing. Exits with 4 when something is in the way.
    """
    end = time.monotonic() + given["seconds"]
    host.limit(end)
    options = options_of(ctx, given)
    console = console_of(options)
    env = environment()
    console.redact = Secrets(env).redact
    if given["record"]:
        _record(Path(given["record"]))
        console.note(f"what this machine says of its GPUs is in {given['record']}")
    facts = look(options, env, given["files"], given["compose_profiles"], end)
    areas = examine(facts)
    found = [one for area in areas.values() for one in area]
    can: dict[str, Mapping[str, Verdict]] = {one.name: capabilities(one, facts) for one in facts.engines if one.usable}
    if console.as_json:
        console.value(console.redacted(document(facts, areas, can)))
    else:
        console.result(console.redact("\n".join(_lines(areas, can, found))))
    return MachineError.exit_code if summary(found)["error"] else 0


def document(
    facts: Facts, areas: Mapping[str, Iterable[Diagnosis]], can: Mapping[str, Mapping[str, Verdict]]
) -> dict[str, Any]:
    """Everything for machines; the keys stay as they are."""
    found = [{"area": area, **asdict(one)} for area, all_of_it in areas.items() for one in all_of_it]
    counts = summary(one for area in areas.values() for one in area)
    return {
        "ok": not counts["error"],
        "engine": facts.engine.name if facts.engine else None,
        "summary": counts,
        "findings": found,
        "engines": [_engine(one, can.get(one.name, {})) for one in facts.engines],
        "gpus": [_plain(asdict(one)) for one in (facts.machine.gpus if facts.machine else ())],
    }


def _engine(one: EngineSeen, can: Mapping[str, Verdict]) -> dict[str, Any]:
    version, compose = (".".join(map(str, numbers)) for numbers in (one.version, one.compose_version))
    return {
        "name": one.name,
        "installed": one.installed,
        "usable": one.usable,
        "version": version,
        "compose_version": compose,
        "reader": one.way,
        "endpoint": one.endpoint,
        "remote": one.remote,
        "info": _plain(asdict(one.info)) if one.info else None,
        "capabilities": {name: asdict(verdict) for name, verdict in can.items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(child) for name, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, tuple) else value


def _lines(
    areas: Mapping[str, Iterable[Diagnosis]], can: Mapping[str, Mapping[str, Verdict]], found: Iterable[Diagnosis]
) -> Iterable[str]:
    for area, diagnoses in areas.items():
        rows = list(diagnoses)
        if rows:
            yield area.upper()
            yield from _area(rows)
        if area == "engines" and can:
            yield from ("", "CAPABILITIES", *_matrix(can))
        if rows:
            yield ""
    yield _verdict(summary(found))


def _area(rows: list[Diagnosis]) -> Iterable[str]:
    table = aligned([(f"  {MARKS[one.state]}", one.subject, _one_line(one.what)) for one in rows])
    for line, one in zip(table, rows, strict=True):
        yield line
        if one.fix:
            yield f"      to do: {_one_line(one.fix)}"


def _one_line(text: str) -> str:
    return " ".join(part.strip() for part in text.splitlines())


def _matrix(can: Mapping[str, Mapping[str, Verdict]]) -> list[str]:
    rows = [("  ", *can)]
    for name, one in CAPABILITIES.items():
        verdicts = [verdicts[name] for verdicts in can.values()]
        rows.append((f"  {one.title}", *(_cell(verdict) for verdict in verdicts)))
    return aligned(rows)


def _cell(verdict: Verdict) -> str:
    return f"{CAN[verdict.can]}: {verdict.why}" if verdict.why else CAN[verdict.can]


def _verdict(counts: Mapping[State, int]) -> str:
    errors, warnings = counts["error"], counts["warning"]
    told = f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
    return f"{told}: {'something is in the way' if errors else 'nothing is in the way'}."


def _record(path: Path) -> None:
    """Writes what a probe asks of this machine, and is told.

    Raises: UsageError, MachineError.
    """
    from lcompose.bundle import unwritable, write_private
    from lcompose.emit import yaml_text
    from lcompose.machine import ThisMachine
    from lcompose.probe import record

    try:
        write_private(path, yaml_text(record(ThisMachine())))
    except OSError as error:
        raise unwritable(error, path.parent, "Name another place with --record.") from error
