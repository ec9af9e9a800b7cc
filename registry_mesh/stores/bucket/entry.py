"""What the bucket knows of a blob: one create-only object, whose creation is the blob's commit.

blobs/<algorithm>/<hex>     one line of JSON; small blobs follow it, byte for byte
data/<id>                   the bytes of a larger blob
data/<id>.map               its chunk map, whole, where it is too long for the line
pending/<id>                a larger blob on its way in or out (see `sweep`)

Chunk maps are written in version 2: in the line, or in their object, of which the line has the root. Entries of before
have the sha256 sums of few chunks in the line, or else the sha256 of a whole map of version 1.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any, Final

from registry_mesh.chunks.chunk_map import ChunkMap, count
from registry_mesh.chunks.map_format import decode, encode, root
from registry_mesh.chunks.sums import NEWEST
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import StoreBroken

INLINE: Final = 64 << 10
"""Blobs up to this many bytes lie in their entry: manifests, configs and small layers cost one request."""

MAP_INLINE: Final = 16
"""Chunk maps of up to this many chunks lie in the entry's line."""

_VERSION: Final = 1


def entry_key(digest: Digest) -> str:
    """Where the entry of a blob lies."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def data_key(name: str) -> str:
    """Where the bytes of an entry called `name` lie."""
    return f"data/{name}"


def map_key(name: str) -> str:
    """Where the chunk map of those bytes lies."""
    return f"data/{name}.map"


def pending_key(name: str) -> str:
    """The mark that bytes called `name` belong to no entry yet."""
    return f"pending/{name}"


def digest_of(key: str) -> Digest:
    """The digest whose entry lies at `key`; `DigestInvalid` for a key that is none."""
    _, _, spelled = key.partition("/")
    return Digest.parse(spelled.replace("/", ":", 1))


@dataclass(frozen=True, slots=True)
class Entry:
    """A blob of the bucket. Either `inline` has its bytes, or the object `name` does."""

    digest: Digest
    size: int
    at: float  # when it was committed, in seconds since the epoch
    name: str = ""
    inline: bytes | None = field(default=None, repr=False)
    few: ChunkMap | None = field(default=None, repr=False)  # its chunk map, where the chunks are few
    root: str = ""  # else what names it, in version 2
    map_sum: str = ""  # else the sha256 in hex of the whole of it, in version 1

    @property
    def info(self) -> BlobInfo:
        """Digest and size."""
        return BlobInfo(self.digest, self.size)

    def encode(self) -> bytes:
        """The entry as it lies in the bucket: a line of JSON, then a small blob's own bytes."""
        line: dict[str, object] = {"version": _VERSION, "size": self.size, "at": round(self.at, 3)}
        if self.name:
            line["data"] = self.name
        if self.few is not None:
            line["chunks"] = encode(self.few, self.digest).hex()
        if self.root:
            line["root"] = self.root
        return json.dumps(line, separators=(",", ":")).encode() + b"\n" + (self.inline or b"")

    @classmethod
    def decode(cls, digest: Digest, data: bytes) -> Entry:
        """The entry of `digest`; `StoreBroken` where it is none, or its inline bytes are not the blob's."""
        line, newline, rest = data.partition(b"\n")
        try:
            head = json.loads(line)
            if not newline or head["version"] != _VERSION:
                raise ValueError("of another version")
            name = str(head.get("data", ""))
            entry = cls(
                digest,
                int(head["size"]),
                float(head["at"]),
                name,
                None if name else rest,
                _few(head, digest),
                str(head.get("root", "")),
                str(head.get("map", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreBroken(f"the entry of {digest} in the bucket cannot be read: {error}") from error
        entry._check()
        return entry

    def _check(self) -> None:
        if self.inline is not None and (
            len(self.inline) != self.size or Digest.of(self.inline, self.digest.algorithm) != self.digest
        ):
            raise StoreBroken(f"the bytes of {self.digest} in the bucket are not its own")

    def mapped(self, chunk_map: ChunkMap) -> Entry:
        """The entry of a blob that has this chunk map."""
        if count(self.size) <= MAP_INLINE:
            return replace(self, few=chunk_map)
        return replace(self, root=root(chunk_map, self.digest))

    def own_map(self) -> ChunkMap | None:
        """The chunk map, where the entry has it."""
        if self.inline is not None:
            return ChunkMap.of_sums(self.size, NEWEST.of(self.inline) if self.size else b"", NEWEST)
        return self.few


def _few(head: dict[str, Any], digest: Digest) -> ChunkMap | None:
    """The chunk map in an entry's line, if it has one; ValueError where it is not of this blob."""
    size = int(head["size"])
    if "chunks" in head:
        return decode(bytes.fromhex(head["chunks"]), size, digest)
    return ChunkMap.of_sums(size, bytes.fromhex(head["sums"])) if "sums" in head else None


class KnownEntry:
    """An entry, and what this process has learnt of it since."""

    __slots__ = ("chunk_map", "entry", "proven", "seen")

    def __init__(self, entry: Entry, seen: float) -> None:
        self.entry = entry
        self.seen = seen  # when the bucket last said that it is there (monotonic seconds)
        self.chunk_map = entry.own_map()
        self.proven = bytearray(-(-count(entry.size) // 8))  # a bit a chunk, set when its bytes fitted

    def proves(self, start: int, stop: int) -> bool:
        """Whether the chunks [start, stop) have been checked in this process."""
        return all(self.proven[i >> 3] >> (i & 7) & 1 for i in range(start, stop))

    def learn(self, more: ChunkMap) -> ChunkMap:
        """Take in more of the chunk map; gives all that is known of it now. `ChunkMapsDiffer`."""
        self.chunk_map = more if self.chunk_map is None else self.chunk_map.joined(more)
        return self.chunk_map

    def prove(self, index: int) -> None:
        """Note that a chunk was seen to be right."""
        self.proven[index >> 3] |= 1 << (index & 7)


class Entries:
    """The entries used last, bounded by number and by inline bytes. Entries never change, they only vanish."""

    def __init__(self, most: int = 50_000, inline_bytes: int = 32 << 20) -> None:
        self._most = most
        self._room = inline_bytes
        self._known: OrderedDict[Digest, KnownEntry] = OrderedDict()

    def get(self, digest: Digest) -> KnownEntry | None:
        """What is known of a digest, which counts as used now."""
        known = self._known.get(digest)
        if known is not None:
            self._known.move_to_end(digest)
        return known

    def add(self, known: KnownEntry) -> None:
        """Keep what is known; what was used least lately goes where there are too many, or too many bytes."""
        self.drop(known.entry.digest)
        self._known[known.entry.digest] = known
        self._room -= len(known.entry.inline or b"")
        while self._known and (len(self._known) > self._most or self._room < 0):
            self.drop(next(iter(self._known)))

    def drop(self, digest: Digest) -> None:
        """Forget what is known of a digest."""
        known = self._known.pop(digest, None)
        if known is not None:
            self._room += len(known.entry.inline or b"")
