"""Chunk maps: the sums of a blob's chunks, so that a part of it can be proven alone.

A map has two levels: pages of `PAGE` sums, and above them the sum of each page. With the upper level any page can be
proven by itself, so a range of a large blob needs no more of its map than the upper level and a page or two: 49 KiB for
a layer of 64 GiB, whose map has 16 MiB. `chunks.map_format` has the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from registry_mesh.chunks.sums import SUM, ChunkSum, SumAlgorithm
from registry_mesh.oci.span import Span

MIB: Final = 1 << 20

CHUNK: Final = 128 << 10
"""Bytes in a chunk: the grain of holding, proving and fetching (ADR 60: a lazy start moves 1.17 times what it
reads with 128 KiB, 1.74 times with 1 MiB)."""

PAGE: Final = 512
"""Sums in a page of a chunk map: those of 64 MiB of the blob."""


class ChunkMapInvalid(ValueError):
    """Bytes that are no chunk map, or not of the blob asked about."""


class ChunkMapsDiffer(ChunkMapInvalid):
    """Two maps of one blob that cannot both be right."""


def count(size: int) -> int:
    """How many chunks a blob of `size` bytes has."""
    return -(-size // CHUNK)


def without(chunks: range, others: Iterable[range]) -> list[range]:
    """The runs of `chunks` that lie in none of the others."""
    left = [chunks]
    for other in filter(None, others):
        parts = [
            part
            for each in left
            for part in (
                range(each.start, min(each.stop, other.start)),
                range(max(each.start, other.stop), each.stop),
            )
        ]
        left = [part for part in parts if part]
    return left


def chunk_length(index: int, size: int) -> int:
    """How many bytes chunk `index` has."""
    return min(CHUNK, size - index * CHUNK)


def chunk_span(index: int, size: int) -> Span:
    """The bytes of chunk `index`."""
    return Span(index * CHUNK, min(size, (index + 1) * CHUNK))


def pages_of(size: int) -> int:
    """How many pages the map of a blob of `size` bytes has."""
    return -(-count(size) // PAGE)


def page_length(page: int, size: int) -> int:
    """How many bytes of sums `page` has."""
    return min(PAGE, count(size) - page * PAGE) * SUM


def pages_over(span: Span | None, size: int) -> range:
    """The pages with the sums of the chunks that `span` touches (None: of all)."""
    if span is None:
        return range(pages_of(size))
    clipped = span.clip(Span(0, size))
    if not clipped:
        return range(0)
    return range(clipped.start // CHUNK // PAGE, -(-count(clipped.stop) // PAGE))


@dataclass(frozen=True, slots=True)
class ChunkMap:
    """The sums of the chunks of a blob of `size` bytes: all of them, or those of some `pages`.

    `top` has the sum of every page, by which each page that is here was proven. `beside`: what another source says of
    the blob by another algorithm. No number of the two can be compared; but a chunk that fits one alone tells that
    they differ.
    """

    size: int
    algorithm: SumAlgorithm
    top: bytes = field(repr=False)
    pages: Mapping[int, bytes] = field(repr=False)
    beside: ChunkMap | None = field(default=None, repr=False)
    source: str = field(default="", compare=False)
    """The name of the parent that gave the map; empty where that is not known."""

    def __post_init__(self) -> None:
        if len(self.top) != pages_of(self.size) * SUM:
            raise ChunkMapInvalid(f"{len(self.top)} bytes of page sums for a blob of {self.size} bytes")

    @classmethod
    def of_sums(cls, size: int, sums: bytes, algorithm: SumAlgorithm = SumAlgorithm.SHA256) -> ChunkMap:
        """The whole map that has the `sums` of all chunks, one after another."""
        if len(sums) != count(size) * SUM:
            raise ChunkMapInvalid(f"{len(sums)} bytes of sums for a blob of {size} bytes")
        pages = {page: sums[page * PAGE * SUM : (page + 1) * PAGE * SUM] for page in range(pages_of(size))}
        return cls(size, algorithm, b"".join(map(algorithm.of, pages.values())), pages)

    @classmethod
    def proven(
        cls, size: int, algorithm: SumAlgorithm, top: bytes, pages: Iterable[tuple[int, bytes]]
    ) -> ChunkMap:
        """The map of those `pages`; `ChunkMapInvalid` where one of them is not what `top` says."""
        taken = dict(pages)
        for page, sums in taken.items():
            if algorithm.of(sums) != top[page * SUM : (page + 1) * SUM]:
                raise ChunkMapInvalid(f"page {page} is not the one that its head names")
        return cls(size, algorithm, top, taken)

    @property
    def whole(self) -> bool:
        """Whether every page is here."""
        return len(self.pages) == pages_of(self.size)

    @property
    def sums(self) -> bytes:
        """The sums of all chunks, of a whole map."""
        return b"".join(self.pages[page] for page in range(pages_of(self.size)))

    def knows(self, index: int) -> bool:
        """Whether the sum of chunk `index` is here."""
        return index // PAGE in self.pages

    def covers(self, span: Span | None) -> bool:
        """Whether the sums of all chunks that `span` touches (None: of all) are here."""
        return all(page in self.pages for page in pages_over(span, self.size))

    def sum(self, index: int) -> ChunkSum:
        """The sum of chunk `index`, which is known."""
        at = index % PAGE * SUM
        return ChunkSum(self.algorithm, self.pages[index // PAGE][at : at + SUM])

    def fitting(self, index: int, sums: Sequence[ChunkSum | None]) -> int:
        """How many chunks from `index` on, one after the other and in one page, have these `sums` and are known."""
        page, at = self.pages.get(index // PAGE, b""), index % PAGE * SUM
        for count, each in enumerate(sums):
            start = at + count * SUM
            if (
                each is None
                or each.algorithm is not self.algorithm
                or page[start : start + SUM] != each.value
            ):
                return count
        return len(sums)

    def told(self, index: int) -> tuple[ChunkSum, ...]:
        """The sums that chunk `index` is to have: by this map and the one beside it, as far as they know it."""
        return tuple(each.sum(index) for each in self.both if each.knows(index))

    @property
    def both(self) -> tuple[ChunkMap, ...]:
        """This map, and the one beside it where there is one."""
        return (self,) if self.beside is None else (self, self.beside)

    def proves(self, index: int, data: bytes | bytearray | memoryview) -> bool:
        """Whether `data` is chunk `index`, whose sum is known. `ChunkMapsDiffer` where one of two maps alone says
        so."""
        fits = {told.algorithm.of(data) == told.value for told in self.told(index)}
        if len(fits) > 1:
            raise ChunkMapsDiffer(f"chunk {index} fits one of two chunk maps alone")
        return True in fits

    def joined(self, other: ChunkMap) -> ChunkMap:
        """With the pages of both. Beside a map by another algorithm this one stands from then on. `ChunkMapsDiffer`
        where two by one algorithm, or two sizes, differ."""
        if other.size != self.size:
            raise ChunkMapsDiffer(f"chunk maps of {self.size} and {other.size} bytes")
        mine = {each.algorithm: each for each in self.both}
        theirs = {each.algorithm: each for each in other.both}
        known = {each: _joined(mine.get(each), theirs.get(each)) for each in mine | theirs}
        own = known.pop(other.algorithm)
        return replace(own, beside=next(iter(known.values()), None))

    @property
    def alone(self) -> ChunkMap:
        """This map without the one beside it."""
        return replace(self, beside=None)


def _joined(one: ChunkMap | None, other: ChunkMap | None) -> ChunkMap:
    """The union of two maps by one algorithm, one of which may be None. `ChunkMapsDiffer`."""
    if one is None or other is None:
        only = one or other
        assert only is not None, "one of them is there"
        return only.alone
    if other.top != one.top:
        raise ChunkMapsDiffer("another chunk map than the one that came before")
    pages = {**one.pages, **other.pages}
    return ChunkMap(one.size, one.algorithm, one.top, pages, source=other.source or one.source)
