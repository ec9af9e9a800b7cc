"""What a parent's answer demands to be shown.

Some registries demand a login at `/v2/` alone, where docker and podman ask first: elsewhere they say 401 without a
challenge, or hide by 404 what may not be seen.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from registry_mesh.auth.challenge import Challenge, parse_challenges
from registry_mesh.ports.failures import Failure

KEPT: Final = 300.0
"""Seconds for which what `/v2/` demanded is remembered."""

REFUSED: Final = frozenset({401, 403})


class Demands:
    """Reads one parent's answers. `base` fetches the challenges of `/v2/`; `clock` in seconds, monotonic."""

    def __init__(
        self, base: Callable[[], Awaitable[Sequence[Challenge]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._base = base
        self._clock = clock
        self._known: Sequence[Challenge] = ()
        self._until = -KEPT

    async def of(
        self, status: int, lines: Sequence[str], *, shown: bool, hides: bool
    ) -> Sequence[Challenge] | None:
        """Return what an answer of `status` with these lines of WWW-Authenticate demands; None where it is no refusal.

        To who has `shown` nothing other statuses may demand as well (RFC 9110, 11.6.1). `hides`: there is a login to
        show, so 404 may say no more than that not everybody may see it.
        """
        found: Sequence[Challenge] = parse_challenges(lines)
        if shown or not 400 <= status < 429:
            return found if status in REFUSED else None
        if not found and (status == 401 or (hides and status in (403, 404))):
            found = await self._at_base()
        return found if found or status in REFUSED else None

    async def _at_base(self) -> Sequence[Challenge]:
        if self._clock() >= self._until:
            self._known = ()
            with suppress(Failure):
                self._known = await self._base()
                self._until = self._clock() + KEPT
        return self._known
