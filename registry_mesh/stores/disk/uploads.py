"""Upload sessions on a disk, beside the blobs: any process may go on with one, also after a crash."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUploadUnknown, DigestInvalid
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.pushes import Upload
from registry_mesh.ports.uploads import EXPIRY, OpenUpload, Owner, demand_id, demand_start, new_id
from registry_mesh.stores.disk import upload_file
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.disk.upload_file import ASKED, SAVE_EVERY, UploadFile, UploadState
from registry_mesh.stores.faults import translated
from registry_mesh.stores.turns import PATIENCE, QUIET, TurnPulse, TurnTaken, giving_way, turn
from registry_mesh.tasks.threads import offload

_BATCH: Final = 1 << 20  # a hop to a thread costs as much as hashing some 100 KiB


class FileAdopter(Protocol):
    """A store that takes a finished file over by its name."""

    def demand_room(self, size: int, coming: int) -> None:
        """`StoreFull` where a blob of `size` bytes, of which `coming` are still to be written, does not fit now."""
        ...

    async def adopt(self, path: Path, digest: Digest, size: int, chunk_map: ChunkMap) -> BlobInfo: ...


class _UploadIngest:
    """Implements `ports.uploads.Appending`."""

    def __init__(self, store: FileAdopter, file: UploadFile, quiet: float) -> None:
        self._store = store
        self._file = file
        self._gathered: list[bytes] = []
        self._one_at_a_time = asyncio.Lock()
        self.pulse = TurnPulse(quiet)
        self.offset = file.offset
        self.ended = False

    @property
    def kept(self) -> int:
        return self._file.offset

    async def write(self, data: bytes) -> None:
        with self.pulse:
            self._gathered.append(data)
            self.offset += len(data)
            if self.offset - self._file.offset >= _BATCH:
                await self.flush()

    async def flush(self) -> None:
        async with self._one_at_a_time:
            gathered, self._gathered = self._gathered, []
            if gathered:
                with translated("writing an upload"):
                    await offload(self._file.write, gathered)

    async def asked(self) -> bool:
        """Whether another waits for its turn. It asks where the session stands first, so that is made true."""
        await self.flush()
        return await offload((self._file.path.parent / ASKED).exists)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        with self.pulse:
            return await self._commit(expected)

    async def _commit(self, expected: Digest | None) -> BlobInfo:
        await self.flush()
        algorithm = expected.algorithm if expected else self._file.algorithm
        with translated("committing an upload"):
            digest, chunk_map = await offload(self._file.finish, algorithm)
            if expected is not None and digest != expected:
                self.ended = True
                raise DigestInvalid(given=str(expected), computed=str(digest))
            info = await self._store.adopt(self._file.path, digest, self._file.offset, chunk_map)
            self.ended = True
            return info


class DiskUploads:
    """Implements `uploads.Uploads`: one directory a session below `root`, which is on the store's file system."""

    def __init__(
        self,
        root: Path,
        store: FileAdopter,
        clock: Callable[[], float],
        *,
        fsync: DiskFsync = DiskFsync.COMMIT,
        expiry: float = EXPIRY,
        patience: float = PATIENCE,
        save_every: int = SAVE_EVERY,
        quiet: float = QUIET,
    ) -> None:
        self._root = root
        self._store = store
        self._clock = clock
        self._fsync = fsync
        self._expiry = expiry
        self._patience = patience
        self._save_every = save_every
        self._quiet = quiet

    async def begin(self, owner: Owner, algorithm: str, whole: int | None = None) -> Upload:
        id = new_id()
        with translated("beginning an upload"):
            await offload(upload_file.create, self._root / id, owner, algorithm, self._clock(), self._fsync)
        return Upload(id, 0, algorithm)

    async def status(self, owner: Owner, id: str) -> Upload:
        with translated("reading an upload"):
            return await offload(self._status, owner, id)

    def _status(self, owner: Owner, id: str) -> Upload:
        state = self._find(owner, id)
        try:
            length = (self._root / id / "data").stat().st_size
        except FileNotFoundError:
            raise BlobUploadUnknown(upload=id) from None
        return Upload(id, state.reliable(length), state.algorithm)

    def _find(self, owner: Owner, id: str) -> UploadState:
        state = UploadState.read(self._root / demand_id(id))
        if state.owner != owner or state.at < self._clock() - self._expiry:
            raise BlobUploadUnknown(upload=id)
        return state

    @asynccontextmanager
    async def append(
        self, owner: Owner, id: str, start: int | None, size: int | None = None
    ) -> AsyncIterator[_UploadIngest]:
        with translated("opening an upload"):
            file = await turn(lambda: offload(self._open, owner, id, start, size or 0), self._patience)
        ingest = _UploadIngest(self._store, file, self._quiet)
        try:
            async with giving_way(ingest.pulse, ingest.asked):
                yield ingest
        finally:
            await self._leave(ingest, file)

    def _open(self, owner: Owner, id: str, start: int | None, size: int) -> UploadFile:
        self._find(owner, id)
        try:
            file = UploadFile(self._root / id, self._fsync, self._save_every)
        except TurnTaken:
            with suppress(BlobUploadUnknown):  # it is about to end: wait for that
                if start is not None:
                    demand_start(start, self._status(owner, id).offset)
                    self._ask(id)
            raise
        try:
            demand_start(start, file.offset)
            self._store.demand_room(file.offset + size, size)
        except BaseException:
            file.close()
            raise
        return file

    def _ask(self, id: str) -> None:
        with suppress(FileNotFoundError):  # it is over just now
            (self._root / id / ASKED).touch()

    async def _leave(self, ingest: _UploadIngest, file: UploadFile) -> None:
        try:
            with translated("keeping an upload"):
                if ingest.ended:
                    await offload(file.end)
                else:
                    await ingest.flush()
                    await offload(file.save, self._clock())
        finally:
            file.close()

    async def cancel(self, owner: Owner, id: str) -> None:
        with translated("cancelling an upload"):
            await turn(lambda: offload(self._cancel, owner, id), self._patience)

    def _cancel(self, owner: Owner, id: str) -> None:
        self._find(owner, id)
        if not _remove_alone(self._root / id):
            self._ask(id)
            raise TurnTaken(upload=id)

    async def unfinished(self) -> AsyncIterator[OpenUpload]:
        """See `Uploads.unfinished`."""
        with translated("listing uploads"):
            found = await offload(lambda: list(self._unfinished()))
        for each in found:
            yield each

    def _unfinished(self) -> Iterator[OpenUpload]:
        late = self._clock() - self._expiry
        with suppress(FileNotFoundError):
            for directory in list(self._root.iterdir()):
                with suppress(BlobUploadUnknown, FileNotFoundError):  # it is over just now
                    state = UploadState.read(directory)
                    if state.at >= late:
                        size = (directory / "data").stat().st_size
                        yield OpenUpload(directory.name, state.owner.repository, size)

    async def sweep(self) -> int:
        with translated("sweeping uploads"):
            return await offload(lambda: sum(_remove_alone(each) for each in self._expired()))

    def _expired(self) -> Iterator[Path]:
        late = self._clock() - self._expiry
        with suppress(FileNotFoundError):
            for directory in list(self._root.iterdir()):
                try:
                    at = UploadState.read(directory).at
                except BlobUploadUnknown:  # half begun, or half removed
                    at = directory.stat().st_mtime
                if at < late:
                    yield directory


def _remove_alone(directory: Path) -> bool:
    """Remove a session that nobody writes to; False where somebody does."""
    try:
        fd = os.open(directory / "data", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        upload_file.remove(directory)
        return True
    try:
        if not try_flock(fd, shared=False):
            return False
        upload_file.remove(directory)
        return True
    finally:
        os.close(fd)
