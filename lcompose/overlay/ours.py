"""A person's own words of Compose over what lcompose renders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from lcompose.errors import UsageError
from lcompose.overlay.merging import INSTEAD, WHERE, Tree, merged, mounted, target, together
from lcompose.overlay.paths import relocated, seen_from
from lcompose.spec import labels
from lcompose.spec.project import DocumentMount, Project


def laid_over(ours: Tree, project: Project, home: str, directory: str, *, absolute: bool = False) -> dict[str, Any]:
    """What lcompose renders of a project with the person's own words over it, as a file in ``directory`` says it.

    Raises: UsageError for what does not fit together.
    """
    theirs = relocated(together(project.compose), seen_from(home, directory, absolute=absolute))
    _refuse_covered(theirs, project)
    _refuse_taken_away(theirs, ours)
    taken = [name for name in theirs.get("configs") or {} if name in (ours.get("configs") or {})]
    if taken:
        what = f"the config {taken[0]!r} is one of lcompose's own"
        raise UsageError(what, f"{WHERE}: configs.{taken[0]}", "Give yours another name.")
    tree = merged(ours, theirs)
    tree.pop(INSTEAD, None)
    for name in theirs.get("services") or {}:
        service = tree["services"][name]
        _refuse_unknown(name, service, tree["services"])
        tree["services"][name] = _with_order(service)
    return tree


def _refuse_covered(theirs: Tree, project: Project) -> None:
    """A mount of theirs must not hide a document that lcompose derives."""
    for service in project.services:
        own = (theirs.get("services") or {}).get(service.name) or {}
        derived = {mount.target for mount in service.mounts if isinstance(mount, DocumentMount)}
        for path in sorted(derived & mount_targets(own)):
            fix = "Mount it elsewhere; what is in the document, change in your own file."
            where = f"{WHERE}: services.{service.name}.volumes"
            raise UsageError(f"{path} is where lcompose puts a document that it derives", where, fix)


def _refuse_taken_away(theirs: Tree, ours: Tree) -> None:
    """A volume or network of ours may be described anew, and must not be missing."""
    for kind, *name in theirs.get(INSTEAD) or ():
        if len(name) == 1 and name[0] in (ours.get(kind) or {}) and name[0] not in (theirs.get(kind) or {}):
            what = f"{name[0]!r} is one of lcompose's own {kind}"
            raise UsageError(what, f"{WHERE}: {kind}.{name[0]}", "Leave it, or say with !override what it is to be.")


def said_of(overlays: Iterable[Tree]) -> dict[str, dict[str, Any]]:
    """The words of each service; of what is taken away, that nothing is there."""
    words = together(overlays)
    found = {name: dict(service) for name, service in (words.get("services") or {}).items()}
    for kind, *path in words.get(INSTEAD) or ():
        if kind == "services" and len(path) == 2 and path[0] in found:
            found[path[0]].setdefault(path[1], None)
    return found


def _refuse_unknown(name: str, service: Tree, known: Iterable[str]) -> None:
    for one, how in (service.get("depends_on") or {}).items():
        if one not in known and (how or {}).get("required", True) is not False:
            fix = f"There are: {', '.join(sorted(known))}."
            raise UsageError(f"there is no service {one!r}", f"{WHERE}: services.{name}.depends_on", fix)


def _with_order(service: Tree) -> dict[str, Any]:
    """The service with a label that tells what must outlive it, where Compose's own would not be asked."""
    carried = service.get("labels") or {}
    before = str(carried.get(labels.AFTER) or "").split(",")
    after = [one for one in dict.fromkeys([*before, *waits_for(service)]) if one]
    return {**service, "labels": {**carried, labels.AFTER: ",".join(after)}} if after else dict(service)


def waits_for(service: Tree) -> Iterator[str]:
    """The services that one depends on, said or implied."""
    yield from service.get("depends_on") or {}
    yield from (str(one).split(":")[0] for one in service.get("links") or ())
    for word in ("network_mode", "ipc", "pid"):
        said = str(service.get(word) or "")
        if said.startswith("service:"):
            yield said.removeprefix("service:").strip()


def mount_targets(service: Tree) -> set[str]:
    """Where a service has something of its own mounted."""
    volumes = {mounted(one) for one in service.get("volumes") or ()}
    return volumes | {target()(one) for one in service.get("configs") or ()}


VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?:(?::-(?P<otherwise>[^${}]*))|:?\?[^${}]*)?\}|(?P<bare>\w+))")


def passed_on(name: str, value: Any) -> tuple[str, str] | None:
    """The variable and its default, where a container's variable is just that of the same name."""
    if value is None:
        return name, ""
    match = VARIABLE.fullmatch(str(value))
    if match is None or (match["braced"] or match["bare"]) != name:
        return None
    return name, match["otherwise"] or ""
