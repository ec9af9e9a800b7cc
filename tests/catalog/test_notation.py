"""Signatures of notation: JWS envelopes, chains, subjects, times."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry_mesh.catalog.notation import check_jws
from registry_mesh.catalog.signer import NotationSigner, NotSigned, authorities, subject
from registry_mesh.oci.digest import Digest
from tests.simulators.signatures import NOW, Authority, Notation

DIGEST, OTHER = Digest.of(b"one"), Digest.of(b"other")
ROOT = Authority("CN=root,O=CERN")
BETWEEN = Authority("CN=between,O=CERN", issuer=ROOT)
FOREIGN = Authority("CN=root,O=CERN")
"""Another key under the same name."""
SCHEME, EXPIRY = "io.cncf.notary.signingScheme", "io.cncf.notary.expiry"


def trusting(*roots: Authority, subjects: tuple[str, ...] = ()) -> NotationSigner:
    trusted = tuple(each for root in roots for each in authorities(root.pem))
    return NotationSigner(trusted, tuple(map(subject, subjects)))


def check(signer: Notation, trusted: NotationSigner, days: float = 0) -> None:
    check_jws(signer.envelope(DIGEST), DIGEST, trusted, NOW.timestamp() + days * 86400)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "ES512"),
        (lambda: rsa.generate_private_key(65537, 2048), "PS256"),
    ],
)
def test_every_algorithm_of_the_specification_counts(
    key: Callable[[], ec.EllipticCurvePrivateKey], algorithm: str
) -> None:
    check(Notation(BETWEEN, key=key(), algorithm=algorithm), trusting(ROOT))


def test_an_authority_of_the_middle_can_be_trusted_alone() -> None:
    check(Notation(BETWEEN), trusting(BETWEEN))


def test_a_subject_has_all_parts_of_one_that_is_named() -> None:
    signer = Notation(ROOT, "CN=release team,O=CERN,C=CH")
    check(signer, trusting(ROOT, subjects=("CN=other", "O=CERN, CN=release team")))
    check(Notation(ROOT, "CN=x,O=Acme\\, Inc"), trusting(ROOT, subjects=("CN=x, O=Acme\\, Inc",)))
    for wanted in ("CN=release", "CN=release team, O=ELSE", "x509.subject: C=US"):
        with pytest.raises(NotSigned, match="is by CN=release team"):
            check(signer, trusting(ROOT, subjects=(wanted,)))


@pytest.mark.parametrize(
    ("signer", "trusted", "days", "why"),
    [
        (Notation(FOREIGN), trusting(ROOT), 0, "foreign authority"),
        (Notation(ROOT, days=1), trusting(ROOT), 2, "not valid now"),
        (Notation(ROOT), trusting(ROOT), -11, "not valid now"),
        (Notation(ROOT, purpose=ExtendedKeyUsageOID.SERVER_AUTH), trusting(ROOT), 0, "not for signing code"),
        (Notation(Authority("CN=x,O=y", issuer=ROOT, is_ca=False)), trusting(ROOT), 0, "no authority"),
        (Notation(Authority(issuer=Authority(issuer=ROOT, path_length=0))), trusting(ROOT), 0, "longer than"),
        (Notation(ROOT, algorithm="ES384"), trusting(ROOT), 0, "with a key of 256 bits"),
        (Notation(ROOT, key=ec.generate_private_key(ec.SECP256K1())), trusting(ROOT), 0, "on secp256k1"),
        (Notation(ROOT, headers={"alg": "none"}), trusting(ROOT), 0, "is made by 'none'"),
        (Notation(ROOT, headers={"alg": "PS256"}), trusting(ROOT), 0, "is made by 'PS256'"),
        (Notation(ROOT, headers={"cty": "text/plain"}), trusting(ROOT), 0, "payload of 'text/plain'"),
        (Notation(ROOT, headers={"crit": ["x"]}), trusting(ROOT), 0, "demands what is not understood"),
        (Notation(ROOT, headers={"crit": []}), trusting(ROOT), 0, "demands what is not understood"),
        (Notation(ROOT, headers={"crit": [SCHEME, []]}), trusting(ROOT), 0, "demands what is not understood"),
        (Notation(ROOT, headers={EXPIRY: "2030-01-01"}), trusting(ROOT), 0, "which is no time"),
        (Notation(ROOT, headers={EXPIRY: "\ud800"}), trusting(ROOT), 0, "which is no time"),
        (
            Notation(ROOT, headers={SCHEME: "notary.x509.signingAuthority"}),
            trusting(ROOT),
            0,
            "notary.x509 is believed",
        ),
        (
            Notation(ROOT, headers={EXPIRY: "2026-11-28T00:00:00Z"}),
            trusting(ROOT),
            0,
            "expired at 2026-11-28",
        ),
    ],
)
def test_what_does_not_count_says_why(
    signer: Notation, trusted: NotationSigner, days: float, why: str
) -> None:
    with pytest.raises(NotSigned) as caught:
        check(signer, trusted, days)
    assert why in str(caught.value)


def test_a_signature_counts_for_its_digest_and_its_bytes_alone() -> None:
    signer, trusted = Notation(ROOT), trusting(ROOT)
    with pytest.raises(NotSigned, match=f"is of {DIGEST}"):
        check_jws(signer.envelope(DIGEST), OTHER, trusted, NOW.timestamp())
    one, other = json.loads(signer.envelope(DIGEST)), json.loads(signer.envelope(OTHER))
    for part in ("payload", "protected", "signature"):
        mixed = (
            one | {part: other[part]} if part != "protected" else one | {"protected": one["protected"][:-4]}
        )
        with pytest.raises(NotSigned):
            check_jws(json.dumps(mixed).encode(), DIGEST, trusted, NOW.timestamp())


def test_a_chain_of_another_does_not_help() -> None:
    """A foreign signer who shows the certificates of a trusted one."""
    shown = json.loads(Notation(ROOT).envelope(DIGEST))["header"]
    forged = json.loads(Notation(FOREIGN).envelope(DIGEST)) | {"header": shown}
    with pytest.raises(NotSigned, match="by another key"):
        check_jws(json.dumps(forged).encode(), DIGEST, trusting(ROOT), NOW.timestamp())
    own = json.loads(Notation(FOREIGN).envelope(DIGEST))
    own["header"]["x5c"][1:] = shown["x5c"][1:]
    with pytest.raises(NotSigned, match="did not issue"):
        check_jws(json.dumps(own).encode(), DIGEST, trusting(ROOT), NOW.timestamp())


@pytest.mark.parametrize(
    "purpose",
    [
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.TIME_STAMPING,
    ],
)
def test_a_certificate_that_is_good_for_more_than_signing_code_does_not_count(
    purpose: x509.ObjectIdentifier,
) -> None:
    with pytest.raises(NotSigned, match="not for signing code"):
        check(Notation(ROOT, also=(purpose,)), trusting(ROOT))


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f")),  # a curve that nobody has
        (bytes.fromhex("0603551d25"), bytes.fromhex("0603551d0f")),  # the use of its key, twice
        (b"release team", b"\xff" * 12),  # a name that is no text
    ],
)
def test_a_certificate_that_cannot_be_read_does_not_count(part: bytes, other: bytes) -> None:
    envelope = json.loads(Notation(ROOT).envelope(DIGEST))
    chain = envelope["header"]["x5c"]
    chain[0] = base64.b64encode(base64.b64decode(chain[0]).replace(part, other)).decode()
    with pytest.raises(NotSigned, match="cannot be read"):
        check_jws(json.dumps(envelope).encode(), DIGEST, trusting(ROOT), NOW.timestamp())


@pytest.mark.parametrize("part", ["payload", "protected", "signature"])
@pytest.mark.parametrize("value", ["\ud800", "é", None, [], 1, "%"])
def test_parts_of_any_kind_are_judged(part: str, value: object) -> None:
    envelope = json.loads(Notation(ROOT).envelope(DIGEST)) | {part: value}
    with pytest.raises(NotSigned):
        check_jws(json.dumps(envelope).encode(), DIGEST, trusting(ROOT), NOW.timestamp())
