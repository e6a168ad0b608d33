"""Profiles: data files that each extend another; which layers a list of them means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcompose.errors import ConfigError, Finding, Position, UsageError
from lcompose.host import read_file
from lcompose.load import locate, parse
from lcompose.merge import Layer
from lcompose.schema import suggestion
from lcompose.settings import PROFILE, checked_layer
from lcompose.templates import data_directory

DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile: its name as it was asked for, its words for people, and its settings."""

    name: str
    description: str
    extends: str
    layer: Layer


def built_in() -> list[str]:
    """The names of the profiles that come with lcompose."""
    return sorted(path.stem for path in data_directory("profiles").glob("*.yaml"))


def read_profile(name: str, directory: Path) -> Profile:
    """A built-in profile by name, or a person's own by path (with a ``/`` or ``.yaml``).

    Raises: UsageError, ConfigError.
    """
    path = _path(name, directory)
    fix = "Name a built-in profile, or give the path of a file."
    node = parse(read_file(path, f"the profile {name!r}", fix), _shown(path, name))
    layer = checked_layer(f"profile {name}", node, PROFILE)
    tree = dict(layer.tree)
    description = str(tree.pop("description", ""))
    extends = str(tree.pop("extends", ""))
    if not description:
        where = locate(node, ())
        raise ConfigError([Finding(where, "description", "this key must be there", "Say what it is for.")])
    return Profile(name, description, extends, Layer(layer.name, tree))


def profile_layers(names: Sequence[str], directory: Path) -> list[Layer]:
    """The layers of some profiles, each after what it extends, none twice.

    Raises: UsageError, ConfigError.
    """
    layers: dict[str, Layer] = {}
    for name in names:
        chain = list(_chain(name, directory))
        for profile in reversed(chain):
            layers.setdefault(profile.name, profile.layer)
    return list(layers.values())


def _chain(name: str, directory: Path) -> Iterator[Profile]:
    for _ in range(DEEPEST):
        profile = read_profile(name, directory)
        yield profile
        if not profile.extends:
            return
        if _is_path(name):
            directory = _path(name, directory).parent
        name = profile.extends
    where = Position(name)
    raise ConfigError([Finding(where, "extends", "profiles extend each other in a circle", "Break it.")])


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _path(name: str, directory: Path) -> Path:
    if _is_path(name):
        return directory / Path(name).expanduser()
    if name not in built_in():
        fix = suggestion(name, built_in())
        raise UsageError(f"there is no profile {name[:40]!r}", "--profile", fix)
    return data_directory("profiles") / f"{name}.yaml"


def _shown(path: Path, name: str) -> str:
    return name if _is_path(name) else f"profiles/{path.name}"


