"""What is called wrong, and what not."""

from __future__ import annotations

from typing import Any

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.repositories.faults import BlobFacts, Fault, Needs, blob_fault, reference_faults
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


class Counted(dict[Digest, Names]):
    """Manifests that count how often they are looked at."""

    looks = 0

    def get(self, *args: Any) -> Any:
        self.looks += 1
        return super().get(*args)

    def items(self) -> Any:
        for each in super().items():
            self.looks += 1
            yield each


def test_the_tags_that_need_something_are_found_over_indexes() -> None:
    facts = RepositoryFacts(frozenset(), {A: Names(A, manifests=(B, A)), B: Names(B, blobs=(C,))})
    needs = Needs(facts, {Tag("one"): B, Tag("all"): A, Tag("other"): Digest.of(b"d")})
    assert needs.of(C) == ("all", "one")
    assert needs.of(A) == ("all",)
    assert needs.of(Digest.of(b"e")) == ()


def test_of_a_store_that_lost_much_each_manifest_is_looked_at_once() -> None:
    digests = [Digest.of(str(i).encode()) for i in range(400)]
    manifests = Counted({each: Names(each, blobs=(Digest.of(str(each).encode()),)) for each in digests})
    needs = Needs(
        RepositoryFacts(frozenset(), manifests), {Tag(f"t{i}"): each for i, each in enumerate(digests)}
    )
    for i, each in enumerate(digests):
        assert needs.of(Digest.of(str(each).encode())) == (f"t{i}",)
    assert manifests.looks <= len(digests)
