"""Our expressions against the standard library's, on those that both take."""

import re
import string

from hypothesis import assume, given
from hypothesis import strategies as st

from registry_mesh.replication.automaton import Automaton, TooLarge
from registry_mesh.replication.regex import parse_regex

atoms = st.sampled_from(
    ["a", "b", "0", ".", "[ab]", "[^a]", "[a-z0]", r"\d", r"\w", r"\W", r"\.", r"[\d.]", "[a-]", "-"]
)
quantifiers = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "{,}"[:0]])
expressions = st.recursive(
    st.tuples(atoms, quantifiers).map("".join),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(st.lists(inner, min_size=1, max_size=3).map("|".join), quantifiers).map(
            lambda p: f"({p[0]}){p[1]}"
        ),
        st.tuples(inner, quantifiers).map(lambda p: f"(?:{p[0]}){p[1]}"),
    ),
    max_leaves=8,
)


def one_loop(expression: str) -> bool:
    """At most one group is repeated: nested repetitions of what may be empty take `re` minutes, or for ever."""
    return len(re.findall(r"\)[*+?{]", expression)) <= 1


@given(expressions.filter(one_loop), st.lists(st.text("ab0.-z/", max_size=8), max_size=8))
def test_generated_expressions_agree(expression: str, words: list[str]) -> None:
    ours, theirs = Automaton(parse_regex(expression)), re.compile(expression, re.ASCII)
    assert [w for w in words if ours.accepts(w) != bool(theirs.fullmatch(w))] == []


@given(st.text("ab(|)[]{}*+?.^-1,\\", max_size=12), st.lists(st.text("ab1-,", max_size=5), max_size=5))
def test_any_text_that_both_take_means_the_same(expression: str, words: list[str]) -> None:
    try:
        ours = Automaton(parse_regex(expression))
    except (ValueError, TooLarge):
        return
    try:
        theirs = re.compile(expression, re.ASCII)
    except (re.error, FutureWarning):
        assume(False)
        return
    assume(one_loop(expression))
    assert [w for w in words if ours.accepts(w) != bool(theirs.fullmatch(w))] == []


def test_words_that_are_not_ascii_are_not_accepted() -> None:
    assert not Automaton(parse_regex(".*")).accepts("é")
    assert Automaton(parse_regex(".*")).accepts(string.printable.replace("\n", ""))
