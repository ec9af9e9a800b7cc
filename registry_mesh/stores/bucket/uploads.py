"""Upload sessions in a bucket, for any number of hosts without a lock server (the log is in `s3_session`)."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import cache
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMapper
from registry_mesh.oci.digest import Digest, new_hasher
from registry_mesh.oci.refusals import BlobUploadInvalid, BlobUploadUnknown, DigestInvalid
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import Failure, StoreBroken
from registry_mesh.ports.pushes import Upload
from registry_mesh.ports.uploads import EXPIRY, Owner, Uploads, demand_id, demand_start, new_id
from registry_mesh.stores import resumable_hash
from registry_mesh.stores.boot import boot_id
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.entry import data_key
from registry_mesh.stores.bucket.ingest import Intake, Lookup, S3Ingest
from registry_mesh.stores.bucket.multipart import MOST_PARTS, Multipart, PartBuffer, demand_room, part_size
from registry_mesh.stores.bucket.session import FULL_EVERY, Lease, Session, Tail, base_of, replay
from registry_mesh.stores.stream_sum import StreamSum
from registry_mesh.stores.turns import Busy, turn
from registry_mesh.tasks.together import ask_each
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

LEASE: Final = 12.0
"""Seconds for which an append that has not said a word is believed to run."""

PATIENCE: Final = LEASE + 5
"""Seconds that a request waits for its turn: until the lease of one that went silent is over."""

SAVE_EVERY: Final = 16 << 20
"""Bytes after which a running append writes down where it stands. A crash costs a part more: the one on its way."""

MOST_TAILS: Final = 16
"""Objects that a part's beginning is put aside in; then they are joined into one."""

_SKIP: Final = 32
"""Part numbers left out behind an append that died: it may have sent some that it did not write down."""


OLD_PART: Final = 8 << 20
"""Bytes of a part of a session that was begun before records said so."""

_SEEN: Final = 256
"""Sessions whose records this process need not read again."""


class S3Uploads:
    """Implements `uploads.Uploads`. `clock` is for expiry, `wall` for leases; both in seconds since the epoch."""

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
    ) -> None:
        self._patience = patience
        self._client = client
        self._control = control
        self._lookup = lookup
        self._clock = clock
        self._expiry = expiry
        self._wall = wall
        self._seen: OrderedDict[str, Session] = OrderedDict()

    async def begin(self, owner: Owner, algorithm: str) -> Upload:
        new_hasher(algorithm)
        id = new_id()
        state = resumable_hash.new(algorithm).state() or b""
        session = Session(owner, algorithm, uuid.uuid4().hex, self._clock(), hash=state)
        await self._client.create(_record(id, 0), session.encode(None))
        return Upload(id, 0, algorithm)

    async def status(self, owner: Owner, id: str) -> Upload:
        session = await self._find(owner, id)
        return Upload(id, session.offset, session.algorithm)

    @asynccontextmanager
    async def append(
        self, owner: Owner, id: str, start: int | None, size: int | None = None
    ) -> AsyncIterator[_SessionIngest]:
        log = await turn(lambda: self._take_lease(owner, id, start, size or 0), self._patience)
        intake = await self._intake(log.session)
        ingest = _SessionIngest(self._client, self._control, intake, self._lookup, log)
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
        mapper = ChunkMapper.resumed(session.sums)
        mapped = len(session.sums) // 32 * CHUNK
        mapper.update(part.after(part.size - (session.offset - mapped)))
        summed = StreamSum(session.algorithm, resumable_hash.resume(session.algorithm, session.hash), mapper)
        if not session.offset:
            summed = StreamSum.begin(session.algorithm)
        multipart = Multipart(
            self._client,
            self._control,
            data_key(session.name),
            session.upload,
            session.parts,
            session.next_part,
            session.room or OLD_PART,
        )
        return Intake(session.name, summed, multipart, part, session.offset)

    async def _take_lease(self, owner: Owner, id: str, start: int | None, size: int) -> _Log:
        """`StoreFull` where `size` bytes more do not fit."""
        session = _measured(await self._free(owner, id, start), size)
        log = _Log(self._client, self._control, id, session, self._clock, self._wall)
        lapsed = session.lease is not None
        try:
            await log.add(
                replace(session, next_part=session.next_part + (_SKIP if lapsed else 0)), leased=True
            )
        except BlobUploadInvalid:
            raise Busy(upload=id) from None
        return log

    async def _free(self, owner: Owner, id: str, start: int | None = None) -> Session:
        """The session, where nobody is known to write to it; `Busy`."""
        session = await self._find(owner, id)
        demand_start(start, session.offset)
        if self._running(session):
            raise Busy(upload=id)
        return session

    async def cancel(self, owner: Owner, id: str) -> None:
        session = await turn(lambda: self._free(owner, id), self._patience)
        await _Log(self._client, self._control, id, session, self._clock, self._wall).end()

    async def sweep(self) -> int:
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
            await _Log(self._client, self._control, id, session, self._clock, self._wall).end()
        except BlobUploadInvalid:  # somebody goes on with it just now
            return False
        return True

    def _running(self, session: Session) -> bool:
        lease = session.lease
        return lease is not None and lease.until > self._wall() and not _died(lease.by)

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
        records = await ask_each(self._client.get, [_record(id, number) for number in range(first, last + 1)])
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


class _Log:
    """The session's log, as long as it is ours to write."""

    def __init__(
        self,
        client: S3Client,
        control: S3Control,
        id: str,
        session: Session,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._client = client
        self._control = control
        self._id = id
        self._clock = clock
        self._wall = wall
        self.session = session

    async def add(self, session: Session, *, leased: bool) -> None:
        """The next record; `BlobUploadInvalid` where another has written it."""
        before = self.session
        lease = Lease(_me(), self._wall() + LEASE) if leased else None
        session = replace(session, number=before.number + 1, at=self._clock(), lease=lease)
        if not await self._client.create(_record(self._id, session.number), session.encode(before)):
            raise BlobUploadInvalid("another request is writing to this upload")
        self.session = session
        if base_of(session.number) == session.number:
            gone = range(session.number - FULL_EVERY, session.number)
            with suppress(Failure):  # they go with the session, or with its expiry
                await self._control.delete([_record(self._id, number) for number in gone])

    @property
    def waning(self) -> bool:
        """Whether it is time to say that we are still there."""
        lease = self.session.lease
        return lease is None or lease.until - self._wall() < LEASE * 2 / 3

    async def put_aside(self, data: bytes) -> Tail:
        key = f"tails/{self._id}/{uuid.uuid4().hex}"
        await self._client.put(key, data)
        return Tail(key, len(data))

    async def end(self) -> None:
        """The session is over; its multipart upload too, where it has not become an object."""
        await self.add(replace(self.session, ended=True), leased=False)
        await self.remove()

    async def remove(self) -> None:
        if self.session.upload is not None:
            await self._control.abort(data_key(self.session.name), self.session.upload)
        for prefix in (f"tails/{self._id}/", f"uploads/{self._id}/"):
            async for page in self._control.list(prefix):
                await self._control.delete([listed.key for listed in page.objects])


class _SessionIngest:
    """Implements `ports.blobs.Ingest`: a session that is being gone on with."""

    def __init__(
        self, client: S3Client, control: S3Control, intake: Intake, lookup: Lookup, log: _Log
    ) -> None:
        self._blob = S3Ingest(client, control, intake, lookup)
        self._intake = intake
        self._log = log
        self._ended = False  # nothing to go on with
        self._spent = False  # its sums were finished
        self._aside = intake.part.size  # bytes of the part that are in tails
        self._tails = log.session.tails
        self._behind: tuple[int, bytes] | None = (
            None  # where the last part handed over ended, and the hash there
        )

    @property
    def offset(self) -> int:
        return self._intake.offset

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            part = self._intake.part
            rest = await self._intake.take(rest)
            if self._intake.part is not part:
                self._aside, self._tails = 0, ()
                await self._between_parts()
        if self._log.waning:
            await self._log.add(self._log.session, leased=True)

    async def _between_parts(self) -> None:
        """A part has just been handed over, so the one before it has arrived. Where *that* ended is written down,
        now and then, and nobody waits for the part on its way."""
        intake, behind = self._intake, self._behind
        if behind is not None and behind[0] - self._log.session.offset >= SAVE_EVERY:
            session = replace(
                self._log.session,
                offset=behind[0],
                hash=behind[1],
                sums=intake.sum.sums[: behind[0] // CHUNK * 32],
                upload=intake.multipart.upload,
                parts=tuple(intake.multipart.parts),
                next_part=intake.multipart.number,
                tails=(),
            )
            await self._log.add(session, leased=True)
        await intake.sum.flush()
        self._behind = (intake.offset, intake.sum.state or b"")

    async def _save(self, *, leased: bool) -> None:
        """Write down where it stands, with what does not fill a part put aside."""
        intake = self._intake
        await intake.sum.flush()
        await intake.multipart.arrived()
        if intake.part.size > self._aside:
            kept = self._tails if len(self._tails) < MOST_TAILS else ()
            tail = await self._log.put_aside(intake.part.after(self._aside if kept else 0))
            self._tails, self._aside = (*kept, tail), intake.part.size
        session = replace(
            self._log.session,
            offset=intake.offset,
            hash=intake.sum.state or b"",
            sums=intake.sum.sums,
            upload=intake.multipart.upload,
            parts=tuple(intake.multipart.parts),
            next_part=intake.multipart.number,
            tails=self._tails,
        )
        await self._log.add(session, leased=leased)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        await self._log.add(self._log.session, leased=True)  # nobody else goes on with it now
        self._spent = True
        try:
            async with self._leased():
                info = await self._blob.commit(expected)
        except Failure:
            self._ended = self._blob.stored
            raise
        except DigestInvalid:
            self._ended = True
            raise
        self._ended = True
        return info

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[None]:
        """Say now and then that we are still there: joining the parts of a large blob takes a while."""
        done = asyncio.Event()

        async def say() -> None:
            while not done.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), LEASE / 3)
                if self._log.waning and not done.is_set():
                    await self._log.add(self._log.session, leased=True)

        saying = asyncio.create_task(say(), name="upload lease")
        try:
            yield
        finally:
            done.set()
            with suppress(Failure, BlobUploadInvalid):  # what is committed is whole, whoever has the session
                await saying

    async def leave(self) -> None:
        """Keep what came. After a commit, fitting or not, nothing of the session stays; where the bucket failed
        before the bytes were joined, it stands where it was last written down."""
        if self._ended:
            try:
                await self._blob.close()
            finally:
                with suppress(Failure, BlobUploadInvalid):  # the sweep will find it
                    await self._log.end()
            return
        try:
            if not self._spent:
                await self._save(leased=False)
        finally:
            await self._intake.multipart.stop()
            if self._log.session.lease is not None:
                with suppress(Failure, BlobUploadInvalid):  # it will lapse
                    await self._log.add(self._log.session, leased=False)


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


def _record(id: str, number: int) -> str:
    return f"uploads/{id}/{number:020}"


@cache
def _machine() -> str:
    return f"{boot_id()}/{platform.node()}"


def _me() -> str:
    """This process, so that others on its machine can tell that it died."""
    return f"{_machine()}/{os.getpid()}"


def _died(by: str) -> bool:
    """Whether the process was on this machine and is gone."""
    machine, _, pid = by.rpartition("/")
    if machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
