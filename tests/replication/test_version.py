"""Ranges as in node-semver's own tables (ranges and comparisons), and the order of semver.org, section 11."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.replication.version import Order, Version, VersionRange


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        (">=21 <25", ["21.0.0", "21", "v24.9", "24.9.9"], ["25.0.0", "25", "20.9", "25.0.0-rc.1", "latest"]),
        ("1.2.3", ["1.2.3", "v1.2.3"], ["1.2.4", "1.2.3-rc1"]),
        ("1.2", ["1.2", "1.2.0", "1.2.9"], ["1.3.0", "1.1.9"]),
        ("1.x", ["1.0", "1.9.9"], ["2.0.0"]),
        ("1.2.*", ["1.2.3"], ["1.3.0"]),
        ("*", ["0", "1.2.3"], ["1.0.0-rc1", "stable"]),
        ("^1.2.3", ["1.2.3", "1.9"], ["2.0.0", "1.2.2"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^1.2", ["1.2", "1.9"], ["2"]),
        ("^0.1", ["0.1.5"], ["0.2.0"]),
        ("^0", ["0.9.9"], ["1.0.0"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0"]),
        ("~1.2", ["1.2.0", "1.2.9"], ["1.3.0"]),
        ("~1", ["1.9.9"], ["2.0.0"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        (">1", ["2.0.0"], ["1.9.9"]),
        ("<=1.2", ["1.2.9", "0.1"], ["1.3.0"]),
        ("<1.2", ["1.1.9"], ["1.2.0"]),
        (">*", [], ["1.0.0"]),
        (">=1, <2", ["1.5"], ["2.0"]),
        (">= 1.0  < 2", ["1.5"], ["2.0"]),
        ("1.2 || >=3", ["1.2.5", "3.1"], ["2.0"]),
        (">1.2.3-alpha.3", ["1.2.3-alpha.7", "3.4.5", "1.2.3"], ["3.4.5-alpha.9", "1.2.3-alpha.2"]),
        ("^1.2.3-beta.2", ["1.2.3-beta.4", "1.2.3"], ["1.2.3-beta.1", "1.2.4-beta.2"]),
    ],
)
def test_ranges(text: str, yes: list[str], no: list[str]) -> None:
    wanted = VersionRange.parse(text)
    assert [tag for tag in yes if not wanted.accepts(tag)] == []
    assert [tag for tag in no if wanted.accepts(tag)] == []


@pytest.mark.parametrize(
    ("text", "tag", "yes"),
    [
        (">=1.2.0", "1.2.3_up1", True),
        (">=104 <105", "104.0.0_up0.4.1", True),
        ("<104", "104.0.0_up0.4.1", False),
        ("1.30.2", "v1.30.2_k3s1", True),
        (">1.30.2", "v1.30.2_k3s1", False),
        (">=1.2.3-rc.1", "1.2.3-rc.2_up1", True),
        (">=1.2", "1.2.3-rc.2_up1", False),
        (">=1.2.3_up7", "1.2.3_up1", True),
        (">=1.2.3+up7", "1.2.3", True),
        (">=1", "1.2_up1", False),
        (">=1", "16_alpine", False),
        (">=1", "1.2.3_", False),
    ],
)
def test_builds_say_nothing_of_the_order(text: str, tag: str, yes: bool) -> None:
    assert VersionRange.parse(text).accepts(tag) is yes
    assert VersionRange.parse(text, order=Order.FLAVOURS).accepts(tag) is (yes or "-rc" in tag)


def test_a_suffix_can_be_a_flavour() -> None:
    assert VersionRange.parse(">=1.2 <2", order=Order.FLAVOURS).accepts("1.4.0-alpine")
    assert not VersionRange.parse(">=1.2 <2").accepts("1.4.0-alpine")


@pytest.mark.parametrize("text", ["", "1 ||", "banana", "1.2.3.4", ">>1", "1.2-", "01.2", ">=1.2.x.y"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"version"):
        VersionRange.parse(text)


def test_the_order_of_section_11() -> None:
    ordered = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 2.0.0"
    versions = [Version.parse(each) for each in ordered.split()]
    assert None not in versions
    for lower, higher in itertools.pairwise(v for v in versions if v):
        assert lower < higher
        assert not higher < lower


@given(st.text("v0123456789.-abx", max_size=20))
def test_any_tag_is_a_version_or_not(tag: str) -> None:
    version = Version.parse(tag)
    assert version is None or VersionRange.parse("*", order=Order.FLAVOURS).accepts(tag)


@pytest.mark.parametrize("written", ["*", "x", ">=*", "<=*", "^*", "~*", "=*", ">=0.0.0-0"])
def test_every_version_has_no_first(written: str) -> None:
    """A pre-release of 0.0.0 comes before 0.0.0: where suffixes stand in line it is a version like others."""
    assert VersionRange.parse(written, Order.PLAIN).accepts("0.0.0-dev")
    assert VersionRange.parse(f"{written} 0.0.0-dev").accepts("0.0.0-dev")
    assert VersionRange.parse(written, Order.FLAVOURS).accepts("0.0.0-dev")


@pytest.mark.parametrize("written", ["<*", ">*"])
@pytest.mark.parametrize("order", Order)
def test_nothing_lies_before_or_past_every_version(written: str, order: Order) -> None:
    found = VersionRange.parse(written, order)
    assert not any(found.accepts(each) for each in ("0.0.0-dev", "0.0.0", "1.2.3"))
    assert not found.takes_any()
