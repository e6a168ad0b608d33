"""What an inspected container was given of devices, in one form for all engines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from lcompose.spec import labels
from lcompose.spec.run import Given

# What a person asked Podman for; its own record of devices has only what that became.
ASKED = re.compile(r"--(?:device|gpus)=(.+)")
# Devices that every container may be given, and that are no accelerators.
NODE = re.compile(r"/dev/(?:nvidia|dxg|kfd|dri|accel|davinci)|[\w.]+/\w+=")


def given(inspected: Mapping[str, Any]) -> Given:
    """A container as its engine describes it."""
    config, wishes = inspected["Config"], inspected.get("HostConfig") or {}
    carried = config.get("Labels") or {}
    devices = dict.fromkeys([*_requests(wishes), *_nodes(wishes), *_asked(config.get("CreateCommand") or [])])
    return Given(
        container=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        service=carried.get(labels.SERVICE, ""),
        vendor=carried.get(labels.ACCELERATOR, ""),
        devices=tuple(devices),
    )


def _requests(wishes: Mapping[str, Any]) -> Iterator[str]:
    """Docker's: a driver, and ids or a number; -1 is all."""
    for one in wishes.get("DeviceRequests") or ():
        count = one.get("Count") or 0
        which = ", ".join(one.get("DeviceIDs") or ()) or ("all" if count < 0 else str(count))
        yield f"{one.get('Driver') or 'gpu'}: {which}"


def _nodes(wishes: Mapping[str, Any]) -> Iterator[str]:
    for one in wishes.get("Devices") or ():
        for place in ("PathInContainer", "PathOnHost"):
            path = str(one.get(place) or "")
            if NODE.match(path):
                yield path


def _asked(command: list[str]) -> Iterator[str]:
    """Podman's own command line, in both of its spellings."""
    for word, value in pairwise([*command, ""]):
        match = ASKED.fullmatch(word)
        said = match[1] if match else value if word in ("--device", "--gpus") else ""
        if NODE.match(said):
            yield said
