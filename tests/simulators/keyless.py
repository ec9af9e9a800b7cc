"""A Sigstore of its own: an authority of certificates, their log, and a log of signatures, as Fulcio and Rekor are."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from tests.simulators.images import Content
from tests.simulators.signatures import NOW, bundled_with, certificate, key_usage
from tests.simulators.stamps import SINCE, Stamps, text

ISSUER: Final = "https://token.actions.githubusercontent.com"
WORKFLOW: Final = "https://github.com/atlas/analysis/.github/workflows/release.yml@refs/tags/v1"
IN_TOTO: Final = "application/vnd.in-toto+json"
SIGNS: Final = "https://sigstore.dev/cosign/sign/v1"
ORIGIN: Final = "log.example - 1"
_ISSUER, _ISSUER_DER = (x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}") for number in (1, 8))
_SCTS: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def signed(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(der(key)).digest()


@dataclass
class Sigstore:
    """Whom a trusted root names: an authority, a log of certificates, a log of signatures."""

    authority: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    certificates: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    """The key of the log of certificates."""
    signatures: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    """The key of the log of signatures."""

    def __post_init__(self) -> None:
        name, own = "CN=sigstore,O=example", self.authority.public_key()
        usage = key_usage(key_cert_sign=True, crl_sign=True)
        self.root = (
            certificate(name, self.authority, name, SINCE, NOW + timedelta(days=3000))
            .add_extension(x509.BasicConstraints(True, 1), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
            .sign(self.authority, hashes.SHA256())
        )

    def trusted_root(self, **other: Any) -> bytes:
        """As TUF would hand it out; `other` replaces parts of it."""
        since = {"start": SINCE.isoformat()}
        chain = {"certificates": [{"rawBytes": text(self.root.public_bytes(Encoding.DER))}]}
        named = {"subject": {"organization": "example", "commonName": "sigstore"}}
        document = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(self.signatures, since)],
            "certificateAuthorities": [named | {"certChain": chain, "validFor": since}],
            "ctlogs": [_log(self.certificates, since)],
            "timestampAuthorities": [],
        }
        return json.dumps(document | other).encode()


@dataclass
class Workflow:
    """A job that an issuer vouches for; `sign`s as `cosign sign` does without a key."""

    sigstore: Sigstore
    identity: str = WORKFLOW
    issuer: str = ISSUER
    at: datetime = NOW
    """When the certificate begins, for ten minutes."""
    logged: timedelta = timedelta(minutes=1)
    """How long after that the signature came into the log."""
    has_sct: bool = True
    """Whether the certificate came into its log."""
    predicate: str = SIGNS
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    stamps: Stamps | None = None
    """Who says when it was signed: with one, the log is of the second generation, which knows no time."""

    def bundled(self, digest: Digest) -> bytes:
        return json.dumps(self.document(digest)).encode()

    def sign(self, content: Content, image: Manifest, says: Digest | None = None) -> Manifest:
        """By a Sigstore bundle in a referrer."""
        return bundled_with(content, image, self.bundled(says or image.digest))

    def document(self, digest: Digest) -> dict[str, Any]:
        statement = json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"digest": {digest.algorithm: digest.hex}}],
                "predicateType": self.predicate,
                "predicate": {},
            }
        ).encode()
        made = signed(self.key, _enveloped(statement))
        certificate = self.certificate()
        material = {"certificate": {"rawBytes": text(certificate.public_bytes(Encoding.DER))}}
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material | self._logged(certificate, statement, made),
            "dsseEnvelope": {
                "payload": text(statement),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": text(made)}],
            },
        }

    def certificate(self) -> x509.Certificate:
        """Of ten minutes, as Fulcio gives it; with a promise of its log inside."""
        root, authority = self.sigstore.root, self.sigstore.authority
        name = self.identity
        of = x509.UniformResourceIdentifier(name) if "://" in name else x509.RFC822Name(name)
        issuer = self.issuer.encode()
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
        builder = (
            certificate("", self.key, root.subject.rfc4514_string(), self.at, self.at + timedelta(minutes=10))
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(purpose, critical=False)
            .add_extension(above, critical=False)
            .add_extension(x509.SubjectAlternativeName([of]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(_ISSUER_DER, bytes([12, len(issuer)]) + issuer), critical=False
            )
        )
        before = builder.sign(authority, hashes.SHA256())
        if not self.has_sct:
            return before
        scts = x509.UnrecognizedExtension(_SCTS, self._promise(before.tbs_certificate_bytes))
        return builder.add_extension(scts, critical=False).sign(authority, hashes.SHA256())

    def _promise(self, certificate: bytes) -> bytes:
        """Of the log of certificates (RFC 6962, sections 3.2 and 3.3), in DER."""
        log, when = self.sigstore.certificates, int(self.at.timestamp() * 1000)
        entry = key_id(self.sigstore.authority) + len(certificate).to_bytes(3) + certificate
        made = signed(log, struct.pack("!BBQH", 0, 0, when, 1) + entry + b"\0\0")
        sct = b"\0" + key_id(log) + struct.pack("!QHBBH", when, 0, 4, 3, len(made)) + made
        listed = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
        return bytes([4, len(listed)]) + listed  # shorter than 128 bytes

    def _logged(self, certificate: x509.Certificate, statement: bytes, made: bytes) -> dict[str, Any]:
        """What the log of signatures has, and who says when that was."""
        if self.stamps is None:
            return {"tlogEntries": [self._entry(_body(certificate, statement, made))]}
        entry = self._entry(_body_of_second(certificate, statement, made))
        del entry["integratedTime"], entry["inclusionPromise"]
        stamp = text(self.stamps.stamp(made, self.at + self.logged))
        return {
            "tlogEntries": [entry | {"kindVersion": {"kind": "hashedrekord", "version": "0.0.2"}}],
            "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": stamp}]},
        }

    def _entry(self, body: bytes) -> dict[str, Any]:
        """What the log of signatures says of its second entry."""
        log, when = self.sigstore.signatures, int((self.at + self.logged).timestamp())
        first = hashlib.sha256(b"\0first").digest()
        root = hashlib.sha256(b"\1" + first + hashlib.sha256(b"\0" + body).digest()).digest()
        note = f"{ORIGIN}\n2\n{text(root)}\n"
        stamp = text(key_id(log)[:4] + signed(log, note.encode()))
        told = {"body": text(body), "integratedTime": when, "logID": key_id(log).hex(), "logIndex": 1001}
        promise = signed(log, json.dumps(told, separators=(",", ":"), sort_keys=True).encode())
        return {
            "logIndex": "1001",
            "logId": {"keyId": text(key_id(log))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(when),
            "inclusionPromise": {"signedEntryTimestamp": text(promise)},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": text(root),
                "treeSize": "2",
                "hashes": [text(first)],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.example {stamp}\n"},
            },
            "canonicalizedBody": text(body),
        }


def _body(certificate: x509.Certificate, statement: bytes, made: bytes) -> bytes:
    """What Rekor writes down of an envelope."""
    sums = {"algorithm": "sha256", "value": hashlib.sha256(statement).hexdigest()}
    by = {"signature": text(made), "verifier": text(certificate.public_bytes(Encoding.PEM))}
    spec = {"envelopeHash": sums, "payloadHash": sums, "signatures": [by]}
    return json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}).encode()


def _body_of_second(certificate: x509.Certificate, statement: bytes, made: bytes) -> bytes:
    """What Rekor's second generation writes down of an envelope."""
    by = {
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "x509Certificate": {"rawBytes": text(certificate.public_bytes(Encoding.DER))},
    }
    sums = {"algorithm": "SHA2_256", "digest": text(hashlib.sha256(_enveloped(statement)).digest())}
    spec = {"hashedRekordV002": {"data": sums, "signature": {"content": text(made), "verifier": by}}}
    return json.dumps({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec}).encode()


def _enveloped(statement: bytes) -> bytes:
    """The bytes that are signed of a statement (DSSE)."""
    return b"DSSEv1 %d %b %d %b" % (len(IN_TOTO), IN_TOTO.encode(), len(statement), statement)


def _log(key: ec.EllipticCurvePrivateKey, since: dict[str, str]) -> dict[str, Any]:
    return {
        "baseUrl": "https://log.example",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": text(der(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since},
        "logId": {"keyId": text(key_id(key))},
    }
