"""Tokens, how long they last, and what their service answers."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.upstream.health.retry_after import retry_after
from registry_mesh.upstream.login.token_answer import LONGEST, AnswerInvalid, parse_answer
from registry_mesh.upstream.login.tokens import COUNT_LIMIT, Tokens
from tests.simulators.origins import HandClock

NOW = 1_800_000_000.0
MOMENT = "2027-01-15T08:00:00Z"


def test_a_token_is_used_until_a_tenth_is_left_and_renewed_before() -> None:
    clock = HandClock()
    tokens: Tokens[str, str] = Tokens(clock)
    assert tokens.get("a") is None and not tokens.ageing("a")
    tokens.put("a", "t", 100, "from here")
    clock.now += 69
    assert (tokens.get("a"), tokens.ageing("a"), tokens.source("a")) == ("t", False, "from here")
    clock.now += 2
    assert (tokens.get("a"), tokens.ageing("a")) == ("t", True)
    clock.now += 19
    assert (tokens.get("a"), tokens.ageing("a"), tokens.source("a"), len(tokens)) == (None, False, None, 0)


def test_a_newer_token_takes_the_place_and_each_can_be_dropped() -> None:
    tokens: Tokens[str, str] = Tokens(HandClock())
    tokens.put("a", "t", 100)
    tokens.put("a", "u", 100)
    tokens.put("b", "v", 100)
    assert (tokens.get("a"), tokens.get("b"), len(tokens)) == ("u", "v", 2)
    tokens.drop("a")
    tokens.drop("a")
    assert (tokens.get("a"), tokens.get("b")) == (None, "v")


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40)), max_size=60))
def test_tokens_are_bounded_in_bytes(puts: list[tuple[int, int]]) -> None:
    tokens: Tokens[int, None] = Tokens(HandClock(), limit=100)
    for key, length in puts:
        tokens.put(key, "x" * length, 100)
        held = [token for key in range(21) if (token := tokens.get(key)) is not None]
        assert sum(map(len, held)) <= 100
        assert tokens.get(key) == "x" * length


def test_tokens_are_bounded_in_number() -> None:
    tokens: Tokens[int, None] = Tokens(HandClock())
    for key in range(COUNT_LIMIT + 10):
        tokens.put(key, "t", 100)
    assert len(tokens) == COUNT_LIMIT
    assert tokens.get(0) is None and tokens.get(COUNT_LIMIT + 9) == "t"


def answer(**document: Any) -> tuple[str, float]:
    found = parse_answer(json.dumps(document).encode(), NOW)
    return found.token, found.lifetime


def test_how_long_a_token_lives() -> None:
    assert answer(token="t") == ("t", 60)
    assert answer(access_token="t", expires_in=300) == ("t", 300)
    assert answer(token="", access_token="t", expires_in="300") == ("t", 300)
    assert answer(token="t", access_token="u") == ("t", 60)
    for odd in (None, 0, -5, "x", [], True, float("inf")):
        assert answer(token="t", expires_in=odd) == ("t", 60)
    assert answer(token="t", expires_in=10**9) == ("t", LONGEST)


@pytest.mark.parametrize("data", [b'{"token": "t"}\n<!-- 3 ms -->', b'{"token": "t", "name": "caf\xe9"}'])
def test_an_answer_may_be_nearly_json(data: bytes) -> None:
    assert parse_answer(data, NOW).token == "t"


def test_a_token_that_was_issued_a_while_ago_has_less_left() -> None:
    aged = parse_answer(
        b'{"token": "t", "expires_in": 300, "issued_at": "2027-01-15T07:59:10.123456789Z"}', NOW
    )
    assert aged.lifetime == 250
    for odd in (
        "2027-01-15T07:00:00Z",
        "2027-01-15T09:00:00Z",
        MOMENT,
        "yesterday",
        5,
        None,
        "0001-01-01T00:00:00Z",
    ):
        assert answer(token="t", expires_in=300, issued_at=odd) == ("t", 300)


def test_an_identity_token_may_be_replaced() -> None:
    assert parse_answer(b'{"access_token": "t", "refresh_token": "n"}', NOW).identity_token == "n"
    assert parse_answer(b'{"access_token": "t", "refresh_token": "a b"}', NOW).identity_token == ""


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"{}", b'{"token": 5}', b'{"token": ""}', b'{"token": "a b"}',
        b'{"token": "a\\r\\nX: y"}',
        b'{"token": "\xc3\xa9"}', b"<html>", b'{"a":' * 3000, json.dumps({"token": "x" * 70_000}).encode(), b"\xff\xfe",
    ],
)  # fmt: skip
def test_answers_without_a_token(data: bytes) -> None:
    with pytest.raises(AnswerInvalid):
        parse_answer(data, NOW)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_token_or_a_fault(data: bytes) -> None:
    try:
        found = parse_answer(data, NOW)
    except AnswerInvalid:
        return
    assert found.token.isascii() and found.token.isprintable() and 0 < found.lifetime <= LONGEST


def test_retry_after() -> None:
    assert retry_after({"Retry-After": "7"}, NOW) == 7
    assert retry_after({"Retry-After": "99999999999"}, NOW) == 3600
    assert retry_after({"Retry-After": formatdate(NOW + 30, usegmt=True)}, NOW) == 30
    assert retry_after({"Retry-After": formatdate(NOW - 30, usegmt=True)}, NOW) == 0
    for off in (-86_400, -60, 60, 86_400):
        told = {
            "Date": formatdate(NOW + off, usegmt=True),
            "Retry-After": formatdate(NOW + off + 30, usegmt=True),
        }
        assert retry_after(told, NOW) == 30, "it is a moment of the server's clock"
    for odd in ("", "soon", "-1", "1.5", "٣", "Mon, 99 Foo 2027 00:00:00 GMT"):
        assert retry_after({"Retry-After": odd}, NOW) is None
