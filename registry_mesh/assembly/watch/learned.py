"""What a look at a node needs that lies in files and records: learned beside it, now and then."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Set
from datetime import UTC, timedelta
from pathlib import Path
from typing import Final

from registry_mesh.assembly.labels import node_name, own_record
from registry_mesh.assembly.watch import verified
from registry_mesh.assembly.watch.verified import Verified
from registry_mesh.config.access_files import forgotten_registries
from registry_mesh.config.checking.certificates import check_pair, ends_at
from registry_mesh.config.checking.files_in_force import named_files, unusable_files
from registry_mesh.config.parent_places import parent_places
from registry_mesh.config.schema import Config
from registry_mesh.findings.facts import CertificateFacts, FileFacts
from registry_mesh.ports import marker
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.tasks.threads import offload

EVERY: Final = 60.0
"""Seconds between two looks at records: in a bucket each costs."""
PATIENCE: Final = 5.0
"""Seconds for an answer of records: a bucket that hangs does not keep the node from looking."""


class Learned:
    """Of one node. `records` are those of its store, None before it is open."""

    def __init__(
        self, config: Callable[[], Config], path: str, records: Callable[[], KeyedRecords | None]
    ) -> None:
        """`path`: the configuration's file."""
        self._config = config
        self._path = path
        self._records = records
        self._served: dict[str, float] = {}
        self._asked = -EVERY
        self.forgotten: frozenset[str] = frozenset()
        """Registries that are served to nobody."""
        self.certificates: tuple[CertificateFacts, ...] = ()
        self.files: tuple[FileFacts, ...] = ()
        self._seen: tuple[object, ...] = ()
        """Of the files that the configuration names, as they were when they were looked into."""
        self.places: Mapping[tuple[str, str], str] = {}
        """Where the file names a parent, by registry and URL; looked at when it is needed."""
        self.format = 0
        """Of the store, as its marker says now; 0 where it does not."""
        self.verified = Verified()
        self.answered: dict[str, float] = {}
        """When a parent answered last, by registry, over restarts; seconds since the epoch."""

    async def learn(self, answering: Set[str], *, places: bool) -> None:
        """Look anew. `answering`: registries of which a parent answers now; `places`: whether those of parents are
        needed."""
        self.certificates = await offload(self._look_at_certificates)
        self.files = await offload(self._look_at_files)
        if places and not self.places:
            self.places = await offload(parent_places, self._path)
        self.answered |= dict.fromkeys(answering, time.time())
        now = time.monotonic()
        if now - self._asked >= EVERY:
            self._asked = now
            self.forgotten = await offload(forgotten_registries, self._config())
            await self._ask_records()

    async def _ask_records(self) -> None:
        records = self._records()
        if records is None:
            self._asked = -EVERY
            return
        key = own_record("answered", node_name(self._config()))
        try:
            async with asyncio.timeout(PATIENCE):
                self.format = _format(await records.get(marker.KEY))
                self.verified = Verified.decode(await records.get(verified.KEY))
                for host, at in _times(await records.get(key)).items():
                    self.answered[host] = max(at, self.answered.get(host, 0.0))
                await records.put(key, json.dumps(self.answered).encode())
        except (Failure, OSError):
            return  # a store that is broken is a finding of its own

    def _look_at_files(self) -> tuple[FileFacts, ...]:
        """In a thread: read again where one of them is another."""
        config = self._config()
        seen = tuple(map(_look, named_files(config)))
        if seen == self._seen:
            return self.files
        self._seen = seen
        found: dict[str, list[str]] = {}
        for each in unusable_files(config):
            found.setdefault(each.key, []).append(each.why)
        return tuple(FileFacts(key, tuple(why)) for key, why in found.items())

    def _look_at_certificates(self) -> tuple[CertificateFacts, ...]:
        """In a thread: the files of the certificates that are shown, against what they were when they could be used
        last."""
        config = self._config()
        shown = (("clients", config.listen.tls), ("operators", config.admin.tls))
        found = (
            self._certificate(listener, tls.certificate, tls.key)
            for listener, tls in shown
            if tls is not None
        )
        return tuple(each for each in found if each is not None)

    def _certificate(self, listener: str, file: str, key: str) -> CertificateFacts | None:
        try:
            ends = ends_at(Path(file)).astimezone(UTC)
        except (OSError, ValueError):
            return next((each for each in self.certificates if each.listener == listener), None)
        served, why = self._served.setdefault(file, ends.timestamp()), ""
        if ends.timestamp() != served:
            valid = ends - timedelta(seconds=1)  # a listener shows one that has ended, too
            why = next((what for _, what, _ in check_pair(file, key, valid)), "")
        if not why:
            served = self._served[file] = ends.timestamp()
        return CertificateFacts(file, served, why, listener)


def _look(file: str) -> tuple[str, int, int, int]:
    """Differs from the one before where the file may have changed."""
    try:
        found = Path(file).stat()
    except OSError:
        return file, 0, 0, 0
    return file, found.st_ctime_ns, found.st_size, found.st_ino


def _format(data: bytes | None) -> int:
    try:
        return marker.Marker.decode(data).format if data else 0
    except ValueError:
        return 0


def _times(data: bytes | None) -> dict[str, float]:
    try:
        return {str(host): float(at) for host, at in json.loads(data or b"{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}
