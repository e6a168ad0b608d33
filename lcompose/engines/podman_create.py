"""Creating a project's containers on Podman, with either reader of compose files."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lcompose import host
from lcompose.bundle import CONTENTS, STATE_FIX, hand_over, write_atomically, write_private
from lcompose.engines import Creation
from lcompose.engines.client import CREATION_FIX, QUICK
from lcompose.engines.podman_edits import Beside, Edit
from lcompose.engines.podman_provider import Provider, over_socket, provider
from lcompose.engines.podman_read import NOISE, telling_line
from lcompose.engines.podman_spelling import spelled
from lcompose.engines.podman_traps import Surroundings, override, without_start_intervals
from lcompose.errors import EngineError, MachineError
from lcompose.host import Finished
from lcompose.spec import labels
from lcompose.spec.text import EnvRef

CONFLICT = re.compile(r'name "?([\w.-]+)"? is already in use|removal of container \S+ is already in progress')
CONFLICT_PAUSES = (0.5, 1.0, 2.0)
REMOVALS, ADDITIONS = "podman-removals.yaml", "podman-additions.yaml"
INHERITED = "podman-variables.yaml"

Tell = Callable[[str], None]


def create(creation: Creation, on_line: Tell) -> None:
    """Makes the containers, and looks whether all are there: podman-compose does not always say.

    Raises: EngineError, MachineError; UsageError, ConfigError for what cannot be said to Podman.
    """
    reader = provider(creation.compose.env)
    tell = _without_noise(on_line)
    if reader.kind == "docker-compose":
        said = _over_socket(reader, creation, tell)
    elif creation.ours:
        said = _each_service(reader, creation, tell)
    else:
        said = _with_override(reader, creation, tell)
    _refuse_missing(reader, creation, said)


def _without_noise(on_line: Tell) -> Tell:
    def tell(line: str) -> None:
        if not NOISE.search(line) and not line.startswith(" "):
            on_line(line)

    return tell


def _each_service(reader: Provider, creation: Creation, tell: Tell) -> str:
    """One call a service, since each may see its own variables only.

    podman-compose writes variables with their values into podman's arguments, where every process
    list shows them; so they are handed on by name, and podman reads the values itself.
    """
    said = ""
    for service in creation.services:
        inherited = creation.inherited.get(service, ())
        names = [part for variable in inherited for part in ("-e", variable.name)]
        argv = [*reader.argv(creation.compose), *([f"--podman-run-args={' '.join(names)}"] if names else [])]
        env = _with_defaults(creation.compose.env, inherited)
        env[labels.VARIABLES_DIGEST] = _digest(env, inherited, creation.salt)
        finished = _run([*argv, "up", "--no-start", "--no-deps", service], env, creation, tell)
        if finished.code:
            raise _failed(reader, creation, service, finished.said)
        said += finished.said
    return said


def _with_override(reader: Provider, creation: Creation, tell: Tell) -> str:
    """The person's files as they are, and after them two of ours that say it in podman-compose's words."""
    files = creation.compose.files
    around = Surroundings(
        project=creation.compose.project,
        file=str(files[0]),
        folder=creation.state / CONTENTS,
        env={**_dotenv(creation.compose.directory), **creation.compose.env},
        spelled={path: word for file in files for path, word in spelled(_text(file)).items()},
    )
    edit = override(creation.reading, around)
    ours = _written(creation.state, edit)
    argv = reader.argv(replace(creation.compose, files=(*files, *ours)))
    # --no-deps: else links would become --requires.
    finished = _run([*argv, "up", "--no-start", "--no-deps"], creation.compose.env, creation, tell)
    if finished.code:
        raise _failed(reader, creation, "the containers", finished.said)
    _forget(creation.state / CONTENTS, edit.files)
    return finished.said


def _over_socket(reader: Provider, creation: Creation, tell: Tell) -> str:
    """docker-compose needs no more than its own file, and the variables that are handed on by name."""
    env = dict(creation.compose.env)
    for inherited in creation.inherited.values():
        env = _with_defaults(env, inherited)
    edit = _names(creation, env) if creation.ours else without_start_intervals(creation.reading)
    text = edit.additions_text if creation.ours else edit.removals_text
    more = (_private(creation.state, INHERITED, text),) if edit != Edit() else ()
    files = (*creation.compose.files, *more)
    # What lcompose wrote names what lies beside it; podman-compose takes paths so anyway.
    directory = files[0].parent if creation.ours else creation.compose.directory
    argv = reader.argv(replace(creation.compose, files=files, directory=directory))
    with over_socket(env) as reached:
        finished = _run([*argv, "up", "--no-start"], reached, creation, tell)
    if finished.code:
        raise _failed(reader, creation, "the containers", finished.said)
    return finished.said


def _names(creation: Creation, env: Mapping[str, str]) -> Edit:
    """Each service's variables without values: docker-compose fills them in where nobody sees them."""
    services = {
        service: {
            "environment": {one.name: None for one in inherited},
            "labels": {labels.VARIABLES: _digest(env, inherited, creation.salt)},
        }
        for service, inherited in creation.inherited.items()
        if inherited
    }
    return Edit(adds={"services": services}) if services else Edit()


def _run(argv: Sequence[str], env: Mapping[str, str], creation: Creation, tell: Tell) -> Finished:
    """Runs it again while a name is taken by what an earlier command left a moment ago."""
    deadline = time.monotonic() + creation.timeout
    finished = Finished(1, "", "")
    for pause in (*CONFLICT_PAUSES, None):
        left = max(1.0, deadline - time.monotonic())
        finished = host.run(argv, timeout=left, env=env, on_line=tell, cwd=str(creation.compose.directory))
        if not finished.code or pause is None or not CONFLICT.search(finished.err):
            break
        time.sleep(pause)
    return finished


def _refuse_missing(reader: Provider, creation: Creation, said: str) -> None:
    """Stops when a service has fewer containers than it is to have."""
    there = _counted(creation)
    missing = [name for name, wanted in _wanted(creation).items() if there[name] < wanted]
    if missing:
        raise _failed(reader, creation, ", ".join(missing), said)


def _wanted(creation: Creation) -> dict[str, int]:
    if creation.ours:
        return dict.fromkeys(creation.services, 1)
    services = creation.reading.get("services") or {}
    return {name: _replicas(service or {}) for name, service in services.items()}


def _replicas(service: Mapping[str, Any]) -> int:
    said = service.get("scale", (service.get("deploy") or {}).get("replicas"))
    return 1 if said is None else int(said)


def _counted(creation: Creation) -> Counter[str]:
    argv = ["podman", "ps", "--all", "--filter", f"label={labels.PROJECT}={creation.compose.project}"]
    finished = host.run([*argv, "--format", "json"], timeout=QUICK, env=creation.compose.env)
    found = json.loads(finished.out or "[]") or []
    carried = [one.get("Labels") or {} for one in found]
    return Counter(one.get(labels.SERVICE, "") for one in carried if one.get(labels.ONEOFF) != "True")


def _failed(reader: Provider, creation: Creation, what: str, said: str) -> EngineError:
    reason = telling_line(said)
    return EngineError(f"{reader.kind} could not create {what}: {reason}", str(creation.compose.files[0]), CREATION_FIX)


def _written(state: Path, edit: Edit) -> tuple[Path, Path]:
    for beside in edit.files:
        _write_beside(state / CONTENTS, beside)
    return _private(state, REMOVALS, edit.removals_text), _private(state, ADDITIONS, edit.additions_text)


def _private(state: Path, name: str, text: str) -> Path:
    try:
        write_private(state / name, text)
    except OSError as error:
        raise _unwritable(error, state) from error
    return state / name


def _write_beside(folder: Path, beside: Beside) -> None:
    """A file that the container's user may read; the folder above is private."""
    path = folder / beside.name
    try:
        if not path.exists():
            write_atomically(path, beside.text, mode=beside.mode)
        hand_over(path, beside.mode, beside.uid, beside.gid)
    except OSError as error:
        raise _unwritable(error, folder) from error


def _unwritable(error: OSError, folder: Path) -> MachineError:
    return MachineError(f"the folder cannot be written: {error.strerror or error}", str(folder), STATE_FIX)


def _forget(folder: Path, kept: Iterable[Beside]) -> None:
    """Removes what no container reads any more."""
    names = {beside.name for beside in kept}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in names:
            path.unlink(missing_ok=True)


def _text(file: Path) -> str:
    return host.read_file(file, "the compose file", "Correct the name: -f FILE").decode(errors="replace")


def _dotenv(directory: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(directory / ".env").items() if value is not None}


def _with_defaults(env: Mapping[str, str], inherited: Iterable[EnvRef]) -> dict[str, str]:
    """The environment in which variables that are empty or unset have their defaults, as in Compose."""
    return {**env, **{one.name: one.default for one in inherited if one.default and not env.get(one.name)}}


def _digest(env: Mapping[str, str], inherited: Iterable[EnvRef], salt: str) -> str:
    """Changes when a value does; salted, since it shows where the values must not be guessed from it."""
    values = "\0".join(f"{one.name}={env.get(one.name, '')}" for one in inherited)
    return hashlib.sha256(f"{salt}\0{values}".encode()).hexdigest()[:16]
