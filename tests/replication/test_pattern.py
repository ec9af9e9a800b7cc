"""Globs against a slow, obvious matcher; what is refused and why; never slow, whatever the pattern."""

import random
import re
import string
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.replication.automaton import Automaton
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.regex import parse_regex
from registry_mesh.replication.subject import Subject

REPOSITORY, TAG = Subject.REPOSITORY, Subject.TAG


def matches(pattern: str, name: str, subject: Subject = REPOSITORY) -> bool:
    return Pattern.parse(pattern, subject).matches(name)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("atlas/athena", ["atlas/athena"], ["atlas/athena2", "x/atlas/athena", "atlas"]),
        ("atlas/*", ["atlas/athena"], ["atlas", "atlas/a/b", "atlasx/a"]),
        ("atlas/**", ["atlas/a", "atlas/a/b"], ["atlas", "atlasx/a"]),
        ("**", ["a", "a/b/c"], []),
        ("*", ["a"], ["a/b"]),
        ("**/scratch/**", ["scratch/x", "a/scratch/x", "a/b/scratch/x/y"], ["a/scratch", "ascratch/x"]),
        ("**/nightly", ["nightly", "a/nightly", "a/b/nightly"], ["anightly", "a/nightly/b"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "ab", "b"]),
        ("a**b", ["ab", "a/x/b", "axb"], ["a/x"]),
        ("a?c", ["abc", "a-c"], ["a/c", "ac"]),
        ("a[b-d]e", ["abe", "ade"], ["aee", "ae", "a/e"]),
        ("a[!b-d]e", ["aee", "a0e"], ["abe", "a/e", "ae"]),
        ("a[^b]c", ["adc"], ["abc"]),
        ("a[b-]c", ["abc", "a-c"], ["adc"]),
        ("cms/{prod,stage}/*", ["cms/prod/x", "cms/stage/y"], ["cms/dev/x", "cms/prod"]),
        ("{a,b/{c,d*}}", ["a", "b/c", "b/dd"], ["b", "b/e"]),
        ("{**/x,y}", ["x", "a/x", "y"], ["a/y"]),
        ("a{,b}", ["a", "ab"], ["abb"]),
        ("re: (atlas|cms)/v[0-9]+", ["atlas/v1", "cms/v22"], ["atlas/v", "xatlas/v1", "atlas/v1/x"]),
    ],
)
def test_repository_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in yes if not matches(pattern, name)] == []
    assert [name for name in no if matches(pattern, name)] == []


def test_a_name_without_wildcards_is_exact() -> None:
    assert Pattern.parse("atlas/athena", REPOSITORY).exact == "atlas/athena"
    assert Pattern.parse("v1.10", TAG).exact == "v1.10"
    assert Pattern.parse("atlas/*", REPOSITORY).exact is None


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("app/img", {"app/img"}),
        ("{app/img}", {"app/img"}),
        ("app/{img,two}", {"app/img", "app/two"}),
        ("{a,b/{c,d}}", {"a", "b/c", "b/d"}),
        ("app/[i]mg", {"app/img"}),
        ("app/v[1-3]", {"app/v1", "app/v2", "app/v3"}),
        ("re:app/img", {"app/img"}),
        ("re: app/(img|two)?", {"app/", "app/img", "app/two"}),
        ("re: (ab){1,2}", {"ab", "abab"}),
        ("re: v\\d", {f"v{n}" for n in range(10)}),
        ("re: (){3,}a", {"a"}),
        ("app/*", None),
        ("**", None),
        ("app/?", None),
        ("app/[!a]", None),
        ("re: a+", None),
        ("re: a{2,}", None),
        ("re: [ab]{7}", None),
        ("{a,b*}", None),
    ],
)
def test_patterns_that_match_few_names_tell_them(pattern: str, names: set[str] | None) -> None:
    parsed = Pattern.parse(pattern, REPOSITORY)
    assert parsed.names == names
    assert all(parsed.matches(name) for name in names or ())


def test_short_names_are_those_of_a_folder() -> None:
    short = Pattern.parse("{alpine,debian}", REPOSITORY).below("library")
    assert short.names == {"library/alpine", "library/debian"}
    assert short.matches("library/alpine") and not short.matches("alpine")
    for other in ("a/b", "*", "{alpine,a/b}"):
        assert Pattern.parse(other, REPOSITORY).below("library") == Pattern.parse(other, REPOSITORY)


HOSTILE = [
    "re: (.{0,60}x){0,7}",
    "re: (.{0,30}x){0,15}",
    "re: (.{0,20}[a-m]){0,22}",
    "re: (a|b|.)*x.{300}",
    "re: ((.*x){0,9}y){0,20}",
]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_pattern_keeps_four_mebibytes_at_most(pattern: str) -> None:
    """Whatever names it is shown: each new one would be remembered for ever."""
    parsed, rough = Pattern.parse(pattern, REPOSITORY), random.Random()
    tracemalloc.start()
    try:
        for _ in range(150):
            parsed.matches("".join(rough.choice("xyzabm/0") for _ in range(255)))
            assert tracemalloc.get_traced_memory()[0] <= 4 << 20
    finally:
        tracemalloc.stop()


def test_what_was_forgotten_is_found_again() -> None:
    pattern, rough = "(.{0,3}x){0,5}y", random.Random()
    one, same = Automaton(parse_regex(pattern), most=2_000), re.compile(pattern)
    for _ in range(500):
        name = "".join(rough.choice("xxyab") for _ in range(rough.randrange(25)))
        assert one.accepts(name) == bool(same.fullmatch(name)), name


@pytest.mark.parametrize(
    "pattern", ["re: (.{0,60}x){0,20}", "re: a{999}b{9}", "re: (((a{1000}){1000}){1000})"]
)
def test_beyond_a_thousand_states_a_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternFault, match="1,000 are allowed"):
        Pattern.parse(pattern, REPOSITORY)
    assert Pattern.parse("re: a{998}", REPOSITORY).names == {"a" * 998}


def test_an_exclamation_mark_excludes_and_is_kept_in_the_text() -> None:
    pattern = Pattern.parse("!*-debug", TAG)
    assert (pattern.negative, str(pattern)) == (True, "!*-debug")
    assert pattern.matches("22-debug")
    assert Pattern.parse("!re: .*-debug", TAG).matches("22-debug")
    assert Pattern.parse("! semver: <2", TAG).matches("1.9")


@pytest.mark.parametrize(
    ("pattern", "subject", "why"),
    [
        ("", REPOSITORY, "empty"),
        ("!", TAG, "empty"),
        ("Atlas/*", REPOSITORY, "'A' stands in none"),
        ("atlas/", REPOSITORY, "starts or ends with /"),
        ("/atlas", REPOSITORY, "starts or ends with /"),
        ("a//b", REPOSITORY, "empty segment"),
        ("a/b", TAG, "'/' stands in none"),
        ("a{b", REPOSITORY, "not closed"),
        ("a}b", REPOSITORY, "closes nothing"),
        ("a]b", REPOSITORY, "closes nothing"),
        ("a[b", REPOSITORY, "not closed"),
        ("prod/[**", REPOSITORY, "at 6 is not closed"),
        ("a[]b", REPOSITORY, "is empty"),
        ("a[z-a]", REPOSITORY, "wrong way round"),
        ("***", REPOSITORY, "means nothing more"),
        ("-debug", TAG, "not a tag"),
        ("9@sha256:00", TAG, "kind"),
        ("semver: >=1", REPOSITORY, "not a kind of repository pattern"),
        ("regex:x", TAG, "there are globs, re:, semver: and semver~:"),
        ("semver: banana", TAG, "not a version"),
        ("semver:", TAG, "empty version range"),
        ("a\\*", TAG, "stands in none"),
        ("x" * 600, TAG, "longer than"),
        ("{" * 40 + "a" + "}" * 40, TAG, "nested deeper"),
        ("re: ^a", TAG, "from end to end"),
        ("re: (?=a)", TAG, "no look-around"),
        (r"re: (a)\1", TAG, "not offered"),
        ("re: a**", TAG, "follows a quantifier"),
        ("re: a*?", TAG, "follows a quantifier"),
        ("re: *a", TAG, "nothing stands before"),
        ("re: (a", TAG, "not closed"),
        ("re: a)", TAG, "closes nothing"),
        ("re: [a", TAG, "not closed"),
        ("re: a{2,1}", TAG, "wrong way round"),
        ("re: a{5000}", TAG, "beyond"),
        ("re: ((a{100}){100}){100}", TAG, "1,000 are allowed"),
        ("re: " + "x" * 300, TAG, "longer than 256"),
    ],
)
def test_what_cannot_be_read_or_never_match_is_refused(pattern: str, subject: Subject, why: str) -> None:
    with pytest.raises(PatternFault, match=why):
        Pattern.parse(pattern, subject)


@pytest.mark.parametrize(
    "pattern", ["*a" * 40 + "b", "re: (a+)+b", "re: (a|a)*b", "{a*,a*}" * 30 + "b", "re: (){1000}a"]
)
def test_no_pattern_is_slow(pattern: str) -> None:
    """Each of these takes a backtracking matcher longer than the age of the mountains."""
    assert not matches(pattern, "a" * 128 + "c", TAG)


def obvious(pattern: str, name: str, beginning: bool = True) -> bool:
    """Globs without sets and braces, by trying everything."""
    if not pattern:
        return not name
    if beginning and pattern.startswith("**/"):
        ends = [i + 1 for i, c in enumerate(name) if c == "/"]
        return any(obvious(pattern[3:], name[i:]) for i in [0, *ends] if not name[:i].startswith("/"))
    if pattern.startswith("**"):
        return any(obvious(pattern[2:], name[i:], False) for i in range(len(name) + 1))
    if pattern[0] == "*":
        segment = name.partition("/")[0]
        return any(obvious(pattern[1:], name[i:], False) for i in range(len(segment) + 1))
    if not name or (pattern[0] == "?" and name[0] == "/") or (pattern[0] not in ("?", name[0])):
        return False
    return obvious(pattern[1:], name[1:], pattern[0] == "/")


names = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)
globs = (
    st.lists(st.sampled_from(["a", "b", "/", "*", "**", "?", "/**/", "**/"]), min_size=1, max_size=6)
    .map("".join)
    .filter(lambda g: "***" not in g and "//" not in g and g[0] != "/" and g[-1] != "/")
)


@given(globs, names)
def test_globs_do_what_the_obvious_matcher_does(pattern: str, name: str) -> None:
    assert matches(pattern, name) == obvious(pattern, name)


@given(st.lists(globs, min_size=1, max_size=3), names)
def test_braces_are_alternatives(options: list[str], name: str) -> None:
    assert matches("{" + ",".join(options) + "}", name) == any(matches(o, name) for o in options)


@given(st.text(string.printable, max_size=30), st.sampled_from(Subject))
def test_any_text_is_a_pattern_or_a_fault(text: str, subject: Subject) -> None:
    try:
        pattern = Pattern.parse(text, subject)
    except PatternFault:
        return
    pattern.matches("atlas/athena")


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        (" & ".join(["a*"] * 9), "at most 8 patterns are joined by &"),
        (" & ".join(["re: (ab){0,200}.*"] * 8), "states, 1,000 are allowed"),
    ],
)
def test_patterns_that_must_all_match_are_bounded_together(written: str, fault: str) -> None:
    with pytest.raises(PatternFault, match=fault):
        Pattern.parse(written, Subject.TAG, 2)
