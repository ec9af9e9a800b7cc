"""How little a body may bring."""

from __future__ import annotations

from registry_mesh.upstream.health.floor import CROWD, LEAST, Floor, drips


def test_a_drip_alone_is_given_up() -> None:
    assert drips(2.0, 2.0, 1)
    assert not drips(LEAST, LEAST, 1)


def test_one_that_drips_beside_others_that_do_not_is_given_up() -> None:
    assert drips(2.0, 50e6, 3)


def test_a_crowd_on_a_thin_link_is_not() -> None:
    """400 bodies share 250 kB/s."""
    share = 250_000 / 400
    assert share < LEAST
    assert not drips(share, 250_000, 400)
    assert not drips(share / 2, 250_000, 400)
    assert drips(share / CROWD / 2, 250_000, 400)


def test_bytes_are_counted_over_the_time_that_was_waited() -> None:
    floor = Floor(10.0)
    assert not any(floor.drips(1.0, 100, 100, 1) for _ in range(9))
    assert floor.drips(1.0, 100, 100, 1)
    assert not any(floor.drips(1.0, 0, 0, 1) for _ in range(9)), "a new window"
    assert not floor.drips(1.0, 20_000, 20_000, 1)
