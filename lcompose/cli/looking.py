"""Finds out what the doctor judges: engines, the machine and the stack are asked side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lcompose import host
from lcompose.cli.configured import Looked, as_processes, configured, expected, open_stack
from lcompose.cli.questions import Question
from lcompose.doctor import reading
from lcompose.doctor.facts import Disk, EngineInfo, EngineSeen, Facts, Holder, ImageSeen, Person, PortSeen, Way
from lcompose.doctor.gpus import NVIDIA
from lcompose.engines import Engine
from lcompose.engines.podman_provider import provider
from lcompose.engines.select import PREFERENCE, connect
from lcompose.errors import EngineError, LcomposeError, UsageError
from lcompose.hardware import memory
from lcompose.lightspeed.surroundings import EVERY_PROXY, EXCEPTIONS, local_proxies, surprises
from lcompose.listeners import listener
from lcompose.machine import ThisMachine
from lcompose.observe import is_remote
from lcompose.probe import probe
from lcompose.spec.run import Gated, GateSpec, ImageInfo
from lcompose.spec.target import EngineFacts, EngineName
from lcompose.vendors import vendor
from lcompose.workspace import Options, directory_of, dotenv, wanted_engine

# Seconds that an engine has for one question, and drivers for all of theirs.
PATIENCE = 5.0
DRIVERS = 12.0
STARTED = Path("/var/run/docker.pid")
SYSTEMD = Path("/run/systemd/system")
FIRST_PORT = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


@dataclass(frozen=True, slots=True)
class _Asked:
    """An engine, and the questions to it that are under way."""

    engine: Engine
    facts: Question[EngineFacts]
    endpoint: Question[str]
    info: Question[EngineInfo | None]
    published: Question[dict[int, Holder]]


def look(options: Options, env: Mapping[str, str], files: Sequence[str], profiles: Sequence[str], end: float) -> Facts:
    """All facts that are found until a moment of ``time.monotonic``; what takes longer is left out.

    Raises: UsageError for options that cannot be used.
    """
    try:
        return _looked(options, env, files, profiles, end)
    finally:
        # Whoever hangs is of no use any more.
        host.end_running(host.SHORT_GRACE)


def _looked(
    options: Options, env: Mapping[str, str], files: Sequence[str], profiles: Sequence[str], end: float
) -> Facts:
    directory = directory_of(options)
    env = {**_dotenv(directory, env), **env}
    wanted = wanted_engine(options, env)
    machine = Question(lambda: probe(ThisMachine()))
    here = Question(lambda: configured(options, env, files))
    asked = {name: _ask(name, env) for name in PREFERENCE if host.find_program(name, env.get("PATH"))}
    soon = min(end, time.monotonic() + PATIENCE)
    engines = tuple(_seen(name, asked.get(name), env, soon) for name in PREFERENCE)
    found = here.answer(end)
    facts = Facts(engines=engines, wanted=wanted or (found.engine if found else None))
    facts = _of_this_machine(facts, env)
    if found or files:
        soon = min(end, time.monotonic() + 2 * PATIENCE)
        found = _natively(found, facts, env, soon) if found else None
        facts = _with_stack(facts, found, options, env, files, profiles, asked, soon)
    else:
        facts = replace(facts, surprises=(*surprises(env), *local_proxies(env)))
    return replace(facts, machine=machine.answer(min(end, time.monotonic() + DRIVERS)), disks=_disks(facts))


def _dotenv(directory: Path, env: Mapping[str, str]) -> dict[str, str]:
    try:
        return dotenv(directory, env)
    except UsageError:
        return {}  # what is wrong with it is told with the configuration


# ---------------------------------------------------------------- engines


def _ask(name: EngineName, env: Mapping[str, str]) -> _Asked:
    engine = connect(name, env)

    def said(*argv: str) -> str:
        finished = host.run([name, *argv], timeout=PATIENCE, env=env, grace=host.SHORT_GRACE)
        if finished.code:
            raise EngineError(f"{name} {argv[0]} failed")
        return finished.out

    return _Asked(
        engine,
        Question(engine.facts),
        Question(engine.endpoint),
        Question(lambda: reading.engine_info(name, said("info", "--format", "{{json .}}"))),
        Question(lambda: reading.published(name, said("ps", "--format", reading.PS_FORMS[name]))),
    )


def _seen(name: EngineName, asked: _Asked | None, env: Mapping[str, str], until: float) -> EngineSeen:
    if asked is None:
        return EngineSeen(name, installed=False)
    facts, endpoint = asked.facts.answer(until), asked.endpoint.answer(until) or ""
    if facts is None:
        return EngineSeen(name, silent=True, endpoint=endpoint, remote=is_remote(asked.engine) if endpoint else False)
    info = asked.info.answer(until)
    return EngineSeen(
        name,
        problem=facts.problem,
        fix=facts.fix,
        version=facts.version,
        compose_version=facts.compose_version,
        way=_way(name, env),
        endpoint=endpoint,
        remote=bool(endpoint) and is_remote(asked.engine),
        info=info,
        older_than_toolkit=name == "docker" and _older_than_toolkit(env),
    )


def _way(name: EngineName, env: Mapping[str, str]) -> Way:
    if name == "docker":
        return "docker"
    try:
        return "podman-compose" if provider(env).kind == "podman-compose" else "podman-socket"
    except LcomposeError:
        return "podman-compose"


def _older_than_toolkit(env: Mapping[str, str]) -> bool:
    """Whether Docker was started before NVIDIA's toolkit came to be as it is."""
    programs = [host.find_program(one, env.get("PATH")) for one in vendor(NVIDIA).toolkit]
    try:
        started = STARTED.stat().st_mtime
        return any(Path(one).stat().st_ctime > started for one in programs if one)
    except OSError:
        return False


# ---------------------------------------------------------------- the stack


def _with_stack(
    facts: Facts,
    found: Looked | None,
    options: Options,
    env: Mapping[str, str],
    files: Sequence[str],
    profiles: Sequence[str],
    asked: Mapping[EngineName, _Asked],
    until: float,
) -> Facts:
    """The same with the stack: what is in the files, and what engine and machine have of it."""
    stack, spec = (found.stack, found.spec) if found else (expected(files), None)
    facts = replace(facts, stack=stack)
    chosen = facts.engine
    if chosen and not stack.problems and not stack.unset and all(one.state != "missing" for one in stack.needs):
        before = stack
        opened = Question(lambda: open_stack(replace(options, engine=chosen.name), env, files, profiles, before))
        stack, better = opened.answer(until) or (stack, None)
        spec = better or spec
    engine = asked[chosen.name].engine if chosen else None
    images = Question(lambda: engine.images(_references(spec))) if engine and spec else None
    known = images.answer(until) if images else None
    holders: dict[int, Holder] = {}
    for one in asked.values():
        holders |= one.published.answer(until) or {}
    if stack.processes:
        holders |= _own(stack.project, env)
    services = spec.services if spec else ()
    stack = replace(
        stack,
        images=tuple(_image(one, known) for one in services if one.image),
        ports=tuple(_port(one.name, *port[:2], holders) for one in services for port in one.ports if port[2] == "tcp"),
    )
    texts = [ThisMachine().text(path) for path in _login_files(chosen.name if chosen else "docker", env)]
    logins = reading.logins(texts, lambda program: host.find_program(program, env.get("PATH")) is not None)
    return replace(facts, stack=stack, logins=logins)


def _natively(found: Looked, facts: Facts, env: Mapping[str, str], until: float) -> Looked:
    """The same with what is known of its processes; none of them needs an engine."""
    away = "" if facts.engine or facts.wanted else "no container engine can be used"
    return Question(lambda: as_processes(found, away)).answer(until) or found


def _references(spec: GateSpec | None) -> list[str]:
    return [one.image for one in (spec.services if spec else ()) if one.image]


def _image(service: Gated, known: Mapping[str, ImageInfo] | None) -> ImageSeen:
    here = None if known is None else service.image in known
    return ImageSeen(service.name, service.image, service.pull_policy or "missing", here, service.built)


def _port(service: str, bind: str, port: int, holders: Mapping[int, Holder]) -> PortSeen:
    if host.port_is_free(bind, port):
        return PortSeen(service, bind, port)
    if port in holders:
        return PortSeen(service, bind, port, free=False, holder=holders[port])
    one = listener(ThisMachine(), bind, port)
    holder = Holder(pid=one.pid, program=one.program, user=one.user) if one else None
    return PortSeen(service, bind, port, free=False, holder=holder)


def _own(project: str, env: Mapping[str, str]) -> dict[int, Holder]:
    """Ports that processes of the project have."""
    running = [one for one in connect("local", env).containers(project) if one.state == "running"]
    return {port: Holder(one.name, project, "local") for one in running for _, _, port in one.ports}


def _login_files(engine: EngineName, env: Mapping[str, str]) -> list[str]:
    """Where an engine looks for logins, the first place that counts most first."""
    home = env.get("HOME", "/")
    docker = f"{env.get('DOCKER_CONFIG') or f'{home}/.docker'}/config.json"
    if engine == "docker":
        return [docker]
    if env.get("REGISTRY_AUTH_FILE"):
        return [env["REGISTRY_AUTH_FILE"]]
    run = env.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.geteuid()}"
    kept = env.get("XDG_CONFIG_HOME") or f"{home}/.config"
    return [f"{run}/containers/auth.json", f"{run}/auth.json", f"{kept}/containers/auth.json", docker]


# ---------------------------------------------------------------- this machine


def _of_this_machine(facts: Facts, env: Mapping[str, str]) -> Facts:
    machine = ThisMachine()
    first = machine.text(FIRST_PORT) or ""
    excepted = f"{env.get(EXCEPTIONS) or env.get(EXCEPTIONS.lower()) or ''}".split(",")
    folder = host.state_directory(env)
    return replace(
        facts,
        person=Person(os.geteuid(), frozenset([os.getegid(), *os.getgroups()]), _group_names()),
        memory_free=memory(machine, "MemAvailable"),
        systemd=host.exists(SYSTEMD),
        first_port=int(first) if first.strip().isdecimal() else 1024,
        proxies=tuple(name for name in EVERY_PROXY if env.get(name)),
        localhost_excepted=bool({"*", "localhost"} & {one.strip() for one in excepted}),
        state_folder=str(folder),
        state_is_writable=os.access(_existing(folder), os.W_OK | os.X_OK),
        clock=time.time(),
    )


def _group_names() -> dict[int, str]:
    return reading.groups(ThisMachine().text("/etc/group") or "")


def _disks(facts: Facts) -> tuple[Disk, ...]:
    """Where the engine keeps images and volumes, or we those of processes."""
    engine = facts.engine
    root = engine.info.root if engine and engine.here and engine.info else ""
    what = "images and volumes"
    if not facts.needs_engine:
        root, what = facts.state_folder, "volumes and logs"
    if not root:
        return ()
    try:
        found = os.statvfs(_existing(Path(root)))
    except OSError:
        return ()
    size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    return (Disk(what, root, free, size),)


def _existing(path: Path) -> Path:
    """The path, or the first above it that is there."""
    return next((one for one in (path, *path.parents) if host.exists(one)), Path("/"))
