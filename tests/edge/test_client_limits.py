"""What one client may have, whatever others do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from ipaddress import ip_network
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.basic import Login
from registry_mesh.auth.book import Book
from registry_mesh.auth.grants import Scope
from registry_mesh.auth.policies import Policies
from registry_mesh.edge.client_limits import AHEAD, CLIENTS, ClientLimits, Limits, client_of
from registry_mesh.edge.settings import Settings
from registry_mesh.ports.access import Issued
from registry_mesh.ports.client import CLIENT
from tests.edge.conftest import Answer, Edge, Start
from tests.eventually import eventually
from tests.simulators.role import SimulatedRole


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("10.1.2.3", ""),
        ("::ffff:10.1.2.3", ""),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_whom_an_address_stands_for(address: str, client: str) -> None:
    assert client_of(address, (ip_network("10.0.0.0/8"), ip_network("2001:db9::/32"))) == client


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200), st.floats(1, 50))
def test_on_average_no_more_than_the_rate(gaps: list[float], rate: float) -> None:
    limits, now, let_in = ClientLimits(Limits(requests=rate)), 1000.0, 0
    for gap in gaps:
        now += gap
        wait = limits.wait("a", now)
        let_in += wait == 0.0
        assert 0.0 <= wait <= 1 / rate
        assert limits.wait("", now) == 0.0, "an exempt client has no bound"
    assert let_in <= rate * (sum(gaps) + AHEAD) + 2


def test_an_answer_s_bytes_are_waited_for_and_others_do_not_wait() -> None:
    limits = ClientLimits(Limits(bytes=1000))
    assert limits.wait("a", 0.0) == 0.0
    limits.spend("a", 60_000, 0.0)
    assert limits.wait("a", 0.0) == pytest.approx(60 - AHEAD)
    assert limits.wait("b", 0.0) == 0.0
    assert limits.wait("a", 60.0 - AHEAD) == 0.0


def test_a_flood_of_addresses_takes_no_memory_without_end() -> None:
    limits = ClientLimits(Limits(requests=1))
    for number in range(CLIENTS + 10):
        limits.wait(str(number), 0.0)
    limits.wait("0", 0.0)
    assert len(limits) == CLIENTS


async def test_hits_and_others_are_refused_with_a_time(start: Start) -> None:
    role = SimulatedRole("site")
    edge = await start(role, Settings(client_limits=Limits(requests=2)))
    blob = await role.shelf("team/app").put_blob(b"layer")
    path = f"/v2/team/app/blobs/{blob}"
    assert [(await edge.ask("GET", path)).status for _ in range(10)] == [200] * 10
    refused = await until_refused(edge, path)
    assert refused.status == 503, "a client of a site asks elsewhere"
    assert int(refused.headers["retry-after"]) == 1
    assert refused.code == "TOOMANYREQUESTS"
    at_origin = await start(SimulatedRole(), Settings(client_limits=Limits(requests=1)))
    assert (await until_refused(at_origin, "/v2/")).status == 429


async def until_refused(edge: Edge, path: str) -> Answer:
    """The first answer to one who asks faster than it may that is another than 200: soon, unless the machine is
    asleep."""

    async def ask() -> Answer:
        return await edge.ask("GET", path)

    return cast(
        Answer, await eventually(ask, "a refusal", pause=0, until=lambda answer: answer.status != 200)
    )


async def test_one_client_s_connections(start: Start) -> None:
    edge = await start(SimulatedRole("site"), Settings(client_limits=Limits(connections=2)))
    async with edge.raw() as first, edge.raw() as second, edge.raw() as third:
        for (reader, writer), status in ((first, b"200"), (second, b"200"), (third, b"503")):
            writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).split()[1] == status
    exempt = Settings(client_limits=Limits(connections=1, exempt=(ip_network("127.0.0.0/8"),)))
    edge = await start(SimulatedRole("site"), exempt)
    async with edge.raw(), edge.raw() as (reader, writer):
        writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"


class Heard(Authorizer):
    """Notes whose logins it verifies."""

    clients: list[str]

    async def learn(self, authorization: str) -> None:
        self.clients.append(CLIENT.get())
        await super().learn(authorization)

    async def issue(self, login: Login | None, scopes: Sequence[Scope]) -> Issued:
        self.clients.append(CLIENT.get())
        return await super().issue(login, scopes)


@pytest.mark.parametrize(
    ("limits", "client"),
    [(Limits(unknown=10), "127.0.0.1"), (Limits(unknown=10, exempt=(ip_network("127.0.0.0/8"),)), "")],
)
async def test_who_verifies_a_login_knows_whose_it_is(start: Start, limits: Limits, client: str) -> None:
    """So that one client's wrong passwords leave room for the logins of others."""
    heard = Heard(Book(Policies((), {})), Tokens(new_key(), "node", "node", 300), time.time)
    heard.clients = []
    settings = Settings(policy=heard, tokens=heard, client_limits=limits)
    edge = await start(SimulatedRole(), settings)
    for path in ("/v2/", "/token"):
        answer = await edge.ask("GET", path, Authorization="Basic YTpi")
        assert answer.status == 401
    assert heard.clients == [client, client]
