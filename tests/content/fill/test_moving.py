"""A fill as its operator sees it."""

from __future__ import annotations

import pytest

from registry_mesh.content.fill.moving import PARTS, parts


@pytest.mark.parametrize(
    ("states", "drawn"),
    [
        (bytes(PARTS), "0" * PARTS),
        (bytes([2]) * PARTS, "9" * PARTS),
        (bytes([1, 2] * (PARTS // 2)), "9" * PARTS),
        (bytes([2, 0] * PARTS), "4" * PARTS),
        (bytes([2]), "9" * PARTS),
        (bytes([0]), "0" * PARTS),
        (bytes([2] * 900 + [0] * 900), "9" * 9 + "0" * 9),
        (bytes([0] * 1799 + [2]), "0" * PARTS),
    ],
)
def test_each_part_says_how_much_of_it_is_here(states: bytes, drawn: str) -> None:
    assert parts(states) == drawn
