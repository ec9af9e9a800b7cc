"""Whether a login's password is that of the user whom it names."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from registry_mesh.access.comparing import Comparing
from registry_mesh.auth.basic import Login

_NOBODY: Final = "$2b$10$" + "." * 22 + "C" * 30 + "u"
"""Compared with where there are no users at all."""

Compare = Callable[[str, str], Awaitable[bool]]
"""Whether a password has a hash: see `Comparing.fits`."""


class Passwords:
    """Verifies logins, a few at once."""

    def __init__(self, compare: Compare | None = None) -> None:
        """`compare` is by default a process of its own."""
        self._compare = compare or Comparing().fits

    async def fit(self, login: Login, hashes: Mapping[str, str]) -> bool:
        """Whether the password is that of the user. `TooManyRequests` where too many wait."""
        hashed, is_own = _compared(login.user, hashes)
        return await self._compare(login.password, hashed) and is_own


def _compared(user: str, hashes: Mapping[str, str]) -> tuple[str, bool]:
    """The hash to compare with, and whether it is the user's. Where there is no such user it is another's, always the
    same: one cannot be told from a wrong password by the time it takes."""
    if (own := hashes.get(user)) is not None:
        return own, True
    others = list(hashes.values()) or [_NOBODY]
    return others[zlib.crc32(user.encode()) % len(others)], False
