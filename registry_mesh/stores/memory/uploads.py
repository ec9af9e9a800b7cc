"""Upload sessions in memory, for a store in memory: gone with the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUploadUnknown
from registry_mesh.ports.blobs import BlobInfo, BlobStore
from registry_mesh.ports.pushes import Upload
from registry_mesh.ports.uploads import EXPIRY, OpenUpload, Owner, demand_start, new_id
from registry_mesh.stores.turns import PATIENCE, QUIET, TurnPulse, TurnTaken, giving_way, turn


@dataclass
class _Session:
    owner: Owner
    algorithm: str
    touched: float
    data: bytearray = field(default_factory=bytearray)
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: bool = False
    """Another waits for its turn."""
    ended: bool = False
    """Its blob was committed, or was none: it is over once its holder leaves."""


class _SessionIngest:
    """Implements `ports.uploads.Appending`."""

    def __init__(self, uploads: MemoryUploads, session: _Session, pulse: TurnPulse) -> None:
        self.pulse = pulse
        self._uploads = uploads
        self._session = session

    @property
    def offset(self) -> int:
        return len(self._session.data)

    @property
    def kept(self) -> int:
        return self.offset

    async def write(self, data: bytes) -> None:
        with self.pulse:
            self._session.data += data

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        self._session.ended = True
        algorithm = expected.algorithm if expected else self._session.algorithm
        with self.pulse:
            async with self._uploads.blobs.ingest(expected, self.offset, algorithm) as ingest:
                await ingest.write(bytes(self._session.data))
                return await ingest.commit(expected)


class MemoryUploads:
    """Implements `uploads.Uploads`."""

    def __init__(
        self,
        blobs: BlobStore,
        clock: Callable[[], float],
        expiry: float = EXPIRY,
        patience: float = PATIENCE,
        quiet: float = QUIET,
    ) -> None:
        self.blobs = blobs
        self._clock = clock
        self._expiry = expiry
        self._patience = patience
        self._quiet = quiet
        self._sessions: dict[str, _Session] = {}

    async def begin(self, owner: Owner, algorithm: str, whole: int | None = None) -> Upload:
        """Begin a session of `owner`."""
        id = new_id()
        self._sessions[id] = _Session(owner, algorithm, self._clock())
        return Upload(id, 0, algorithm)

    async def status(self, owner: Owner, id: str) -> Upload:
        """Return how far the session is. `BlobUploadUnknown`."""
        session = self._find(owner, id)
        return Upload(id, len(session.data), session.algorithm)

    @asynccontextmanager
    async def append(
        self, owner: Owner, id: str, start: int | None, size: int | None = None
    ) -> AsyncIterator[_SessionIngest]:
        """Go on with a session, one at a time. `RangeInvalid`, `BlobUploadInvalid`."""
        session = await turn(lambda: self._free(owner, id, start), self._patience)
        async with session.alone:
            session.asked = False
            pulse = TurnPulse(self._quiet)
            try:
                async with giving_way(pulse, lambda: _truth(session)):
                    yield _SessionIngest(self, session, pulse)
            finally:
                session.touched = self._clock()
                if session.ended:
                    self.end(id)

    async def _free(self, owner: Owner, id: str, start: int | None) -> _Session:
        """The session, with nobody writing to it: the caller locks it before anything else runs."""
        session = self._find(owner, id)
        demand_start(start, len(session.data))
        if session.alone.locked():
            session.asked = session.asked or (start is not None and not session.ended)
            raise TurnTaken(upload=id)
        return session

    async def cancel(self, owner: Owner, id: str) -> None:
        """End the session, with all that it has. `BlobUploadUnknown`."""
        self._find(owner, id)
        self.end(id)

    async def unfinished(self) -> AsyncIterator[OpenUpload]:
        """See `Uploads.unfinished`."""
        late = self._clock() - self._expiry
        for id, each in list(self._sessions.items()):
            if not each.ended and each.touched >= late:
                yield OpenUpload(id, each.owner.repository, len(each.data))

    async def sweep(self) -> int:
        """End the sessions that nobody went on with for the time of expiry; return how many."""
        late = self._clock() - self._expiry
        expired = [
            id for id, each in self._sessions.items() if each.touched < late and not each.alone.locked()
        ]
        for id in expired:
            self.end(id)
        return len(expired)

    def end(self, id: str) -> None:
        """Forget a session."""
        self._sessions.pop(id, None)

    def _find(self, owner: Owner, id: str) -> _Session:
        session = self._sessions.get(id)
        if session is None or session.owner != owner or session.touched < self._clock() - self._expiry:
            raise BlobUploadUnknown(upload=id[:64])
        return session


async def _truth(session: _Session) -> bool:
    return session.asked
