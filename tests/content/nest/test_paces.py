"""What is remembered of parents that were slow."""

from __future__ import annotations

from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.paces import Paces
from registry_mesh.oci.digest import Digest


def test_a_rate_goes_up_at_once_and_down_bit_by_bit() -> None:
    paces = Paces()
    assert paces.rate("a") == 0.0
    paces.note("a", 100.0)
    paces.note("a", 50.0)
    assert paces.rate("a") == 85.0
    paces.note("a", 200.0)
    assert paces.rate("a") == 200.0


def test_who_was_left_is_asked_later_for_longer_and_longer() -> None:
    now = [0.0]
    paces, away = Paces(lambda: now[0]), []
    for _ in range(6):
        paces.outdo("a", 1000.0)
        began = now[0]
        while paces.outdone("a"):
            now[0] += 1.0
        away.append(now[0] - began)
    assert away == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    assert not paces.outdone("b")


def test_who_listens_is_told_of_rates_and_of_who_was_left() -> None:
    told: list[tuple[str, float, float]] = []
    paces = Paces(lambda: 0.0, lambda parent, rate, pause: told.append((parent, rate, pause)))
    paces.note("a", 100.0)
    paces.outdo("a", 10.0)
    paces.leave("a")
    assert told == [("a", 100.0, 0.0), ("a", 10.0, 60.0)], "who breaks streams is not slow"


def test_who_breaks_the_streams_of_several_blobs_is_asked_later_for_all() -> None:
    distrusted = Distrusted()
    for index in range(3):
        assert not distrusted.paces.outdone("a")
        distrusted.doubt("a", Digest.of(bytes([index])))
    assert distrusted.paces.outdone("a")


def test_who_lies_about_several_blobs_is_asked_later_for_all() -> None:
    distrusted = Distrusted()
    for index in range(3):
        for _ in range(3):  # about one blob as often as it likes
            assert not distrusted.paces.outdone("a")
            distrusted.note("a", Digest.of(bytes([min(index, 1)])), "wrong")
    distrusted.note("a", Digest.of(b"another"), "wrong")
    assert distrusted.paces.outdone("a")
