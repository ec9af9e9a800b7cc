"""An authority that says when it saw something (RFC 3161), in DER written by hand, as a bundle carries it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.simulators.signatures import NOW, certificate, key_usage

SINCE: Final = datetime(2020, 1, 1, tzinfo=UTC)
_ABOVE: Final = "CN=stamps above,O=example"
_SEQUENCE, _SET, _OCTETS, _NUMBER, _TIME, _INSIDE = 0x30, 0x31, 4, 2, 0x18, 0xA0
_SHA256, _ECDSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"
_SIGNED_DATA, _STAMP = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"


def text(data: bytes) -> str:
    """In base64."""
    return base64.b64encode(data).decode()


def _der(tag: int, *parts: bytes) -> bytes:
    inside = b"".join(parts)
    size = len(inside)
    if size < 128:
        return bytes([tag, size]) + inside
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 128 + len(length)]) + length + inside


def _number(value: int) -> bytes:
    return _der(_NUMBER, value.to_bytes(value.bit_length() // 8 + 1))


def _oid(dotted: str) -> bytes:
    first, second, *others = map(int, dotted.split("."))
    found = b""
    for each in (40 * first + second, *others):
        digits = [each & 127]
        while each := each >> 7:
            digits.append(each & 127 | 128)
        found += bytes(reversed(digits))
    return _der(6, found)


def _algorithm(dotted: str) -> bytes:
    return _der(_SEQUENCE, _oid(dotted))


def _certificate(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = certificate(name, key, _ABOVE, SINCE, NOW + timedelta(days=3000))
    return made.add_extension(own, critical=False)


@dataclass
class Stamps:
    """An authority of time stamps, with a certificate of an authority of its own."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    above: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.root = (
            _certificate(_ABOVE, self.above)
            .add_extension(x509.BasicConstraints(True, 1), critical=True)
            .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(self.above, hashes.SHA256())
        )
        over = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.above.public_key())
        self.certificate = (
            _certificate("CN=stamps,O=example", self.key)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .add_extension(over, critical=False)
            .sign(self.above, hashes.SHA256())
        )

    def trusted(self, **period: str) -> dict[str, Any]:
        """As a trusted root names it; `period`: its start and end, where not for ever."""
        chain = [
            {"rawBytes": text(each.public_bytes(Encoding.DER))} for each in (self.certificate, self.root)
        ]
        return {
            "subject": {"organization": "example", "commonName": "stamps"},
            "certChain": {"certificates": chain},
            "validFor": {"start": SINCE.isoformat()} | period,
        }

    def stamp(self, data: bytes, at: datetime) -> bytes:
        """That `data` was there at that time: a response, in DER."""
        imprint = _der(_SEQUENCE, _algorithm(_SHA256), _der(_OCTETS, hashlib.sha256(data).digest()))
        when = _der(_TIME, f"{at.astimezone(UTC):%Y%m%d%H%M%SZ}".encode())
        told = _der(_SEQUENCE, _number(1), _oid("1.3.6.1.4.1.57264.2"), imprint, _number(7), when)
        content = _der(_SEQUENCE, _oid(_STAMP), _der(_INSIDE, _der(_OCTETS, told)))
        sums = _der(_SET, _algorithm(_SHA256))
        signed = _der(_SEQUENCE, _number(3), sums, content, _der(_SET, self._signer(told)))
        made = _der(_SEQUENCE, _oid(_SIGNED_DATA), _der(_INSIDE, signed))
        return _der(_SEQUENCE, _der(_SEQUENCE, _number(0)), made)

    def _signer(self, told: bytes) -> bytes:
        kind = _der(_SEQUENCE, _oid(_CONTENT_TYPE), _der(_SET, _oid(_STAMP)))
        summed = _der(_OCTETS, hashlib.sha256(told).digest())
        attributes = b"".join(sorted([kind, _der(_SEQUENCE, _oid(_MESSAGE_DIGEST), _der(_SET, summed))]))
        by = _der(_SEQUENCE, self.certificate.issuer.public_bytes(), _number(self.certificate.serial_number))
        made = self.key.sign(_der(_SET, attributes), ec.ECDSA(hashes.SHA256()))
        return _der(
            _SEQUENCE,
            _number(1),
            by,
            _algorithm(_SHA256),
            _der(_INSIDE, attributes),
            _algorithm(_ECDSA_SHA256),
            _der(_OCTETS, made),
        )
