"""Signatures of cosign with a key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from registry_mesh.catalog.cosign import check_bundle, check_simple
from registry_mesh.catalog.signer import NotSigned, public_key
from registry_mesh.oci.digest import Digest
from tests.simulators.signatures import Cosign, simple_signing

DIGEST, OTHER = Digest.of(b"one"), Digest.of(b"other")
TEAM, FOREIGN = Cosign(), Cosign()
KEYS = (public_key(TEAM.pem),)


def test_a_signature_by_one_of_the_keys_counts() -> None:
    payload = simple_signing(DIGEST)
    check_simple(payload, TEAM.signature(payload), DIGEST, (public_key(FOREIGN.pem), *KEYS))


def _simple(payload: bytes, signature: str | None = None) -> Callable[[], None]:
    return lambda: check_simple(payload, signature or TEAM.signature(payload), DIGEST, KEYS)


UNPRINTABLE = b'{"dsseEnvelope": {"payload": "", "payloadType": "\\ud800", "signatures": [{"sig": ""}]}}'
"""A letter that no encoding has stands in what is signed."""


@pytest.mark.parametrize("said", ["\ud800\n\x1b[31m", "x" * 1_000_000])
def test_what_a_signature_says_is_cut_short_and_fit_for_a_log(said: str) -> None:
    payload = json.dumps(
        {"critical": {"type": "cosign container image signature", "image": {"docker-manifest-digest": said}}}
    ).encode()
    with pytest.raises(NotSigned) as caught:
        check_simple(payload, TEAM.signature(payload), DIGEST, KEYS)
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (_simple(simple_signing(OTHER)), f"is of {OTHER}"),
        (_simple(simple_signing(DIGEST), FOREIGN.signature(simple_signing(DIGEST))), "by another key"),
        (_simple(simple_signing(DIGEST) + b" ", TEAM.signature(simple_signing(DIGEST))), "other bytes"),
        (_simple(simple_signing(DIGEST), "%%%"), "not in base64"),
        (lambda: check_simple(simple_signing(DIGEST), None, DIGEST, KEYS), "not in base64"),
        (_simple(b"[1]"), "says None"),
        (_simple(b"no json"), "is no JSON"),
        (_simple(b'{"critical": {"type": "atomic container signature"}}'), "atomic container signature"),
        (_simple(b'{"critical": {"type": "cosign container image signature"}}'), "is of nothing"),
        (lambda: check_bundle(FOREIGN.bundled(DIGEST), DIGEST, KEYS), "by another key"),
        (lambda: check_bundle(TEAM.bundled(OTHER), DIGEST, KEYS), f"is of {OTHER}"),
        (
            lambda: check_bundle(TEAM.bundled(DIGEST, "https://spdx.dev/Document"), DIGEST, KEYS),
            "signs nothing",
        ),
        (lambda: check_bundle(b'{"dsseEnvelope": {"payload": ""}}', DIGEST, KEYS), "without a signed"),
        (lambda: check_bundle(b"{}", DIGEST, KEYS), "not in base64"),
        (lambda: check_bundle(UNPRINTABLE, DIGEST, KEYS), "is a bundle of"),
    ],
)
def test_what_does_not_count_says_why(check: Callable[[], None], why: str) -> None:
    with pytest.raises(NotSigned) as caught:
        check()
    assert why in str(caught.value)


def test_a_bundle_counts_as_it_is_signed() -> None:
    bundle = TEAM.bundled(DIGEST)
    check_bundle(bundle, DIGEST, KEYS)
    document = json.loads(bundle)
    document["dsseEnvelope"]["payloadType"] = "application/other"
    with pytest.raises(NotSigned):
        check_bundle(json.dumps(document).encode(), DIGEST, KEYS)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_larger_curves_sign_with_either_sum(curve: ec.EllipticCurve) -> None:
    key, payload = ec.generate_private_key(curve), simple_signing(DIGEST)
    own = hashes.SHA384() if curve.key_size == 384 else hashes.SHA512()
    for sums in (hashes.SHA256(), own):
        made = base64.b64encode(key.sign(payload, ec.ECDSA(sums))).decode()
        check_simple(payload, made, DIGEST, (key.public_key(),))
    with pytest.raises(NotSigned):
        made = base64.b64encode(key.sign(payload, ec.ECDSA(hashes.SHA224()))).decode()
        check_simple(payload, made, DIGEST, (key.public_key(),))


def test_rsa_and_ed25519_sign_too() -> None:
    payload = simple_signing(DIGEST)
    wide, small = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()
    for key, made in (
        (wide.public_key(), wide.sign(payload, padding.PKCS1v15(), hashes.SHA256())),
        (small.public_key(), small.sign(payload)),
    ):
        known = public_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        check_simple(payload, base64.b64encode(made).decode(), DIGEST, (known,))
        with pytest.raises(NotSigned):
            check_simple(
                payload, base64.b64encode(made[:-1] + bytes([made[-1] ^ 1])).decode(), DIGEST, (known,)
            )
