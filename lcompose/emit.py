"""The one place where YAML is written.

A string is quoted unless it is plainly a word, so that no reader takes it for a number, a date or
a boolean; text with several lines is a block where that is safe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from lcompose.errors import UsageError

# Words that some reader takes for something else: YAML 1.1's booleans and nulls, and numbers.
PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*\Z")
RESERVED = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"])
# U+2028 and U+2029 end a line in YAML 1.1 and not in 1.2.
BLOCK_SAFE = re.compile(r"[\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\n]*\Z")
WIDTH = 2**20


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag of Compose's own, such as ``!reset``, and the text that it stands before."""

    tag: str
    value: str = ""


Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def yaml_text(tree: Any, header: str = "") -> str:
    """The tree as YAML, keys in their order, under a header of comment lines.

    Raises: TypeError for a value that is not a plain tree; UsageError for text that is not Unicode.
    """
    try:
        body: str = yaml.dump(
            tree, Dumper=_Plain, sort_keys=False, width=WIDTH, allow_unicode=True, default_flow_style=False
        )
    except UnicodeEncodeError as error:
        fix = "Rename the file or folder, or correct the variable."
        raise UsageError("this name or value is not UTF-8", ascii(error.object)[:200], fix) from error
    return f"{header}{body}"


class _Plain(Dumper):  # type: ignore[misc]  # the base is chosen at run time
    """A dumper that knows our strings and never writes aliases."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _represent_text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=_style(value))


def _represent_tagged(dumper: Any, value: Tagged) -> Any:
    return dumper.represent_scalar(value.tag, value.value)


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


def _refuse(_: Any, value: Any) -> Any:
    raise TypeError(f"a {type(value).__name__} has no place in a document")


_Plain.add_representer(str, _represent_text)
_Plain.add_representer(Tagged, _represent_tagged)
for unsupported in (bytes, set, None):
    _Plain.add_representer(unsupported, _refuse)
