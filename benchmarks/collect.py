"""Keeps the logs of a project in files, as ``lcompose up`` and ``down`` do: ``collect.py PROJECT FOLDER``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lcompose.engines.docker import connect
from lcompose.logs import collect_all
from lcompose.observe import secrets_of, snapshot

engine = connect(os.environ)
observed = snapshot(engine, sys.argv[1])
problems = collect_all(engine, observed.containers, Path(sys.argv[2]), secrets_of(engine, observed))
sys.exit("\n".join(problems) or 0)
