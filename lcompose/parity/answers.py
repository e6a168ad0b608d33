"""What an answer is worth: the value that is compared with those of other legs, and what is wrong with it alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lcompose.parity import Seen, Verdict
from lcompose.parity.asking import Reply
from lcompose.parity.normal import Ground, normalised, shape
from lcompose.parity.requests import Request

STEP = re.compile(r"\[(?P<index>\d+|\*)\]|(?P<key>[^.\[\]]+)")
OPERATIONS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
EVENTS = "text/event-stream"
# Keys under which a stream has a piece of the model's text.
PIECES = ("token", "content", "delta", "text", "response")
LONGEST_SHOWN = 120
# What is there for whoever has a token.
REFUSED = (401, 403)
# What is answered for a path that there is not, in an older Lightspeed Core; other things may be missing, too.
NO_SUCH_PATH = (404, {"detail": "Not Found"})
# Of a stream, that it went wrong after its status was sent.
ERROR = "error"


def seen(
    reply: Reply,
    request: Request,
    ground: Ground,
    clean: Callable[[Any], Any] = lambda body: body,
    *,
    texts: bool = False,
) -> Seen:
    """What a leg's answer is compared by. ``clean`` takes secrets out of it; ``texts`` says that a model's
    words must be the same too.
    """
    body = clean(_body(reply))
    problem = _problem(reply.status, body, request)
    if problem:
        return Seen(problem=problem, told=str(reply.status))
    compared = _COMPARED[request.compare](_without(body, request.ignore), ground, texts)
    value = {"status": reply.status, "type": reply.kind, "body": compared}
    return Seen(value, told=str(reply.status), alike=_alike(reply.status, body, request))


def _alike(status: int, body: Any, request: Request) -> Verdict:
    """What an answer of ours is worth that all legs give; a person says by ``expect`` what theirs is to be."""
    if not request.right:
        return "ok"
    if status in REFUSED:
        return "refused"
    if (status, body) == NO_SUCH_PATH:
        return "absent"
    return "ok" if status // 100 == request.right and not _broke_off(body) else "failed"


def _broke_off(body: Any) -> bool:
    stream = body.get("stream") if isinstance(body, Mapping) else None
    return isinstance(stream, list) and any(one["kind"] == ERROR for one in stream)


def _body(reply: Reply) -> Any:
    if reply.kind == EVENTS:
        return {"stream": list(events(reply.body))}
    try:
        return json.loads(reply.body)
    except ValueError:
        return reply.body.decode(errors="replace")


def events(body: bytes) -> Iterator[dict[str, Any]]:
    """The events of a stream: what each is called, and its data."""
    name = ""
    for line in body.decode(errors="replace").splitlines():
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data = _data(value)
            yield {"kind": name or _kind(data), "data": data}
        elif not line:
            name = ""


def _data(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _kind(data: Any) -> str:
    if not isinstance(data, Mapping):
        return str(data)[:LONGEST_SHOWN] if data == "[DONE]" else "data"
    return str(data.get("event") or data.get("type") or data.get("object") or "data")


def _by_values(body: Any, ground: Ground, texts: bool) -> Any:
    return normalised(body, ground)


def _by_shape(body: Any, ground: Ground, texts: bool) -> Any:
    stream = body.get("stream") if isinstance(body, Mapping) else None
    if isinstance(stream, list):
        return _of_stream(stream, ground, texts)
    return normalised(body, ground) if texts else shape(body)


def _of_stream(stream: list[dict[str, Any]], ground: Ground, texts: bool) -> Any:
    """The kinds of events in the order of their first, and of each its shapes: how many there are means nothing."""
    kinds = list(dict.fromkeys(one["kind"] for one in stream))
    shapes = {kind: shape([one["data"] for one in stream if one["kind"] == kind]) for kind in kinds}
    said = "".join(piece for one in stream for piece in _pieces(one["data"]))
    return {"events": kinds, "shapes": shapes, **({"text": normalised(said, ground)} if texts else {})}


def _pieces(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, child in data.items():
            if isinstance(child, str) and key in PIECES:
                yield child
            else:
                yield from _pieces(child)
    elif isinstance(data, list):
        for one in data:
            yield from _pieces(one)


def _by_operations(body: Any, ground: Ground, texts: bool) -> Any:
    """An OpenAPI document as its operations; what is none is compared by its shape."""
    paths = body.get("paths") if isinstance(body, Mapping) else None
    if not isinstance(paths, Mapping):
        return shape(body)
    return {
        str(path): sorted(verb for verb in OPERATIONS if isinstance(one, Mapping) and verb in one)
        for path, one in sorted(paths.items())
    }


_COMPARED: Mapping[str, Callable[[Any, Ground, bool], Any]] = {
    "values": _by_values,
    "shape": _by_shape,
    "operations": _by_operations,
}


# --- what a person expects of each answer ---


def _problem(status: int, body: Any, request: Request) -> str:
    if request.status and status != request.status:
        return f"it answered {status}, and {request.status} is expected"
    for path in request.present:
        if not any(True for _ in found_at(body, path)):
            return f"its answer has no {path}"
    for path, wanted in request.equal.items():
        values = list(found_at(body, path))
        if not values or any(one != wanted for one in values):
            held = ", ".join(map(_shown, values)) or "nothing"
            return f"at {path} stands {held}, and {_shown(wanted)} is expected"
    return ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _steps(path: str) -> list[str | int]:
    matches = STEP.finditer(path.removeprefix("$."))
    return [match["key"] or ("*" if match["index"] == "*" else int(match["index"])) for match in matches]


def found_at(tree: Any, path: str) -> Iterator[Any]:
    """Everything at a path such as ``models[*].identifier``."""
    found = [tree]
    for step in _steps(path):
        found = [child for one in found for child in _children(one, step)]
    yield from found


def _children(value: Any, step: str | int) -> list[Any]:
    if isinstance(value, Mapping):
        return [value[step]] if step in value else []
    if isinstance(value, list):
        return value if step == "*" else value[step : step + 1] if isinstance(step, int) else []
    return []


def _without(tree: Any, paths: tuple[str, ...]) -> Any:
    """The same without what is ignored."""
    for path in paths:
        tree = _dropped(tree, _steps(path))
    return tree


def _dropped(tree: Any, steps: list[str | int]) -> Any:
    step, rest = steps[0], steps[1:]
    if isinstance(tree, Mapping):
        if step not in tree:
            return tree
        kept = {key: child for key, child in tree.items() if key != step}
        return {key: _dropped(tree[key], rest) if key == step else tree[key] for key in tree} if rest else kept
    if isinstance(tree, list) and (step == "*" or isinstance(step, int)):
        meant = [step in ("*", index) for index in range(len(tree))]
        if rest:
            return [_dropped(one, rest) if chosen else one for one, chosen in zip(tree, meant, strict=True)]
        return [one for one, chosen in zip(tree, meant, strict=True) if not chosen]
    return tree
