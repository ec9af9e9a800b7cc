"""A hot manifest: an answer whose every byte is known and in place."""

from __future__ import annotations

from registry_mesh.edge.hot.callers import NEVER
from registry_mesh.edge.hot.shape import Shape


class HotManifest:
    """`front` are the answer's bytes before Date, as they are until `same_until`; `back` those after
    X-Request-Id."""

    __slots__ = (
        "_confirmed",
        "_fresh_until",
        "_length",
        "back",
        "front",
        "gone",
        "kind",
        "same_back",
        "same_front",
        "same_until",
        "shape",
        "size",
        "used",
    )

    def __init__(
        self, shape: Shape, kind: str, size: int, body: bytes, confirmed: float | None, until: float
    ) -> None:
        """`size` is what Content-Length says; `body` is empty for HEAD. `confirmed`: when the source last did so,
        in the loop's time; None where it cannot be stale."""
        self.shape = shape
        self.kind = kind
        """For the cache counter: tag or manifest."""
        self.size = len(body)
        """Bytes of body that are sent."""
        self._length = b"Content-Length: %d\r\n" % size
        self.same_back = b"\r\n" + shape.tail
        self.back = self.same_back + body
        self._confirmed = confirmed
        self._fresh_until = until
        """The loop's time."""
        self.gone = False
        """Forgotten, or another has its place."""
        self.used = False
        """Whether it was asked for since it was last considered for leaving."""
        self.front = b""
        self.same_front = b""
        """`front` and `back` of 304."""
        self.same_until = NEVER
        """The loop's time until which `front` is right."""

    def renew(self, now: float) -> bool:
        """Whether it is still fresh; `front` is made anew then, for Age has changed."""
        if now >= self._fresh_until:
            return False
        self._render(now)
        return True

    def _render(self, now: float) -> None:
        age = b""
        self.same_until = self._fresh_until
        if self._confirmed is not None:
            seconds = max(0, int(now - self._confirmed))
            self.same_until = min(self.same_until, self._confirmed + seconds + 1)
            age = b"Age: %d\r\n" % seconds
        self.front = b"".join((b"HTTP/1.1 200 OK\r\n", self.shape.fields, age, self._length))
        self.same_front = b"".join((b"HTTP/1.1 304 Not Modified\r\n", self.shape.fields, age))
