"""A host that asked for patience is asked nothing until its time has come."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.failures import SourceThrottled, SourceUnavailable
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.board import Card
from registry_mesh.upstream.health.throttles import UNSAID, Throttles
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Client, Way
from tests.simulators.registry import SimulatedRegistry, simulated_registry

HOST, OTHER = "https://registry.example/v2/a", "https://store.example/b"
PATH = "/v2/team/app/manifests/1"


def test_a_host_is_left_alone_until_its_time() -> None:
    now = [100.0]
    throttles = Throttles(HOST, Card.alone(lambda: now[0]))
    assert throttles.left(HOST) is None
    throttles.note(HOST, 429, 60.0)
    now[0] += 59
    assert throttles.left("https://REGISTRY.example:443/v2/else") == (429, 1.0)
    assert throttles.left(OTHER) is None
    now[0] += 1
    assert throttles.left(HOST) is None


def test_without_a_time_only_429_means_a_pause() -> None:
    throttles = Throttles(HOST, Card.alone(lambda: 100.0))
    throttles.note(HOST, 429, None)
    throttles.note(OTHER, 503, None)
    assert throttles.left(HOST) == (429, UNSAID)
    assert throttles.left(OTHER) is None
    throttles.note(OTHER, 429, 0.0)
    assert throttles.left(OTHER) is None, "it said: now"


def app(client: Client, parent: SimulatedRegistry) -> Repository:
    asked = UpstreamRegistry(ParentSession(client, parent.url), RegistryName("registry.example"))
    return asked.repository(RepositoryName("team/app"))


@pytest.mark.parametrize("status", [429, 503])
async def test_many_requests_make_one(status: int) -> None:
    async with simulated_registry() as parent, open_session() as client:
        parent.says(PATH, status=status, headers={"Retry-After": "60"})
        asked = app(client, parent)
        with pytest.raises(SourceUnavailable):
            await asked.tags.resolve(Tag("1"))
        seen = len(parent.asked)
        answers = await asyncio.gather(
            *(asked.tags.resolve(Tag(str(tag))) for tag in range(120)), return_exceptions=True
        )
        assert len(parent.asked) == seen
        for answer in answers:
            assert isinstance(answer, SourceThrottled)
            assert answer.retry_after is not None and 50 < answer.retry_after <= 60
            assert str(status) in answer.reason and "asked again in" in answer.reason


async def test_when_the_time_has_come_it_is_asked_again() -> None:
    async with simulated_registry() as parent, open_session() as client:
        parent.says(PATH, status=429, headers={"Retry-After": "1"})
        asked = app(client, parent)
        with pytest.raises(SourceThrottled):
            await asked.tags.resolve(Tag("1"))
        parent.says(PATH, status=404)
        async with asyncio.timeout(60):
            while True:
                try:
                    await asked.tags.resolve(Tag("1"))
                except SourceThrottled as fault:
                    assert fault.retry_after is not None
                    await asyncio.sleep(fault.retry_after)
                except ManifestUnknown:
                    break


async def test_a_node_of_the_mesh_speaks_of_one_thing_and_holds_the_rest() -> None:
    """It answers 429 and 503 for what it could not fetch, and has other things stored."""
    async with simulated_registry() as parent, open_session() as client:
        headers = {"Retry-After": "60", "Registry-Mesh": "1"}
        parent.says(PATH, status=503, headers=headers)
        asked = app(client, parent)
        with pytest.raises(SourceUnavailable):
            await asked.tags.resolve(Tag("1"))
        with pytest.raises(ManifestUnknown):
            await asked.tags.resolve(Tag("2"))


async def test_where_a_parent_redirects_to_may_ask_for_patience_for_itself() -> None:
    async with (
        simulated_registry() as parent,
        simulated_registry() as store,
        open_session(Way(hosts=frozenset({"127.0.0.1"}))) as client,
    ):

        async def led(request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": f"{store.url}/signed"})

        parent.answers[PATH] = led
        store.says("/signed", status=503, headers={"Retry-After": "60"})
        asked = app(client, parent)
        for _ in range(3):
            with pytest.raises(SourceUnavailable) as fault:
                await asked.tags.resolve(Tag("1"))
            assert fault.value.retry_after is not None and fault.value.retry_after > 50
        assert len(store.asked) == 1
        with pytest.raises(ManifestUnknown):
            await asked.tags.resolve(Tag("2"))
