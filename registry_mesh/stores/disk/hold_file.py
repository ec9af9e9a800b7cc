"""The hold file: which chunks of a blob are there, mapped into every process that holds it.

All integers little-endian. 64 bytes of head, then 8 bytes a chunk:

    head    magic 8s | blob size u64 | chunk size u64 | committed u8, discarded u8, doubted u8, 5 spare |
            mtime u64 | boot id 16 | wanted u64
    chunk   state u8 | reserved u8 | synced u8 | summed u8 | crc32 u32

Every field is written by a store of its own size, so that no process undoes what another one writes beside it.

`state`     a `ChunkState`.
`reserved`  the ledger counts the chunk's bytes.
`synced`    the data had reached the disk when this was set. After the machine went down (another boot id) only
            such chunks count: the kernel may have written the state and not the data.
`crc32`     of the chunk, where `summed`: to find rot.
`wanted`    the chunk, plus one, that a process waits for and another has claimed; 0: none.
`mtime`     of the data file after the last write of ours, in ns. Another one means that somebody else wrote.
"""

from __future__ import annotations

import mmap
import os
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, count
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.boot import boot_bytes
from registry_mesh.stores.disk.space.ledger import charge

_MAGIC: Final = b"RMHOLD01"
_HEAD: Final = struct.Struct("<8sQQ8xQ16s8x")
_COMMITTED, _DISCARDED, _DOUBTED = 24, 25, 26
_MTIME_WORD: Final = 4
_WANTED_WORD: Final = 7
_BOOT: Final = slice(40, 56)
_RECORDS: Final = _HEAD.size
_RECORD: Final = 8
_STATE, _RESERVED, _SYNCED, _SUMMED = range(4)


class HoldFileInvalid(ValueError):
    """Bytes that are no hold file, or of another blob."""


def length(size: int) -> int:
    """Bytes of the hold file of a blob of `size` bytes."""
    return _RECORDS + _RECORD * count(size)


def fresh(size: int) -> bytes:
    """The hold file of a blob of which nothing is there."""
    return _HEAD.pack(_MAGIC, size, CHUNK, 0, boot_bytes()).ljust(length(size), b"\0")


def held_chunks(table: bytes) -> int:
    """How many chunks are there."""
    return len(table[_RECORDS::_RECORD]) - table[_RECORDS::_RECORD].count(ChunkState.MISSING)


def read_size(head: bytes) -> int:
    """The blob's size that a hold file's first bytes state."""
    if len(head) < _HEAD.size:
        raise HoldFileInvalid("shorter than its head")
    magic, size, chunk, _, _ = _HEAD.unpack_from(head)
    if magic != _MAGIC or chunk != CHUNK:
        raise HoldFileInvalid("not a hold file of version 1")
    return int(size)


def stated_size(path: Path) -> int | None:
    """The size of the blob whose hold file lies there; None where none does, or it was discarded."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
            size = read_size(head)
            fits = os.fstat(file.fileno()).st_size == length(size)
            return size if fits and not head[_DISCARDED] else None
    except (FileNotFoundError, NotADirectoryError, HoldFileInvalid):
        return None


def counted(table: bytes) -> int:
    """What the ledger counts of the blob whose hold file's bytes these are: its chunks, and the file itself."""
    size = read_size(table)
    reserved = table[_RECORDS + _RESERVED :: _RECORD]
    if not reserved:
        return charge(len(table))
    last = size - (len(reserved) - 1) * CHUNK
    return charge(len(table)) + sum(reserved[:-1]) * CHUNK + reserved[-1] * charge(last)


class HoldFile:
    """The mapped file `fd`, which it owns. Any thread may call it."""

    def __init__(self, fd: int, size: int) -> None:
        """`HoldFileInvalid` where it is not the hold file of a blob of `size` bytes; `fd` stays the caller's then."""
        if os.fstat(fd).st_size != length(size):
            raise HoldFileInvalid("not as long as the blob's size asks for")
        self.fd = fd
        self.chunks = count(size)
        self._map = mmap.mmap(fd, length(size))
        self._bytes = memoryview(self._map)
        self._halves = self._bytes.cast("I")
        self._words = self._bytes.cast("Q")
        try:
            if read_size(self._map[: _HEAD.size]) != size:
                raise HoldFileInvalid("of a blob of another size")
        except HoldFileInvalid:
            self._unmap()
            raise

    @property
    def committed(self) -> bool:
        """Whether the blob became whole."""
        return bool(self._bytes[_COMMITTED])

    def set_committed(self) -> None:
        """Say so, to all processes."""
        self._bytes[_COMMITTED] = 1

    @property
    def discarded(self) -> bool:
        """Whether the partial blob was given up."""
        return bool(self._bytes[_DISCARDED])

    def set_discarded(self) -> None:
        """Say so, to all processes."""
        self._bytes[_DISCARDED] = 1

    @property
    def doubted(self) -> bool:
        """See `ports.partial.Marks`."""
        return bool(self._bytes[_DOUBTED])

    def set_doubted(self, doubted: bool) -> None:
        """Say so, to all processes."""
        self._bytes[_DOUBTED] = doubted

    @property
    def mtime_ns(self) -> int:
        """When the part was last written by one of us, in nanoseconds as `stat` gives them."""
        return self._words[_MTIME_WORD]

    def set_mtime_ns(self, mtime_ns: int) -> None:
        """Note that time: a part with another was touched by somebody else."""
        self._words[_MTIME_WORD] = mtime_ns

    @property
    def wanted(self) -> int | None:
        """The chunk that a reader of another process waits for; None where nobody waits."""
        return self._words[_WANTED_WORD] - 1 if self._words[_WANTED_WORD] else None

    def set_wanted(self, index: int | None) -> None:
        """Say which chunk is waited for, or that none is."""
        self._words[_WANTED_WORD] = 0 if index is None else index + 1

    def state(self, index: int) -> int:
        """The state of a chunk, as a number of `ChunkState`."""
        return self._bytes[_RECORDS + _RECORD * index + _STATE]

    def set_state(self, index: int, state: ChunkState, chunks: int = 1) -> None:
        """Set the state of so many chunks from `index` on, for all processes."""
        self._bytes[_each(_STATE, index, chunks)] = bytes((state,)) * chunks

    def reserved(self, index: int) -> bool:
        """Whether room for the chunk is counted in the ledger."""
        return bool(self._bytes[_RECORDS + _RECORD * index + _RESERVED])

    def set_reserved(self, index: int, reserved: bool, chunks: int = 1) -> None:
        """Note whether it is, of so many chunks from `index` on."""
        self._bytes[_each(_RESERVED, index, chunks)] = bytes((reserved,)) * chunks

    def set_synced(self, index: int, synced: bool, chunks: int = 1) -> None:
        """Note whether so many chunks from `index` on would be there after a power cut."""
        self._bytes[_each(_SYNCED, index, chunks)] = bytes((synced,)) * chunks

    def crc32(self, index: int) -> int | None:
        """The checksum of a chunk as it was written; None where none was made."""
        position = _RECORDS + _RECORD * index
        return self._halves[position // 4 + 1] if self._bytes[position + _SUMMED] else None

    def set_crc32(self, index: int, sums: Sequence[int]) -> None:
        """Note the checksums of chunks from `index` on."""
        first = (_RECORDS + _RECORD * index) // 4 + 1
        self._halves[first : first + 2 * len(sums) : 2] = memoryview(array("I", sums))
        self._bytes[_each(_SUMMED, index, len(sums))] = b"\1" * len(sums)

    def states(self, start: int = 0, stop: int | None = None) -> bytes:
        """The states of chunks [start, stop), a byte each."""
        stop = self.chunks if stop is None else stop
        return self._map[_RECORDS + _RECORD * start : _RECORDS + _RECORD * stop : _RECORD]

    def reservations(self, start: int = 0, stop: int | None = None) -> bytes:
        """1 for each of chunks [start, stop) whose bytes the ledger counts."""
        return self._map[_each(_RESERVED, start, (self.chunks if stop is None else stop) - start)]

    def run(self, index: int, stop: int, state: ChunkState) -> int:
        """The first chunk in [index, stop) whose state is less than `state`, or `stop`."""
        states = self.states(index, stop)
        first = states.find(0)
        if state > 1 and first != 0:
            other = states.find(1, 0, first if first > 0 else len(states))
            first = other if other >= 0 else first
        return first + index if first >= 0 else stop

    def forget_doubtful(self) -> None:
        """Set missing what is no state; after another boot, also what was not synced. Under `Shelf.alone`."""
        synced = self._map[_RECORDS + _SYNCED :: _RECORD]
        same_boot = self._map[_BOOT] == boot_bytes()
        states = self.states()
        if same_boot and max(states, default=0) <= ChunkState.PROVEN:
            return
        for index, state in enumerate(states):
            if state > ChunkState.PROVEN or not (same_boot or synced[index]):
                self.set_state(index, ChunkState.MISSING)
        self._map.flush()
        self._map[_BOOT] = boot_bytes()
        self._map.flush()

    def copy(self) -> bytes:
        """The file's bytes, of a blob neither committed nor discarded."""
        data = bytearray(self._map[:])
        data[_COMMITTED] = data[_DISCARDED] = 0
        return bytes(data)

    def flush(self) -> None:
        """Have it on the disk."""
        self._map.flush()

    def close(self) -> None:
        """Unmap the table and close its file."""
        self._unmap()
        os.close(self.fd)

    def _unmap(self) -> None:
        self._halves.release()
        self._words.release()
        self._bytes.release()
        self._map.close()


def _each(field: int, index: int, chunks: int) -> slice:
    """Where a field of one byte lies of so many chunks from `index` on."""
    first = _RECORDS + _RECORD * index
    return slice(first + field, first + _RECORD * chunks, _RECORD)


def clear_state(data: bytes, index: int) -> bytes:
    """A hold file's bytes with a chunk set missing."""
    changed = bytearray(data)
    changed[_RECORDS + _RECORD * index + _STATE] = ChunkState.MISSING
    return bytes(changed)


def crc32_in(records: bytes, index: int) -> int | None:
    """The checksum of the `index`-th chunk of some records as they lie in the file."""
    summed, crc32 = records[_RECORD * index + _SUMMED], records[_RECORD * index + 4 : _RECORD * index + 8]
    return int.from_bytes(crc32, "little") if summed else None


def records_at(index: int, chunks: int) -> tuple[int, int]:
    """Offset and length in the file of the records of some chunks."""
    return _RECORDS + _RECORD * index, _RECORD * chunks
