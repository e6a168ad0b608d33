"""Processes of this machine: what containers would find at their own paths and names, they find at ours.

The main document is read by the local engine alone. Volumes are folders beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from lcompose.emit import yaml_text
from lcompose.errors import UsageError
from lcompose.spec import labels
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.program import Natively, Program
from lcompose.spec.project import (
    Change,
    Derived,
    DocumentMount,
    FileMount,
    Healthcheck,
    Limits,
    Mount,
    Port,
    Probe,
    Project,
    Service,
    VolumeMount,
)
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import Address, ComposeText, EnvRef, Text
from lcompose.targets import Place, sockets, words
from lcompose.targets.unsaid import unsaid

TITLE = "the local runtime"
PROCESS_FILE = "processes.yaml"
LOOPBACK = "127.0.0.1"
# What listens on every address of a container listens on one of this machine.
EVERYWHERE = "0.0.0.0"  # noqa: S104
IN_TEXT = {"0.0.0.0": LOOPBACK, "::": "[::1]"}  # noqa: S104
# The interpreter of images, for which there is another one here.
PYTHON = "python3"
# Where the two documents say what their service listens on.
HOSTS, PORTS = (("service", "host"), ("server", "host")), (("service", "port"), ("server", "port"))
# Which GPUs a program sees, in the words of each vendor's libraries.
VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "rocm": "HIP_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}
HERE = "where that is on this machine"
WHOLE_PATH, IN_PATH = r"(?:(?<=:=)|(?<=:\+)|^)", r"(?<![\w./~-])"
END_OF_PATH = r"(?=$|[/}:,;\s\"'])"


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a service listens: its own port, as its container has it, and what that is here."""

    own: int
    bind: str
    port: int

    @property
    def host(self) -> str:
        """How others call the address."""
        return IN_TEXT.get(self.bind, f"[{self.bind}]" if ":" in self.bind else self.bind)


@dataclass(frozen=True, slots=True)
class Moved:
    """How texts of one service change: its paths, its address, its port."""

    paths: Mapping[str, str]
    listening: Listening | None

    def path(self, text: str) -> str:
        """A document's text: a path is all of it, or what a variable is without a value."""
        return self._replaced(text, WHOLE_PATH)

    def words(self, text: str) -> str:
        """A word of a command, or a value of a variable, in which paths may stand anywhere."""
        moved = self.script(text)
        if not self.listening:
            return moved
        own, new = str(self.listening.own), str(self.listening.port)
        if moved == EVERYWHERE or moved.startswith(f"{EVERYWHERE}:"):
            moved = moved.replace(EVERYWHERE, self.listening.bind, 1)
        return f"{moved.removesuffix(own)}{new}" if moved == own or moved.endswith(f":{own}") else moved

    def script(self, text: str) -> str:
        """The same of several words, such as a program for a shell."""
        return self._replaced(text, IN_PATH)

    def _replaced(self, text: str, before: str) -> str:
        # The longest first: one place may be inside another.
        known = sorted(self.paths, key=len, reverse=True)
        if not known:
            return text
        pattern = f"{before}({'|'.join(map(re.escape, known))}){END_OF_PATH}"
        return re.sub(pattern, lambda found: self.paths[found[1]], text)


# ---------------------------------------------------------------- the process file


def translate(project: Project, facts: TargetFacts, place: Place) -> Bundle:
    """The process file, and the derived documents beside it.

    Raises: UsageError for what no process can be, and where two would listen on one port.
    """
    natively = facts.natively or Natively()
    here = localised(project, facts, place)
    texts = {derived.name: words.document_text(derived) for derived in here.documents}
    inherited = tuple((one.name, _inherited(one, natively)) for one in here.services)
    passed = dict(inherited)
    services = {one.name: _service(one, natively, place, passed[one.name], texts) for one in here.services}
    tree: dict[str, Any] = {"name": here.name, "services": services}
    if here.volumes:
        tree["volumes"] = list(here.volumes)
    start = "lcompose up" if natively.beside else "lcompose up --runtime local"
    header = words.header(here, TITLE, f"Start: {start}")
    beside = tuple(Document(one.filename, texts[one.name], bool(one.secret_at)) for one in here.documents)
    return Bundle(
        documents=(Document(PROCESS_FILE, yaml_text(tree, header)), *beside),
        report=unsaid(project),
        inherited=tuple((name, refs) for name, refs in inherited if refs),
        digests=tuple((name, service["digest"]) for name, service in services.items()),
        services=words.as_json(services),
    )


def localised(project: Project, facts: TargetFacts, place: Place) -> Project:
    """The same project in paths, addresses and ports of this machine, with programs in the place of images.

    Raises: UsageError.
    """
    _refuse_compose(project)
    natively = facts.natively or Natively()
    listening = {one.name: found for one in project.services if (found := listening_of(one))}
    _refuse_shared_ports(listening)
    moved = {one.name: _moved(one, natively, place, project, listening) for one in project.services}
    readers = {
        mount.document: one.name
        for one in reversed(project.services)
        for mount in one.mounts
        if isinstance(mount, DocumentMount)
    }
    nobody = Moved({}, None)
    by_document = {derived.name: moved.get(readers.get(derived.name, ""), nobody) for derived in project.documents}
    documents = tuple(_document(one, by_document[one.name], listening) for one in project.documents)
    changes = (_change(one, by_document.get(one.document, nobody), listening) for one in project.changes)
    return replace(
        project,
        services=tuple(
            sockets.listening(_native(one, natively, moved[one.name]), natively.socket_of(one.name), _place_of(place))
            for one in project.services
        ),
        documents=documents,
        changes=tuple(one for one in changes if one.before != one.after),
    )


def _place_of(place: Place) -> str:
    return place.processes or place.directory


def _refuse_compose(project: Project) -> None:
    if project.compose:
        what = "your own words of Compose describe containers, and the local runtime has none"
        fix = "Leave out --runtime local; or put 'compose:' into a profile, and leave that profile out."
        raise UsageError(what, "lcompose.yaml: compose", fix)


def _refuse_shared_ports(listening: Mapping[str, Listening]) -> None:
    taken: dict[int, str] = {}
    for name, one in listening.items():
        other = taken.setdefault(one.port, name)
        if other != name:
            what = f"{other} and {name} would both listen on port {one.port} of this machine"
            spare = one.port + 10000 if one.port < 50000 else one.port - 10000
            raise UsageError(
                what, f"services.{name}.ports", f"Take another: --set services.{name}.ports={spare}:{one.own}"
            )


def listening_of(service: Service) -> Listening | None:
    """Where a service listens: at the port that is published, or at its own where none is."""
    own = service.probe.port if service.probe else service.port
    first = next((one for one in service.ports if one.target == own), next(iter(service.ports), None))
    if first:
        return Listening(first.target, first.bind, first.published)
    return Listening(own, LOOPBACK, own) if own else None


# ---------------------------------------------------------------- texts


def _moved(
    service: Service, natively: Natively, place: Place, project: Project, listening: Mapping[str, Listening]
) -> Moved:
    program = natively.of(service.name) or Program(service.name, ())
    files = {derived.name: derived.filename for derived in project.documents}
    paths = {mount.target: _here(mount, place, files) for mount in service.mounts}
    # Beside the documents, where there is a folder already.
    paths |= {path: f"{place.directory}/{service.name}.{path.rpartition('/')[2]}" for path in program.files}
    at_home = {target: path for target, path in paths.items() if program.home and target.startswith(f"{program.home}/")}
    paths |= {f"~{target.removeprefix(program.home)}": path for target, path in at_home.items()}
    return Moved(paths, listening.get(service.name))


def _here(mount: Mount, place: Place, files: Mapping[str, str]) -> str:
    match mount:
        case DocumentMount(document=document):
            return f"{place.directory}/{files[document]}"
        case VolumeMount(volume=volume):
            return f"{place.volumes or f'{place.directory}/volumes'}/{volume}"
        case FileMount(source=source):
            return source


def _document(derived: Derived, moved: Moved, listening: Mapping[str, Listening]) -> Derived:
    if derived.text:
        return replace(derived, text=moved.script(derived.text))
    return replace(derived, tree=_tree(derived.tree, (), moved, listening))


def _tree(tree: Any, path: tuple[str, ...], moved: Moved, listening: Mapping[str, Listening]) -> Any:
    match tree:
        case dict():
            return {key: _tree(value, (*path, str(key)), moved, listening) for key, value in tree.items()}
        case list():
            return [_tree(value, (*path, ""), moved, listening) for value in tree]
        case Address():
            return _url(tree, listening)
        case str():
            return moved.listening.bind if moved.listening and _is_host(tree, path) else moved.path(tree)
        case int() if moved.listening and path in PORTS and tree == moved.listening.own:
            return moved.listening.port
    return tree


def _is_host(text: str, path: tuple[str, ...]) -> bool:
    return path in HOSTS and text == EVERYWHERE


def _url(address: Address, listening: Mapping[str, Listening]) -> str:
    there = listening.get(address.service) or Listening(address.port, LOOPBACK, address.port)
    port = there.port if address.port == there.own else address.port
    return f"{address.scheme}://{there.host}:{port}{address.path}"


def _change(change: Change, moved: Moved, listening: Mapping[str, Listening]) -> Change:
    """What a document really says differently here."""
    after = _tree(change.after, tuple(change.path.split(".")), moved, listening)
    for name, there in listening.items():
        after = re.sub(rf"(?<=://){re.escape(name)}:{there.own}(?!\d)", f"{there.host}:{there.port}", after)
    own = moved.listening
    reason = HERE if after != change.after else change.reason
    if own and tuple(change.path.split(".")) in PORTS and after == str(own.own):
        after = str(own.port)
    return replace(change, after=after, reason=reason)


# ---------------------------------------------------------------- services


def _native(service: Service, natively: Natively, moved: Moved) -> Service:
    """The service with its program, in this machine's words; what only containers have is gone."""
    program = natively.of(service.name) or Program(service.name, (*service.entrypoint, *service.command))
    there = moved.listening
    reads: dict[str, Text] = {name: EnvRef(name) for name in program.reads}
    environment = {**reads, **dict(service.environment), **dict(program.environment), **_visible(service)}
    return replace(
        service,
        image="",
        entrypoint=(),
        own_entrypoint=(),
        command=tuple(moved.words(part) for part in program.argv),
        environment=tuple((name, _value(value, moved)) for name, value in environment.items()),
        ports=(Port(there.bind, there.port, there.port),) if there else (),
        healthcheck=_healthcheck(service.healthcheck, natively, moved),
        probe=_probe(service.probe, there),
        afterwards=(),
        pull_policy="missing",
        limits=_limits(program.limits, service.limits),
    )


def _visible(service: Service) -> dict[str, Text]:
    wish = service.accelerator
    return {VISIBLE[wish.vendor]: ",".join(wish.ids)} if wish and wish.ids and wish.vendor in VISIBLE else {}


def _value(value: Text, moved: Moved) -> Text:
    match value:
        case EnvRef(default=default):
            return replace(value, default=moved.words(default))
        case ComposeText(text=text):
            return ComposeText(moved.words(text))
        case str():
            return moved.words(value)


def _limits(own: Limits, usual: Limits) -> Limits:
    return Limits(own.cpus or usual.cpus, own.memory or usual.memory, own.pids or usual.pids)


def _healthcheck(check: Healthcheck | None, natively: Natively, moved: Moved) -> Healthcheck | None:
    if check is None:
        return None
    there = moved.listening
    is_python = check.command[:2] == ("CMD", PYTHON)
    command = [natively.interpreter if is_python and place == 1 else part for place, part in enumerate(check.command)]
    if there and there.own != there.port:
        command = [re.sub(rf"(?<![\w.]){there.own}\b", str(there.port), part) for part in command]
    return replace(check, command=tuple(moved.script(part) for part in command))


def _probe(probe: Probe | None, there: Listening | None) -> Probe | None:
    return replace(probe, port=there.port) if probe and there and probe.port == there.own else probe


def _service(
    service: Service, natively: Natively, place: Place, inherited: Sequence[EnvRef], texts: dict[str, str]
) -> dict[str, Any]:
    program = natively.of(service.name)
    passed = [one.name for one in inherited]
    defaults = {one.name: one.default for one in inherited if one.default}
    rest = {name: value for name, value in service.environment if name not in passed}
    tree = {
        "command": list(service.command),
        "directory": (program.directory if program else "") or place.home or place.directory,
        "environment": {name: _literal(name, value, service) for name, value in rest.items()},
        "inherit": passed,
        "defaults": defaults,
        "ports": [[one.bind, one.published] for one in service.ports],
        "healthcheck": _check(service.healthcheck) if service.healthcheck else {},
        "probe": _said(service.probe) if service.probe else {},
        "after": list(dict.fromkeys([*service.after, *(one.service for one in service.needs)])),
        "restart": service.restart,
        "stop_grace": service.stop_grace,
        "limits": _said(service.limits),
        "log": _said(service.log_rotation) if service.log_rotation else {},
        "labels": {labels.ACCELERATOR: service.accelerator.vendor} if service.accelerator else {},
        "beside": natively.beside,
        "called": service.name in natively.called,
    }
    told = {name: value for name, value in tree.items() if value or name == "command"}
    return {**told, "digest": _digest(told, words.digest_of(service, texts, place))}


def _digest(tree: dict[str, Any], read: str) -> str:
    return hashlib.sha256(f"{json.dumps(tree, sort_keys=True)}{read}".encode()).hexdigest()[:16]


def _said(value: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {one.name: held for one in fields(value) if (held := getattr(value, one.name))}


def _check(check: Healthcheck) -> dict[str, Any]:
    times = {one.name: getattr(check, one.name) for one in fields(check) if one.name != "command"}
    return {"test": list(check.command), **times}


def _inherited(service: Service, natively: Natively) -> tuple[EnvRef, ...]:
    """The variables that are passed on by name, whether they have a value here or not.

    Raises: UsageError for one that would have to be passed on under another name.
    """
    found = []
    for name, value in service.environment:
        if not isinstance(value, EnvRef):
            continue
        if value.name != name and value.default and value.name not in natively.variables:
            continue  # nobody set it, so the default is what is meant
        if value.name != name:
            what = f"{service.name} needs {value.name} under the name {name}, and a process gets variables by their own"
            raise UsageError(what, f"services.{service.name}.env", f"Set the variable {name} itself.")
        found.append(value)
    return tuple(found)


def _literal(name: str, value: Text, service: Service) -> str:
    """A value as it is, for the file.

    Raises: UsageError for one that only Compose could make.
    """
    match value:
        case str():
            return value
        case EnvRef(default=default):
            return default
        case ComposeText(text=text):
            if "$" in text.replace("$$", ""):
                what = f"the value of {name} is made of another variable, and may be secret: no file gets it"
                fix = f"Write '{name}:' without a value, and set the variable {name} itself."
                raise UsageError(what, f"services.{service.name}.env.{name}", fix)
            return text.replace("$$", "$")
