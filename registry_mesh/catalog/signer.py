"""Signers: those whose signatures a node believes, and what they have to say to be believed.

A signature counts for one digest only, and only when one of a signer's keys made it. No network: neither transparency
logs nor lists of revoked certificates are asked. Times are passed in, but for Sigstore's library, which has its own
clock. cryptography is imported where a key is read: most nodes have none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from sigstore.verify import Verifier

    PublicKey = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey

_COMMA: Final = re.compile(r"\s*(?<!\\),\s*")
"""Between two parts of a subject; one that is escaped belongs to its part."""
_STARS: Final = re.compile(r"(\*\*?)")
_LONGEST: Final = 300
"""Characters of a reason: what a signature says itself may be a megabyte."""


class NotSigned(Exception):
    """A signature that does not count, and why in words: cut short, and without what cannot be printed."""

    def __init__(self, why: str) -> None:
        shown = "".join(
            each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in why[:_LONGEST]
        )
        super().__init__(shown + ("…" if len(why) > _LONGEST else ""))


@dataclass(frozen=True, slots=True)
class CosignSigner:
    """The owner of the private half of one of `keys`."""

    keys: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True)
class NotationSigner:
    """The owner of a certificate of one of `authorities`, whose subject says all that one of `subjects` says; without
    `subjects` any."""

    authorities: tuple[x509.Certificate, ...]
    subjects: tuple[x509.Name, ...] = ()


@dataclass(frozen=True, slots=True)
class IdentitySigner:
    """Whoever `issuer` vouches for as `identity`, by certificates that `verifier` believes."""

    identity: str
    """The whole of it; `*` stands for any letters but `/`, `**` for any."""
    issuer: str
    verifier: Verifier

    def is_named(self, name: str) -> bool:
        """Whether `name` is this identity."""
        return re.fullmatch("".join(map(_expression, _STARS.split(self.identity))), name) is not None


Signer = CosignSigner | NotationSigner | IdentitySigner


def _expression(part: str) -> str:
    return {"*": "[^/]*", "**": "(?s:.*)"}.get(part) or re.escape(part)


def public_key(pem: bytes) -> PublicKey:
    """The key of a PEM file, as `cosign generate-key-pair` writes it; `ValueError`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no PEM public key that can be read") from None
    if not isinstance(key, EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey):
        raise ValueError("its key is neither ECDSA, RSA nor Ed25519")
    return key


def authorities(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file; `ValueError`."""
    from cryptography import x509

    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise ValueError("holds no PEM certificate") from None


def subject(text: str) -> x509.Name:
    """Parts of a certificate's subject, `CN=release team, O=CERN`; `ValueError`."""
    from cryptography import x509

    bare = text.removeprefix("x509.subject:").strip()
    try:
        found = x509.Name.from_rfc4514_string(_COMMA.sub(",", bare))
    except ValueError:
        found = x509.Name([])
    if not found.rdns:
        raise ValueError(f'{text!r}: parts of a subject are written like "CN=release team, O=CERN"')
    return found
