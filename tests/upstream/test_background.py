"""What background work leaves of a parent to clients."""

from __future__ import annotations

import time

import pytest

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.failures import SourceThrottled
from registry_mesh.ports.standing import Quota
from registry_mesh.ports.urgency import Urgency, unhurried
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.background import LATELY, QUOTA_LASTS, Background, kept_for
from registry_mesh.upstream.health.board import Board, Card
from registry_mesh.upstream.pull_reports import report
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.revocations import fetch_revoked
from registry_mesh.upstream.session import ParentSession
from tests.simulators.registry import simulated_registry

DOCUMENT = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}'


@pytest.mark.parametrize(
    ("quota", "seconds"),
    [
        (Quota(26, 100, 160.0, 100.0), 0.0),
        (Quota(25, 100, 160.0, 100.0), 60.0),
        (Quota(0, 100, 160.0, 100.0), 60.0),
        (Quota(11, None, 160.0, 100.0), 0.0),
        (Quota(10, None, 160.0, 100.0), 60.0),
        (Quota(10, 100, None, 100.0), QUOTA_LASTS),
        (Quota(10, 100, None, 100.0 - QUOTA_LASTS), 0.0),
    ],
)
def test_the_last_of_a_quota_is_kept(quota: Quota, seconds: float) -> None:
    assert kept_for(quota, now=100.0) == seconds


async def test_a_parent_that_has_little_left_is_asked_for_clients_alone() -> None:
    async with simulated_registry() as parent, open_session() as client:
        fields = {"RateLimit-Limit": "100", "RateLimit-Remaining": "20", "RateLimit-Reset": "60"}
        manifest = "application/vnd.oci.image.manifest.v1+json"
        for name in ("1", "2"):
            parent.says(
                f"/v2/team/app/manifests/{name}", text=DOCUMENT, content_type=manifest, headers=fields
            )
        session = ParentSession(client, parent.url, ns="never")
        tags = (
            UpstreamRegistry(session, RegistryName("r.example")).repository(RepositoryName("team/app")).tags
        )
        await tags.resolve(Tag("1"))
        asked = len(parent.asked)
        with unhurried(), pytest.raises(SourceThrottled, match="20 requests more, which are kept") as failure:
            await tags.resolve(Tag("2"))
        assert failure.value.retry_after == pytest.approx(60, abs=5)
        assert len(parent.asked) == asked
        await tags.resolve(Tag("2"))
        assert len(parent.asked) > asked


async def test_what_a_node_asks_for_itself_holds_up_no_background_work() -> None:
    """It asks for revocations every three seconds: for one of them runs would stand still."""
    async with simulated_registry() as parent, open_session() as client:
        parent.says("/v2/_mesh/revoked", text="{}", content_type="application/json")
        now = time.monotonic()  # however long the test takes: clients are there for a second
        session = ParentSession(client, parent.url, ns="never", card=Card.alone(lambda: now))
        assert await fetch_revoked(session) is not None
        await report(session, [])
        assert len(parent.asked) >= 2
        assert not session.parent.busy
        async with session.request("GET", "/v2/", scope=""):
            assert session.parent.busy


def test_clients_of_another_process_count() -> None:
    now = [100.0]
    board = Board(["parent"], 2)
    worker, keeper = (Background("parent", board.card("parent", i, lambda: now[0])) for i in range(2))
    assert not keeper.busy
    keeper.admit(Urgency(background=True))
    assert not keeper.busy
    worker.admit(Urgency())
    assert keeper.busy
    now[0] += LATELY
    assert not keeper.busy
    worker.admit(Urgency())
    board.clear(0)
    assert not keeper.busy, "it is no more"
