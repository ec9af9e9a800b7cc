"""Images that a store has no room for: refused before they are brought, and missed where they did not stay."""

from __future__ import annotations

import pytest

from registry_mesh.content.holdings.preload import Meter, Ordered, Preload
from registry_mesh.content.holdings.staying import Staying
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import Kind, Mention
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.ports.failures import StoreFull
from registry_mesh.ports.holdings import StoreAccount, Uses
from tests.simulators.origins import ALICE, image, memory_origin, push_blob, pushes, repository

KEY = "store.disk.quota"


class Held:
    """Implements `Holdings`: so many bytes of each."""

    def __init__(self, sizes: dict[Digest, int] | None = None, all_of: int = 0) -> None:
        self._sizes = sizes or {}
        self._all_of = all_of

    async def held(self, digest: Digest) -> int:
        return self._sizes.get(digest, self._all_of)

    async def used(self, digests: object) -> Uses:
        return Uses()

    async def drop(self, digest: Digest) -> int:
        return 0

    async def account(self) -> StoreAccount:
        return StoreAccount()

    async def spare(self, digests: object) -> None:
        raise AssertionError("nobody pins")


def blob(name: str, size: int | None) -> Mention:
    return Mention(Digest.of(name.encode()), Kind.BLOB, "", size=size)


def test_what_is_larger_than_the_store_is_named_with_what_is_missing() -> None:
    staying = Staying(Held(), 10_000_000, KEY)
    staying.demand_fits([blob("a", 4_000_000), blob("b", 6_000_000), blob("a", 4_000_000)])
    with pytest.raises(StoreFull) as one:
        staying.demand_fits([blob("a", 1_000_000), blob("b", 12_000_000)])
    assert str(Digest.of(b"b"))[:19] in one.value.reason
    assert "it has 13 MB" in one.value.reason and "12 MB" in one.value.reason
    assert f"3 MB are missing: raise {KEY}" in one.value.reason
    with pytest.raises(StoreFull) as together:
        staying.demand_fits([blob("a", 6_000_000), blob("b", 6_000_000)])
    assert "alone" not in together.value.reason and "2 MB are missing" in together.value.reason
    Staying(Held(), None, KEY).demand_fits([blob("a", 1 << 50)])


async def test_what_went_again_is_missed() -> None:
    blobs = [blob("a", 4_000), blob("b", 6_000), blob("c", None)]
    here = {each.digest: each.size or 1 for each in blobs}
    assert await Staying(Held(here), 9_000, KEY).gone(blobs) == ""
    gone = await Staying(Held(here | {blobs[1].digest: 1_000}), 9_000, KEY).gone(blobs)
    assert "5 kB of 10 kB are not here" in gone and KEY in gone and "9 kB" in gone
    assert "had no room" in await Staying(Held(), None, KEY).gone(blobs)


async def test_an_image_is_brought_only_where_it_fits_and_here_only_where_it_stayed() -> None:
    origin = memory_origin()
    repo = repository(origin, RepositoryName("team/app"))
    for tag, layer in (("small", b"s" * 10), ("large", b"l" * 1000), ("evicted", b"e" * 20)):
        made = image(await push_blob(repo, b"{}"), await push_blob(repo, layer))
        await pushes(repo).put_manifest(ALICE, made, [Tag(tag)])
    meter = Meter()
    staying = Staying(Held({Digest.of(b"e" * 20): 0}, all_of=1 << 20), 500, KEY)
    await Preload([Ordered(t, repo, Tag(t)) for t in ("small", "large", "evicted")], meter, staying).run()
    assert (meter.images, meter.images_done, sorted(meter.failed)) == (3, 1, ["evicted", "large"])
    assert meter.failed["large"].startswith("does not fit the store")
    assert meter.failed["evicted"].startswith("did not stay: 20 B of 22 B")
    assert meter.size_done == 2 + 10 + 20, "nothing of what does not fit"
