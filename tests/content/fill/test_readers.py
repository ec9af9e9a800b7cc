"""Who is woken for what."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.readers import SMALL, Readers
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.span import Span
from tests.simulators.source import SimulatedSource

PAUSE = 0.5
WHOLE = Span(0, 64 * MIB)


def via() -> Via:
    """Through any parent."""
    return Via("a", SimulatedSource(), lambda *_: None)


async def test_who_has_had_no_byte_is_told_at_once_and_others_after_a_pause() -> None:
    readers = Readers(PAUSE)
    assert not readers.are_due(0) and readers.are_due(PAUSE), "there may be some in another process"
    reader = readers.enter(via(), WHOLE, 0)
    assert readers.are_due(0)
    readers.advance(reader, MIB)
    assert not readers.are_due(PAUSE / 2) and readers.are_due(PAUSE)
    another = readers.enter(via(), WHOLE, 0)
    assert readers.are_due(0)
    readers.leave(another)
    assert not readers.are_due(0)


async def test_who_reads_a_small_span_is_told_at_once_to_its_end() -> None:
    readers = Readers(PAUSE)
    reader = readers.enter(via(), Span(0, SMALL), 0)
    readers.advance(reader, SMALL // 2)
    assert readers.are_due(0)
