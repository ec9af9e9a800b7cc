"""Tokens that are shown where they were not made for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.access import PUSHING, Action, Asked, Verdict
from registry_mesh.auth.basic import Login
from registry_mesh.auth.book import Book
from registry_mesh.auth.grants import Scope
from registry_mesh.auth.policies import Policies, levels
from registry_mesh.oci.refusals import Unauthorized
from tests.access.test_authorizer import ALICE, KEY, LOGIN, PULL, ROBOT, Clock, bearer, verdict, with_robot

HERE, THERE = "registry.example", "docker.io"


@dataclass(frozen=True)
class Made:
    """How a node makes tokens."""

    key: bytes = KEY
    name: str = "site-1"
    service: str = "site-1"


def node(made: Made, clock: Clock) -> Authorizer:
    tokens = Tokens(made.key, made.name, made.service, 300)
    book = Book(Policies(levels(PUSHING, PUSHING), {}), ALICE)
    return Authorizer(book, tokens, clock, [HERE, THERE])


@pytest.mark.parametrize(
    ("elsewhere", "good"),
    [
        (Made(), True),
        (Made(key=new_key()), False),
        (Made(name="site-2"), False),
        (Made(service="site-2"), False),
        (Made(name="origin", service="origin"), False),
        (Made(new_key(), "origin", "origin"), False),
    ],
    ids=[
        "the same",
        "another key",
        "another node",
        "another service",
        "another tier, same key",
        "another tier",
    ],
)
async def test_a_token_of_another_node_is_none(elsewhere: Made, good: bool) -> None:
    """Even for what it lets everybody have, and whoever it was given to: two nodes that share a key share no more."""
    clock = Clock()
    here, there = node(Made(), clock), node(elsewhere, clock)
    for login in (LOGIN, None):
        token = await bearer(there, "repository:team/app:pull", login=login)
        found = await verdict(here, token, Asked(Action.PULL, HERE, "team/app"))
        assert found is (Verdict.ALLOW if good else Verdict.AUTHENTICATE)


@pytest.mark.parametrize(
    ("scope", "registries"),
    [
        (f"repository:{HERE}/team/app:pull", [HERE]),
        (f"repository:{THERE}/team/app:pull", [THERE]),
        ("registry:catalog:*", []),
    ],
)
async def test_a_token_for_one_registry_is_none_for_another(scope: str, registries: list[str]) -> None:
    here = node(Made(), Clock())
    token = await bearer(here, scope)
    for registry in (HERE, THERE):
        found = await verdict(here, token, Asked(Action.PULL, registry, "team/app"))
        assert found is (Verdict.ALLOW if registry in registries else Verdict.AUTHENTICATE), registry


async def test_a_token_ends_and_makes_no_other() -> None:
    """Neither as a bearer after its time, nor as the password of a login for a wider or later one."""
    clock = Clock()
    here = node(Made(), clock)
    token = await bearer(here, "repository:team/app:pull")
    bare = token.removeprefix("Bearer ")
    for user in ("token", "<token>", "alice", "00000000-0000-0000-0000-000000000000", ""):
        with pytest.raises(Unauthorized):
            await here.issue(Login(user, bare), [Scope.parse("repository:team/app:pull,push")])
    clock.now += 3600
    assert await verdict(here, token, Asked(Action.PULL, HERE, "team/app")) is Verdict.AUTHENTICATE


@pytest.mark.parametrize("left", [100, 1000])
async def test_no_token_of_a_robot_outlives_it(left: int) -> None:
    """To the second, and also where its end was brought forward after the token was given."""
    clock = Clock()
    here = node(Made(), clock)
    here.replace(with_robot(replace(ROBOT, until=clock.now + left)))
    token = await bearer(here, "repository:team/app:pull", login=Login("robot$ci", "rmr_secret"))
    here.replace(with_robot(replace(ROBOT, until=clock.now + 100)))
    clock.now += 99
    assert await verdict(here, token, PULL) is Verdict.ALLOW
    clock.now += 1
    assert await verdict(here, token, PULL) is Verdict.AUTHENTICATE
