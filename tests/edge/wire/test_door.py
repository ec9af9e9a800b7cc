"""Who is let in, counted."""

from __future__ import annotations

from ipaddress import ip_network

from registry_mesh.edge.client_limits import UNBOUNDED, Limits
from registry_mesh.edge.wire.door import Door


def test_connections_of_all_and_of_one_are_bounded_and_counted_out() -> None:
    door = Door(3, Limits(connections=2))
    first, second, third, other = (door.enter(each) for each in ("::1", "::1", "::2", "192.0.2.1"))
    assert (first, second, third) == ("::/64",) * 3
    assert door.is_full(first) and door.is_full(other), "four, and three of one"
    door.leave(first)
    assert not door.is_full(second) and not door.is_full(other)


def test_nobody_is_told_apart_where_nothing_is_bounded_for_each() -> None:
    door = Door(1)
    assert door.enter("192.0.2.1") == UNBOUNDED
    assert not door.is_full(UNBOUNDED)
    assert door.enter("192.0.2.2") == UNBOUNDED
    assert door.is_full(UNBOUNDED)


def test_an_exempt_client_counts_among_all() -> None:
    door = Door(1, Limits(connections=1, exempt=(ip_network("10.0.0.0/8"),)))
    assert door.enter("10.0.0.1") == door.enter("10.0.0.2") == UNBOUNDED
    assert door.is_full(UNBOUNDED)
