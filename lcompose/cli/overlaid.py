"""A rendered stack with a person's own words of Compose in it, read by the engine's compose before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lcompose import host
from lcompose.bundle import CONTENTS
from lcompose.engines import ComposeFile, Engine
from lcompose.engines.podman_create import ADDITIONS, REMOVALS
from lcompose.engines.podman_edits import Beside, Edit
from lcompose.engines.podman_provider import provider
from lcompose.engines.podman_traps import Surroundings, override, without_start_intervals
from lcompose.errors import UsageError
from lcompose.overlay.merging import WHERE
from lcompose.spec import labels
from lcompose.spec.bundle import Bundle, Document
from lcompose.workspace import SETTINGS_FILE


def read(engine: Engine, compose: ComposeFile, bundle: Bundle, place: Path) -> Mapping[str, Any]:
    """What the engine's compose makes of a bundle that is not written yet; read from a private folder.

    Raises: UsageError in the engine's words.
    """
    with host.private_folder() as folder:
        path = folder / bundle.main.path
        path.write_text(bundle.main.text)
        # Podman's file names what lies beside it; Docker's starts from the person's folder.
        directory = folder if engine.name == "podman" else compose.directory
        try:
            found = engine.read(replace(compose, files=(path,), directory=directory))
        except UsageError as error:
            raise replace(error, where=WHERE) from error
        moved: Mapping[str, Any] = _moved({"services": {}, **found}, str(folder), str(place))
    return moved


def _moved(tree: Any, before: str, now: str) -> Any:
    """The reading as it would be in the folder where the file is going to lie."""
    if isinstance(tree, dict):
        return {name: _moved(value, before, now) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_moved(value, before, now) for value in tree]
    return tree.replace(before, now) if isinstance(tree, str) else tree


def beside(theirs: Mapping[str, Any], engine: str, compose: ComposeFile, place: Path) -> tuple[Document, ...]:
    """What must be read after the file, and lie beside it, so that Podman's compose does what it says.

    Raises: ConfigError for what podman-compose would leave out in silence; MachineError.
    """
    if engine != "podman":
        return ()
    if provider(compose.env).kind == "docker-compose":
        edit = without_start_intervals(theirs)
        return (Document(REMOVALS, edit.removals_text),) if edit != Edit() else ()
    around = Surroundings(compose.project, SETTINGS_FILE, place / CONTENTS, compose.env, {})
    edit = override(theirs, around)
    edit = replace(edit, adds=_with_our_order(edit.adds))
    return (
        Document(REMOVALS, edit.removals_text),
        Document(ADDITIONS, edit.additions_text),
        *(_written(one) for one in edit.files),
    )


def _with_our_order(adds: Mapping[str, Any]) -> dict[str, Any]:
    """Without the labels that tell who outlives whom: the file has them, and ours know more."""
    services = {
        name: {
            word: {label: text for label, text in value.items() if label != labels.AFTER} if word == "labels" else value
            for word, value in service.items()
        }
        for name, service in (adds.get("services") or {}).items()
    }
    return {**adds, "services": services}


def _written(one: Beside) -> Document:
    if one.uid or one.gid:
        fix = "Leave out uid and gid."
        raise UsageError("the owner of a config or secret cannot be set here with Podman", WHERE, fix)
    return Document(f"{CONTENTS}/{one.name}", one.text)


def compose_files(documents: Sequence[Document], place: Path) -> tuple[Path, ...]:
    """Those of the documents that are compose files."""
    return tuple(place / one.path for one in documents if one.path in (REMOVALS, ADDITIONS))


def joined(rendered: Mapping[str, str], read: Mapping[str, str]) -> dict[str, str]:
    """Digests of what is rendered, and of what else the engine's compose reads of some of it."""
    return {name: digest + read.get(name, "") for name, digest in rendered.items()}
