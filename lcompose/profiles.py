"""Profiles: data files that each extend another; which layers a list of them means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lcompose.errors import ConfigError, Finding, Position, UsageError
from lcompose.host import file_named, read_file
from lcompose.load import locate, parse
from lcompose.merge import Layer
from lcompose.overlay.tags import TAGGED
from lcompose.schema import suggestion
from lcompose.settings import PROFILE, checked_layer
from lcompose.templates import data_directory


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile: its name as it was asked for, its file, its words for people, its settings."""

    name: str
    path: Path
    description: str
    extends: str
    layer: Layer


def built_in() -> list[str]:
    """The names of the profiles that come with lcompose."""
    return sorted(path.stem for path in data_directory("profiles").glob("*.yaml"))


def read_profile(name: str, directory: Path, asked_by: str = "--profile") -> Profile:
    """A built-in profile by name, or a person's own by path (with a ``/`` or ``.yaml``).

    Raises: UsageError, ConfigError.
    """
    path = _path(name, directory, asked_by)
    fix = "Name a built-in profile, or give the path of a file."
    node = parse(read_file(path, f"the profile {name!r}", fix), _shown(path, name), TAGGED)
    layer = checked_layer(f"profile {name}", node, PROFILE)
    tree = dict(layer.tree)
    description = str(tree.pop("description", ""))
    extends = str(tree.pop("extends", ""))
    if not description:
        where = locate(node, ("description",))
        raise ConfigError([Finding(where, "description", "this key must be there", "Say what it is for.")])
    return Profile(name, path, description, extends, Layer(layer.name, tree))


def profile_layers(names: Sequence[str], directory: Path) -> list[Layer]:
    """The layers of some profiles, each after what it extends, none twice.

    Raises: UsageError, ConfigError.
    """
    return [profile.layer for profile in used_profiles(names, directory)]


def used_profiles(names: Sequence[str], directory: Path) -> list[Profile]:
    """Some profiles, each after what it extends, none twice.

    Raises: UsageError, ConfigError.
    """
    found: dict[Path, Profile] = {}
    for name in names:
        for profile in reversed(_chain(name, directory)):
            found.setdefault(profile.path.resolve(), profile)
    return list(found.values())


def _chain(name: str, directory: Path) -> list[Profile]:
    """A profile, what it extends, what that extends, and so on."""
    chain = [read_profile(name, directory)]
    while chain[-1].extends:
        last = chain[-1]
        shown = _shown(last.path, last.name)
        following = read_profile(last.extends, last.path.parent, f"{shown}: extends")
        if any(following.path.samefile(earlier.path) for earlier in chain):
            what = "profiles extend each other in a circle"
            raise ConfigError([Finding(Position(shown), "extends", what, "Remove this key from one of them.")])
        chain.append(following)
    return chain


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _path(name: str, directory: Path, asked_by: str) -> Path:
    if _is_path(name):
        return file_named(directory, name)
    if name not in built_in():
        raise UsageError(f"there is no profile {name[:40]!r}", asked_by, suggestion(name, built_in()))
    return data_directory("profiles") / f"{name}.yaml"


def _shown(path: Path, name: str) -> str:
    return name if _is_path(name) else f"profiles/{path.name}"
