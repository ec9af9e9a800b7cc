"""A real bucket behind a gateway that lacks something: refused with a sentence, or served all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.pieces import put, whole
from registry_mesh.ports.uploads import Owner
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import S3Store
from tests.environment import environment
from tests.simulators.gateway import Gateway, Ill, Pass, deletes_many, error, is_conditional

pytestmark = pytest.mark.s3

OWNER = Owner(RepositoryName("atlas/athena"), "alice")
Begin = Callable[[Ill], Awaitable[S3Store]]


@pytest.fixture
async def begin(front: Gateway, s3_settings: S3Settings) -> AsyncIterator[Begin]:
    """Opens the bucket behind the gateway, which is ill in the way given."""
    opened = []

    async def begin(ill: Ill) -> S3Store:
        front.ill = ill
        opened.append(await S3Store.start(replace(s3_settings, endpoint=front.url)))
        return opened[-1]

    yield begin
    for store in opened:
        await store.close()


async def everything(store: S3Store) -> list[str]:
    return [listed.key async for page in store.control.list("") for listed in page.objects]


async def ignores_conditions(request: web.Request, body: bytes, ask: Pass) -> web.Response:
    answer = await ask()
    if is_conditional(request) and answer.status == 412:
        return web.Response(headers={"ETag": '"other"'})
    return answer


def answers(condition: Callable[[web.Request], bool], status: int, code: str, *, taken: bool = False) -> Ill:
    """Of requests that `condition` picks; `taken`: of those only that the bucket itself refuses."""

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if not condition(request):
            return await ask()
        if taken and (answer := await ask()).status < 300:
            return answer
        return web.Response(status=304) if status == 304 else error(status, code)

    return ill


async def forgets_in_listings(request: web.Request, body: bytes, ask: Pass) -> web.Response:
    if "list-type" in request.query:
        return web.Response(text="<ListBucketResult></ListBucketResult>", content_type="application/xml")
    return await ask()


async def keeps_what_it_deletes(request: web.Request, body: bytes, ask: Pass) -> web.Response:
    if deletes_many(request):
        return web.Response(text="<DeleteResult></DeleteResult>", content_type="application/xml")
    return await ask()


async def demands_md5(request: web.Request, body: bytes, ask: Pass) -> web.Response:
    if deletes_many(request) and "Content-MD5" not in request.headers:
        return error(400, "MissingContentMD5")
    return await ask()


@pytest.mark.parametrize(
    ("ill", "said"),
    [
        pytest.param(ignores_conditions, "ignores If-None-Match", id="ignores"),
        pytest.param(answers(is_conditional, 304, "", taken=True), "304, not 412", id="304"),
        pytest.param(answers(is_conditional, 501, "NotImplemented"), "501 to a PUT with If-None", id="501"),
        pytest.param(
            answers(is_conditional, 501, "NotImplemented", taken=True), "501, not 412", id="501-late"
        ),
        pytest.param(answers(is_conditional, 400, "InvalidArgument"), "lacks conditional writes", id="400"),
        pytest.param(answers(is_conditional, 403, "AccessDenied"), "the right to write", id="403"),
        pytest.param(forgets_in_listings, "does not list what was just written", id="listing"),
    ],
)
async def test_a_bucket_that_cannot_be_relied_on_is_refused(begin: Begin, ill: Ill, said: str) -> None:
    with pytest.raises(StoreBroken, match=said) as refusal:
        await begin(ill)
    assert "use " in refusal.value.reason or "give " in refusal.value.reason, "it says what to do"


async def test_the_probe_leaves_nothing(s3_store: S3Store) -> None:
    assert await everything(s3_store) == []


@pytest.mark.parametrize(
    "ill",
    [
        pytest.param(demands_md5, id="md5"),
        pytest.param(answers(deletes_many, 400, "MissingContentMD5"), id="400"),
        pytest.param(answers(deletes_many, 501, "NotImplemented"), id="501"),
        pytest.param(answers(deletes_many, 405, "MethodNotAllowed"), id="405"),
        pytest.param(keeps_what_it_deletes, id="in-name-only"),
    ],
)
async def test_a_bucket_without_batch_deletes_is_served(begin: Begin, front: Gateway, ill: Ill) -> None:
    store = await begin(ill)
    blobs = [bytes([each]) * (100_000 * each) for each in range(1, 4)]
    digests = [(await put(store, Digest.of(data), data)).digest for data in blobs]
    async with store.open(digests[2]) as reading:
        assert await whole(reading, 1 << 20) == blobs[2]
    front.seen.clear()
    await store.delete_many(digests[:2])
    await store.delete(digests[2])
    assert [key for key in await everything(store) if key.startswith("blobs/")] == []
    await store.sweep(age=-60)
    assert await everything(store) == []
    batches = [seen for seen in front.seen if seen.startswith("POST") and "?delete" in seen]
    assert bool(batches) == (ill is demands_md5), "a refusal is learnt once"


async def test_a_failed_clean_up_ends_no_upload(begin: Begin, front: Gateway) -> None:
    async def well(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        return await ask()

    store = await begin(well)
    uploads = store.uploads()
    front.ill = answers(lambda r: r.method == "DELETE" or deletes_many(r), 403, "AccessDenied")
    id = (await uploads.begin(OWNER, "sha256")).id
    pieces = [bytes([each]) * 3000 for each in range(40)]
    for piece in pieces:
        async with uploads.append(OWNER, id, None) as ingest:
            await ingest.write(piece)
    data = b"".join(pieces)
    async with uploads.append(OWNER, id, None) as ingest:
        info = await ingest.commit(Digest.of(data))
    assert info.size == len(data)
    async with store.open(info.digest) as reading:
        assert await whole(reading, 1 << 20) == data


async def test_one_expired_upload_that_stays_keeps_no_other(begin: Begin, front: Gateway) -> None:
    async def well(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        return await ask()

    store = await begin(well)
    uploads = store.uploads(expiry=-1.0)
    ids = [(await uploads.begin(OWNER, "sha256")).id for _ in range(3)]
    stuck = min(ids)
    front.ill = answers(lambda r: r.method == "PUT" and f"uploads/{stuck}" in r.path, 403, "AccessDenied")
    assert await uploads.sweep() == 2
    assert {key.split("/")[1] for key in await everything(store)} == {stuck}
    front.ill = well
    assert await uploads.sweep() == 1


async def test_both_clients_go_by_the_proxy(front: Gateway, s3_settings: S3Settings) -> None:
    """The variables that boto3 heeds hold for the bytes too."""
    with environment(HTTP_PROXY=front.url, NO_PROXY=None, no_proxy=None):
        store = await S3Store.start(s3_settings)
        try:
            await put(store, Digest.of(b"by way of a proxy"), b"by way of a proxy")
        finally:
            await store.close()
    assert any("list-type=2" in seen for seen in front.seen), "boto3"
    assert any("/blobs/sha256/" in seen for seen in front.seen), "the bytes' client"
