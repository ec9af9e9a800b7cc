"""Credentials of the Basic scheme (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

LONGEST: Final = 16 << 10
"""Characters of a field that is looked at."""
TOKEN_USER: Final = "token"  # noqa: S105 - a user's name
"""Logs in with a token for a password."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password. Shows no password."""

    user: str
    password: str = field(repr=False)


def parse_basic(authorization: str) -> Login | None:
    """The login that an `Authorization` field states; None where it is of another scheme, or malformed."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic" or len(authorization) > LONGEST:
        return None
    try:
        text = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    return Login(user, password) if colon and user and text.isprintable() else None


def parse_bearer(authorization: str) -> str | None:
    """The token that it states (RFC 6750, section 2.1); None where it states none."""
    scheme, _, rest = authorization.partition(" ")
    token = rest.strip()
    if scheme.lower() != "bearer" or not token.isascii() or len(authorization) > LONGEST:
        return None
    return token or None
