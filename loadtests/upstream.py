"""A parent one can trust to be fast and to count: nginx serving the paths of a registry from files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from loadtests import nginx
from loadtests.corpus import Corpus
from loadtests.processes import Server

PROBE = "GET /v2/ HTTP/1.1"
"""A site looks now and then whether its parents live; that moves nothing and is not counted."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What left a parent."""

    requests: int
    body_bytes: int


class Parent:
    """`server` in a context; `sent()` tells what it sent since the last `forget()`."""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.server: Server = nginx.static(corpus, folder, name="parent", workers=2, registry=True, log=True)
        self._log = folder / "access.log"
        self._from = 0

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def port(self) -> int:
        return self.server.port

    def _settle(self) -> None:
        time.sleep(1.2)  # its log is buffered for a second

    def forget(self) -> None:
        self._settle()
        self._from = self._log.stat().st_size

    def _lines(self) -> list[list[str]]:
        """Of each answer: what stands around and between the quotes of nginx's combined format."""
        self._settle()
        with open(self._log) as log:
            log.seek(self._from)
            lines = [line.split('"') for line in log]
        return [line for line in lines if line[1] != PROBE]

    def bodies(self) -> list[int]:
        """Bytes of each answer's body, in order."""
        return [int(line[2].split()[1]) for line in self._lines()]

    def asked(self) -> list[str]:
        """The request lines, in order."""
        return [line[1] for line in self._lines()]

    def sent(self) -> Sent:
        bodies = self.bodies()
        return Sent(len(bodies), sum(bodies))
