"""Bearer tokens that a parent's token service gave us."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")

BYTES_LIMIT: Final = 8 << 20
"""Characters of all tokens of one parent together; the oldest go first."""
COUNT_LIMIT: Final = 10_000
USABLE: Final = 0.9
"""Part of a token's life in which it is used: it is still to travel, and be checked, before its end."""
AGEING: Final = 0.7
"""Part of a token's life after which another is fetched beside its use."""


@dataclass(frozen=True, slots=True)
class _Held(Generic[S]):
    token: str = field(repr=False)
    source: S | None
    ageing: float
    until: float


class Tokens(Generic[K, S]):
    """Bearer tokens by what they are for, until shortly before they end, each with the source that it came from."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, limit: int = BYTES_LIMIT) -> None:
        self._held: dict[K, _Held[S]] = {}
        self._clock = clock
        self._limit = limit
        self._size = 0

    def get(self, key: K) -> str | None:
        """Return the token for `key`; None where there is none that lasts."""
        held = self._held.get(key)
        if held is not None and self._clock() >= held.until:
            self.drop(key)
            return None
        return held.token if held is not None else None

    def ageing(self, key: K) -> bool:
        """Return whether there is a token for `key`, and it is time to fetch the next one."""
        held = self._held.get(key)
        return held is not None and self._clock() >= held.ageing

    def source(self, key: K) -> S | None:
        """Return where the token for `key` came from."""
        held = self._held.get(key)
        return held.source if held is not None else None

    def put(self, key: K, token: str, lifetime: float, source: S | None = None) -> None:
        """Keep `token` for `lifetime` seconds, as the token service said, less what is left unused."""
        self.drop(key)
        now = self._clock()
        self._held[key] = _Held(token, source, now + lifetime * AGEING, now + lifetime * USABLE)
        self._size += len(token)
        while self._size > self._limit or len(self._held) > COUNT_LIMIT:
            self.drop(next(iter(self._held)))

    def drop(self, key: K) -> None:
        """Forget the token for `key`, where there is one."""
        held = self._held.pop(key, None)
        self._size -= len(held.token) if held is not None else 0

    def __len__(self) -> int:
        return len(self._held)
