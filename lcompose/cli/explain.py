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
from lcompose.cli.processes import Processes, processes
from lcompose.columns import aligned
from lcompose.errors import LcomposeError, UsageError
from lcompose.explain import DEFAULT, OURS, SETTINGS_NAME, Cause, Evidence, Explained, asked_for, explained
from lcompose.explain.changes import Told, changes
from lcompose.explain.steps import Made, made
from lcompose.explain.values import without_passwords
from lcompose.lightspeed.derive import RUN_FILE
from lcompose.load import Node, parse, plain
from lcompose.overlay.merging import together
from lcompose.overlay.tags import TAGGED
from lcompose.profiles import used_profiles
from lcompose.resolve import Resolved
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.program import Natively
from lcompose.spec.project import Project
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import Form, TargetFacts, described
from lcompose.targets import local, mixed, translate
from lcompose.targets.local import PROCESS_FILE
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
    read = _as_read(workspace)
    told = _about(changes(read, evidence.documents[CONFIG_FILE]), workspace, wanted)
    steps = made(workspace.resolved) if wanted in ("", RUN_FILE, *_readers(workspace, RUN_FILE)) else ()
    if options.json:
        console.value(console.redacted(_as_json(workspace, rows, told, steps)))
        return
    lines = _one(rows[0]) if "." in wanted and len(rows) == 1 else _tables(rows, overview=not wanted)
    lines += [*_made(steps), *_diff(told, "" if read is not workspace.resolved else " in the container")]
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
    taken = _taken(workspace)
    project = workspace.resolved.project
    bundle = _bundle(workspace, project, taken)
    # Where all are processes, there is no compose file.
    alone = bool(taken and taken.alone)
    return Evidence(
        workspace.resolved,
        settings,
        settings.layers,
        _documents(workspace, options, env),
        variables,
        file={"volumes": {name: {} for name in project.volumes}} if alone else _tree(bundle.main),
        ours={} if alone else _tree(_bundle(workspace, replace(project, compose=()), taken).main),
        processes=_of_processes(bundle) if taken else {},
        named_by=_named_by(workspace, options, env),
    )


def _taken(workspace: Workspace) -> Processes | None:
    """The services that are processes, if any are."""
    try:
        found = processes(workspace)
    except LcomposeError:
        return None  # why it can be run in no way is told with its runtime
    return found if found.names else None


def _bundle(workspace: Workspace, project: Project, taken: Processes | None) -> Bundle:
    """What 'render' writes of a project here."""
    place = workspace.place(Path.cwd())
    if taken and taken.alone:
        # Own words of Compose are refused then, which is 'up's to say.
        return translate(replace(project, compose=()), _facts(workspace, project, taken), place)
    try:
        return translate(project, _facts(workspace, project, taken), place)
    except LcomposeError:
        # What this target cannot say in files of its own, 'up' may do all the same; nothing is started here.
        return translate(project, _facts(workspace, project, taken, "docker", "folder"), place)


def _facts(
    workspace: Workspace, project: Project, taken: Processes | None, target: str = "", form: Form | None = None
) -> TargetFacts:
    natively = Natively(taken.found.programs) if taken else None
    if taken and taken.alone:
        return TargetFacts("local", "run", natively=natively)
    target = target or workspace.settings.engine or "docker"
    # A secret that cannot be a variable is in no file that everybody may read.
    inline = target == "docker" and not any(one.secret_at for one in project.documents)
    return replace(described(target, form or ("inline" if inline else "folder")), natively=natively)


def _of_processes(bundle: Bundle) -> Mapping[str, Any]:
    """What the process file has of each service."""
    (main,) = (one for one in bundle.documents if one.path == PROCESS_FILE)
    services: Mapping[str, Any] = _tree(main)["services"]
    return services


def _tree(document: Document) -> Mapping[str, Any]:
    tree: Mapping[str, Any] = plain(parse(document.text.encode(), document.path))
    return tree


def _as_read(workspace: Workspace) -> Resolved:
    """The same, with what the documents say where services are processes."""
    taken = _taken(workspace)
    project = workspace.resolved.project
    if not taken or (taken.alone and project.compose):
        return workspace.resolved
    here = (local.localised if taken.alone else mixed.combined)(
        project, _facts(workspace, project, taken), workspace.place(Path.cwd())
    )
    return replace(workspace.resolved, project=here)


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


def _diff(told: Sequence[Told], where: str) -> list[str]:
    lines: list[str] = []
    for (source, document), group in groupby(told, key=lambda one: (one.source, one.change.document)):
        lines += [f"--- {source}", f"+++ {document}, as it is read{where}"]
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
