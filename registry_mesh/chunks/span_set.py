"""A set of bytes as sorted, disjoint, non-touching spans. Immutable; every operation is O(spans)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from registry_mesh.oci.span import Span


@dataclass(frozen=True, slots=True)
class SpanSet:
    """What is held, wanted or missing of a blob."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Self:
        """The union of `spans`, in any order, overlapping or not."""
        merged: list[Span] = []
        for span in sorted(s for s in spans if s):
            if merged and span.start <= merged[-1].stop:
                merged[-1] = Span(merged[-1].start, max(merged[-1].stop, span.stop))
            else:
                merged.append(span)
        return cls(tuple(merged))

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __len__(self) -> int:
        """Bytes, not spans."""
        return sum(len(s) for s in self.spans)

    def __or__(self, other: SpanSet) -> SpanSet:
        return SpanSet.of((*self.spans, *other.spans))

    def __sub__(self, other: SpanSet) -> SpanSet:
        out: list[Span] = []
        for span in self.spans:
            start = span.start
            for hole in other.spans:
                if hole.stop <= start:
                    continue
                if hole.start >= span.stop:
                    break
                if hole.start > start:
                    out.append(Span(start, hole.start))
                start = hole.stop
            if start < span.stop:
                out.append(Span(start, span.stop))
        return SpanSet(tuple(out))

    def __and__(self, other: SpanSet) -> SpanSet:
        return self - (self - other)

    def covers(self, span: Span) -> bool:
        """Whether every byte of `span` is in the set."""
        return not span or self.run_from(span.start).stop >= span.stop

    def run_from(self, offset: int) -> Span:
        """The bytes held from `offset` on without a gap; empty where `offset` is not held."""
        i = bisect_right(self.spans, offset, key=lambda s: s.start) - 1
        if i >= 0 and offset < self.spans[i].stop:
            return Span(offset, self.spans[i].stop)
        return Span(offset, offset)

    def missing(self, span: Span) -> SpanSet:
        """What of `span` is not in the set."""
        return SpanSet((span,)) - self if span else SpanSet()
