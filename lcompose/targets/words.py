"""Words of the Compose file that its readers share."""

from __future__ import annotations

import hashlib
import json
from posixpath import relpath
from typing import Any

from lcompose import __version__, vendors
from lcompose.emit import yaml_text
from lcompose.errors import UsageError
from lcompose.spec import labels
from lcompose.spec.project import (
    Derived,
    DocumentMount,
    FileMount,
    Healthcheck,
    Probe,
    Project,
    Service,
    VolumeMount,
)
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import Address, ComposeText, EnvRef, Text
from lcompose.targets import Place
from lcompose.targets.devices import device_words

MARK = "# Made by lcompose"
MOST_STEPS_UP = 2
SYSTEM_PATHS = ("/bin/", "/boot/", "/dev/", "/etc/", "/lib", "/proc/", "/run/", "/sbin/", "/sys/", "/usr/", "/var/")


def literal(text: str) -> str:
    """Text that Compose reads back as it is."""
    return text.replace("$", "$$")


def in_compose(value: Text) -> str:
    """Any kind of text, in Compose's dialect."""
    match value:
        case str():
            return literal(value)
        case ComposeText(text=text):
            return text
        case EnvRef(name=name, required=True):
            return f"${{{name}:?set {name} in the environment or in .env}}"
        case EnvRef(name=name, default=default):
            return f"${{{name}:-{default}}}"


def document_text(derived: Derived) -> str:
    """A derived document as YAML; addresses are names on the project's network."""
    if derived.text:
        return derived.text
    header = f"{MARK} from your {derived.name}; changes here are lost.\n"
    return yaml_text(_with_addresses(derived.tree), header)


def _with_addresses(tree: Any) -> Any:
    if isinstance(tree, Address):
        return f"{tree.scheme}://{tree.service}:{tree.port}{tree.path}"
    if isinstance(tree, dict):
        return {key: _with_addresses(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_with_addresses(value) for value in tree]
    return tree


def digest_of(service: Service, texts: dict[str, str], place: Place) -> str:
    """A digest of everything that the service reads: it changes when any of that does.

    Compose's own hash covers neither the content of a config nor that of a mounted file.
    """
    sha = hashlib.sha256()
    for mount in service.mounts:
        if isinstance(mount, DocumentMount):
            sha.update(texts[mount.document].encode())
        elif isinstance(mount, FileMount):
            sha.update(f"{mount.target}={place.digests.get(mount.source, '')}\n".encode())
    return sha.hexdigest()[:16]


def digests(services: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The digests that the services of a compose file are labelled with."""
    return tuple((name, service["labels"][labels.DIGEST]) for name, service in services.items())


def as_json(services: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The services of a compose file, each as one text."""
    return tuple((name, json.dumps(service)) for name, service in services.items())


def host_path(source: str, place: Place) -> str:
    """A path of the host: relative where it is near the documents, so that they can be moved."""
    relative = relpath(source, place.directory)
    steps_up = relative.split("/").count("..")
    if steps_up > MOST_STEPS_UP:
        return literal(source)
    return literal(relative if steps_up else f"./{relative}")


def volume_mount(mount: VolumeMount) -> dict[str, Any]:
    """Always in the long form: the short one takes ``d:/data`` for a Windows drive."""
    return {"type": "volume", "source": mount.volume, "target": literal(mount.target)}


def file_mount(mount: FileMount, place: Place, **bind: Any) -> dict[str, Any]:
    """A file of the host; one that is missing is an error and never an empty directory."""
    return {
        "type": "bind",
        "source": host_path(mount.source, place),
        "target": literal(mount.target),
        "read_only": mount.read_only,
        "bind": {"create_host_path": False, **bind},
    }


def mounts(service: Service, place: Place, project: Project, *, documents: bool) -> list[dict[str, Any]]:
    """A service's mounts; ``documents`` lie beside the compose file, or come in another way.

    ``z`` shares a file with containers where SELinux is on, and does nothing where it is off. A file of
    the system keeps its label: the system's own services need it.
    """
    files = {derived.name: derived.filename for derived in project.documents}
    found = []
    for mount in service.mounts:
        match mount:
            case VolumeMount():
                found.append(volume_mount(mount))
            case FileMount(source=source) if source.startswith(SYSTEM_PATHS):
                found.append(file_mount(mount, place))
            case FileMount():
                found.append(file_mount(mount, place, selinux="z"))
            case DocumentMount() if documents:
                beside = FileMount(f"{place.directory}/{files[mount.document]}", mount.target)
                found.append(file_mount(beside, place, selinux="z"))
    if service.accelerator:
        binds = vendors.vendor(service.accelerator.vendor).binds
        found += [file_mount(FileMount(path, path), place) for path in binds]
    return found


def common(service: Service, digest: str, facts: TargetFacts) -> dict[str, Any]:
    """The part of a service that every reader of Compose files understands alike."""
    words: dict[str, Any] = {"image": literal(service.image)}
    if service.pull_policy != "missing":
        words["pull_policy"] = service.pull_policy
    if service.entrypoint:
        words["entrypoint"] = [literal(part) for part in service.entrypoint]
    if service.command:
        words["command"] = [literal(part) for part in service.command]
    if service.ports:
        words["ports"] = [
            {"target": port.target, "published": str(port.published), "host_ip": port.bind, "protocol": "tcp"}
            for port in service.ports
        ]
    if service.extra_hosts:
        words["extra_hosts"] = list(service.extra_hosts)
    words["labels"] = _labels(service, digest)
    words["restart"] = service.restart
    words["stop_grace_period"] = f"{service.stop_grace}s"
    return words | _limits(service) | _hardening(service) | _accelerator(service, facts)


def _labels(service: Service, digest: str) -> dict[str, str]:
    """What ``down`` and ``status`` must know of a container without any file."""
    found = {labels.DIGEST: digest}
    if service.accelerator:
        found[labels.ACCELERATOR] = service.accelerator.vendor
    after = dict.fromkeys([*service.after, *(one.service for one in service.needs)])
    if after:
        found[labels.AFTER] = ",".join(after)
    if service.probe:
        fields = {name: value for name in Probe.__slots__ if (value := getattr(service.probe, name))}
        found[labels.PROBE] = literal(json.dumps(fields))
    return found


def _limits(service: Service) -> dict[str, Any]:
    words: dict[str, Any] = {}
    if service.limits.cpus:
        words["cpus"] = service.limits.cpus
    if service.limits.memory:
        words["mem_limit"] = service.limits.memory
    if service.limits.pids:
        words["pids_limit"] = service.limits.pids
    if service.shm_size:
        words["shm_size"] = service.shm_size
    return words


def _hardening(service: Service) -> dict[str, Any]:
    wanted = service.hardening
    words: dict[str, Any] = {}
    if wanted.read_only:
        words["read_only"] = True
    # One a directory, the last with its options: engines refuse a second.
    tmpfs = {path.split(":")[0]: path for path in [*(["/tmp"] if wanted.read_only else []), *wanted.tmpfs]}  # noqa: S108
    if tmpfs:
        words["tmpfs"] = [literal(path) for path in tmpfs.values()]
    if wanted.drop_capabilities:
        words["cap_drop"] = ["ALL"]
        if wanted.keep_capabilities:
            words["cap_add"] = list(wanted.keep_capabilities)
    if wanted.no_new_privileges:
        words["security_opt"] = ["no-new-privileges:true"]
    return words


def _accelerator(service: Service, facts: TargetFacts) -> dict[str, Any]:
    """The GPUs, and what goes with them beside what the service says of itself."""
    if service.accelerator is None:
        return {}
    words = device_words(service.accelerator, facts)
    before = _hardening(service)
    both = [name for name in ("security_opt", "cap_add") if name in words]
    return words | {name: [*before.get(name, []), *words[name]] for name in both}


def healthcheck(check: Healthcheck) -> dict[str, Any]:
    """A health check without ``start_interval``, which not every reader has."""
    return {
        "test": [literal(part) for part in check.command],
        "interval": f"{check.interval:g}s",
        "timeout": f"{check.timeout:g}s",
        "retries": check.retries,
        "start_period": f"{check.start_period:g}s",
    }


def header(project: Project, target: str, usage: str) -> str:
    """Comment lines on top of a rendered file: what it is and how it is used."""
    return f"{MARK} {__version__} for {target}; changes here are lost when it is made again.\n# {usage}\n"


def refuse_long(text: str, name: str, limit: int) -> None:
    """Stops before the kernel does.

    Raises: UsageError.
    """
    if len(text.encode()) > limit:
        what = f"{name} is longer than a variable may be ({limit // 1024} KiB)"
        raise UsageError(what, "", "Render to a folder instead: lcompose render -o DIR.")
