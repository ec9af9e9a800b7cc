"""Remainders in files of this machine, in any folder that outlives a process.

    <folder>/<boot>/<algorithm>-<hex>            locked by the process that brings the blob
    <folder>/<boot>/<algorithm>-<hex>.<start>    a span: byte n of the file is byte start + n of the blob

Nothing is flushed: what was written before the machine went down may not be there, so another boot's are removed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, ParamSpec

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.remainders import NOTHING, Receive, Remainder, Remainders
from registry_mesh.stores.boot import boot_id
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.disk.span_file import SpanFile
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS

P = ParamSpec("P")

log: Final = logging.getLogger(__name__)

EXPIRY: Final = 24 * 3600.0
"""Seconds after which a remainder that nobody went on with is removed."""

_READ: Final = MIB


class DiskRemainder:
    """Implements `Remainder`. Where its file system fails it keeps nothing any more."""

    def __init__(self, lock: int, path: Path) -> None:
        """`lock`: held on the file at `path`, beside which those of its spans are."""
        self._lock = lock
        self._path = path
        self._files = _found(path)
        self._gone: list[SpanFile] = []
        """Removed, and still open: another stream of the blob may be writing."""
        self._is_broken = False

    async def after(self, offset: int) -> AsyncIterator[bytes]:
        """See `Remainder.after`."""
        while file := next((each for each in self._files if each.start <= offset < each.stop), None):
            data = await offload(file.read, offset, min(_READ, file.stop - offset))
            if not data:
                return
            offset += len(data)
            yield data

    def spans(self) -> list[Span]:
        """See `Remainder.spans`."""
        files = sorted(self._files, key=lambda file: file.start)
        return [Span(file.start, file.stop) for file in files if file.start < file.stop]

    async def write(self, offset: int, data: bytes, kept: int) -> None:
        """See `Remainder.write`: at most a chunk of it is written with what comes next."""
        if self._is_broken:
            return
        try:
            file = self._file_at(offset)
            if file.collect(data):
                await self._written(file, kept, file.write, file.collected())
        except OSError as fault:
            await self._give_up(fault)

    async def write_from(self, offset: int, receive: Receive, kept: int) -> list[bytes]:
        """See `Remainder.write_from`."""
        if self._is_broken:
            return await NOTHING.write_from(offset, receive, kept)
        taken: list[bytes] = []
        try:
            file = self._file_at(offset)
            await self._written(file, kept, _write_from, file, receive, taken)
        except OSError as fault:
            await self._give_up(fault)
        return taken

    def _file_at(self, offset: int) -> SpanFile:
        """The one that goes on at `offset`, or a new one."""
        file = next((each for each in self._files if each.goes_on_at(offset)), None)
        if file is None:
            file = SpanFile.begin(self._path.with_name(f"{self._path.name}.{offset}"), offset)
            self._files.append(file)
        return file

    async def _written(
        self, file: SpanFile, kept: int, write: Callable[P, None], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Have a thread write to `file`, and remove those that the store has."""
        file.is_busy = True
        try:
            await offload(write, *args, **kwargs)
        finally:
            file.is_busy = False
        spent = [each for each in self._files if each.is_spent(kept)]
        if spent:
            self._files = [each for each in self._files if each not in spent]
            await offload(_remove, spent, close=True)

    async def _give_up(self, fault: OSError) -> None:
        self._is_broken = True
        log.warning(
            "what comes of a blob is not kept beside the store: a killed run would fetch it again",
            extra={FIELDS: {"folder": str(self._path.parent), "why": fault.strerror}},
        )
        await self.forget()

    async def forget(self) -> None:
        """See `Remainder.forget`."""
        self._gone += self._files
        self._files = []
        with suppress(OSError):  # it expires
            await offload(_remove, self._gone)
            await offload(self._path.unlink, missing_ok=True)

    def close(self) -> None:
        """Let others have it."""
        for file in (*self._files, *self._gone):
            file.close()
        os.close(self._lock)


def _found(path: Path) -> list[SpanFile]:
    """What an earlier process left."""
    left = ((each, each.name.removeprefix(f"{path.name}.")) for each in path.parent.glob(f"{path.name}.*"))
    return [SpanFile.found(each, int(start)) for each, start in left if start.isdecimal()]


def _write_from(file: SpanFile, receive: Receive, taken: list[bytes]) -> None:
    """Write what is received, each time before more is asked for; it is `taken` then."""
    file.write(file.collected())
    try:
        while data := receive():
            taken.append(data)
            file.write([data])
    except SourceUnavailable:
        if not taken:
            raise


def _remove(files: Iterable[SpanFile], *, close: bool = False) -> None:
    for file in files:
        file.remove()
        if close:
            file.close()


class DiskRemainders:
    """Implements `Remainders`, in a folder that is ours alone. `clock`: seconds since the epoch."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._is_tidy = False

    @asynccontextmanager
    async def of(self, digest: Digest) -> AsyncIterator[Remainder]:
        """See `Remainders.of`."""
        remainder = await self._opened(digest)
        if remainder is None:
            yield NOTHING
            return
        try:
            yield remainder
        finally:
            remainder.close()

    async def _opened(self, digest: Digest) -> DiskRemainder | None:
        opening = asyncio.ensure_future(offload(self._open, digest))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            remainder = await opening
            if remainder is not None:
                remainder.close()
            raise
        except OSError as fault:
            log.warning(
                "what comes of blobs cannot be kept beside the store: a killed run would fetch it again",
                extra={FIELDS: {"folder": str(self._folder), "why": str(fault.strerror or fault)}},
            )
            return None

    def _open(self, digest: Digest) -> DiskRemainder | None:
        boot = boot_id()
        if not boot:  # it could not be known whether what is here was written before a crash of the machine
            return None
        folder = self._folder / boot
        self._tidy(folder)
        path = folder / f"{digest.algorithm}-{digest.hex}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if not try_flock(fd, shared=False):
            os.close(fd)
            return None
        try:
            return DiskRemainder(fd, path)
        except OSError:
            os.close(fd)
            raise

    def _tidy(self, folder: Path) -> None:
        """Make the folder, and remove what nobody goes on with; once in the life of a process."""
        if self._is_tidy and folder.is_dir():
            return
        _make_private(self._folder)
        for other in self._folder.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < self._clock() - EXPIRY:
                    path.unlink()
        self._is_tidy = True


_: type[Remainders] = DiskRemainders


def _make_private(folder: Path) -> None:
    """Make the folder for us alone. `PermissionError` where it is somebody else's, or others may write to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status, above = folder.lstat(), folder.parent.stat()
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
    if not is_ours or above.st_uid not in (os.geteuid(), 0):
        raise PermissionError(None, f"{folder} is not this user's alone")
