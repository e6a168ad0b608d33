"""Paths of the host in a Compose tree: they start from the person's folder, wherever the file lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from posixpath import join, normpath, relpath
from typing import Any, TypeAlias

from lcompose.overlay.merging import Tree, fields, listed, texts

# As near as rendered paths are written relative; farther ones are absolute.
MOST_STEPS_UP = 2


def relocated(tree: Tree, change: Callable[[str], str]) -> dict[str, Any]:
    """The tree with every path of the host that is relative changed."""

    def changed(path: Any) -> Any:
        return change(path) if isinstance(path, str) and is_relative(path) else path

    return {
        **tree,
        **{kind: _each(tree[kind], moved, changed) for kind, moved in _MOVED.items() if tree.get(kind)},
    }


def is_relative(path: str) -> bool:
    """Whether a path starts from the file's folder; a variable in front, a home and a URL do not."""
    return not path.startswith(("/", "~", "$", "git@", "github.com/")) and "://" not in path


Changed: TypeAlias = Callable[[Any], Any]


def _each(found: Tree, moved: Callable[[Any, Changed], Any], changed: Changed) -> dict[str, Any]:
    return {name: moved(one, changed) for name, one in found.items()}


def _moved_service(service: Tree, changed: Changed) -> dict[str, Any]:
    words: dict[str, Callable[[Any, Changed], Any]] = {
        "build": _moved_build,
        "env_file": _moved_files,
        "label_file": _moved_files,
        "volumes": lambda mounts, changed: [_moved_mount(one, changed) for one in mounts],
    }
    return {**service, **{word: words[word](service[word], changed) for word in words if service.get(word)}}


def _moved_build(build: Any, changed: Changed) -> Any:
    if not isinstance(build, Mapping):
        return changed(build)
    contexts = texts(None)(build.get("additional_contexts") or {})
    moved = {name: changed(one) if str(one).startswith(".") else one for name, one in contexts.items()}
    return {
        **build,
        "context": changed(build.get("context") or "."),
        **({"additional_contexts": moved} if moved else {}),
    }


def _moved_files(files: Any, changed: Changed) -> Any:
    return [
        {**one, "path": changed(one.get("path"))} if isinstance(one, Mapping) else changed(one) for one in listed(files)
    ]


def _moved_mount(mount: Any, changed: Changed) -> Any:
    if isinstance(mount, Mapping):
        return {**mount, "source": changed(mount.get("source"))} if mount.get("type") == "bind" else mount
    source, *rest = fields(str(mount))
    # Without a dot or a slash in front it is the name of a volume.
    return ":".join([changed(source), *rest]) if rest and source.startswith(".") else mount


def binds(service: Tree) -> Iterator[tuple[str, bool]]:
    """What of the host a service has mounted, and whether it can only read that."""
    for mount in service.get("volumes") or ():
        if isinstance(mount, Mapping):
            if mount.get("type") == "bind":
                yield str(mount.get("source") or ""), bool(mount.get("read_only"))
            continue
        source, *rest = fields(str(mount))
        if rest and source.startswith((".", "/", "~")):
            yield source, "ro" in ",".join(rest[1:]).split(",")


def _moved_file(one: Any, changed: Changed) -> Any:
    return {**one, "file": changed(one["file"])} if isinstance(one, Mapping) and one.get("file") else one


def _moved_volume(one: Any, changed: Changed) -> Any:
    options = (one or {}).get("driver_opts") or {}
    if "bind" not in str(options.get("o", "")) or not str(options.get("device", "")).startswith("."):
        return one
    return {**one, "driver_opts": {**options, "device": changed(options["device"])}}


_MOVED: Mapping[str, Callable[[Any, Changed], Any]] = {
    "services": _moved_service,
    "volumes": _moved_volume,
    "configs": _moved_file,
    "secrets": _moved_file,
}


def seen_from(home: str, directory: str, *, absolute: bool) -> Callable[[str], str]:
    """What a path that starts from ``home`` is called in a file in ``directory``; as near as it is, relative."""
    # These are put into text in which a dollar means a variable.
    start, place = (one.replace("$", "$$") for one in (home or directory, directory))

    def change(path: str) -> str:
        whole = normpath(join(start, path))
        near = relpath(whole, place)
        steps_up = near.split("/").count("..")
        if absolute or steps_up > MOST_STEPS_UP:
            return whole
        return near if steps_up else f"./{near}"

    return change
