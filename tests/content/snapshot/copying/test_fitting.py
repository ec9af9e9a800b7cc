"""Whole things in the order they are wanted, within the room there is."""

from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.content.snapshot.copying.fitting import BESIDE, cost, fit
from registry_mesh.content.snapshot.finding.jobs import Job, Lane


async def nothing() -> None:
    """No job of these is run."""


def jobs(images: dict[str, dict[str, int]]) -> dict[Hashable, Job]:
    """An image is a tag that needs a manifest that needs layers of these sizes."""
    made: dict[Hashable, Job] = {}
    for tag, layers in images.items():
        for name, size in layers.items():
            made[name] = Job(name, nothing, Lane.BYTES, size)
        made[f"manifest of {tag}"] = Job(f"manifest of {tag}", nothing, needs=frozenset(layers))
        made[tag] = Job(tag, nothing, needs=frozenset({f"manifest of {tag}"}))
    return made


M = 1_000_000


@pytest.mark.parametrize(
    ("room", "fits"),
    [
        (100 * M, ["a", "b", "c"]),
        (12 * M, ["a", "c"]),  # b does not fit, c does
        (5 * M, ["c"]),
        (M, []),
        (-M, []),
    ],
)
def test_what_comes_first_has_the_room(room: int, fits: list[str]) -> None:
    made = jobs({"a": {"1": 6 * M, "2": M}, "b": {"2": M, "3": 9 * M}, "c": {"2": M, "4": 2 * M}})
    found = fit(made, ["a", "b", "c"], room)
    assert [tag for tag in ("a", "b", "c") if tag in found.jobs] == fits
    assert set(found.left_out) == {"a", "b", "c"} - set(fits)
    assert (found.lacking > 0) == bool(found.left_out)


def test_a_shared_layer_is_counted_once_and_what_comes_beside_is_counted() -> None:
    made = jobs({"a": {"1": 6 * M}, "b": {"1": 6 * M}})
    assert fit(made, ["a", "b"], cost(6 * M)).left_out == ()
    made["a"] = Job("a", nothing, needs=made["a"].needs, after=frozenset({"signature"}))
    made["signature"] = Job("signature", nothing, needs=frozenset({"2"}))
    made["2"] = Job("2", nothing, Lane.BYTES, M)
    assert fit(made, ["a", "b"], cost(6 * M)).left_out == ("a",)
    assert fit(made, ["a", "b"], cost(6 * M) + cost(M)).left_out == ()


@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.dictionaries(st.sampled_from("123456789"), st.just(0), min_size=1),
        min_size=1,
    ),
    st.dictionaries(st.sampled_from("123456789"), st.integers(0, 9 * M)),
    st.integers(0, 30 * M),
)
def test_what_is_taken_fits_and_is_whole_and_what_lacks_would_do(
    images: dict[str, dict[str, int]], sizes: dict[str, int], room: int
) -> None:
    sized = {tag: {name: sizes.get(name, BESIDE) for name in layers} for tag, layers in images.items()}
    made = jobs(sized)
    found = fit(made, sorted(images), room)
    taken = sum(cost(made[key].size) for key in found.jobs if made[key].lane is Lane.BYTES)
    assert taken <= room
    for key in found.jobs:
        assert made[key].needs <= found.jobs
    assert fit(made, sorted(images), room + found.lacking).left_out == ()
