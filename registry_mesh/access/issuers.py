"""Tokens of others (another node, a CI system, a cluster): verified by their issuer's keys, mapped to subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.access.tokens import LEEWAY, TokenInvalid, check_times, last_mark
from registry_mesh.auth.grants import Grants
from registry_mesh.auth.identity import Identity

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Signatures by a public key: a shared secret is nobody's proof."""
TYPES: Final = frozenset({"jwt", "at+jwt", "jose"})
"""What a token may say of its type (`typ`), where it says anything: an issuer signs other things with the same keys, as
a notice of a logout (RFC 8725, section 3.11)."""
GROUPS: Final = 200
"""Groups that one token may name: which of more a policy denies something, nobody would know."""
TRIED: Final = 8
"""Keys that a signature is held against, where a token names no key or several have the name."""


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


@dataclass(frozen=True, slots=True)
class _Key:
    """One of an issuer's. `name`: its id, empty where it has none; `algorithm`: the only one it is for."""

    name: str
    key: Any
    algorithm: str


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
        header = _header(token)
        _check_type(header)
        claims = self._claims(token, self._candidates(header))
        until, subject = check_times(claims, now), claims["sub"]
        if not isinstance(subject, str) or not subject or not subject.isprintable() or len(subject) > 200:
            raise TokenInvalid(f"the token of {self._name} has an odd subject")
        grants = Grants.read(claims["access"]) if "access" in claims else None
        credential = last_mark(claims.get("cred"))
        named = f"{self._name}:{subject}"
        return Identity(named, self._groups_of(claims), grants, until, credential, LEEWAY)

    def _candidates(self, header: Mapping[str, Any]) -> Sequence[_Key]:
        """The keys that may have signed it: those of the name that it says, all where it says none (RFC 7517, section
        4.5: keys of different types may have one name)."""
        named = header.get("kid")
        found = [
            key
            for key in self._keys
            if key.algorithm == header.get("alg") and (named is None or named == key.name)
        ]
        if not found:
            raise KeyUnknown(self._name, f"the token is signed by a key that {self._name} is not known by")
        return found[:TRIED]

    def _claims(self, token: str, candidates: Sequence[_Key]) -> dict[str, Any]:
        for key in candidates:
            claims = self._signed_by(key, token)
            if claims is not None:
                return claims
        raise TokenInvalid(f"the token is not one of {self._name} for this node")

    def _signed_by(self, key: _Key, token: str) -> dict[str, Any] | None:
        """What it states, if the key signed it for this node; None otherwise."""
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.MissingRequiredClaimError as fault:  # the signature is good by then
            raise TokenInvalid(f"the token of {self._name} has no {fault.claim}") from None
        except jwt.InvalidAudienceError:
            raise TokenInvalid(f"the token of {self._name} is not for {self._audience} (aud)") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        return claims

    def _groups_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """`TokenInvalid` where it names more than can be looked at, or says that they stand elsewhere: a denial for one
        of them would not be met."""
        if not _elsewhere(claims).isdisjoint(self._groups):
            raise TokenInvalid(
                f"the token of {self._name} does not have its groups in it: have it name fewer"
            )
        found = list[str]()
        for claim in self._groups:
            value = claims.get(claim)
            values = value if isinstance(value, list) else [value]
            found += [f"{self._name}:{claim}:{each}" for each in values if isinstance(each, str)]
        if len(groups := frozenset(found)) > GROUPS:
            raise TokenInvalid(
                f"the token of {self._name} names more than {GROUPS} groups: have it name fewer"
            )
        return groups


def _elsewhere(claims: Mapping[str, Any]) -> frozenset[str]:
    """Claims that it has and are not in it (OpenID Connect Core, section 5.6.2). Entra ID has two ways to say that of
    `groups`, by the flow in which it gave the token."""
    named = claims.get("_claim_names")
    elsewhere = frozenset(named) if isinstance(named, Mapping) else frozenset[str]()
    return elsewhere | {"groups"} if claims.get("hasgroups") else elsewhere


def _header(token: str) -> dict[str, Any]:
    import jwt

    try:
        header: dict[str, Any] = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenInvalid("the token is malformed") from None
    return header


def _check_type(header: Mapping[str, Any]) -> None:
    """`TokenInvalid` where it says that it is something else than a token of identity or access."""
    said = header.get("typ", "JWT")
    if not isinstance(said, str) or said.lower().removeprefix("application/") not in TYPES:
        raise TokenInvalid("the token is of a type that is no login")


def issuer_of(token: str) -> str | None:
    """Who the token says has made it, which proves nothing yet; None where it says so in no way that can be read."""
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    said = claims.get("iss")
    return said if isinstance(said, str) else None


def _usable(document: Mapping[str, Any]) -> tuple[_Key, ...]:
    """Keys that verify. One that cannot be used takes none of the others away (RFC 7517, section 5)."""
    said = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(said, list):
        raise KeysInvalid("no JWK set")
    usable = tuple(key for each in said if (key := _made(each)) is not None)
    if not usable:
        raise KeysInvalid("no key for signatures in it")
    return usable


def _made(said: object) -> _Key | None:
    import jwt

    if not isinstance(said, dict) or not _is_for_signatures(said):
        return None
    try:
        key = jwt.PyJWK(said)
    except (jwt.PyJWTError, AttributeError, KeyError, TypeError, ValueError):
        return None
    name = key.key_id or ""
    if not isinstance(name, str) or key.algorithm_name not in ALGORITHMS:
        return None
    return _Key(name, key.key, key.algorithm_name)


def _is_for_signatures(key: Mapping[str, Any]) -> bool:
    """Whether it may verify, by what it says of its use (RFC 7517, sections 4.2 and 4.3)."""
    uses = key.get("key_ops", ["verify"])
    return key.get("use", "sig") == "sig" and isinstance(uses, list) and "verify" in uses
