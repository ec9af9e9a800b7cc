"""Signatures that cosign, notation's library and Sigstore's made, not the simulators of these tests."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from registry_mesh.catalog.cosign import check_bundle, check_simple
from registry_mesh.catalog.notation import check_jws
from registry_mesh.catalog.signer import CosignSigner, NotationSigner, NotSigned, public_key, subject
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.content.snapshot.test_rule_keys import digests, replica_of, troubles
from tests.simulators.images import Content, descriptor
from tests.simulators.replica import Replica
from tests.simulators.signatures import EMPTY, Authority, bundled_with, enveloped

DATA: Final = Path(__file__).parents[3] / "fixtures" / "signatures"
COSIGN: Final = json.loads((DATA / "cosign.json").read_text())
NOTATION: Final = json.loads((DATA / "notation.json").read_text())
BUNDLES: Final = json.loads((DATA / "sigstore-js.json").read_text())
THEN: Final = datetime(2022, 7, 30, tzinfo=UTC).timestamp()
SIGNED: Final = Digest.parse("sha256:60043cf45eaebc4c0867fea485a039b598f52fd09fd5b07b0b2d2f88fad9d74e")
CA: Final = x509.load_der_x509_certificate(base64.b64decode(NOTATION["header"]["x5c"][1]))
TEAM: Final = NotationSigner((CA,))
OTHER: Final = Digest.of(b"other")
KINDS: Final = ("p256", "p384", "ed25519", "rsa")


def key(pem: str) -> Any:
    return public_key(pem.encode())


def keyless() -> Any:
    certificate = x509.load_pem_x509_certificate(COSIGN["keyless"]["certificate"].encode())
    return public_key(certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_what_cosign_signed_counts_for_its_digest_and_key() -> None:
    payload, signature = COSIGN["payload"].encode(), COSIGN["signature"]
    digest, team, foreign = Digest.parse(COSIGN["digest"]), key(COSIGN["key"]), key(COSIGN["foreign"])
    check_simple(payload, signature, digest, [foreign, team])
    for change, keys, why in [
        (payload, [foreign], "another key"),
        (payload.replace(b"busybox", b"busyb0x"), [team], "other bytes"),
    ]:
        with pytest.raises(NotSigned, match=why):
            check_simple(change, signature, digest, keys)
    with pytest.raises(NotSigned, match=f"is of {digest}"):
        check_simple(payload, signature, OTHER, [team])


def test_what_cosign_signed_without_a_key_pair_is_of_its_certificates_key() -> None:
    made = COSIGN["keyless"]
    check_simple(made["payload"].encode(), made["signature"], Digest.parse(made["digest"]), [keyless()])
    with pytest.raises(NotSigned, match="another key"):
        check_simple(
            made["payload"].encode(), made["signature"], Digest.parse(made["digest"]), [key(COSIGN["key"])]
        )


@pytest.mark.parametrize("kind", KINDS)
def test_what_sigstores_library_signed_counts(kind: str) -> None:
    bundle, own = json.dumps(BUNDLES["bundles"][kind]).encode(), key(BUNDLES["keys"][kind])
    check_bundle(bundle, fixed(Content()).digest, [own])
    others = [key(BUNDLES["keys"][each]) for each in KINDS if each != kind]
    with pytest.raises(NotSigned, match="another key"):
        check_bundle(bundle, fixed(Content()).digest, others)
    with pytest.raises(NotSigned, match="is of "):
        check_bundle(bundle, OTHER, [own])


def test_what_sigstores_library_attested_signs_nothing() -> None:
    bundle = json.dumps(BUNDLES["bundles"]["attester"]).encode()
    with pytest.raises(NotSigned, match="signs nothing"):
        check_bundle(bundle, fixed(Content()).digest, [key(BUNDLES["keys"]["attester"])])


def envelope(**changed: str) -> bytes:
    return json.dumps(NOTATION | changed).encode()


def test_what_notation_signed_counts_while_its_certificates_do() -> None:
    check_jws(envelope(), SIGNED, TEAM, THEN)
    check_jws(envelope(), SIGNED, NotationSigner((CA,), (subject("O=Notary, C=US"),)), THEN)


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (lambda: check_jws(envelope(), OTHER, TEAM, THEN), f"is of {SIGNED}"),
        (lambda: check_jws(envelope(), SIGNED, TEAM, THEN + 86400 * 365), "not valid now"),
        (lambda: check_jws(envelope(), SIGNED, TEAM, THEN + 86400 * 365 * 100), "expired at 2122-01-01"),
        (lambda: check_jws(envelope(), SIGNED, NotationSigner((Authority().certificate,)), THEN), "foreign authority"),
        (lambda: check_jws(envelope(), SIGNED, NotationSigner((CA,), (subject("O=CERN"),)), THEN), "is by "),
        (lambda: check_jws(envelope(signature="LOLk" + NOTATION["signature"][4:]), SIGNED, TEAM, THEN), "other bytes"),
        (lambda: check_jws(envelope(payload=NOTATION["payload"][:-4] + "fQ"), SIGNED, TEAM, THEN), ""),
    ],
)  # fmt: skip
def test_what_notation_signed_and_does_not_count(check: Callable[[], None], why: str) -> None:
    with pytest.raises(NotSigned) as caught:
        check()
    assert why in str(caught.value)


def fixed(content: Content, tag: str = "v1") -> Manifest:
    """The one image that the bundles are of: its bytes are written down."""
    content.blob(b"{}")
    return content.put(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": EMPTY, "layers": [EMPTY]}, tag
    )


def replica(*rules: str) -> Replica:
    found = replica_of(*rules)
    team = CosignSigner((key(BUNDLES["keys"]["p256"]), key(COSIGN["key"])))
    found.signers = {"team": team, "notary": TEAM}
    found.now = THEN
    return found


async def test_a_bundle_in_a_referrer_lets_its_image_through() -> None:
    mesh = replica("repos: a, tags: v1, verify: team")
    content = mesh.source["a"]
    image = fixed(content)
    made = bundled_with(content, image, json.dumps(BUNDLES["bundles"]["p256"]).encode())
    assert troubles(await mesh.run()) == []
    assert (await digests(mesh))["v1"] == image.digest
    assert await mesh.has("a", made)


async def test_a_signature_of_another_image_lets_nothing_through() -> None:
    """By cosign's tag, and by notation's referrer: both are good, and of other digests."""
    mesh = replica("repos: a, tags: v1, verify: team", "repos: b, tags: v1, verify: notary")
    first, second = mesh.source["a"], mesh.source["b"]
    image = fixed(first)
    signed = {"dev.cosignproject.cosign/signature": COSIGN["signature"]}
    kind = "application/vnd.dev.cosign.simplesigning.v1+json"
    layer = descriptor(kind, first.blob(COSIGN["payload"].encode()), annotations=signed)
    config = descriptor(OCI_CONFIG, first.blob(b'{"architecture": "", "os": ""}'))
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    first.put(manifest, f"sha256-{image.digest.hex}.sig")
    enveloped(second, fixed(second), envelope())
    told = troubles(await mesh.run())
    assert len(told) == 2
    assert f"a signature is of {COSIGN['digest']}" in told[0]
    assert f"a signature is of {SIGNED}" in told[1]
    assert await digests(mesh) == {}
