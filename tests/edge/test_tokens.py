"""The token service over HTTP, and the challenge that leads to it."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import urlencode

import bcrypt
import pytest
import pytest_asyncio

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.access import PUSHING
from registry_mesh.auth.book import Book
from registry_mesh.auth.policies import Policies, levels
from registry_mesh.edge.settings import Settings
from tests.edge.conftest import Answer, Edge, Start
from tests.simulators.role import SimulatedRole

ALICE = "Basic " + base64.b64encode(b"alice:wonder").decode()
WRONG = "Basic " + base64.b64encode(b"alice:wrong").decode()
HASHES = {"alice": bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()}
KEY = new_key()
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
INDEX = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}).encode()


@pytest_asyncio.fixture
async def guarded(start: Start) -> Edge:
    role = SimulatedRole()
    registry = role.repository(None, "team/app").registry
    book = Book(Policies(levels(frozenset(), PUSHING), {}), HASHES)
    authorizer = Authorizer(book, Tokens(KEY, "node", "node", 300), time.time, [registry])
    return await start(role, Settings(policy=authorizer, tokens=authorizer))


async def test_what_it_is_is_told_before_a_login(guarded: Edge) -> None:
    """A node below asks a parent otherwise, once it knows that it is one of ours."""
    answer = await guarded.ask("GET", "/v2/")
    assert (answer.status, answer.headers["registry-mesh"]) == (401, "origin")
    refused = await guarded.ask("GET", "/v2/team/app/tags/list")
    assert (refused.status, refused.headers.get("registry-mesh")) == (401, None)


def token(answer: Answer) -> str:
    body = json.loads(answer.body)
    assert (answer.status, body["token"], body["expires_in"]) == (200, body["access_token"], 300)
    assert answer.headers["cache-control"] == "no-store"
    return f"Bearer {body['token']}"


async def test_from_a_challenge_to_an_answer(guarded: Edge) -> None:
    refused = await guarded.ask("GET", "/v2/team/app/tags/list")
    assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
    scope = f'realm="{guarded.url}/token",service="node",scope="repository:team/app:pull"'
    assert refused.headers["www-authenticate"] == f"Bearer {scope}"
    given = await guarded.ask(
        "GET", "/token?service=node&scope=repository:team/app:pull", Authorization=ALICE
    )
    answer = await guarded.ask("GET", "/v2/team/app/blobs/sha256:" + "0" * 64, Authorization=token(given))
    assert answer.status == 404


async def test_a_form_as_containerd_sends_it(guarded: Edge) -> None:
    form = {"grant_type": "password", "service": "node", "client_id": "containerd-client"}
    form |= {"username": "alice", "password": "wonder", "scope": "repository:team/app:pull,push"}
    given = await guarded.ask("POST", "/token", urlencode(form))
    assert (
        await guarded.ask("POST", "/v2/team/app/blobs/uploads/", Authorization=token(given))
    ).status == 202
    form["password"] = "wrong"
    assert (await guarded.ask("POST", "/token", urlencode(form))).status == 401


async def test_basic_on_each_request(guarded: Edge) -> None:
    assert (await guarded.ask("GET", "/v2/", Authorization=ALICE)).status == 200
    assert (await guarded.ask("POST", "/v2/team/app/blobs/uploads/", Authorization=ALICE)).status == 202
    refused = await guarded.ask("GET", "/v2/", Authorization=WRONG)
    assert (refused.status, 'error="invalid_token"' in refused.headers["www-authenticate"]) == (401, True)


async def test_a_token_for_reading_does_not_write(guarded: Edge) -> None:
    reading = token(await guarded.ask("GET", "/token?scope=repository:team/app:pull", Authorization=ALICE))
    refused = await guarded.ask("POST", "/v2/team/app/blobs/uploads/", Authorization=reading)
    assert refused.status == 401
    asked = 'scope="repository:team/app:pull,push",error="insufficient_scope"'
    assert refused.headers["www-authenticate"].endswith(asked)


async def test_every_path_of_the_table_needs_a_login(guarded: Edge) -> None:
    digest = "sha256:" + "0" * 64
    for method, path in [
        ("GET", "/v2/"),
        ("GET", "/v2"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/_mesh/x"),
        ("HEAD", f"/v2/team/app/blobs/{digest}"),
        ("GET", f"/v2/team/app/_mesh/chunks/{digest}"),
        ("GET", f"/v2/team/app/referrers/{digest}"),
        ("GET", "/v2/team/app/manifests/1"),
        ("PUT", "/v2/team/app/manifests/1"),
        ("DELETE", "/v2/team/app/manifests/1"),
        ("POST", f"/v2/team/app/blobs/uploads/?mount={digest}&from=team/other"),
        ("PATCH", "/v2/team/app/blobs/uploads/x"),
    ]:
        assert (await guarded.ask(method, path)).status == 401, (method, path)


@pytest.mark.parametrize(
    ("method", "path", "body", "authorization", "status"),
    [
        ("GET", "/token?scope=nonsense", None, ALICE, 400),
        ("GET", "/token?scope=" + "repository:a:pull+" * 65, None, ALICE, 400),
        ("GET", "/token", None, WRONG, 401),
        ("GET", "/token", None, "Bearer x", 401),
        ("GET", "/token", None, None, 200),
        ("GET", "/token?scope=registry:catalog:*", None, ALICE, 200),
        ("POST", "/token", "", None, 400),
        ("POST", "/token", "grant_type=refresh_token&refresh_token=x", None, 400),
        ("POST", "/token", "grant_type=password&username=alice", None, 400),
        ("POST", "/token", "x=" + "y" * (64 << 10), None, 414),
        ("PUT", "/token", None, ALICE, 405),
        ("GET", "/.well-known/jwks.json", None, None, 200),
    ],
)
async def test_answers_of_the_service(
    guarded: Edge, method: str, path: str, body: str | None, authorization: str | None, status: int
) -> None:
    fields = {"Authorization": authorization} if authorization else {}
    assert (await guarded.ask(method, path, body, **fields)).status == status


@pytest.mark.parametrize(
    ("path", "allowed"), [("/token", "GET, POST"), ("/.well-known/jwks.json", "GET, HEAD")]
)
async def test_other_methods_are_told_which_there_are(guarded: Edge, path: str, allowed: str) -> None:
    answer = await guarded.ask("DELETE", path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


async def test_two_logins_are_none(guarded: Edge) -> None:
    async with guarded.raw() as (reader, writer):
        lines = f"Authorization: {ALICE}\r\nAuthorization: {WRONG}\r\n"
        writer.write(f"GET /v2/ HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        assert (await reader.readline()).split()[1] == b"400"


async def test_a_host_that_is_none_is_not_sent_back(guarded: Edge) -> None:
    answer = await guarded.ask("GET", "/v2/", Host='evil"x')
    assert answer.headers.get("www-authenticate", 'Bearer realm="/token"').startswith('Bearer realm="/token"')


async def test_without_users_there_is_no_token_service(edge: Edge) -> None:
    assert (await edge.ask("GET", "/token")).status == 404


async def test_the_listing_has_a_scope_of_its_own_and_shows_what_may_be_pulled(guarded: Edge) -> None:
    await guarded.shelf.put_blob(b"layer")
    await guarded.ask("PUT", "/v2/team/app/manifests/1", INDEX, Authorization=ALICE, Content_Type=INDEX_TYPE)
    refused = await guarded.ask("GET", "/v2/_catalog")
    assert (refused.status, 'scope="registry:catalog:*"' in refused.headers["www-authenticate"]) == (
        401,
        True,
    )
    narrow = token(await guarded.ask("GET", "/token?scope=repository:team/app:pull", Authorization=ALICE))
    refused = await guarded.ask("GET", "/v2/_catalog", Authorization=narrow)
    assert (refused.status, 'error="insufficient_scope"' in refused.headers["www-authenticate"]) == (
        401,
        True,
    )
    wide = token(await guarded.ask("GET", "/token?scope=registry:catalog:*", Authorization=ALICE))
    for shown in (wide, ALICE):
        listed = await guarded.ask("GET", "/v2/_catalog", Authorization=shown)
        assert (listed.status, json.loads(listed.body)) == (200, {"repositories": ["team/app"]})
    opened = await guarded.ask("GET", "/v2/team/app/tags/list", Authorization=wide)
    assert opened.status == 401, "to be told of a repository is no right to read it"
