"""Checks of what surrounds a stack: proxies, and the time."""

from __future__ import annotations

from collections.abc import Iterator

from lcompose.doctor.facts import Diagnosis, Facts

# Nothing that lcompose speaks to has a certificate that was good before 2025.
BEGINNING = 1_735_689_600.0


def proxies(facts: Facts) -> Iterator[Diagnosis]:
    """What services get of proxies; lcompose itself asks none for this machine."""
    for found in facts.surprises:
        yield Diagnosis("surroundings.proxy", "warning", found.path, found.what, found.fix)
    handed_on = facts.stack.proxies if facts.stack else True
    if not facts.proxies or handed_on is None:
        return
    names = ", ".join(facts.proxies)
    if not handed_on:
        yield Diagnosis("surroundings.proxies", "ok", names, "the services get none, since 'proxies: false' is set")
        return
    left_out = "" if facts.localhost_excepted else "; NO_PROXY lacks localhost, which harms nothing here"
    what = f"the services get it by name, and a NO_PROXY with localhost and the names of all services{left_out}"
    yield Diagnosis("surroundings.proxies", "ok", names, what)


def clock(facts: Facts) -> Iterator[Diagnosis]:
    """Whether this machine's clock can be right."""
    if 0 < facts.clock < BEGINNING:
        what = "this machine's clock stands before 2025, so no certificate is valid yet and nothing can be fetched"
        yield Diagnosis("surroundings.clock", "error", "clock", what, "sudo timedatectl set-ntp true")
