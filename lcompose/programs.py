"""How each service of a Project is started as a process, what that needs, and what no process can be."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from posixpath import basename, normpath

from lcompose.errors import Finding, MachineError, Position
from lcompose.lightspeed.companion_files import Companion, companion
from lcompose.lightspeed.derive import LIGHTSPEED_FILE, RUN_FILE
from lcompose.lightspeed.images import INFERENCE, LCORE, LLAMA_STACK, choose_images, server_facts
from lcompose.lightspeed.packages import packages
from lcompose.load import leaves
from lcompose.modes import MODES, Modes, Selected, Ways, Wish, select
from lcompose.resolve import Resolved
from lcompose.settings import LocalSettings, Settings, is_chosen
from lcompose.spec.program import Need, Program
from lcompose.spec.project import DocumentMount, Service
from lcompose.tailored import Folder, own_value
from lcompose.targets import sockets

UV = "uv"
PYTHON, NEWEST_PYTHON = "3.12", "3.14"
PYTHONS = f">={PYTHON},<{NEWEST_PYTHON}"
# The same one by one, the best last.
PYTHON_VERSIONS = ("3.13", "3.12")
# What Python's libraries read by themselves, whoever starts them: of an image it is part.
READ_BY_ALL = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "TIKTOKEN_CACHE_DIR",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
)
# Where uv keeps what it fetched, and which Python it takes, if a person says so.
READ_BY_UV = ("UV_CACHE_DIR", "UV_PYTHON", "UV_PYTHON_INSTALL_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")
CONFIG = "{config}"
TITLES = {"container": "containers", "local": "processes"}
# Of a checkout of LCORE: what is started in it.
LCORE_PROGRAM = "src/lightspeed_stack.py"
GET_UV = "Install uv; or say how else it is started: services.{service}.local.command."
DOCUMENTS = {LCORE: LIGHTSPEED_FILE, LLAMA_STACK: RUN_FILE}


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of a Project, and what is wrong with running it so."""

    programs: tuple[Program, ...]
    findings: tuple[Finding, ...]


def programs(resolved: Resolved, settings: Settings, directory: str, home: str, python: str = "") -> Programs:
    """What is started for each service; ``directory`` is what a person's paths start from, ``home`` is theirs.

    ``python`` is the one that uv is to take, if not any that will do.

    Raises: UsageError for a secret in clear.
    """
    asked = _Asked(resolved, settings, Folder(directory, home), python)
    found = [asked.of(service) for service in resolved.project.services]
    made = tuple(one for one in found if isinstance(one, Program))
    wrong = (one for one in found if isinstance(one, Finding))
    return Programs(made, (*wrong, *asked.sockets()))


@dataclass(frozen=True, slots=True)
class _Asked:
    resolved: Resolved
    settings: Settings
    folder: Folder
    python: str

    def of(self, service: Service) -> Program | Finding:
        if service.name == LLAMA_STACK:
            return self._server(service)
        return self._lcore(service) if service.name == LCORE else self._companion(service)

    def sockets(self) -> Iterator[Finding]:
        """What is wrong with a socket that a person names."""
        for service in self.resolved.project.services:
            own = self._own(service.name)
            told = " ".join([own.command, *(own.args or ()), *(value or "" for _, value in own.env)])
            what = sockets.problem(service.name, own.command, told, self.resolved.project) if own.socket else ""
            if what:
                word = self.resolved.companions.kinds.get(service.name, service.name)
                path = f"services.{word}.local.socket"
                yield Finding(Position("settings"), path, what, f"Leave {path} out: it listens on a port of 127.0.0.1.")

    def _own(self, service: str) -> LocalSettings:
        kind = self.resolved.companions.kinds.get(service, service)
        return self.settings.services[kind].local

    def _server(self, service: Service) -> Program:
        own = self._own(service.name)
        images = choose_images(self.settings)
        home = images.server_facts.home
        if own.command:
            return self._said(service, own, own.command, self._arguments(service, own, ()), home)
        prefix = uv_tool(server_facts(images.version).package, images.version, self._kinds(), self.python or PYTHONS)
        arguments = self._arguments(service, own, service.command)
        argv = (*_offline(prefix), *service.entrypoint, *arguments)
        return self._program(service, own, argv, home, _fetched(service.name, prefix, self.python), uv=True)

    def _kinds(self) -> list[str]:
        """The types of the providers."""
        run = self.resolved.configuration.run
        return [str(leaf.value) for path, leaf in leaves(run) if path[-1:] == ("provider_type",)]

    def _lcore(self, service: Service) -> Program | Finding:
        own = self._own(service.name)
        home = choose_images(self.settings).lcore_facts.home
        if own.command:
            return self._said(service, own, own.command, self._arguments(service, own, service.command), home)
        if not own.directory:
            what = "Lightspeed Core can be fetched as an image only: as a process it needs a checkout of its sources"
            fix = "Write services.lightspeed-stack.local.workingDir in lcompose.yaml: the folder of the checkout."
            return Finding(Position("settings"), "services.lightspeed-stack.local", what, fix)
        where = self.folder.absolute(own.directory)
        fix = "Correct services.lightspeed-stack.local.workingDir, or clone lightspeed-stack there."
        inside = any(isinstance(one, DocumentMount) and one.document == RUN_FILE for one in service.mounts)
        more = _with(packages(self._kinds())) if inside else ()
        chosen = ("--python", self.python) if self.python else ()
        prefix = (UV, "run", "--project", where, *chosen, *more)
        fetched = _fetched(service.name, prefix, self.python)
        needs = (Need("file", f"{where}/{LCORE_PROGRAM}", service.name, fix), *fetched)
        argv = (*_offline(prefix), f"{where}/{LCORE_PROGRAM}", *self._arguments(service, own, service.command))
        return self._program(service, own, argv, home, needs, uv=True)

    def _companion(self, service: Service) -> Program | Finding:
        own = self._own(service.name)
        kind = _known(service.name, self.resolved, self.settings)
        files = kind.local.files if kind and kind.local else ()
        if own.command:
            return self._said(service, own, own.command, own.args or service.command, "", files)
        if kind is None or kind.local is None:
            word = self.resolved.companions.kinds.get(service.name, service.name)
            if kind and kind.instead:
                what = only_an_image(self.resolved.companions.origins[service.name].file, kind)
                fix = f"Say --inference {kind.instead}, or use containers: --runtime container."
                return Finding(Position("settings"), f"services.{word}.local", what, fix)
            what = f"{service.name} is an image, and lcompose knows no program that does the same"
            fix = f"Start one yourself, name its address, and set companions.{word}: external. Or use containers."
            return Finding(Position("settings"), f"services.{word}.local", what, fix)
        words = (*kind.local.entrypoint, *service.command, *kind.local.command)
        program = next(part for part in (*kind.local.entrypoint, *service.command) if part != "sh" and part[:1] != "/")
        need = Need("program", program, service.name, f"Install {program}, or use containers: --runtime container.")
        return self._program(service, own, words, "", (need,), files)

    def _said(
        self,
        service: Service,
        own: LocalSettings,
        command: str,
        arguments: tuple[str, ...],
        home: str,
        files: tuple[str, ...] = (),
    ) -> Program:
        """A program that a person names."""
        program = shlex.split(command)
        fix = f"Install it, or correct services.{service.name}.local.command."
        needs = (Need("program", program[0], service.name, fix),)
        return self._program(service, own, (*program, *arguments), home, needs, files)

    def _arguments(self, service: Service, own: LocalSettings, usual: tuple[str, ...]) -> tuple[str, ...]:
        """The person's arguments, or the usual ones; the document that it reads is always among them."""
        document = DOCUMENTS[service.name]
        read = next(
            (one.target for one in service.mounts if isinstance(one, DocumentMount) and one.document == document), ""
        )
        option = ("-c",) if service.name == LCORE else ()
        if own.args is None:
            return usual or (*service.command,)
        said = tuple(part.replace(CONFIG, read) if basename(part) != document else read for part in own.args)
        return said if read in " ".join(said) else (*said, *option, read)

    def _program(
        self,
        service: Service,
        own: LocalSettings,
        argv: tuple[str, ...],
        home: str,
        needs: tuple[Need, ...],
        files: tuple[str, ...] = (),
        *,
        uv: bool = False,
    ) -> Program:
        directory = self.folder.absolute(own.directory) if own.directory else ""
        if directory:
            fix = f"Make it, or correct services.{service.name}.local.workingDir."
            needs = (*needs, Need("folder", normpath(directory), service.name, fix))
        environment = tuple((name, own_value(service.name, name, value)) for name, value in own.env)
        reads = (*READ_BY_ALL, *(READ_BY_UV if uv else ()))
        # What is not absolute starts from where lcompose keeps the project.
        socket = self.folder.absolute(own.socket) if own.socket[:1] in ("/", "~") else own.socket
        return Program(service.name, argv, environment, reads, directory, home, files, own.limits, needs, socket)


def uv_tool(package: str, version: tuple[int, ...], kinds: list[str], python: str = PYTHONS) -> tuple[str, ...]:
    """What stands before a program of Llama Stack that uv is to start, with what its providers need."""
    name = package.replace("_", "-")
    number = ".".join(map(str, version)) + ("" if len(version) > 2 else ".*")
    return (UV, "tool", "run", "--python", python, "--from", f"{name}=={number}", *_with(packages(kinds)))


def _with(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for one in names for word in ("--with", one))


def _offline(prefix: tuple[str, ...]) -> tuple[str, ...]:
    """The same with what is here already: nothing is looked up, which takes a second."""
    run = prefix.index("run") + 1
    return (*prefix[:run], "--offline", *prefix[run:])


def _fetched(service: str, prefix: tuple[str, ...], python: str) -> tuple[Need, ...]:
    """What must be here of all that uv fetches."""
    told = prefix[prefix.index("--from") + 1] if "--from" in prefix else f"the environment of {prefix[3]}"
    return (
        Need("program", UV, service, GET_UV.format(service=service)),
        Need(
            "python",
            python or PYTHON,
            service,
            f"Install Python {PYTHON}, or let uv do it: uv python install {PYTHON}.",
        ),
        Need("packages", told, service, "Mend what uv says, then try again.", prefix),
    )


# ---------------------------------------------------------------- as containers, or as processes


def selected(resolved: Resolved, settings: Settings, problems: Mapping[str, str]) -> dict[str, Selected]:
    """How each service is run; ``problems`` say of a runtime why it cannot be had here.

    Raises: UsageError, MachineError where none is left for a service.
    """
    return {one.name: selected_for(one, resolved, settings, problems) for one in resolved.project.services}


def selected_for(service: Service, resolved: Resolved, settings: Settings, problems: Mapping[str, str]) -> Selected:
    """The same for one service."""
    return select(_ways(service, resolved, settings, problems))


def runtime_of(found: Mapping[str, Selected]) -> Modes:
    """The runtime of all services together: one for all, or both."""
    taken = {one.mode for one in found.values()}
    return "mixed" if len(taken) > 1 else next(mode for mode in MODES if mode in taken)


def processes_of(found: Mapping[str, Selected]) -> frozenset[str]:
    """The services that are processes."""
    return frozenset(name for name, one in found.items() if one.mode == "local")


def why_containers(found: Mapping[str, Selected]) -> tuple[str, ...]:
    """Of each service that is a container beside processes, all that decided that."""
    containers = {name: one for name, one in found.items() if one.mode == "container" and runtime_of(found) == "mixed"}
    return tuple(f"{name} is a container: {'; '.join(one.trace)}" for name, one in containers.items())


def fallbacks(found: Mapping[str, Selected]) -> tuple[Finding, ...]:
    """A warning for services whose runtime is not the one that was asked for."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    asked = "services.NAME.runtime: {} in lcompose.yaml" if runtime_of(found) == "mixed" else "--runtime {}"
    for name, one in found.items():
        if one.unmet:
            groups.setdefault((one.mode, one.unmet.mode, one.trace[0]), []).append(name)
    return tuple(
        Finding(
            Position("settings"),
            "runtime",
            f"run as {TITLES[mode]}, and not as {TITLES[wanted]}: {', '.join(names)}; {reason}",
            f"Mend that, or ask for it: {asked.format(mode)}.",
            "warning",
        )
        for (mode, wanted, reason), names in groups.items()
    )


def refuse_fallbacks(found: Mapping[str, Selected]) -> None:
    """Stops where another runtime would be taken than the one that was asked for.

    Raises: MachineError.
    """
    told = fallbacks(found)
    if told:
        raise MachineError(told[0].what, "runtime", told[0].fix, tuple(one.what for one in told[1:]))


def _ways(service: Service, resolved: Resolved, settings: Settings, problems: Mapping[str, str]) -> Ways:
    kind = resolved.companions.kinds.get(service.name, service.name)
    own, word = settings.services[kind], f"services.{kind}.runtime"
    wishes = (
        Wish(f"{word} in {settings.origin.get(word)}", own.runtime),
        Wish(f"runtime in {settings.origin['runtime']}", settings.runtime if is_chosen(settings) else ""),
        Wish("runtimes.default says so", settings.runtimes.default),
    )
    companion = _known(service.name, resolved, settings)
    native = service.name in DOCUMENTS or bool(own.local.command) or bool(companion and companion.local)
    unlike = ""
    if companion and companion.instead:
        unlike = only_an_image(resolved.companions.origins[service.name].file, companion)
    supported = MODES if native else MODES[:1]
    allowed, disabled = settings.runtimes.allowed, settings.runtimes.disabled
    return Ways(service.name, supported, allowed, disabled, wishes, problems, unlike)


def only_an_image(server: str, known: Companion) -> str:
    """Why a server can be no process, where another one is the same as a program."""
    return f"{server} is an image only; as a program, {known.instead} is the same server: --inference {known.instead}"


def _known(service: str, resolved: Resolved, settings: Settings) -> Companion | None:
    origin = resolved.companions.origins.get(service)
    return _companion_of(origin.file, service, settings) if origin else None


def _companion_of(file: str, service: str, settings: Settings) -> Companion:
    return companion(file, settings.gpu) if service == INFERENCE else companion(file)
