"""Half-open spans of bytes: [start, stop)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Bytes `start` up to but not including `stop` of a blob; `0 <= start <= stop`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"not a span: [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start

    def __bool__(self) -> bool:
        return self.stop > self.start

    def __contains__(self, offset: int) -> bool:
        return self.start <= offset < self.stop

    def clip(self, other: Span) -> Span:
        """What lies in both; an empty span at the nearer edge where they do not meet."""
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.stop, other.stop)))

    def align(self, chunk: int, size: int) -> Span:
        """The whole chunks of `chunk` bytes that this span touches, cut at `size`."""
        if not self:
            return self
        return Span(self.start // chunk * chunk, min(size, -(-self.stop // chunk) * chunk))

    def __str__(self) -> str:
        return f"{self.start}-{self.stop}"
