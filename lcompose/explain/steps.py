"""How the run.yaml of Llama Stack came about: whose file it is, or what it was made of, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from lcompose.explain.evidence import OURS, is_made
from lcompose.lightspeed.config import is_library, server_is_ours
from lcompose.lightspeed.derive import OWN_RUN_FILE, RUN_FILE
from lcompose.load import dotted, locate
from lcompose.resolve import Resolved

WHOLE = "(all of it)"


@dataclass(frozen=True, slots=True)
class Made:
    """One step: the part of run.yaml, whose it is and where that says so, the key there, and why."""

    path: str
    layer: str
    where: str
    source: str
    reason: str


def made(resolved: Resolved) -> tuple[Made, ...]:
    """The steps that made run.yaml, the first thing first; none where Llama Stack is elsewhere."""
    config = resolved.configuration
    if not server_is_ours(config) and not is_library(config):
        return ()
    first = () if is_made(resolved) else (_written(resolved),)
    lightspeed = config.lightspeed
    later = (
        Made(
            dotted(one.path) or WHOLE,
            lightspeed.where.file if one.source else OURS,
            str(locate(lightspeed, one.source)) if one.source else "",
            dotted(one.source),
            one.reason,
        )
        for one in resolved.run_steps
        if one.source or is_made(resolved)
    )
    return (*first, *later)


def _written(resolved: Resolved) -> Made:
    """Of a file that was not made: the person's own, or the one that comes with lcompose."""
    file = resolved.configuration.run.where.file
    if file == OWN_RUN_FILE:
        return Made(WHOLE, OURS, "templates/baseline-run.yaml", "", "there is no run.yaml, and nothing to make one of")
    return Made(WHOLE, file, file, "", f"your own {RUN_FILE}, with the changes below")
