"""What a reading of a fill says it cost the link: by what came while it was read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from registry_mesh.content.nest.readings import FillReading, Through
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import StoreFull


def reading(came: dict[str, int], *, hit: bool = False, joined: bool = False) -> tuple[FillReading, Any]:
    """A reading of a fill of which so many bytes came already, by where they came from; and what the fill is at."""
    state = SimpleNamespace(fetched_from=came, unstorable=None)
    fill = SimpleNamespace(state=state, digest=Digest.of(b"x"), size=100)
    through = SimpleNamespace(unproven=lambda *_: False)
    none = cast(Any, None)  # nobody rests here
    return FillReading(
        cast(Through, through), cast(Any, fill), none, Span(0, 100), hit=hit, joined=joined
    ), state


@pytest.mark.parametrize(
    ("came", "result"),
    [
        ({"": 100}, "miss"),
        ({"sibling": 100}, "sibling"),
        ({"bucket": 100}, "bucket"),
        ({"bucket": 50, "sibling": 50}, "sibling"),
        ({"sibling": 99, "": 1}, "miss"),
        ({"bucket": 99, "": 1}, "miss"),
        ({}, "joined"),
    ],
)
def test_a_parent_that_gave_some_of_it_makes_it_a_miss(came: dict[str, int], result: str) -> None:
    begun, state = reading({})
    state.fetched_from.update(came)
    assert begun.provenance.result == result
    early, _ = reading(dict(came))  # its first stream was opened, and brought all of it, before it was made
    assert early.provenance.result == result


def test_what_came_before_it_joined_is_not_its_own() -> None:
    joined, state = reading({"": 50}, joined=True)
    state.fetched_from["sibling"] = 50
    assert joined.provenance.result == "joined"
    assert reading({"": 100}, hit=True)[0].provenance.result == "hit"


def test_past_a_store_without_room_it_is_a_miss() -> None:
    begun, state = reading({"sibling": 10})
    state.unstorable = StoreFull("full")
    assert begun.provenance.result == "miss"
