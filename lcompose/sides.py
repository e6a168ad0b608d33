"""The halves of a stack: each document as its service reads it, and the mounts that this implies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lcompose.lightspeed import config as reading
from lcompose.lightspeed import derive, wiring
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.draft import Step
from lcompose.lightspeed.envrefs import expanded
from lcompose.lightspeed.images import LCORE, LLAMA_STACK, ImageFacts, Images
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.lightspeed.services import own_directory
from lcompose.lightspeed.synthesis import needs
from lcompose.load import Node, Path, leaves, plain
from lcompose.schema import Kind, record, roles
from lcompose.settings import Settings
from lcompose.spec.machine import Machine
from lcompose.spec.project import Change, Derived, DocumentMount, Mount, VolumeMount

# What a key can be that names a file or a folder.
PATHS = ("file", "header", "written", "database", "index")


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that resolving needs. Directories are absolute; ``home`` is the person's.

    ``run_changes`` is what was added to run.yaml before, ``run_steps`` where its parts come from.
    ``surroundings`` are the variables of which proxies and the like are handed on. ``machine`` is where
    it will run, if that is known.
    """

    name: str
    settings: Settings
    lightspeed: Node
    run: Node
    directory: str
    run_directory: str
    env: Mapping[str, str]
    home: str = "/"
    run_changes: tuple[Change, ...] = ()
    run_steps: tuple[Step, ...] = ()
    surroundings: Mapping[str, str] = field(default_factory=dict)
    machine: Machine | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One service's half: its derived document and what that implies, and the secrets that left it.

    ``rewritten`` are the paths of the person's document at which something else stands now.
    """

    document: Any
    changes: tuple[Change, ...]
    rewritten: frozenset[Path]
    lifted: tuple[wiring.Lifted, ...]
    mounts: tuple[Mount, ...]
    files: tuple[wiring.HostFile, ...]

    @property
    def secret_at(self) -> str:
        """Where a secret stands in the document that cannot be a variable; empty if none does."""
        return next((f"{one.finding.where}: {one.finding.path}" for one in self.lifted if one.stays), "")


@dataclass(frozen=True, slots=True)
class Source:
    """A person's document: where it came from, what is known of it, and of the service that reads it."""

    reader: str
    filename: str
    node: Node
    values: Mapping[str, Any]
    kind: Kind
    directory: str
    image: ImageFacts
    volume: str
    also_written: tuple[str, ...] = ()


def lcore_side(
    config: Configuration,
    request: Request,
    images: Images,
    lifted: list[wiring.Lifted],
    more: Sequence[derive.Edit],
) -> Side:
    """LCORE's half."""
    source = Source(
        LCORE,
        derive.LIGHTSPEED_FILE,
        config.lightspeed,
        config.values,
        record(LIGHTSPEED),
        request.directory,
        images.lcore_facts,
        f"{LCORE}-data",
    )
    side = _side(source, lifted, [*_renamed(config, lifted, images), *more], request)
    changes = (*derive.settings_removed(request.lightspeed), *side.changes)
    return replace(side, changes=changes, mounts=(*side.mounts, *_reranker_cache(config, images.lcore_facts)))


def server_side(
    config: Configuration,
    request: Request,
    images: Images,
    lifted: list[wiring.Lifted],
    edits: Sequence[derive.Edit],
) -> Side:
    """The half of our own Llama Stack, in a container of its own or inside LCORE's."""
    library = reading.is_library(config)
    image = images.lcore_facts if library else images.server_facts
    reader = LCORE if library else LLAMA_STACK
    source = Source(
        reader,
        derive.RUN_FILE,
        config.run,
        config.run_values,
        record(RUN, extra="allow"),
        request.run_directory,
        image,
        f"{reader}-data",
        (own_directory(image),),
    )
    side = _side(source, lifted, edits, request)
    found = wiring.indexes(config.lightspeed, config.values, record(LIGHTSPEED), request.directory, image)
    files = _at_home(found, request.home)
    mounts = (*side.mounts, *(one.mount for one in files), *_model_cache(config, image))
    return replace(side, mounts=mounts, files=(*side.files, *files))


def _side(source: Source, lifted: list[wiring.Lifted], edits: Sequence[derive.Edit], request: Request) -> Side:
    kept = wiring.storage(source.node, source.values, source.kind, source.volume, source.image, source.also_written)
    # Lifting goes first: its paths are those of the document as it was written.
    moved = {edit.path for edit in (*kept.edits, *edits)}
    is_process = source.reader in request.settings.processes
    absolute = [one for one in _absolute(source) if one.path not in moved] if is_process else []
    every = [*(one.edit for one in lifted), *absolute, *kept.edits, *edits]
    document, changes = derive.applied(plain(source.node), source.filename, every)
    secrets = request.settings.secrets
    found = wiring.host_files(source.node, source.values, source.kind, source.directory, source.image, secrets)
    files = _at_home(found, request.home)
    mounts = _mounts(source.filename, source.image, kept, files)
    rewritten = frozenset(edit.path for edit in every)
    return Side(document, tuple(changes), rewritten, tuple(lifted), mounts, tuple(files))


def _absolute(source: Source) -> Iterator[derive.Edit]:
    """Relative paths as they are in the image: a process is started somewhere else."""
    for path, leaf, key in roles(source.node, source.kind):
        said = leaf.value.strip() if isinstance(leaf.value, str) else ""
        if not said or said.startswith(("/", "~", "$")) or (key.role == "header" and said in wiring.NO_FILE_HEADERS):
            continue
        if key.role in PATHS:
            yield derive.Edit(path, wiring.in_container(said, source.image), "a process is started somewhere else")


def _renamed(config: Configuration, lifted: list[wiring.Lifted], images: Images) -> list[derive.Edit]:
    """LCORE's edits; a renamed section carries what was lifted out of it."""
    edits = derive.lightspeed_edits(config, images.lcore_facts)
    for index, edit in enumerate(edits):
        if edit.path == ("ogx",) and isinstance(edit.value, dict):
            inside = {one.edit.path[-1]: one.edit.value for one in lifted if one.edit.path[:-1] == ("llama_stack",)}
            edits[index] = replace(edit, value={**edit.value, **inside})
    return edits


def _at_home(files: list[wiring.HostFile], home: str) -> list[wiring.HostFile]:
    return [replace(one, mount=replace(one.mount, source=expanded(one.mount.source, home))) for one in files]


def _mounts(
    document: str, image: ImageFacts, kept: wiring.Storage, files: Iterable[wiring.HostFile]
) -> tuple[Mount, ...]:
    mounted = {one.mount.target: one.mount for one in files}
    return (DocumentMount(document, f"{image.workdir}/{document}"), *mounted.values(), *kept.mounts)


def _model_cache(config: Configuration, image: ImageFacts) -> tuple[Mount, ...]:
    """A volume for models that Llama Stack downloads itself."""
    kinds = [leaf.value for path, leaf in leaves(config.run) if path[-1:] == ("provider_type",)]
    if "inline::sentence-transformers" not in kinds and not needs(config.values, config.run_values).models:
        return ()
    return (VolumeMount("models", f"{image.home}/.cache/huggingface"),)


def _reranker_cache(config: Configuration, image: ImageFacts) -> tuple[Mount, ...]:
    """A volume for the model that LCORE downloads; another one, since its user is another one."""
    if not needs(config.values, config.run_values).reranker:
        return ()
    return (VolumeMount(f"{LCORE}-models", f"{image.home}/.cache/huggingface"),)


def derived(lcore: Side, server: Side | None, *, library: bool) -> tuple[Derived, ...]:
    """The documents of both, in the folder of the service that reads them."""
    own = Derived(
        derive.LIGHTSPEED_FILE, f"{LCORE}/{derive.LIGHTSPEED_FILE}", lcore.document, secret_at=lcore.secret_at
    )
    if server is None:
        return (own,)
    reader = LCORE if library else LLAMA_STACK
    return own, Derived(derive.RUN_FILE, f"{reader}/{derive.RUN_FILE}", server.document, secret_at=server.secret_at)


def joined(mounts: tuple[Mount, ...], more: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """Both, one a place: two documents of one container may name the same."""
    return tuple({mount.target: mount for mount in (*mounts, *more)}.values())
