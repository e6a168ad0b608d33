"""Writes the generated parts of the documentation: ``python tests/docs.py``; ``--check`` only compares.

Generated are what stands between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` in README.md,
ARCHITECTURE.md and docs/gpu-matrix.md, and the compose.yaml of each example.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import unified_diff
from pathlib import Path
from typing import Any

from lcompose import vendors
from lcompose.engines.podman_refused import LEFT_OUT
from lcompose.gatespec import KEYS, PROBE
from lcompose.lightspeed import images
from lcompose.lightspeed.companion_files import companion, servers, vendors_of
from lcompose.merge import merge
from lcompose.profiles import built_in, profile_layers, read_profile
from lcompose.schema import Key, Record
from lcompose.settings import (
    DEFAULTS,
    EMBEDDED,
    PROFILE,
    ServiceSettings,
    Settings,
    resolve_settings,
    setting_paths,
    variable_of,
)
from lcompose.spec.machine import CdiSpec, Machine
from lcompose.spec.project import AcceleratorRequest
from lcompose.spec.target import TargetFacts, described
from lcompose.targets import devices, translate
from lcompose.workspace import Options, open_workspace

DOCKER = "Docker 26.1 with Compose 2.26"
PODMAN = "Podman 4.3 with podman-compose 1.6"
# What tests/engine/test_gpu_forms.py and test_gpu_stand_ins.py give to real engines, which are of these versions.
TRIED = {
    ("docker", "docker-compose", "reservation"): f"with a stand-in: {DOCKER}",
    ("docker", "docker-compose", "cdi reservation"): f"with a stand-in: {DOCKER}",
    ("docker", "docker-compose", "nodes"): f"without a GPU: {DOCKER}",
    ("podman", "podman-compose", "cdi names"): f"with a stand-in: {PODMAN}",
    ("podman", "podman-compose", "nodes"): f"without a GPU: {PODMAN}",
    ("podman", "docker-compose", ""): "Podman 4.3 does drop it",
}
ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "compose-examples"
SERVICE = "SERVICE"  # stands for the name of any service
NOTHING = "-"
# A setting's last name, where the field that holds it is called otherwise.
FIELDS = {"imagePullPolicy": "pull_policy", "logging": "log_rotation"}


def settings_table() -> str:
    """Every setting, those of the services once for all of them."""
    header = ("setting", "variable", "default", "may also stand in", "what it is")
    return _table(header, [(_code(path), _code(variable_of(path)), *_about(path, key)) for path, key in _settings()])


def variables_list() -> str:
    """Every setting's variable, written out."""
    pairs = [(variable_of(path), path) for path, _ in setting_paths()]
    width = max(len(variable) for variable, _ in pairs)
    lines = "\n".join(f"{variable:<{width}}  {path}" for variable, path in pairs)
    return f"```text\n{lines}\n```"


def profiles_table() -> str:
    """Every profile, and what it is for."""
    found = [read_profile(name, ROOT) for name in built_in()]
    rows = [(_code(one.name), _code(one.extends) or NOTHING, one.description) for one in found]
    return _table(("profile", "extends", "what it is for"), rows)


def effects_table() -> str:
    """What the profiles make of the settings in which they differ."""
    layers = {name: profile_layers([name], ROOT) for name in built_in()}
    set_by_any = {_for_any_service(path) for found in layers.values() for path in merge(found).origin}
    results = {name: resolve_settings(found) for name, found in layers.items()}
    rows = [
        [_code(path), *(_effect(result, path) for result in results.values())]
        for path, _ in _settings()
        if path in set_by_any
    ]
    return _table(("setting", *map(_code, layers)), [row for row in rows if len(set(row[1:])) > 1])


def images_table() -> str:
    """The image that each service has by default."""
    newest = images.DEFAULT_GENERATION
    rows = [
        (_code(images.LCORE), _code(images.default_lcore_image(newest))),
        (_code(images.LLAMA_STACK), _code(images.default_server_image(images.DEFAULT_SERVER[newest]))),
    ]
    for server in servers():
        for gpu in vendors_of(server):
            title = f"`{images.INFERENCE}`: `{server}`, GPU `{gpu}`"
            rows.append((title, _code(companion(server, gpu).service.image)))
    return _table(("service", "image"), rows)


def extension_table() -> str:
    """What a service of a compose file may say to lcompose."""
    keys = {name: key for name, key in KEYS.items() if name != "probe"}
    probe = {f"probe.{name}": key for name, key in PROBE.items()}
    rows = [
        (_code(path), f"{_said(key)} Required." if key.required else _said(key)) for path, key in (keys | probe).items()
    ]
    return _table(("key", "what it is"), rows)


def refused_table() -> str:
    """The words that are refused where podman-compose reads a file, by what would happen."""
    words: dict[str, list[str]] = {}
    for path, effect in LEFT_OUT.items():
        words.setdefault(effect, []).append(_code(".".join(path)))
    return _table(
        ("in a service", "with podman-compose"), [(", ".join(found), effect) for effect, found in words.items()]
    )


def layers_list() -> str:
    """The layers as import-linter holds them, the top one first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    return "```text\n" + "\n".join(layers) + "\n```"


def gpu_matrix() -> str:
    """Each row of the table of devices, for each vendor that it is for, with the words that it makes."""
    header = ("GPU", "engine", "read by", "from engine", "from reader", "form", "words", "how far it is tried")
    lines = [
        (_code(gpu), row.target, _code(row.reader), _since(row.engine), _since(row.compose), *cells)
        for gpu in vendors.choices()[1:]
        for row in devices.ROWS
        if row.by == ("driver" if vendors.vendor(gpu).driver else "nodes")
        for cells in _forms(row, vendors.vendor(gpu))
    ]
    return _table(header, lines)


def _forms(row: devices.Row, vendor: vendors.Vendor) -> Iterator[tuple[str, str, str]]:
    """What a row makes: the form, its words, and how far that is tried."""
    tried = TRIED.get((row.target, row.reader, row.form))
    if not row.form:
        yield "refused", f"{row.why.format(title=vendor.title)}. {row.fix}", tried or "the refusal"
        return
    specification = CdiSpec("/etc/cdi/a.yaml", vendor.cdi_kind, ("all",))
    machine = Machine(cdi=(specification,)) if row.only_cdi else None
    facts = TargetFacts(row.target, "folder", row.engine, row.compose, row.reader, machine=machine)
    words = devices.device_words(AcceleratorRequest(vendor.gpu), facts)
    form = f"{row.form}, where there is a specification and no hook" if row.only_cdi else row.form
    yield form, _code(json.dumps(words)), tried or "words alone"


def _since(version: Sequence[int]) -> str:
    return ".".join(map(str, version)) or "any"


def examples() -> list[Path]:
    """The folders that have what a person writes, and what is rendered of it."""
    return sorted(path.parent for path in EXAMPLES.glob("*/lightspeed-stack.yaml"))


def rendered(example: Path) -> str:
    """What ``lcompose -C EXAMPLE render --allow-missing`` prints on any machine."""
    workspace = open_workspace(Options(directory=str(example)), {}, allow_missing=True)
    # Without the files that are mounted: certificates, for example, are made by whoever tries it.
    place = replace(workspace.place(example), digests={})
    bundle = translate(workspace.resolved.project, described("docker", "inline"), place)
    return bundle.main.text


PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {
        "profiles": profiles_table,
        "effects": effects_table,
        "settings": settings_table,
        "variables": variables_list,
        "images": images_table,
        "extension": extension_table,
        "refused": refused_table,
    },
    "ARCHITECTURE.md": {"layers": layers_list},
    "docs/gpu-matrix.md": {"matrix": gpu_matrix},
}


def wanted() -> Iterator[tuple[Path, str]]:
    """Every file with a generated part, and the whole text that it must have."""
    for name, parts in PARTS.items():
        text = (ROOT / name).read_text()
        for part, make in parts.items():
            text = replaced(text, part, make())
        yield ROOT / name, text
    for example in examples():
        yield example / "compose.yaml", rendered(example)


def replaced(text: str, part: str, body: str) -> str:
    """The text with what stands between a part's markers replaced."""
    begin, end = f"<!-- {part}:begin -->", f"<!-- {part}:end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    assert found, f"{begin} is missing"
    assert closed, f"{end} is missing"
    return f"{before}{begin}\n{body}\n{end}{after}"


def differences() -> str:
    """What is not up to date, as a diff; nothing when all of it is."""
    return "".join(line for path, text in wanted() for line in _diff(path, text))


def write() -> list[Path]:
    """Writes what is not up to date, and says which files that were."""
    stale = [(path, text) for path, text in wanted() if _read(path) != text]
    for path, text in stale:
        path.write_text(text)
    return [path for path, _ in stale]


def main(arguments: Sequence[str]) -> int:
    """Writes, or compares where the arguments say ``--check``."""
    if "--check" not in arguments:
        for path in write():
            print(f"wrote {path.relative_to(ROOT)}")
        return 0
    found = differences()
    sys.stdout.write(found)
    if found:
        print("This is not up to date. Run: make docs", file=sys.stderr)
    return 1 if found else 0


def _settings() -> list[tuple[str, Key]]:
    return list({_for_any_service(path): (_for_any_service(path), key) for path, key in setting_paths()}.values())


def _for_any_service(path: str) -> str:
    steps = path.split(".")
    return ".".join([steps[0], SERVICE, *steps[2:]]) if steps[0] == "services" else path


def _about(path: str, key: Key) -> tuple[str, str, str]:
    places = [_code("lightspeed-stack.yaml")] if _holds(EMBEDDED, path) else []
    places += ["profiles"] if _holds(PROFILE, path) else []
    return _default(path), ", ".join(places) or NOTHING, _said(key)


def _said(key: Key) -> str:
    words = key.kind["expected"] if key.kind["type"] == "literal" else ()
    choices = f" One of {', '.join(map(_code, words))}." if words else ""
    return f"{key.doc}{choices}"


def _holds(keys: Record, path: str) -> bool:
    return path.split(".")[0] in keys


def _default(path: str) -> str:
    top, *steps = path.split(".")
    if not steps:
        return _value(DEFAULTS.get(top))
    if path == "container.runtime":
        return _value(DEFAULTS["engine"])
    if top == "container":
        return "as for Llama Stack"
    if steps[-1] == "image":
        return "[see below](#default-images)"
    return _value(_held(resolve_settings([]).services[images.LLAMA_STACK], steps[1:])) if top == "services" else NOTHING


def _effect(settings: Settings, path: str) -> str:
    top, *steps = path.split(".")
    if top != "services":
        return _value(getattr(settings, path))
    found = [_value(_held(service, steps[1:])) for service in settings.services.values()]
    return found[0] if len(set(found)) == 1 else " / ".join(found)


def _held(service: ServiceSettings, steps: Sequence[str]) -> Any:
    value: Any = service
    for step in steps:
        value = getattr(value, FIELDS.get(step, step), None)
    return value


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return _code(str(value).lower())
    if isinstance(value, list | tuple):
        return ", ".join(_code(str(one)) for one in value) or NOTHING
    return _code(str(value)) if value else NOTHING


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _diff(path: Path, text: str) -> Iterator[str]:
    name = str(path.relative_to(ROOT))
    old, new = _read(path).splitlines(keepends=True), text.splitlines(keepends=True)
    return unified_diff(old, new, name, f"{name} (made again)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
