"""Referrers at parents that offer them, do not, or are broken there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName, RepositoryName, referrers_tag
from registry_mesh.ports.failures import SourceDenied, SourceThrottled, SourceUnavailable
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.simulators.registry import SimulatedRegistry, simulated_registry
from tests.simulators.upstream import PATIENT

SUBJECT = Digest.of(b"subject")
ONE, TWO, THREE = (Digest.of(each) for each in (b"1", b"2", b"3"))
API = f"/v2/team/app/referrers/{SUBJECT}"
TAG = f"/v2/team/app/manifests/{referrers_tag(SUBJECT)}"
HTML = {"status": 200, "text": "<html>sign in</html>", "content_type": "text/html"}
ABSENT: list[dict[str, Any]] = [
    HTML,
    {"status": 302, "headers": {"Location": "/login"}},
    *({"status": status} for status in (400, 401, 403, 404, 405, 406, 410, 418, 501)),
]


@pytest.fixture
async def parent() -> AsyncIterator[SimulatedRegistry]:
    async with simulated_registry() as registry:
        registry.says("/login", **HTML)
        yield registry


@pytest.fixture
async def app(parent: SimulatedRegistry) -> AsyncIterator[Repository]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())
        upstream = UpstreamRegistry(
            ParentSession(session, parent.url, None, PATIENT), RegistryName("registry.example")
        )
        yield upstream.repository(RepositoryName("team/app"))


def index(*digests: Digest) -> dict[str, Any]:
    manifests = [{"mediaType": OCI_MANIFEST, "digest": str(each), "size": 3} for each in digests]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    return {"text": json.dumps(document), "content_type": OCI_INDEX}


async def found(app: Repository, tagged: bool = True) -> set[Digest]:
    return {each.digest for each in (await app.referrers.referrers(SUBJECT, tagged)).descriptors}


@pytest.mark.parametrize("answer", ABSENT, ids=str)
async def test_without_the_api_the_tag_tells(
    parent: SimulatedRegistry, app: Repository, answer: dict[str, Any]
) -> None:
    parent.says(API, **answer)
    assert await found(app) == set()
    parent.says(TAG, **index(ONE, TWO))
    assert await found(app) == {ONE, TWO}


@pytest.mark.parametrize("answer", [*ABSENT, {"status": 500}, {"status": 200, "text": "{"}], ids=str)
@pytest.mark.parametrize("offered", [False, True])
async def test_a_tag_that_is_refused_is_none(
    parent: SimulatedRegistry, app: Repository, answer: dict[str, Any], offered: bool
) -> None:
    if offered:
        parent.says(API, **index(THREE))
    parent.says(TAG, **answer)
    assert await found(app) == ({THREE} if offered else set())


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_where_the_api_may_be_well_soon_nothing_is_known(
    parent: SimulatedRegistry, app: Repository, status: int
) -> None:
    parent.says(API, status=status, headers={"Retry-After": "7"})
    with pytest.raises(SourceUnavailable) as raised:
        await found(app)
    assert raised.value.retry_after == (7 if status in (429, 503) else None)


async def test_a_parent_that_is_broken_there_is_well_for_all_else(parent: SimulatedRegistry) -> None:
    parent.says(API, status=500)
    parent.says(TAG, status=503)
    async with open_session() as session:
        asked = ParentSession(session, parent.url, None, PATIENT)
        app = UpstreamRegistry(asked, RegistryName("registry.example")).repository(RepositoryName("team/app"))
        for _ in range(9):
            with pytest.raises(SourceUnavailable):
                await app.referrers.referrers(SUBJECT)
            parent.says(API, status=404)
        assert asked.parent.available
        parent.says("/v2/team/app/tags/list", status=500)
        for _ in range(9):
            with pytest.raises(SourceUnavailable):
                await app.tags.tags(10)
        assert not asked.parent.available


async def test_where_the_tag_may_be_well_soon_the_api_is_enough(
    parent: SimulatedRegistry, app: Repository
) -> None:
    parent.says(TAG, status=429, headers={"Retry-After": "0"})
    with pytest.raises(SourceThrottled):
        await found(app)
    parent.says(API, **index(ONE))
    assert await found(app) == {ONE}


async def test_where_both_are_denied_nothing_is_known(parent: SimulatedRegistry, app: Repository) -> None:
    parent.says(API, status=403)
    parent.says(TAG, status=403)
    with pytest.raises(SourceDenied):
        await found(app)


async def test_a_tag_that_is_known_not_to_be_there_is_not_asked_for(
    parent: SimulatedRegistry, app: Repository
) -> None:
    assert await found(app, tagged=False) == set()
    assert [path.partition("?")[0] for _, path, _ in parent.asked] == [API]


@pytest.mark.parametrize("listed", [None, {}, "x"])
async def test_a_list_that_is_none_is_empty(
    parent: SimulatedRegistry, app: Repository, listed: object
) -> None:
    parent.says(API, text=json.dumps({"manifests": listed}), content_type=OCI_INDEX)
    assert await found(app) == set()


async def test_entries_that_say_too_little_are_looked_up_or_passed_over(
    parent: SimulatedRegistry, app: Repository
) -> None:
    config = {"mediaType": OCI_CONFIG, "digest": str(THREE), "size": 3}
    data = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    ).encode()
    signature = Digest.of(data)
    good = {"mediaType": OCI_MANIFEST, "digest": str(ONE), "size": 3}
    entries = [good, {"digest": str(signature)}, {"digest": str(TWO)}, {"digest": "blake3:0"}, None]
    parent.says(API, text=json.dumps({"manifests": entries}), content_type=OCI_INDEX)
    parent.says(f"/v2/team/app/manifests/{signature}", body=data, content_type=OCI_MANIFEST)
    told = {each.digest: each.size for each in (await app.referrers.referrers(SUBJECT)).descriptors}
    assert told == {ONE: 3, signature: len(data)}


async def test_an_index_that_holds_the_subject_lists_no_referrers(
    parent: SimulatedRegistry, app: Repository
) -> None:
    parent.says(TAG, **index(SUBJECT, ONE))
    assert await found(app) == set()


async def test_our_own_kind_is_believed_and_asked_for_no_tag(
    parent: SimulatedRegistry, app: Repository
) -> None:
    parent.says(TAG, **index(TWO))
    parent.says(API, **index(ONE))
    assert not (await app.referrers.referrers(SUBJECT)).checked
    parent.says(API, headers={"Registry-Mesh": "replica"}, **index(ONE))
    parent.seen.clear()
    told = await app.referrers.referrers(SUBJECT)
    assert ([each.digest for each in told.descriptors], told.checked) == ([ONE], True)
    assert [path for _, path, _ in parent.asked] == [API]
