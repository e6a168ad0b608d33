"""Makes a project's processes of a process file: new ones, and changed ones anew; none is started."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any

from lcompose.engines.local_store import SERVICE, Kept, Spec, all_of, make, make_volumes, remove, spec_of
from lcompose.errors import EngineError, UsageError
from lcompose.names import NAME

REMAKE = "Let lcompose write it again: lcompose up"

Tell = Callable[[str], None]
Stop = Callable[[Kept], None]


def create(
    env: Mapping[str, str], project: str, file: Path, services: tuple[str, ...], stop: Stop, tell: Tell
) -> list[Kept]:
    """Makes what is not there yet or has changed, and gives back all that were asked for.

    Raises: EngineError, UsageError, MachineError.
    """
    tree_of_all = read(file)
    trees = _services(tree_of_all, file, project)
    beside = next((str(one.get("beside") or "") for one in trees.values() if isinstance(one, dict)), "")
    make_volumes(env, project, [str(name) for name in tree_of_all.get("volumes") or ()], beside)
    there = {one.spec.service: one for one in all_of(env, project)}
    made = []
    for service in services or tuple(trees):
        tree = trees.get(service)
        if tree is None:
            raise EngineError(f"{service[:40]} is no service of this file", str(file), REMAKE)
        spec = _spec(tree, project, service, file)
        old = there.get(service)
        if old and old.spec.digest == spec.digest and spec.digest:
            made.append(old)
            continue
        if old:
            stop(old)
            remove(old)
        made.append(make(env, spec, tree))
        tell(f"Container {spec.name} {'Recreated' if old else 'Created'}")
    return made


def read(file: Path) -> dict[str, Any]:
    """A process file as it is.

    Raises: UsageError.
    """
    import yaml

    from lcompose.load import Loader

    try:
        found = yaml.load(file.read_bytes(), Loader=Loader)  # noqa: S506  # a safe one, in C where there is one
    except OSError as error:
        raise UsageError(f"the process file cannot be read: {error.strerror}", str(file), REMAKE) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError("the process file is damaged", str(file), REMAKE) from error
    if not isinstance(found, dict):
        raise UsageError("the process file is damaged", str(file), REMAKE)
    return found


def _services(tree: Mapping[str, Any], file: Path, project: str) -> Mapping[str, Any]:
    services = tree.get("services")
    if not isinstance(services, dict) or not NAME.fullmatch(project):
        raise UsageError("the process file has no services", str(file), REMAKE)
    return services


def _spec(tree: Any, project: str, service: str, file: Path) -> Spec:
    if not SERVICE.fullmatch(service):
        raise UsageError(f"{service[:40]!r} is not a name for a service", str(file), "Use letters, digits, . _ and -.")
    try:
        spec = spec_of(tree, token_hex(16), project, service, time.time())
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        what = f"what the process file says of {service} cannot be used ({type(error).__name__}: {error})"
        raise UsageError(what, str(file), REMAKE) from error
    if not Path(spec.directory).is_absolute():
        raise UsageError(f"the directory of {service} is not absolute", str(file), REMAKE)
    return spec
