"""Open files of complete blobs, kept a moment after their last reader so that a hit costs no `open`.

An open file is locked shared, which spares its blob from eviction.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.stores import points
from registry_mesh.stores.layout import Layout
from registry_mesh.stores.locks import try_flock
from registry_mesh.stores.proof import Proof, Proofs, signature

IDLE: Final = 2.0
"""Seconds an unused file stays open."""

KEPT: Final = 512


class OpenFile:
    """A blob's file as it was when it was opened: `again` gives it only as long as nothing changes it."""

    __slots__ = ("digest", "fd", "idle_since", "proof", "readers", "size")

    def __init__(self, digest: Digest, fd: int, size: int, proof: Proof) -> None:
        self.digest = digest
        self.fd = fd
        self.size = size
        self.proof = proof
        self.readers = 0
        self.idle_since = 0.0


class OpenFiles:
    """Any thread may call it."""

    def __init__(self, layout: Layout, proofs: Proofs, clock: Callable[[], float] = time.monotonic) -> None:
        self._layout = layout
        self._proofs = proofs
        self._clock = clock
        self._files: OrderedDict[str, OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._files)

    def again(self, digest: Digest) -> OpenFile | None:
        """The file, where it is open and still the blob's; one `fstat`. `release` it."""
        with self._lock:
            file = self._files.get(digest.hex)
            if file is None:
                return None
            if (
                signature(os.fstat(file.fd)) != file.proof.signature
            ):  # written to, renamed or removed: look again
                self._forget(file)
                return None
            file.readers += 1
            self._files.move_to_end(digest.hex)
            return file

    def open(self, digest: Digest) -> OpenFile | None:
        """Open the blob's file, in a thread; None where there is none or it is being evicted. `release` it."""
        file = self.again(digest)
        if file is not None:
            return file
        try:
            fd = os.open(self._layout.blob(digest), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        points.reach("open.opened")
        if not try_flock(fd, shared=True) or not self._is_named(fd, digest):
            os.close(fd)
            return None
        status = os.fstat(fd)
        file = OpenFile(digest, fd, status.st_size, self._proofs.of(digest, status))
        file.readers = 1
        with self._lock:
            before = self._files.pop(digest.hex, None)
            self._files[digest.hex] = file
            if before is not None and not before.readers:
                os.close(before.fd)
            self._trim()
        return file

    def _is_named(self, fd: int, digest: Digest) -> bool:
        """Whether `fd`, locked by now, is still the complete blob: an evictor that was faster has renamed the file,
        and its name is that of a partial blob."""
        try:
            return os.path.samestat(os.fstat(fd), self._layout.blob(digest).stat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def release(self, file: OpenFile) -> None:
        with self._lock:
            file.readers -= 1
            file.idle_since = self._clock()
            if not file.readers and self._files.get(file.digest.hex) is not file:
                os.close(file.fd)

    def sweep(self) -> None:
        """Close what nobody has read for a while."""
        before = self._clock() - IDLE
        with self._lock:
            for file in [f for f in self._files.values() if not f.readers and f.idle_since <= before]:
                self._forget(file)

    def let_go(self, digest: Digest) -> bool:
        """Close the blob's file, for an evictor; False where somebody reads it."""
        with self._lock:
            file = self._files.get(digest.hex)
            if file is None:
                return True
            if file.readers:
                return False
            self._forget(file)
            return True

    def drop(self, file: OpenFile) -> None:
        """It is the blob's no more: whoever asks next opens anew."""
        with self._lock:
            if self._files.get(file.digest.hex) is file:
                self._forget(file)

    def close(self) -> None:
        with self._lock:
            for file in list(self._files.values()):
                self._forget(file)

    def _trim(self) -> None:
        idle = [file for file in self._files.values() if not file.readers]
        for file in idle[: max(0, len(self._files) - KEPT)]:
            self._forget(file)

    def _forget(self, file: OpenFile) -> None:
        del self._files[file.digest.hex]
        if not file.readers:
            os.close(file.fd)
