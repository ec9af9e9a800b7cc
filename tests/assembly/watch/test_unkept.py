"""Blobs that are larger than the store: what passed of them within a day."""

from __future__ import annotations

from registry_mesh.assembly.supervision.told import Told
from registry_mesh.assembly.watch.heard_events import HeardEvents
from registry_mesh.assembly.watch.unkept import DAY, MOST, UnkeptToday
from registry_mesh.findings.facts import UnkeptFacts


def nobody(registry: str, client: str, at: float) -> None:
    raise AssertionError("no registry was missed")


def test_what_processes_tell_is_one_blob_and_is_seen_among_failures() -> None:
    told, blobs = Told(rows=2), UnkeptToday()
    heard = HeardEvents(told.events, nobody, blobs.note)
    told.unkept(0, "r.example/a", "sha256:1", 30, 2)
    told.unkept(1, "r.example/a", "sha256:1", 30, 1)
    (event,) = heard.newest_first()
    assert (event.side, event.reason, event.subject, event.count) == (
        "store",
        "full",
        "r.example/a@sha256:1",
        2,
    )
    assert event.why == "its 30 bytes are more than the store may hold: passed on, not kept"
    (fact,) = blobs.facts(event.last)
    assert (fact.repository, fact.digest, fact.size, fact.times) == ("r.example/a", "sha256:1", 30, 3)


def test_a_blob_is_forgotten_after_a_day_and_before_when_there_are_many() -> None:
    blobs = UnkeptToday()
    blobs.note("r.example/a", "sha256:1", 30, 1, 0.0)
    blobs.note("r.example/b", "sha256:1", 30, 1, 10.0)
    assert blobs.facts(9 + DAY) == (UnkeptFacts("r.example/b", "sha256:1", 30, 2, 0.0, 10.0),)
    assert blobs.facts(10 + DAY) == ()
    for i in range(2 * MOST):
        blobs.note("r.example/a", f"sha256:{i}", 30, 1, 20.0)
    assert [each.digest for each in blobs.facts(20.0)] == [f"sha256:{i}" for i in range(MOST, 2 * MOST)]
