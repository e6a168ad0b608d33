"""The tables of keys as JSON Schema, for editors and for whoever checks a file without lcompose.

Where JSON Schema cannot say something, or a kind is not known here, anything is allowed: an editor must
not mark what is right. ``lcompose validate`` has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.schema import Key, Kind, Record, record
from lcompose.settings import DEFAULTS, EMBEDDED, FILE

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# The same text as lightspeed.envrefs.PATTERN, in words that JavaScript's expressions have too.
VARIABLE = r"\$\{env\.[A-Z0-9_]+(:[=+][^}]*)?\}"
# YAML 1.1, which the services read, takes these for true and false; an editor may see text.
FLAG = "^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)$"
NUMBER = r"^\s*[-+]?[0-9][0-9_.eE+-]*\s*$"

# What is said of a key beside its own words, by what the key means for a deployment.
ROLES: Mapping[str, str] = {
    "secret": "A secret: write ${env.NAME} here, and keep the value in .env.",
    "file": "A file or folder beside this one; lcompose mounts it where the service looks for it.",
    "header": "Values are files with a token in them, or one of: kubernetes, client, oauth.",
    "written": "A folder that the service writes; lcompose keeps it on a volume.",
    "database": "A file that the service writes; lcompose keeps it on a volume.",
    "index": "A file that Llama Stack reads and writes.",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a document is read: in which generation, and whether ``${env.NAME}`` is filled in."""

    generation: str
    variables: bool


@dataclass(frozen=True, slots=True)
class Document:
    """One kind of file that people write: its keys, and those among them that lcompose reads itself."""

    title: str
    description: str
    keys: Record
    own: Record
    defaults: Mapping[str, Any]
    extra: str = "forbid"


DOCUMENTS: Mapping[str, Document] = {
    "lightspeed-stack": Document(
        "lightspeed-stack.yaml",
        "The configuration of Lightspeed Core, with lcompose's keys 'runtime', 'container' and 'local'.",
        LIGHTSPEED,
        EMBEDDED,
        {name: DEFAULTS[name] for name in EMBEDDED if name in DEFAULTS},
    ),
    "lcompose": Document("lcompose.yaml", "The settings of lcompose.", {}, FILE, DEFAULTS),
    "run": Document(
        "run.yaml", "The configuration of Llama Stack; it ignores keys that it does not know.", RUN, {}, {}, "allow"
    ),
}


def json_schema(name: str, generation: str) -> Schema:
    """The JSON Schema of a file that people write, for a generation of LCORE.

    Raises: KeyError for a name that is not in DOCUMENTS.
    """
    document = DOCUMENTS[name]
    theirs = schema_of(record(document.keys, extra=document.extra), Reading(generation, variables=True))
    ours = schema_of(record(_with_defaults(document)), Reading(generation, variables=False))
    theirs["properties"] |= ours["properties"]
    theirs["required"] += ours["required"]
    version = f" For Lightspeed Core {generation}." if document.keys else ""
    return {
        "$schema": DIALECT,
        "title": document.title,
        "description": f"{document.description}{version}",
        **theirs,
        "$defs": {"variable": {"type": "string", "pattern": VARIABLE}},
    }


def _with_defaults(document: Document) -> Record:
    # An empty text stands for "not set", which is nothing to tell in an editor.
    defaults = {name: value for name, value in document.defaults.items() if value != ""}
    return {name: replace(key, default=defaults.get(name, key.default)) for name, key in document.own.items()}


def schema_of(kind: Kind, reading: Reading) -> Schema:
    """The JSON Schema of one kind."""
    build = KINDS.get(kind["type"], _anything)
    return build(kind, reading)


def _property(key: Key, reading: Reading) -> Schema:
    description = " ".join(said for said in (key.doc, ROLES.get(key.role, "")) if said)
    more: Schema = {"description": description} if description else {}
    if key.default is not None:
        more["default"] = key.default
    return {**schema_of(key.kind, reading), **more}


def _record(kind: Kind, reading: Reading) -> Schema:
    keys = {name: key for name, key in kind["keys"].items() if key.known_in(reading.generation)}
    found: Schema = {
        "type": "object",
        "properties": {name: _property(key, reading) for name, key in keys.items()},
        "required": [name for name, key in keys.items() if key.required],
    }
    return found if kind["extra"] == "allow" else {**found, "additionalProperties": False}


def _mapping(kind: Kind, reading: Reading) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": schema_of(kind["values_schema"], reading)}
    names = schema_of(kind["keys_schema"], Reading(reading.generation, variables=False))
    return found if names == {"type": "string"} else {**found, "propertyNames": names}


def _list(kind: Kind, reading: Reading) -> Schema:
    return {"type": "array", "items": schema_of(kind["items_schema"], reading), **_renamed(kind, LIST_BOUNDS)}


def _nullable(kind: Kind, reading: Reading) -> Schema:
    return _any_of([schema_of(kind["schema"], reading), {"type": "null"}])


def _union(kind: Kind, reading: Reading) -> Schema:
    return _any_of([schema_of(one, reading) for one in kind["choices"]])


def _tagged(kind: Kind, reading: Reading) -> Schema:
    return _any_of([_with_tag(kind["discriminator"], tag, one, reading) for tag, one in kind["choices"].items()])


def _with_tag(name: str, tag: str, kind: Kind, reading: Reading) -> Schema:
    found = schema_of(kind, reading)
    told = found["properties"].get(name, {})
    kept = {word: told[word] for word in ("description", "default") if word in told}
    properties = {**found["properties"], name: {"enum": [tag], **kept}}
    return {**found, "properties": properties, "required": sorted({*found["required"], name})}


def _since(kind: Kind, reading: Reading) -> Schema:
    held = [one for since, one in kind["kinds"].items() if since <= reading.generation]
    return schema_of(held[-1], reading) if held else {}


def _text(kind: Kind, reading: Reading) -> Schema:
    found: Schema = {"type": "string", **_renamed(kind, TEXT_BOUNDS)}
    if "pattern" in found:
        # Python's own words for the ends of a text are letters in JavaScript.
        found["pattern"] = found["pattern"].replace(r"\A", "^").replace(r"\Z", "$").replace(r"\z", "$")
    if kind.get("coerce_numbers_to_str"):
        return _any_of([found, {"type": "number"}, *_variable(reading)])
    return _any_of([found, *_variable(reading)]) if len(found) > 1 else found


def _number(kind: Kind, reading: Reading) -> Schema:
    name = "integer" if kind["type"] == "int" else "number"
    # Quoted, a number is one too for the services; bounds are the services' to check then.
    quoted = {"type": "string", "pattern": NUMBER}
    return _any_of([{"type": name, **_renamed(kind, NUMBER_BOUNDS)}, quoted, *_variable(reading)])


def _flag(kind: Kind, reading: Reading) -> Schema:
    words: list[Schema] = [] if kind.get("strict") else [{"type": "string", "pattern": FLAG}]
    return _any_of([{"type": "boolean"}, *words, *_variable(reading)])


def _url(kind: Kind, reading: Reading) -> Schema:
    schemes = "|".join(kind["allowed_schemes"])
    return _any_of([{"type": "string", "pattern": f"^({schemes})://"}, *_variable(reading)])


def _literal(kind: Kind, reading: Reading) -> Schema:
    return _any_of([{"enum": list(kind["expected"])}, *_variable(reading)])


def _anything(_kind: Kind, _reading: Reading) -> Schema:
    return {}


def _variable(reading: Reading) -> list[Schema]:
    return [{"$ref": "#/$defs/variable"}] if reading.variables else []


def _any_of(choices: list[Schema]) -> Schema:
    """Any of some; choices within choices become one list.

    Where one of them allows all, only those with keys are kept beside it: an editor offers these.
    """
    flat = [inner for one in choices for inner in _choices(one)]
    if {} in flat:
        flat = [one for one in flat if not one or _has_keys(one)]
    once = [one for index, one in enumerate(flat) if one not in flat[:index]]
    return once[0] if len(once) == 1 else {"anyOf": once}


def _has_keys(schema: Schema) -> bool:
    return any(word in schema for word in ("properties", "items", "additionalProperties"))


def _choices(schema: Schema) -> Iterator[Schema]:
    yield from schema["anyOf"] if set(schema) == {"anyOf"} else [schema]


def _renamed(kind: Kind, names: Mapping[str, str]) -> Schema:
    return {names[name]: value for name, value in kind.items() if name in names}


# The words of pydantic's core, and those of JSON Schema.
TEXT_BOUNDS: Mapping[str, str] = {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"}
LIST_BOUNDS: Mapping[str, str] = {"min_length": "minItems", "max_length": "maxItems"}
NUMBER_BOUNDS: Mapping[str, str] = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}

KINDS: Mapping[str, Callable[[Kind, Reading], Schema]] = {
    "record": _record,
    "dict": _mapping,
    "list": _list,
    "nullable": _nullable,
    "union": _union,
    "tagged-union": _tagged,
    "by_generation": _since,
    "str": _text,
    "int": _number,
    "float": _number,
    "bool": _flag,
    "url": _url,
    "literal": _literal,
    "any": _anything,
}
