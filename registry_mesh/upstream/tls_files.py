"""Whom TLS believes on the way to parents, and as whom it appears: by files that may be renewed at any time."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from registry_mesh.tasks.files import Files
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.tasks.renewed_files import LOOK, RenewedFiles
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)


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
        last: LastFiles | None = None,
    ) -> None:
        """`last`: see `RenewedFiles`. OSError, `ssl.SSLError` where the files cannot be used."""
        self._ca, self._certificate, self._key = ca, certificate, key
        self._clock = clock
        self._named = [path for path in (ca, certificate, key) if path]
        self._files = RenewedFiles(self._named, self._read, self._tell, last)
        self._looked = clock()

    def contexts(self) -> Contexts:
        """What the files say now, or said when they were good last."""
        now = self._clock()
        if now - self._looked >= LOOK:
            self._looked = now
            self._files.renew()
        return self._files.value

    def _tell(self, why: str) -> None:
        files = self._named
        if why:
            said = {"files": files, "why": why}
            log.error("files for TLS to parents cannot be used: the old ones hold", extra={FIELDS: said})
        else:
            log.info("files for TLS to parents were read again", extra={FIELDS: {"files": files}})

    def _read(self, files: Files) -> Contexts:
        parents, elsewhere = (ssl.create_default_context() for _ in range(2))
        if self._ca:
            parents.load_verify_locations(files.at(self._ca))
            elsewhere.load_verify_locations(files.at(self._ca))
        if self._certificate and self._key:
            parents.load_cert_chain(files.at(self._certificate), files.at(self._key))
        return Contexts(parents, elsewhere)
