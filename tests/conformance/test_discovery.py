"""The base end point, tag lists, referrers of nothing, names."""

from __future__ import annotations

import pytest

from registry_mesh.oci.digest import Digest
from tests.conformance import content as shapes
from tests.conformance.registry import Registry


async def test_ping(registry: Registry) -> None:
    answer = (await registry.ask("GET", f"{registry.url}/v2/")).expect(200)
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


async def test_an_empty_repository(registry: Registry) -> None:
    (await registry.ask("GET", "tags/list")).expect(200, 404)
    found, _ = await registry.referrers(Digest.of(b"nothing"))
    assert found == []


async def test_referrers_of_no_digest(registry: Registry) -> None:
    (await registry.ask("GET", "referrers/sha256:bad")).expect(400)


async def _tag(registry: Registry, tags: list[str]) -> None:
    content = shapes.no_layers()
    for data in content.blobs.values():
        await registry.push_blob(data)
    ((digest, data),) = content.manifests.items()
    for start in range(0, len(tags), 10):
        given = "?" + "&".join(f"tag={tag}" for tag in tags[start : start + 10])
        (await registry.put_manifest(str(digest), data, given)).expect(201)


async def test_tags_in_order_and_by_pages(registry: Registry) -> None:
    tags = ["b", "a", "B", "1.10", "1.9", "_x", "v2", "latest", "v10", "a-b", "a.b", "Z"]
    await _tag(registry, tags)
    assert await registry.tags() == sorted(tags)
    assert await registry.tags("?n=4") == sorted(tags)[:4]
    assert await registry.tags(f"?n=4&last={sorted(tags)[3]}") == sorted(tags)[4:8]
    assert await registry.tags(f"?last={sorted(tags)[5]}") == sorted(tags)[6:]
    assert await registry.tags("?last=a0") == [tag for tag in sorted(tags) if tag > "a0"]
    assert await registry.tags("?n=0") == []
    assert await registry.tags("?n=1000000000000000000") == sorted(tags)


async def test_link_leads_through_all_tags(registry: Registry) -> None:
    tags = [f"t{i:02}" for i in range(7)]
    await _tag(registry, tags)
    seen: list[str] = []
    path = "tags/list?n=3"
    for _ in range(3):
        answer = (await registry.ask("GET", path)).expect(200)
        seen += answer.json["tags"]
        link = answer.headers.get("Link")
        if link is None:
            break
        assert link.endswith('>; rel="next"')
        path = registry.url + link[1 : link.index(">")]
    assert seen == tags
    assert link is None


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "", "%20", "0x10", "1&n=2"])
async def test_a_count_that_is_none(registry: Registry, n: str) -> None:
    await _tag(registry, ["a"])
    (await registry.ask("GET", f"tags/list?n={n}")).expect(400)


@pytest.mark.parametrize(
    "name", ["UPPER/case", "a//b", "a/../b", "-a", "a/", "a" * 256, "a/b_.c", "%41", "a%20b"]
)
async def test_a_name_that_is_none(registry: Registry, name: str) -> None:
    answer = await registry.ask("GET", f"{registry.url}/v2/{name}/tags/list")
    assert answer.expect(400, 404).code in ("NAME_INVALID", "NAME_UNKNOWN")


@pytest.mark.parametrize("tag", [".a", "-a", "a" * 129, "a%20b", "a%0ab"])
async def test_a_tag_that_is_none(registry: Registry, tag: str) -> None:
    content = shapes.no_layers()
    data = next(iter(content.manifests.values()))
    (await registry.put_manifest(tag, data)).expect(400, 404)
    (await registry.ask("GET", f"manifests/{tag}")).expect(400, 404)
