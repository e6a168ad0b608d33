"""``lcompose schema``."""

from __future__ import annotations

import json

import click

from lcompose.console import Console
from lcompose.json_schema import DOCUMENTS, json_schema
from lcompose.lightspeed.images import DEFAULT_GENERATION, DEFAULT_TAG


@click.command()
@click.argument("document", type=click.Choice(list(DOCUMENTS)), default="lightspeed-stack")
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
    Console().result(json.dumps(json_schema(document, generation), indent=2, ensure_ascii=False))
