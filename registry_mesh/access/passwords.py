"""Passwords against hashes: slow by design, so in threads of their own that let the loop go first."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Mapping
from typing import Final

from registry_mesh.auth.basic import Login
from registry_mesh.oci.refusals import TooManyRequests
from registry_mesh.tasks.threads import Pool

THREADS: Final = 2
WAITING: Final = 64
"""Logins that may wait for a thread; one more is told to come again."""
_NOBODY: Final = "$2b$10$" + "." * 22 + "C" * 30 + "u"
"""Compared with where there are no users at all."""


def _let_others_go_first() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


class Passwords:
    """Verifies logins, a few at once."""

    def __init__(self) -> None:
        self._pool = Pool(THREADS, "passwords", _let_others_go_first)
        self._waiting = 0

    async def fit(self, login: Login, hashes: Mapping[str, str]) -> bool:
        """Whether the password is that of the user. `TooManyRequests` where too many wait."""
        if self._waiting >= WAITING:
            raise TooManyRequests("many logins wait to be verified: come again")
        self._waiting += 1
        try:
            return await self._pool.run(_fits, login.password, *_compared(login.user, hashes))
        finally:
            self._waiting -= 1


def _compared(user: str, hashes: Mapping[str, str]) -> tuple[str, bool]:
    """The hash to compare with, and whether it is the user's. Where there is no such user it is another's, always the
    same: one cannot be told from a wrong password by the time it takes."""
    if (own := hashes.get(user)) is not None:
        return own, True
    others = list(hashes.values()) or [_NOBODY]
    return others[zlib.crc32(user.encode()) % len(others)], False


def _fits(password: str, hashed: str, is_own: bool) -> bool:
    fits = (
        _fits_argon2(password, hashed) if hashed.startswith("$argon2id$") else _fits_bcrypt(password, hashed)
    )
    return fits and is_own


def _fits_bcrypt(password: str, hashed: str) -> bool:
    import bcrypt

    given = password.encode()
    fits: bool = bcrypt.checkpw(given[:72], hashed.encode())
    return fits and len(given) <= 72  # more is no part of a bcrypt hash


def _fits_argon2(password: str, hashed: str) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password.encode(), hashed)
    except (InvalidKey, ValueError):
        return False
    return True
