"""A stand-in for Lightspeed Core (LCORE): not the real server, only its outside.

It is as strict about its configuration as the real one, waits for Llama Stack
and checks its version in the same way, ends with the same exit codes, and answers the same
probes; a query goes to the real Llama Stack behind it. Tests use it because LCORE itself cannot
be installed from a package index.
"""

import argparse
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx
import uvicorn
from pydantic import AnyHttpUrl, ValidationError
from standin_app import create_app
from standin_blocks import LlamaStack
from standin_config import GENERATIONS, AnyConfiguration, load

logger = logging.getLogger("standin")

# Oldest and newest Llama Stack that a generation accepts.
SUPPORTED = {"0.6": ((0, 2, 17), (1, 0, 2)), "0.7": ((0, 2, 17), (1, 2, 5))}
# Uvicorn's code for a failed startup, which is where the real server fails too.
STARTUP_FAILED = 3
# Where Llama Stack listens that is inside.
INSIDE_PORT = 8399


class StartupError(Exception):
    """The server cannot start with the world as it is."""


def parse_args() -> argparse.Namespace:
    """Read the options that the real entrypoint forwards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--config", default="lightspeed-stack.yaml", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-d", "--dump-configuration", action="store_true", help="only check the configuration")
    parser.add_argument("--synthesized-config-output", help="accepted, unused in server mode")
    return parser.parse_args()


def generation_of(environment: dict[str, str]) -> str:
    """Return the generation of LCORE to stand in for.

    Raises:
        SystemExit: no such generation.
    """
    generation = environment.get("STANDIN_GENERATION") or "0.7"
    if generation not in GENERATIONS:
        sys.exit(f"STANDIN_GENERATION={generation}: use one of {', '.join(GENERATIONS)}")
    return generation


def check_version(version: str, generation: str) -> None:
    """Accept only a Llama Stack of the generation's range.

    Raises:
        StartupError: too old, too new, or no version at all.
    """
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", version)
    if not match:
        raise StartupError(f"Failed to extract version pattern from '{version}'")
    oldest, newest = SUPPORTED[generation]
    found = tuple(int(part) for part in match.groups())
    if found < oldest:
        raise StartupError(f"OGX version >= {dotted(oldest)} is required, but {version} is used")
    if found > newest:
        raise StartupError(f"OGX version <= {dotted(newest)} is required, but {version} is used")


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as people write it."""
    return ".".join(str(part) for part in version)


def version_of(block: LlamaStack) -> str:
    """Ask Llama Stack for its version, with the configured patience.

    Raises:
        httpx.HTTPError: the last attempt failed too.
    """
    url = f"{str(block.url).rstrip('/')}/v1/version"
    for attempt in range(1, block.max_retries):
        try:
            return fetch_version(url, block.timeout)
        except httpx.HTTPError:
            logger.warning(
                "OGX not ready (attempt %d/%d), retrying in %ds...",
                attempt, block.max_retries, block.retry_delay,
            )  # fmt: skip
            time.sleep(block.retry_delay)
    return fetch_version(url, block.timeout)


def fetch_version(url: str, timeout: int) -> str:
    """Ask once."""
    answer = httpx.get(url, timeout=timeout).raise_for_status()
    return str(answer.json()["version"])


def connect(block: LlamaStack, generation: str) -> bool:
    """Wait for Llama Stack; tell whether it is missing and may be.

    Raises:
        StartupError: it does not answer, or has the wrong version.
    """
    try:
        version = version_of(block)
    except httpx.HTTPError as error:
        logger.error("Failed to connect to OGX at '%s': %s", block.url, error)
        if not block.allow_degraded_mode:
            raise StartupError("Application startup failed. Exiting.") from error
        logger.info("Entering degraded mode: running without OGX")
        return True
    check_version(version, generation)
    logger.info("Correct OGX version: %s", version)
    return False


def open_database(config: AnyConfiguration) -> None:
    """Create the sqlite file; a postgres one is only checked for its shape.

    Raises:
        StartupError: the file cannot be opened.
    """
    if config.database.sqlite is None:
        return
    path = Path(config.database.sqlite.db_path)
    if not path.parent.exists():
        raise StartupError(f"FileNotFoundError: SQLite database directory does not exist: {path}")
    try:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS user_conversation (id TEXT)")
    except sqlite3.OperationalError as error:
        raise StartupError(f"sqlite3.OperationalError: {error}: {path}") from error


def serve(config: AnyConfiguration, *, degraded: bool) -> None:
    """Serve until SIGTERM."""
    service = config.service
    tls = service.tls_config
    # From here on uvicorn ends on SIGTERM, and as process 1 with 0, like the real server.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    uvicorn.run(
        create_app(config, degraded=degraded),
        host=service.host,
        port=service.port,
        ssl_certfile=tls.tls_certificate_path,
        ssl_keyfile=tls.tls_key_path,
        # The real server passes the path too, not the content of the file.
        ssl_keyfile_password=str(tls.tls_key_password or ""),
        timeout_graceful_shutdown=2,
    )


def load_or_exit(path: Path, generation: str) -> AnyConfiguration:
    """Read the configuration; what is wrong with it ends the process with 1."""
    try:
        return load(path, generation)
    except ValidationError as error:
        sys.exit(f"pydantic_core.ValidationError: {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def run_inside(block: LlamaStack) -> None:
    """Library mode: the real server imports Llama Stack, this one runs it as a child of its own.

    Raises:
        StartupError: there is nothing to run.
    """
    path = Path(block.library_client_config_path or "")
    if not path.is_file():
        raise StartupError(f"FileNotFoundError: {path}")
    code = "import sys; from ogx.cli.ogx import main; sys.exit(main())"
    argv = [sys.executable, "-c", code, "run", "--insecure", "--port", str(INSIDE_PORT), str(path)]
    subprocess.Popen(argv, env={**os.environ, "OGX_PORT": str(INSIDE_PORT)})
    block.url = AnyHttpUrl(f"http://127.0.0.1:{INSIDE_PORT}")
    block.max_retries = max(block.max_retries, 60)


def start(path: Path, generation: str) -> None:
    """Go through the real server's start: configuration, Llama Stack, database, port."""
    config = load_or_exit(path, generation)
    logger.info("Configuration: %s", config)
    if config.backend.use_as_library_client:
        run_inside(config.backend)
    degraded = connect(config.backend, generation)
    open_database(config)
    logger.info("App startup complete")
    serve(config, degraded=degraded)


def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End at once while waiting for Llama Stack.

    The real server is deaf to SIGTERM until its retries are over (measured: docker stop takes its
    ten seconds and ends with 137); tests need not wait for that.
    """
    sys.exit(0)


def main() -> None:
    """Run the stand-in."""
    args = parse_args()
    level = logging.DEBUG if args.verbose else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, stop)
    logger.info("Lightspeed Core Stack startup (stand-in)")
    if args.dump_configuration:
        load_or_exit(args.config, generation_of(dict(os.environ)))
        return
    try:
        start(args.config, generation_of(dict(os.environ)))
    except StartupError as error:
        logger.error("%s", error)
        sys.exit(STARTUP_FAILED)


if __name__ == "__main__":
    main()
