"""Signatures of an identity without a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from registry_mesh.catalog.keyless import check_identity, trusted_root
from registry_mesh.catalog.signer import IdentitySigner, NotSigned
from registry_mesh.oci.digest import Digest
from tests.simulators.changed import changed, flipped
from tests.simulators.keyless import ISSUER, WORKFLOW, Sigstore, Workflow, new_key
from tests.simulators.signatures import Cosign

FIXTURES = Path(__file__).parents[1] / "fixtures" / "signatures"
DIGEST, OTHER = Digest.of(b"one"), Digest.of(b"other")
HERE = Sigstore()
ROOT = trusted_root(HERE.trusted_root())
CI = IdentitySigner(WORKFLOW, ISSUER, ROOT)
FOREIGN = "https://github.com/atlas-x/analysis/.github/workflows/release.yml@refs/tags/v1"


@pytest.mark.parametrize(
    ("identity", "wanted"),
    [
        (WORKFLOW, WORKFLOW),
        (WORKFLOW, "https://github.com/atlas/**"),
        (WORKFLOW, "https://github.com/*/analysis/.github/workflows/release.yml@refs/tags/*"),
        ("release@cern.ch", "release@cern.ch"),
        ("release@cern.ch", "*@cern.ch"),
    ],
)
def test_who_is_meant_is_believed(identity: str, wanted: str) -> None:
    check_identity(Workflow(HERE, identity).bundled(DIGEST), DIGEST, IdentitySigner(wanted, ISSUER, ROOT))


@pytest.mark.parametrize(
    ("identity", "wanted"),
    [
        (FOREIGN, "https://github.com/atlas/**"),
        (WORKFLOW, "https://github.com/atlas/*"),
        (WORKFLOW, WORKFLOW[:-1]),
        (WORKFLOW, WORKFLOW[1:]),
        (WORKFLOW, WORKFLOW.replace(".", "?")),
        ("release@cern.ch.example", "*@cern.ch"),
        ("release@cernxch", "*@cern.ch"),
    ],
)
def test_nobody_else_is_believed(identity: str, wanted: str) -> None:
    with pytest.raises(NotSigned, match="is by " + identity[:10]):
        check_identity(Workflow(HERE, identity).bundled(DIGEST), DIGEST, IdentitySigner(wanted, ISSUER, ROOT))


def with_part(*path: str | int, by: Callable[[Any], Any]) -> bytes:
    """A good bundle, one part of which is another."""
    return json.dumps(changed(Workflow(HERE).document(DIGEST), *path, by=by)).encode()


def of(**different: Any) -> bytes:
    return Workflow(Sigstore(**({"authority": HERE.authority, "certificates": HERE.certificates,
                                 "signatures": HERE.signatures} | different))).bundled(DIGEST)  # fmt: skip


ENTRY = ("verificationMaterial", "tlogEntries", 0)
PROOF = (*ENTRY, "inclusionProof")
MADE = ("dsseEnvelope", "signatures", 0, "sig")


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (lambda: Workflow(HERE, FOREIGN).bundled(DIGEST), f"is by {FOREIGN}"),
        (lambda: Workflow(HERE, issuer="https://x.example").bundled(DIGEST), f"is by {WORKFLOW} of the issuer https://x.example"),
        (lambda: Workflow(HERE).bundled(OTHER), f"is of {OTHER}"),
        (lambda: Workflow(HERE, predicate="https://slsa.dev/x").bundled(DIGEST), "signs nothing"),
        (lambda: Workflow(HERE, logged=timedelta(minutes=11)).bundled(DIGEST), "was not valid when it was logged"),
        (lambda: Workflow(HERE, logged=timedelta(minutes=-1)).bundled(DIGEST), "was not valid when it was logged"),
        (lambda: Workflow(Sigstore()).bundled(DIGEST), "was not valid when it was logged"),
        (lambda: Workflow(HERE, has_sct=False).bundled(DIGEST), "does not contain a signed certificate timestamp"),
        (lambda: of(certificates=new_key()), "SCT verify failed"),
        (lambda: of(signatures=new_key()), "invalid log entry"),
        (lambda: with_part(*MADE, by=flipped), "cannot be verified: DSSE: invalid signature"),
        (lambda: with_part("dsseEnvelope", "payload", by=lambda _: "e30="), "DSSE: invalid signature"),
        (lambda: with_part("dsseEnvelope", "payloadType", by=lambda _: "text/plain"), "DSSE: invalid signature"),
        (lambda: with_part(*ENTRY, "canonicalizedBody", by=flipped), "inclusion proof contains invalid root hash"),
        (lambda: with_part(*ENTRY, "integratedTime", by=lambda at: str(int(at) + 1)), "invalid inclusion promise"),
        (lambda: with_part(*PROOF, "rootHash", by=flipped), "inclusion proof contains invalid root hash"),
        (lambda: with_part(*PROOF, "checkpoint", by=lambda _: {"envelope": "x"}), "invalid log entry"),
        (lambda: with_part(*ENTRY, "inclusionPromise", by=lambda _: None), "inclusion promise or signed timestamp"),
        (lambda: with_part(*PROOF[:3], "inclusionProof", by=lambda _: None), "is no bundle of an identity"),
        (lambda: with_part("verificationMaterial", "tlogEntries", by=lambda _: []), "expected exactly one log entry"),
        (lambda: Cosign().bundled(DIGEST), "is no bundle of an identity"),
        (lambda: with_part("verificationMaterial", "certificate", by=lambda _: {"rawBytes": "AAAA"}), "cannot be read"),
        (lambda: with_part(*ENTRY, "integratedTime", by=lambda _: str(2**64 - 1)), "cannot be read"),
        (lambda: with_part("dsseEnvelope", by=lambda _: None), "is no bundle of an identity"),
        (lambda: b"{}", "is no bundle of an identity"),
        (lambda: b"\xff", "is no bundle of an identity"),
    ],
)  # fmt: skip
def test_what_does_not_count_says_why(bundle: Callable[[], bytes], why: str) -> None:
    with pytest.raises(NotSigned) as caught:
        check_identity(bundle(), DIGEST, CI)
    assert why in str(caught.value)


def test_the_entry_of_one_signature_helps_no_other() -> None:
    """Both are of the same certificate and good, and in the log is one of them."""
    job = Workflow(HERE)
    first, second = job.document(DIGEST), job.document(OTHER)
    first["dsseEnvelope"] = second["dsseEnvelope"]
    first["verificationMaterial"]["certificate"] = second["verificationMaterial"]["certificate"]
    with pytest.raises(NotSigned, match="log entry payload hash does not match bundle"):
        check_identity(json.dumps(first).encode(), OTHER, CI)


def test_a_stranger_cannot_put_a_key_of_his_own_beside_a_good_certificate() -> None:
    good = Workflow(HERE).document(DIGEST)
    own = Workflow(HERE, FOREIGN).document(OTHER)
    own["verificationMaterial"]["certificate"] = good["verificationMaterial"]["certificate"]
    with pytest.raises(NotSigned, match="DSSE: invalid signature"):
        check_identity(json.dumps(own).encode(), OTHER, CI)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"no json", "holds no trusted root of Sigstore in JSON"),
        (b"[]", "holds no trusted root of Sigstore in JSON"),
        (HERE.trusted_root(mediaType="application/vnd.dev.sigstore.trustedroot.v0.2+json"), "unsupported trusted root"),
        (HERE.trusted_root(tlogs=[]), "no transparency log"),
        (HERE.trusted_root(certificateAuthorities=[]), "Fulcio certificates not found"),
        (HERE.trusted_root(ctlogs=[]), "names no log of certificates"),
    ],
)  # fmt: skip
def test_a_root_that_can_be_trusted_with_nothing_says_why(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        trusted_root(data)


def of_the_public_sigstore(identity: str) -> IdentitySigner:
    """By the trusted root that its library carries."""
    (folder,) = (
        each for each in (files("sigstore") / "_store").iterdir() if each.name.endswith("sigstore.dev")
    )
    return IdentitySigner(identity, ISSUER, trusted_root((folder / "trusted_root.json").read_bytes()))


def test_the_root_of_the_public_sigstore_is_read() -> None:
    with pytest.raises(NotSigned, match="was not valid when it was logged"):
        check_identity(Workflow(HERE).bundled(DIGEST), DIGEST, of_the_public_sigstore(WORKFLOW))


PUBLIC = json.loads((FIXTURES / "sigstore-public.json").read_bytes())
RELEASER = "https://github.com/trailofbits/pypi-attestation-models/.github/workflows/release.yml@refs/tags/*"
RELEASED = Digest("sha256", "c9709ce6fd5b67b59b4a28758cf14d3f411803c4b89b6068b1f1a8e4ee94c8ef")


@pytest.mark.parametrize(
    ("identity", "path", "why"),
    [
        (RELEASER, (), "/attestations/publish/v1', which signs nothing"),
        ("https://github.com/cern/**", (), "is by https://github.com/trailofbits/pypi-attestation-models/"),
        (RELEASER, MADE, "DSSE: invalid signature"),
        (RELEASER, ("dsseEnvelope", "payload"), "DSSE: invalid signature"),
        (RELEASER, (*ENTRY, "canonicalizedBody"), "inclusion proof contains invalid root hash"),
        (RELEASER, (*PROOF, "rootHash"), "inclusion proof contains invalid root hash"),
        (RELEASER, ("verificationMaterial", "certificate", "rawBytes"), "no authority of the trusted root"),
    ],
)  # fmt: skip
def test_a_bundle_of_the_public_sigstore_is_verified_up_to_what_it_says(
    identity: str, path: tuple[str | int, ...], why: str
) -> None:
    """It attests and signs nothing: that is known once its certificate, its entry and its signature are believed."""
    bundle = changed(PUBLIC, *path, by=flipped) if path else PUBLIC
    with pytest.raises(NotSigned) as caught:
        check_identity(json.dumps(bundle).encode(), RELEASED, of_the_public_sigstore(identity))
    assert why in str(caught.value)
