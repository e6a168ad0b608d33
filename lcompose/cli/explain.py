"""``lcompose explain``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from lcompose import host
from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.columns import aligned
from lcompose.errors import UsageError
from lcompose.explain import DEFAULT, OURS, SETTINGS_NAME, Cause, Evidence, Explained, asked_for, explained
from lcompose.explain.changes import Told, changes
from lcompose.explain.steps import Made, made
from lcompose.explain.values import without_passwords
from lcompose.lightspeed.derive import RUN_FILE
from lcompose.load import Node, parse, plain
from lcompose.overlay.merging import together
from lcompose.overlay.tags import TAGGED
from lcompose.profiles import used_profiles
from lcompose.spec.project import Project
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import described
from lcompose.targets import translate
from lcompose.workspace import (
    CONFIG_FILE,
    SETTINGS_FILE,
    Options,
    Workspace,
    open_workspace,
    read_config,
)

# What the overview shows of each service, beside all that a person set.
MATTERS = (
    *("started", "runtime", "image", "ports", "probe.path", "restart"),
    *("limits.cpus", "limits.memory", "hardening.read_only"),
)
NOBODY = (OURS, DEFAULT)
WIDEST = 60  # of a value in a table; whoever asks for one value sees all of it
NEXT = "All of one service: lcompose explain SERVICE. One value, whole: lcompose explain SERVICE.FIELD."


@click.command()
@shared_options
@click.argument("wanted", metavar="[SERVICE[.FIELD]]", default="")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Say where a value comes from: which file, profile, variable or option set it, and why.

    Without an argument: what matters of each service, how run.yaml was made, and every change of your
    configuration. With a service: all of it. With a field, by the name that it has here, in the settings
    or in the compose file: its value, who set it, and what others say. The name of a document shows what
    was changed in it.

    \b
    lcompose explain
    lcompose explain llama-stack
    lcompose explain llama-stack.image
    lcompose explain llama-stack.mem_limit
    lcompose explain lightspeed-stack.environment
    lcompose explain run.yaml
    lcompose explain settings.wait_timeout
    """
    options = options_of(ctx, given)
    console = console_of(options)
    env = environment()
    workspace = open_workspace(options, env, allow_missing=True)
    secrets = _secrets(workspace)
    console.redact = secrets.redact
    evidence = evidence_of(workspace, options, env)
    wanted = given["wanted"]
    documents = {one.name for one in workspace.resolved.project.documents}
    rows = _rows(explained(evidence), wanted, documents)
    told = _about(changes(workspace.resolved, evidence.documents[CONFIG_FILE]), workspace, wanted)
    steps = made(workspace.resolved) if wanted in ("", RUN_FILE, *_readers(workspace, RUN_FILE)) else ()
    if options.json:
        console.value(console.redacted(_as_json(workspace, rows, told, steps)))
        return
    lines = _one(rows[0]) if "." in wanted and len(rows) == 1 else _tables(rows, overview=not wanted)
    lines += [*_made(steps), *_diff(told)]
    lines += [] if wanted else [NEXT]
    console.result(console.redact("\n".join(lines)))


def _rows(every: Sequence[Explained], wanted: str, documents: Iterable[str]) -> Sequence[Explained]:
    if not wanted:
        return [row for row in every if row.listed]
    try:
        return asked_for(every, wanted)
    except UsageError:
        if wanted not in documents:
            raise
        return ()


# --- evidence ---


def evidence_of(workspace: Workspace, options: Options, env: Mapping[str, str]) -> Evidence:
    """All that explanations of a workspace are drawn from.

    Raises: UsageError for what cannot be rendered.
    """
    settings = workspace.settings
    variables = frozenset(name for name, value in workspace.env.items() if value)
    project = workspace.resolved.project
    return Evidence(
        workspace.resolved,
        settings,
        settings.layers,
        _documents(workspace, options, env),
        variables,
        file=_file(workspace, project),
        ours=_file(workspace, replace(project, compose=())),
        named_by=_named_by(workspace, options, env),
    )


def _file(workspace: Workspace, project: Project) -> Mapping[str, Any]:
    """The compose file of a project as 'render' writes it here, read again."""
    target = workspace.settings.engine or "docker"
    # A secret that cannot be a variable is in no file that everybody may read.
    inline = target == "docker" and not any(one.secret_at for one in project.documents)
    place = workspace.place(Path.cwd())
    try:
        main = translate(project, described(target, "inline" if inline else "folder"), place).main
    except UsageError:
        # What this target cannot say in files of its own, 'up' may do all the same; nothing is started here.
        main = translate(project, described("docker", "folder"), place).main
    tree: Mapping[str, Any] = plain(parse(main.text.encode(), main.path))
    return tree


def _documents(workspace: Workspace, options: Options, env: Mapping[str, str]) -> dict[str, Node]:
    """What the layers of settings were read from, by the layer's name."""
    found = {CONFIG_FILE: read_config(options, env, workspace.directory)[1]}
    own = workspace.directory / SETTINGS_FILE
    if host.exists(own):
        found[SETTINGS_FILE] = parse(host.read_file(own, SETTINGS_FILE, ""), SETTINGS_FILE, TAGGED)
    for profile in used_profiles(workspace.settings.profiles, workspace.directory):
        name = f"profiles/{profile.path.name}" if profile.path.stem == profile.name else profile.name
        found[profile.layer.name] = parse(host.read_file(profile.path, profile.name, ""), name, TAGGED)
    return found


def _named_by(workspace: Workspace, options: Options, env: Mapping[str, str]) -> Cause:
    if options.project_name:
        return Cause("command line", "", "the name that -p gives")
    if env.get("LCOMPOSE_PROJECT_NAME"):
        return Cause("environment", "LCOMPOSE_PROJECT_NAME", "the name that this variable gives")
    return Cause(DEFAULT, "", f"made of the name of the folder {workspace.directory}")


def _secrets(workspace: Workspace) -> Secrets:
    """All that must not be shown: variables, and what is called a secret in a person's own words of Compose."""
    services = together(workspace.resolved.project.compose).get("services") or {}
    given = [(one or {}).get("environment") or {} for one in services.values()]
    literal = {
        str(name): str(value)
        for one in given
        for name, value in one.items()
        if value is not None and not str(value).startswith("$")
    }
    resolved = workspace.resolved
    own = {**literal, **workspace.secrets.reveal()}
    return Secrets(own, hidden=frozenset(resolved.lifted), kept=resolved.kept)


def _readers(workspace: Workspace, document: str) -> list[str]:
    return [
        service.name
        for service in workspace.resolved.project.services
        if any(getattr(mount, "document", "") == document for mount in service.mounts)
    ]


def _about(told: Iterable[Told], workspace: Workspace, wanted: str) -> tuple[Told, ...]:
    """All changes, those of one document or one service's, or none where one field is asked for."""
    return tuple(one for one in told if wanted in ("", one.change.document, *_readers(workspace, one.change.document)))


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
    by_words = ": " in row.cause.reason and row.cause.reason.startswith("compose.")
    by_a_person = row.cause.layer not in NOBODY and not row.cause.layer.startswith("profile") and row.word != ""
    told = row.service != SETTINGS_NAME and row.field in MATTERS and row.cause.layer != DEFAULT
    return by_words or by_a_person or told


def _row(row: Explained) -> tuple[str, str, str, str]:
    value = " ".join(row.value.split()) or "-"
    short = value if len(value) <= WIDEST else f"{value[: WIDEST - 1]}…"
    return row.field, short, _set_by(row.cause.layer, row.cause.where), row.cause.reason


def _set_by(layer: str, where: str) -> str:
    """The layer and the place; a place in a file says which file it is."""
    if not where:
        return layer
    return where if where.startswith(layer) else f"{layer} ({where})"


def _one(row: Explained) -> list[str]:
    parts = [("value", row.value or "-"), ("set by", _set_by(row.cause.layer, row.cause.where))]
    parts += [("why", row.cause.reason)]
    parts += [("else", f"{value or '-'}   ({layer})") for layer, value in reversed(row.cause.below)]
    return [f"{row.service}.{row.field}", *(f"  {line}" for line in aligned(parts)), ""]


def _made(steps: Sequence[Made]) -> list[str]:
    table = [("PART", "FROM", "WHY"), *((one.path, _set_by(one.layer, one.where), _why(one)) for one in steps)]
    return [f"how {RUN_FILE} was made", *(f"  {line}" for line in aligned(table)), ""] if steps else []


def _why(one: Made) -> str:
    return f"{one.source}: {one.reason}" if one.source else one.reason


def _diff(told: Sequence[Told]) -> list[str]:
    lines: list[str] = []
    for (source, document), group in groupby(told, key=lambda one: (one.source, one.change.document)):
        lines += [f"--- {source}", f"+++ {document}, as it is read in the container"]
        for one in group:
            lines += [f"@@ {one.change.path} @@ {one.change.reason}   ({one.where})", *one.lines]
        lines.append("")
    return lines


# --- JSON ---


def _as_json(
    workspace: Workspace, rows: Sequence[Explained], told: Sequence[Told], steps: Sequence[Made]
) -> dict[str, Any]:
    return {
        "project": workspace.name,
        "profiles": list(workspace.settings.profiles),
        "values": [_value(row) for row in rows],
        "run_steps": [asdict(one) for one in steps],
        "changes": [_change(one) for one in told],
    }


def _value(row: Explained) -> dict[str, Any]:
    return {
        "service": row.service,
        "field": row.field,
        "setting": row.word,
        "value": row.value,
        "rendered": row.written,
        "layer": row.cause.layer,
        "where": row.cause.where,
        "reason": row.cause.reason,
        "below": [{"layer": layer, "value": value} for layer, value in row.cause.below],
    }


def _change(one: Told) -> dict[str, Any]:
    return {
        "document": one.change.document,
        "source": one.source,
        "path": one.change.path,
        "before": without_passwords(one.change.before),
        "after": without_passwords(one.change.after),
        "reason": one.change.reason,
        "where": one.where,
        "diff": list(one.lines),
    }
