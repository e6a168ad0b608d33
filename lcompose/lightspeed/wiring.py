"""What a document implies for its container: files of the host, volumes, variables, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from posixpath import basename, dirname, join, normpath
from typing import Any

from lcompose.errors import Finding
from lcompose.lightspeed.derive import Edit
from lcompose.lightspeed.envrefs import PATTERN, converted, expanded, references
from lcompose.lightspeed.images import ImageFacts
from lcompose.load import Node, Path, dotted, leaves, value_at
from lcompose.schema import Kind, roles
from lcompose.spec.project import FileMount, VolumeMount
from lcompose.spec.secrets import SECRET_NAME
from lcompose.spec.text import EnvRef

# A volume over one of these would hide what the image or the system keeps there.
SYSTEM_DIRECTORIES = frozenset(
    """
    / /app /app-root /bin /boot /dev /etc /home /lib /lib64 /opt /opt/app-root /opt/app-root/src
    /proc /root /run /sbin /srv /sys /tmp /usr /usr/bin /usr/lib /usr/local /usr/share /var
    /var/cache /var/lib /var/log /var/run /var/tmp
    """.split()  # noqa: SIM905  # a list of words reads better
)
NO_FILE_HEADERS = frozenset({"kubernetes", "client", "oauth"})
# Names with a key or token in them that hold something else.
NO_SECRET = re.compile(r"(file|path|dir|name|id|env|url|type|keys|tokens)\Z", re.IGNORECASE)
UNSAFE_DEFAULT = frozenset("$}\n`\"'\\")
# Where Compose puts what its secrets hold, and what people therefore write.
SECRETS_DIRECTORY = "/run/secrets"
NO_SECRETS: Mapping[str, str] = {}
# What lies here is part of an image, ours or somebody's own, unless it is mounted.
IMAGES_OWN = ("/app", "/app-root", "/opt/app-root")
NOT_IN_NAMES = re.compile("[^A-Z0-9]")


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file of the host that a key names, and where it goes in the container.

    ``otherwise`` is where it is if it is not here: in the ``image``, for an absolute path in the image's
    own directories, or on a ``volume``, for an index that Llama Stack can make itself.
    """

    mount: FileMount
    path: Path
    node: Node
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Storage:
    """Mounts that make what is written writable and lasting, and the edits that this takes."""

    mounts: tuple[VolumeMount, ...]
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Lifted:
    """A literal secret that became a variable: its name, its value, and the edit.

    One that ``stays`` cannot travel so. Its edit changes nothing, and its document is for nobody else.
    """

    name: str
    value: str
    edit: Edit
    finding: Finding
    stays: bool = False


def host_files(
    node: Node,
    values: Any,
    kind: Kind,
    directory: str,
    image: ImageFacts,
    secrets: Mapping[str, str] = NO_SECRETS,
) -> list[HostFile]:
    """Every file that the document names and that is the person's to give.

    ``secrets`` are files by the name under which they are found in /run/secrets.
    """
    found = []
    for path, leaf, key in roles(node, kind):
        value = value_at(values, path)
        if not isinstance(value, str) or not value.strip():
            continue
        if key.role == "file" or (key.role == "header" and value.strip() not in NO_FILE_HEADERS):
            found.append(_host_file(value.strip(), path, leaf, directory, image, secrets))
    return found


def _host_file(
    written: str, path: Path, leaf: Node, directory: str, image: ImageFacts, secrets: Mapping[str, str]
) -> HostFile:
    target = in_container(written, image)
    if dirname(target) == SECRETS_DIRECTORY and basename(target) in secrets:
        return HostFile(FileMount(_on_host(secrets[basename(target)], directory), target), path, leaf)
    # To the service, /app-root/prompts and prompts are one place; on this machine only the latter can be meant.
    inside = f"{image.workdir}/"
    here = target.removeprefix(inside) if written.startswith(inside) else written
    own = written.startswith("/") and _is_covered(target, IMAGES_OWN)
    return HostFile(FileMount(_on_host(here, directory), target), path, leaf, "image" if own else "")


def indexes(node: Node, values: Any, kind: Kind, directory: str, image: ImageFacts) -> list[HostFile]:
    """Every index of knowledge that the document names, which Llama Stack in an image reads and writes."""
    found = []
    for path, leaf, key in roles(node, kind):
        value = value_at(values, path)
        if key.role == "index" and isinstance(value, str) and value.strip():
            mount = FileMount(_on_host(value.strip(), directory), in_container(value.strip(), image), read_only=False)
            found.append(HostFile(mount, path, leaf, "volume"))
    return found


OTHERWISE = {
    "image": (
        "{target} is taken to be in the image: {source} is not here",
        "Nothing, if it is there. Else create the file here, or write its path as it is on this machine.",
    ),
    "volume": (
        "this index starts empty, on a volume: {source} is not here",
        "Nothing, if that is meant. Else put the index there, or write its path as it is on this machine.",
    ),
}


def elsewhere(files: Iterable[HostFile], present: frozenset[str]) -> tuple[list[HostFile], list[Finding]]:
    """The files without those that are not here and need not be, and a warning for each of these.

    ``present`` are the paths of the host at which there is something.
    """
    kept, findings = [], []
    for one in files:
        if one.mount.source in present or not one.otherwise:
            kept.append(one)
            continue
        what, fix = OTHERWISE[one.otherwise]
        told = what.format(target=one.mount.target, source=one.mount.source)
        findings.append(Finding(one.node.where, dotted(one.path), told, fix, "warning"))
    return kept, findings


def undeclared_secrets(files: Iterable[HostFile], secrets: Mapping[str, str], present: frozenset[str]) -> list[Finding]:
    """A finding for each file of /run/secrets that nobody says the source of, and that is not here either."""
    found = []
    for one in files:
        directory, name = dirname(one.mount.target), basename(one.mount.target)
        if directory == SECRETS_DIRECTORY and name not in secrets and one.mount.source not in present:
            what = f"no secret is called {name}, and {one.mount.target} is not here"
            fix = f"Write 'secrets: {{{name}: {{file: PATH}}}}' in lcompose.yaml."
            found.append(Finding(one.node.where, dotted(one.path), what, fix))
    return found


def _on_host(path: str, directory: str) -> str:
    # "~" stays: only the caller knows the person's home.
    return path if path.startswith(("/", "~")) else normpath(join(directory, path))


def in_container(path: str, image: ImageFacts) -> str:
    """A path as the service resolves it: "~" is the image's home, the rest its directory."""
    whole = normpath(join(image.workdir, expanded(path, image.home)))
    # Two slashes in front mean one, and normpath leaves them.
    return whole[1:] if whole.startswith("//") else whole


def storage(
    node: Node,
    values: Any,
    kind: Kind,
    volume: str,
    image: ImageFacts,
    more: Sequence[str] = (),
) -> Storage:
    """One volume for all that the service writes, mounted wherever its document says.

    The volume is also mounted at a directory that the image owns: a fresh volume takes over that
    directory's owner, so the image's user can write it at every place.
    """
    targets = [image.owned] if image.owned else []
    base = image.owned or next(map(_volume_root, more), f"{image.home}/.data")
    places: list[tuple[Path, str, str]] = []
    for path, written, is_file in _written(node, values, kind, image):
        directory, kept = dirname(written) if is_file else _volume_root(written), written
        if directory in SYSTEM_DIRECTORIES:
            directory, kept = base, f"{base}/{basename(written)}"
        # A database's own directory is mounted, so that it is there: SQLite makes none.
        if directory not in targets and not _is_covered(directory, [image.owned] if is_file else targets):
            targets.append(directory)
        places.append((path, written, kept))
    targets += [root for root in map(_volume_root, more) if not _is_covered(root, targets)]
    edits = [*_without_tilde(node, kind, image), *_moved(places, targets, base)]
    return Storage(tuple(VolumeMount(volume, target) for target in targets), tuple(edits))


def _moved(places: Sequence[tuple[Path, str, str]], targets: Sequence[str], base: str) -> Iterable[Edit]:
    """Edits for what cannot stay where the document says: (path, what it says, where it is kept)."""
    taken: dict[str, str] = {}
    for path, written, kept in places:
        root = max((target for target in targets if _is_below(kept, target)), key=len)
        first = taken.setdefault(kept.removeprefix(root), written)
        if first != written:
            name = written.strip("/").replace("/", "-")
            yield Edit(path, f"{base}/{name}", f"on the one volume it would be the same as {first}")
        elif kept != written:
            yield Edit(path, kept, "it would be lost: no volume can be where it is")


def _without_tilde(node: Node, kind: Kind, image: ImageFacts) -> list[Edit]:
    """Llama Stack expands "~" in filled-in values only; a literal one would be a folder of that name."""
    return [
        Edit(path, in_container(leaf.value, image), "'~' stands for the home in the container")
        for path, leaf, key in roles(node, kind)
        if key.role in ("written", "database") and isinstance(leaf.value, str) and leaf.value.startswith("~/")
    ]


def _written(node: Node, values: Any, kind: Kind, image: ImageFacts) -> Iterable[tuple[Path, str, bool]]:
    for path, _, key in roles(node, kind):
        value = value_at(values, path)
        if key.role in ("written", "database") and isinstance(value, str) and value:
            yield path, in_container(value, image), key.role == "database"


def _volume_root(directory: str) -> str:
    """The parent where that may be a volume, so that siblings share one mount."""
    parent = dirname(directory)
    return directory if parent in SYSTEM_DIRECTORIES else parent


def _is_covered(directory: str, targets: Iterable[str]) -> bool:
    return any(_is_below(directory, target) for target in targets)


def _is_below(directory: str, target: str) -> bool:
    return bool(target) and (directory == target or directory.startswith(target + "/"))


def variables(tree: Any) -> tuple[EnvRef, ...]:
    """Every variable that a document names, once: required, or with its default.

    A variable whose places have different defaults, or a default that needs escaping, gets an
    empty one: for Llama Stack empty and unset are the same, and its own default applies.
    """
    found: dict[str, list[Any]] = {}
    for reference in references(tree):
        # The home is the container's own, and every path is reckoned with that.
        if reference.name != "HOME":
            found.setdefault(reference.name, []).append(reference)
    return tuple(_variable(name, group) for name, group in found.items())


def _variable(name: str, group: list[Any]) -> EnvRef:
    if any(reference.required for reference in group):
        return EnvRef(name, required=True)
    defaults = {reference.text if reference.operator == "=" else "" for reference in group}
    default = defaults.pop() if len(defaults) == 1 else ""
    return EnvRef(name, "" if UNSAFE_DEFAULT & set(default) else default)


def lifted_secrets(node: Node, kind: Kind, prefix: str) -> list[Lifted]:
    """Secrets that stand in the document as they are, as variables instead."""
    found: dict[str, Lifted] = {}
    for path, leaf in secrets_in(node, kind):
        literal = leaf.value
        if isinstance(literal, str) and literal and not PATTERN.search(literal):
            name = prefix + NOT_IN_NAMES.sub("_", "_".join(map(str, path)).upper())
            name = f"{name}_{len(found)}" if name in found else name
            found[name] = _lifted(path, leaf, literal, name)
    return list(found.values())


def secrets_in(node: Node, kind: Kind) -> list[tuple[Path, Node]]:
    """What the table calls a secret, and what a provider's own key plainly is."""
    known = {path: leaf for path, leaf, key in roles(node, kind) if key.role == "secret"}
    others = {path: leaf for path, leaf in leaves(node) if "config" in path[:-1] and _sounds_secret(str(path[-1]))}
    return list((known | others).items())


def _sounds_secret(key: str) -> bool:
    return bool(SECRET_NAME.search(key)) and not NO_SECRET.search(key)


def _lifted(path: Path, leaf: Node, literal: str, name: str) -> Lifted:
    reason = "a secret's value belongs in no rendered file"
    if not travels(literal):
        what = "this secret stands here in clear, and cannot travel as a variable: it would arrive as another type"
        fix = "It stays in a file that only you can reach; one that is not just digits, true or a number need not."
        finding = Finding(leaf.where, dotted(path), what, fix, "warning")
        return Lifted(name, literal, Edit(path, literal, reason, secret=True), finding, stays=True)
    what = f"this secret stands here in clear; containers get it as the variable {name}"
    fix = f"Write ${{env.{name}}} here, and keep the value in .env or your environment."
    finding = Finding(leaf.where, dotted(path), what, fix, "warning")
    return Lifted(name, literal, Edit(path, f"${{env.{name}}}", reason, secret=True), finding)


def travels(text: str) -> bool:
    """Whether a text comes out of ``${env.NAME}`` as it went in."""
    return converted(text) == text and not text.startswith("~")
