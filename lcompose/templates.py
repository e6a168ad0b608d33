"""Finds the data that comes with lcompose, and fills in jinja templates for text that is not YAML."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any


@cache
def data_directory(name: str) -> Path:
    """``profiles`` or ``templates``: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / name


def fill(template: str, **values: Any) -> str:
    """The text of a template with its values.

    Raises: jinja2.UndefinedError when a value is missing.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_directory("templates")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  # the results are text files, never HTML
    )
    return environment.get_template(template).render(**values)
