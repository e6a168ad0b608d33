"""``.env`` files, read as Compose reads them: one that works with ``docker compose`` means the same here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lcompose.errors import ConfigError, Finding, Position

Lookup = Callable[[str], "str | None"]

NOTHING = re.compile(r"(?:\s|#[^\n]*)*")
# As in YAML, a colon will do. A name alone is a variable that is taken from the environment.
SPACE = r"[ \t\v\f\r\x85\xa0]"
NAME = re.compile(rf"(?:export{SPACE}+)?(?P<name>[\w.\[\]-]+){SPACE}*(?P<end>[=:]|\n|\Z){SPACE}*")
QUOTED = {
    "'": re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL),
    '"': re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL),
}
BARE = re.compile(r"[^\n]*")
ESCAPED = re.compile(r"\\(?:([abfnrtv\"\\$])|0(\d{0,3}))")
# A dollar that stands for itself is doubled, until variables have been filled in.
ESCAPES = dict(zip('abfnrtv"\\', '\a\b\f\n\r\t\v"\\', strict=True)) | {"$": "$$"}

VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<name>[A-Za-z_]\w*)|(?P<brace>\{))", re.ASCII)
BRACED = re.compile(r"(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-+?])(?P<text>.*))?", re.ASCII | re.DOTALL)
BRACE = re.compile(r"\$\{|\}")


def variables(text: str, env: Mapping[str, str], file: str = ".env") -> dict[str, str]:
    """The variables of a file. One in a value is the environment's, else an earlier one of the file.

    Raises: ConfigError for what Compose refuses too.
    """
    text = text.removeprefix("\ufeff")
    found: dict[str, str] = {}
    position = _after(NOTHING, text, 0)
    while position < len(text):
        where = Position(file, text.count("\n", 0, position) + 1, 1)
        name = NAME.match(text, position)
        if not name:
            raise _refused(where, "", "this line does not begin with a name and '='", "Write NAME=value.")
        if name["end"] in ("=", ":"):
            found[name["name"]], position = _value(text, name.end(), _Values(found, env, where, name["name"]))
        else:
            found |= {name["name"]: env[name["name"]]} if name["name"] in env else {}
            position = name.end()
        position = _after(NOTHING, text, position)
    return found


def filled(text: str, env: Mapping[str, str], where: Position, path: str = "") -> str:
    """A text with its variables filled in as Compose does it; ``$$`` is a dollar.

    Raises: ConfigError for a variable that must be set and is not, and for what is none.
    """
    return _filled(text, _Values({}, env, where, path))


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


class _Values:
    """What variables mean in one value, and where that stands."""

    def __init__(self, found: Mapping[str, str], env: Mapping[str, str], where: Position, name: str) -> None:
        self.found, self.env, self.where, self.name = found, env, where, name

    def get(self, name: str) -> str | None:
        return self.env.get(name, self.found.get(name))

    def refused(self, what: str, fix: str) -> ConfigError:
        return _refused(self.where, self.name, what, fix)


def _refused(where: Position, path: str, what: str, fix: str) -> ConfigError:
    # The line itself is not repeated: it may hold a secret.
    return ConfigError([Finding(where, path, what, fix)])


def _value(text: str, position: int, values: _Values) -> tuple[str, int]:
    """A value, and where it ends."""
    quote = text[position : position + 1]
    if quote not in QUOTED:
        end = _after(BARE, text, position)
        bare = text[position:end].partition(" #")[0].rstrip()
        return _filled(bare, values), end
    match = QUOTED[quote].match(text, position)
    if not match:
        raise values.refused("the quote is not closed", f"End the value with {quote}.")
    inside = re.sub(r"\\(.)", lambda one: one[1] if one[1] == quote else one[0], match[1], flags=re.DOTALL)
    return (inside if quote == "'" else _filled(ESCAPED.sub(_unescaped, inside), values)), match.end()


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return ESCAPES[match[1]]
    octal = re.fullmatch("[0-3][0-7]{2}", match[2])
    return chr(int(match[2], 8)) if octal else f"\\{match[2]}"


def _filled(text: str, values: _Values) -> str:
    """The text with its variables filled in."""
    done, position = "", 0
    while match := VARIABLE.search(text, position):
        done, position = done + text[position : match.start()], match.end()
        if match["brace"]:
            end = _closing(text, position)
            done, position = done + _braced(text[position:end], values, closed=end < len(text)), end + 1
        else:
            done += "$" if match["dollar"] else values.get(match["name"]) or ""
    return done + text[position:]


def _closing(text: str, position: int) -> int:
    """Where the brace ends that was opened before ``position``; others may be inside."""
    depth = 1
    for match in BRACE.finditer(text, position):
        depth += -1 if match[0] == "}" else 1
        if not depth:
            return match.start()
    return len(text)


def _braced(inside: str, values: _Values, *, closed: bool) -> str:
    match = BRACED.fullmatch(inside)
    if not match or not closed:
        raise values.refused("this is no variable as Compose writes them", "Write ${NAME}, or $$ for a dollar.")
    value = values.get(match["name"])
    operator = match["operator"] or ""
    there = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("?") and not there:
        raise values.refused(f"the variable {match['name']} is not set", f"Set {match['name']}, or give a default.")
    if operator.endswith("-"):
        return value or "" if there else _filled(match["text"], values)
    if operator.endswith("+"):
        return _filled(match["text"], values) if there else value or ""
    return value or ""
