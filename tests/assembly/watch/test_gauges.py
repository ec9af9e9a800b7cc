"""What a node shows as gauges."""

from __future__ import annotations

import pytest

from registry_mesh.assembly.watch.gauges import by_kind
from registry_mesh.ports.holdings import StoreAccount


@pytest.mark.parametrize(
    ("used", "account", "told"),
    [
        (0, (0, 0, 0), (0, 0, 0, 0)),
        (100, (0, 0, 0), (0, 0, 0, 100)),
        (100, (20, 50, 10), (20, 50, 10, 20)),
        (60, (20, 50, 10), (20, 40, 0, 0)),
        (10, (20, 50, 10), (10, 0, 0, 0)),
    ],
)
def test_kinds_of_bytes_add_up_to_what_is_used_now(
    used: int, account: tuple[int, int, int], told: tuple[int, int, int, int]
) -> None:
    found = by_kind(used, StoreAccount(*account))
    assert tuple(found.values()) == told
    assert list(found) == ["pinned", "whole", "part", "other"]
