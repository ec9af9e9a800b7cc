"""Ranges of Masterminds/semver: what is known of them, and that the pattern takes the same versions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.config.imports.fields import NotCarried
from registry_mesh.config.imports.masterminds import as_pattern, selecting
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.subject import Subject

numbers = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(lambda each: ".".join(map(str, each)))
versions = st.builds(
    lambda v, n, s: v + n + s, st.sampled_from(["", "v"]), numbers, st.sampled_from(["", "-0", "-a", "-rc.1"])
)
whole = st.tuples(*[st.integers(0, 3)] * 3).map(lambda each: ".".join(map(str, each)))
bounds = st.one_of(numbers, whole, st.builds(str.__add__, whole, st.sampled_from(["-0", "-a"])))
signs = st.sampled_from(["", "=", ">", "<", ">=", "<=", "~", "^", ">= "])
ranges = st.lists(st.builds(str.__add__, signs, bounds), min_size=1, max_size=2).map(", ".join)


@settings(max_examples=300)
@given(ranges, st.lists(versions, max_size=12))
def test_the_pattern_takes_what_the_range_does(text: str, tags: list[str]) -> None:
    own = selecting(text)
    try:
        pattern = Pattern.parse(as_pattern(text), Subject.TAG, 2)
    except PatternFault as fault:  # no version is in it, by either
        assert "no version is in its range" in str(fault)
        assert not any(map(own, tags))
        return
    assert [tag for tag in tags if pattern.matches(tag) != own(tag)] == []


@pytest.mark.parametrize(
    ("text", "taken", "left"),
    [
        (">= 1.2 < 2", ["1.2.0", "v1.9", "1.10"], ["1.1", "2.0.0", "1.5.0-rc.1", "latest"]),
        (">= 3.5.4-0", ["3.5.4-0", "3.6.1-0", "4.0"], ["3.5.3", "3.5.3-9"]),
        ("1.2 - 1.4", ["1.2.0", "1.4.9"], ["1.5.0", "1.1.9"]),
        ("> 1.2", ["1.3.0", "2"], ["1.2.5", "1.2"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
        ("^1.2.0-0", ["1.2.0-1", "1.9.0-rc.1"], ["2.0.0-rc.1", "2.0.0"]),
        ("~1", ["1.0", "1.9.9"], ["2.0", "0.9"]),
        ("1.x || >= 3", ["1.5", "3.1"], ["2.0"]),
        ("*", ["0.1", "9.9.9"], ["9.9.9-rc", "x"]),
    ],
)
def test_what_is_known_of_ranges(text: str, taken: list[str], left: list[str]) -> None:
    own, pattern = selecting(text), Pattern.parse(as_pattern(text), Subject.TAG, 2)
    assert [tag for tag in [*taken, *left] if own(tag)] == taken
    assert [tag for tag in [*taken, *left] if pattern.matches(tag)] == taken


def test_what_differs_is_excluded_by_a_pattern() -> None:
    with pytest.raises(NotCarried, match="write an excluding pattern"):
        as_pattern("!= 1.0")
