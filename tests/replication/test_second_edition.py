"""What patterns of the second edition mean beyond those of the first."""

from __future__ import annotations

import pytest

from registry_mesh.replication.abbreviation import expanded
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.subject import Subject

TAG, REPOSITORY = Subject.TAG, Subject.REPOSITORY


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("semver+: >=3.5.4-0", "3.6.1-0 3.5.4-0 4.0", "3.5.3-9 3.5.4-"),
        ("semver: >=2.14 in stable-*", "stable-2.14.0 stable-2.15", "2.14.0 stable-2.13.9 stable-"),
        ("semver: >=3.9 in *-alpine", "3.9.5-alpine v3.10-alpine", "3.9.5 3.11-alpine3.20 -alpine"),
        ("semver: * in *-{alpine,buster}", "1-alpine 2-buster", "1 1-slim"),
        ("semver~: >=2 & *-{alpine,buster}", "2.1-alpine 3-buster", "1-alpine 2.1 2.1-slim"),
        ("semver: *", "22.04 19.03.8 1", "22.04.1.2 x"),
        ("9@sha256:" + "a" * 64, "9", "9a"),
        ("* & !x", "", ""),
    ],
)
def test_tags(text: str, yes: str, no: str) -> None:
    if " & !" in text:
        with pytest.raises(PatternFault):
            Pattern.parse(text, TAG, 2)
        return
    pattern = Pattern.parse(text, TAG, 2)
    assert [each for each in yes.split() if not pattern.matches(each)] == []
    assert [each for each in no.split() if pattern.matches(each)] == []


@pytest.mark.parametrize(
    ("text", "all_of"),
    [
        ("a/{b,c}", ["a/b", "a/c"]),
        ("{a,{b,c}d}x", ["ax", "bdx", "cdx"]),
        ("{,a}b", ["b", "ab"]),
        ("[{,}]", ["[{,}]"]),
        ("a,b", ["a,b"]),
    ],
)
def test_braces_are_an_abbreviation(text: str, all_of: list[str]) -> None:
    assert expanded(text) == all_of


@pytest.mark.parametrize("text", ["{a", "a}", "{a,b" * 17, "{0,1}" * 10])
def test_braces_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"not closed|closes nothing|nested deeper|more than 1,000"):
        expanded(text)


@pytest.mark.parametrize("text", ["re: Atlas/.*", "re: [^a-z0-9._/-]+", "re: a:b"])
def test_what_can_match_no_name_is_a_fault_of_the_second_edition_alone(text: str) -> None:
    Pattern.parse(text, REPOSITORY)
    with pytest.raises(PatternFault, match="can match no repository"):
        Pattern.parse(text, REPOSITORY, 2)


def test_a_pattern_says_which_version_it_read() -> None:
    read = Pattern.parse("semver: >=1 in stable-*", TAG, 2).reads("stable-v1.2")
    assert read is not None
    assert (str(read.version), read.flavour, read.text) == ("1.2.0", "stable-*", "1.2")
    assert Pattern.parse("semver~: *", TAG, 2).reads("latest") is None
