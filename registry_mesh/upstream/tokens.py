"""Bearer tokens that a parent's token service gave us."""

from __future__ import annotations

import time
from collections.abc import Callable


class Tokens:
    """Bearer tokens by scope, until shortly before they end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens: dict[str, tuple[str, float]] = {}
        self._clock = clock

    def get(self, scope: str) -> str | None:
        token, until = self._tokens.get(scope, ("", 0.0))
        return token if token and self._clock() < until else None

    def put(self, scope: str, token: str, lifetime: float) -> None:
        """`lifetime` in seconds, as the token service said; a tenth is left unused."""
        if len(self._tokens) >= 10_000:
            self._tokens.clear()
        self._tokens[scope] = (token, self._clock() + lifetime * 0.9)

    def drop(self, scope: str) -> None:
        self._tokens.pop(scope, None)
