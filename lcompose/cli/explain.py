"""``lcompose explain``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from lcompose import host
from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.columns import aligned
from lcompose.explain import DEFAULT, OURS, SETTINGS_NAME, Evidence, Explained, asked_for, explained
from lcompose.explain.changes import Told, changes
from lcompose.load import Node, parse
from lcompose.profiles import built_in, read_profile
from lcompose.workspace import (
    CONFIG_FILE,
    SETTINGS_FILE,
    Options,
    Workspace,
    open_workspace,
    read_config,
)

# What the overview shows of each service, beside all that a person set.
MATTERS = ("image", "ports", "probe.path", "restart", "limits.cpus", "limits.memory", "hardening.read_only")
NOBODY = (OURS, DEFAULT)
WIDEST = 60  # of a value in a table; whoever asks for one value sees all of it
NEXT = "All of one service: lcompose explain SERVICE. One value, whole: lcompose explain SERVICE.FIELD."


@click.command()
@shared_options
@click.argument("wanted", metavar="[SERVICE[.FIELD]]", default="")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Say where a value comes from: which file, profile, variable or option set it, and why.

    Without an argument: what matters of each service, and every change that was made to your
    configuration. With a service: all of it. With a field: its value, who set it, and what others say.

    \b
    lcompose explain
    lcompose explain llama-stack
    lcompose explain llama-stack.image
    lcompose explain lightspeed-stack.environment
    lcompose explain settings.wait_timeout
    """
    options = options_of(ctx, given)
    console = console_of(options)
    env = environment()
    workspace = open_workspace(options, env, allow_missing=True)
    console.redact = workspace.secrets.redact
    every = explained(_evidence(workspace, options, env))
    wanted = given["wanted"]
    rows = asked_for(every, wanted) if wanted else every
    told = _about(changes(workspace.resolved), workspace, wanted)
    if options.json:
        console.value(console.redacted(_as_json(workspace, rows, told)))
        return
    lines = _one(rows[0]) if "." in wanted and len(rows) == 1 else _tables(rows, overview=not wanted)
    lines += _diff(told)
    lines += [] if wanted else [NEXT]
    console.result(console.redact("\n".join(lines)))


def _evidence(workspace: Workspace, options: Options, env: Mapping[str, str]) -> Evidence:
    settings = workspace.settings
    variables = frozenset(name for name, value in workspace.env.items() if value)
    return Evidence(workspace.resolved, settings, settings.layers, _documents(workspace, options, env), variables)


def _documents(workspace: Workspace, options: Options, env: Mapping[str, str]) -> dict[str, Node]:
    """What the layers of settings were read from, by the layer's name."""
    found = {CONFIG_FILE: read_config(options, env, workspace.directory)[1]}
    own = workspace.directory / SETTINGS_FILE
    if host.exists(own):
        found[SETTINGS_FILE] = parse(host.read_file(own, SETTINGS_FILE, ""), SETTINGS_FILE)
    used = {layer.removeprefix("profile ") for layer in workspace.settings.origin.values()}
    for name in used & {*built_in(), *workspace.settings.profiles}:
        path = read_profile(name, workspace.directory).path
        found[f"profile {name}"] = parse(host.read_file(path, name, ""), _name_of(path, name))
    return found


def _name_of(path: Path, name: str) -> str:
    return f"profiles/{path.name}" if path.stem == name else name


def _about(told: Iterable[Told], workspace: Workspace, wanted: str) -> tuple[Told, ...]:
    """All changes, those of one service's documents, or none where one field is asked for."""
    if not wanted:
        return tuple(told)
    read = {
        getattr(mount, "document", "")
        for service in workspace.resolved.project.services
        if service.name == wanted
        for mount in service.mounts
    }
    return tuple(one for one in told if one.change.document in read)


# --- text ---


def _tables(rows: Sequence[Explained], *, overview: bool) -> list[str]:
    lines: list[str] = []
    for service, group in groupby(rows, key=lambda row: row.service):
        kept = [row for row in group if not overview or _matters(row)]
        if kept:
            table = [("FIELD", "VALUE", "SET BY", "WHY"), *map(_row, kept)]
            lines += [service, *(f"  {line}" for line in aligned(table)), ""]
    return lines


def _matters(row: Explained) -> bool:
    by_a_person = row.cause.layer not in NOBODY and not row.cause.layer.startswith("profile") and row.word != ""
    return by_a_person or (row.service != SETTINGS_NAME and row.field in MATTERS and row.cause.layer != DEFAULT)


def _row(row: Explained) -> tuple[str, str, str, str]:
    value = " ".join(row.value.split()) or "-"
    short = value if len(value) <= WIDEST else f"{value[: WIDEST - 1]}…"
    return row.field, short, _set_by(row), row.cause.reason


def _set_by(row: Explained) -> str:
    """The layer and the place; a place in a file says which file it is."""
    layer, where = row.cause.layer, row.cause.where
    if not where:
        return layer
    return where if where.startswith(layer) else f"{layer} ({where})"


def _one(row: Explained) -> list[str]:
    parts = [("value", row.value or "-"), ("set by", _set_by(row)), ("why", row.cause.reason)]
    parts += [("else", f"{value or '-'}   ({layer})") for layer, value in reversed(row.cause.below)]
    return [f"{row.service}.{row.field}", *(f"  {line}" for line in aligned(parts)), ""]


def _diff(told: Sequence[Told]) -> list[str]:
    lines: list[str] = []
    for (source, document), group in groupby(told, key=lambda one: (one.source, one.change.document)):
        lines += [f"--- {source}", f"+++ {document}, as it is read in the container"]
        for one in group:
            lines += [f"@@ {one.change.path} @@ {one.change.reason}   ({one.where})", *one.lines]
        lines.append("")
    return lines


# --- JSON ---


def _as_json(workspace: Workspace, rows: Sequence[Explained], told: Sequence[Told]) -> dict[str, Any]:
    return {
        "project": workspace.name,
        "profiles": list(workspace.settings.profiles),
        "values": [_value(row) for row in rows],
        "changes": [_change(one) for one in told],
    }


def _value(row: Explained) -> dict[str, Any]:
    return {
        "service": row.service,
        "field": row.field,
        "value": row.value,
        "layer": row.cause.layer,
        "where": row.cause.where,
        "reason": row.cause.reason,
        "below": [{"layer": layer, "value": value} for layer, value in row.cause.below],
    }


def _change(one: Told) -> dict[str, Any]:
    return {
        "document": one.change.document,
        "path": one.change.path,
        "before": one.change.before,
        "after": one.change.after,
        "reason": one.change.reason,
        "where": one.where,
        "diff": list(one.lines),
    }
