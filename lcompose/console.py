"""All printing: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

from lcompose.columns import aligned
from lcompose.errors import ConfigError, Finding, LcomposeError, known_lines
from lcompose.spec.events import Event
from lcompose.spec.project import Change

# Seconds between two lines that only say what is waited for, where no person watches.
WAITING_EVERY = 5.0
# Findings that are shown to a person; more of them have one cause.
MOST_SHOWN = 50
# States that say little without their cause.
TELLING = ("pulling", "offline", "error", "warming", "starting", "unloading")
ENGINE_NOISE = ("Network ", "Volume ", "Container ", "time=")


@dataclass
class Console:
    """Where a command prints to, and how."""

    as_json: bool = False
    verbose: bool = False
    redact: Callable[[str], str] = str
    waiting: dict[str, str] = field(default_factory=dict)
    waiting_told: dict[str, float] = field(default_factory=dict)
    waiting_at: float = -1.0
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def lively(self) -> bool:
        """Whether a person watches: then lines may be overwritten."""
        return self.err.isatty() and not self.as_json

    def result(self, text: str) -> None:
        """Prints a result."""
        self.out.write(text if text.endswith("\n") else f"{text}\n")
        self.out.flush()

    def value(self, value: Any) -> None:
        """Prints a result for machines."""
        self.result(json.dumps(value, indent=2, default=str))

    def note(self, text: str) -> None:
        """Tells the person something beside the result."""
        self._clear()
        self.err.write(f"{self.redact(text)}\n")
        self.err.flush()

    def log_line(self, service: str, text: str) -> None:
        """Prints a line that a service printed."""
        self.result(f"{service} | {self.redact(text)}")

    def event(self, event: Event) -> None:
        """Tells what happens: a line each; what only waits is overwritten where a person watches."""
        if self.as_json:
            self.err.write(json.dumps(self.redacted(_event_fields(event))) + "\n")
            return
        if event.kind == "detail" and not self.verbose and not self._is_news(event.text):
            return
        if event.kind == "waiting":
            self._still_waiting(event)
            return
        self.waiting.pop(event.subject, None)
        seconds = f"   ({event.at:.1f} s)" if event.kind == "state" and event.at else ""
        news = event.text in TELLING and event.cause != f"{event.subject} is running"
        cause = f": {event.cause}" if event.cause and news else ""
        self.note(f"  {event.subject}: {event.text}{cause}{seconds}")

    def _still_waiting(self, event: Event) -> None:
        """One line for all that is waited for: overwritten where a person watches, else now and then."""
        if not self.lively:
            if event.at - self.waiting_told.get(event.subject, 0.0) >= WAITING_EVERY:
                self.waiting_told[event.subject] = event.at
                self.note(f"  {event.subject}: {event.text}   ({event.at:.1f} s)")
            return
        if event.at != self.waiting_at:
            # What was told a second ago and is not told now is no longer waited for.
            self.waiting.clear()
        self.waiting_at = event.at
        self.waiting[event.subject] = event.text
        told = ", ".join(f"{subject} {text}" for subject, text in self.waiting.items())
        self.err.write(self.redact(f"\r\x1b[K  {told}   ({event.at:.0f} s)"))
        self.err.flush()

    def warn(self, findings: Iterable[Finding]) -> None:
        """Tells warnings, as lines or as one JSON object a line."""
        for found in findings:
            self.note(json.dumps(self.redacted(finding_fields(found))) if self.as_json else str(found))

    def changes(self, changes: Iterable[Change]) -> None:
        """Tells, when asked to say more, what the derived documents say differently."""
        for change in changes if self.verbose and not self.as_json else ():
            after = change.after or "(removed)"
            before = f" (was {change.before})" if change.before else ""
            self.note(f"  {change.document}: {change.path}: {after}{before}: {change.reason}")

    def error(self, error: LcomposeError) -> None:
        """Tells an error: what, where, and what to do; for machines on standard output."""
        if self.as_json:
            self.value({"error": self.redacted(error_fields(error))})
            return
        self._clear()
        findings = error.findings if isinstance(error, ConfigError) else ()
        lines = [str(found) for found in findings[:MOST_SHOWN]]
        if len(findings) > MOST_SHOWN:
            lines.append(f"… and {len(findings) - MOST_SHOWN} more; --json has them all")
        lines += [*error.details, f"lcompose: {error.what}"]
        lines += [f"  where: {error.where}"] if error.where else []
        lines += known_lines(error)
        lines += [f"  to do: {error.fix}"] if error.fix else []
        self.err.write(self.redact("\n".join(lines)) + "\n")
        self.err.flush()

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Prints a table as the result."""
        self.result("\n".join(aligned([header, *rows])))

    def redacted(self, value: Any) -> Any:
        """A value for machines without secrets: in JSON text one may be written with escapes."""
        if isinstance(value, Mapping):
            return {key: self.redacted(child) for key, child in value.items()}
        if isinstance(value, list):
            return [self.redacted(child) for child in value]
        return self.redact(value) if isinstance(value, str) else value

    def _is_news(self, text: str) -> bool:
        return "ull" in text and not text.strip().startswith(ENGINE_NOISE)

    def _clear(self) -> None:
        if self.lively:
            self.err.write("\r\x1b[K")


def _event_fields(event: Event) -> Mapping[str, Any]:
    fields = {"kind": event.kind, "subject": event.subject, "text": event.text, "at": round(event.at, 3)}
    return {**fields, "cause": event.cause} if event.cause else fields


def finding_fields(found: Finding) -> dict[str, Any]:
    """A finding for machines."""
    return {
        "severity": found.severity,
        "file": found.where.file,
        "line": found.where.line,
        "column": found.where.column,
        "path": found.path,
        "what": found.what,
        "fix": found.fix,
    }


def error_fields(error: LcomposeError) -> dict[str, Any]:
    """An error for machines."""
    findings = error.findings if isinstance(error, ConfigError) else ()
    return {
        "exit_code": error.exit_code,
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "details": list(error.details),
        "findings": [finding_fields(found) for found in findings],
        "known": [asdict(known) for known in error.known],
    }
