"""All cases and stories, by what they are about."""

from __future__ import annotations

from tests.engine.case import Case, Story
from tests.engine.cases import accelerators, checks, crashes, lifecycle, oneshots, probes, projects, refusals, telling

EVERYTHING: tuple[Case | Story, ...] = (
    *accelerators.STORIES,
    *lifecycle.STORIES,
    *telling.STORIES,
    *oneshots.CASES,
    *checks.CASES,
    *crashes.CASES,
    *probes.CASES,
    *refusals.CASES,
    *refusals.STORIES,
    *projects.CASES,
    *projects.STORIES,
)
