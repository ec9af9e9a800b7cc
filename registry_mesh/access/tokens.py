"""Tokens of our own: signed JSON (RFC 7519) that states a subject and what it may do until when."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

ALGORITHM: Final = "ES256"
"""The only one that our tokens are signed with, whatever a token says of itself."""
LEEWAY: Final = 30
"""Seconds by which clocks of two nodes may differ."""
_COMPACT: Final = json.JSONEncoder(separators=(",", ":")).encode
_NEVER: Final = 1e15
"""Unix times are less, by far, and neither infinite nor longer than a float."""
_NEEDED: Final = ["exp", "iat", "sub", "aud", "iss"]


class TokenInvalid(ValueError):
    """A token that proves nothing; says why."""


class KeyInvalid(ValueError):
    """A key that cannot sign; says why."""


def new_key() -> bytes:
    """A fresh private key, as PEM."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token states. `credential` has the mark of the password or secret it was given for; of a token that was
    given for one of another node, that node's mark follows (see `last_mark`)."""

    subject: str
    until: float
    access: object
    credential: str
    groups: frozenset[str] = frozenset()


class Tokens:
    """Signs and verifies with one key. `issuer` names the node, `service` those that take its tokens."""

    def __init__(self, pem: bytes, issuer: str, service: str, lifetime: int) -> None:
        """`KeyInvalid` where `pem` is no private key on the curve P-256."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError):
            raise KeyInvalid("no PEM private key that opens without a password") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyInvalid("a key for tokens is one on the curve P-256 (prime256v1)")
        self._private, self._public = key, key.public_key()
        self.issuer, self.service, self.lifetime = issuer, service, lifetime
        numbers = self._public.public_numbers()
        point = {"crv": "P-256", "kty": "EC", "x": _number(numbers.x), "y": _number(numbers.y)}
        self._id = _base64(hashlib.sha256(_json(point)).digest())  # RFC 7638: the members are in order
        self._jwk: dict[str, Any] = {**point, "kid": self._id, "use": "sig", "alg": ALGORITHM}
        self._head = _base64(_json({"alg": ALGORITHM, "kid": self._id, "typ": "JWT"}))

    def keys(self) -> dict[str, Any]:
        """The public key as a JWK set."""
        return {"keys": [self._jwk]}

    def sign(
        self,
        subject: str,
        access: object,
        credential: str,
        now: float,
        seconds: int,
        groups: Collection[str] = (),
    ) -> str:
        """A token that is good for `seconds` from `now`. `groups` are those that the subject's credentials named."""
        import jwt

        claims = {
            "iss": self.issuer,
            "aud": self.service,
            "sub": subject,
            "iat": int(now),
            "exp": int(now) + seconds,
            "jti": secrets.token_hex(8),
            "access": access,
            "cred": credential,
            "groups": sorted(groups),
        }
        said = f"{self._head}.{_base64(_json(claims))}"
        signature = jwt.get_algorithm_by_name(ALGORITHM).sign(said.encode(), self._private)
        return f"{said}.{_base64(signature)}"

    def verify(self, token: str, now: float) -> Claims:
        """What it states. `TokenInvalid` where it is not one of ours, for others, or not of `now`."""
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                audience=self.service,
                issuer=self.issuer,
                options={"require": _NEEDED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenInvalid("the token is not one of this service") from None
        until = check_times(claims, now)
        named = claims.get("groups")
        groups = frozenset(map(str, named)) if isinstance(named, list) else frozenset[str]()
        return Claims(str(claims["sub"]), until, claims.get("access"), str(claims.get("cred", "")), groups)


def last_mark(credential: object) -> str:
    """Of marks with dots between, that of the password or secret behind all others; empty where there is none."""
    return credential[:200].rpartition(".")[2] if isinstance(credential, str) else ""


def check_times(claims: Mapping[str, Any], now: float) -> float:
    """The Unix time until which the claims hold. `TokenInvalid` where they do not hold at `now`."""
    times: dict[str, Any] = {name: claims.get(name) for name in ("exp", "iat", "nbf") if name in claims}
    if not all(isinstance(each, int | float) and abs(each) < _NEVER for each in times.values()):
        raise TokenInvalid("a time of the token is none")
    if now >= times["exp"] + LEEWAY:
        raise TokenInvalid("the token has expired")
    if any(times.get(name, now) > now + LEEWAY for name in ("iat", "nbf")):
        raise TokenInvalid("the token is not valid yet: do the clocks agree?")
    return float(times["exp"]) + LEEWAY


def _json(value: Mapping[str, Any]) -> bytes:
    return _COMPACT(value).encode()


def _number(value: int) -> str:
    return _base64(value.to_bytes(32, "big"))


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
