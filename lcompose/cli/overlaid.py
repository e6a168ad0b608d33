"""A rendered stack with a person's own words of Compose in it, read by the engine's compose before it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lcompose import host
from lcompose.bundle import CONTENTS
from lcompose.engines import ComposeFile, Engine
from lcompose.engines.podman_create import ADDITIONS, REMOVALS
from lcompose.engines.podman_edits import Edit
from lcompose.engines.podman_provider import provider
from lcompose.engines.podman_traps import Surroundings, override, without_start_intervals
from lcompose.errors import UsageError
from lcompose.overlay.merging import WHERE
from lcompose.overlay.paths import binds
from lcompose.spec import labels
from lcompose.spec.bundle import Bundle, Document
from lcompose.workspace import SETTINGS_FILE

# What every machine has of its own.
EVERYWHERE = ("/dev/", "/proc/", "/sys/", "/run/", "/var/run/", "/etc/localtime")
# Bytes of a file that are read to see whether it was changed.
MOST_READ = 1024 * 1024


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


def mounted_files(theirs: Mapping[str, Any]) -> list[str]:
    """What of this machine services have mounted, configs and secrets in files included."""
    services = theirs["services"].values()
    found = [source for service in services for source, _ in binds(service) if not source.startswith(EVERYWHERE)]
    return [*found, *(file for service in services for file in _declared(service, theirs, "file"))]


def _declared(service: Mapping[str, Any], reading: Mapping[str, Any], word: str) -> Iterator[str]:
    """What the configs and secrets of a service say of a word, such as their file."""
    for kind in ("configs", "secrets"):
        for one in service.get(kind) or ():
            name = one.get("source") if isinstance(one, Mapping) else one
            said = ((reading.get(kind) or {}).get(name) or {}).get(word)
            if said:
                yield str(said)


def inputs(
    theirs: Mapping[str, Any], home: Path, env: Mapping[str, str], salt: str
) -> dict[str, tuple[tuple[str, str], ...]]:
    """What services read beside their words, with a digest each: small files of the person's folder that they
    cannot write, and variables that are secrets.

    A folder, and what a service may change itself, are none: they change without anybody's wish.
    """
    return {
        name: (*_file_inputs(service, theirs, home, salt), *_variable_inputs(service, theirs, env, salt))
        for name, service in theirs["services"].items()
    }


def _file_inputs(
    service: Mapping[str, Any], reading: Mapping[str, Any], home: Path, salt: str
) -> Iterator[tuple[str, str]]:
    read_only = [source for source, only_read in binds(service) if only_read]
    for source in dict.fromkeys([*read_only, *_declared(service, reading, "file")]):
        path = home / source
        content = _small_file(path) if path.is_relative_to(home) else None
        if content is not None:
            yield f"./{path.relative_to(home)}", _digest(salt, content)


def _small_file(path: Path) -> bytes | None:
    """The bytes of a regular file; None for anything else, for a large one, and for one that cannot be read."""
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size <= MOST_READ else None
    except OSError:
        return None


def _variable_inputs(
    service: Mapping[str, Any], reading: Mapping[str, Any], env: Mapping[str, str], salt: str
) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(_declared(service, reading, "environment")):
        yield name, _digest(salt, env.get(name, "").encode())


def _digest(salt: str, content: bytes) -> str:
    return hashlib.sha256(salt.encode() + content).hexdigest()[:16]


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
        *(Document(f"{CONTENTS}/{one.name}", one.text, mode=one.mode, uid=one.uid, gid=one.gid) for one in edit.files),
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


def compose_files(documents: Sequence[Document], place: Path) -> tuple[Path, ...]:
    """Those of the documents that are compose files."""
    return tuple(place / one.path for one in documents if one.path in (REMOVALS, ADDITIONS))


def joined(rendered: Mapping[str, str], read: Mapping[str, str]) -> dict[str, str]:
    """Digests of what is rendered, and of what else the engine's compose reads of some of it."""
    return {name: digest + read.get(name, "") for name, digest in rendered.items()}
