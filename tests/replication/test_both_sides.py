"""`A & B` of sides that share no name is a fault, and no other is: against words tried at random."""

from __future__ import annotations

import random

import pytest

from registry_mesh.replication.automaton import Automaton, mask
from registry_mesh.replication.lint import lint
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.regex import parse_regex
from registry_mesh.replication.subject import Subject
from tests.replication.second import rules_of

ALPHABET = "ab"


@pytest.mark.parametrize(
    "text",
    ["1.* & 2.*", "*-alpine & re: [0-9.]+", "re: a+ & re: b+", "* & 1.* & 2.*", "re: (ab)+ & re: (ba)+"],
)
def test_sides_that_share_no_name_are_a_fault(text: str) -> None:
    with pytest.raises(PatternFault, match="its sides share no name"):
        Pattern.parse(text, Subject.TAG, 2)


@pytest.mark.parametrize(
    "text", ["1.* & *-alpine", "re: (ab)+ & re: a.*b", "* & *", "semver: >=2 & *-alpine"]
)
def test_sides_that_share_one_are_none(text: str) -> None:
    assert Pattern.parse(text, Subject.TAG, 2).text == text


def test_sides_too_large_to_look_at_are_believed_and_lint_says_so() -> None:
    large = "re: a{1,240} & re: b{1,240}"
    assert Pattern.parse(large, Subject.TAG, 2).is_believed
    assert not Pattern.parse("re: a{1,90} & re: a{1,90}", Subject.TAG, 2).is_believed
    found = lint(rules_of(f'rules:\n  - {{from: h, repos: a, tags: "{large}"}}'))
    assert [each.what for each in found if "it was not looked whether both sides share a name" in each.what]


def test_what_is_told_agrees_with_all_short_words() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    draw = random.Random(seed)

    def expression(depth: int = 3) -> str:
        if not depth:
            return draw.choice([*ALPHABET, "."])
        kind = draw.randrange(4)
        one, other = expression(depth - 1), expression(depth - 1)
        kinds = [
            f"{one}{other}",
            f"({one}|{other})",
            f"({one}){draw.choice('*+?')}",
            f"{one}({other}){{1,2}}",
        ]
        return kinds[kind]

    words = [f"{n:b}"[1:].replace("0", "a").replace("1", "b") for n in range(1, 512)]
    told = {True: 0, False: 0}
    for _ in range(200):
        one, other = (Automaton(parse_regex(expression())) for _ in range(2))
        shares = one.shares_any(other, mask(ALPHABET))
        assert shares == other.shares_any(one, mask(ALPHABET))
        assert shares or not any(one.accepts(word) and other.accepts(word) for word in words)
        told[shares] += 1
    assert all(told.values())
