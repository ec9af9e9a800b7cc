"""Levels of anonymous rights."""

import pytest

from registry_mesh.auth.access import Action, AnonymousAccess, Asked, Level, Verdict

ASKED = (Action.PULL, Action.PUSH, Action.DELETE)
ALLOW, AUTHENTICATE, DENY = Verdict.ALLOW, Verdict.AUTHENTICATE, Verdict.DENY


@pytest.mark.parametrize(
    ("level", "pull", "push", "delete"),
    [
        (Level.NOTHING, AUTHENTICATE, AUTHENTICATE, AUTHENTICATE),
        (Level.PULL, ALLOW, DENY, DENY),
        (Level.PUSH, ALLOW, ALLOW, DENY),
        (Level.ADMIN, ALLOW, ALLOW, ALLOW),
    ],
)
def test_each_level_includes_those_below(level: Level, pull: Verdict, push: Verdict, delete: Verdict) -> None:
    policy = AnonymousAccess(level)
    verdicts = [policy.decide(None, Asked(action, "r", "a/b")).verdict for action in ASKED]
    assert verdicts == [pull, push, delete]


def test_credentials_add_nothing_and_take_nothing() -> None:
    asked = Asked(Action.PUSH, "r", "a")
    for header in (None, "Basic Zm9vOmJhcg==", "Bearer x", "\x7f"):
        assert AnonymousAccess(Level.PULL).decide(header, asked).verdict is DENY
        assert AnonymousAccess(Level.PUSH).decide(header, asked).verdict is ALLOW


def test_levels_by_name() -> None:
    assert [Level.parse(name) for name in ("nothing", "pull", "push", "admin")] == list(Level)
    with pytest.raises(ValueError, match="one of nothing, pull, push, admin"):
        Level.parse("all")


def test_a_challenge_names_a_scheme() -> None:
    challenge = AnonymousAccess(Level.NOTHING, realm="cern").challenge(Asked(Action.PULL))
    assert challenge == 'Basic realm="cern", charset="UTF-8"'
