"""A range that no version is in is a fault, and no other range is called one: against versions tried at random."""

from __future__ import annotations

import random

import pytest

from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.subject import Subject
from registry_mesh.replication.version import Order, VersionRange

EMPTY = [
    ">2 <1",
    ">=1.2.3 <1.2.3",
    ">1 <1.5",
    "<0.0.0",
    "=1.2 =1.3",
    ">*",
    "^2 <2",
    "~1.2 >=1.3",
    ">1.2.3 <1.2.4",
]


@pytest.mark.parametrize("text", EMPTY)
def test_a_range_without_a_version_is_a_fault(text: str) -> None:
    with pytest.raises(PatternFault, match="no version is in its range"):
        Pattern.parse(f"semver: {text}", Subject.TAG, 2)
    assert not Pattern.parse(f"semver: {text}", Subject.TAG, 1).matches("1.2.3"), (
        "an older file keeps its meaning"
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("semver", "=1.2.3"),
        ("semver", ">=1.2.3-rc.1 <1.2.3"),
        ("semver+", ">1.2.3 <1.2.4"),
        ("semver+", ">1.2.3-a <1.2.3-b"),
        ("semver~", ">=22.04"),
        ("semver", ">2 <1 || 3.x"),
        ("semver", "<0.0.1"),
        ("semver", ">=1 in *-alpine"),
    ],
)
def test_a_range_with_one_is_none(kind: str, text: str) -> None:
    assert Pattern.parse(f"{kind}: {text}", Subject.TAG, 2).is_version


def test_what_is_called_empty_takes_none_of_many_versions() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    draw = random.Random(seed)
    suffixes = ["", "", "-0", "-a", "-a.0", "-rc.1", "-z"]

    def version() -> str:
        return ".".join(str(draw.randrange(3)) for _ in range(3)) + draw.choice(suffixes)

    tried = [f"{a}.{b}.{c}{s}" for a in range(4) for b in range(4) for c in range(4) for s in suffixes[1:]]
    empty = 0
    for _ in range(1_000):
        words = [draw.choice(["<", "<=", ">", ">=", "=", "^", "~", ""]) + version() for _ in range(2)]
        wanted = VersionRange.parse(" ".join(words), draw.choice(list(Order)), zeros=True)
        takes = any(wanted.accepts(each) for each in tried)
        assert wanted.takes_any() or not takes, wanted
        empty += not wanted.takes_any()
    assert empty
