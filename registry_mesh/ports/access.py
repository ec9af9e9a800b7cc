"""What the edge asks of the maker of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from registry_mesh.auth.basic import Login
from registry_mesh.auth.grants import Scope


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, the Unix time at which it was made, the seconds for which it is good, and whose it is."""

    token: str = field(repr=False)
    at: float
    seconds: int
    subject: str


class TokenService(Protocol):
    """Makes tokens for callers with a login, and for those without."""

    async def issue(self, login: Login | None, scopes: Sequence[Scope]) -> Issued:
        """A token for what `scopes` ask and the policy allows: that may be nothing. `Unauthorized` where the login is
        wrong, `TooManyRequests` where too many wait."""
        ...

    def keys(self) -> dict[str, Any]:
        """The public keys by which its tokens are verified: a JWK set (RFC 7517)."""
        ...
