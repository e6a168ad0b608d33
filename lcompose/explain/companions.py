"""Why a companion is there, and where each of its fields comes from: a key of a document, or its data file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lcompose.explain.evidence import OURS, Cause, Evidence, is_made, source_of, steps_of
from lcompose.explain.reasons import COMPANION_KEYS, COMPANION_REASONS
from lcompose.lightspeed.companion_files import SCRIPTS, place
from lcompose.lightspeed.companions import Named, Origin
from lcompose.lightspeed.derive import RUN_FILE
from lcompose.load import Path, dotted
from lcompose.spec.project import Change, Dependency, DocumentMount, Mount, Service, VolumeMount
from lcompose.spec.text import EnvRef
from lcompose.vendors import CPU, choices

# What the keys of a block for a database say.
PARTS = {"db": "a database to make", "user": "the user of a database", "password": "the password of that user"}
# What is said by a GPU's vendor, whatever the data file says.
VENDORS = [("shm_size", one) for one in choices() if one != CPU]
# Keys that are told by name; of more, how many.
MOST_TOLD = 8


def kind(service: Service, evidence: Evidence) -> str:
    """The name under which settings speak of a service: there may be several of one kind of companion."""
    return evidence.resolved.companions.kinds.get(service.name, service.name)


def _origin(service: Service, evidence: Evidence) -> Origin | None:
    return evidence.resolved.companions.origins.get(service.name)


def why_started(service: Service, evidence: Evidence) -> Cause | None:
    """The keys that make a companion necessary."""
    origin = _origin(service, evidence)
    if origin is None or not origin.keys:
        return None
    ask = "asks" if len(origin.keys) == 1 else "ask"
    reason = f"{_told(origin.keys, evidence)} {ask} for it: without it nobody would answer there"
    return Cause(*_first(origin, evidence), reason)


def _first(origin: Origin, evidence: Evidence) -> tuple[str, str]:
    """The layer and the place of the first key; where there is none, its data file."""
    if not origin.keys:
        return OURS, str(place(origin.file, ("description",)))
    return source_of(evidence.resolved, origin.keys[0].document, origin.keys[0].path)


def _told(keys: Sequence[Named], evidence: Evidence) -> str:
    """Keys for people; the place of the first is told beside this, those of the others here."""
    first, *others = keys[:MOST_TOLD]
    names = [_name(first, evidence)]
    names += [f"{_name(one, evidence)} ({source_of(evidence.resolved, one.document, one.path)[1]})" for one in others]
    more = [f"{len(keys) - MOST_TOLD} more"] if len(keys) > MOST_TOLD else []
    *before, last = [*names, *more]
    return f"{', '.join(before)} and {last}" if before else last


def _name(key: Named, evidence: Evidence) -> str:
    """A key for people; the place says which file it is in, unless run.yaml is made of another one."""
    made = key.document == RUN_FILE and is_made(evidence.resolved)
    return f"{dotted(key.path)} of {RUN_FILE}" if made else dotted(key.path)


def why_needed(needs: tuple[Dependency, ...], evidence: Evidence) -> Cause | None:
    """Why a service waits for companions."""
    origins = [found for one in needs if (found := evidence.resolved.companions.origins.get(one.service))]
    keys = [key for origin in origins for key in origin.keys]
    if not keys:
        return None
    layer, where = source_of(evidence.resolved, keys[0].document, keys[0].path)
    return Cause(layer, where, f"it reads {_told(keys, evidence)}, and is started when what this names is ready")


def cause(service: Service, name: str, value: Any, evidence: Evidence) -> Cause | None:
    """Where a field of a companion comes from, or None where its file and the documents do not say."""
    origin = _origin(service, evidence)
    if origin is None:
        return None
    section, _, rest = name.partition(".")
    if section == "environment" and rest in origin.parts:
        return _by_part(origin.parts[rest], value, evidence)
    if section == "environment" and rest in COMPANION_REASONS:
        return Cause(*_first(origin, evidence), COMPANION_REASONS[rest])
    return _by_file(origin, name, value, _vendor(service, evidence), evidence)


def _vendor(service: Service, evidence: Evidence) -> str:
    """Whose GPU does it."""
    return evidence.settings.gpu if service.accelerator else CPU


def _by_part(key: Named, value: Any, evidence: Evidence) -> Cause:
    known = f"; {evidence.is_set(value.name)}" if isinstance(value, EnvRef) else ""
    told = PARTS.get(str(key.path[-1]), "what it needs")
    return Cause(*source_of(evidence.resolved, key.document, key.path), f"{told}: {_name(key, evidence)}{known}")


def _by_file(origin: Origin, name: str, value: Any, vendor: str, evidence: Evidence) -> Cause | None:
    section = name.partition(".")[0]
    found = (place(origin.file, path) for path in _keys_of(name, vendor) if (name, vendor) not in VENDORS)
    where = next((one for one in found if one), None)
    if where and value:
        word = "script" if name == "entrypoint" and f"{SCRIPTS}/" in str(value) else name
        return Cause(OURS, str(where), COMPANION_REASONS.get(word) or COMPANION_REASONS[section])
    if section == "environment" and isinstance(value, EnvRef) and place(origin.file, ("passed",)):
        return Cause(OURS, str(place(origin.file, ("passed",))), f"passed on; {evidence.is_set(value.name)}")
    return Cause(OURS, "", COMPANION_REASONS["unsaid"]) if section == "healthcheck" and value else None


def _keys_of(name: str, vendor: str) -> list[Path]:
    """Where a data file may say a field."""
    section, _, rest = name.partition(".")
    if section == "environment":
        return [("environments", vendor, rest), ("environment", rest)]
    if name == "image":
        return [("images", vendor), ("image",)]
    return [COMPANION_KEYS[name]] if name in COMPANION_KEYS else []


def of_script(service: Service, mount: DocumentMount, evidence: Evidence) -> Cause | None:
    """The cause of a companion's script."""
    origin = _origin(service, evidence)
    found = place(origin.file, ("script",)) if origin and mount.document.endswith(".sh") else None
    return Cause(OURS, str(found), COMPANION_REASONS["script"]) if found else None


def of_volume(service: Service, mount: Mount, evidence: Evidence) -> Cause | None:
    """The cause of a companion's volume."""
    origin = _origin(service, evidence)
    if origin is None or not isinstance(mount, VolumeMount):
        return None
    purpose = mount.volume.removeprefix(f"{service.name}-")
    found = place(origin.file, ("volumes", purpose))
    return (
        Cause(OURS, str(found), f"its volume for {purpose}, kept whatever happens to the container") if found else None
    )


def of_change(change: Change, evidence: Evidence) -> Cause:
    """The cause of a variable that a change of a document has brought."""
    layer, where = source_of(evidence.resolved, change.document, steps_of(change.path))
    return Cause(layer, where, change.reason)
