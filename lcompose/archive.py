"""What a bug report needs, in one file: made when a stack fails, with no secret in it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from lcompose.errors import MachineError
from lcompose.logs import kept, service_of
from lcompose.memory import history
from lcompose.spec.run import Container
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import EngineFacts

FOLDER = "failures"
ENDING = ".tar.gz"
KEPT = 5
MOST_OF_A_LOG = 2 * 1024 * 1024
FIX = "Make space there, or set XDG_STATE_HOME to a folder that you may write."


def write(
    place: Path,
    *,
    report: str,
    states: Any,
    files: Mapping[str, str],
    versions: Mapping[str, str],
    secrets: Secrets,
) -> Path:
    """Writes the report, the states, the history, the files and the last of each service's log.

    Raises: MachineError when it cannot be written; then there is nothing of it.
    """
    now = datetime.now(UTC)
    path = place / FOLDER / f"{now:%Y%m%dT%H%M%S.%fZ}{ENDING}"
    made = {
        "report.txt": secrets.redact(report),
        "states.json": _json(_redacted(states, secrets)),
        "events.jsonl": _events(place, secrets),
        "versions.json": _json(_redacted(dict(versions), secrets)),
        **{f"files/{safe_name(name)}": secrets.redact(text) for name, text in files.items()},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, made, place, secrets, now.timestamp())
    except OSError as error:
        what = f"the bundle for a bug report cannot be written: {error.strerror or error}"
        raise MachineError(what, str(path.parent), FIX) from error
    with suppress(OSError):
        _forget_old(path.parent)
    return path


def safe_name(name: str) -> str:
    """A name that leads nowhere outside the folder in which the archive is unpacked."""
    printable = "".join(one if one.isprintable() and one not in "\\:" else "_" for one in name)
    return "/".join(part for part in PurePosixPath(printable).parts if part not in ("/", "//", "..")) or "unnamed"


def _write(path: Path, made: Mapping[str, str], place: Path, secrets: Secrets, now: float) -> None:
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    top = path.name.removesuffix(ENDING)
    try:
        with (
            os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream,
            tarfile.open(fileobj=stream, mode="w:gz") as tar,
        ):
            for name, text in made.items():
                _add(tar, f"{top}/{name}", text, now)
            for name, text in _logs(place / "logs", secrets):
                _add(tar, f"{top}/{name}", text, now)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _add(tar: tarfile.TarFile, name: str, text: str, now: float) -> None:
    data = text.encode(errors="replace")
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), int(now), 0o600
    tar.addfile(member, io.BytesIO(data))


def _logs(directory: Path, secrets: Secrets) -> Iterator[tuple[str, str]]:
    """The newest log of each service; one that is being put aside just now is left out."""
    newest = {service_of(path): path for path in kept(directory)}
    for service, path in sorted(newest.items()):
        with suppress(FileNotFoundError):
            yield f"logs/{safe_name(service)}.log", secrets.redact(_tail(path))


def _tail(path: Path) -> str:
    """The end of a file, from the beginning of a line."""
    with path.open("rb") as stream:
        left_out = max(0, stream.seek(0, os.SEEK_END) - MOST_OF_A_LOG)
        stream.seek(left_out)
        text = stream.read(MOST_OF_A_LOG).decode(errors="replace")
    if not left_out:
        return text
    _, _, whole_lines = text.partition("\n")
    return f"(the first {left_out} bytes are left out)\n{whole_lines}"


def _events(place: Path, secrets: Secrets) -> str:
    return "".join(json.dumps(_redacted(asdict(one), secrets)) + "\n" for one in history(place))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, default=str) + "\n"


def _redacted(value: Any, secrets: Secrets) -> Any:
    """The tree without secrets: in the text of JSON, one could be hidden behind escapes."""
    if isinstance(value, Mapping):
        return {str(key): _redacted(child, secrets) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(child, secrets) for child in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return secrets.redact(str(value))


def _forget_old(directory: Path) -> None:
    for path in sorted(directory.glob(f"*{ENDING}"))[:-KEPT]:
        path.unlink(missing_ok=True)
    for path in directory.glob(f".*{ENDING}.*.tmp"):  # of a command that was killed: projects are held by one
        path.unlink(missing_ok=True)


def state_of(one: Container) -> dict[str, object]:
    """What is told of a container."""
    return {
        "service": one.service,
        "container": one.name,
        "state": one.state,
        "exit_code": one.exit_code,
        "restarts": one.restarts,
        "oom_killed": one.oom_killed,
        "health": one.health,
        "health_output": one.health_output,
        "error": one.error,
        "image": one.image,
        "image_id": one.image_id,
    }


def versions_of(facts: EngineFacts) -> dict[str, str]:
    """The versions of all that was at work."""
    from platform import platform, python_version

    from lcompose import __version__

    return {
        "lcompose": __version__,
        "engine": f"{facts.name} {'.'.join(map(str, facts.version))}",
        "compose": ".".join(map(str, facts.compose_version)),
        "python": python_version(),
        "platform": platform(),
    }
