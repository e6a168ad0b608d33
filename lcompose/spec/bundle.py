"""What a target makes of a Project: documents to write, and what it could not say."""

from __future__ import annotations

from dataclasses import dataclass

from lcompose.spec.text import EnvRef


@dataclass(frozen=True, slots=True)
class Document:
    """One file of a bundle: a path relative to the bundle, and its whole text.

    A ``private`` one holds a secret, and nobody else may come near it. ``mode`` and the owner are those
    that a container is to see.
    """

    path: str
    text: str
    private: bool = False
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """Documents for one target.

    ``report`` has one line for each thing that it cannot express; ``inherited`` are the variables of
    each service that whoever starts it passes on by name alone; ``digests`` tell of each service what
    it reads, ``services`` how it is written down, as JSON.
    """

    documents: tuple[Document, ...]
    report: tuple[str, ...] = ()
    inherited: tuple[tuple[str, tuple[EnvRef, ...]], ...] = ()
    digests: tuple[tuple[str, str], ...] = ()
    services: tuple[tuple[str, str], ...] = ()

    @property
    def main(self) -> Document:
        """The file that the engine reads first."""
        return self.documents[0]
