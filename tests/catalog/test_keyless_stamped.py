"""Signatures of an identity in a log of the second generation, which knows no time: time stamps say when (RFC 3161)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from registry_mesh.catalog.keyless import check_identity, trusted_root
from registry_mesh.catalog.signer import IdentitySigner, NotSigned
from registry_mesh.oci.digest import Digest
from tests.simulators.changed import changed, decoded, flipped, mutated, signed_of
from tests.simulators.keyless import ISSUER, WORKFLOW, Sigstore, Workflow, new_key
from tests.simulators.signatures import NOW
from tests.simulators.stamps import Stamps, text

DIGEST, OTHER = Digest.of(b"one"), Digest.of(b"other")
HERE, STAMPS = Sigstore(), Stamps()
ROOT = trusted_root(HERE.trusted_root(timestampAuthorities=[STAMPS.trusted()]))
CI = IdentitySigner(WORKFLOW, ISSUER, ROOT)
STAMPED = ("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")
PROOF = ("verificationMaterial", "tlogEntries", 0, "inclusionProof")
KIND = ("verificationMaterial", "tlogEntries", 0, "kindVersion")
FUZZED = 500
"""Bundles with one or two changes that are tried."""


def workflow(stamps: Stamps = STAMPS, **other: Any) -> Workflow:
    return Workflow(HERE, stamps=stamps, **other)


def with_part(*path: str | int, by: Callable[[Any], Any]) -> bytes:
    """A good bundle, one part of which is another."""
    return json.dumps(changed(workflow().document(DIGEST), *path, by=by)).encode()


def of_another_signature(_: object) -> list[dict[str, str]]:
    return [{"signedTimestamp": text(STAMPS.stamp(b"other", NOW + timedelta(minutes=1)))}]


def entry_of_another() -> bytes:
    """A good entry, that of another signature of the same job."""
    job = workflow()
    first, second = job.document(DIGEST), job.document(OTHER)
    entries = second["verificationMaterial"]["tlogEntries"]
    first["verificationMaterial"]["tlogEntries"] = entries
    return json.dumps(first).encode()


def test_a_time_stamp_says_when_it_was_signed() -> None:
    check_identity(workflow().bundled(DIGEST), DIGEST, CI)


def test_a_root_that_names_stamps_believes_the_first_generation_too() -> None:
    check_identity(Workflow(HERE).bundled(DIGEST), DIGEST, CI)


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (lambda: workflow(logged=timedelta(minutes=11)).bundled(DIGEST), "was not valid when it was logged"),
        (lambda: workflow(logged=timedelta(minutes=-1)).bundled(DIGEST), "was not valid when it was logged"),
        (lambda: workflow(Stamps()).bundled(DIGEST), "not enough sources of verified time"),
        (lambda: workflow(Stamps(above=STAMPS.above)).bundled(DIGEST), "not enough sources of verified time"),
        (lambda: with_part(*STAMPED, by=of_another_signature), "not enough sources of verified time"),
        (lambda: with_part(*STAMPED, 0, "signedTimestamp", by=flipped), "not enough sources of verified time"),
        (lambda: with_part(*STAMPED, by=lambda _: []), "inclusion promise or signed timestamp"),
        (lambda: with_part(*STAMPED, by=lambda those: those * 2), "duplicate timestamp"),
        (lambda: with_part(*STAMPED, by=lambda those: those * 33), "too many signed timestamp"),
        (lambda: with_part(*STAMPED, 0, "signedTimestamp", by=lambda _: "AAAA"), "nvalid"),
        (lambda: with_part(*PROOF, "rootHash", by=flipped), "inclusion proof contains invalid root hash"),
        (lambda: with_part(*PROOF, "checkpoint", by=lambda _: {"envelope": "x"}), "invalid log entry"),
        (lambda: with_part(*KIND, "kind", by=lambda _: "dsse"), "Unsupported DSSE log entry type: dsse/0.0.2"),
        (lambda: with_part(*KIND, "version", by=lambda _: "0.0.3"), "is no bundle of an identity"),
        (lambda: with_part("dsseEnvelope", "signatures", 0, "sig", by=flipped), "cannot be verified"),
        (entry_of_another, "transparency log entry is inconsistent with other materials"),
        (lambda: workflow().bundled(OTHER), f"is of {OTHER}"),
    ],
)  # fmt: skip
def test_what_does_not_count_says_why(bundle: Callable[[], bytes], why: str) -> None:
    with pytest.raises(NotSigned) as caught:
        check_identity(bundle(), DIGEST, CI)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("root", "why"),
    [
        (HERE.trusted_root(), "no Timestamp Authorities"),
        (
            HERE.trusted_root(timestampAuthorities=[STAMPS.trusted(end="2021-01-01T00:00:00Z")]),
            "not enough sources",
        ),
        (
            Sigstore(HERE.authority, HERE.certificates, new_key()).trusted_root(
                timestampAuthorities=[STAMPS.trusted()]
            ),
            "invalid log entry",
        ),
    ],
)
def test_who_stamps_and_who_logs_has_to_be_in_the_root(root: bytes, why: str) -> None:
    with pytest.raises(NotSigned, match=why):
        check_identity(
            workflow().bundled(DIGEST), DIGEST, IdentitySigner(WORKFLOW, ISSUER, trusted_root(root))
        )


@pytest.mark.parametrize("stamps", [None, STAMPS])
def test_a_changed_bundle_is_refused_and_raises_nothing_else(stamps: Stamps | None) -> None:
    """What is believed all the same has the statement, the signature and the certificate of the good one."""
    seed = random.randrange(1 << 32)
    chance, good = random.Random(seed), Workflow(HERE, stamps=stamps).document(DIGEST)
    refused = 0
    for number in range(FUZZED):
        bundle = json.loads(json.dumps(good))
        for _ in range(chance.randint(1, 2)):
            bundle = mutated(bundle, chance)
        try:
            check_identity(json.dumps(bundle).encode("utf-8", "surrogatepass"), DIGEST, CI)
        except NotSigned:
            refused += 1
            continue
        envelope, material = bundle["dsseEnvelope"], bundle["verificationMaterial"]
        assert signed_of(envelope) == signed_of(good["dsseEnvelope"]), (seed, number)
        assert decoded(material["certificate"]["rawBytes"]) == decoded(
            good["verificationMaterial"]["certificate"]["rawBytes"]
        ), (seed, number)
    assert refused > FUZZED / 2, seed
