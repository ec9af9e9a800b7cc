"""What a pull through a site asks of its parent, by the ways of the parent: the table in docs/registries.md.

`REGISTRIES_TABLE=write` writes the table anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from tests.simulators.local_site import LocalSite, local_site
from tests.simulators.parent import Odd, PlainParent, plain_parent

PAGE = Path(__file__).resolve().parents[2] / "docs" / "registries.md"
BEGIN, END = "<!-- requests of a pull -->", "<!-- end -->"
LAYERS = [bytes([number]) * 200_000 for number in (1, 2)]
AT_ONCE_STALE = Freshness(ttl=0.0, stale_while_revalidate=0.0)


def answers_head(status: int) -> Callable[[PlainParent], Odd]:
    return lambda parent: lambda asked: web.Response(status=status) if asked.method == "HEAD" else None


def wants_token(parent: PlainParent) -> Odd:
    def odd(asked: web.BaseRequest) -> web.Response | None:
        if asked.path == "/token":
            return web.json_response({"token": "t", "expires_in": 300})
        if asked.headers.get("Authorization") == "Bearer t":
            return None
        challenge = f'Bearer realm="{parent.url}/token",service="s",scope="repository:team/app:pull"'
        return web.json_response({"errors": []}, status=401, headers={"WWW-Authenticate": challenge})

    return odd


def sends_elsewhere(parent: PlainParent) -> Odd:
    """Blobs are in a bucket, whose addresses are signed for GET alone."""

    def odd(asked: web.BaseRequest) -> web.Response | None:
        if asked.path.startswith("/bucket/"):
            data = parent.blobs[asked.path.removeprefix("/bucket/")]
            return web.Response(status=403) if asked.method == "HEAD" else web.Response(body=data)
        if (found := re.search(r"/blobs/(.+)", asked.path)) is None:
            return None
        return web.Response(status=307, headers={"Location": f"{parent.url}/bucket/{found[1]}"})

    return odd


def tells_no_lengths(parent: PlainParent) -> Odd:
    def odd(asked: web.BaseRequest) -> web.Response | None:
        found = re.search(r"/blobs/(.+)", asked.path)
        if found is None or "Range" in asked.headers:
            return None
        answer = web.Response(body=parent.blobs[found[1]] if asked.method == "GET" else None)
        answer.enable_chunked_encoding()
        return answer

    return odd


def types_of_its_own(parent: PlainParent) -> Odd:
    def odd(asked: web.BaseRequest) -> web.Response | None:
        found = re.search(r"/manifests/(.+)", asked.path)
        if found is None or found[1] not in parent.manifests:
            return None
        return web.Response(body=parent.manifests[found[1]][1], content_type="application/octet-stream")

    return odd


def confirms(parent: PlainParent) -> Odd:
    """It knows conditions: a tag that has not moved is 304."""

    def odd(asked: web.BaseRequest) -> web.Response | None:
        found = re.search(r"/manifests/(.+)", asked.path)
        known = parent.manifests.get(found[1]) if found else None
        digest = str(Digest.of(known[1])) if known else ""
        if digest and asked.headers.get("If-None-Match") == f'"{digest}"':
            return web.Response(status=304, headers={"ETag": f'"{digest}"'})
        return None

    return odd


Way = Callable[[PlainParent], Odd]


def several(*ways: Way) -> Way:
    """The first of them that has something to say."""

    def made(parent: PlainParent) -> Odd:
        odds = [way(parent) for way in ways]
        return lambda asked: next(filter(None, (odd(asked) for odd in odds)), None)

    return made


WAYS: dict[str, Way | None] = {
    "plain": None,
    "knows conditions": confirms,
    "wants a token": wants_token,
    "sends to a bucket, signed for GET alone": sends_elsewhere,
    "refuses HEAD by 405 (proxies, gateways)": answers_head(405),
    "says 404 to HEAD": answers_head(404),
    "tells no lengths of blobs (nginx that changes bodies)": tells_no_lengths,
    "types and digests of its own (a bare bucket)": types_of_its_own,
    "Docker Hub, Quay: token, conditions, bucket": several(wants_token, confirms, sends_elsewhere),
    "GHCR, GitLab, ACR, Artifact Registry, Pulp: token, bucket": several(wants_token, sends_elsewhere),
    "Amazon ECR: bucket (its login is no token)": sends_elsewhere,
    "Artifactory, Gitea: token": wants_token,
    "Harbor, a proxy project: token, 404 to HEAD": several(wants_token, answers_head(404)),
    "docker-registry: conditions": confirms,
}


@dataclass
class Counted:
    """Requests since the last look, by what they were for."""

    parent: PlainParent
    seen: int = 0

    def next(self) -> dict[str, int]:
        told: dict[str, int] = {}
        for method, path in self.parent.requests[self.seen :]:
            if path == "/v2/":
                continue  # pings: as many as the machine is slow
            what = (
                "token"
                if path == "/token"
                else "bucket"
                if path.startswith("/bucket")
                else path.split("/")[4]
            )
            told[f"{method} {what}"] = told.get(f"{method} {what}", 0) + 1
        self.seen = len(self.parent.requests)
        return told


async def pull(site: LocalSite) -> None:
    """As containerd does it: HEAD of the tag, then everything by digest."""
    head = await site.head("/v2/team/app/manifests/1", Accept=OCI_MANIFEST)
    assert head.status == 200
    manifest = await site.get(f"/v2/team/app/manifests/{head.headers['docker-content-digest']}")
    document = json.loads(manifest.body)
    for named in (document["config"], *document["layers"]):
        blob = await site.get(f"/v2/team/app/blobs/{named['digest']}")
        assert (blob.status, len(blob.body)) == (200, named["size"])


async def requests_of(way: str) -> tuple[str, str]:
    """Of the first pull, and of one when the tag's TTL is over."""
    make = WAYS[way]
    async with plain_parent() as parent:
        parent.add_image("1", *LAYERS)
        parent.odd = make(parent) if make else None
        counted = Counted(parent)
        async with local_site(parent.url, freshness=AT_ONCE_STALE) as site:
            await pull(site)
            first = counted.next()
            await pull(site)
            again = counted.next()
    return _words(first), _words(again)


def _words(told: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in told.items()) or "none"


def table() -> dict[str, tuple[str, str]]:
    """What the page says."""
    part = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")][1:]
    return {row[0].strip(): (row[1].strip(), row[2].strip()) for row in rows}


@pytest.mark.parametrize("way", WAYS)
async def test_the_page_says_what_is_asked(way: str) -> None:
    found = await requests_of(way)
    if os.environ.get("REGISTRIES_TABLE") == "write":
        _write({**table(), way: found})
    assert table()[way] == found


def _write(rows: dict[str, tuple[str, str]]) -> None:
    text = PAGE.read_text()
    lines = ["| the parent | first pull | again, after the TTL |", "|---|---|---|"]
    lines += [f"| {way} | {rows[way][0]} | {rows[way][1]} |" for way in WAYS if way in rows]
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + rest.partition(END)[2])
