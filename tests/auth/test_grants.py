"""Scopes that tokens are asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.auth.access import Action, Asked
from registry_mesh.auth.grants import Grants, Scope, parse_scopes


def test_scopes_in_one_parameter_or_several() -> None:
    one = Scope("repository", "a/b", ("pull", "push"))
    assert parse_scopes(["repository:a/b:pull,push,pull repository:c:pull"]) == (
        one,
        Scope("repository", "c", ("pull",)),
    )
    assert parse_scopes(["repository:a/b:pull,push", ""]) == (one,)
    assert Scope.parse("repository:host:5000/a:pull").name == "host:5000/a"


@pytest.mark.parametrize(
    "text",
    ["x", "repository:a", ":a:pull", "repository::pull", "repository:a\x7f:pull", "r:" + "a" * 1024 + ":p"],
)
def test_what_is_no_scope(text: str) -> None:
    with pytest.raises(ValueError, match="a scope is"):
        Scope.parse(text)


def test_more_scopes_than_anybody_needs() -> None:
    with pytest.raises(ValueError, match="more than"):
        parse_scopes(["repository:a:pull " * 65])


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_text_is_scopes_or_a_fault(lines: list[str]) -> None:
    try:
        scopes = parse_scopes(lines)
    except ValueError:
        return
    assert all(scope.kind and scope.name for scope in scopes)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "name", "actions", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_claim_grants_nothing_it_does_not_spell(claim: object) -> None:
    assert not Grants.read(claim).cover(Asked(Action.PULL, "registry.example", "team/app"))
