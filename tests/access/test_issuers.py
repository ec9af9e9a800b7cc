"""Tokens of others: whose they are, and what is none of theirs."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.issuers import Issuer, KeylessIssuer, KeysInvalid, KeyUnknown
from registry_mesh.access.tokens import LEEWAY, TokenInvalid, Tokens, new_key
from registry_mesh.auth.access import PULLING, PUSHING, Action, Asked, Verdict
from registry_mesh.auth.basic import Login
from registry_mesh.auth.book import Book
from registry_mesh.auth.grants import Scope
from registry_mesh.auth.policies import Entry, Policies, levels
from registry_mesh.oci.refusals import Unauthorized

NOW = 1_800_000_000
RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
KEYS = {
    "keys": [
        {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "rsa", "alg": "RS256", "use": "sig"},
        {**json.loads(ECAlgorithm.to_jwk(CURVE.public_key())), "kid": "curve", "alg": "ES256", "use": "sig"},
    ]
}
GITLAB = "https://gitlab.example"
JOB = "project_path:atlas/app:ref_type:branch:ref:main"
PULL = Asked(Action.PULL, "r.example", "atlas/app")
PUSH = Asked(Action.PUSH, "r.example", "atlas/app")


def token(
    key: Any = CURVE,
    kid: str | None = "curve",
    algorithm: str = "ES256",
    typ: object = "JWT",
    **change: object,
) -> str:
    claims: dict[str, object] = {
        "iss": GITLAB,
        "aud": "registry.example",
        "sub": JOB,
        "iat": NOW,
        "exp": NOW + 600,
        "namespace_path": "atlas",
        "groups": ["a", "b", 7],
    } | change
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, {"typ": typ} | ({"kid": kid} if kid else {}))


def public(key: Any, **more: str | list[str]) -> dict[str, Any]:
    """As it stands in a set of keys."""
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(kind.to_jwk(key.public_key())), **more}


def issuer(*keys: dict[str, Any]) -> Issuer:
    return Issuer("gitlab", GITLAB, "registry.example", {"keys": list(keys)})


@pytest.fixture
def gitlab() -> Issuer:
    return Issuer("gitlab", GITLAB, "registry.example", KEYS, ["namespace_path", "groups"])


@pytest.mark.parametrize("given", [token(), token(RSA, "rsa", "RS256"), token(aud=["x", "registry.example"])])
def test_a_token_becomes_a_subject_with_groups(gitlab: Issuer, given: str) -> None:
    identity = gitlab.verify(given, NOW)
    assert identity.subject == f"gitlab:{JOB}"
    assert identity.groups == {"gitlab:namespace_path:atlas", "gitlab:groups:a", "gitlab:groups:b"}
    assert (identity.grants, identity.until) == (None, NOW + 600 + LEEWAY)


@pytest.mark.parametrize(
    "given",
    [
        token(OTHER),
        token(kid="../../keys"),
        token(kid="rsa"),
        token(OTHER, kid=None),
        token(typ="logout+jwt"),
        token(typ="application/secevent+jwt"),
        token(typ="dpop+jwt"),
        token(typ=["JWT"]),
        token(typ=1),
        token(aud="another"),
        token(aud=None),
        token(iss="https://evil.example"),
        token(exp=NOW - LEEWAY),
        token(exp=None),
        token(exp=10**400),
        token(iat=10**400),
        token(nbf=-(10**400)),
        token(exp=1e300),
        token(exp="never"),
        token(exp=[NOW + 600]),
        token(nbf=NOW + LEEWAY + 1),
        token(sub=None),
        token(sub=""),
        token(sub="a\nb"),
        token(sub="x" * 201),
        token("x" * 64, "curve", "HS256"),
        jwt.encode({"iss": GITLAB, "sub": JOB}, None, "none"),
        "a.b.c",
        "",
    ],
)
def test_what_is_none_of_its_tokens_for_us(gitlab: Issuer, given: str) -> None:
    with pytest.raises(TokenInvalid):
        gitlab.verify(given, NOW)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (token(aud="other.example"), "the token of gitlab is not for registry.example (aud)"),
        (token(aud=None), "the token of gitlab has no aud"),
        (token(exp=None), "the token of gitlab has no exp"),
        (token(OTHER, aud="other.example"), "the token is not one of gitlab for this node"),
    ],
)
def test_what_is_wrong_with_one_of_its_tokens_is_said_where_the_issuer_signed_it(
    gitlab: Issuer, given: str, why: str
) -> None:
    with pytest.raises(TokenInvalid) as refused:
        gitlab.verify(given, NOW)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    "keys",
    [{}, {"keys": []}, {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"}]}, {"keys": 7}],
)
def test_what_is_no_set_of_keys(keys: dict[str, Any]) -> None:
    with pytest.raises(KeysInvalid):
        Issuer("gitlab", GITLAB, "registry.example", keys)


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+JWT", "JOSE"])
def test_the_types_of_tokens_of_identity_and_access(gitlab: Issuer, typ: str) -> None:
    assert gitlab.verify(token(typ=typ), NOW)


@pytest.mark.parametrize("more", [{"kid": "twin"}, {}])
def test_keys_of_one_name_or_none_are_all_believed(more: dict[str, Any]) -> None:
    """As in the days of a rotation by issuers that name no keys."""
    known = issuer(public(RSA, **more), public(CURVE, **more), public(OTHER, **more))
    for given in (RSA, "RS256"), (CURVE, "ES256"), (OTHER, "ES256"):
        assert known.verify(token(given[0], more.get("kid"), given[1]), NOW)
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(TokenInvalid):
        known.verify(token(stranger, more.get("kid")), NOW)


@pytest.mark.parametrize("more", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": []}])
def test_a_key_for_something_else_signs_nothing(more: dict[str, Any]) -> None:
    known = issuer(
        public(CURVE, kid="curve", use="sig", key_ops=["verify"]), public(OTHER, kid="other", **more)
    )
    assert known.verify(token(), NOW)
    with pytest.raises(KeyUnknown):
        known.verify(token(OTHER, "other"), NOW)
    with pytest.raises(KeysInvalid, match="no key for signatures"):
        issuer(public(OTHER, **more))


@pytest.mark.parametrize(
    "odd",
    [
        "no key",
        None,
        [],
        {},
        {"kty": "of tomorrow", "kid": "x"},
        {"kty": "EC", "crv": "P-256", "x": "!!", "y": 7},
        {"kty": "RSA", "n": "", "e": ""},
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": ["RSA"]},
        public(OTHER, kid="other") | {"key_ops": 7},
        public(OTHER) | {"kid": ["other"]},
        public(OTHER, kid="other", alg="ES999"),
        public(OTHER) | {"alg": ["ES256"]},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
    ],
)
def test_an_odd_key_takes_none_of_the_others_away(odd: Any) -> None:
    """RFC 7517, section 5."""
    assert issuer(odd, public(CURVE, kid="curve")).verify(token(), NOW)


def test_a_key_that_was_rotated_out_is_no_key(gitlab: Issuer) -> None:
    after = Issuer("gitlab", GITLAB, "registry.example", {"keys": KEYS["keys"][:1]})
    assert gitlab.verify(token(), NOW)
    with pytest.raises(TokenInvalid):
        after.verify(token(), NOW)


@pytest.fixture
def authorizer(gitlab: Issuer) -> Authorizer:
    return Authorizer(book(gitlab), Tokens(new_key(), "node", "node", 300), lambda: NOW, ["r.example"])


def book(issuer: Issuer | None = None) -> Book:
    entries = (
        *levels(frozenset(), PUSHING),
        Entry("jobs", frozenset({"@gitlab:namespace_path:atlas"}), allow=PULLING),
        Entry("main", frozenset({f"gitlab:{JOB}"}), allow=PUSHING),
    )
    return Book(Policies(entries, {}), {}, {}, {GITLAB: issuer} if issuer is not None else {})


async def verdict(authorizer: Authorizer, authorization: str, asked: Asked) -> Verdict:
    await authorizer.learn(authorization)
    return authorizer.decide(authorization, asked).verdict


async def test_it_may_what_policies_say_of_it_and_not_what_people_may(authorizer: Authorizer) -> None:
    assert await verdict(authorizer, f"Bearer {token()}", PUSH) is Verdict.ALLOW
    branch = f"Bearer {token(sub='project_path:atlas/app:ref_type:branch:ref:try')}"
    assert [await verdict(authorizer, branch, asked) for asked in (PULL, PUSH)] == [
        Verdict.ALLOW,
        Verdict.DENY,
    ]
    stranger = f"Bearer {token(sub='x', namespace_path='evil')}"
    assert await verdict(authorizer, stranger, PULL) is Verdict.DENY


async def test_a_login_with_it_gives_a_token_with_its_groups(authorizer: Authorizer, gitlab: Issuer) -> None:
    login = Login("token", token(sub="project_path:atlas/app:ref_type:branch:ref:try"))
    issued = await authorizer.issue(login, [Scope.parse("repository:atlas/app:pull,push")])
    ours = f"Bearer {issued.token}"
    assert await verdict(authorizer, ours, PULL) is Verdict.ALLOW
    basic = "Basic " + base64.b64encode(f"token:{login.password}".encode()).decode()
    assert await verdict(authorizer, basic, PULL) is Verdict.ALLOW
    authorizer.replace(book())
    assert await verdict(authorizer, ours, PULL) is Verdict.AUTHENTICATE
    authorizer.replace(book(gitlab))
    with pytest.raises(Unauthorized):
        await authorizer.issue(Login("token", issued.token[:-2]), [])


async def test_a_token_that_narrows_rights_is_not_widened_by_a_login(authorizer: Authorizer) -> None:
    narrow = token(access=[{"type": "repository", "name": "atlas/app", "actions": ["pull"]}])
    assert await verdict(authorizer, f"Bearer {narrow}", PUSH) is Verdict.AUTHENTICATE
    issued = await authorizer.issue(Login("token", narrow), [Scope.parse("repository:atlas/app:pull,push")])
    ours = f"Bearer {issued.token}"
    assert await verdict(authorizer, ours, PULL) is Verdict.ALLOW
    assert await verdict(authorizer, ours, PUSH) is Verdict.AUTHENTICATE


@pytest.mark.parametrize(
    "more",
    [
        {"groups": [f"g{n}" for n in range(200)]},
        {"groups": None, "_claim_names": {"groups": "src1"}},
        {"groups": None, "hasgroups": True},
        {"groups": None, "hasgroups": "true"},
    ],
)
async def test_no_group_to_which_something_is_denied_hides_behind_others(
    authorizer: Authorizer, more: dict[str, object]
) -> None:
    assert await verdict(authorizer, f"Bearer {token(**more)}", PULL) is Verdict.AUTHENTICATE
    with pytest.raises(Unauthorized, match="have it name fewer"):
        await authorizer.issue(Login("token", token(**more)), [])
    many = token(groups=[f"g{n}" for n in range(199)] * 2, _claim_names={"address": "src1"}, hasgroups=False)
    assert await verdict(authorizer, f"Bearer {many}", PULL) is Verdict.ALLOW


async def test_a_token_made_of_one_of_theirs_makes_no_other(authorizer: Authorizer) -> None:
    issued = await authorizer.issue(Login("token", token(exp=NOW + 5)), [])
    assert issued.seconds <= 5
    with pytest.raises(Unauthorized, match="no login"):
        await authorizer.issue(Login("token", issued.token), [])
    basic = "Basic " + base64.b64encode(f"token:{issued.token}".encode()).decode()
    assert await verdict(authorizer, basic, PULL) is Verdict.AUTHENTICATE


@pytest.mark.parametrize("left", [5, 0, 1 - LEEWAY])
async def test_a_token_made_of_one_of_theirs_ends_with_it(left: int, gitlab: Issuer) -> None:
    """The leeway for clocks that differ counts once: by the second it would be good for half a minute more."""
    at = [float(NOW)]
    authorizer = Authorizer(book(gitlab), Tokens(new_key(), "node", "r.example", 300), lambda: at[0])
    theirs = token(exp=NOW + left)
    issued = await authorizer.issue(Login("token", theirs), [Scope.parse("repository:atlas/app:pull")])
    for end, said in ((NOW + left + LEEWAY - 1, Verdict.ALLOW), (NOW + left + LEEWAY, Verdict.AUTHENTICATE)):
        at[0] = end
        for each in (theirs, issued.token):
            assert await verdict(authorizer, f"Bearer {each}", PULL) is said


async def test_the_origin_s_own_tokens_are_those_of_an_issuer_to_a_site(authorizer: Authorizer) -> None:
    origin = Tokens(new_key(), "origin", "registry.example", 300)
    known = Issuer("origin", "origin", "registry.example", origin.keys())
    given = origin.sign("alice", [], "", NOW, 300)
    assert known.verify(given, NOW).subject == "origin:alice"


async def test_a_key_that_nobody_knows_is_asked_for_once_a_login(gitlab: Issuer) -> None:
    """The issuer has rotated its keys: the first token by the new one is believed."""
    asked: list[str] = []
    old = Issuer("gitlab", GITLAB, "registry.example", {"keys": KEYS["keys"][:1]})

    async def renew(issuer: str) -> None:
        asked.append(issuer)
        if len(asked) == 1:
            authorizer.replace(book(gitlab))

    tokens = Tokens(new_key(), "node", "node", 300)
    authorizer = Authorizer(book(old), tokens, lambda: NOW, ["r.example"], renew=renew)
    assert await verdict(authorizer, f"Bearer {token()}", PULL) is Verdict.ALLOW
    assert asked == ["gitlab"]
    issued = await authorizer.issue(Login("token", token()), [Scope.parse("repository:atlas/app:pull")])
    assert await verdict(authorizer, f"Bearer {issued.token}", PULL) is Verdict.ALLOW
    assert asked == ["gitlab"]
    assert await verdict(authorizer, f"Bearer {token(OTHER, 'unknown')}", PULL) is Verdict.AUTHENTICATE
    assert asked == ["gitlab"] * 2


async def test_an_issuer_whose_keys_never_came_proves_nothing() -> None:
    with pytest.raises(KeyUnknown, match="could not be fetched yet"):
        KeylessIssuer("gitlab").verify(token(), NOW)
