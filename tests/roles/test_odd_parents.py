"""A site over parents that are odd, from socket to socket: what a client is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from registry_mesh.content.nest.subjects import SAMPLE
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import referrers_tag
from tests.simulators.local_site import LocalSite, local_site
from tests.simulators.parent import Odd, PlainParent, plain_parent

DATA = bytes(range(256)) * 800


@pytest.fixture
async def parent() -> AsyncIterator[PlainParent]:
    async with plain_parent() as parent:
        yield parent


@pytest.fixture
async def site(parent: PlainParent) -> AsyncIterator[LocalSite]:
    async with local_site(parent.url) as site:
        yield site


def blob(digest: Digest) -> str:
    return f"/v2/team/app/blobs/{digest}"


def heads_say(length: int | None) -> Odd:
    """HEAD of blobs tells this length, or none."""

    def odd(request: web.BaseRequest) -> web.Response | None:
        if request.method != "HEAD" or "/blobs/" not in request.path:
            return None
        return web.Response(headers={"Content-Length": str(length)} if length is not None else {})

    return odd


LIES = pytest.mark.parametrize("told", [None, 0, 3, len(DATA) - 1, len(DATA) + 5, 90 * len(DATA)])


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_a_digest_that_head_names_and_nobody_has_is_a_hint(
    parent: PlainParent, site: LocalSite, method: str
) -> None:
    image = parent.add_image("1", DATA)
    false = {
        "Docker-Content-Digest": f"sha256:{'a' * 64}",
        "Content-Type": OCI_MANIFEST,
        "Content-Length": "9",
    }
    parent.odd = lambda request: web.Response(headers=false) if request.method == "HEAD" else None
    for tag in ("1", "1"):
        answer = await site.ask(method, f"/v2/team/app/manifests/{tag}")
        assert (answer.status, answer.headers["docker-content-digest"]) == (200, str(image))
    parent.add_image("2", DATA)
    assert (await site.ask(method, "/v2/team/app/manifests/2")).status == 200
    asked = [method for method, path in parent.requests if path.endswith(("/1", "/2"))]
    assert asked == ["HEAD", "GET", "GET"], "HEAD is not believed again"


async def test_a_tag_that_moves_between_two_requests(parent: PlainParent, site: LocalSite) -> None:
    """Registries that collect at once have what HEAD named no more."""
    old = parent.add_image("1", b"old")
    moved: list[str] = []

    def odd(request: web.BaseRequest) -> None:
        if request.path.endswith(str(old)) and not moved:
            moved.append(str(parent.add_image("1", b"new")))
            del parent.manifests[str(old)]

    parent.odd = odd
    answer = await site.get("/v2/team/app/manifests/1")
    assert (answer.status, [answer.headers["docker-content-digest"]]) == (200, moved)


@LIES
@pytest.mark.parametrize("times", [1, 2])
async def test_a_suffix_is_the_end_whatever_head_says(
    parent: PlainParent, site: LocalSite, told: int | None, times: int
) -> None:
    digest = parent.add(DATA)
    parent.odd = heads_say(told)
    for _ in range(times):
        answer = await site.get(blob(digest), Range="bytes=-5")
    assert (answer.status, answer.body) == (206, DATA[-5:])
    assert answer.headers["content-range"] == f"bytes {len(DATA) - 5}-{len(DATA) - 1}/{len(DATA)}"


@LIES
async def test_several_ranges_are_those_of_the_blob_whatever_head_says(
    parent: PlainParent, site: LocalSite, told: int | None
) -> None:
    digest = parent.add(DATA)
    parent.odd = heads_say(told)
    answer = await site.get(blob(digest), Range="bytes=0-4,10-14,-3")
    assert (answer.status, answer.headers["content-type"][:20]) == (206, "multipart/byteranges")
    assert answer.body.count(f"/{len(DATA)}\r\n\r\n".encode()) == 3
    assert all(DATA[start:stop] in answer.body for start, stop in ((0, 5), (10, 15), (-3, None)))
    answer = await site.get(blob(digest), Range=f"bytes={len(DATA)}-,{len(DATA) + 7}-")
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(DATA)}")


async def test_head_of_a_blob_says_where_its_answer_is_from(parent: PlainParent, site: LocalSite) -> None:
    digest = parent.add(DATA)
    told = [(await site.head(blob(digest))).headers["cache-status"] for _ in range(2)]
    assert told == [f'"near"; fwd=uri-miss; detail="127.0.0.1:{parent.port}"', '"near"; hit']
    assert (await site.get(blob(digest))).body == DATA
    assert (await site.head(blob(digest))).headers["cache-status"] == '"near"; hit'


def always(status: int) -> Odd:
    return lambda request: web.Response(status=status) if "/v2/team" in request.path else None


def only_get(status: int) -> Odd:
    return lambda request: web.Response(status=status) if request.method == "HEAD" else None


@pytest.mark.parametrize(
    "odd", [None, always(403), only_get(405), only_get(404)], ids=["404", "403", "get", "get, 404"]
)
async def test_head_tells_of_nothing_what_get_tells(
    parent: PlainParent, site: LocalSite, odd: Odd | None
) -> None:
    parent.odd = odd
    digest = Digest.of(b"nowhere")
    for path in (blob(digest), f"/v2/team/app/manifests/{digest}", "/v2/team/app/manifests/none"):
        head, got = await site.head(path), await site.get(path)
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["content-length"] == str(len(got.body)), got.body
        assert head.headers["content-type"] == got.headers["content-type"]


def referring(parent: PlainParent, number: int, subject: Digest | None) -> dict[str, object]:
    """A manifest that refers to a digest, or to none, as a list describes it."""
    named = {"mediaType": OCI_MANIFEST, "digest": str(subject), "size": 7}
    text = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": str(parent.add(b"{}")), "size": 2},
            "layers": [],
            "annotations": {"number": str(number)},
            **({"subject": named} if subject else {}),
        }
    ).encode()
    digest = parent.add_manifest(f"referrer-{number}", text, OCI_MANIFEST)
    return {"mediaType": OCI_MANIFEST, "digest": str(digest), "size": len(text)}


@pytest.mark.parametrize("by", ["api", "tag"])
@pytest.mark.parametrize("many", [1, 30])
async def test_referrers_are_those_with_the_subject(
    parent: PlainParent, site: LocalSite, by: str, many: int
) -> None:
    subject, other = parent.add_image("1", b"one"), parent.add_image("2", b"two")
    right = [referring(parent, number, subject) for number in range(many)]
    wrong = [referring(parent, 100, other), referring(parent, 101, None)]
    gone = {"mediaType": OCI_MANIFEST, "digest": str(Digest.of(b"gone")), "size": 4}
    listed = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [wrong[0], *right, wrong[1], gone]}
    if by == "tag":
        parent.add_manifest(referrers_tag(subject), json.dumps(listed).encode(), OCI_INDEX)
    else:
        parent.odd = lambda request: web.json_response(listed) if "/referrers/" in request.path else None
    told = json.loads((await site.get(f"/v2/team/app/referrers/{subject}")).body)["manifests"]
    assert {each["digest"] for each in told} == {each["digest"] for each in right}


async def test_a_long_list_of_referrers_that_is_right_is_not_read_whole(
    parent: PlainParent, site: LocalSite
) -> None:
    subject = parent.add_image("1", b"one")
    listed = [referring(parent, number, subject) for number in range(3 * SAMPLE)]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    parent.odd = lambda request: web.json_response(index) if "/referrers/" in request.path else None
    told = json.loads((await site.get(f"/v2/team/app/referrers/{subject}")).body)["manifests"]
    assert len(told) == 3 * SAMPLE
    asked = [path for _, path in parent.requests if "/manifests/sha256:" in path]
    assert len(asked) == SAMPLE


def ranges_are(answer: Callable[[web.BaseRequest], web.Response]) -> Odd:
    return lambda request: answer(request) if "Range" in request.headers else None


def in_parts(request: web.BaseRequest) -> web.Response:
    headers = {"Content-Type": "multipart/byteranges; boundary=x"}
    return web.Response(
        status=206, headers=headers, body=b"--x\r\nContent-Range: bytes 0-0/1\r\n\r\n\r\n--x--"
    )


def all_of_it(request: web.BaseRequest) -> web.Response:
    told = {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"}
    return web.Response(status=206, headers=told, body=DATA)


NO_RANGES: dict[str, Odd] = {
    "416": ranges_are(lambda _: web.Response(status=416)),
    "416 with the size": ranges_are(
        lambda _: web.Response(status=416, headers={"Content-Range": f"bytes */{len(DATA)}"})
    ),
    "parts": ranges_are(in_parts),
    "no Content-Range": ranges_are(lambda _: web.Response(status=206, body=DATA[:9])),
    "all of it": ranges_are(all_of_it),
    "all of it, unasked": lambda request: (
        all_of_it(request) if "/blobs/" in request.path and request.method == "GET" else None
    ),
    "203": lambda request: (
        web.Response(status=203, body=DATA) if "/blobs/" in request.path and request.method == "GET" else None
    ),
}


@pytest.mark.parametrize("odd", NO_RANGES.values(), ids=NO_RANGES)
async def test_a_range_of_who_knows_none_is_cut_out_of_the_whole(
    parent: PlainParent, site: LocalSite, odd: Odd
) -> None:
    digest = parent.add(DATA)
    parent.odd = odd
    middle = len(DATA) // 2
    part = await site.get(blob(digest), Range=f"bytes={middle}-{middle + 9}")
    assert (part.status, part.body) == (206, DATA[middle : middle + 10]), part.body[:200]
    whole = await site.get(blob(digest))
    assert (whole.status, whole.body == DATA) == (200, True)
    beyond = await site.get(blob(digest), Range=f"bytes={len(DATA)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(DATA)}")
