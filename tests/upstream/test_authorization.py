"""The dialogue about who we are, with a registry and a token service on real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from email.utils import formatdate
from typing import NoReturn, cast

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from registry_mesh.auth.challenge import Challenge
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.failures import (
    Failure,
    LoginRefused,
    SourceDenied,
    SourceThrottled,
    SourceUnavailable,
)
from registry_mesh.ports.pieces import in_memory
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.login.authorization import Authorization, Question
from registry_mesh.upstream.login.credentials import Credentials
from registry_mesh.upstream.login.logins import FixedLogin, Login
from registry_mesh.upstream.login.token_service import Demand, TokenService
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Client, Way
from tests.eventually import eventually
from tests.simulators.guarded import DATA, DIGEST, USUAL, GuardedRegistry, basic, guarded_registry
from tests.simulators.origins import HandClock
from tests.simulators.upstream import PATIENT

ME = Credentials("u", "p")
WRONG = Credentials("u", "wrong")


class Reader:
    """Reads the blob of a guarded registry through a session of ours."""

    def __init__(self, session: ParentSession) -> None:
        self.session = session

    async def read(self, repository: str = "app/img", registry: str = "registry.example") -> bytes:
        upstream = UpstreamRegistry(self.session, RegistryName(registry))
        async with upstream.repository(RepositoryName(repository)).blobs.open(DIGEST) as reading:
            return b"".join([piece async for piece in in_memory(reading)])


class World:
    """Guarded registries, and readers of them."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack

    async def guarded(self) -> GuardedRegistry:
        return await self.stack.enter_async_context(guarded_registry())

    async def reader(
        self,
        parent: GuardedRegistry,
        login: Login | Credentials | None = None,
        token_service: str = "",
        hosts: set[str] | None = None,
    ) -> Reader:
        """`hosts`: that may lie inside a network."""
        http = await self.stack.enter_async_context(open_session(Way(hosts=frozenset(hosts or ()))))
        session = ParentSession(http, parent.url, login, PATIENT, token_service=token_service)
        self.stack.push_async_callback(session.close)
        return Reader(session)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)


@pytest.fixture
async def parent(world: World) -> GuardedRegistry:
    return await world.guarded()


# -- challenges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ['Basic realm="r", ' + USUAL],
        ["Negotiate, " + USUAL],
        ['Basic realm="r"', USUAL],
        [USUAL, 'Basic realm="r"'],
        ["Negotiate abc==", 'Digest realm="a, Bearer", nonce="n"', "  ,," + USUAL],
        [USUAL.replace("Bearer ", "BEARER\t")],
        ["Bearer realm={realm},service=s,scope={scope}"],
        ['Bearer realm="file:///etc/passwd"', USUAL],
    ],
)
@pytest.mark.parametrize("login", [None, ME])
async def test_a_token_is_found_among_other_challenges(
    world: World, parent: GuardedRegistry, lines: list[str], login: Credentials | None
) -> None:
    parent.challenges, parent.anonymous = lines, True
    assert await (await world.reader(parent, login)).read() == DATA
    (asked,) = parent.asked
    assert (asked.scopes, asked.service) == (["repository:app/img:pull"], "s")
    assert asked.authorization == (basic("u", "p") if login else "")


async def test_basic_is_answered_where_the_token_service_may_not_be_asked(
    world: World, parent: GuardedRegistry
) -> None:
    parent.challenges = ['Bearer realm="http://169.254.169.254/t", Basic realm="r"']
    assert await (await world.reader(parent, ME)).read() == DATA


@pytest.mark.parametrize(
    ("demanded", "asked"),
    [
        ("repository:team/app/img:pull", ["repository:team/app/img:pull"]),
        ("repository:app/img:pull repository:base:pull", ["repository:app/img:pull", "repository:base:pull"]),
        ("repository(plugin):app/img:pull", ["repository(plugin):app/img:pull"]),
        ("registry:catalog:*", ["registry:catalog:*"]),
        ("aws", ["aws"]),
    ],
)
@pytest.mark.parametrize("methods", [("GET",), ("POST",)])
async def test_the_challenges_scope_is_asked_for(
    world: World, parent: GuardedRegistry, demanded: str, asked: list[str], methods: tuple[str, ...]
) -> None:
    parent.challenges, parent.methods = [USUAL.replace("{scope}", demanded)], methods
    parent.scope = asked[0]
    reader = await world.reader(parent, ME)
    assert await reader.read() == await reader.read() == DATA
    assert parent.asked[-1].scopes == asked
    assert len(parent.requests) == 3


async def test_a_placeholder_for_a_scope_is_no_dead_end(world: World, parent: GuardedRegistry) -> None:
    parent.challenges = [USUAL.replace("{scope}", "repository:user/image:pull")]
    assert await (await world.reader(parent, ME)).read() == DATA
    assert [asked.scopes for asked in parent.asked] == [
        ["repository:user/image:pull"],
        ["repository:app/img:pull"],
    ]


async def test_tokens_are_kept_apart_by_registry_and_repository(
    world: World, parent: GuardedRegistry
) -> None:
    reader = await world.reader(parent, ME)
    for registry, repository in (("a.example", "app"), ("b.example", "app"), ("a.example", "other")):
        for _ in range(2):
            assert await reader.read(repository, registry) == DATA
    assert len(parent.asked) == 3
    assert len({shown for _, _, shown in parent.requests if shown}) == 3


async def test_many_at_once_ask_for_one_token(world: World, parent: GuardedRegistry) -> None:
    reader = await world.reader(parent, ME)
    assert set(await asyncio.gather(*(reader.read() for _ in range(30)))) == {DATA}
    assert len(parent.asked) == 1
    parent.revoke()  # as if its time were over sooner than was said
    assert set(await asyncio.gather(*(reader.read() for _ in range(30)))) == {DATA}
    assert len(parent.asked) == 2


async def test_a_token_is_renewed_beside_its_use(world: World, parent: GuardedRegistry) -> None:
    issued = formatdate(usegmt=True)
    parent.document = lambda token: {"token": token, "expires_in": 2, "issued_at": issued}
    reader = await world.reader(parent, ME)

    async def renewed() -> bool:
        assert await reader.read() == DATA
        return len(parent.asked) >= 3

    await eventually(renewed, "the third token", pause=0.05)
    assert len({shown for _, _, shown in parent.requests if shown}) >= 2


# -- the ways to a token --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404, 405])
async def test_a_service_that_takes_post_alone(world: World, parent: GuardedRegistry, status: int) -> None:
    parent.methods, parent.no_method = ("POST",), status
    parent.document = lambda token: {"access_token": token, "expires_in": 300}
    reader = await world.reader(parent, ME)
    assert await reader.read("a") == await reader.read("b") == DATA
    assert [asked.method for asked in parent.asked] == ["GET", "POST", "POST"]
    assert parent.asked[-1].form == {
        "grant_type": "password", "username": "u", "password": "p", "service": "s", "client_id": "registry-mesh",
        "scope": "repository:b:pull",
    }  # fmt: skip


async def test_an_identity_token_is_exchanged_by_post(world: World, parent: GuardedRegistry) -> None:
    parent.identity_tokens = {"identity"}
    login = Credentials("00000000-0000-0000-0000-000000000000", "", "identity")
    reader = await world.reader(parent, login)
    assert await reader.read() == DATA
    (asked,) = parent.asked
    assert (asked.method, asked.authorization) == ("POST", "")
    assert (asked.form["grant_type"], asked.form["refresh_token"]) == ("refresh_token", "identity")


async def test_an_identity_token_that_is_replaced_is_used_and_the_first_one_where_that_fails(
    world: World, parent: GuardedRegistry
) -> None:
    parent.identity_tokens = {"first", "second"}
    parent.document = lambda token: {"access_token": token, "refresh_token": "second"}
    reader = await world.reader(parent, Credentials(identity_token="first"))
    assert await reader.read("a") == await reader.read("b") == DATA
    assert [asked.form["refresh_token"] for asked in parent.asked] == ["first", "second"]


async def test_a_registry_token_is_shown_as_it_is(world: World, parent: GuardedRegistry) -> None:
    parent.good["mine"] = "repository:app/img:pull"
    reader = await world.reader(parent, Credentials(registry_token="mine"))
    assert await reader.read() == await reader.read() == DATA
    assert not parent.asked
    assert len(parent.requests) == 3


async def test_a_token_service_elsewhere_is_told_nothing_without_its_key(
    world: World, parent: GuardedRegistry
) -> None:
    service = await world.guarded()
    service.good = parent.good
    parent.realm = f"{service.url}/token"
    with pytest.raises(SourceDenied, match="configure token_service"):
        await (await world.reader(parent, ME)).read()
    assert not service.asked
    assert await (await world.reader(parent, ME, service.url)).read() == DATA
    assert service.asked[0].authorization == basic("u", "p")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_token_service_may_have_moved(world: World, parent: GuardedRegistry, status: int) -> None:
    parent.moved, parent.moved_by = ["/token", parent.realm], status
    assert await (await world.reader(parent, ME)).read() == DATA
    assert {each.authorization for each in parent.asked} == {basic("u", "p")}


async def test_where_a_token_service_leads_the_login_is_not_told(
    world: World, parent: GuardedRegistry
) -> None:
    service = await world.guarded()
    service.anonymous, service.good = True, parent.good
    parent.moved = [service.realm]
    reader = await world.reader(parent, ME, hosts={"127.0.0.1"})
    assert await reader.read() == DATA
    assert parent.asked[0].authorization == basic("u", "p")
    assert [each.authorization for each in service.asked] == [""]


async def test_a_path_is_the_parents_own_token_service(world: World, parent: GuardedRegistry) -> None:
    for realm in ("/token", f"//{URL(parent.url).authority}/token", f" {parent.url}/token "):
        parent.realm = realm
        assert await (await world.reader(parent, ME)).read() == DATA
    for realm in ("", "token", "file:///token"):
        parent.realm = realm
        with pytest.raises(SourceDenied):
            await (await world.reader(parent, ME)).read()
    assert len(parent.asked) == 3


class Unreachable:
    """In the place of a client: nobody answers, and who was asked with which login is written down."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def request(self, method: str, url: URL, *, headers: dict[str, str], **more: object) -> NoReturn:
        self.asked.append((url.host or "", headers.get("Authorization", "")))
        raise aiohttp.ClientConnectionError("nobody is there")


async def test_the_first_token_service_that_is_told_the_login_is_the_only_one() -> None:
    """A parent that names another later may have been taken over, though that one stands in its domain."""
    client = Unreachable()
    authorization = Authorization(cast("Client", client), "https://registry.example.com", FixedLogin(ME))
    for host in ("auth.example.com", "other.example.com", "auth.example.com"):
        challenge = Challenge("bearer", {"realm": f"https://{host}/token", "service": "s"})
        with pytest.raises(Failure):
            await authorization.answer([challenge], Question("", "repository:a/b:pull"), ME, False)
    await authorization.close()
    told = [host for host, shown in client.asked if shown == basic("u", "p")]
    assert set(told) == {"auth.example.com"} and told[-1] == "auth.example.com"
    assert ("other.example.com", "") in client.asked, "asked for what needs no login"


async def test_a_refusal_where_the_parent_led_to_is_not_answered(
    world: World, parent: GuardedRegistry
) -> None:
    """Its challenge is a stranger's: nothing is asked for, and nothing is shown."""
    stranger = await world.guarded()
    stranger.realm = f"{parent.url}/token"
    parent.leads_to = stranger.url
    http = await world.stack.enter_async_context(open_session(Way(hosts=frozenset({"127.0.0.1"}))))
    session = ParentSession(http, parent.url, ME)
    world.stack.push_async_callback(session.close)
    with pytest.raises(SourceDenied, match="where it led to"):
        await Reader(session).read()
    assert [shown for _, _, shown in stranger.requests] == [""]
    assert not parent.asked and not stranger.asked


# -- troubles -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, ME, Credentials(identity_token="identity")])
@pytest.mark.parametrize("status", [500, 502, 503, 301, 408])
async def test_a_service_in_trouble_is_no_refusal(
    world: World, parent: GuardedRegistry, status: int, login: Credentials | None
) -> None:
    parent.anonymous, parent.identity_tokens = True, {"identity"}
    parent.trouble = [web.Response(status=status, headers={"Retry-After": "9"})]
    reader = await world.reader(parent, login)
    with pytest.raises(SourceUnavailable, match=rf"token service 127.0.0.1:\d+ answered {status}") as failure:
        await reader.read()
    assert failure.value.retry_after == 9
    assert await reader.read() == DATA


async def test_a_service_that_is_throttled_is_left_alone_for_as_long_as_it_says(
    world: World, parent: GuardedRegistry
) -> None:
    parent.trouble = [web.Response(status=429, headers={"Retry-After": "60"})]
    reader = await world.reader(parent, ME)
    with pytest.raises(SourceThrottled) as failure:
        await reader.read()
    assert failure.value.retry_after == 60
    with pytest.raises(SourceThrottled, match="patience"):
        await reader.read()
    assert len(parent.asked) == 1


async def test_a_service_that_was_throttled_is_asked_again_when_its_time_has_come(
    world: World, parent: GuardedRegistry
) -> None:
    parent.trouble = [web.Response(status=429, headers={"Retry-After": "60"})]
    clock = HandClock()
    http = await world.stack.enter_async_context(open_session(Way(hosts=frozenset({"127.0.0.1"}))))
    service = TokenService(http, "parent", clock=clock)
    demand = Demand(parent.realm, "s", ("repository:app/img:pull",))
    for _ in range(2):
        with pytest.raises(SourceThrottled):
            await service.token(demand, ME)
    clock.now += 59
    with pytest.raises(SourceThrottled, match="patience") as failure:
        await service.token(demand, ME)
    assert (failure.value.retry_after, len(parent.asked)) == (1, 1)
    clock.now += 1
    assert (await service.token(demand, ME)).token == "t1"


async def test_a_service_that_cannot_be_reached(world: World, parent: GuardedRegistry) -> None:
    async with guarded_registry() as gone:
        parent.realm = f"{gone.url}/token"
    with pytest.raises(SourceUnavailable, match="cannot be asked"):
        await (await world.reader(parent, ME, parent.realm)).read()


@pytest.mark.parametrize(
    "body",
    ["<html>busy</html>", "{}", '{"token": ""}', '{"token": "a b"}', "x" * (2 << 20)],
    ids=lambda b: b[:20],
)
async def test_an_answer_without_a_token_is_the_services_trouble(
    world: World, parent: GuardedRegistry, body: str
) -> None:
    parent.trouble = [web.Response(text=body)]
    with pytest.raises(SourceUnavailable, match="the answer of the token service"):
        await (await world.reader(parent, ME)).read()


@pytest.mark.parametrize(
    ("login", "status"),
    [(WRONG, 401), (Credentials(identity_token="wrong"), 401), (Credentials(identity_token="wrong"), 400)],
)
async def test_a_wrong_login_is_called_so_and_not_shown_again_and_again(
    world: World,
    parent: GuardedRegistry,
    login: Credentials,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    parent.refuses_login = status
    reader = await world.reader(parent, login)
    for _ in range(5):
        with pytest.raises(LoginRefused, match="login"):
            await reader.read()
    assert len([asked for asked in parent.asked if asked.method == "GET"]) <= 1
    assert len(parent.asked) <= 2
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage() == "a parent does not take our login: put the right one in its place"
    assert "wrong" not in str(vars(line))


async def test_a_wrong_password_by_basic(
    world: World, parent: GuardedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    parent.challenges = ['Basic realm="r"']
    reader = await world.reader(parent, WRONG)
    for _ in range(3):
        with pytest.raises(LoginRefused, match="is not taken: answered 401"):
            await reader.read()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


@pytest.mark.parametrize("lines", [[], ['Basic realm="r"'], ["Negotiate"], [USUAL]])
async def test_without_a_login_a_refusal_is_a_refusal(
    world: World, parent: GuardedRegistry, lines: list[str]
) -> None:
    parent.challenges = lines
    with pytest.raises(SourceDenied, match="401"):
        await (await world.reader(parent)).read()


async def test_what_a_good_login_may_not_is_a_refusal(world: World, parent: GuardedRegistry) -> None:
    parent.scope = "repository:private:pull"
    parent.challenges = [USUAL.replace("{scope}", "repository:app/img:pull")]
    with pytest.raises(SourceDenied, match="401"):
        await (await world.reader(parent, ME)).read()
    parent.trouble = [web.Response(status=403)]
    with pytest.raises(SourceDenied, match=r"token service .* answered 403"):
        await (await world.reader(parent, ME)).read()


async def test_a_403_is_not_argued_with(world: World, parent: GuardedRegistry) -> None:
    parent.refusal, parent.challenges = 403, []
    with pytest.raises(SourceDenied, match="403"):
        await (await world.reader(parent, ME)).read()
    assert len(parent.requests) == 1


@pytest.mark.parametrize("line", [USUAL, 'Basic realm="r"'])
async def test_a_403_that_asks_for_a_login_is_answered(
    world: World, parent: GuardedRegistry, line: str
) -> None:
    parent.refusal, parent.challenges = 403, [line]
    assert await (await world.reader(parent, ME)).read() == DATA
    with pytest.raises(SourceDenied, match=r"answered 40[13]"):
        await (await world.reader(parent)).read()


@pytest.mark.parametrize("line", ['Bearer realm="{realm}",service="s"', 'Basic realm="r"'])
@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_is_demanded_at_the_base_alone(
    world: World, parent: GuardedRegistry, status: int, line: str
) -> None:
    """Where docker and podman ask first. By 404 a registry hides what not everybody may see."""
    parent.refusal, parent.challenges, parent.base = status, [], [line]
    reader = await world.reader(parent, ME)
    assert await reader.read("app/img") == DATA
    assert await reader.read("app/img") == DATA
    assert len(parent.requests) == 3
    parent.forbidden = {"private"}
    with pytest.raises(BlobUnknown if status == 404 else SourceDenied):
        await reader.read("private")


async def test_without_a_login_404_is_no_demand(world: World, parent: GuardedRegistry) -> None:
    parent.refusal, parent.challenges, parent.base = 404, [], [USUAL]
    parent.anonymous = True
    with pytest.raises(BlobUnknown):
        await (await world.reader(parent)).read()
    assert not parent.asked
    parent.challenges = [USUAL]
    assert await (await world.reader(parent)).read() == DATA


async def test_a_base_that_demands_nothing_is_asked_once(world: World, parent: GuardedRegistry) -> None:
    parent.refusal, parent.challenges = 404, []
    reader = await world.reader(parent, ME)
    visits: list[int] = []
    for _ in range(3):
        with pytest.raises(BlobUnknown):
            await reader.read()
        visits.append(parent.visits)
    assert visits == visits[:1] * 3
    assert (len(parent.requests), len(parent.asked)) == (3, 0)


async def test_a_401_to_a_password_that_is_good_elsewhere_is_about_what_was_asked(
    world: World, parent: GuardedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    parent.challenges = ['Basic realm="r"']
    parent.forbidden = {"private"}
    reader = await world.reader(parent, ME)
    assert await reader.read("app") == DATA
    with pytest.raises(SourceDenied, match="401"):
        await reader.read("private")
    assert await reader.read("app") == DATA
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_login_that_goes_to_nobody_says_why(world: World, parent: GuardedRegistry) -> None:
    """Behind a name of an inner network an anonymous token may be asked, and the login is not told."""
    service = await world.guarded()
    parent.realm = f"{service.url}/token"
    for failing in (WRONG, ME):
        with pytest.raises(Failure, match="configure token_service"):
            await (await world.reader(parent, failing)).read()
    assert all(not asked.authorization for asked in service.asked)
