"""Reading past the store."""

from __future__ import annotations

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.retries import TRIES
from registry_mesh.content.nest.bypass import bypass
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import SourceUnavailable
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern


async def test_a_source_that_sends_a_byte_a_stream_is_given_up() -> None:
    data = pattern(2 * CHUNK)
    source = SimulatedSource(cut_every=1)
    digest = source.add(data)
    given = bypass(source, BlobInfo(digest, len(data)), Span(0, len(data)), lambda *_: None)
    with pytest.raises(SourceUnavailable):
        async for _ in given:
            pass
    assert len(source.opened) == TRIES
