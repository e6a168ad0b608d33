"""Configurations of an older generation to a newer one, and two files to one; trees in, trees out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lcompose.lightspeed.images import Generation
from lcompose.lightspeed.rewrite import Rewrite
from lcompose.load import Path

NEWEST: Generation = "0.7"
RAG = "since 0.7 all of RAG is in the section rag"
RUN_PATH = "library_client_config_path"
RETRIEVAL = ("inline", "tool")
# What only 0.7 knows, and 0.6 refuses.
NEWER: tuple[Path, ...] = (("ogx",), ("rag", "byok"), ("rag", "okp"), ("rag", "retrieval"))


def migrate_lightspeed(doc: Rewrite, target: Generation) -> None:
    """Brings lightspeed-stack.yaml to a generation's form; what it does not know it leaves alone."""
    for step in STEPS[target]:
        step(doc)


def join(doc: Rewrite, run: Rewrite, target: Generation) -> None:
    """Puts run.yaml whole into lightspeed-stack.yaml, so that LCORE makes exactly it again.

    Its remarks go with it. Without a baseline nothing is added to it, and nothing is lost.
    """
    section = section_of(doc)
    place: Path = (section, "config")
    if not isinstance(doc.get(section), dict | None):
        doc.refuse((section,), "this must hold keys and values", "Correct it first.")
        return
    if doc.has(section, RUN_PATH):
        doc.drop((section, RUN_PATH), "run.yaml is in this file now")
    doc.put(place, {"baseline": "empty", "native_override": run.tree}, f"run.yaml, for LCORE {target} to make again")
    below = (*place, "native_override")
    doc.remarks |= {(*below, *path): remark for path, remark in run.remarks.items() if path}
    doc.lost += [remark for path, remark in run.remarks.items() if not path]
    if doc.get("config_format_version") == "legacy":
        doc.put(("config_format_version",), "unified", "one file is the unified form")


def is_one_file(doc: Rewrite) -> bool:
    """Whether LCORE makes run.yaml out of this file already."""
    section = section_of(doc)
    makes = doc.get(section, "config") is not None or doc.get("inference", "providers")
    return bool(makes or doc.get("vector_store", "providers"))


def section_of(doc: Rewrite) -> str:
    """The key under which Llama Stack is configured."""
    return "ogx" if doc.has("ogx") else "llama_stack"


def _section(doc: Rewrite) -> None:
    if not doc.has("llama_stack"):
        return
    if doc.has("ogx"):
        doc.drop(("llama_stack",), "ogx is here too, and wins")
    else:
        doc.rename(("llama_stack",), "ogx", "the section is called ogx since 0.7")


def _retrieval(doc: Rewrite) -> None:
    for name in RETRIEVAL:
        old, new = ("rag", name), ("rag", "retrieval", name, "sources")
        if doc.has(*old) and _is_free(doc, old, new):
            doc.move(old, new, RAG)


def _byok(doc: Rewrite) -> None:
    old, new = ("byok_rag",), ("rag", "byok", "stores")
    if not doc.has(*old) or not _is_free(doc, old, new):
        return
    doc.move(old, new, RAG)
    for index, store in enumerate(doc.listing(*new)):
        if not isinstance(store, dict) or "rag_type" not in store:
            continue
        doc.rename((*new, index, "rag_type"), "backend", "it is called backend since 0.7")
        kind = store["backend"]
        if isinstance(kind, str) and "::" in kind:
            doc.put((*new, index, "backend"), kind.partition("::")[2], "without inline:: or remote::")


def _okp(doc: Rewrite) -> None:
    if doc.has("okp") and _is_free(doc, ("okp",), ("rag", "okp")):
        doc.move(("okp",), ("rag", "okp"), RAG)


def _reranker(doc: Rewrite) -> None:
    new = ("rag", "retrieval", "inline", "reranker")
    if doc.has("reranker") and _is_free(doc, ("reranker",), new):
        doc.move(("reranker",), new, RAG)


def _is_free(doc: Rewrite, old: Path, new: Path) -> bool:
    """Whether a value may move; if not, why is noted. What says nothing is removed instead."""
    if doc.get(*old) is None:
        doc.drop(old, "it says nothing")
        return False
    blocked: Any = next((new[:end] for end in range(1, len(new)) if not _may_hold(doc.get(*new[:end]))), None)
    if blocked or doc.has(*new):
        doc.refuse(old, f"{'.'.join(map(str, blocked or new))} is here too", "Keep one of the two.")
        return False
    return True


def _may_hold(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _not_back(doc: Rewrite) -> None:
    for path in NEWER:
        if doc.has(*path):
            doc.refuse(path, "this is of 0.7, and there is no way back", "Leave --to out, or write it anew for 0.6.")


STEPS: dict[Generation, tuple[Callable[[Rewrite], None], ...]] = {
    "0.6": (_not_back,),
    "0.7": (_section, _byok, _okp, _retrieval, _reranker),
}
