"""Why a service is a container, or a process of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lcompose.errors import LcomposeError
from lcompose.explain import companions
from lcompose.explain.evidence import DEFAULT, Cause, Evidence, Explained
from lcompose.explain.fields import by_setting
from lcompose.explain.values import shown
from lcompose.load import value_at
from lcompose.programs import selected_for
from lcompose.spec.project import Service

FIELD, LOCAL = "runtime", "local"
NOBODY = Cause(DEFAULT, "", "")


def rows(service: Service, evidence: Evidence) -> Iterator[Explained]:
    """The runtime of a service, and what a person says of it as a process."""
    yield row(service, evidence)
    kind = companions.kind(service, evidence)
    own = f"services.{kind}.{LOCAL}."
    for path in evidence.settings.origin:
        if path.startswith(own):
            steps = tuple(path.split("."))
            held = [value_at(layer.tree, steps) for layer in evidence.layers]
            value = next((one for one in reversed(held) if one is not None), None)
            name = path.removeprefix(f"services.{kind}.")
            yield Explained(service.name, name, name, shown(path, value), by_setting(steps, evidence) or NOBODY)


def row(service: Service, evidence: Evidence) -> Explained:
    """The runtime of a service, who chose it, and all that was weighed. No engine is asked whether it answers."""
    kind = companions.kind(service, evidence)
    paths = (("services", kind, FIELD), (FIELD,), ("runtimes", "default"))
    causes = [one for one in (by_setting(path, evidence) for path in paths) if one]
    chosen = next((one for one in causes if one.layer != DEFAULT), NOBODY)
    try:
        found = selected_for(service, evidence.resolved, evidence.settings, {})
    except LcomposeError as error:
        told = "; ".join([error.what, *error.details])
        return Explained(service.name, FIELD, FIELD, "", replace(chosen, reason=told))
    return Explained(service.name, FIELD, FIELD, found.mode, replace(chosen, reason="; ".join(found.trace)))
