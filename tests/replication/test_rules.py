"""What rules select does not depend on any order, and `!` always wins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.explain import explain
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.platform_names import doubt
from registry_mesh.replication.rules import Platform, Platforms, Rule, Rules, Selection, union
from registry_mesh.replication.subject import Subject
from registry_mesh.replication.wanted import listings, selecting

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
    if not chosen.is_open:
        assert (name in chosen) == (name in chosen.names)
    assert all(each in chosen for each in chosen.names)


def test_only_wildcards_need_a_listing() -> None:
    exact = rule("exact", ["a/b", "c", "!c"], ["*"])
    assert [(one.names, one.patterns) for one in listings(Rules((exact,)))] == [({"a/b"}, False)]
    few = rule("few", ["{a,b}/c", "!a/c", "re:x|y_"], ["*"])
    (told,) = listings(Rules((few,)))
    assert (told.names, told.exact, told.patterns) == ({"b/c", "x"}, set(), False)
    both = Rules((exact, rule("wild", ["d/*", "e"], ["*"])))
    (told,) = listings(both)
    assert (told.names, told.exact, told.patterns) == ({"a/b", "e"}, {"a/b", "e"}, True)


@pytest.mark.parametrize(
    ("tags", "tag", "selected", "words"),
    [
        (["semver: >=2"], "2.0.0.1", False, "it is no version, and semver: >=2 takes versions"),
        (["semver: >=2"], "1.0.0", False, "taken by none of semver: >=2"),
        (["semver: >=1.2"], "1.2.3_up1", True, "taken by semver: >=1.2"),
        (["*", "!semver: <2"], "1.2.3_up1", False, "excluded by !semver: <2"),
        (["*", "!semver: <2"], "x1", True, "it is no version, and !semver: <2 excludes versions"),
        (["*"], "x1", True, "taken by *"),
    ],
)
def test_explain_says_where_a_tag_is_no_version(
    tags: list[str], tag: str, selected: bool, words: str
) -> None:
    (reason,) = explain(Rules((rule("r", ["a"], tags),)), HOST, RepositoryName("a"), Tag(tag))
    assert reason.selected is selected
    assert words in reason.words[-1]
    assert ("no version" in reason.words[-1]) is ("no version" in words)


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ("linux/arm46", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/armv7", "linux/arm/v7"),
        ("macos/arm64", "darwin/arm64"),
        ("x86_64/linux", "did you mean"),
        ("linux/arm/v9", "v5, v6, v7, v8"),
        ("linux/s390x/v1", "none"),
        ("linux/amd64", None),
        ("linux/amd64/v3", None),
        ("linux/arm/v7", None),
        ("windows/amd64", None),
    ],
)
def test_platforms_that_nobody_builds_for_are_doubted(platform: str, words: str | None) -> None:
    said = doubt(Platform.parse(platform))
    assert (said is None) is (words is None)
    assert (words or "") in (said or "")


def test_several_rules_want_the_union() -> None:
    rules = [
        rule("one", ["a"], ["1*"], frozenset({AMD})),
        rule("two", ["a"], ["*0"], frozenset({ARM})),
        rule("all", ["a"], ["11"]),
    ]
    taken = selecting(rules, [Tag(t) for t in ("10", "11", "12", "20", "x")])
    wanted = {tag: union(rule.platforms for rule in by) for tag, by in taken.items()}
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
