"""One upload session on a disk: what it has, and how to go on after anything.

    uploads/<id>/data     the bytes; locked by the one that appends
    uploads/<id>/turn     locked by the one that appends, until the session is over: the data may be a blob before
    uploads/<id>/sums-ALGORITHM  sum of each whole chunk, 32 bytes each
    uploads/<id>/asked    there while another waits for its turn
    uploads/<id>/state    {repository, subject, algorithm, offset, hash, boot, at}

The state is saved at the end of every request and every `SAVE_EVERY` bytes, after the data it speaks of is synced.
What lies beyond its offset came after: it is believed while the machine has not rebooted since (a process that
dies loses nothing it wrote) and hashed again from there; after a reboot it is cut off.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.chunks.sums import NEWEST, SUM
from registry_mesh.oci.digest import Digest, new_hasher
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import BlobUploadUnknown
from registry_mesh.ports.documents import decode, encode
from registry_mesh.ports.uploads import Owner
from registry_mesh.stores import points, resumable_hash
from registry_mesh.stores.boot import boot_id
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.turns import TurnTaken
from registry_mesh.stores.writing import write_all

SAVE_EVERY: Final = 64 << 20
ASKED: Final = "asked"
_PIECE: Final = 1 << 20
_SUMS: Final = f"sums-{NEWEST.name.lower()}"
"""By another algorithm, of another version, they are made anew: what came is read once more."""


@dataclass(frozen=True, slots=True)
class UploadState:
    """What the state file says."""

    owner: Owner
    algorithm: str
    offset: int
    hash: bytes
    boot: str
    at: float

    @classmethod
    def read(cls, directory: Path) -> UploadState:
        """`BlobUploadUnknown` where there is no such session."""
        try:
            document = decode((directory / "state").read_bytes(), "an upload's state")
        except (FileNotFoundError, NotADirectoryError):
            raise BlobUploadUnknown(upload=directory.name) from None
        return cls(
            Owner(RepositoryName(document["repository"]), document["subject"]),
            document["algorithm"],
            int(document["offset"]),
            _unbase64(document.get("hash", "")),
            document["boot"],
            float(document["at"]),
        )

    def write(self, directory: Path, fsync: DiskFsync) -> None:
        """Write the state into the upload's folder, whole or not at all."""
        document = encode(
            {
                "repository": self.owner.repository,
                "subject": self.owner.subject,
                "algorithm": self.algorithm,
                "offset": self.offset,
                "hash": base64.b64encode(self.hash).decode(),
                "boot": self.boot,
                "at": self.at,
            }
        )
        temporary = directory / "state.new"
        with open(temporary, "wb") as file:
            file.write(document)
            file.flush()
            fsync.sync_data(file.fileno())
        points.reach("upload.state")
        temporary.replace(directory / "state")

    def reliable(self, length: int) -> int:
        """How many of the data file's `length` bytes are believed."""
        return length if self.boot == boot_id() else min(length, self.offset)


class UploadFile:
    """A session opened for appending, by one at a time among all processes. Blocking."""

    def __init__(self, directory: Path, fsync: DiskFsync, save_every: int = SAVE_EVERY) -> None:
        self._directory = directory
        self._fsync = fsync
        self._save_every = save_every
        UploadState.read(directory)
        self._turn = _open(directory / "turn", os.O_CREAT)
        try:
            if not try_flock(self._turn, shared=False):
                raise TurnTaken(upload=directory.name)
            self._open_data(directory)
        except BaseException:
            os.close(self._turn)
            raise

    def _open_data(self, directory: Path) -> None:
        self._fd = _open(directory / "data")
        try:
            if not try_flock(self._fd, shared=False):
                raise TurnTaken(upload=directory.name)
            if not os.fstat(self._fd).st_nlink:  # it ended between the two
                raise BlobUploadUnknown(upload=directory.name)
            (directory / ASKED).unlink(missing_ok=True)
            self._state = state = UploadState.read(directory)
            self._recover(state)
        except BaseException:
            os.close(self._fd)
            raise

    def _recover(self, state: UploadState) -> None:
        self.offset = state.reliable(os.fstat(self._fd).st_size)
        os.ftruncate(self._fd, self.offset)
        hashed = state.offset if state.offset <= self.offset else 0
        hasher = resumable_hash.resume(state.algorithm, state.hash) if hashed else None
        if hasher is None:
            hasher, hashed = resumable_hash.new(state.algorithm), 0
        self._hasher = hasher
        sums = self._sums(min(state.offset, self.offset) // CHUNK)
        self._mapper = ChunkMapper.resumed(sums, NEWEST)
        self._saved_sums = len(sums)
        self._rehash(hashed, len(sums) // SUM * CHUNK)
        self._saved = self.offset

    def _sums(self, count: int) -> bytes:
        with suppress(FileNotFoundError):
            sums = (self._directory / _SUMS).read_bytes()[: count * SUM]
            return sums[: len(sums) // SUM * SUM]
        return b""

    def _rehash(self, hashed: int, mapped: int) -> None:
        """Read again what came after the state was saved."""
        position = min(hashed, mapped)
        while position < self.offset:
            piece = os.pread(self._fd, min(_PIECE, self.offset - position), position)
            if not piece:
                raise BlobUploadUnknown("the upload's bytes are gone")
            view = memoryview(piece)
            self._hasher.update(view[max(0, hashed - position) :])
            self._mapper.update(view[max(0, mapped - position) :])
            position += len(piece)

    def write(self, pieces: list[bytes]) -> None:
        """Append to the data and to its sums; the state is saved now and then. OSError."""
        points.reach("upload.write")
        write_all(self._fd, pieces, self.offset)
        for piece in pieces:
            self._hasher.update(piece)
            self._mapper.update(piece)
            self.offset += len(piece)
        if self.offset - self._saved >= self._save_every:
            self.save(self._state.at)

    def save(self, at: float) -> None:
        """What came so far will be there after a power cut (by the fsync policy)."""
        points.reach("upload.sync")
        self._fsync.sync_data(self._fd)
        self._save_sums()
        state = UploadState(
            self._state.owner,
            self._state.algorithm,
            self.offset,
            self._hasher.state() or b"",
            boot_id(),
            at,
        )
        state.write(self._directory, self._fsync)
        self._saved = self.offset

    def _save_sums(self) -> None:
        sums = self._mapper.sums
        if len(sums) == self._saved_sums:
            return
        fd = os.open(self._directory / _SUMS, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, [sums[self._saved_sums :]], self._saved_sums)
            self._fsync.sync_data(fd)
        finally:
            os.close(fd)
        self._saved_sums = len(sums)

    def finish(self, algorithm: str) -> tuple[Digest, ChunkMap]:
        """The digest of all that came and its chunk map; the data is synced."""
        points.reach("upload.finish")
        os.ftruncate(self._fd, self.offset)
        self._fsync.sync_data(self._fd)
        known = (
            algorithm == self._state.algorithm
        )  # else: begun without saying so, and only now do we learn it
        hexdigest = self._hasher.hexdigest() if known else self._hash_anew(algorithm)
        return Digest(algorithm, hexdigest), self._mapper.finish()

    def _hash_anew(self, algorithm: str) -> str:
        hasher = new_hasher(algorithm)
        position = 0
        while piece := os.pread(self._fd, _PIECE, position):
            hasher.update(piece)
            position += len(piece)
        return hasher.hexdigest()

    @property
    def algorithm(self) -> str:
        """The algorithm that the bytes are hashed by."""
        return self._state.algorithm

    @property
    def path(self) -> Path:
        """Where the bytes lie."""
        return self._directory / "data"

    def end(self) -> None:
        """The session is over, whatever is left of it."""
        remove(self._directory)

    def close(self) -> None:
        """Close the file; another may have it."""
        os.close(self._fd)
        os.close(self._turn)


def create(directory: Path, owner: Owner, algorithm: str, at: float, fsync: DiskFsync) -> None:
    """A new, empty session."""
    fsync.make_directory(directory)
    os.close(os.open(directory / "data", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    state = resumable_hash.new(algorithm).state() or b""
    UploadState(owner, algorithm, 0, state, boot_id(), at).write(directory, fsync)
    fsync.sync_entry(directory)


def remove(directory: Path) -> None:
    """First its state, so that half a removal is no session."""
    points.reach("upload.remove")
    (directory / "state").unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)


def _open(path: Path, flags: int = 0) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o644)
    except FileNotFoundError:
        raise BlobUploadUnknown(upload=path.parent.name) from None


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
