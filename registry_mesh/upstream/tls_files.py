"""Whom TLS believes on the way to parents, and as whom it appears: by files that may be renewed at any time."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry_mesh.telemetry.logs import FIELDS

LOOK: Final = 1.0
"""Seconds between two looks at the files."""

log: Final = logging.getLogger(__name__)

_Seen = tuple[tuple[int, int, int], ...]
"""Modification time, size and inode of each file."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """`parents`: with the client certificate; `elsewhere`: for whom that is not meant."""

    parents: ssl.SSLContext
    elsewhere: ssl.SSLContext


class TlsFiles:
    """Contexts by the PEM files `ca`, `certificate` and `key`; None for one that is not configured. Files that change
    are read again, and hold for connections made from then on; ones that cannot be used change nothing."""

    def __init__(
        self,
        ca: str | None,
        certificate: str | None,
        key: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """OSError, `ssl.SSLError` where the files cannot be used."""
        self._ca, self._certificate, self._key = ca, certificate, key
        self._files = [path for path in (ca, certificate, key) if path]
        self._clock = clock
        self._fault = ""  # that was told of last
        self._seen = self._look()
        self._looked = clock()
        self._contexts = self._read()

    def contexts(self) -> Contexts:
        """What the files say now, or said when they were good last."""
        now = self._clock()
        if now - self._looked >= LOOK:
            self._looked = now
            self._renew()
        return self._contexts

    def _renew(self) -> None:
        try:
            seen = self._look()
            if seen == self._seen:
                return
            self._seen = seen
            self._contexts = self._read()
        except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
            if str(fault) != self._fault:
                self._fault = str(fault)
                log.error(
                    "files for TLS to parents cannot be used: the old ones hold",
                    extra={FIELDS: {"files": self._files, "why": self._fault}},
                )
            return
        self._fault = ""
        log.info("files for TLS to parents were read again", extra={FIELDS: {"files": self._files}})

    def _look(self) -> _Seen:
        found = (Path(path).stat() for path in self._files)
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)

    def _read(self) -> Contexts:
        parents, elsewhere = (ssl.create_default_context() for _ in range(2))
        for context in (parents, elsewhere) if self._ca else ():
            context.load_verify_locations(self._ca)
        if self._certificate and self._key:
            parents.load_cert_chain(self._certificate, self._key)
        return Contexts(parents, elsewhere)
