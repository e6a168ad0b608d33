"""Labels that containers carry: written by targets, read by engines, so that no file is needed."""

from __future__ import annotations

# Compose's own.
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
DEPENDS_ON = "com.docker.compose.depends_on"
ONEOFF = "com.docker.compose.oneoff"

# Ours: what the container reads, what it must be stopped before, how it is asked whether it is ready.
DIGEST = "lcompose.config-digest"
AFTER = "lcompose.after"
PROBE = "lcompose.probe"
# The vendor of the GPUs that it was promised.
ACCELERATOR = "lcompose.accelerator"
# Seconds that it has to end, where the engine's own setting does not have them.
GRACE = "lcompose.grace"
# The digest of values that are handed on outside the file, and the variable that brings it into it.
VARIABLES = "lcompose.variables-digest"
VARIABLES_DIGEST = "LCOMPOSE_VARIABLES_DIGEST"
