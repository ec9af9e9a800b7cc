"""A push that is cut off at any write point leaves the old state or the new, and nothing wrong.

ORIGIN_CRASHES=1 tries every point (some 190; a minute), the default every 17th.
"""

from __future__ import annotations

import os
from pathlib import Path

from registry_mesh.content.ports import Repository
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.errors import ManifestUnknown, NameUnknown
from registry_mesh.oci.reference import Tag
from registry_mesh.stores import points
from registry_mesh.stores.collector import Collection
from registry_mesh.stores.repositories import Repositories
from registry_mesh.stores.self_check import SelfCheck
from tests.simulators.origins import (
    ALICE,
    HandClock,
    disk_origin,
    image,
    index,
    plain,
    push_blob,
    push_image,
    pushes,
    repository,
)

STRIDE = int(os.environ.get("ORIGIN_CRASHES", "17"))
DAY = 24 * 3600.0


class Crash(BaseException):
    """The process ends here."""


class Countdown:
    """Ends the process at the `n`th write point; nothing reaches the disk after that."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, point: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash


async def release(repo: Repository) -> None:
    """A blob in two requests, an image, an index, a signature of it, two tags; the old tag goes."""
    begun = await pushes(repo).begin(ALICE)
    async with pushes(repo).append(ALICE, begun.id, 0) as ingest:
        await ingest.write(b"new ")
    async with pushes(repo).append(ALICE, begun.id, 4) as ingest:
        await ingest.write(b"layer")
        await ingest.commit(Digest.of(b"new layer"))
    layer = await push_blob(repo, b"new config")
    new = image(layer, layer)
    await pushes(repo).put_manifest(ALICE, new, [])
    await pushes(repo).put_manifest(ALICE, index(new), [Tag("latest"), Tag("new")])
    await push_image(repo, "signature", subject=plain(index(new)).document())
    await pushes(repo).delete_tag(ALICE, Tag("old"))


async def tag_of(origin: Repositories, tag: str) -> Digest | None:
    try:
        return (await repository(origin).tags.resolve(Tag(tag))).descriptor.digest
    except (ManifestUnknown, NameUnknown):
        return None


async def test_every_write_point_of_a_release(tmp_path: Path) -> None:
    tried, finished = STRIDE // 2, False
    while not finished:
        root = tmp_path / str(tried)
        origin = await disk_origin(root)
        old = await push_image(repository(origin), "old", "latest", "old")
        points.arm(Countdown(tried))
        try:
            await release(repository(origin))
            finished = True
        except Crash:
            tried += STRIDE
        finally:
            points.arm(None)
        await look(root, old.digest)
        assert tried < 1000
    assert tried > 150
    print(f"{tried} write points")


async def look(root: Path, old: Digest) -> None:
    """By a process that is started afterwards."""
    clock = HandClock()
    origin = await disk_origin(root, clock=clock)
    assert [each async for each in SelfCheck(origin).findings()] == []
    latest, new = await tag_of(origin, "latest"), await tag_of(origin, "new")
    assert latest is not None
    if new is not None:
        assert latest == new
    listed = (await repository(origin).tags.tags(9)).tags
    assert list(listed) == [tag for tag in ("latest", "new", "old") if await tag_of(origin, tag) is not None]
    if "old" in listed:
        await release(repository(origin))
    assert await tag_of(origin, "latest") != old
    for _ in range(2):  # what was left half done is in nobody's way
        await Collection(origin).run()
        clock.now += DAY + 1
    assert [each async for each in SelfCheck(origin).findings()] == []
