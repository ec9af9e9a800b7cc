"""Challenges in every shape that RFC 9110 section 11.6.1 allows, and in some that it does not."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.auth.challenge import CHALLENGES_LIMIT, LINE_LIMIT, Challenge, parse_challenges

REALM = 'realm="https://a.example/token"'
BEARER = Challenge("bearer", {"realm": "https://a.example/token", "service": "s"})
BASIC = Challenge("basic", {"realm": "r"})
NEGOTIATE = Challenge("negotiate", {})


@pytest.mark.parametrize(
    ("line", "challenges"),
    [
        (f'Bearer {REALM},service="s"', [BEARER]),
        (f'bearer {REALM},SERVICE="s"', [BEARER]),
        (f'Basic realm="r", Bearer {REALM},service="s"', [BASIC, BEARER]),
        (f'Bearer {REALM},service="s", Basic realm="r"', [BEARER, BASIC]),
        (f'Negotiate, Bearer {REALM},service="s"', [NEGOTIATE, BEARER]),
        (f'Negotiate,Bearer {REALM},service="s"', [NEGOTIATE, BEARER]),
        (f'Bearer {REALM},service="s", Negotiate', [BEARER, NEGOTIATE]),
        (f'Bearer   {REALM},service="s"', [BEARER]),
        (f'Bearer\t{REALM}\t,\tservice\t=\t"s"', [BEARER]),
        (f' , ,Bearer {REALM},,service="s",', [BEARER]),
        ("Bearer realm=https://a.example/token,service=s", [BEARER]),
        (f'Bearer {REALM} service="s"', [BEARER]),
        (f'Bearer {REALM} , service = s', [BEARER]),
        ('Basic realm="a, Bearer realm=\\"b\\"", charset="UTF-8"', [
            Challenge("basic", {"realm": 'a, Bearer realm="b"', "charset": "UTF-8"})]),
        (f'Negotiate YII=, Bearer {REALM},service="s"', [Challenge("negotiate", {}, "YII="), BEARER]),
        ("NTLM abc", [Challenge("ntlm", {}, "abc")]),
        ('Digest realm="r", nonce="n==", qop="auth,auth-int"', [
            Challenge("digest", {"realm": "r", "nonce": "n==", "qop": "auth,auth-int"})]),
        ('Bearer realm="x",scope="repository:a/b:pull,push repository:c:pull"', [
            Challenge("bearer", {"realm": "x", "scope": "repository:a/b:pull,push repository:c:pull"})]),
        ('Bearer realm="first",realm="second"', [Challenge("bearer", {"realm": "first"})]),
        ('Basic realm="r", Bearer realm="cut', [BASIC, Challenge("bearer", {})]),
        ('Basic realm="r", \x01, Bearer realm="x"', [BASIC]),
        ("", []),
        (",,, \t", []),
        ("=x", []),
        ('realm="nobody\'s"', []),
        ("Basic realm=r" + " " * LINE_LIMIT + "x", []),
    ],
)  # fmt: skip
def test_one_line(line: str, challenges: list[Challenge]) -> None:
    assert parse_challenges([line]) == challenges


def test_several_lines_are_one_list() -> None:
    assert parse_challenges(['Basic realm="r"', f'Bearer {REALM},service="s"']) == [BASIC, BEARER]
    assert parse_challenges([f"Bearer {REALM}", 'service="s"', "Negotiate"]) == [BEARER, NEGOTIATE]
    assert parse_challenges(["\x00", 'Basic realm="r"']) == [BASIC]


def test_an_endless_list_is_cut() -> None:
    assert len(parse_challenges([", ".join(["Basic"] * 900)] * 20)) == CHALLENGES_LIMIT
    (one,) = parse_challenges(["Basic " + ",".join(f"k{n}=v" for n in range(900))])
    assert len(one.parameters) == CHALLENGES_LIMIT


_NAME = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=8)
_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), max_size=20)
_BLANK = st.sampled_from(["", " ", "\t", "  "])
_CHALLENGE = st.tuples(_NAME, st.dictionaries(_NAME.map(str.lower), _VALUE, min_size=1, max_size=4))


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(_CHALLENGE, max_size=5), st.data())
def test_what_is_written_by_the_grammar_is_read(
    written: list[tuple[str, dict[str, str]]], data: st.DataObject
) -> None:
    lines: list[str] = []
    for scheme, parameters in written:
        pairs = [f"{k}{data.draw(_BLANK)}={data.draw(_BLANK)}{quoted(v)}" for k, v in parameters.items()]
        text = f"{scheme} {data.draw(_BLANK)}" + f"{data.draw(_BLANK)},{data.draw(_BLANK)}".join(pairs)
        if lines and data.draw(st.booleans()):
            lines[-1] += f"{data.draw(_BLANK)},{data.draw(_BLANK)}{text}"
        else:
            lines.append(text)
    assert parse_challenges(lines) == [
        Challenge(scheme.lower(), parameters) for scheme, parameters in written
    ]


@given(st.lists(st.text(st.characters(max_codepoint=0x2FF), max_size=200), max_size=4))
def test_any_text_is_read_without_a_fault(lines: list[str]) -> None:
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower() != ""
        assert all(name == name.lower() != "" for name in challenge.parameters)
        assert not (challenge.parameters and challenge.token68)


@given(st.text('=", \t\\aB', max_size=60))
def test_any_punctuation_is_read_in_linear_steps(line: str) -> None:
    assert len(parse_challenges([line])) <= len(line) + 1
