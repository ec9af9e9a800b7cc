"""Remainders in files of this machine, in any folder that outlives a process.

    <folder>/<boot>/<algorithm>-<hex>    byte n of the file is byte n of the blob; what is not needed is a hole

Nothing is flushed: what was written before the machine went down may not be there, so another boot's are removed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.remainders import NOTHING, Remainder, Remainders
from registry_mesh.stores.boot import boot_id
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.disk.punch import punch
from registry_mesh.stores.writing import write_all
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

EXPIRY: Final = 24 * 3600.0
"""Seconds after which a remainder that nobody went on with is removed."""

_PUNCH_EVERY: Final = 4 * MIB
_PAGE: Final = 4096
_READ: Final = MIB


class DiskRemainder:
    """Implements `Remainder`. Where its file system fails it keeps nothing any more."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._end = os.fstat(fd).st_size
        self._punched = 0
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._is_broken = False

    async def after(self, offset: int) -> AsyncIterator[bytes]:
        """See `Remainder.after`."""
        if not await offload(self._has, offset):
            return
        while data := await offload(os.pread, self._fd, _READ, offset):
            offset += len(data)
            yield data

    def _has(self, offset: int) -> bool:
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA) == offset
        except OSError:  # it ends before
            return False

    async def write(self, offset: int, data: bytes, kept: int) -> None:
        """See `Remainder.write`: at most a chunk of it is written with what comes next."""
        if self._is_broken:
            return
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes >= CHUNK:
            await self._flush(offset + len(data), kept)

    async def _flush(self, end: int, kept: int) -> None:
        waiting, begin = self._waiting, end - self._bytes
        self._waiting, self._bytes = [], 0
        try:
            await offload(self._write, waiting, begin, kept)
        except OSError as fault:
            self._is_broken = True
            log.warning(
                "what comes of a blob is not kept beside the store: a killed run would fetch it again",
                extra={FIELDS: {"folder": str(self._path.parent), "why": fault.strerror}},
            )
            await self.forget()

    def _write(self, pieces: list[bytes], begin: int, kept: int) -> None:
        if begin != self._end:  # nothing goes on from what was here
            os.ftruncate(self._fd, 0)
            self._punched = 0
        write_all(self._fd, pieces, begin)
        self._end = begin + sum(map(len, pieces))
        edge = min(kept, begin) // _PAGE * _PAGE
        if edge - self._punched >= _PUNCH_EVERY:
            punch(self._fd, self._punched, edge - self._punched)
            self._punched = edge

    async def forget(self) -> None:
        """See `Remainder.forget`."""
        self._waiting, self._bytes = [], 0
        with suppress(OSError):  # it expires
            await offload(self._forget)

    def _forget(self) -> None:
        self._path.unlink(missing_ok=True)
        os.ftruncate(self._fd, 0)
        self._end = self._punched = 0

    def close(self) -> None:
        """Let others have it."""
        os.close(self._fd)


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
        return DiskRemainder(fd, path)

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
