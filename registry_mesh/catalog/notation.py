"""Signatures of notation: JWS envelopes with a chain of certificates (Notary Project's signature-specification,
signature-envelope-jws; trust by its trust-store-trust-policy, level strict without revocation)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry_mesh.catalog.envelope import demand_digest, document, from_base64url, mapping
from registry_mesh.catalog.signer import NotationSigner, NotSigned
from registry_mesh.oci.digest import Digest

E = TypeVar("E", bound=x509.ExtensionType)

JWS: Final = "application/jose+json"
COSE: Final = "application/cose"
_PAYLOAD: Final = "application/vnd.cncf.notary.payload.v1+json"
_SCHEME, _EXPIRY = "io.cncf.notary.signingScheme", "io.cncf.notary.expiry"
_UNDERSTOOD: Final = {_SCHEME, _EXPIRY, "io.cncf.notary.signingTime"}
_ALGORITHMS: Final[dict[str, tuple[type, int, hashes.HashAlgorithm]]] = {
    "PS256": (RSAPublicKey, 2048, hashes.SHA256()),
    "PS384": (RSAPublicKey, 3072, hashes.SHA384()),
    "PS512": (RSAPublicKey, 4096, hashes.SHA512()),
    "ES256": (EllipticCurvePublicKey, 256, hashes.SHA256()),
    "ES384": (EllipticCurvePublicKey, 384, hashes.SHA384()),
    "ES512": (EllipticCurvePublicKey, 521, hashes.SHA512()),
}
"""By `alg`: which key makes it. No other is allowed."""
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_LONGEST: Final = 10
"""Certificates of a chain."""
_OTHER_PURPOSES: Final = frozenset(
    {
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.TIME_STAMPING,
    }
)


def check_jws(envelope: bytes, digest: Digest, signer: NotationSigner, now: float) -> None:
    """`NotSigned` unless a certificate that `signer` trusts at `now` (seconds since the epoch) signed `digest`."""
    found = document(envelope)
    protected, payload = str(found.get("protected")), str(found.get("payload"))
    told, target = document(from_base64url(protected)), from_base64url(payload)
    signature = from_base64url(found.get("signature"))
    _demand_headers(told, now)
    try:
        chain = _chain(mapping(found.get("header")).get("x5c"))
        _demand_made(chain[0], str(told.get("alg")), signature, f"{protected}.{payload}".encode())
        _demand_trusted(chain, signer, datetime.fromtimestamp(now, UTC))
    except NotSigned:
        raise
    except Exception as fault:  # parts of a certificate are read when they are looked at, and may be anything
        raise NotSigned(f"has a certificate that cannot be read ({type(fault).__name__})") from None
    demand_digest(mapping(document(target).get("targetArtifact")).get("digest"), digest)


def _demand_headers(told: dict[str, Any], now: float) -> None:  # Any: JSON
    critical = told.get("crit")
    if told.get("cty") != _PAYLOAD:
        raise NotSigned(f"has a payload of {told.get('cty')!r}")
    if told.get(_SCHEME) != "notary.x509":
        raise NotSigned(f"is of the signing scheme {told.get(_SCHEME)!r}, and notary.x509 is believed")
    if (
        not isinstance(critical, list)
        or _SCHEME not in critical
        or not _UNDERSTOOD.issuperset(map(str, critical))
    ):
        raise NotSigned(f"demands what is not understood: {critical!r}")
    if _EXPIRY in told and _time(told[_EXPIRY]) <= now:
        raise NotSigned(f"expired at {told[_EXPIRY]}")


def _time(text: object) -> float:
    """Seconds since the epoch of a time as RFC 3339 writes it."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise NotSigned(f"expires at {text!r}, which is no time")
    return found.timestamp()


def _chain(x5c: object) -> list[x509.Certificate]:
    """The signer's own certificate, then each one's issuer."""
    if not isinstance(x5c, list) or not 0 < len(x5c) <= _LONGEST:
        raise NotSigned("has no chain of certificates")
    return [x509.load_der_x509_certificate(base64.b64decode(str(each))) for each in x5c]


def _demand_made(leaf: x509.Certificate, algorithm: str, signature: bytes, signed: bytes) -> None:
    key = leaf.public_key()
    kind, size, sums = _ALGORITHMS.get(algorithm, (type(None), 0, hashes.SHA256()))
    if not isinstance(key, kind) or not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        raise NotSigned(f"is made by {algorithm!r}, which its certificate's key does not make")
    if key.key_size != size:
        raise NotSigned(f"is made by {algorithm} with a key of {key.key_size} bits")
    if isinstance(key, EllipticCurvePublicKey) and not isinstance(key.curve, _CURVES):
        raise NotSigned(f"is made by {algorithm} with a key on {key.curve.name}")
    try:
        if isinstance(key, RSAPublicKey):
            salt = padding.PSS(padding.MGF1(sums), sums.digest_size)
            key.verify(signature, signed, salt, sums)
        else:
            key.verify(_as_der(signature, (size + 7) // 8), signed, ec.ECDSA(sums))
    except InvalidSignature:
        raise NotSigned("is by another key, or of other bytes") from None


def _as_der(signature: bytes, size: int) -> bytes:
    """Two numbers of `size` bytes, as JWS writes them (RFC 7518, section 3.4), as DER does."""
    if len(signature) != 2 * size:
        raise NotSigned("is of a wrong length")
    return encode_dss_signature(int.from_bytes(signature[:size]), int.from_bytes(signature[size:]))


def _demand_trusted(chain: list[x509.Certificate], signer: NotationSigner, now: datetime) -> None:
    """The first certificate that the signer names ends the chain; those before it are checked one by one."""
    _demand_leaf(chain[0])
    for depth, certificate in enumerate(chain):
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise NotSigned(f"has a certificate that is not valid now: {_name(certificate)}")
        if depth:
            _demand_authority(certificate, depth - 1)
        if certificate in signer.authorities:
            break
        if depth + 1 == len(chain):
            raise NotSigned(f"is by a foreign authority: {_name(certificate)}")
        _demand_issued(certificate, chain[depth + 1])
    subject = set(chain[0].subject)
    if signer.subjects and not any(set(wanted) <= subject for wanted in signer.subjects):
        raise NotSigned(f"is by {_name(chain[0])}")


def _demand_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise NotSigned(f"has a broken chain: {_name(issuer)} did not issue {_name(certificate)}") from None


def _demand_leaf(leaf: x509.Certificate) -> None:
    """A certificate for signing code, and for nothing that everybody gets (signature-specification, Certificate
    Requirements)."""
    usage, basic = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.BasicConstraints)
    is_authority = (basic is not None and basic.ca) or (usage is not None and usage.key_cert_sign)
    if usage is None or not usage.digital_signature or is_authority:
        raise NotSigned(f"has a certificate that is not for signing: {_name(leaf)}")
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    if purposes is not None and (
        ExtendedKeyUsageOID.CODE_SIGNING not in purposes or _OTHER_PURPOSES.intersection(purposes)
    ):
        raise NotSigned(f"has a certificate that is not for signing code: {_name(leaf)}")


def _demand_authority(certificate: x509.Certificate, between: int) -> None:
    """`between` authorities stand between it and the leaf."""
    basic = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    if basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
        raise NotSigned(f"has an issuer that is no authority: {_name(certificate)}")
    if basic.path_length is not None and between > basic.path_length:
        raise NotSigned(f"has a chain longer than {_name(certificate)} allows")


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
