"""Upload sessions in a bucket, for any number of hosts without a lock server. Each has a log (`session_log`)."""

from __future__ import annotations

import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.chunks.sums import SUM
from registry_mesh.oci.digest import new_hasher
from registry_mesh.oci.refusals import BlobUploadInvalid, BlobUploadUnknown
from registry_mesh.ports.failures import Failure, StoreBroken
from registry_mesh.ports.pushes import Upload
from registry_mesh.ports.uploads import EXPIRY, OpenUpload, Owner, Uploads, demand_id, demand_start, new_id
from registry_mesh.stores import resumable_hash
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.entry import data_key
from registry_mesh.stores.bucket.ingest import Intake, Lookup
from registry_mesh.stores.bucket.lease_holder import is_dead, this_process
from registry_mesh.stores.bucket.multipart import (
    MOST_PARTS,
    MultipartUpload,
    PartBuffer,
    demand_room,
    part_size,
    part_size_of,
)
from registry_mesh.stores.bucket.session import Session, base_of, replay
from registry_mesh.stores.bucket.session_ingest import SessionIngest
from registry_mesh.stores.bucket.session_log import LEASE, SessionLog, record_key
from registry_mesh.stores.stream_sum import StreamSum
from registry_mesh.stores.turns import TurnTaken, turn
from registry_mesh.tasks.together import ask_each
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

PATIENCE: Final = LEASE + 5
"""Seconds that a request waits for its turn: until the lease of one that went silent is over."""

_SKIP: Final = 32
"""Part numbers left out behind an append that died: it may have sent some that it did not write down."""


OLD_PART: Final = 8 << 20
"""Bytes of a part of a session that was begun before records said so."""

_SEEN: Final = 256
"""Sessions whose records this process need not read again."""


class S3Uploads:
    """Implements `uploads.Uploads`. `clock` is for expiry, `wall` for leases; both in seconds since the epoch.
    `process` names the one that takes leases."""

    def __init__(
        self,
        client: S3Client,
        control: S3Control,
        lookup: Lookup,
        clock: Callable[[], float] = time.time,
        *,
        expiry: float = EXPIRY,
        wall: Callable[[], float] = time.time,
        patience: float = PATIENCE,
        process: Callable[[], str] = this_process,
    ) -> None:
        self._patience = patience
        self._client = client
        self._control = control
        self._lookup = lookup
        self._clock = clock
        self._expiry = expiry
        self._wall = wall
        self._process = process
        self._seen: OrderedDict[str, Session] = OrderedDict()

    async def begin(self, owner: Owner, algorithm: str, whole: int | None = None) -> Upload:
        """Write down a new session. `DigestInvalid` where the algorithm is unknown here, `StoreFull` where a bucket
        takes no blob of `whole` bytes."""
        new_hasher(algorithm)
        id = new_id()
        state = resumable_hash.new(algorithm).state() or b""
        room = None if whole is None else part_size_of(whole)
        session = Session(owner, algorithm, uuid.uuid4().hex, self._clock(), hash=state, room=room)
        await self._client.create(record_key(id, 0), session.encode(None))
        return Upload(id, 0, algorithm)

    async def status(self, owner: Owner, id: str) -> Upload:
        """Return how far the session is, as any host wrote it down. `BlobUploadUnknown`."""
        session = await self._find(owner, id)
        return Upload(id, session.offset, session.algorithm)

    @asynccontextmanager
    async def append(
        self, owner: Owner, id: str, start: int | None, size: int | None = None
    ) -> AsyncIterator[SessionIngest]:
        """Go on with a session, under a lease that other hosts wait for. `RangeInvalid`, `BlobUploadInvalid`."""
        log = await turn(lambda: self._take_lease(owner, id, start, size or 0), self._patience)
        intake = await self._intake(log.session)
        ingest = SessionIngest(self._client, self._control, intake, self._lookup, log)
        try:
            yield ingest
        finally:
            await ingest.leave()

    async def _intake(self, session: Session) -> Intake:
        """Everything as it was when the session was last left."""
        part = PartBuffer()
        tails = await ask_each(self._client.get, [tail.key for tail in session.tails])
        for tail, data in zip(session.tails, tails, strict=True):
            if data is None or len(data) != tail.size:
                raise StoreBroken("an upload's bytes are not in the bucket")
            part.take(memoryview(data), part.size + len(data))
        mapper = ChunkMapper.resumed(session.sums, session.summed_by)
        mapped = len(session.sums) // SUM * CHUNK
        mapper.update(part.after(part.size - (session.offset - mapped)))
        summed = StreamSum(session.algorithm, resumable_hash.resume(session.algorithm, session.hash), mapper)
        if not session.offset:
            summed = StreamSum.begin(session.algorithm, session.summed_by)
        multipart = MultipartUpload(
            self._client,
            self._control,
            data_key(session.name),
            session.upload,
            session.parts,
            session.next_part,
            session.room or OLD_PART,
        )
        return Intake(session.name, summed, multipart, part, session.offset)

    async def _take_lease(self, owner: Owner, id: str, start: int | None, size: int) -> SessionLog:
        """`StoreFull` where `size` bytes more do not fit."""
        session = _measured(await self._free(owner, id, start), size)
        log = self._log(id, session)
        lapsed = session.lease is not None
        try:
            await log.add(
                replace(session, next_part=session.next_part + (_SKIP if lapsed else 0)), leased=True
            )
        except BlobUploadInvalid:
            raise TurnTaken(upload=id) from None
        return log

    def _log(self, id: str, session: Session) -> SessionLog:
        return SessionLog(self._client, self._control, id, session, self._clock, self._wall, self._process)

    async def _free(self, owner: Owner, id: str, start: int | None = None) -> Session:
        """The session, where nobody is known to write to it; `TurnTaken`."""
        session = await self._find(owner, id)
        demand_start(start, session.offset)
        if self._running(session):
            raise TurnTaken(upload=id)
        return session

    async def cancel(self, owner: Owner, id: str) -> None:
        """End the session, with all that it has. `BlobUploadUnknown`."""
        session = await turn(lambda: self._free(owner, id), self._patience)
        await self._log(id, session).end()

    async def unfinished(self) -> AsyncIterator[OpenUpload]:
        """See `Uploads.unfinished`."""
        late = self._clock() - self._expiry
        async for page in self._control.list("uploads/", delimiter="/"):
            ids = [prefix.split("/")[1] for prefix in page.prefixes]
            for id, session in zip(ids, await ask_each(self._load, ids), strict=True):
                if session is None or session.ended:
                    continue
                if session.at >= late or self._running(session):
                    yield OpenUpload(id, session.owner.repository, session.offset)

    async def sweep(self) -> int:
        """End the sessions that nobody went on with for the time of expiry; return how many."""
        late = self._clock() - self._expiry
        swept, faults = 0, []
        async for page in self._control.list("uploads/", delimiter="/"):
            for id in [prefix.split("/")[1] for prefix in page.prefixes]:
                try:
                    swept += await self._sweep_one(id, late)
                except Failure as fault:  # the others can go all the same
                    faults.append(fault.reason)
        if faults:
            log.warning(
                "expired uploads stay in the bucket until the next sweep",
                extra={FIELDS: {"uploads": len(faults), "why": faults[0]}},
            )
        return swept

    async def _sweep_one(self, id: str, late: float) -> bool:
        session = await self._load(id)
        if session is None or session.at >= late or self._running(session):
            return False
        try:
            await self._log(id, session).end()
        except BlobUploadInvalid:  # somebody goes on with it just now
            return False
        return True

    def _running(self, session: Session) -> bool:
        lease = session.lease
        return lease is not None and lease.until > self._wall() and not is_dead(lease.by)

    async def _find(self, owner: Owner, id: str) -> Session:
        session = await self._load(demand_id(id))
        if session is None or session.ended or session.owner != owner:
            raise BlobUploadUnknown(upload=id)
        if session.at < self._clock() - self._expiry and not self._running(session):
            raise BlobUploadUnknown(upload=id)
        return session

    async def _load(self, id: str) -> Session | None:
        """As the bucket has it now. Read again where its log was cut short between listing and reading."""
        for _ in range(3):
            numbers = [
                int(listed.key.rpartition("/")[2])
                async for page in self._control.list(f"uploads/{id}/")
                for listed in page.objects
            ]
            if not numbers:
                return None
            session = await self._follow(id, max(numbers))
            if session is not None:
                return session
        return None

    async def _follow(self, id: str, last: int) -> Session | None:
        """The session after record `last`; records never change, so those seen before are not read again."""
        since = self._seen.get(id)
        if since is not None and not base_of(last) <= since.number <= last:
            since = None
        first = since.number + 1 if since else base_of(last)
        records = await ask_each(
            self._client.get, [record_key(id, number) for number in range(first, last + 1)]
        )
        whole = [record for record in records if record is not None]
        if len(whole) < len(records):
            return None
        session = replay(since, first, whole)
        self._remember(id, session)
        return session

    def _remember(self, id: str, session: Session) -> None:
        self._seen.pop(id, None)
        self._seen[id] = session
        if len(self._seen) > _SEEN:
            self._seen.popitem(last=False)


_: type[Uploads] = S3Uploads


def _measured(session: Session, size: int) -> Session:
    """The session with its size of parts, which the first bytes to come decide. `StoreFull`."""
    if session.room is None and session.upload is None:
        held = sum(tail.size for tail in session.tails)
        room = part_size(session.offset + size)
        return replace(session, room=room if held <= room else OLD_PART)
    room = session.room or OLD_PART
    left = (MOST_PARTS - session.next_part + 1) * room - sum(tail.size for tail in session.tails)
    demand_room(size, left, room)
    return session
