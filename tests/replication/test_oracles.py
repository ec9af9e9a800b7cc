"""Patterns against matchers of others that mean the same: RE2, wcmatch, node-semver.

Each run has seeds of its own, in CI too, where hypothesis would try the same examples again and again; a failure says
how to have it once more.
"""

from __future__ import annotations

import string

import nodesemver
import pytest
import re2
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from wcmatch import glob

from registry_mesh.oci.reference import is_name
from registry_mesh.replication.automaton import Automaton
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.regex import parse_regex
from registry_mesh.replication.subject import Subject
from registry_mesh.replication.version import Version, VersionRange

FRESH = settings(derandomize=False, print_blob=True)

atoms = st.sampled_from(
    ["a", "b", "0", "-", ".", "/", r"\.", "[a-c0]", "[^a]", r"\d", r"\w", r"[\d.]", "", "ab"]
)
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: f"({'|'.join(each)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=10,
)


@settings(FRESH, max_examples=400)
@given(expressions, st.lists(st.text("ab0.-z/", max_size=12), max_size=10))
def test_expressions_mean_what_re2_says(expression: str, words: list[str]) -> None:
    """Loops in loops too: both are linear."""
    ours, theirs = Automaton(parse_regex(expression)), re2.compile(expression)
    assert [w for w in words if ours.accepts(w) != (theirs.fullmatch(w) is not None)] == []


pieces = st.sampled_from(
    ["a", "b", "ab", "*", "?", "[ab]", "[!a]", "[a-c]", "a*", "*b", "{a,b}", "{a,b*}c", "x{,y}"]
)
segments = st.one_of(pieces, st.just("**"), st.lists(pieces, min_size=2, max_size=3).map("".join))
globs = st.lists(segments, min_size=1, max_size=4).map("/".join)
names = st.lists(st.text("abcxy0", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)
FLAGS = glob.GLOBSTAR | glob.BRACE | glob.DOTGLOB | glob.FORCEUNIX | glob.CASE


@settings(FRESH, max_examples=400)
@given(globs, st.lists(names, max_size=12))
def test_globs_mean_what_wcmatch_says(written: str, some: list[str]) -> None:
    """But for `**` inside a segment, which is `*` there and crosses segments here: it matches more."""
    try:
        pattern = Pattern.parse(written, Subject.REPOSITORY)
    except PatternFault:
        assume(False)
        return
    theirs = [name for name in some if is_name(name) and glob.globmatch(name, written, flags=FLAGS)]
    ours = [name for name in some if is_name(name) and pattern.matches(name)]
    if all(each == "**" or "**" not in each for each in written.split("/")):
        assert ours == theirs
    else:
        assert [name for name in theirs if name not in ours] == []


@pytest.mark.parametrize(
    ("written", "name"), [("a**b", "a/x/b"), ("a**", "a/x"), ("**b", "a/b"), ("x/**a/c", "x/y/a/c")]
)
def test_two_stars_inside_a_segment_cross_it_and_not_so_in_wcmatch(written: str, name: str) -> None:
    assert Pattern.parse(written, Subject.REPOSITORY).matches(name)
    assert not glob.globmatch(name, written, flags=FLAGS)


@FRESH
@given(globs, st.lists(names, max_size=8))
def test_few_names_are_all_names(written: str, some: list[str]) -> None:
    try:
        pattern = Pattern.parse(written, Subject.REPOSITORY)
    except PatternFault:
        return
    if pattern.names is not None:
        assert [n for n in some if pattern.matches(n) != (n in pattern.names)] == []
        assert all(pattern.matches(name) for name in pattern.names)


numbers = st.tuples(*[st.integers(0, 3)] * 3).map(lambda three: ".".join(map(str, three)))
suffixes = st.sampled_from(["", "", "-0", "-1", "-alpha", "-alpha.1", "-alpha.beta", "-rc.2", "-x-1"])
versions = st.builds(lambda v, n, s: v + n + s, st.sampled_from(["", "v"]), numbers, suffixes)
partial = st.one_of(
    st.integers(0, 3).map(str),
    st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda two: f"{two[0]}.{two[1]}"),
    st.integers(0, 3).map(lambda one: f"{one}.x"),
    st.just("*"),
    versions,
)
comparisons = st.tuples(st.sampled_from(["", ">=", "<=", ">", "<", "=", "^", "~"]), partial).map("".join)
ranges = st.lists(st.lists(comparisons, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=2).map(
    " || ".join
)


@settings(FRESH, max_examples=600)
@given(ranges, st.lists(versions, min_size=1, max_size=12))
def test_ranges_mean_what_node_semver_says(text: str, some: list[str]) -> None:
    ours = VersionRange.parse(text)
    assert [v for v in some if ours.accepts(v) != nodesemver.satisfies(v, text, False)] == []


@FRESH
@given(versions, versions)
def test_the_order_is_node_semver_s(one: str, other: str) -> None:
    ours, theirs = Version.parse(one), Version.parse(other)
    assert ours is not None and theirs is not None
    assert (ours < theirs) == nodesemver.lt(one, other, False)


@FRESH
@given(ranges, versions, st.text(string.ascii_letters + string.digits, min_size=1, max_size=5))
def test_builds_are_passed_over_as_node_semver_does(text: str, version: str, build: str) -> None:
    ours = VersionRange.parse(text).accepts(f"{version}_{build}")
    assert ours == nodesemver.satisfies(f"{version}+{build}", text, False)


@pytest.mark.parametrize("test", [each for name, each in globals().items() if hasattr(each, "hypothesis")])
def test_every_run_tries_other_examples(test: object) -> None:
    """Whatever profile is in force: hypothesis' own of CI tries always the same."""
    own = test._hypothesis_internal_use_settings  # type: ignore[attr-defined]
    assert not own.derandomize
    assert own.print_blob
