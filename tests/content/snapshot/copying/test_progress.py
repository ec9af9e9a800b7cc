"""How far a copy has come."""

from __future__ import annotations

from registry_mesh.content.snapshot.copying.progress import Meter


def test_a_blob_that_is_larger_than_was_said_leaves_nothing() -> None:
    meter = Meter()
    meter.expect(10, ["rule"])
    meter.look(0.0)
    meter.moved("part", 30, ["rule"])
    found = meter.look(1.0)
    assert (found.size_left, found.eta) == (0, 0)
