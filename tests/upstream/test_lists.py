"""Lists of registries that number, order and link their pages in every way there is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.ports.failures import SourceLied, SourceRefused
from registry_mesh.ports.repositories import EVERY, Repository
from tests.simulators.listing import Listing, linked
from tests.simulators.registry import SimulatedRegistry
from tests.simulators.upstream import upstream_of

PATH = "/v2/team/app/tags/list"


async def whole(app: Repository) -> tuple[str, ...]:
    page = await app.tags.tags(EVERY)
    assert not page.more
    return page.tags


@pytest.mark.parametrize("cursor", ["last", "next_page", "pageToken", "marker", "after"])
async def test_a_cursor_may_have_any_name(parent: SimulatedRegistry, app: Repository, cursor: str) -> None:
    listing = Listing([["a", "b"], ["c"], ["d", "e"]], cursor=cursor)
    parent.answers[PATH] = listing.answer
    assert await whole(app) == ("a", "b", "c", "d", "e")
    assert parse_qsl(listing.served[1]) == [(cursor, "c+/=1"), ("ns", "registry.example")]


@pytest.mark.parametrize(
    "link",
    [
        lambda q: f'<http://inner-api:8081{PATH}?{q}>; rel="next"',
        lambda q: f'<https://registry.example/artifactory/api/docker/hub{PATH}?{q}>; rel="next"',
        lambda q: f"<?{q}>; rel=next",
        lambda q: f'<https://[::1{PATH}?{q}>;rel="next"',
        lambda q: f'<{PATH}?{q}#x>; title="a, b; c"; REL="last next"',
        lambda q: f'<{PATH}?n=1>; rel="first", <{PATH}?{q}>; rel="next"',
        lambda q: f'{PATH}?{q}; rel="next"',
        lambda q: f"<{PATH}?{q}>",
        lambda q: f"{PATH}?{q}",
        lambda q: f'<{PATH}?{q}>; title="x; rel=prev"; rel="next"',
        lambda q: f'<{PATH}?n=1>; title="a<b>c"; rel="prev", <{PATH}?{q}>; rel="next"',
        lambda q: f'<https://registry.example/help?page=1>, <{PATH}?{q}>; rel="next"',
        lambda q: f'< {PATH}?{q} > ; rel = "next',
        lambda q: f'"{PATH}?{q}"; rel="next"',
    ],
    ids=[
        "inner host",
        "prefix",
        "query alone",
        "no address",
        "more fields",
        "two links",
        "bare",
        "no relation",
        "bare, no relation",
        "a relation in a title",
        "brackets in a title",
        "another without a relation",
        "blanks, and a quote that is left open",
        "quoted",
    ],
)
async def test_the_query_of_a_link_is_asked_of_the_parent(
    parent: SimulatedRegistry, app: Repository, link: Callable[[str], str]
) -> None:
    parent.answers[PATH] = Listing([["a"], ["b"]], link=link).answer
    assert await whole(app) == ("a", "b")
    assert {seen[1].partition("?")[0] for seen in parent.asked} == {PATH}


@pytest.mark.parametrize(
    "link",
    [
        "<>",
        f'<{PATH}>; rel="next"',
        "nonsense",
        "<",
        "next",
        f'<{PATH}#?n=1>; rel="next"',
        f'<{PATH}?n=1> and <{PATH}?n=2>; rel="first"',
    ],
)
async def test_a_link_that_cannot_be_read_is_no_end(
    parent: SimulatedRegistry, app: Repository, link: str
) -> None:
    parent.says(PATH, text='{"tags": ["a"]}', headers={"Link": link})
    with pytest.raises(SourceLied, match="Link"):
        await app.tags.tags(EVERY)


@pytest.mark.parametrize(
    "link",
    [
        f'<{PATH}?n=1>; rel="first"',
        "<https://registry.example/help>",
        f"</style.css>; rel=preload; as=style, <{PATH}>; rel=self",
    ],
)
async def test_a_link_to_another_page_than_the_next_is_an_end(
    parent: SimulatedRegistry, app: Repository, link: str
) -> None:
    parent.says(PATH, text='{"tags": ["a"]}', headers={"Link": link})
    assert await whole(app) == ("a",)


async def test_what_no_address_may_hold_is_encoded(parent: SimulatedRegistry, app: Repository) -> None:
    listing = Listing([["a"], ["b"]], link=lambda q: f'<{PATH}?x=1 "2"&y=\u00fc%20&{q}>; rel="next"')
    parent.answers[PATH] = listing.answer
    assert await whole(app) == ("a", "b")
    assert dict(parse_qsl(listing.served[1])).items() >= {"x": '1 "2"', "y": "\u00fc "}.items()


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"tags": ["a"]}',
        b'{"name": "caf\xe9", "tags": ["a"]}',
        b'\n{"tags": ["a"]}\n\0<!-- 3 ms -->',
    ],
    ids=["a mark of the byte order", "no UTF-8", "more behind it"],
)
async def test_a_list_may_be_nearly_json(parent: SimulatedRegistry, app: Repository, body: bytes) -> None:
    parent.says(PATH, body=body)
    assert await whole(app) == ("a",)


@pytest.mark.parametrize("empty", [[], None])
async def test_an_empty_page_is_no_end(
    parent: SimulatedRegistry, app: Repository, empty: list[str] | None
) -> None:
    parent.answers[PATH] = Listing([empty, ["a"], empty, empty, ["b"], empty]).answer
    assert await whole(app) == ("a", "b")
    page = await app.tags.tags(1)
    assert (page.tags, page.more) == (("a",), True)


async def test_pages_may_come_in_any_order(parent: SimulatedRegistry, app: Repository) -> None:
    parent.answers[PATH] = Listing([["v9", "v10"], ["v11", "latest"], ["A"]]).answer
    assert await whole(app) == ("A", "latest", "v10", "v11", "v9")
    page = await app.tags.tags(2)
    assert (page.tags, page.more) == (("A", "latest"), True)
    assert (await app.tags.tags(9, "v10")).tags == ("v11", "v9")


async def test_few_tags_take_few_pages(parent: SimulatedRegistry, app: Repository) -> None:
    listing = Listing([[f"{page}-{n:02}" for n in range(20)] for page in range(9)])
    parent.answers[PATH] = listing.answer
    page = await app.tags.tags(30)
    assert (len(page.tags), page.tags[-1], page.more) == (30, "1-09", True)
    assert len(listing.served) == 2
    assert (await app.tags.tags(20)).more
    assert len(listing.served) == 3


async def test_last_is_told_and_need_not_be_heeded(parent: SimulatedRegistry, app: Repository) -> None:
    listing = Listing([["a", "b"], ["c", "d"]])
    parent.answers[PATH] = listing.answer
    assert (await app.tags.tags(9, "b&n=1")).tags == ("c", "d")
    assert listing.served[0] == "n=100&last=b%26n%3D1&ns=registry.example"


async def test_a_parent_without_pages_is_paged_here(parent: SimulatedRegistry, app: Repository) -> None:
    parent.says(PATH, text='{"tags": ["b", "a", "not a tag", 7, "c"]}')
    page = await app.tags.tags(2)
    assert (page.tags, page.more) == (("a", "b"), True)
    assert (await app.tags.tags(2, "b")).tags == ("c",)


@pytest.mark.parametrize("following", ["n=100", "n=100&last=b", "last=b"])
async def test_a_list_that_goes_in_circles_ends_with_what_came(
    parent: SimulatedRegistry, app: Repository, following: str
) -> None:
    parent.says(PATH, text='{"tags": ["a", "b"]}', headers={"Link": linked(following)})
    page = await app.tags.tags(EVERY)
    assert (page.tags, page.more) == (("a", "b"), False)
    assert "links" in page.note
    assert len(parent.asked) <= 2


async def test_a_list_of_nothing_without_end_ends(parent: SimulatedRegistry, app: Repository) -> None:
    served = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal served
        served += 1
        return web.json_response({"tags": []}, headers={"Link": linked(f"page={served}")})

    parent.answers[PATH] = answer
    page = await app.tags.tags(EVERY)
    assert (page.tags, served) == ((), 100)
    assert "empty" in page.note


@pytest.mark.parametrize("status", [404, 410])
async def test_a_page_that_is_not_there_ends_a_list(
    parent: SimulatedRegistry, app: Repository, status: int
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if "page" in request.query:
            return web.Response(status=status)
        return web.json_response({"tags": ["b", "a"]}, headers={"Link": linked("page=2")})

    parent.answers[PATH] = answer
    page = await app.tags.tags(EVERY)
    assert page.tags == ("a", "b")
    assert "not there" in page.note


async def test_keys_may_be_spelt_as_go_reads_them(parent: SimulatedRegistry, app: Repository) -> None:
    parent.says(PATH, text='{"Name": "team/app", "Tags": ["a"]}')
    assert await whole(app) == ("a",)


@pytest.mark.parametrize(
    "body", ['{"errors": []}', "{}", "[]", "<html>", '{"tags": {}}', '{"tags": 1}', "[" * 9999]
)
async def test_what_is_no_list_is_no_empty_list(
    parent: SimulatedRegistry, app: Repository, body: str
) -> None:
    parent.says(PATH, text=body)
    with pytest.raises(SourceLied):
        await app.tags.tags(EVERY)


async def test_a_list_may_come_compressed(parent: SimulatedRegistry, app: Repository) -> None:
    data = gzip.compress(json.dumps({"tags": ["a", "b"]}).encode())
    for label in ("gzip", "x-gzip", "GZIP, identity"):
        parent.says(PATH, body=data, headers={"Content-Encoding": label})
        assert await whole(app) == ("a", "b")
    for label in ("gzip", "", "aws-chunked", "utf-8"):
        parent.says(PATH, text='{"tags": ["a"]}', headers={"Content-Encoding": label})
        assert await whole(app) == ("a",)
    assert all(headers["Accept-Encoding"] == "identity" for _, _, headers in parent.asked)


async def test_a_list_that_swells_is_refused(parent: SimulatedRegistry, app: Repository) -> None:
    data = gzip.compress(b'{"tags": ["' + b"a" * (17 << 20) + b'"]}')
    parent.says(PATH, body=data, headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceLied, match="more than"):
        await app.tags.tags(EVERY)
    for damaged in (data[:-9], b"\x1f\x8bnonsense"):
        parent.says(PATH, body=damaged, headers={"Content-Encoding": "gzip"})
        with pytest.raises(SourceLied, match="compressed"):
            await app.tags.tags(EVERY)
    parent.says(PATH, body=b"x", headers={"Content-Encoding": "br"})
    with pytest.raises(SourceLied, match="coding 'br'"):
        await app.tags.tags(EVERY)


async def test_the_list_of_repositories_is_walked_alike(parent: SimulatedRegistry) -> None:
    listing = Listing(
        [["b", "Not A Name"], [], ["a/c"]], "repositories", lambda q: f"<https://x/p/y?{q}>; rel=next"
    )
    parent.answers["/v2/_catalog"] = listing.answer
    async with upstream_of(parent) as upstream:
        assert [name async for name in upstream.repositories()] == ["b", "a/c"]
        parent.says("/v2/_catalog", text='{"repositories": ["a"]}', headers={"Link": "<x?n=100>; rel=next"})
        assert [name async for name in upstream.repositories()] == ["a"]
        parent.answers.clear()
        with pytest.raises(NameUnknown):
            [name async for name in upstream.repositories()]
        parent.says("/v2/_catalog", status=405)
        with pytest.raises(SourceRefused):
            [name async for name in upstream.repositories()]
