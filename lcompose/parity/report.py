"""A comparison for people, for machines, for whoever shows test results, and for GitHub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from lcompose.annotations import lines as annotation
from lcompose.columns import aligned
from lcompose.errors import NotReadyError
from lcompose.parity import Row, Seen, Verdict

Redact = Callable[[str], str]

MOST_SHOWN = 12
MARKS: Mapping[Verdict, str] = {
    "ok": "ok",
    "differs": "DIFFERS",
    "failed": "FAILED",
    "absent": "-",
    "refused": "refused",
}
ALL_FAIL = "it answered {}, as the others do: that they agree does not make it right"
NO_SUCH_PATH = "there is no such path"
REFUSED = "it is refused, as by the others, for want of a token: send one with --header, or by parity.yaml"
WHY_NOT: Mapping[Verdict, str] = {"absent": NO_SUCH_PATH, "refused": REFUSED}
SEND_ONE = "Send one: --header 'Authorization: Bearer ${NAME}'"
# What XML 1.0 cannot hold, whatever a service says.
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def agree(rows: Sequence[Row]) -> bool:
    """Whether all legs do the same, and none failed."""
    return all(row.agrees for row in rows)


def lines(rows: Sequence[Row], legs: Sequence[str]) -> list[str]:
    """A table, and below it what differs."""
    cells = [(row.assertion, *(_cell(row, leg) for leg in legs)) for row in rows]
    table = aligned([("ASSERTION", *(leg.upper() for leg in legs)), *cells])
    details = (line for row in rows if not row.agrees for line in _details(row))
    return [*table, *details, "", _verdict(rows, legs), *_refused(rows)]


def _cell(row: Row, leg: str) -> str:
    return f"{MARKS[row.verdicts[leg]]} {row.seen[leg].told}".rstrip()


def _verdict(rows: Sequence[Row], legs: Sequence[str]) -> str:
    wrong = [row.assertion for row in rows if not row.agrees]
    if wrong:
        return f"{len(wrong)} of {len(rows)} assertions do not hold: {', '.join(wrong)}."
    return f"{', '.join(legs)} agree in {len(rows)} assertions."


def _refused(rows: Sequence[Row]) -> Iterator[str]:
    found = [row.assertion for row in rows if "refused" in row.verdicts.values()]
    if found:
        yield f"Refused for want of a token: {', '.join(found)}. {SEND_ONE}"


def _details(row: Row) -> Iterator[str]:
    yield ""
    yield f"{row.assertion}{f'   ({row.where})' if row.where else ''}"
    for leg, verdict in row.verdicts.items():
        if verdict in ("differs", "failed"):
            yield from (f"  {line}" for line in _detail(row, leg))


def _detail(row: Row, leg: str) -> Iterator[str]:
    """What is wrong on a leg; a difference as a small diff."""
    if row.verdicts[leg] == "failed":
        yield f"{leg}: {row.seen[leg].problem or ALL_FAIL.format(row.seen[leg].told)}"
        return
    found = row.differences[leg]
    yield f"--- {row.yardstick}"
    yield f"+++ {leg}"
    for one in found[:MOST_SHOWN]:
        yield f"-{one.path}: {one.wanted}"
        yield f"+{one.path}: {one.found}"
    if len(found) > MOST_SHOWN:
        yield f"… and {len(found) - MOST_SHOWN} more; --json has them all"


def document(rows: Sequence[Row], legs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Everything for machines; the keys stay as they are."""
    return {"agree": agree(rows), "legs": list(legs), "assertions": [_assertion(row) for row in rows]}


def _assertion(row: Row) -> dict[str, Any]:
    return {
        "name": row.assertion,
        "where": row.where,
        "agrees": row.agrees,
        "compared_with": row.yardstick,
        "legs": {leg: _on_leg(row, leg, seen) for leg, seen in row.seen.items()},
    }


def _on_leg(row: Row, leg: str, seen: Seen) -> dict[str, Any]:
    return {
        "verdict": row.verdicts[leg],
        "seconds": round(seen.seconds, 3),
        "told": seen.told,
        "problem": seen.problem or (ALL_FAIL.format(seen.told) if row.verdicts[leg] == "failed" else ""),
        "absent": seen.absent or WHY_NOT.get(row.verdicts[leg], ""),
        "differences": [
            {"path": one.path, "wanted": one.wanted, "found": one.found} for one in row.differences.get(leg, ())
        ],
    }


def junit(rows: Sequence[Row], legs: Sequence[str], redact: Redact) -> str:
    """JUnit's XML: a suite for each leg, and in it a test case for each assertion."""
    root = ElementTree.Element("testsuites", name="lcompose parity")
    for leg in legs:
        _suite(root, rows, leg, redact)
    _count(root, list(root.iter("testcase")))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _suite(root: ElementTree.Element, rows: Sequence[Row], leg: str, redact: Redact) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=leg)
    for row in rows:
        seconds = f"{row.seen[leg].seconds:.3f}"
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"parity.{leg}", name=_xml(redact(row.assertion)), time=seconds
        )
        if why_not := WHY_NOT.get(row.verdicts[leg]):
            ElementTree.SubElement(case, "skipped", message=_xml(redact(row.seen[leg].absent or why_not)))
        elif row.verdicts[leg] != "ok":
            text = _xml(redact("\n".join(_detail(row, leg))))
            message = f"{row.assertion} {row.verdicts[leg]} on {leg}"
            ElementTree.SubElement(case, "failure", message=_xml(redact(message)), type=row.verdicts[leg]).text = text
    _count(suite, list(suite))


def _count(element: ElementTree.Element, cases: Sequence[ElementTree.Element]) -> None:
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(one.find("failure") is not None for one in cases)))
    element.set("errors", "0")
    element.set("skipped", str(sum(one.find("skipped") is not None for one in cases)))
    element.set("time", f"{sum(float(one.get('time', '0')) for one in cases):.3f}")


def _xml(text: str) -> str:
    return NOT_XML.sub("�", text)


def workflow_commands(rows: Sequence[Row], directory: str, root: str, redact: Redact) -> list[str]:
    """A workflow command of GitHub's for each assertion that does not hold."""
    return [
        line
        for row in rows
        if not row.agrees
        for line in annotation(_error(row), directory=directory, root=root, redact=redact)
    ]


def _error(row: Row) -> NotReadyError:
    wrong = [leg for leg, verdict in row.verdicts.items() if verdict in ("differs", "failed")]
    details = tuple(line for leg in wrong for line in _detail(row, leg))
    return NotReadyError(f"{row.assertion} does not hold on {', '.join(wrong)}", row.where, "", details)
