"""Which parents' chunk maps are waited for no longer."""

from __future__ import annotations

import pytest

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.content.fill.map_request import ask_for_map, is_withheld
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.state import FillState
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import (
    Failure,
    NotHeld,
    SourceDenied,
    SourceDown,
    SourceErred,
    SourceHung,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
)
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.source import SimulatedSource


@pytest.mark.parametrize("failure", [SourceDenied("403"), SourceRefused("405"), SourceErred("500")])
@pytest.mark.parametrize("whole", [False, True])
def test_who_refuses_it_gives_none(failure: Failure, whole: bool) -> None:
    assert is_withheld(failure, whole=whole)


def test_a_blob_too_large_to_be_brought_for_a_range_waits_for_a_map_that_may_come() -> None:
    assert is_withheld(SourceUnavailable("503"), whole=True)
    assert not is_withheld(SourceUnavailable("503"), whole=False)


@pytest.mark.parametrize("failure", [SourceDown("down"), SourceThrottled("429"), NotHeld("not here")])
def test_where_the_blob_is_not_to_be_had_either_its_map_is_waited_for(failure: Failure) -> None:
    assert not is_withheld(failure, whole=True)


async def test_who_leaves_such_questions_without_an_answer_is_asked_once_a_blob() -> None:
    class Hung(SimulatedSource):
        async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
            self.maps_asked += 1
            raise SourceHung("has not answered requests for chunk maps for 9 s, though it is alive")

    source = Hung()
    async with MemoryStore().hold(source.add(b"data"), 4) as hold:
        found = await ask_for_map(FillState(hold, FillPolicy()), Via("", source, print), range(1))
    assert isinstance(found, SourceHung) and source.maps_asked == 1
