"""Which parents' chunk maps are waited for no longer."""

from __future__ import annotations

import pytest

from registry_mesh.content.fill.map_request import is_withheld
from registry_mesh.ports.failures import (
    Failure,
    NotHeld,
    SourceDenied,
    SourceDown,
    SourceErred,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
)


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
