"""Where a person can change what a service is made of: an option, lcompose.yaml, or their compose file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lcompose.errors import Finding, Position
from lcompose.spec.project import Port, Project, Service


@dataclass(frozen=True, slots=True)
class Sources:
    """Who says what of the services.

    ``file`` is what messages call the source of all. Of what lcompose renders, ``project`` has the
    services, ``sections`` tell under which name the settings speak of one, and ``said`` are a person's
    own words of Compose by service, which stand in ``overlay``.
    """

    file: str
    project: Project | None = None
    sections: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    overlay: str = "lcompose.yaml"

    def place(self, service: str, word: str) -> str:
        """The path and the file in which a service's word stands, or is to be written."""
        path, file = f"services.{service}.{word}", self.file
        if self._is_said(service, word):
            return f"compose.{path} in {self.overlay}"
        if self.project:
            path, file = f"services.{self.sections.get(service, service)}.{word}", self.overlay
        return f"{path} in {file}"

    def another_image(self, service: str) -> str:
        """How to take another image for a service."""
        if self.project is None or self._is_said(service, "image"):
            return self.place(service, "image")
        return f"--image {self.sections.get(service, service)}=IMAGE"

    def another_port(self, service: str, bind: str, published: int) -> str:
        """How to publish another port of this machine than that one."""
        port = self._port(service, bind, published)
        if port is None:
            return f"publish another port: {self.place(service, 'ports')}"
        other = published + 10000 if published < 50000 else published - 10000
        address = "" if bind == "127.0.0.1" else f"[{bind}]:" if ":" in bind else f"{bind}:"
        section = self.sections.get(service, service)
        return f"take another port: --set services.{section}.ports={address}{other}:{port.target}"

    def placed(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings of services; those of a person's own words of Compose, with where these stand."""
        return [self._placed(one) for one in findings]

    def _placed(self, found: Finding) -> Finding:
        first, _, rest = found.path.partition(".")
        # A name may have dots in it too.
        if first != "services" or not any(_stands(rest, name, words) for name, words in self.said.items()):
            return found
        return replace(found, where=Position(self.overlay), path=f"compose.{found.path}")

    def _is_said(self, service: str, word: str) -> bool:
        return service in self.said and (word in self.said[service] or self._ours(service) is None)

    def _port(self, service: str, bind: str, published: int) -> Port | None:
        """The one port that the settings have a service publish, if it is that one."""
        ours = self._ours(service)
        if ours is None or self._is_said(service, "ports") or len(ours.ports) != 1:
            return None
        port = ours.ports[0]
        return port if (port.bind, port.published) == (bind, published) else None

    def _ours(self, name: str) -> Service | None:
        found = self.project.services if self.project else ()
        return next((one for one in found if one.name == name), None)


def _stands(path: str, service: str, words: Mapping[str, Any]) -> bool:
    word = path.removeprefix(f"{service}.").partition(".")[0]
    return path.startswith(f"{service}.") and word in words
