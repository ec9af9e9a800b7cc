"""What passes a store that is too small for it."""

from __future__ import annotations

from registry_mesh.content.fill.unkept import MOST, PassedBlob, UnkeptBlobs
from registry_mesh.oci.digest import Digest


def test_only_what_is_larger_than_the_whole_store_is_told_of() -> None:
    unkept, fits, larger = UnkeptBlobs(100), Digest.of(b"fits"), Digest.of(b"larger")
    unkept.note(fits, None, 100)
    for _ in range(3):
        unkept.note(larger, None, 101)
    assert unkept.take() == [PassedBlob(larger, None, 101, 3)]
    assert unkept.take() == []


def test_a_store_without_a_bound_is_never_too_small() -> None:
    unkept = UnkeptBlobs()
    unkept.note(Digest.of(b""), None, 1 << 60)
    assert unkept.take() == []


def test_what_nobody_takes_down_does_not_grow() -> None:
    unkept = UnkeptBlobs(0)
    for i in range(2 * MOST):
        unkept.note(Digest.of(str(i).encode()), None, 1)
    assert len(unkept.take()) == MOST
