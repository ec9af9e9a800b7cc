"""Robots: callers that are programs. A long random secret each, rights of their own, and an end."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

LOGIN: Final = "robot$"
"""What stands before its name where it logs in: no user is called so."""
SUBJECT: Final = "robot:"
"""The same in policies, logs and tokens."""
SECRET: Final = "rmr_"  # noqa: S105 - how a secret begins, for those who search for lost ones
MARK: Final = "sha256:"


@dataclass(frozen=True, slots=True)
class Robot:
    """`secret` is the digest of its secret, `until` the Unix time at which it ends."""

    name: str
    secret: str = field(repr=False)
    until: float

    @property
    def subject(self) -> str:
        """As policies name it."""
        return SUBJECT + self.name

    def knows(self, secret: str) -> bool:
        """Whether that is its secret. Secrets are random and long: a plain digest hides one."""
        return hmac.compare_digest(self.secret, digest(secret))


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return MARK + hashlib.sha256(secret.encode()).hexdigest()


def robot_of(login: str) -> str | None:
    """The robot's name that a user name spells; None for a person's."""
    return login.removeprefix(LOGIN) if login.startswith(LOGIN) else None
