"""Which images bytes move of, and how far each has come."""

from __future__ import annotations

from registry_mesh.content.snapshot.copying.images_coming import ImageProgress, ImagesComing
from registry_mesh.content.snapshot.copying.progress import Meter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def coming(clock: Clock) -> ImagesComing:
    images = ImagesComing(clock)
    images.expect({"base": 100, "top": 50, "other": 30})
    images.add("h/a:1", "", ["base", "top"])
    images.add("h/b:1", "c/b", ["base", "other"])
    return images


def test_an_image_shows_while_bytes_of_it_move() -> None:
    clock = Clock()
    images = coming(clock)
    assert images.look() == ([], 0)
    images.moved("top", 10)
    clock.now = 2.0
    images.moved("top", 20)
    assert images.look() == ([ImageProgress("h/a:1", "", 150, 30, 10.0)], 1)
    (shown,), _ = images.look()
    assert (shown.left, shown.eta) == (120, 12.0)
    images.stopped("top")
    assert images.look() == ([], 0)


def test_a_blob_of_several_images_counts_at_each_and_the_one_that_lacks_least_comes_first() -> None:
    images = coming(Clock())
    images.moved("base", 40)
    found, in_all = images.look()
    assert ([(each.image, each.to, each.left) for each in found], in_all) == (
        [("h/b:1", "c/b", 90), ("h/a:1", "", 110)],
        2,
    )
    assert [each.image for each in images.look(most=1)[0]] == ["h/b:1"]


def test_what_did_not_have_to_be_moved_is_expected_no_longer() -> None:
    meter = Meter()
    meter.images = coming(Clock())
    meter.expect(180, ["r"])
    meter.moved("base", 40, ["r"])
    meter.complete("base", ["r"])
    looked = meter.look(0.0)
    assert (looked.size_done, looked.size_left, meter.rules["r"].left) == (40, 80, 80)
    meter.images.moved("top", 1)
    assert meter.images.look()[0][0].left == 49


def test_each_rule_has_a_rate_of_its_own() -> None:
    meter = Meter()
    meter.expect(100, ["r"])
    meter.expect(100, ["s"])
    assert meter.rates(0.0) == {"r": 0.0, "s": 0.0}
    meter.moved("x", 30, ["r"])
    meter.moved("y", 10, ["s"])
    assert meter.rates(2.0) == {"r": 15.0, "s": 5.0}
