"""The words of a compose file that podman-compose leaves out in silence, and that change what is started.

What has no effect on a start is not here: ``attach``, ``develop``, what is for Swarm or Windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

OTHER_PROVIDER = "use docker-compose over Podman's socket: PODMAN_COMPOSE_PROVIDER=docker-compose"

_KERNEL = "a limit of the kernel's would not be set"
_NAMESPACE = "it would not share what it is to share"
_HOOK = "what it runs beside its own command would not be run"
# By path; "*" is any key or place of a list.
LEFT_OUT: Mapping[tuple[str, ...], str] = {
    ("blkio_config",): _KERNEL,
    ("cpu_period",): _KERNEL,
    ("cpu_quota",): _KERNEL,
    ("cpu_rt_period",): _KERNEL,
    ("cpu_rt_runtime",): _KERNEL,
    ("mem_swappiness",): _KERNEL,
    ("memswap_limit",): _KERNEL,
    ("oom_kill_disable",): _KERNEL,
    ("oom_score_adj",): _KERNEL,
    ("storage_opt",): _KERNEL,
    ("cgroup",): _NAMESPACE,
    ("cgroup_parent",): _NAMESPACE,
    ("ipc",): _NAMESPACE,
    ("uts",): _NAMESPACE,
    ("external_links",): _NAMESPACE,
    ("volumes_from",): _NAMESPACE,
    ("use_api_socket",): _NAMESPACE,
    ("post_start",): _HOOK,
    ("pre_start",): _HOOK,
    ("pre_stop",): _HOOK,
    ("provider",): "it would be taken for a container",
    ("models",): "no model would be there",
    ("credential_spec",): "it would have no credentials",
    ("domainname",): "it would have no domain name",
    ("label_file",): "its labels would be missing",
    ("networks", "*", "link_local_ips"): "its address would be missing",
    ("networks", "*", "driver_opts"): "its network would be another one",
    ("networks", "*", "interface_name"): "its interface would have another name",
    ("volumes", "*", "volume", "nocopy"): "the volume would be filled from the image",
    ("deploy", "resources", "reservations", "generic_resources"): "a device would be missing",
}


def refused_words(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The path of each such word in a service, and a sentence about it."""
    for pattern, effect in LEFT_OUT.items():
        for path in _found(service, pattern):
            yield ".".join(path), f"podman-compose leaves this out: {effect}"


def _found(tree: Any, pattern: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not pattern:
        if tree not in (None, False, [], {}):
            yield ()
        return
    step, rest = pattern[0], pattern[1:]
    for key, child in _children(tree):
        if step in ("*", key):
            for path in _found(child, rest):
                yield (key, *path)


def _children(tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        yield from ((str(key), value) for key, value in tree.items())
    elif isinstance(tree, list):
        yield from ((str(index), value) for index, value in enumerate(tree))
