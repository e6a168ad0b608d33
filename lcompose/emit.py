"""The one place where YAML is written.

A string is quoted unless it is plainly a word, so that no reader takes it for a number, a date or
a boolean; text with several lines is a block where that is safe.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

# Words that some reader takes for something else: YAML 1.1's booleans and nulls, and numbers.
PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*\Z")
RESERVED = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"])
BLOCK_SAFE = re.compile(r"[\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\n]*\Z")
WIDTH = 2**20

Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def yaml_text(tree: Any, header: str = "") -> str:
    """The tree as YAML, keys in their order, under a header of comment lines.

    Raises: TypeError for a value that is not a plain tree.
    """
    body: str = yaml.dump(
        tree, Dumper=_Plain, sort_keys=False, width=WIDTH, allow_unicode=True, default_flow_style=False
    )
    return f"{header}{body}"


class _Plain(Dumper):  # type: ignore[misc]  # the base is chosen at run time
    """A dumper that knows our strings and never writes aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=_style(value))


def _style(value: str) -> str | None:
    if PLAIN.match(value) and value.lower() not in RESERVED:
        return None
    if "\n" in value.rstrip("\n") and _block_is_safe(value):
        return "|"
    return '"'


def _block_is_safe(value: str) -> bool:
    lines = value.split("\n")
    starts_indented = value[:1] in (" ", "\n")
    trailing = any(line != line.rstrip() for line in lines)
    return bool(BLOCK_SAFE.match(value)) and not starts_indented and not trailing


_Plain.add_representer(str, _represent_text)
