"""Signers as cosign and notation are: they sign digests and hang what they made where those tools do."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.simulators.images import Content, descriptor

EMPTY = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": str(Digest.of(b"{}")),
    "size": 2,
}
NOW = datetime(2026, 11, 29, tzinfo=UTC)


@dataclass
class Cosign:
    """A key pair; `sign`s as `cosign sign --key` does."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def signature(self, data: bytes) -> str:
        return base64.b64encode(self.key.sign(data, ec.ECDSA(hashes.SHA256()))).decode()

    def layer(self, content: Content, digest: Digest, says: Digest | None = None) -> dict[str, object]:
        payload = content.blob(simple_signing(says or digest))
        kind = "application/vnd.dev.cosign.simplesigning.v1+json"
        signed = {"dev.cosignproject.cosign/signature": self.signature(payload)}
        return descriptor(kind, payload, annotations=signed)

    def tag(self, content: Content, image: Manifest, says: Digest | None = None) -> Manifest:
        """By cosign's tag, `sha256-….sig`; beside what hangs there."""
        tag = f"sha256-{image.digest.hex}.sig"
        before = content.manifests[content.tags[tag]].data if tag in content.tags else b'{"layers": []}'
        layers = json.loads(before)["layers"]
        config = content.blob(b'{"architecture": "", "os": ""}')
        return content.put(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": descriptor(OCI_CONFIG, config),
                "layers": [*layers, self.layer(content, image.digest, says)],
            },
            tag,
        )

    def refer(self, content: Content, image: Manifest, says: Digest | None = None) -> Manifest:
        """By referrer, as with `--registry-referrers-mode=oci-1-1`."""
        content.blob(b"{}")
        return content.put(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": "application/vnd.dev.cosign.artifact.sig.v1+json",
                "config": EMPTY,
                "layers": [self.layer(content, image.digest, says)],
                "subject": image.descriptor.document(),
            }
        )

    def bundle(
        self, content: Content, image: Manifest, predicate: str = "https://sigstore.dev/cosign/sign/v1"
    ) -> Manifest:
        """By a Sigstore bundle, as version 3 signs."""
        return bundled_with(content, image, self.bundled(image.digest, predicate))

    def bundled(self, digest: Digest, predicate: str = "https://sigstore.dev/cosign/sign/v1") -> bytes:
        statement = json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"digest": {digest.algorithm: digest.hex}}],
                "predicateType": predicate,
                "predicate": {},
            }
        ).encode()
        kind = "application/vnd.in-toto+json"
        signed = b"DSSEv1 " + b" ".join(
            (str(len(kind)).encode(), kind.encode(), str(len(statement)).encode(), statement)
        )
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": []},
                "dsseEnvelope": {
                    "payload": base64.b64encode(statement).decode(),
                    "payloadType": kind,
                    "signatures": [{"sig": self.signature(signed)}],
                },
            }
        ).encode()


def simple_signing(digest: Digest) -> bytes:
    image = {"docker-manifest-digest": str(digest)}
    kind = "cosign container image signature"
    critical = {"identity": {"docker-reference": "registry.example/a"}, "image": image, "type": kind}
    return json.dumps({"critical": critical, "optional": None}).encode()


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass
class Authority:
    """A certificate authority, which gives certificates to signers."""

    name: str = "CN=ca,O=CERN"
    key: PrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    issuer: Authority | None = None
    path_length: int | None = None
    is_ca: bool = True

    def __post_init__(self) -> None:
        parent = self.issuer or self
        usage = key_usage(key_cert_sign=True, crl_sign=True)
        builder = certificate(self.name, self.key, parent.name)
        builder = builder.add_extension(x509.BasicConstraints(self.is_ca, self.path_length), critical=True)
        self.certificate = builder.add_extension(usage, critical=True).sign(parent.key, hashes.SHA256())

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self.certificate, *(self.issuer.chain if self.issuer else [])]

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass
class Notation:
    """Whoever has a certificate; `sign`s as `notation sign --signature-format jws` does."""

    authority: Authority
    name: str = "CN=release team,O=CERN,C=CH"
    key: PrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    algorithm: str = "ES256"
    days: int = 30
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    headers: dict[str, Any] = field(default_factory=dict)
    also: tuple[x509.ObjectIdentifier, ...] = ()
    """Further purposes of the certificate."""

    def __post_init__(self) -> None:
        until = NOW + timedelta(days=self.days)
        builder = certificate(self.name, self.key, self.authority.name, until=until)
        builder = builder.add_extension(key_usage(digital_signature=True), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([self.purpose, *self.also]), critical=False)
        self.certificate = builder.sign(self.authority.key, hashes.SHA256())

    def envelope(self, digest: Digest) -> bytes:
        target = {"mediaType": OCI_MANIFEST, "digest": str(digest), "size": 1}
        protected = {
            "alg": self.algorithm,
            "cty": "application/vnd.cncf.notary.payload.v1+json",
            "crit": ["io.cncf.notary.signingScheme"],
            "io.cncf.notary.signingScheme": "notary.x509",
            "io.cncf.notary.signingTime": "2026-11-28T10:00:00+00:00",
        } | self.headers
        head, payload = _url(json.dumps(protected).encode()), _url(_json({"targetArtifact": target}))
        chain = [self.certificate, *self.authority.chain]
        x5c = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in chain]
        return _json(
            {
                "payload": payload,
                "protected": head,
                "header": {"x5c": x5c, "io.cncf.notary.signingAgent": "notation-go/1.1.0"},
                "signature": _url(self._made(f"{head}.{payload}".encode())),
            }
        )

    def _made(self, data: bytes) -> bytes:
        sums = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[self.algorithm[2:]]
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PSS(padding.MGF1(sums), sums.digest_size), sums)
        size = (self.key.key_size + 7) // 8
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(sums)))
        return r.to_bytes(size) + s.to_bytes(size)

    def refer(self, content: Content, image: Manifest, says: Digest | None = None) -> Manifest:
        return enveloped(content, image, self.envelope(says or image.digest))


def enveloped(content: Content, image: Manifest, envelope: bytes) -> Manifest:
    """A referrer that holds an envelope of notation, good or bad."""
    content.blob(b"{}")
    return content.put(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": EMPTY | {"mediaType": "application/vnd.cncf.notary.signature"},
            "artifactType": "application/vnd.cncf.notary.signature",
            "layers": [descriptor("application/jose+json", content.blob(envelope))],
            "subject": image.descriptor.document(),
            "annotations": {"io.cncf.notary.x509chain.thumbprint#S256": "[]"},
        }
    )


def bundled_with(content: Content, image: Manifest, bundle: bytes) -> Manifest:
    """A referrer that holds a Sigstore bundle, good or bad."""
    content.blob(b"{}")
    kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
    return content.put(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": EMPTY,
            "layers": [descriptor(kind, content.blob(bundle))],
            "subject": image.descriptor.document(),
        }
    )


def certificate(
    name: str,
    key: PrivateKey,
    issuer: str,
    since: datetime = NOW - timedelta(days=10),
    until: datetime = NOW + timedelta(days=365),
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(name))
        .issuer_name(x509.Name.from_rfc4514_string(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def key_usage(**uses: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{each: uses.get(each, False) for each in every})


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
