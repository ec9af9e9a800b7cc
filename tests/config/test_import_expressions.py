"""Expressions of other tools, random ones: the pattern that is made takes what the tool's own search does."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.config.imports.fields import NotCarried
from registry_mesh.config.imports.spelling import half_anchored, searched
from registry_mesh.config.imports.tools import imported
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.subject import Subject

PARTS = [
    "a",
    "1",
    r"\.",
    ".",
    "[0-9]",
    r"\d",
    "v",
    "-",
    "(?:a|1)",
    "(v|a)",
    ".*",
    ".+",
    "[^a]",
    "1?",
    "a+",
    "|",
    "(a|1)*",
]
expressions = st.builds(
    lambda before, parts, behind: before + "".join(parts) + behind,
    st.sampled_from(["", "^"]),
    st.lists(st.sampled_from([*PARTS, r"\$", "[|]", "[$]", "x|y", "a$|b", "^1|v$"]), min_size=1, max_size=5),
    st.sampled_from(["", "$"]),
)
tags = st.lists(st.from_regex("[av1x][av1.xy-]{0,6}", fullmatch=True), max_size=10)


def pattern(make: Callable[[str], str], expression: str) -> Pattern | None:
    """None where it is refused."""
    try:
        return Pattern.parse(make(expression), Subject.TAG, 2)
    except (NotCarried, PatternFault):
        return None


@pytest.mark.parametrize(("make", "around"), [(searched, "{}"), (half_anchored, "^{}$")])
@settings(max_examples=100)
@given(expressions, tags)
def test_searched_and_half_anchored(
    make: Callable[[str], str], around: str, expression: str, some: list[str]
) -> None:
    ours, own = pattern(make, expression), re.compile(around.format(expression))
    assert ours is None or [t for t in some if ours.matches(t) != (own.search(t) is not None)] == []


@settings(max_examples=60)
@given(st.sampled_from(["", ":", "sim:", r"lhc/sim\:"]), expressions, tags)
def test_what_is_searched_in_the_whole_reference(before: str, expression: str, some: list[str]) -> None:
    text = f"kind: Repository\nspec: {{name: quay.io/lhc/sim, updateFilters: ['{before}{expression}']}}\n"
    (found,) = imported("kuik", text.encode(), "f", {})
    if found.rule is None:
        return
    own = re.compile(before + expression)
    wrong = [t for t in some if (t in found.rule.tags) != (own.search(f"quay.io/lhc/sim:{t}") is not None)]
    assert wrong == []
