"""Which credentials count as taken away, and what is told of them."""

from __future__ import annotations

import json

import pytest

from registry_mesh.auth.book import Book
from registry_mesh.auth.changes import revoked_above
from registry_mesh.auth.policies import Policies
from registry_mesh.auth.revoked import (
    KEEP,
    LIMIT,
    MOST,
    Revocations,
    mark,
    parse_revoked,
    restore,
    save,
    written,
)

NOW = 1_800_000_000.0
A, B, C = (mark(each) for each in ("a", "b", "c"))


def test_what_was_there_and_went_is_revoked() -> None:
    first = Revocations().looked(frozenset({A, B}), NOW)
    assert first.told(NOW) == {}, "what was never seen cannot have gone"
    gone = first.looked(frozenset({B}), NOW + 5)
    assert gone.told(NOW + 5) == {A: int(NOW) + 5}
    assert gone.looked(frozenset({B, C}), NOW + 9).told(NOW + 9) == {A: int(NOW) + 5}, "when it went stays"


def test_a_hash_is_one_user_s() -> None:
    """A line of the file that was copied for another user."""
    both = Book(Policies((), {}), {"alice": "$2y$hash", "bob": "$2y$hash"})
    one = Book(Policies((), {}), {"bob": "$2y$hash"})
    assert len(both.marks) == 2
    gone = Revocations().looked(both.marks, NOW).looked(one.marks, NOW)
    assert not one.marks & gone.told(NOW).keys(), "bob may still log in"
    assert revoked_above(both, gone.told(NOW)) == ["user alice"]


def test_marks_that_were_made_otherwise_have_not_gone() -> None:
    """What a former version kept: a node that is upgraded takes nothing away."""
    former = json.dumps({"known": [A, B], "here": {C: int(NOW)}, "above": {}}).encode()
    assert restore(former).looked(frozenset({mark("a", "alice")}), NOW).told(NOW) == {C: int(NOW)}


def test_what_went_while_the_node_was_down_is_revoked() -> None:
    kept = save(Revocations().looked(frozenset({A, B}), NOW))
    assert restore(kept).looked(frozenset({A}), NOW + 60).told(NOW + 60) == {B: int(NOW) + 60}


def test_what_comes_back_is_good_again() -> None:
    gone = Revocations().looked(frozenset({A}), NOW).looked(frozenset(), NOW)
    assert gone.looked(frozenset({A}), NOW).told(NOW) == {}


def test_what_parents_tell_is_told_on_and_replaced_by_their_next_list() -> None:
    heard = Revocations().heard("r.example", {A: int(NOW)}, NOW).heard("s.example", {B: int(NOW)}, NOW)
    assert heard.told(NOW) == {A: int(NOW), B: int(NOW)}
    assert heard.heard("r.example", {}, NOW).told(NOW) == {B: int(NOW)}
    assert restore(save(heard)) == heard


def test_it_is_told_for_a_month_and_no_more_than_fits() -> None:
    gone = Revocations().looked(frozenset({A}), NOW).looked(frozenset(), NOW)
    assert gone.told(NOW + KEEP - 1) == {A: int(NOW)}
    assert gone.told(NOW + KEEP) == {}
    many = {mark(str(n)): int(NOW) + n for n in range(MOST)}
    both = (
        Revocations()
        .heard("r.example", many, NOW)
        .heard("s.example", {A: int(NOW) - 1, B: int(NOW) + MOST}, NOW)
    )
    told = both.told(NOW)
    assert len(told) == MOST
    assert B in told and A not in told, "the newest stay"
    assert len(written(told)) < LIMIT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"x": 1}',
        f'{{"{A}": 1.5}}',
        f'{{"{A}": true}}',
        f'{{"{A}": -1}}',
        f'{{"{A}": 1e400}}',
        f'{{"{A.upper()}": 1}}' if A.upper() != A else '{"X": 1}',
        json.dumps({f"{n:016x}": 1 for n in range(MOST + 1)}),
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|revoked"):
        parse_revoked(text)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"above": [], "known": 1}', b'{"above": {}, "here": []}'])
def test_what_was_not_saved_is_not_restored(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|saved|revoked"):
        restore(data)
