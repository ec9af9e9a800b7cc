"""Tokens of others (another node, a CI system, a cluster): verified by their issuer's keys, mapped to subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.access.tokens import TokenInvalid, check_times, last_mark
from registry_mesh.auth.grants import Grants
from registry_mesh.auth.identity import Identity

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Signatures by a public key: a shared secret is nobody's proof."""
GROUPS: Final = 200
"""Groups of one token that are looked at."""


class KeysInvalid(ValueError):
    """No set of keys; says why."""


class KeyUnknown(TokenInvalid):
    """A token of `issuer` that is signed by a key which is not known as the issuer's, or not yet."""

    def __init__(self, issuer: str, why: str) -> None:
        super().__init__(why)
        self.issuer = issuer


@dataclass(frozen=True, slots=True)
class KeylessIssuer:
    """Implements `auth.book.TokenReader` for an issuer that was never heard of its keys."""

    name: str

    def verify(self, token: str, now: float) -> Identity:
        """`KeyUnknown`, whatever the token is."""
        raise KeyUnknown(self.name, f"the keys of {self.name} could not be fetched yet: come again")


class Issuer:
    """Implements `auth.book.TokenReader`. Subjects are called `NAME:SUBJECT`, groups `NAME:CLAIM:VALUE`."""

    def __init__(
        self, name: str, issuer: str, audience: str, keys: Mapping[str, Any], groups: Sequence[str] = ()
    ) -> None:
        """`keys`: a JWK set (RFC 7517). `groups`: claims whose values are groups. `KeysInvalid`."""
        self._name, self._issuer = name, issuer
        self._audience, self._groups = audience, tuple(groups)
        self._keys = _usable(keys)

    @property
    def name(self) -> str:
        """See `TokenReader`."""
        return self._name

    def verify(self, token: str, now: float) -> Identity:
        """Whose token it is. `TokenInvalid` where it is none of the issuer's for us, at `now`."""
        import jwt

        key, algorithm = self._key(token)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenInvalid(f"the token is not one of {self._name} for this node") from None
        until, subject = check_times(claims, now), claims["sub"]
        if not isinstance(subject, str) or not subject or not subject.isprintable() or len(subject) > 200:
            raise TokenInvalid(f"the token of {self._name} has an odd subject")
        grants = Grants.read(claims["access"]) if "access" in claims else None
        credential = last_mark(claims.get("cred"))
        return Identity(f"{self._name}:{subject}", self._groups_of(claims), grants, until, credential)

    def _key(self, token: str) -> tuple[Any, str]:
        """The key that the token names, or the only one, and the algorithm that the key is for."""
        import jwt

        try:
            header: dict[str, Any] = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenInvalid("the token is malformed") from None
        named = header.get("kid")
        if named is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if not isinstance(named, str) or named not in self._keys:
            raise KeyUnknown(self._name, f"the token is signed by a key that {self._name} is not known by")
        return self._keys[named]

    def _groups_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        found = list[str]()
        for claim in self._groups:
            value = claims.get(claim)
            values = value if isinstance(value, list) else [value]
            found += [f"{self._name}:{claim}:{each}" for each in values if isinstance(each, str)]
        return frozenset(found[:GROUPS])


def issuer_of(token: str) -> str | None:
    """Who the token says has made it, which proves nothing yet; None where it says so in no way that can be read."""
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    said = claims.get("iss")
    return said if isinstance(said, str) else None


def _usable(document: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Keys that verify, by their ids, each with its algorithm."""
    import jwt

    try:
        keys = jwt.PyJWKSet.from_dict(dict(document)).keys
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
        raise KeysInvalid("no JWK set, or none of its keys can be used") from None
    usable = {
        key.key_id or "": (key.key, key.algorithm_name) for key in keys if key.algorithm_name in ALGORITHMS
    }
    if not usable:
        raise KeysInvalid("no key for signatures in it")
    return usable
