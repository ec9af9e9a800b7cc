"""Parsers of logins, of tokens, and of where they may be shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Final

from registry_mesh.access.issuers import issuer_of
from registry_mesh.access.tokens import TokenInvalid, Tokens, new_key
from registry_mesh.auth.basic import parse_basic, parse_bearer
from registry_mesh.auth.challenge import parse_challenges
from registry_mesh.auth.grants import Grants
from registry_mesh.auth.hosts import inner_host, place
from registry_mesh.auth.htpasswd import parse_htpasswd
from registry_mesh.auth.realms import may_ask
from registry_mesh.auth.scopes import scopes_to_ask
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.upstream.login.credentials import CredentialsInvalid, parse_answer, parse_document
from registry_mesh.upstream.login.token_answer import parse_answer as parse_token_answer
from registry_mesh.webhooks.signature import SecretInvalid, key_of
from tests.fuzz.parser import Parser, field, json_of, text

_TOKENS: Final = Tokens(new_key(), "node", "service", 300)

_CHALLENGE: Final = (
    b'Bearer realm="https://a/token",service="s",scope="repository:a/b:pull,push", Basic realm="r"'
)

_DOCKER: Final = json_of(
    {
        "auths": {"https://index.docker.io/v1/": {"auth": base64.b64encode(b"u:p").decode()}},
        "credHelpers": {"h": "x"},
    }
)

_DEEP: Final = ".".join(
    base64.urlsafe_b64encode(each).rstrip(b"=").decode()
    for each in (b'{"alg":"ES256","typ":"JWT"}', b'{"iss":' + b"[" * 3000 + b"]" * 3000 + b"}", b"x")
).encode()


def _docker(written: str) -> None:
    found = parse_document(written)
    for url in ("https://index.docker.io", "https://h.example:5000/a"):
        found.docker.faults(url)
        found.docker.knows(url)
        found.docker.helper(url)
        found.docker.lacks(url)


LOGINS: Final[Sequence[Parser]] = (
    Parser("basic", field(parse_basic), (Refusal,), [b"Basic " + base64.b64encode(b"u:p"), b"Basic dTpw="]),
    Parser("bearer", field(parse_bearer), (), [b"Bearer a.b.c"]),
    Parser(
        "challenge", field(lambda each: parse_challenges([each, each])), (), [_CHALLENGE, b"Negotiate abc=="]
    ),
    Parser(
        "scopes", field(lambda each: scopes_to_ask(each, "repository:a:pull")), (), [b"repository:a:pull b"]
    ),
    Parser(
        "realm",
        field(lambda each: may_ask(each, "https://a.example")),
        (),
        [b"https://auth.a.example:443/t?x"],
    ),
    Parser(
        "host",
        field(lambda each: (place(each), inner_host(each))),
        (),
        [b"http://[::ffff:7f00:1]:80/", b"//x"],
    ),
    Parser(
        "token",
        field(lambda each: _TOKENS.verify(each, 1e9)),
        (TokenInvalid,),
        [_TOKENS.sign("a", [], "", 1e9, 60).encode(), _DEEP],
    ),
    Parser("issuer", field(issuer_of), (), [_TOKENS.sign("a", [], "", 1e9, 60).encode(), _DEEP]),
    Parser(
        "token-answer",
        lambda data: parse_token_answer(data, 1e9),
        (ValueError, Failure),
        [json_of({"token": "x", "expires_in": 60, "issued_at": "2026-11-29T00:00:00Z"})],
    ),
    Parser(
        "access-claim",
        lambda data: Grants.read(json.loads(data)),
        (ValueError, RecursionError),
        [json_of([{"type": "repository", "name": "a", "actions": ["pull"]}])],
    ),
    Parser(
        "htpasswd",
        text(parse_htpasswd),
        (),
        [b"a:$2y$05$abcdefghijklmnopqrstuv\n#c\nb:$argon2id$v=19$m=1,t=1,p=1$AA$AA"],
    ),
    Parser(
        "docker-config",
        text(_docker),
        (CredentialsInvalid,),
        [_DOCKER, b'{"username": "u", "password": "p"}'],
    ),
    Parser(
        "credential-answer",
        text(lambda each: parse_answer(each, "", 0.0)),
        (CredentialsInvalid,),
        [b'{"username": "u", "password": "p", "expires_in": 5}', b"u:p"],
    ),
    Parser("webhook-secret", text(key_of), (SecretInvalid,), [b"whsec_" + base64.b64encode(bytes(32))]),
)
