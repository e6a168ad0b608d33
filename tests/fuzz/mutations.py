"""Broken configurations: a sample, changed at random in its bytes, its lines or its values.

Everything comes out of one random generator, so that a number makes the same input again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import date
from itertools import pairwise
from random import Random
from typing import Any

import yaml

from lcompose.load import Path
from lcompose.schema import Kind

Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

# What YAML, Compose, paths, URLs and variables give a meaning to.
FRAGMENTS = [
    b":", b": ", b"- ", b"- - ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"<<: *a", b"!!int ", b"!!binary ", b"!x ",
    b"|", b">", b"|+\n", b"'", b'"', b"\\", b"#", b" #", b"%", b"@", b"`", b"?", b"? ", b",", b"\t", b"\n", b"\r",
    b"\r\n", b"  ", b"\0", b"\x1b", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80", b"---\n", b"...\n", b"~", b"$", b"$$", b"${", b"}", b"${env.A}", b"${env.A:=", b"${env.A:+x}",
    b"${env.HOME}", b"null", b"true", b"1e5", b".inf", b".nan", b"0x1f", b"1:1:1", b"9" * 30, b"2001-99-99",
    b"__disabled__", b"localhost", b"http://[", b"::1", b"../../", b"/",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 80, 65536, 2**63, 10**40, 0.0, 1.5, 1e308, float("inf"), float("-inf"), float("nan"),
    "", " ", "\n", "a", "a: b", "# x", "true", "1e5", "007", "~", "~/x", "~nobody/x", "/", "//", "//x", ".", "..",
    "/etc/passwd", "../../../x", "/a/../..", "x" * 5000, "é" * 300, "\u2028", "\x85", "😀", "\x7f", "$", "$$",
    "${X}", "${X:?}", "${env.A}", "${env.}", "${env.A:=b}", "${env.A:+b}", "${env.A:=", "${env.HOME:=~}/x",
    "${env.B}", "${env.B}/${env.C:=d}", "__disabled__", "http://", "http://[", "http://[::1]:99999", "http://\ud7ff",
    "http://localhost:8321", "http://user:pass@db.example.com:5432/x", "https://llama-stack", "localhost", "0.0.0.0",
    "::", "a" * 64 + ".example.com", "x:y:z:w", "/x:/y:rw", "8080:80", "1-2:3-4", "512m", "1e9g", "-1m", "sqlite",
    "kv_sqlite", "sql_postgres", "remote::vllm", "inline::faiss", "file:///x", "image:tag@sha256:0", "image:1.2.5",
    [], {}, [None], [[]], {"": ""}, {"a": None}, {"provider_id": None}, [{"provider_id": "__disabled__"}],
    {"db_path": "x"}, {"url": "x"}, date(2024, 2, 29), [1, "a", None, {"b": [2]}],
]  # fmt: skip
NAMES = [
    "", "a", "name", "ogx", "llama_stack", "service", "config", "url", "port", "host", "providers", "provider_id",
    "provider_type", "db_path", "password", "api_key", "storage", "backends", "type", "container", "compose", "runtime",
    "${env.A}", "0", "x.y", "é", "limits", "companions", "mcp_servers", "tls_config", "__class__",
]  # fmt: skip


def mutated(samples: list[bytes], known: list[Path], seed: int, number: int) -> bytes:
    """The input that belongs to a seed and a number; ``known`` are paths at which something has a meaning."""
    random = Random(f"{seed}:{number}")
    data = random.choice(samples)
    if random.random() < 0.7:
        data = _in_its_values(data, random, known)
    for _ in range(random.choice((0, 0, 1, 1, 1, 2, 3, 6))):
        data = random.choice(IN_BYTES)(data, random, samples)
    return data


def _insert(data: bytes, random: Random, _: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(FRAGMENTS) + data[at:]


def _delete(data: bytes, random: Random, _: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.choice((1, 2, 5, 40)) :]


def _flip(data: bytes, random: Random, _: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _repeat(data: bytes, random: Random, _: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    piece = data[at : at + random.randrange(1, 60)]
    return data[:at] + piece * random.choice((2, 3, 50)) + data[at:]


def _truncate(data: bytes, random: Random, _: list[bytes]) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _splice(data: bytes, random: Random, samples: list[bytes]) -> bytes:
    other = random.choice(samples)
    at = random.randrange(len(other) + 1)
    return data[: random.randrange(len(data) + 1)] + other[at : at + 2000]


def _indent(data: bytes, random: Random, _: list[bytes]) -> bytes:
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    lines[at] = lines[at].lstrip() if random.random() < 0.5 else random.choice((b" ", b"  ", b"\t")) + lines[at]
    return b"\n".join(lines)


def _swap_lines(data: bytes, random: Random, _: list[bytes]) -> bytes:
    lines = data.split(b"\n")
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines)


Mutation = Callable[[bytes, Random, list[bytes]], bytes]
IN_BYTES: list[Mutation] = [_insert, _insert, _delete, _flip, _repeat, _truncate, _splice, _indent, _swap_lines]


def known_paths(kind: Kind, path: Path = ()) -> Iterator[Path]:
    """Every path that a table of keys knows, with one item in each list."""
    inner = {"list": ("items_schema", (0,)), "dict": ("values_schema", ("x",)), "nullable": ("schema", ())}
    match kind["type"]:
        case "record":
            for name, key in kind["keys"].items():
                yield (*path, name)
                yield from known_paths(key.kind, (*path, name))
        case "union":
            for choice in kind["choices"]:
                yield from known_paths(choice, path)
        case "list" | "dict" | "nullable":
            part, steps = inner[kind["type"]]
            yield from known_paths(kind[part], (*path, *steps))


def _put(tree: Any, path: Path, value: Any) -> None:
    """Puts a value at a path; what is in the way stays."""
    for step, following in pairwise((*path, None)):
        empty = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(tree, list) and isinstance(step, int):
            tree[len(tree) :] = [empty] if not tree else []
        elif isinstance(tree, dict) and (following is None or not isinstance(tree.get(step), dict | list)):
            tree[step] = empty
        elif not isinstance(tree, dict):
            return
        tree = tree[step]


def _in_its_values(data: bytes, random: Random, known: list[Path]) -> bytes:
    """The same document with some of its values and keys exchanged, removed, nested or doubled."""
    tree = yaml.load(data, Loader=yaml.CSafeLoader)
    for _ in range(random.choice((0, 0, 1, 2, 5))):
        _put(tree, random.choice(known), deepcopy(random.choice(VALUES)))
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        places = list(_containers(tree))
        if places:
            _change(random.choice(places), random, places)
    return yaml.dump(tree, Dumper=Dumper, sort_keys=False, allow_unicode=True).encode(errors="surrogatepass")


def _containers(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list) and tree:
        yield tree
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from _containers(child)


def _change(place: Any, random: Random, places: list[Any]) -> None:
    key = random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
    match random.randrange(7):
        case 0 | 1 | 2:
            # A copy: what is changed in it next must not be there in another input.
            place[key] = deepcopy(random.choice(VALUES))
        case 3:
            del place[key]
        case 4:
            place[key] = [place[key]] if random.random() < 0.5 else {random.choice(NAMES): place[key]}
        case 5:
            # A copy: a container inside itself cannot be walked.
            place[key] = deepcopy(random.choice(places))
        case _ if isinstance(place, dict):
            place[random.choice(NAMES)] = place.pop(key)
        case _:
            place.append(deepcopy(place[key]))
