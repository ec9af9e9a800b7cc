"""Signatures of cosign with a key: simple signing, as its tag and its referrers carry it, and Sigstore bundles.

Formats: cosign's SIGNATURE_SPEC, DSSE's protocol, in-toto's Statement v1, Sigstore's bundle v0.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from registry_mesh.catalog.envelope import demand_digest, document, from_base64, mapping
from registry_mesh.catalog.signer import NotSigned
from registry_mesh.catalog.statement import IN_TOTO, demand_in_toto, demand_statement
from registry_mesh.oci.digest import Digest

if TYPE_CHECKING:
    from registry_mesh.catalog.signer import PublicKey

SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE: Final = "dev.cosignproject.cosign/signature"
"""The annotation of a layer that holds the signature of its bytes."""
BUNDLE: Final = "application/vnd.dev.sigstore.bundle"
"""How the media types of bundles begin; a version follows."""
_TYPE: Final = "cosign container image signature"


def check_simple(payload: bytes, signature: object, digest: Digest, keys: Iterable[PublicKey]) -> None:
    """`NotSigned` unless one of `keys` signed `payload`, and that is about `digest`."""
    _demand_key(from_base64(signature), payload, keys)
    critical = mapping(document(payload).get("critical"))
    if critical.get("type") != _TYPE:
        raise NotSigned(f"says {critical.get('type')!r} and not {_TYPE!r}")
    demand_digest(mapping(critical.get("image")).get("docker-manifest-digest"), digest)


def check_bundle(bundle: bytes, digest: Digest, keys: Iterable[PublicKey]) -> None:
    """`NotSigned` unless one of `keys` signed the statement of a bundle, and that signs `digest`."""
    envelope = mapping(document(bundle).get("dsseEnvelope"))
    payload, signatures = from_base64(envelope.get("payload")), envelope.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise NotSigned("is a bundle without a signed statement")
    demand_in_toto(envelope.get("payloadType"))
    signed = b"DSSEv1 %d %b %d %b" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
    _demand_key(from_base64(mapping(signatures[0]).get("sig")), signed, keys)
    demand_statement(IN_TOTO, payload, digest)


def _demand_key(signature: bytes, data: bytes, keys: Iterable[PublicKey]) -> None:
    if not any(_made(key, signature, data) for key in keys):
        raise NotSigned("is by another key, or of other bytes")


def _made(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether the private half of `key` made `signature` of `data`."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, EllipticCurvePublicKey):
            return any(_made_by_curve(key, signature, data, each) for each in _hashes(key))
        else:
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _made_by_curve(
    key: EllipticCurvePublicKey, signature: bytes, data: bytes, sums: hashes.HashAlgorithm
) -> bool:
    try:
        key.verify(signature, data, ec.ECDSA(sums))
    except InvalidSignature:
        return False
    return True


def _hashes(key: EllipticCurvePublicKey) -> tuple[hashes.HashAlgorithm, ...]:
    """Older versions sign with SHA-256 whatever the curve, newer ones with the curve's own."""
    own: dict[int, hashes.HashAlgorithm] = {384: hashes.SHA384(), 521: hashes.SHA512()}
    return (hashes.SHA256(), *([own[key.key_size]] if key.key_size in own else []))
