"""Lists of entity tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.edge.entity_tags import not_modified, precondition_failed

TAG = '"sha256:abc"'


@pytest.mark.parametrize(
    "header", [TAG, f"W/{TAG}", f'"x", {TAG}', f'"x",W/{TAG} , "y"', "*", " * ", f",, {TAG}"]
)
def test_named(header: str) -> None:
    assert not_modified(header, TAG)


@pytest.mark.parametrize(
    "header", [None, "", '"x"', "sha256:abc", f'"x" {TAG}', f"x, {TAG}", '"sha256:abc', "W/"]
)
def test_not_named(header: str | None) -> None:
    assert not not_modified(header, TAG)


def test_if_match_compares_strongly() -> None:
    assert not precondition_failed(None, TAG)
    assert not precondition_failed(TAG, TAG)
    assert not precondition_failed("*", TAG)
    assert precondition_failed(f"W/{TAG}", TAG)
    assert precondition_failed('"other"', TAG)
    assert precondition_failed("", TAG)


@given(
    st.lists(st.tuples(st.booleans(), st.text("abc,", max_size=4)), min_size=1, max_size=8),
    st.text("abc,", max_size=4),
)
def test_a_list_has_what_it_lists(tags: list[tuple[bool, str]], current: str) -> None:
    header = ", ".join(f'{"W/" if weak else ""}"{tag}"' for weak, tag in tags)
    assert not_modified(header, f'"{current}"') == (current in [tag for _, tag in tags])
    assert precondition_failed(header, f'"{current}"') == ((False, current) not in tags)
