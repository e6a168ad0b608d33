"""Checks of the stack that is configured here: its files, variables, ports and images."""

from __future__ import annotations

from collections.abc import Iterator

from lcompose.doctor.facts import Diagnosis, Facts, Holder, ImageSeen, PortSeen, State
from lcompose.errors import Finding

# Findings of the files that are told; validate tells all.
MOST = 10
# Registries that give nothing to whoever is not logged in.
CLOSED = ("registry.redhat.io",)
DOCKER_HUB = "docker.io"


def configuration(facts: Facts) -> Iterator[Diagnosis]:
    """Whether the files are right, with the first of what is not."""
    stack = facts.stack
    if stack is None:
        what = "no configuration is here, so only the machine was looked at"
        yield Diagnosis("stack.configuration", "ok", "lightspeed-stack.yaml", what)
        return
    if not stack.read:
        what = "it was not read: no engine was there to read it, or it did not answer in time"
        yield Diagnosis("stack.configuration", "unknown", stack.file, what)
    elif not stack.problems and not stack.refused:
        yield Diagnosis("stack.configuration", "ok", stack.file, "the configuration is right")
    for found in stack.problems[:MOST]:
        yield _of_finding(found, "stack.configuration", "error")
    if len(stack.problems) > MOST:
        what = f"and {len(stack.problems) - MOST} more errors"
        yield Diagnosis("stack.configuration", "error", stack.file, what, "Run: lcompose validate")
    for found in stack.warnings[:MOST]:
        yield _of_finding(found, "stack.warning", "warning")


def _of_finding(found: Finding, name: str, state: State) -> Diagnosis:
    subject = f"{found.where}: {found.path}" if found.path else str(found.where)
    return Diagnosis(name, state, subject, found.what, found.fix)


def rendering(facts: Facts) -> Iterator[Diagnosis]:
    """Whether it can be written for the engine that is here."""
    if facts.stack and facts.stack.refused:
        yield _of_finding(facts.stack.refused, "stack.rendering", "error")


def variables(facts: Facts) -> Iterator[Diagnosis]:
    """The variables that it needs, by name."""
    stack = facts.stack
    if not stack:
        return
    for name in stack.unset:
        fix = f"export {name}=…   or write it to .env"
        yield Diagnosis("stack.variable", "error", name, "this variable is needed and is not set", fix)
    if stack.variables and not stack.unset:
        yield Diagnosis("stack.variable", "ok", stack.file, f"variables that it reads: {', '.join(stack.variables)}")


def ports(facts: Facts) -> Iterator[Diagnosis]:
    """Ports that it publishes, and who has them."""
    for port in facts.stack.ports if facts.stack else ():
        yield _port(port, facts)


def _port(port: PortSeen, facts: Facts) -> Diagnosis:
    subject, holder = f"{port.bind}:{port.port}", port.holder
    if facts.engine and not facts.engine.here:
        what = f"for {port.service}; whether it is free is known only where the engine is"
        return Diagnosis("stack.port", "unknown", subject, what)
    if holder and facts.stack and holder.project == facts.stack.project and holder.container:
        own = "process" if port.service in facts.stack.processes else "container"
        return Diagnosis("stack.port", "ok", subject, f"for {port.service}, and its own {own} has it")
    if not port.free:
        what, fix = f"for {port.service}, and {_said(holder)} has it", _freeing(port, holder)
        return Diagnosis("stack.port", "error", subject, what, fix)
    if (who := _bound(port, facts)) and port.port < facts.first_port:
        what = f"for {port.service}; {who} may open ports only from {facts.first_port} on"
        fix = f"sudo sysctl net.ipv4.ip_unprivileged_port_start={port.port}"
        return Diagnosis("stack.port", "error", subject, what, fix)
    return Diagnosis("stack.port", "ok", subject, f"for {port.service}, and free")


def _bound(port: PortSeen, facts: Facts) -> str:
    """Who it is that may not open every port; empty where whoever opens it may."""
    if facts.stack and port.service in facts.stack.processes:
        return "your own processes" if facts.person.uid else ""
    return "a rootless engine" if facts.engine and facts.engine.info and facts.engine.info.rootless else ""


def _said(holder: Holder | None) -> str:
    if holder is None:
        return "somebody"
    if holder.container:
        of = f" of the project {holder.project}" if holder.project else ""
        return f"the container {holder.container}{of} ({holder.engine})"
    if holder.pid:
        return f"{holder.program or 'a program'} (pid {holder.pid})"
    return f"another user's program (user {holder.user})" if holder.user else "another user's program"


def _freeing(port: PortSeen, holder: Holder | None) -> str:
    if holder and holder.container:
        return f"{holder.engine} stop {holder.container}"
    if holder and holder.pid:
        return f"kill {holder.pid}   or publish another port"
    return f"sudo ss -ltnp 'sport = :{port.port}'   tells whose it is; or publish another port"


def images(facts: Facts) -> Iterator[Diagnosis]:
    """Images that it needs: those that are here, and those that are fetched."""
    found = {one.reference: one for one in (facts.stack.images if facts.stack else ())}
    for one in found.values():
        yield _image(one)


def _image(one: ImageSeen) -> Diagnosis:
    if one.here is None:
        return Diagnosis("stack.image", "unknown", one.reference, f"for {one.service}; no engine could be asked")
    if one.here:
        return Diagnosis("stack.image", "ok", one.reference, f"for {one.service}, and here")
    if one.built:
        return Diagnosis("stack.image", "ok", one.reference, f"for {one.service}, and will be built")
    if one.policy == "never" or one.reference.startswith("localhost/"):
        what = f"for {one.service}; it is not here, and it is not fetched"
        fix = f"Build or load it, or name another: --image {one.service}=…"
        return Diagnosis("stack.image", "error", one.reference, what, fix)
    return Diagnosis("stack.image", "ok", one.reference, f"for {one.service}, and will be fetched")


def fetched(facts: Facts) -> list[ImageSeen]:
    """Images that must come from a registry."""
    found = {one.reference: one for one in (facts.stack.images if facts.stack else ())}
    return [
        one
        for one in found.values()
        if one.here is False and not one.built and one.policy != "never" and registry(one.reference) != "localhost"
    ]


def logins(facts: Facts) -> Iterator[Diagnosis]:
    """Whether there is a login for each registry that something must be fetched from."""
    for name in dict.fromkeys(registry(one.reference) for one in fetched(facts)):
        yield _login(name, facts)


def _login(name: str, facts: Facts) -> Diagnosis:
    known, program = facts.logins, facts.engine.name if facts.engine else "docker"
    helper = known.helpers.get(name) or known.helpers.get("*", "")
    if helper in known.missing:
        what = f"logins are kept by {helper}, which is not installed, so nothing can be fetched"
        return Diagnosis("stack.login", "error", name, what, f"Install {helper}, or take it out of the settings.")
    if name in known.registries:
        return Diagnosis("stack.login", "ok", name, "there is a login")
    if helper:
        return Diagnosis("stack.login", "ok", name, f"{helper} keeps its logins")
    if name in CLOSED:
        what = "there is no login, and it gives nothing to whoever is not logged in"
        return Diagnosis("stack.login", "error", name, what, f"{program} login {name}")
    return Diagnosis("stack.login", "ok", name, "there is no login; images that everybody may have need none")


def registry(reference: str) -> str:
    """The registry of an image, as engines read its name."""
    first, slash, _ = reference.partition("/")
    return first if slash and (any(one in first for one in ".:") or first == "localhost") else DOCKER_HUB


def labels(facts: Facts) -> Iterator[Diagnosis]:
    """Whether files that are mounted can be read where SELinux is on."""
    engine = facts.engine
    if not (facts.machine and facts.machine.selinux and facts.stack and facts.stack.files and engine and engine.here):
        return
    count = f"{len(facts.stack.files)} file{'s' if len(facts.stack.files) > 1 else ''}"
    if engine.info and not any("selinux" in one for one in engine.info.security):
        what = f"SELinux is on and {engine.name} does not know, so containers may be refused the {count} that they read"
        fix = 'Put {"selinux-enabled": true} into /etc/docker/daemon.json, then: sudo systemctl restart docker'
        yield Diagnosis("stack.labels", "warning", "SELinux", what, fix)
    else:
        what = f"SELinux is on; lcompose has the {count} that are mounted labelled for containers"
        yield Diagnosis("stack.labels", "ok", "SELinux", what)
