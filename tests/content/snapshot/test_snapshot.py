"""A replica beside sources that are well, change, lie, break, and vanish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from registry_mesh.content.snapshot.copying.progress import Phase
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import SourceUnavailable, StoreBroken
from registry_mesh.replication.rules import Platform, Rules
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.tasks.together import AT_ONCE
from tests.simulators.images import HOST, random_bytes
from tests.simulators.kept import DiaryRepositories, DiaryRepository
from tests.simulators.replica import Replica, rule


@pytest.fixture(params=["ingest", "fill"])
def replicas(request: pytest.FixtureRequest) -> Replicas:
    """By both ways of bringing a blob in."""
    return partial(Replica, fill=request.param == "fill")


Replicas = Callable[..., Replica]


async def test_brings_what_rules_select_and_no_more(replicas: Replicas) -> None:
    replica = replicas(rule("atlas/** !**/scratch/**", "2* !*-debug"))
    source = replica.source
    wanted = source["atlas/athena"].image("one", "22")
    for name, tag in (
        ("atlas/athena", "22-debug"),
        ("atlas/athena", "1"),
        ("atlas/scratch/x", "22"),
        ("cms/x", "22"),
    ):
        source[name].image(name + tag, tag)
    outcome = await replica.run()
    assert outcome.complete
    assert (outcome.repositories, outcome.tags, outcome.switched) == (1, 1, 1)
    assert await replica.tags("atlas/athena") == {"22": wanted.digest}
    assert [name async for name in replica.repositories.real.repositories(HOST)] == ["atlas/athena"]
    assert outcome.size == source.sent == sum(blob.size for blob in wanted.blobs())


class Far(MemoryStore):
    """Counts the looks that are under way, each of which takes a turn."""

    looks = most = 0

    async def stat(self, digest: Digest) -> BlobInfo:
        self.looks += 1
        self.most = max(self.most, self.looks)
        await asyncio.sleep(0)
        self.looks -= 1
        return await super().stat(digest)


async def test_so_many_blobs_are_looked_up_at_once() -> None:
    """Over a bucket, and at a registry that is pushed to, each look is a question over the network."""
    replica, store = Replica(rule("a")), Far()
    replica.blobs, replica.repositories = store, DiaryRepositories(store.records, store)
    replica.source["a"].image("many", "v1", layers=[bytes([number]) for number in range(4 * AT_ONCE)])
    assert (await replica.run()).complete
    assert store.most == AT_ONCE


async def test_nothing_new_costs_one_listing_and_one_head_a_tag(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    for n in range(5):
        replica.source["a"].image(str(n), f"v{n}")
    await replica.run()
    outcome = await replica.run()
    assert (outcome.complete, outcome.switched, outcome.size) == (True, 0, 0)
    assert replica.source.asked == {"tags": 1, "resolve": 5}


async def test_exact_names_need_no_catalog_and_patterns_do(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    replica.source["a"].image("x", "1")
    await replica.run()
    assert replica.source.asked["catalog"] == 0
    replica.rules = Rules((rule("a*"),))
    await replica.run()
    assert replica.source.asked["catalog"] == 1


async def test_blobs_before_children_before_index_before_referrers_before_tag(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    content = replica.source["a"]
    child = content.image("amd")
    index = content.index({"linux/amd64": child}, "v1")
    signature = content.image("sig", subject=index)
    assert (await replica.run()).complete
    assert replica.repositories.diary == [
        f"manifest {child.digest}",
        f"manifest {index.digest}",
        f"manifest {signature.digest}",
        "tag v1",
    ]
    held = await replica.held("a").referrers.referrers(index.digest)
    assert [each.digest for each in held.descriptors] == [signature.digest]


async def test_shared_blobs_and_manifests_move_once(replicas: Replicas) -> None:
    replica = replicas(rule("**"))
    base = random_bytes("base", 50_000)
    for name in ("a", "b", "c/d"):
        content = replica.source[name]
        content.image(name, "v1", "latest", layers=[base])
    outcome = await replica.run()
    assert outcome.complete
    assert replica.source.asked[f"blob {Digest.of(base)}"] == 1
    assert {count for key, count in replica.source.asked.items() if key.startswith("manifest ")} == {1}


async def test_a_moved_tag_is_brought_up_to_date_and_only_what_is_new_moves(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    base = random_bytes("base", 50_000)
    replica.source["a"].image("old", "latest", layers=[base])
    await replica.run()
    new = replica.source["a"].image("new", "latest", layers=[base])
    outcome = await replica.run()
    assert await replica.tags("a") == {"latest": new.digest}
    assert outcome.size == sum(blob.size for blob in new.blobs()) - 50_000
    assert replica.meter.size_held == 50_000


async def test_what_vanished_at_the_source_is_kept(replicas: Replicas) -> None:
    replica = replicas(rule("a"), rule("b"))
    replica.source["a"].image("x", "1", "2")
    replica.source["b"].image("y", "1")
    await replica.run()
    del replica.source["a"].tags[Tag("1")]
    del replica.source.content[RepositoryName("b")]
    outcome = await replica.run()
    assert outcome.complete
    assert set(await replica.tags("a")) == {"1", "2"}
    assert set(await replica.tags("b")) == {"1"}
    assert outcome.notes == (f"{HOST}/b does not exist at its source; what is held of it stays",)


async def test_only_wanted_platforms_come_and_the_index_keeps_its_digest(replicas: Replicas) -> None:
    linux = frozenset({Platform("linux", "amd64")})
    replica = replicas(rule("a", platforms=linux))
    content = replica.source["a"]
    amd, arm = content.image("amd"), content.image("arm")
    index = content.index({"linux/amd64": amd, "linux/arm64": arm}, "v1")
    assert (await replica.run()).complete
    assert await replica.tags("a") == {"v1": index.digest}
    assert [await replica.has("a", each) for each in (amd, arm, index)] == [True, False, True]
    replica.rules = Rules((rule("a"),))
    outcome = await replica.run()
    assert outcome.switched == 0
    assert await replica.has("a", arm)


async def test_one_bad_object_stops_nothing_else_and_is_named(replicas: Replicas) -> None:
    replica = replicas(rule("**"))
    bad = replica.source["a"].image("bad", "bad")
    good = replica.source["a"].image("good", "good")
    replica.source["b"].image("b", "1")
    layer = bad.layers[0].digest
    del replica.source["a"].blobs[layer]
    outcome = await replica.run()
    assert await replica.tags("a") == {"good": good.digest}
    assert set(await replica.tags("b")) == {"1"}
    assert {trouble.what for trouble in outcome.troubles} == {
        f"blob {layer}",
        f"{HOST}/a@{bad.digest}",
        f"{HOST}/a:bad",
    }
    assert all("blob unknown" in trouble.why for trouble in outcome.troubles)
    replica.source["a"].blob(random_bytes("bad/a", 3_000))
    assert (await replica.run()).complete


async def test_a_tag_whose_new_content_is_bad_goes_on_pointing_at_the_old(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    old = replica.source["a"].image("old", "latest")
    await replica.run()
    new = replica.source["a"].image("new", "latest")
    replica.source.faults[new.layers[1].digest] = lambda tries, data: b"\0" * len(data)
    outcome = await replica.run()
    assert not outcome.complete
    assert await replica.tags("a") == {"latest": old.digest}
    assert not await replica.has("a", new)


@pytest.mark.parametrize("flip", [0, 1_500, 2_999])
async def test_flipped_bytes_are_never_kept(replicas: Replicas, flip: int) -> None:
    replica = replicas(rule("a"))
    image = replica.source["a"].image("x", "1")
    layer = image.layers[0]

    def lie(tries: int, data: bytes) -> bytes:
        return data[:flip] + bytes([data[flip] ^ 1]) + data[flip + 1 :]

    replica.source.faults[layer.digest] = lie
    outcome = await replica.run()
    assert any("bytes" in trouble.why and str(layer.digest) in trouble.what for trouble in outcome.troubles)
    assert not await replica.has_blob(layer.digest)
    assert set(replica.distrusted) == {HOST}
    replica.source.faults[layer.digest] = lambda tries, data: lie(tries, data) if tries == 0 else data
    outcome = await replica.run()
    assert outcome.complete, "the first lie is asked again, and another parent may answer"
    assert outcome.size == 3_000


async def test_a_source_that_breaks_off_is_resumed_at_the_same_byte(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    image = replica.source["a"].image("x", "1")
    replica.source.faults[image.layers[0].digest] = lambda tries, data: data[:1_000]
    outcome = await replica.run()
    assert outcome.complete
    assert outcome.size == replica.source.sent == sum(blob.size for blob in image.blobs())
    assert replica.source.asked[f"blob {image.layers[0].digest}"] == 3


async def test_a_source_that_sends_nothing_is_given_up_after_a_few_tries(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    image = replica.source["a"].image("x", "1")
    replica.source.faults[image.layers[0].digest] = lambda tries, data: b""
    outcome = await replica.run()
    assert replica.source.asked[f"blob {image.layers[0].digest}"] == 4 * (1 + len(replica.again))
    assert not outcome.complete


async def test_a_source_that_is_down_is_said_and_what_is_held_stays(replicas: Replicas) -> None:
    replica = replicas(rule("a"), rule("b*"))
    replica.source["a"].image("x", "1")
    await replica.run()
    replica.source.down = True
    outcome = await replica.run()
    assert [trouble.what for trouble in outcome.troubles] == [HOST, f"{HOST}/a"]
    assert set(await replica.tags("a")) == {"1"}


async def test_a_source_that_vanishes_midway_leaves_whole_images_only(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    for n in range(6):
        replica.source["a"].image(str(n), f"v{n}")
    seen = 0

    def vanish(tries: int, data: bytes) -> bytes:
        nonlocal seen
        seen += 1
        if seen > 7:
            replica.source.down = True
            raise SourceUnavailable("gone")
        return data

    for digest in replica.source["a"].blobs:
        replica.source.faults[digest] = vanish
    outcome = await replica.run()
    assert not outcome.complete
    for digest in (await replica.tags("a")).values():
        await _assert_whole(replica, digest)
    replica.source.down = False
    replica.source.faults.clear()
    assert (await replica.run()).complete
    assert len(await replica.tags("a")) == 6


async def test_a_manifest_with_other_bytes_is_refused(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    image = replica.source["a"].image("x", "1")
    replica.source.lies[image.digest] = replica.source["a"].image("evil")
    outcome = await replica.run()
    assert "other bytes" in outcome.troubles[0].why
    assert await replica.tags("a") == {}


async def test_a_descriptor_with_a_wrong_size_is_refused(replicas: Replicas) -> None:
    replica = replicas(rule("a b"))
    image = replica.source["a"].image("x", "1")
    document = {
        "schemaVersion": 2,
        "mediaType": image.media_type,
        "config": image.config.document() if image.config else None,
        "layers": [image.layers[0].document() | {"size": 2_999}],
    }
    replica.source["b"].blobs |= replica.source["a"].blobs
    replica.source["b"].put(document, "1")
    outcome = await replica.run()
    assert not outcome.complete
    assert await replica.tags("b") == {}


async def test_referrers_of_something_else_are_not_taken(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    content = replica.source["a"]
    image, other = content.image("x", "1"), content.image("other")
    stray = content.image("stray", subject=other)
    replica.source.injected[image.digest] = [stray.descriptor, other.descriptor]
    assert (await replica.run()).complete
    assert [await replica.has("a", each) for each in (image, other, stray)] == [True, False, False]


async def test_a_signature_pushed_later_comes_when_it_is_time_to_ask_again(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    image = replica.source["a"].image("x", "1")
    await replica.run()
    signature = replica.source["a"].image("sig", subject=image)
    await replica.run()
    assert not await replica.has("a", signature)
    replica.now += 3_601
    outcome = await replica.run()
    assert await replica.has("a", signature)
    assert outcome.switched == 0
    assert replica.source.asked[f"manifest {image.digest}"] == 0


async def test_cosign_tags_of_what_is_wanted_come_too_and_first(replicas: Replicas) -> None:
    replica = replicas(rule("a", "v*"))
    image = replica.source["a"].image("x", "v1")
    name = f"{image.digest}".replace(":", "-") + ".sig"
    replica.source["a"].image("signature", name, "sha256-" + "0" * 64 + ".sig")
    assert (await replica.run()).complete
    assert set(await replica.tags("a")) == {"v1", name}
    assert replica.repositories.diary[-1] == "tag v1"
    assert (await replica.run()).switched == 0
    newer = replica.source["a"].image("newer signature", name)
    assert (await replica.run()).switched == 1
    assert (await replica.tags("a"))[name] == newer.digest


async def test_layers_that_need_not_be_held_are_left_out(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    content = replica.source["a"]
    image = content.image("x")
    foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar"
    assert image.config
    content.put(
        {
            "schemaVersion": 2,
            "mediaType": image.media_type,
            "config": image.config.document(),
            "layers": [Descriptor(foreign, Digest.of(b"?"), 1).document()],
        },
        "1",
    )
    assert (await replica.run()).complete
    assert set(await replica.tags("a")) == {"1"}


async def test_a_rotten_stored_manifest_is_fetched_anew(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    image = replica.source["a"].image("x", "1")
    await replica.run()
    await replica.blobs.delete(image.digest)
    replica.now += 4_000
    assert (await replica.run()).complete
    assert replica.source.asked[f"manifest {image.digest}"] == 1


async def test_a_store_that_loses_what_it_took_is_found_before_the_tag_moves(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    image = replica.source["a"].image("x", "1")

    class Forgetful(DiaryRepository):
        async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
            await DiaryRepository.put_manifest(self, manifest, left_out)
            await replica.blobs.delete(manifest.layers[0].digest)

    replica.repositories.instead["a"] = Forgetful
    outcome = await replica.run()
    assert [(t.what, "for lack of blob" in t.why) for t in outcome.troubles] == [(f"{HOST}/a:1", True)]
    assert str(image.layers[0].digest) in outcome.troubles[0].why
    assert await replica.tags("a") == {}


async def test_rules_about_an_unknown_registry_are_said(replicas: Replicas) -> None:
    replica = replicas(rule("a", registry=RegistryName("other.example")))
    (trouble,) = (await replica.run()).troubles
    assert trouble.what == "other.example"


async def test_a_list_that_ended_oddly_is_noted() -> None:
    replica = Replica(rule("a"))
    replica.source["a"].image("x", "1")
    replica.source.odd = "links in a circle"
    outcome = await replica.run()
    assert outcome.complete
    assert outcome.notes == (f"{HOST}/a: its list of tags links in a circle",)
    assert set(await replica.tags("a")) == {"1"}


async def test_two_runs_at_once_do_no_harm(replicas: Replicas) -> None:
    replica = replicas(rule("**"))
    for n in range(4):
        replica.source["a"].image(str(n), f"v{n}")
    one, two = await asyncio.gather(replica.run(), replica.run())
    assert one.complete
    assert two.complete
    assert len(await replica.tags("a")) == 4


async def test_a_store_that_fails_as_a_whole_is_said_once_a_tag(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    replica.source["a"].image("x", "1")

    class Broken(DiaryRepository):
        async def link(self, blob: Digest) -> None:
            raise StoreBroken("read-only file system")

    replica.repositories.instead["a"] = Broken
    outcome = await replica.run()
    assert {t.what for t in outcome.troubles} >= {f"{HOST}/a:1"}
    assert all("read-only" in t.why for t in outcome.troubles)


async def test_progress_adds_up(replicas: Replicas) -> None:
    replica = replicas(rule("a"))
    replica.source["a"].image("x", "1", layers=[random_bytes("big", 100_000)])
    for _ in range(2):
        await replica.run()
        replica.now += 4_000
    progress = replica.meter.look(10.0)
    assert progress.phase is Phase.DONE
    assert (progress.size_left, progress.tags, progress.tags_done, progress.failed) == (0, 1, 1, 0)
    assert progress.objects == progress.objects_done


async def _assert_whole(replica: Replica, digest: Digest) -> None:
    manifest = (await replica.held("a").manifests.manifest(digest)).manifest
    for blob in manifest.blobs():
        assert (await replica.blobs.stat(blob.digest)).size == blob.size


async def test_a_store_that_fails_while_repositories_are_looked_at_is_told_as_that() -> None:
    class Broken(MemoryRecords):
        async def get(self, key: str) -> bytes | None:
            if key.endswith("/receipts.json"):
                raise StoreBroken("read-only file system")
            return await super().get(key)

    replica = Replica(rule("a"), rule("b"))
    replica.source["a"].image("x", "1")
    replica.source["b"].image("y", "1")
    replica.blobs.records = Broken()
    with pytest.raises(StoreBroken, match="read-only"):
        await replica.run()
