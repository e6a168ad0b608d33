"""``lcompose schema``."""

from __future__ import annotations

import json

import click

from lcompose.console import Console
from lcompose.json_schema import DIALECT, DOCUMENTS, Reading, Schema, json_schema, schema_of
from lcompose.lightspeed.images import DEFAULT_GENERATION, DEFAULT_TAG
from lcompose.schema import listing, record

PARITY = "parity"


@click.command()
@click.argument("document", type=click.Choice([*DOCUMENTS, PARITY]), default="lightspeed-stack")
@click.option(
    "--generation",
    type=click.Choice(list(DEFAULT_TAG)),
    default=DEFAULT_GENERATION,
    show_default=True,
    help="Version of Lightspeed Core whose keys are meant.",
)
def command(document: str, generation: str) -> None:
    """Print the JSON Schema of a file that you write: which keys there are, and what they mean.

    An editor that knows it completes keys, explains them, and marks mistakes while you type.

    \b
    lcompose schema > lightspeed-stack.schema.json
    lcompose schema lcompose > lcompose.schema.json

    The first line of lightspeed-stack.yaml then says where it is; 'lcompose init' writes all of this:

    \b
    # yaml-language-server: $schema=lightspeed-stack.schema.json
    """
    schema = _of_requests(generation) if document == PARITY else json_schema(document, generation)
    Console().result(json.dumps(schema, indent=2, ensure_ascii=False))


def _of_requests(generation: str) -> Schema:
    """The schema of the file that 'lcompose parity' reads, which is a list."""
    from lcompose.parity.requests import FILE, REQUEST

    told = "Requests that 'lcompose parity' sends to every leg beside its own."
    kind = listing(record(REQUEST))
    return {
        "$schema": DIALECT,
        "title": FILE,
        "description": told,
        **schema_of(kind, Reading(generation, variables=False)),
    }
