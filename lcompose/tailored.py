"""What a person's settings say of a service, laid over what it is without them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from posixpath import normpath

from lcompose.errors import UsageError
from lcompose.lightspeed.envrefs import expanded
from lcompose.lightspeed.images import LCORE, LLAMA_STACK
from lcompose.names import NAME
from lcompose.settings import ServiceSettings
from lcompose.spec.project import FileMount, Hardening, Limits, Mount, Service, VolumeMount
from lcompose.spec.secrets import SECRET_NAME
from lcompose.spec.text import ComposeText, EnvRef, Text


@dataclass(frozen=True, slots=True)
class Folder:
    """Where a person's relative paths start from, and what ``~`` is."""

    directory: str
    home: str

    def absolute(self, path: str) -> str:
        """A path of the person's as it is on this machine."""
        whole = path if path.startswith(("/", "~")) else normpath(f"{self.directory}/{path}")
        return expanded(whole, self.home)


_LOG_LEVELS = {
    LCORE: ("LIGHTSPEED_STACK_LOG_LEVEL", "{upper}"),
    LLAMA_STACK: ("OGX_LOGGING", "all={level}"),
}


def with_settings(service: Service, own: ServiceSettings, folder: Folder, keep: tuple[str, ...] = ()) -> Service:
    """The service as its settings want it; ``keep`` are capabilities that its image cannot do without.

    Raises: UsageError.
    """
    ports = own.ports or (service.ports if own.publish else ())
    return replace(
        service,
        image=own.image or service.image,
        environment=_environment(service, own),
        mounts=(*service.mounts, *(_own_volume(text, folder) for text in own.volumes)),
        ports=ports,
        pull_policy=own.pull_policy,
        restart=own.restart,
        limits=_limits(own.limits, service.limits),
        log_rotation=own.log_rotation,
        hardening=Hardening(
            own.read_only,
            own.no_new_privileges,
            own.drop_capabilities,
            (*keep, *service.hardening.keep_capabilities),
            (*(service.hardening.tmpfs if own.read_only else ()), *own.tmpfs),
        ),
    )


def _limits(own: Limits, usual: Limits) -> Limits:
    return Limits(own.cpus or usual.cpus, own.memory or usual.memory, own.pids or usual.pids)


def _environment(service: Service, own: ServiceSettings) -> tuple[tuple[str, Text], ...]:
    merged: dict[str, Text] = dict(service.environment)
    if own.log_level != "info":
        # What a companion has for it, its own file says.
        variable, form = _LOG_LEVELS.get(service.name, ("", ""))
        if variable:
            merged[variable] = form.format(level=own.log_level, upper=own.log_level.upper())
    for name, value in own.env:
        merged[name] = own_value(service.name, name, value)
    return tuple(merged.items())


SAME_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:[?-][^}]*)?\}")


def own_value(service: str, name: str, value: str | None) -> Text:
    """A person's variable: passed on by name where that is meant, else in Compose's words.

    Raises: UsageError for a secret in clear.
    """
    match = SAME_NAME.fullmatch(value or "")
    if value is None or (match and match[1] == name):
        rest = (match[2] or ":?") if match else ":?"
        return EnvRef(name, rest[2:] if rest[1] == "-" else "", required=rest[1] == "?")
    if SECRET_NAME.search(name) and value and "$" not in value:
        what = f"{name} looks like a secret, and stands in the settings in clear"
        fix = f"Write '{name}:' without a value, and set the variable in your environment or .env."
        raise UsageError(what, f"services.{service}.env.{name}", fix)
    return ComposeText(value)


def _own_volume(text: str, folder: Folder) -> Mount:
    """``SOURCE:TARGET[:ro]`` of a person's own."""
    parts = text.split(":")
    mode = parts[2] if len(parts) == 3 else "rw"
    if len(parts) not in (2, 3) or not parts[1].startswith("/") or mode not in ("ro", "rw"):
        fix = "Write SOURCE:TARGET or SOURCE:TARGET:ro, with an absolute TARGET."
        raise UsageError(f"{text!r} is not a volume", "volumes", fix)
    source, target = parts[0], parts[1]
    if "/" not in source and source not in (".", "..", "~"):
        if not NAME.fullmatch(source):
            raise UsageError(f"{source!r} is not a name for a volume", "volumes", "Use a-z, 0-9, _ and -.")
        return VolumeMount(source, target)
    return FileMount(folder.absolute(source), target, read_only=mode == "ro")
