"""What a token is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.auth.scopes import LENGTH_LIMIT, SCOPES_LIMIT, scopes_to_ask

OWN = "repository:app/img:pull"


@pytest.mark.parametrize(
    ("stated", "asked"),
    [
        ("", [OWN]),
        ("  ", [OWN]),
        ("repository:team/app/img:pull", ["repository:team/app/img:pull"]),
        ("repository:a:pull repository:b:pull", ["repository:a:pull", "repository:b:pull"]),
        ("repository:a:pull repository:a:pull", ["repository:a:pull"]),
        ("repository(plugin):a/b:pull", ["repository(plugin):a/b:pull"]),
        ("registry:catalog:*", ["registry:catalog:*"]),
        ("repository:a:*", ["repository:a:*"]),
        ("repository:h.example:5000/a:pull", ["repository:h.example:5000/a:pull"]),
        ("aws", ["aws"]),
        ("repository:a:pull,push", ["repository:a:pull"]),
        ("repository:a:push,delete", ["repository:a:pull"]),
        ("repository:a:pull,metadata_read,push", ["repository:a:pull,metadata_read"]),
        ("repository:a:pull,tag-update", ["repository:a:pull"]),
        ('repository:a:pull "', [OWN]),
        ("repository:é:pull", [OWN]),
        ("a\\b", [OWN]),
        ("x" * (LENGTH_LIMIT + 1), [OWN]),
        (" ".join(f"s{n}" for n in range(SCOPES_LIMIT + 1)), [OWN]),
    ],
)
def test_scopes(stated: str, asked: list[str]) -> None:
    assert list(scopes_to_ask(stated, OWN)) == asked


PUSH = "repository:app/img:pull,push repository:app/base:pull"


@pytest.mark.parametrize(
    ("stated", "asked"),
    [
        ("", PUSH.split()),
        ("repository:app/img:pull,push", ["repository:app/img:pull,push"]),
        ("repository:app/img:delete,push,pull", ["repository:app/img:push,pull"]),
        ("repository:app/base:pull,push", ["repository:app/base:pull,push"]),
        ("repository:other:pull,push", ["repository:other:pull"]),
    ],
)
def test_the_right_to_push_is_asked_for_where_something_is_pushed(stated: str, asked: list[str]) -> None:
    assert list(scopes_to_ask(stated, PUSH)) == asked


@given(st.text(max_size=200))
def test_any_text_gives_a_few_plain_scopes_that_change_nothing(stated: str) -> None:
    asked = scopes_to_ask(stated, OWN)
    assert 1 <= len(asked) <= SCOPES_LIMIT
    for scope in asked:
        assert scope.isascii() and scope.isprintable() and not set(scope) & set(' "\\')
        actions = scope.rpartition(":")[2].split(",") if scope.startswith("repository:") else []
        assert not {"push", "delete"} & set(actions)
