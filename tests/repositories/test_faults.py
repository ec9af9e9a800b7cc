"""What is called wrong, and what not."""

from __future__ import annotations

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.repositories.faults import BlobFacts, Fault, blob_fault, reference_faults
from registry_mesh.repositories.loose import Names, RepositoryFacts

A, B, C = (Digest.of(each) for each in (b"a", b"b", b"c"))
NAME = RepositoryName("atlas/athena")


def test_bytes() -> None:
    assert blob_fault(A, 1, BlobFacts(A, 1)) is None
    assert blob_fault(A, 1, BlobFacts(A, 1, True)) is None
    assert blob_fault(A, 1, BlobFacts(A, 1, False)) is Fault.CHUNK_MAP
    assert blob_fault(A, 1, BlobFacts(B, 1)) is Fault.ROTTEN
    assert blob_fault(A, 2, BlobFacts(B, 1)) is Fault.CUT
    assert blob_fault(A, None, BlobFacts(B, 1)) is Fault.ROTTEN


def test_references() -> None:
    facts = RepositoryFacts(frozenset({A}), {A: Names(A, (B,), (C,))}, blobs={B})
    found = list(reference_faults(NAME, facts, {Tag("t"): A, Tag("u"): C}))
    assert [(each.fault, each.digest) for each in found] == [
        (Fault.DANGLING_TAG, C),
        (Fault.DANGLING_CHILD, C),
    ]
    assert "atlas/athena:u" in str(found[0])
    sparse = list(reference_faults(NAME, facts, {Tag("u"): C}, sparse=True))
    assert [each.fault for each in sparse] == [Fault.DANGLING_TAG]
