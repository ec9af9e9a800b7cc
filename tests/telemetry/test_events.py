"""Refusals and failures, over processes and coalesced."""

from __future__ import annotations

import os

import pytest

from registry_mesh.telemetry.events import MOST, EventRing, Events, decode

_ODD = (
    b'[{"side": "", "reason": "", "subject": "", "why": "", "first": 1, "last": 2, "count": 1, "lives": [1]}]'
)


def test_what_another_process_wrote_is_read_once() -> None:
    ring = EventRing(2)
    child = os.fork()
    if child == 0:
        for i in range(3):
            ring.write(1, {"n": i})
        os._exit(0)
    os.waitpid(child, 0)
    ring.write(0, {"n": 9})
    assert [told["n"] for told in ring.new()] == [9, 0, 1, 2]
    assert list(ring.new()) == []


def test_what_is_not_read_in_time_is_written_over() -> None:
    ring = EventRing(1)
    for i in range(1000):
        ring.write(0, {"n": i, "why": "x" * (i % 700)})
    ring.write(0, {"why": "x" * 5000})
    told = [each["n"] for each in ring.new()]
    assert told[-1] == 999
    assert told == list(range(told[0], 1000))
    assert len(told) > 100


def test_events_of_a_kind_are_one() -> None:
    events = Events()
    for at in (1.0, 2.0, 3.0):
        events.add("parent", "down", "r/a", f"why {at}", at)
    events.add("caller", "unknown", "r/b", "", 2.5)
    first, second = events.newest_first()
    assert (first.subject, first.count) == ("r/b", 1)
    assert (second.count, second.first, second.last, second.why) == (3, 1.0, 3.0, "why 3.0")


def test_so_many_are_remembered() -> None:
    events = Events()
    for i in range(MOST + 5):
        events.add("caller", "unknown", str(i), "", float(i))
    kept = events.newest_first()
    assert (len(kept), kept[0].subject, kept[-1].subject) == (MOST, str(MOST + 4), "5")


def test_what_was_kept_goes_on_being_counted() -> None:
    before = Events()
    for at in (1.0, 2.0):
        before.add("parent", "down", "r/a", "gone", at)
    before.add("caller", "unknown", "r/b", "", 2.5)
    after = Events()
    after.add("caller", "denied", "r/c", "", 9.0)
    for _ in range(2):  # of another process, which was saved again
        after.merge(decode(before.encode()))
    after.add("parent", "down", "r/a", "gone again", 10.0)
    told = {each.subject: (each.count, each.first, each.last) for each in after.newest_first()}
    assert told == {"r/a": (3, 1.0, 10.0), "r/c": (1, 9.0, 9.0), "r/b": (1, 2.5, 2.5)}


def test_what_a_version_before_wrote_goes_on_being_counted() -> None:
    old = b'[{"side": "parent", "reason": "down", "subject": "r/a", "why": "w", "first": 1, "last": 2, "count": 7}]'
    events = Events()
    events.add("parent", "down", "r/a", "now", 9.0)
    for _ in range(2):
        events.merge(decode(old))
    events.merge(decode(events.encode()))
    (told,) = events.newest_first()
    assert (told.count, told.first, told.last, told.why) == (8, 1.0, 9.0, "now")


@pytest.mark.parametrize("data", [None, b"", b"{}", b"[1]", b'[{"side": "x"}]', b"\xff", _ODD])
def test_a_document_of_events_that_cannot_be_read_is_none(data: bytes | None) -> None:
    assert decode(data) == []
