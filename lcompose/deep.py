"""Asking the images themselves whether they would take their documents, without starting a service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcompose import host
from lcompose.engines import Engine
from lcompose.errors import Finding, LcomposeError, Position
from lcompose.lightspeed.derive import RUN_FILE
from lcompose.lightspeed.images import LCORE, LLAMA_STACK, server_facts
from lcompose.spec.project import DocumentMount, FileMount, Project, Service
from lcompose.spec.secrets import Secrets
from lcompose.spec.text import EnvRef
from lcompose.targets.words import document_text

# LCORE imports all of itself before it reads its document.
TIMEOUT = 120.0
MOST_LINES = 8
# What pydantic adds to each of its lines; the value may be a secret.
DETAILS = re.compile(r"\[type=(\w+), input_value=.*\Z", re.DOTALL)
REFERENCE = "For further information"


@dataclass(frozen=True, slots=True)
class Question:
    """What one image is asked: ``argv`` with its entrypoint, unless the image's own is used."""

    service: str
    image: str
    entrypoint: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[tuple[str, str], ...]
    documents: tuple[tuple[str, str], ...]


def questions(project: Project, version: tuple[int, ...], env: Mapping[str, str]) -> list[Question]:
    """What LCORE and Llama Stack can be asked; the version is Llama Stack's."""
    facts, found = server_facts(version), []
    for service in project.services:
        read = [mount.target for mount in service.mounts if isinstance(mount, DocumentMount)]
        if service.name == LCORE:
            found.append(_question(service, project, env, "", (*service.command, "--dump-configuration")))
        if service.name in (LCORE, LLAMA_STACK) and facts.dry_run:
            program, *rest = (*facts.program, *facts.insecure_option, "--dry-run")
            found += [_question(service, project, env, program, (*rest, one)) for one in read if RUN_FILE in one]
    return found


def _question(
    service: Service, project: Project, env: Mapping[str, str], entrypoint: str, argv: tuple[str, ...]
) -> Question:
    texts = {derived.name: document_text(derived) for derived in project.documents}
    return Question(
        service.name,
        service.image,
        entrypoint,
        argv,
        {name: known for name, value in service.environment if (known := _value(value, env)) is not None},
        tuple((one.source, one.target) for one in service.mounts if isinstance(one, FileMount)),
        tuple((one.target, texts[one.document]) for one in service.mounts if isinstance(one, DocumentMount)),
    )


def _value(value: Any, env: Mapping[str, str]) -> str | None:
    if isinstance(value, EnvRef):
        return env.get(value.name) or value.default
    return value if isinstance(value, str) else None


def ask(engine: Engine, question: Question, secrets: Secrets) -> list[Finding]:
    """What an image finds wrong; a warning where it cannot be asked."""
    where, path = Position(question.image), question.service
    if question.image not in engine.images([question.image]):
        what = "this image is not here, so it was not asked"
        return [Finding(where, path, what, f"Run: {engine.name} pull {question.image}", "warning")]
    try:
        finished = _asked(engine, question)
    except LcomposeError as error:
        return [Finding(where, path, f"it could not be asked: {error.what}", error.fix, "warning")]
    if not finished.code:
        return []
    what = f"the image itself refuses its document: {secrets.redact(reason(finished.said))}"
    fix = "Correct that in your configuration; 'lcompose render --json' shows the document that it read."
    return [Finding(where, path, what, fix)]


def _asked(engine: Engine, question: Question) -> host.Finished:
    with host.private_folder() as folder:
        # The user of the container is nobody of this machine.
        folder.chmod(0o755)
        mounts = [*question.mounts]
        for number, (target, text) in enumerate(question.documents):
            path = Path(folder) / str(number)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
            mounts.append((str(path), target))
        return engine.run_once(
            question.image,
            question.argv,
            entrypoint=question.entrypoint,
            mounts=mounts,
            environment=question.environment,
            timeout=TIMEOUT,
        )


def reason(said: str) -> str:
    """What a program says at its end: the errors that it lists, else its last line."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip() and REFERENCE not in line]
    start = next((number for number, line in enumerate(lines) if "validation error" in line), len(lines) - 1)
    told = [DETAILS.sub(r"(\1)", line).strip() for line in lines[max(0, start) :][:MOST_LINES]]
    return "; ".join(told) or "it says nothing"
