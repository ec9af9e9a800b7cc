"""The scrub of a node's disk, with its parents to repair from: connected to only where something has rotted."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from registry_mesh.assembly.parents import Parents
from registry_mesh.assembly.repositories import open_repositories
from registry_mesh.assembly.roles import open_site
from registry_mesh.assembly.self_check import Repairers
from registry_mesh.assembly.storage import cache_of
from registry_mesh.config.schema import Config
from registry_mesh.content.scrub import Pace, Scrub, Told, wait_for_next
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import Repository
from registry_mesh.ports.storage import LocalDisk, Storage
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.verify import refetch
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)


class Scrubber:
    """Of `disk`, which is what of `storage` lies on one."""

    def __init__(
        self, config: Callable[[], Config], storage: Storage, disk: LocalDisk, instruments: Instruments
    ) -> None:
        self._config = config
        self._storage = storage
        self._instruments = instruments
        told = Told(
            instruments.counter(names.SCRUBBED_BYTES).add,
            instruments.counter(names.ROTTEN).add,
            instruments.counter(names.REPAIRED).add,
        )
        self._scrub = Scrub(disk.inspection, disk.records, self._repair, self._pace, told)

    def _pace(self) -> Pace:
        return Pace(self._config().scrub.rate, self._config().scrub.every)

    async def repeat(self) -> None:
        await self._scrub.repeat()

    def tell(self) -> None:
        """Set the gauge."""
        self._instruments.gauge(names.SCRUBBED_AT).set(int(self._scrub.progress.completed))

    def status(self) -> dict[str, Any]:
        """For the operator. Any: JSON."""
        progress, now = self._scrub.progress, time.time()
        last = progress.last
        return {
            "running": progress.running,
            "age_seconds": round(now - progress.completed, 1) if progress.completed else None,
            "done": round(int(last.hex[:8], 16) / (1 << 32), 4) if progress.running and last else None,
            "read_bytes": progress.read,
            "rotten": progress.rotten,
            "repaired": progress.repaired,
            "next_in_seconds": wait_for_next(progress, self._pace(), now),
        }

    async def _repair(self, digest: Digest, spans: Sequence[Span]) -> bool:
        mended = False
        try:
            mended = await self._bring(digest, spans)
        finally:
            what = {"digest": str(digest), "chunks": len(spans), "repaired": mended}
            log.warning("stored bytes have rotted", extra={FIELDS: what})
        return mended

    async def _bring(self, digest: Digest, spans: Sequence[Span]) -> bool:
        async with AsyncExitStack() as stack:
            parents = await stack.enter_async_context(Parents(self._config(), self._instruments))
            if self._config().role == "site":
                return await self._follow(digest, spans, parents, stack)
            return await self._replace(digest, parents)

    async def _follow(
        self, digest: Digest, spans: Sequence[Span], parents: Parents, stack: AsyncExitStack
    ) -> bool:
        """As a client would: what is missing is fetched."""
        place = await cache_of(self._storage).place_of(digest)
        if place is None:  # nobody knows who has it: the next to ask for it will say
            return False
        registry, _, name = place.partition("/")
        try:
            site = open_site(self._config(), self._storage, parents, stack)
            repository = site.repository(registry, RepositoryName(name))
            await _read(repository, digest, spans)
        except (Failure, Refusal):
            return False
        return True

    async def _replace(self, digest: Digest, parents: Parents) -> bool:
        """A replica's blob, put aside as a whole, comes from a repository that names it."""
        repositories = open_repositories(self._config(), self._storage)
        repairers = Repairers(self._config(), parents)
        async for name in _naming(repositories, digest):
            for parent in repairers(name):
                try:
                    await refetch(repositories.blobs, parent, digest)
                except (Failure, Refusal):
                    continue
                return True
        return False


async def _read(repository: Repository, digest: Digest, spans: Sequence[Span]) -> None:
    try:
        for span in spans:
            async with repository.blobs.open(digest, span) as reading:
                async for _ in reading.pieces():
                    pass  # that it comes is enough
    except (Failure, Refusal):
        await repository.manifests.manifest(digest)  # registries serve these at their own place only


async def _naming(repositories: Repositories, digest: Digest) -> AsyncIterator[RepositoryName]:
    async for name in repositories.names():
        parts = repositories.parts(name)
        if await parts.blobs.linked_at(digest) is not None or await parts.shelf.find(digest) is not None:
            yield name
