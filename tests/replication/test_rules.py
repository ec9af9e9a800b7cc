"""What rules select does not depend on any order, and `!` always wins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.explain import explain
from registry_mesh.replication.pattern import Pattern, Subject
from registry_mesh.replication.plan import listings, wanted_tags
from registry_mesh.replication.rules import Platform, Platforms, Rule, Rules, Selection, union

HOST = RegistryName("registry.example")
AMD, ARM = Platform("linux", "amd64"), Platform("linux", "arm64", "v8")


def selection(subject: Subject, *patterns: str) -> Selection:
    return Selection(tuple(Pattern.parse(each, subject) for each in patterns))


def rule(name: str, repos: list[str], tags: list[str], platforms: Platforms = None) -> Rule:
    return Rule(name, HOST, selection(Subject.REPOSITORY, *repos), selection(Subject.TAG, *tags), platforms)


patterns = st.lists(
    st.sampled_from(["*", "a*", "*b", "!ab", "!b*", "a", "ab", "[ab]", "!a"]), min_size=1, max_size=6
)
names = st.text("ab", min_size=1, max_size=3)


@given(patterns, names, st.randoms(use_true_random=False))
def test_the_order_of_patterns_never_matters(written: list[str], name: str, random: object) -> None:
    shuffled = list(written)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert (name in selection(Subject.TAG, *written)) == (name in selection(Subject.TAG, *shuffled))


@given(patterns, names)
def test_excluding_always_wins(written: list[str], name: str) -> None:
    assert name not in selection(Subject.TAG, *written, f"!{name}")


@given(patterns, names)
def test_a_selection_of_names_selects_just_those(written: list[str], name: str) -> None:
    chosen = selection(Subject.TAG, *written)
    if chosen.names is not None:
        assert (name in chosen) == (name in chosen.names)


def test_only_wildcards_need_a_listing() -> None:
    exact = rule("exact", ["a/b", "c", "!c"], ["*"])
    assert [(one.names, one.patterns) for one in listings(Rules((exact,)))] == [({"a/b"}, False)]
    both = Rules((exact, rule("wild", ["d/*", "e"], ["*"])))
    assert [(one.names, one.patterns) for one in listings(both)] == [({"a/b"}, True)]


def test_several_rules_want_the_union() -> None:
    rules = [
        rule("one", ["a"], ["1*"], frozenset({AMD})),
        rule("two", ["a"], ["*0"], frozenset({ARM})),
        rule("all", ["a"], ["11"]),
    ]
    wanted = wanted_tags(rules, [Tag(t) for t in ("10", "11", "12", "20", "x")])
    assert wanted == {"10": {AMD, ARM}, "11": None, "12": {AMD}, "20": {ARM}}
    assert union([]) == frozenset()


@pytest.mark.parametrize(
    ("wanted", "stated", "included"),
    [
        ("linux/amd64", {"os": "linux", "architecture": "amd64"}, True),
        ("linux/amd64", {"os": "linux", "architecture": "amd64", "variant": "v3"}, True),
        ("linux/amd64", {"os": "windows", "architecture": "amd64"}, False),
        ("linux/arm64/v8", {"os": "linux", "architecture": "arm64"}, True),
        ("linux/arm64/v8", {"os": "linux", "architecture": "arm64", "variant": "v9"}, False),
        ("linux/arm/v7", {"os": "linux", "architecture": "arm"}, False),
        ("linux/arm", {"os": "linux", "architecture": "arm", "variant": "v7"}, True),
    ],
)
def test_platforms(wanted: str, stated: dict[str, str], included: bool) -> None:
    assert Platform.parse(wanted).includes(stated) is included
    assert str(Platform.parse(wanted)) == wanted


@pytest.mark.parametrize("text", ["linux", "linux/", "a/b/c/d", "Linux/amd64", ""])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(ValueError, match="such as linux/arm64"):
        Platform.parse(text)


def test_explain_names_rule_dimension_and_pattern() -> None:
    rules = Rules((rule("releases", ["atlas/**", "!**/scratch/**"], ["2*", "!*-debug"]),))

    def why(repository: str, tag: str) -> tuple[bool, tuple[str, ...]]:
        (reason,) = explain(rules, HOST, RepositoryName(repository), Tag(tag))
        return reason.selected, reason.words

    assert why("atlas/x", "22") == (True, ("repos: atlas/x is taken by atlas/**", "tags: 22 is taken by 2*"))
    assert why("atlas/scratch/x", "22") == (False, ("repos: atlas/scratch/x is excluded by !**/scratch/**",))
    assert why("cms/x", "22")[1] == ("repos: cms/x is taken by none of atlas/**, !**/scratch/**",)
    assert why("atlas/x", "2-debug")[1][-1] == "tags: 2-debug is excluded by !*-debug"
