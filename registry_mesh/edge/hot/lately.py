"""A table of what was seen lately, bounded in bytes."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

V = TypeVar("V")

EACH: Final = 1024
"""Bytes counted for an entry beside its key."""


class Lately(Generic[V]):
    """Values by bytes. What is used stays: once `half` bytes are new, the half before is forgotten, but for what was
    asked for since. Holds at most twice `half` bytes of keys, with `EACH` for an entry. Keys longer than `longest`
    are not kept.
    """

    def __init__(self, half: int, longest: int) -> None:
        self._half = half
        self._longest = longest
        self._bytes = 0
        self.new: dict[bytes, V] = {}
        """The newer half: looked up by itself where a nanosecond counts. Stays the same object."""
        self._old: dict[bytes, V] = {}

    def __len__(self) -> int:
        return len(self.new) + len(self._old)

    def get(self, key: bytes) -> V | None:
        """The value of `key`, which is new again; None where it was never put, or was forgotten."""
        value = self.new.get(key)
        if value is None and (value := self._old.pop(key, None)) is not None:
            self.put(key, value)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Remember `value`; a key longer than the longest is not remembered."""
        if len(key) > self._longest:
            return
        if key not in self.new:
            self._bytes += len(key) + EACH
            if self._bytes > self._half:
                self._old = dict(self.new)
                self.new.clear()
                self._bytes = len(key) + EACH
        self._old.pop(key, None)
        self.new[key] = value
