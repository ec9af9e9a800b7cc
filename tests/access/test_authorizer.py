"""Whose credentials are believed, for how long, and for what."""

from __future__ import annotations

import base64
import json

import bcrypt
import jwt
import pytest

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.issuers import Issuer
from registry_mesh.access.tokens import LEEWAY, KeyInvalid, Tokens, new_key
from registry_mesh.auth.access import PULLING, PUSHING, Action, Asked, Verdict
from registry_mesh.auth.basic import Login
from registry_mesh.auth.book import Book
from registry_mesh.auth.grants import Scope
from registry_mesh.auth.policies import Entry, Policies, levels
from registry_mesh.auth.revoked import mark
from registry_mesh.auth.robots import Robot, digest
from registry_mesh.oci.refusals import Unauthorized

ALLOW, AUTHENTICATE, DENY = Verdict.ALLOW, Verdict.AUTHENTICATE, Verdict.DENY
PULL = Asked(Action.PULL, "registry.example", "team/app")
PUSH = Asked(Action.PUSH, "registry.example", "team/app")
OTHER = Asked(Action.PULL, "registry.example", "team/other")
BASE = Asked(Action.PULL)
KEY = new_key()
LOGIN = Login("alice", "wonder")


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


ALICE = {"alice": hashed("wonder")}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def book(hashes: dict[str, str] | None = None, anonymous: frozenset[Action] = frozenset()) -> Book:
    return Book(Policies(levels(anonymous, PUSHING), {}), ALICE if hashes is None else hashes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authorizer(clock: Clock) -> Authorizer:
    return Authorizer(book(), Tokens(KEY, "node", "node", 300), clock, ["registry.example", "docker.io"])


async def verdict(authorizer: Authorizer, authorization: str | None, asked: Asked) -> Verdict:
    if authorization is not None:
        await authorizer.learn(authorization)
    return authorizer.decide(authorization, asked).verdict


async def bearer(authorizer: Authorizer, *scopes: str, login: Login | None = LOGIN) -> str:
    issued = await authorizer.issue(login, [Scope.parse(scope) for scope in scopes])
    return f"Bearer {issued.token}"


async def test_a_password_that_fits_is_a_login(authorizer: Authorizer) -> None:
    assert await verdict(authorizer, basic("alice", "wonder"), PUSH) is ALLOW
    assert authorizer.decide(basic("alice", "wonder"), PUSH).subject == "alice"


@pytest.mark.parametrize(
    "authorization",
    [
        basic("alice", "wrong"),
        basic("nobody", "wonder"),
        basic("alice", ""),
        basic("alice", "x" * 200),
        "Basic",
        "Basic !!!",
        "Bearer",
        "Bearer a.b.c",
        "Digest x",
        "",
        "\x7f",
    ],
)
async def test_what_proves_nothing_is_no_login(authorizer: Authorizer, authorization: str) -> None:
    for asked in (BASE, PULL):
        assert await verdict(authorizer, authorization, asked) is AUTHENTICATE


async def test_credentials_that_were_never_looked_at_are_not_believed(authorizer: Authorizer) -> None:
    assert authorizer.decide(basic("alice", "wonder"), PULL).verdict is AUTHENTICATE


async def test_without_credentials_only_what_needs_none(authorizer: Authorizer) -> None:
    assert await verdict(authorizer, None, PULL) is AUTHENTICATE
    authorizer.replace(book(anonymous=PULLING))
    assert await verdict(authorizer, None, PULL) is ALLOW
    assert await verdict(authorizer, None, PUSH) is AUTHENTICATE
    assert await verdict(authorizer, None, BASE) is AUTHENTICATE, "a client learns here where to log in"
    token = await bearer(authorizer, "repository:team/app:pull,push", login=None)
    assert await verdict(authorizer, token, BASE) is ALLOW
    assert await verdict(authorizer, token, PULL) is ALLOW
    assert await verdict(authorizer, token, PUSH) is AUTHENTICATE


async def test_a_token_is_good_for_what_it_was_given(authorizer: Authorizer) -> None:
    token = await bearer(authorizer, "repository:team/app:pull")
    assert await verdict(authorizer, token, PULL) is ALLOW
    assert await verdict(authorizer, token, PUSH) is AUTHENTICATE
    assert authorizer.decide(token, PUSH).error == "insufficient_scope"
    assert await verdict(authorizer, token, OTHER) is AUTHENTICATE


@pytest.mark.parametrize(
    ("scope", "asked"),
    [
        ("repository:registry.example/team/app:pull", PULL),
        ("repository:alpine:pull", Asked(Action.PULL, "docker.io", "library/alpine")),
        ("repository:library/alpine:pull", Asked(Action.PULL, "docker.io", "library/alpine")),
        ("repository:docker.io/alpine:pull", Asked(Action.PULL, "docker.io", "library/alpine")),
        ("repository:team/app:*", Asked(Action.PUSH, "registry.example", "team/app")),
    ],
)
async def test_the_ways_to_name_a_repository_in_a_scope(
    authorizer: Authorizer, scope: str, asked: Asked
) -> None:
    assert await verdict(authorizer, await bearer(authorizer, scope), asked) is ALLOW


async def test_library_stands_for_nothing_outside_of_docker_hub(authorizer: Authorizer) -> None:
    token = await bearer(authorizer, "repository:app:pull")
    assert (
        await verdict(authorizer, token, Asked(Action.PULL, "registry.example", "library/app"))
        is AUTHENTICATE
    )


async def test_a_token_ends(authorizer: Authorizer, clock: Clock) -> None:
    token = await bearer(authorizer, "repository:team/app:pull")
    clock.now += 300 + LEEWAY - 1
    assert await verdict(authorizer, token, PULL) is ALLOW
    clock.now += 1
    assert await verdict(authorizer, token, PULL) is AUTHENTICATE


async def test_a_user_who_is_no_more_loses_tokens_too(authorizer: Authorizer) -> None:
    token, password = await bearer(authorizer, "repository:team/app:pull"), basic("alice", "wonder")
    assert [await verdict(authorizer, each, PULL) for each in (token, password)] == [ALLOW, ALLOW]
    before = authorizer.generation
    authorizer.replace(book({}))
    assert authorizer.generation != before
    assert [await verdict(authorizer, each, PULL) for each in (token, password)] == [AUTHENTICATE] * 2


async def test_a_new_password_ends_the_tokens_of_the_old_one(authorizer: Authorizer) -> None:
    token = await bearer(authorizer, "repository:team/app:pull")
    authorizer.replace(book({"alice": hashed("wonder2")}))
    assert await verdict(authorizer, token, PULL) is AUTHENTICATE


async def test_a_token_for_a_wrong_login_is_refused(authorizer: Authorizer) -> None:
    for login in (Login("alice", "wrong"), Login("nobody", "wonder")):
        with pytest.raises(Unauthorized):
            await authorizer.issue(login, [])


def forged(**change: object) -> dict[str, object]:
    now = int(Clock.now)
    whole: dict[str, object] = {
        "iss": "node",
        "aud": "node",
        "sub": "anonymous",
        "iat": now,
        "exp": now + 300,
        "access": [{"type": "repository", "name": "team/app", "actions": ["pull"]}],
    } | change
    return {name: value for name, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "another"},
        {"exp": None},
        {"exp": "never"},
        {"exp": float("inf")},
        {"exp": int(Clock.now) - LEEWAY},
        {"nbf": int(Clock.now) + LEEWAY + 1},
        {"iat": int(Clock.now) + LEEWAY + 1},
        {"sub": None},
        {"sub": "alice"},
        {"access": [{"type": "repository", "name": "team/other", "actions": ["pull"]}]},
        {"access": "repository:team/app:pull"},
        {"access": [{"type": "repository", "name": ["team/app"], "actions": "pull"}, 7, None]},
    ],
    ids=str,
)
async def test_claims_that_are_not_those_of_a_good_token(
    authorizer: Authorizer, change: dict[str, object]
) -> None:
    authorizer.replace(book(anonymous=PULLING))
    assert await verdict(authorizer, "Bearer " + jwt.encode(forged(), KEY, "ES256"), PULL) is ALLOW
    token = jwt.encode(forged(**change), KEY, "ES256")
    assert await verdict(authorizer, f"Bearer {token}", PULL) is AUTHENTICATE


async def test_signatures_that_are_not_ours(authorizer: Authorizer) -> None:
    authorizer.replace(book(anonymous=PULLING))
    other = new_key()
    public = Tokens(other, "node", "node", 300).keys()["keys"][0]
    part = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        for each in ({"alg": "none", "typ": "JWT"}, forged())
    ]
    tokens = [
        ".".join([*part, ""]),
        jwt.encode(forged(), None, "none"),
        jwt.encode(forged(), other, "ES256"),
        jwt.encode(forged(), other, "ES256", {"jwk": public}),
        jwt.encode(forged(), other, "ES256", {"kid": "../../dev/null", "jku": "http://127.0.0.1/keys"}),
        jwt.encode(forged(), json.dumps(authorizer.keys()) * 2, "HS256"),
        jwt.encode(forged(), KEY, "ES256")[:-4] + "AAAA",
    ]
    for token in tokens:
        assert await verdict(authorizer, f"Bearer {token}", PULL) is AUTHENTICATE, token


def test_keys_that_cannot_sign() -> None:
    for pem in (b"", b"no key", KEY[:60]):
        with pytest.raises(KeyInvalid):
            Tokens(pem, "node", "node", 300)


def test_the_key_set_tells_no_secret(authorizer: Authorizer) -> None:
    (key,) = authorizer.keys()["keys"]
    assert set(key) == {"crv", "kty", "x", "y", "kid", "use", "alg"}


def test_a_challenge_says_where_and_for_what(authorizer: Authorizer) -> None:
    challenge = authorizer.challenge(PUSH, "https://registry.example:5000", "insufficient_scope")
    assert challenge == (
        'Bearer realm="https://registry.example:5000/token",service="node",'
        'scope="repository:team/app:pull,push",error="insufficient_scope"'
    )
    assert authorizer.challenge(BASE, 'http://x"y') == 'Bearer realm="/token",service="node"'


ROBOT = Robot("ci", digest("rmr_secret"), Clock.now + 1000)
OWN = Entry("robot:ci", frozenset({"robot:ci"}), allow=PULLING)


def with_robot(*robots: Robot) -> Book:
    whole = book(anonymous=frozenset())
    policies = Policies((*whole.policies.entries, OWN), {})
    return Book(policies, ALICE, {robot.name: robot for robot in robots})


async def test_a_robot_has_its_own_rights_and_not_those_of_people(authorizer: Authorizer) -> None:
    authorizer.replace(with_robot(ROBOT))
    login = basic("robot$ci", "rmr_secret")
    assert await verdict(authorizer, login, PULL) is ALLOW
    assert authorizer.decide(login, PULL).subject == "robot:ci"
    assert await verdict(authorizer, login, PUSH) is DENY, (
        "whoever logs in may push, but that is about people"
    )
    for wrong in ("rmr_", "", "sha256:" + "0" * 64, ROBOT.secret):
        assert await verdict(authorizer, basic("robot$ci", wrong), PULL) is AUTHENTICATE
    assert await verdict(authorizer, basic("robot:ci", "rmr_secret"), PULL) is AUTHENTICATE


async def test_a_robot_ends_by_its_time_and_its_tokens_with_it(authorizer: Authorizer, clock: Clock) -> None:
    authorizer.replace(with_robot(ROBOT))
    robot = Login("robot$ci", "rmr_secret")
    clock.now += 900
    issued = await authorizer.issue(robot, [Scope.parse("repository:team/app:pull")])
    assert issued.seconds == 100
    login = basic("robot$ci", "rmr_secret")
    assert await verdict(authorizer, login, PULL) is ALLOW
    clock.now += 100
    assert await verdict(authorizer, login, PULL) is AUTHENTICATE
    with pytest.raises(Unauthorized):
        await authorizer.issue(robot, [])


async def test_a_revoked_robot_loses_everything(authorizer: Authorizer) -> None:
    authorizer.replace(with_robot(ROBOT))
    token = await bearer(authorizer, "repository:team/app:pull", login=Login("robot$ci", "rmr_secret"))
    assert await verdict(authorizer, token, PULL) is ALLOW
    authorizer.replace(with_robot())
    for each in (token, basic("robot$ci", "rmr_secret")):
        assert await verdict(authorizer, each, PULL) is AUTHENTICATE


@pytest.mark.parametrize("mark", ["none", "", "None", None])
async def test_no_mark_stands_for_a_subject_that_is_unknown(authorizer: Authorizer, mark: str | None) -> None:
    authorizer.replace(book({}, anonymous=PULLING))
    token = jwt.encode(forged(sub="alice", cred=mark), KEY, "ES256")
    assert await verdict(authorizer, f"Bearer {token}", PULL) is AUTHENTICATE


async def test_what_was_revoked_elsewhere_is_refused_with_its_tokens_and_tokens_made_of_these(
    clock: Clock,
) -> None:
    """A site takes tokens of an origin, and makes its own of them: no copy of a login outlives it."""
    origin = Authorizer(book(), Tokens(KEY, "origin", "r.example", 300), clock, ["registry.example"])
    above = await bearer(origin, "repository:team/app:pull")
    issuer = Issuer("origin", "origin", "r.example", origin.keys())
    entry = Entry("readers", frozenset({"origin:alice", "alice"}), allow=PULLING)
    own = Book(Policies((entry,), {}), ALICE, {}, {"origin": issuer})
    site = Authorizer(own, Tokens(new_key(), "site", "site", 300), clock, ["registry.example"])
    below = await bearer(
        site, "repository:team/app:pull", login=Login("token", above.removeprefix("Bearer "))
    )
    copies = (above, below, basic("alice", "wonder"))
    for each in copies:
        assert await verdict(site, each, PULL) is ALLOW

    generation = site.generation
    site.revoke(frozenset({mark(ALICE["alice"], "alice")}))
    assert site.generation > generation, "what was decided before does not hold"
    for each in copies:
        assert await verdict(site, each, PULL) is AUTHENTICATE
        assert site.decide(each, PULL).error == "invalid_token"
    for login in (LOGIN, Login("token", above.removeprefix("Bearer "))):
        with pytest.raises(Unauthorized, match="revoked"):
            await site.issue(login, [])

    site.revoke(frozenset())
    for each in copies:
        assert await verdict(site, each, PULL) is ALLOW


async def test_a_revoked_robot_is_refused_where_its_file_is_still_there(clock: Clock) -> None:
    robot = Robot("ci", digest("rmr_x"), clock.now + 1000)
    entry = Entry("ci", frozenset({"robot:ci"}), allow=PULLING)
    kept = Authorizer(Book(Policies((entry,), {}), {}, {"ci": robot}), Tokens(KEY, "n", "n", 300), clock)
    assert await verdict(kept, basic("robot$ci", "rmr_x"), PULL) is ALLOW
    kept.revoke(frozenset({mark(robot.secret)}))
    assert await verdict(kept, basic("robot$ci", "rmr_x"), PULL) is AUTHENTICATE
