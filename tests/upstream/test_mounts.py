"""Where blobs of a registry that is pushed to may be mounted from."""

from __future__ import annotations

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.upstream.pushes.traits import Mounts

A, B = RepositoryName("a"), RepositoryName("b")


def test_a_blob_is_mounted_from_the_repository_that_was_seen_to_have_it() -> None:
    mounts = Mounts()
    blob = Digest.of(b"one")
    assert mounts.of(blob, B) is None
    mounts.note(blob, A)
    mounts.note(blob, B)
    assert (mounts.of(blob, B), mounts.of(blob, A)) == (A, None)


def test_as_many_are_remembered_as_there_is_room_for() -> None:
    mounts = Mounts(most=2)
    blobs = [Digest.of(bytes([number])) for number in range(3)]
    for blob in blobs:
        mounts.note(blob, A)
    assert [mounts.of(blob, B) for blob in blobs] == [None, A, A]
