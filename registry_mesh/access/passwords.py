"""Passwords against hashes: slow by design, so in threads of their own that let the loop go first."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Final

from registry_mesh.auth.basic import Login
from registry_mesh.oci.refusals import TooManyRequests
from registry_mesh.tasks.threads import Pool

THREADS: Final = 2
WAITING: Final = 64
"""Logins that may wait for a thread; one more is told to come again."""
_NOBODY: Final = "$2b$10$" + "." * 22 + "C" * 30 + "u"
"""Compared with where there is no such user, so that one cannot be told from a wrong password by the time it takes."""


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
            return await self._pool.run(_fits, login.password, hashes.get(login.user))
        finally:
            self._waiting -= 1


def _fits(password: str, hashed: str | None) -> bool:
    import bcrypt

    given = password.encode()
    if len(given) > 72:  # more is no part of a bcrypt hash
        given, hashed = given[:72], None
    fits: bool = bcrypt.checkpw(given, (hashed or _NOBODY).encode())
    return fits and hashed is not None
