"""What rules push out to registries that do as Amazon's, Google's, Harbor and Quay do.

The right image is there, its tag last, or a sentence says who has to do what; the former value stays, and other images
come.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from registry_mesh.content.snapshot.finding.jobs import Widths
from registry_mesh.oci.digest import Digest
from registry_mesh.upstream.login.credentials import Credentials
from registry_mesh.upstream.login.login_sources import FileSource
from registry_mesh.upstream.login.logins import FixedLogin, Logins
from registry_mesh.upstream.pushes.upload import CHUNK as CHUNK_OF_ITS_OWN
from tests.clients import registries
from tests.content.snapshot.test_rule_keys import replica_of, troubles
from tests.simulators.cloud import CHUNK, Cloud
from tests.simulators.clouds import Amazon, Google, Harbor, Quay, limited
from tests.simulators.gateway import Ill, Pass, well
from tests.simulators.images import random_bytes
from tests.simulators.replica import Replica

CHUNKS = 4


class Pushed:
    """An image with a large layer for the repository `a`, and a small one for `b`."""

    def __init__(self, cloud: Cloud, login: FixedLogin | Logins | None = None) -> None:
        self.cloud = cloud
        self.login = login
        self.layer = random_bytes(cloud.folder, CHUNKS * CHUNK + 17)
        self.replica: Replica = replica_of(f"repos: '*', tags: v1, {cloud.to()}")
        self.large = self.replica.source["a"].image("large", "v1", layers=[self.layer])
        self.small = self.replica.source["b"].image("small", "v1")

    async def run(self) -> list[str]:
        async with self.cloud.pushing(self.replica, self.login) as node:
            return troubles(await node.run())

    async def tags(self) -> tuple[str | None, str | None]:
        return await self.cloud.digest("a", "v1"), await self.cloud.digest("b", "v1")

    async def is_there(self) -> bool:
        layer = await self.cloud.blob("a", Digest.of(self.layer))
        return layer == self.layer and await self.tags() == (str(self.large.digest), str(self.small.digest))

    @property
    def is_tagged_last(self) -> bool:
        """Whether nothing of `a` went out after its tag."""
        of_a = [each for each in self.cloud.asked("PUT") + self.cloud.asked("PATCH") if "/a/" in each]
        return [each for each in of_a if "/manifests/" in each][-1].endswith("/manifests/v1")


AWS = FixedLogin(Credentials("AWS", "one"))


async def test_amazon_s_answers_to_chunks_are_taken(cloud: Cloud) -> None:
    """201, and a Range that stands still."""
    cloud.gateway.ill = Amazon(cloud, least=CHUNK // 2)
    pushed = Pushed(cloud, AWS)
    assert await pushed.run() == []
    assert await pushed.is_there()
    assert pushed.is_tagged_last
    assert len(cloud.asked("PATCH")) == CHUNKS + 1


async def test_a_chunk_that_amazon_failed_goes_on_where_it_was_and_not_where_its_range_says(
    cloud: Cloud,
) -> None:
    amazon, failed = Amazon(cloud), 0

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        nonlocal failed
        if request.method == "PATCH" and len(cloud.asked("PATCH")) == 4 and not failed:
            failed = 1
            return web.Response(status=502)
        return await amazon(request, body, ask)

    cloud.gateway.ill = ill
    pushed = Pushed(cloud, AWS)
    assert await pushed.run() == []
    assert (failed, await pushed.is_there()) == (1, True)
    assert len(cloud.asked("PATCH")) == CHUNKS + 2


async def test_a_repository_that_amazon_was_not_told_of_is_named_in_its_words(cloud: Cloud) -> None:
    cloud.gateway.ill = amazon = Amazon(cloud, made=("b",))
    pushed = Pushed(cloud, AWS)
    told = await pushed.run()
    assert any(
        "a is to be made there before it can be pushed to: NAME_UNKNOWN The repos" in why for why in told
    )
    assert await pushed.tags() == (None, str(pushed.small.digest))
    amazon.made = ("a", "b")
    assert await pushed.run() == []
    assert await pushed.is_there()


async def test_a_password_that_ended_amid_a_run_is_replaced_by_the_file_s_next(
    cloud: Cloud, tmp_path: Path
) -> None:
    amazon, file = Amazon(cloud), tmp_path / "login"
    file.write_text("AWS:one")
    file.chmod(0o600)

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if request.method == "PATCH" and len(cloud.asked("PATCH")) == 3:
            amazon.over, amazon.password = {"one"}, "two"
            file.write_text("AWS:two")
        return await amazon(request, body, ask)

    cloud.gateway.ill = ill
    pushed = Pushed(cloud, Logins(FileSource(str(file)), cloud.gateway.url))
    assert await pushed.run() == []
    assert await pushed.is_there()
    assert amazon.over == {"one"}
    assert len(cloud.asked("PATCH")) == CHUNKS + 2


async def test_a_password_that_ended_is_told_in_amazon_s_words_and_the_next_run_goes_on(cloud: Cloud) -> None:
    amazon = Amazon(cloud)

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if request.method == "PATCH" and len(cloud.asked("PATCH")) == 3:
            amazon.over, amazon.password = {"one"}, "two"
        return await amazon(request, body, ask)

    cloud.gateway.ill = ill
    pushed = Pushed(cloud, AWS)
    told = await pushed.run()
    assert any(
        why.startswith(
            f"does not let this node push to {cloud.folder}/a: answered 403: Your authorization token has expired."
        )
        for why in told
    ), told
    assert await cloud.digest("a", "v1") is None
    cloud.gateway.seen.clear()
    cloud.gateway.ill = amazon
    pushed.login = FixedLogin(Credentials("AWS", "two"))
    assert await pushed.run() == []
    assert await pushed.is_there()
    assert len(cloud.asked("PATCH")) == CHUNKS + 1 - 2


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Amazon, "TAG_INVALID The image tag 'v1' already exists and cannot be overwritten"),
        (Harbor, "answered 412 to manifest "),
    ],
)
async def test_a_tag_that_never_moves_there_keeps_its_value(
    kind: type[Amazon | Harbor], words: str, cloud: Cloud
) -> None:
    cloud.gateway.ill = kind(cloud, immutable=True)
    pushed = Pushed(cloud, AWS)
    assert await pushed.run() == []
    pushed.replica.source["a"].image("moved", "v1")
    small = pushed.replica.source["b"].image("other", "v2")
    pushed.replica.rules = replica_of(f"repos: '*', tags: '*', {cloud.to()}").rules
    assert any(words in why for why in await pushed.run())
    assert await pushed.tags() == (str(pushed.large.digest), str(pushed.small.digest))
    assert await cloud.digest("b", "v2") == str(small.digest)


@pytest.mark.parametrize("status", [400, 404, 405, 411, 416, 501])
async def test_google_is_sent_blobs_in_one_request(status: int, cloud: Cloud) -> None:
    cloud.gateway.ill = google = Google(cloud, status)
    pushed = Pushed(cloud)
    second = random_bytes(f"second {status} {cloud.folder}", 3 * CHUNK)
    assert await pushed.run() == []
    assert await pushed.is_there()
    assert pushed.is_tagged_last
    assert all(each.startswith("/artifacts-uploads/") for each in google.paths)
    async with cloud.pushing(pushed.replica) as node:
        for number in range(2):
            layers = [second[number:], random_bytes(f"{status} {number}", 2 * CHUNK)]
            pushed.replica.source["a"].image(f"next {number}", "v1", layers=layers)
            cloud.gateway.seen.clear()
            assert troubles(await node.run()) == []
    assert cloud.asked("PATCH") == []  # it was found out by the blob before


async def test_two_layers_find_out_at_one_time_that_google_takes_no_chunks(cloud: Cloud) -> None:
    """The second is refused after the first has gone in one request."""
    google, whole = Google(cloud), asyncio.Event()

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if request.method == "PATCH" and len(cloud.asked("PATCH")) > 3:
            await asyncio.wait_for(whole.wait(), 60)
        answer = await google(request, body, ask)
        if request.method == "PUT" and len(body) > CHUNK:
            whole.set()
        return answer

    cloud.gateway.ill = ill
    pushed = Pushed(cloud)
    layers = [pushed.layer, random_bytes(f"second {cloud.folder}", CHUNKS * CHUNK)]
    pushed.large = pushed.replica.source["a"].image("large", "v1", layers=layers)
    assert await pushed.run() == []
    assert await pushed.is_there()


async def test_tokens_that_end_amid_a_run_are_fetched_anew(cloud: Cloud) -> None:
    cloud.gateway.ill = google = Google(cloud, uses=2)
    pushed = Pushed(cloud)
    assert await pushed.run() == []
    assert await pushed.is_there()
    assert len(google.left) > 5


async def test_an_account_that_is_shut_amid_a_run_is_told(cloud: Cloud) -> None:
    google = Google(cloud, uses=4)

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        google.ended |= request.method == "PUT"
        return await google(request, body, ask)

    cloud.gateway.ill = ill
    pushed = Pushed(cloud)
    told = await pushed.run()
    assert any("does not let this node push to" in why for why in told), told
    assert await cloud.digest("a", "v1") is None
    google.ended, google.uses = False, 1_000
    cloud.gateway.ill = google
    assert await pushed.run() == []
    assert await pushed.is_there()


@pytest.mark.parametrize("most", [CHUNK - 1, CHUNK // 2, CHUNK // 8])
async def test_chunks_are_as_large_as_a_proxy_lets_through(most: int, cloud: Cloud) -> None:
    cloud.gateway.ill = limited(most)
    pushed = Pushed(cloud)
    assert await pushed.run() == []
    assert await pushed.is_there()


async def test_nginx_as_it_comes_lets_large_layers_through(cloud: Cloud, tmp_path: Path) -> None:
    """It answers before all of a body has come, and takes a MiB where nobody says more."""
    passing = f"proxy_pass {cloud.there}; proxy_set_header Host $http_host; proxy_request_buffering off;"
    with registries.nginx_with(tmp_path, f"location / {{ {passing} }}") as url:
        cloud.gateway.url, cloud.chunk = url, CHUNK_OF_ITS_OWN
        pushed = Pushed(cloud)
        layer = random_bytes(f"large {cloud.folder}", CHUNK_OF_ITS_OWN + (3 << 20))
        pushed.large = pushed.replica.source["a"].image("large", "v1", layers=[layer, pushed.layer])
        assert await pushed.run() == []
    assert await pushed.is_there()
    assert await cloud.blob("a", Digest.of(layer)) == layer


async def test_a_proxy_that_lets_through_next_to_nothing_is_named(cloud: Cloud) -> None:
    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        return await (limited(1024)(request, body, ask) if "/a/" in request.path else ask())

    cloud.gateway.ill = ill
    pushed = Pushed(cloud)
    told = await pushed.run()
    assert any(
        "takes no request as large as that" in why and "client_max_body_size" in why for why in told
    ), told
    assert await pushed.tags() == (None, str(pushed.small.digest))


async def test_a_blob_that_may_not_be_mounted_is_sent(cloud: Cloud) -> None:
    cloud.gateway.ill = Harbor(cloud, reads="none")
    pushed = Pushed(cloud)
    pushed.replica.widths = Widths(streams=1, records=1)
    shared = random_bytes(f"shared {cloud.folder}", CHUNK)
    for name in ("a", "b", "c"):
        pushed.replica.source[name].image(name, "v1", layers=[shared])
    assert await pushed.run() == []
    assert any("mount=" in each for each in cloud.asked("POST"))
    assert await cloud.blob("c", Digest.of(shared)) == shared


@pytest.mark.parametrize(
    ("made", "mended", "words"),
    [
        (
            lambda cloud: Harbor(cloud, full=True),
            Harbor,
            "answered 403: adding 1 MiB of storage resource will exceed",
        ),
        (lambda cloud: Harbor(cloud, project=False), Harbor, "NOT_FOUND project t not found"),
        (
            lambda cloud: Quay(cloud, organisation=False),
            Quay,
            "answered 401: access to the requested resource",
        ),
        (lambda cloud: Quay(cloud, busy=6), Quay, ""),
    ],
)
async def test_what_harbor_and_quay_refuse_is_told_in_their_words(
    made: type[Harbor], mended: type[Harbor], words: str, cloud: Cloud
) -> None:
    cloud.gateway.ill = made(cloud)
    pushed = Pushed(cloud)
    told = await pushed.run()
    assert any(words in why for why in told) if words else told == [], told
    if words:
        assert await pushed.tags() == (None, str(pushed.small.digest))
    cloud.gateway.ill = mended(cloud)
    assert await pushed.run() == []
    assert await pushed.is_there()


def _leading(to: str) -> Ill:
    """Leads each request that brings something to `to`, once."""

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if body and "led" not in request.query and "/a/" in request.path:
            sign = "&" if "?" in request.raw_path else "?"
            return web.Response(status=307, headers={"Location": f"{to}{request.raw_path}{sign}led=1"})
        return await ask()

    return ill


async def test_an_upload_follows_where_the_server_leads_on_itself(cloud: Cloud) -> None:
    cloud.gateway.ill = _leading("")
    pushed = Pushed(cloud)
    assert await pushed.run() == []
    assert await pushed.is_there()


async def test_an_upload_does_not_follow_to_another_server(cloud: Cloud) -> None:
    cloud.gateway.ill = _leading(cloud.there)
    pushed = Pushed(cloud)
    told = await pushed.run()
    assert any("leads what is sent to 127.0.0.1" in why and "name it in parents" in why for why in told), told
    assert await pushed.tags() == (None, str(pushed.small.digest))
    cloud.gateway.ill = well
    assert await pushed.run() == []
    assert await pushed.is_there()
