"""Documents made at random of a table of keys: mostly right, with a fault here and there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from lcompose.schema import Kind

# Few, so that names are met again elsewhere in the document.
TEXTS = ("a", "b", "okp", "*", "faiss", "inline::faiss", "kubernetes", "/x", "/x/", "[", "a b", "A", "byok_a", "")
URLS = ("http://a:1", "https://a/b")
FAULTS: tuple[Any, ...] = (
    None, True, 0, 1, -1, 1.5, 70000, "5", "yes", "x", "", [], {}, [None], {"a": 1}, float("nan"),
)  # fmt: skip


def made(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    """A value of a kind; each part of it is replaced by something else with the chance ``fault``."""
    if random.random() < fault:
        return random.choice(FAULTS)
    return MAKERS[kind["type"]](kind, random, generation, fault)


def _record(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    known = {name: key for name, key in kind["keys"].items() if key.known_in(generation)}
    chance = random.choice((0.03, 0.1, 0.3, 0.5, 1.0))
    chosen = [
        name
        for name, key in known.items()
        if random.random() > fault and (key.required or random.random() < chance)
    ]  # fmt: skip
    more = ["unheard_of"] if random.random() < fault / 4 else []
    return {name: made(known[name].kind, random, generation, fault) for name in chosen} | dict.fromkeys(more, 1)


def _nullable(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    return None if random.random() < 0.1 else made(kind["schema"], random, generation, fault)


def _list(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    count = max(kind.get("min_length", 0), random.choice((0, 1, 1, 2)))
    return [made(kind["items_schema"], random, generation, fault) for _ in range(count)]


def _dict(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    names = random.sample(("a", "b"), random.choice((0, 1, 2)))
    return {name: made(kind["values_schema"], random, generation, fault) for name in names}


def _text(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    good = [text for text in TEXTS if len(text) >= kind.get("min_length", 0)]
    return random.choice(("a", "b", *good))


def _number(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    low, high = kind.get("ge", kind.get("gt", -1) + 1), kind.get("le", 99)
    return random.choice((low, high, str(high), low, (low + high) / 2 if kind["type"] == "float" else high))


def _union(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    return made(random.choice(kind["choices"]), random, generation, fault)


def _tagged(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    return made(random.choice(list(kind["choices"].values())), random, generation, fault)


def _since(kind: Kind, random: Random, generation: str, fault: float) -> Any:
    return made(random.choice(list(kind["kinds"].values())), random, generation, fault)


MAKERS: Mapping[str, Callable[[Kind, Random, str, float], Any]] = {
    "record": _record,
    "nullable": _nullable,
    "list": _list,
    "dict": _dict,
    "str": _text,
    "int": _number,
    "float": _number,
    "bool": lambda kind, random, *_: random.choice((True, False, True, "yes")),
    "url": lambda kind, random, *_: random.choice(URLS),
    "literal": lambda kind, random, *_: random.choice(kind["expected"]),
    "any": lambda kind, random, *_: random.choice(FAULTS),
    "union": _union,
    "tagged-union": _tagged,
    "by_generation": _since,
}
