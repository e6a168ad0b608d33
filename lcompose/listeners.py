"""Whose a port of this machine is: the program that listens there, as far as the kernel shows it to us."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

from lcompose.machine import Host

Address: TypeAlias = "IPv4Address | IPv6Address"

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
USERS = "/etc/passwd"
LISTENS = "0A"
# Programs of engines that hold ports for containers.
PORT_KEEPERS = ("docker-proxy", "rootlessport", "conmon", "netavark")
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Listener:
    """A program that listens; a ``pid`` of 0 is another user's, which is not shown to us."""

    pid: int = 0
    program: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    address: Address
    port: int
    uid: int
    inode: str


def listener(host: Host, bind: str, port: int) -> Listener | None:
    """Who is in the way of listening at an address and a port; None where nobody is seen."""
    rows = [row for row in _rows(host) if row.port == port and _meets(row.address, bind)]
    if not rows:
        return None
    pids = _pids(host, {row.inode for row in rows})
    if pids:
        # Of a program and the children that it handed its socket to, the program.
        return Listener(min(pids), (host.text(f"/proc/{min(pids)}/comm") or "").strip())
    return Listener(user=_user(host, rows[0].uid))


def holder_of(host: Host, bind: str, port: int) -> str:
    """Who is in the way there, in words; somebody surely is."""
    found = listener(host, bind, port)
    if found and found.program in PORT_KEEPERS:
        return f"another container ({found.program}, pid {found.pid})"
    if found and found.pid:
        return f"another program ({found.program or 'unknown'}, pid {found.pid})"
    return f"another program of the user {found.user}" if found and found.user else "another program"


def holders(host: Host, bind: str, port: int) -> list[int]:
    """The processes that listen there, as far as they are shown to us."""
    inodes = {row.inode for row in _rows(host) if row.port == port and _meets(row.address, bind)}
    return _pids(host, inodes) if inodes else []


def _rows(host: Host) -> Iterator[_Row]:
    for table in TABLES:
        for line in (host.text(table) or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTENS and words[7].isdecimal():
                address, _, port = words[1].partition(":")
                yield _Row(_address(address), int(port, 16), int(words[7]), words[9])


def _address(text: str) -> Address:
    """An address as the kernel writes it: words of four bytes, each of them backwards."""
    found = bytes.fromhex(text)
    return ip_address(b"".join(found[at : at + 4][::-1] for at in range(0, len(found), 4)))


def _meets(listening: Address, bind: str) -> bool:
    """Whether who listens at one address is in the way of who wants another one."""
    wanted = ip_address(bind or "0.0.0.0")  # noqa: S104
    mapped = listening.ipv4_mapped if isinstance(listening, IPv6Address) else None
    listening = mapped or listening
    if listening.version != wanted.version:
        # Whoever listens on every address of IPv6 mostly has those of IPv4 too.
        return listening == IPv6Address("::")
    return listening == wanted or listening.is_unspecified or wanted.is_unspecified


def _pids(host: Host, inodes: Collection[str]) -> list[int]:
    return [int(pid) for pid in host.names("/proc") if pid.isdecimal() and _holds(host, pid, inodes)]


def _holds(host: Host, pid: str, inodes: Collection[str]) -> bool:
    folder = f"/proc/{pid}/fd"
    links = (_SOCKET.fullmatch(host.link(f"{folder}/{one}")) for one in host.names(folder))
    return any(found and found[1] in inodes for found in links)


def _user(host: Host, uid: int) -> str:
    for line in (host.text(USERS) or "").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(uid):
            return fields[0]
    return str(uid)
