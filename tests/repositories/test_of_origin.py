"""An origin's repositories, the same in memory and on a disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import ARTIFACT, OCI_INDEX
from registry_mesh.oci.reference import RepositoryName, Tag, referrers_tag
from registry_mesh.oci.refusals import (
    BlobUnknown,
    Conflict,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    SizeInvalid,
    Unsupported,
)
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.numbered_log import NumberedLog
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.repositories.verify import SelfCheck
from tests.simulators.origins import (
    ALICE,
    BOB,
    LAYER,
    disk_origin,
    image,
    index,
    memory_origin,
    plain,
    push_blob,
    push_image,
    pushes,
    repository,
)

POLICY = PushPolicy(immutable=("v*", "cms/*:release-*"), history=4)


@pytest.fixture(params=["memory", "disk"])
async def origin(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Repositories]:
    readable = {"open/images", "atlas/athena"}
    if request.param == "memory":
        yield memory_origin(POLICY, may_read=lambda who, name: name in readable)
    else:
        yield await disk_origin(tmp_path, POLICY, may_read=lambda who, name: name in readable)


async def test_what_was_pushed_is_there(origin: Repositories) -> None:
    repo = repository(origin)
    pushed = await push_image(repo, "one", "latest", "1.0")
    resolved = await repo.tags.resolve(Tag("latest"))
    assert resolved.descriptor == plain(pushed)
    fetched = await repo.manifests.manifest(pushed.digest)
    assert fetched.manifest == pushed
    for blob in pushed.blobs():
        assert (await repo.blobs.stat(blob.digest)).size == blob.size
        async with repo.blobs.open(blob.digest) as reading:
            assert reading.span.stop == blob.size


async def test_nothing_exists_before_the_first_push(origin: Repositories) -> None:
    repo = repository(origin)
    with pytest.raises(NameUnknown):
        await repo.tags.tags(10)
    with pytest.raises(NameUnknown):
        await repo.tags.resolve(Tag("latest"))
    with pytest.raises(ManifestUnknown):
        await repo.manifests.manifest(Digest.of(b"x"))
    with pytest.raises(BlobUnknown):
        await repo.blobs.stat(Digest.of(b"x"))
    assert (await repo.referrers.referrers(Digest.of(b"x"))).descriptors == ()
    assert [each async for each in origin.names()] == []


async def test_a_blob_of_another_repository_is_unknown(origin: Repositories) -> None:
    blob = await push_blob(repository(origin, "secret/one"), b"secret")
    with pytest.raises(BlobUnknown):
        await repository(origin).blobs.stat(blob.digest)
    with pytest.raises(BlobUnknown):
        async with repository(origin).blobs.open(blob.digest):
            pass
    with pytest.raises(ManifestBlobUnknown):
        await pushes(repository(origin)).put_manifest(ALICE, image(blob), [])


async def test_tags_come_sorted_and_in_pages(origin: Repositories) -> None:
    repo = repository(origin)
    names = ["b", "B", "a.1", "a-1", "_x", "10", "9", "a_1"]
    manifest = await push_image(repo, "one")
    await pushes(repo).put_manifest(ALICE, manifest, [Tag(each) for each in names])
    await pushes(repo).delete_tag(ALICE, Tag("a-1"))
    expected = sorted(set(names) - {"a-1"})
    seen: list[str] = []
    more = True
    while more:
        page = await repo.tags.tags(2, seen[-1] if seen else "")
        assert len(page.tags) <= 2
        seen, more = [*seen, *page.tags], page.more
    assert seen == expected
    none = await repo.tags.tags(0)
    assert none.tags == () and none.more
    assert (await repo.tags.tags(100, "b")).tags == ()
    assert (await repo.tags.tags(100, "zzz")).tags == ()


async def test_a_page_is_full_though_many_tags_were_deleted(origin: Repositories) -> None:
    repo = repository(origin)
    names = [Tag(f"t{number:02}") for number in range(30)]
    await pushes(repo).put_manifest(ALICE, await push_image(repo, "one"), names)
    for name in names[1:27]:
        await pushes(repo).delete_tag(ALICE, name)
    page = await repo.tags.tags(2)
    assert page.tags == ("t00", "t27") and page.more
    page = await repo.tags.tags(2, "t27")
    assert page.tags == ("t28", "t29") and not page.more


async def test_a_deleted_tag_comes_back_to_the_listing_when_it_is_set_again(origin: Repositories) -> None:
    repo = repository(origin)
    first = await push_image(repo, "one", "t")
    for _ in range(3):
        await pushes(repo).delete_tag(ALICE, Tag("t"))
        assert (await repo.tags.tags(9)).tags == ()
        with pytest.raises(ManifestUnknown):
            await repo.tags.resolve(Tag("t"))
        await pushes(repo).put_manifest(ALICE, first, [Tag("t")])
        assert (await repo.tags.tags(9)).tags == ("t",)
    with pytest.raises(ManifestUnknown):
        await pushes(repo).delete_tag(ALICE, Tag("never"))


async def test_every_missing_reference_is_named(origin: Repositories) -> None:
    repo = repository(origin)
    there = await push_blob(repo, b"there")
    absent = [Descriptor(LAYER, Digest.of(str(i).encode()), 1) for i in range(3)]
    with pytest.raises(ManifestBlobUnknown) as refusal:
        await pushes(repo).put_manifest(ALICE, image(there, *absent, absent[0]), [Tag("t")])
    missing = refusal.value.detail["missing"]
    assert isinstance(missing, list)
    assert {each["digest"] for each in missing} == {str(each.digest) for each in absent}
    assert len(missing) == 3
    with pytest.raises(ManifestUnknown):
        await repo.tags.resolve(Tag("t"))


async def test_an_index_needs_its_children(origin: Repositories) -> None:
    repo = repository(origin)
    child = await push_image(repo, "child")
    elsewhere = await push_image(repository(origin, "other/repo"), "elsewhere")
    with pytest.raises(ManifestBlobUnknown):
        await pushes(repo).put_manifest(ALICE, index(child, elsewhere), [])
    pushed = await pushes(repo).put_manifest(ALICE, index(child), [Tag("multi")])
    assert pushed.tags == ("multi",)
    assert (await pushes(repo).put_manifest(ALICE, index(), [])).digest == index().digest


async def test_an_index_may_name_blobs(origin: Repositories) -> None:
    """As the caches of builders do."""
    repo = repository(origin)
    layer = Descriptor(LAYER, Digest.of(b"layer"), 5)
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [layer.document()]}
    cache = Manifest.parse(json.dumps(document).encode(), OCI_INDEX)
    with pytest.raises(ManifestBlobUnknown):
        await pushes(repo).put_manifest(ALICE, cache, [Tag("cache")])
    await push_blob(repo, b"layer")
    await pushes(repo).put_manifest(ALICE, cache, [Tag("cache")])
    assert [each async for each in SelfCheck(origin).findings()] == []


async def test_a_sparse_index_passes_where_the_operator_says_so() -> None:
    repo = repository(memory_origin(PushPolicy(sparse=True)))
    absent = image(Descriptor(LAYER, Digest.of(b"x"), 1))
    assert (await pushes(repo).put_manifest(ALICE, index(absent), [])).digest == index(absent).digest


async def test_non_distributable_layers_need_not_be_here(origin: Repositories) -> None:
    repo = repository(origin)
    config = await push_blob(repo, b"config")
    foreign = Descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest.of(b"far"), 3)
    assert await pushes(repo).put_manifest(ALICE, image(config, foreign), [Tag("t")])


async def test_any_media_type_is_taken(origin: Repositories) -> None:
    repo = repository(origin)
    odd = Manifest.parse(b'{"schemaVersion":2,"anything":[1]}', "application/vnd.example.odd.v1+json")
    await pushes(repo).put_manifest(ALICE, odd, [Tag("odd")])
    assert (await repo.manifests.manifest(odd.digest)).manifest == odd


async def test_sha512_is_an_algorithm_like_the_other(origin: Repositories) -> None:
    repo = repository(origin)
    data = b"long digest"
    digest = Digest.of(data, "sha512")
    async with pushes(repo).monolithic(ALICE, digest, len(data)) as ingest:
        await ingest.write(data)
        await ingest.commit(digest)
    config = Descriptor(LAYER, digest, len(data))
    parsed = image(config)
    manifest = Manifest.parse(parsed.data, parsed.media_type, Digest.of(parsed.data, "sha512"))
    await pushes(repo).put_manifest(ALICE, manifest, [Tag("long")])
    assert (await repo.tags.resolve(Tag("long"))).descriptor.digest.algorithm == "sha512"
    assert (await repo.manifests.manifest(manifest.digest)).manifest.digest == manifest.digest


async def test_a_wrong_digest_leaves_nothing(origin: Repositories) -> None:
    repo = repository(origin)
    wrong = Digest.of(b"other")
    with pytest.raises(DigestInvalid):
        async with pushes(repo).monolithic(ALICE, wrong, None) as ingest:
            await ingest.write(b"this")
            await ingest.commit(wrong)
    for digest in (wrong, Digest.of(b"this")):
        with pytest.raises(BlobUnknown):
            await repo.blobs.stat(digest)


async def test_referrers_by_the_api(origin: Repositories) -> None:
    repo = repository(origin)
    subject = await push_image(repo, "subject", "t")
    ref = {"subject": plain(subject).document(), "annotations": {"a": "b"}}
    signature = await push_image(repo, "signature", artifactType="application/vnd.example.sig", **ref)
    plain_type = await push_image(repo, "other", **ref)
    found = {each.digest: each for each in (await repo.referrers.referrers(subject.digest)).descriptors}
    assert set(found) == {signature.digest, plain_type.digest}
    assert found[signature.digest].artifact_type == "application/vnd.example.sig"
    assert found[signature.digest].annotations == {"a": "b"}
    assert found[plain_type.digest].artifact_type == "application/vnd.oci.image.config.v1+json"
    await pushes(repo).delete_manifest(ALICE, signature.digest)
    left = (await repo.referrers.referrers(subject.digest)).descriptors
    assert [each.digest for each in left] == [plain_type.digest]


async def test_a_subject_may_be_missing(origin: Repositories) -> None:
    repo = repository(origin)
    subject = image(Descriptor(LAYER, Digest.of(b"later"), 5))
    pushed = await push_image(repo, "signature", subject=plain(subject).document())
    assert [each.digest for each in (await repo.referrers.referrers(subject.digest)).descriptors] == [
        pushed.digest
    ]


async def test_a_referrers_tag_makes_no_referrers(origin: Repositories) -> None:
    """Those that it lists are referrers by their own subject, or are none; whatever the tag points at."""
    repo = repository(origin)
    subject = await push_image(repo, "subject", "t")
    referrer = await push_image(repo, "new", subject=plain(subject).document())
    without = await push_image(repo, "old")
    other = await push_image(repo, "other")
    of_another = await push_image(repo, "elsewhere", subject=plain(other).document())
    for listed in ((without, referrer, of_another), (without,), (of_another,), (subject, without)):
        await pushes(repo).put_manifest(ALICE, index(*listed), [referrers_tag(subject.digest)])
        found = (await repo.referrers.referrers(subject.digest)).descriptors
        assert {each.digest for each in found} == {referrer.digest}
    itself = index(subject)
    await pushes(repo).put_manifest(ALICE, itself, [referrers_tag(itself.digest)])
    assert (await repo.referrers.referrers(itself.digest)).descriptors == ()


async def test_mount(origin: Repositories) -> None:
    source, target = repository(origin, "secret/one"), repository(origin, "cms/two")
    blob = await push_blob(source, b"shared")
    assert not await pushes(target).mount(ALICE, blob.digest, None), "nobody may read secret/one unasked"
    assert not await pushes(target).mount(ALICE, blob.digest, RepositoryName("other/repo"))
    assert not await pushes(target).mount(ALICE, Digest.of(b"none"), RepositoryName("secret/one"))
    assert await pushes(target).mount(ALICE, blob.digest, RepositoryName("secret/one"))
    assert (await target.blobs.stat(blob.digest)).size == 6


async def test_anonymous_mount_looks_only_where_the_pusher_may_read(origin: Repositories) -> None:
    blob = await push_blob(repository(origin, "open/images"), b"public")
    target = repository(origin, "cms/two")
    assert await pushes(target).mount(ALICE, blob.digest, None)
    assert (await target.blobs.stat(blob.digest)).size == 6


async def test_compare_and_set(origin: Repositories) -> None:
    repo = repository(origin)
    one, two = await push_image(repo, "one", "t"), await push_image(repo, "two")
    put = pushes(repo).put_manifest
    with pytest.raises(Conflict):
        await put(ALICE, two, [Tag("t")], if_none_match="*")
    with pytest.raises(Conflict):
        await put(ALICE, two, [Tag("t")], if_match=f'"{two.digest}"')
    with pytest.raises(Conflict):
        await put(ALICE, two, [Tag("new")], if_match="*")
    with pytest.raises(Conflict):
        await put(ALICE, two, [Tag("t")], if_match=f'W/"{one.digest}"')
    await put(ALICE, two, [Tag("t")], if_match=f'"{two.digest}", "{one.digest}"')
    assert (await repo.tags.resolve(Tag("t"))).descriptor.digest == two.digest
    with pytest.raises(Conflict):
        await pushes(repo).delete_tag(ALICE, Tag("t"), if_match=f'"{one.digest}"')
    await pushes(repo).delete_tag(ALICE, Tag("t"), if_match=f'"{two.digest}"')
    await put(ALICE, one, [Tag("t")], if_none_match="*")


async def test_if_none_match(origin: Repositories) -> None:
    repo = repository(origin)
    one, two = await push_image(repo, "one", "t"), await push_image(repo, "two")
    put = pushes(repo).put_manifest
    for taken in (f'"{one.digest}"', f'"x", W/"{one.digest}"', "*"):
        with pytest.raises(Conflict):
            await put(ALICE, two, [Tag("t")], if_none_match=taken)
    await put(ALICE, two, [Tag("t")], if_none_match=f'"{two.digest}"')
    assert (await repo.tags.resolve(Tag("t"))).descriptor.digest == two.digest


async def test_preconditions_of_a_push_by_digest(origin: Repositories) -> None:
    repo = repository(origin)
    one = await push_image(repo, "one")
    put = pushes(repo).put_manifest
    other = index(one)
    with pytest.raises(Conflict):
        await put(ALICE, other, [], if_match="*")
    await put(ALICE, other, [], if_none_match="*")
    with pytest.raises(Conflict):
        await put(ALICE, other, [], if_none_match="*")
    await put(ALICE, other, [], if_match=f'"{other.digest}"')


async def test_one_of_many_wins_a_compare_and_set(origin: Repositories) -> None:
    repo = repository(origin)
    base = await push_image(repo, "base", "t")
    rivals = [await push_image(repo, str(i)) for i in range(6)]
    outcomes = await asyncio.gather(
        *(pushes(repo).put_manifest(ALICE, each, [Tag("t")], if_match=f'"{base.digest}"') for each in rivals),
        return_exceptions=True,
    )
    won = [each for each in outcomes if not isinstance(each, BaseException)]
    assert len(won) == 1
    assert all(isinstance(each, Conflict) for each in outcomes if isinstance(each, BaseException))
    assert (await repo.tags.resolve(Tag("t"))).descriptor.digest == won[0].digest


async def test_immutable_tags(origin: Repositories) -> None:
    repo = repository(origin)
    one, two = await push_image(repo, "one", "v1", "w1"), await push_image(repo, "two", "w1")
    with pytest.raises(Conflict):
        await pushes(repo).put_manifest(ALICE, two, [Tag("v1")])
    with pytest.raises(Conflict):
        await pushes(repo).delete_tag(ALICE, Tag("v1"))
    with pytest.raises(Conflict):
        await pushes(repo).delete_manifest(ALICE, one.digest)
    await pushes(repo).put_manifest(ALICE, one, [Tag("v1")])  # the same again is no change
    await pushes(repo).put_manifest(ALICE, two, [Tag("release-1")])
    await pushes(repo).put_manifest(ALICE, one, [Tag("release-1")])  # immutable in cms/* only


async def test_what_a_tag_stands_for_decides_whether_it_is_created_or_moved(origin: Repositories) -> None:
    repo = repository(origin)
    one, two = await push_image(repo, "one", "latest"), await push_image(repo, "two", "other")
    creator, mover = Pusher("robot:ci", may_move=False), Pusher("robot:cd", may_create=False)
    with pytest.raises(Denied):
        await pushes(repo).put_manifest(creator, two, [Tag("latest")])
    with pytest.raises(Denied):
        await pushes(repo).put_manifest(mover, two, [Tag("new")])
    assert (await repo.tags.resolve(Tag("latest"))).descriptor.digest == one.digest
    await pushes(repo).put_manifest(creator, one, [Tag("latest")])  # the same again is no change
    await pushes(repo).put_manifest(creator, two, [Tag("new")])
    await pushes(repo).put_manifest(mover, two, [Tag("latest")])


async def test_deleting_a_manifest_takes_its_tags(origin: Repositories) -> None:
    repo = repository(origin)
    one, two = await push_image(repo, "one", "a", "b"), await push_image(repo, "two", "c")
    await pushes(repo).delete_manifest(ALICE, one.digest)
    for tag in "ab":
        with pytest.raises(ManifestUnknown):
            await repo.tags.resolve(Tag(tag))
    with pytest.raises(ManifestUnknown):
        await repo.manifests.manifest(one.digest)
    assert (await repo.tags.tags(9)).tags == ("c",)
    with pytest.raises(ManifestUnknown):
        await pushes(repo).delete_manifest(ALICE, one.digest)
    assert (await repo.manifests.manifest(two.digest)).manifest == two


async def test_what_a_tag_needs_cannot_be_deleted(origin: Repositories) -> None:
    repo = repository(origin)
    child = await push_image(repo, "child")
    outer = index(index(child))
    inner = index(child)
    await pushes(repo).put_manifest(ALICE, inner, [])
    await pushes(repo).put_manifest(ALICE, outer, [Tag("multi"), Tag("again")])
    assert child.config
    for digest in (child.layers[0].digest, child.config.digest):
        with pytest.raises(Unsupported, match=r":(multi|again) needs it"):
            await pushes(repo).delete_blob(ALICE, digest)
    for manifest in (child, inner):
        with pytest.raises(Unsupported, match=r":(multi|again) needs it"):
            await pushes(repo).delete_manifest(ALICE, manifest.digest)
    await pushes(repo).delete_tag(ALICE, Tag("multi"))
    with pytest.raises(Unsupported, match=":again needs it"):
        await pushes(repo).delete_manifest(ALICE, inner.digest)
    await pushes(repo).delete_manifest(ALICE, outer.digest)
    await pushes(repo).delete_blob(ALICE, child.layers[0].digest)
    await pushes(repo).delete_manifest(ALICE, child.digest)


async def test_a_tagged_child_goes_with_its_index_alone(origin: Repositories) -> None:
    """Deleting a manifest takes its own tags; another tag that needs it holds it."""
    repo = repository(origin)
    child = await push_image(repo, "child", "one")
    await pushes(repo).put_manifest(ALICE, index(child), [Tag("multi")])
    with pytest.raises(Unsupported, match=":multi needs it"):
        await pushes(repo).delete_manifest(ALICE, child.digest)
    assert (await repo.tags.resolve(Tag("one"))).descriptor.digest == child.digest


async def test_what_hangs_beside_an_image_can_be_deleted(origin: Repositories) -> None:
    """A signature, also where a list of the tag schema names it; an image goes from under its signatures."""
    repo = repository(origin)
    subject = await push_image(repo, "subject", "t")
    signature = await push_image(repo, "signature", subject=plain(subject).document())
    await pushes(repo).put_manifest(ALICE, index(signature), [referrers_tag(subject.digest)])
    await pushes(repo).delete_manifest(ALICE, signature.digest)
    other = await push_image(repo, "other", "sig", subject=plain(subject).document())
    await pushes(repo).delete_manifest(ALICE, subject.digest)
    assert (await repo.manifests.manifest(other.digest)).manifest == other


async def test_another_repository_s_tags_hold_nothing_here(origin: Repositories) -> None:
    here, there = repository(origin), repository(origin, "other/repo")
    one = await push_image(here, "one")
    await push_image(there, "one", "t")
    await pushes(here).delete_blob(ALICE, one.layers[0].digest)
    with pytest.raises(Unsupported):
        await pushes(there).delete_blob(ALICE, one.layers[0].digest)


async def test_deleting_a_blob_unlinks_it_here_only(origin: Repositories) -> None:
    here, there = repository(origin), repository(origin, "other/repo")
    blob = await push_blob(here, b"both")
    await push_blob(there, b"both")
    await pushes(here).delete_blob(ALICE, blob.digest)
    with pytest.raises(BlobUnknown):
        await here.blobs.stat(blob.digest)
    with pytest.raises(BlobUnknown):
        await pushes(here).delete_blob(ALICE, blob.digest)
    assert (await there.blobs.stat(blob.digest)).size == 4


async def test_history_says_who_when_and_from_where(origin: Repositories) -> None:
    repo = repository(origin)
    one = await push_image(repo, "one", "t")
    two = await push_image(repo, "two", "t", who=BOB)
    await pushes(repo).delete_tag(ALICE, Tag("t"))
    entries = await origin.history(repo.name).entries(Tag("t"))
    assert [(each.digest, each.by, each.previous) for each in entries] == [
        (one.digest, "alice", None),
        (two.digest, "bob", one.digest),
        (None, "alice", two.digest),
    ]
    assert all(each.at > 0 for each in entries)


async def test_undo_brings_back_a_tag_and_its_manifest(origin: Repositories) -> None:
    repo = repository(origin)
    subject = await push_image(repo, "subject", "s")
    signed = await push_image(repo, "one", "t", subject=plain(subject).document())
    await pushes(repo).delete_manifest(ALICE, signed.digest)
    undone = await origin.history(repo.name).undo(BOB, Tag("t"))
    assert undone.digest == signed.digest
    assert (await repo.tags.resolve(Tag("t"))).descriptor.digest == signed.digest
    assert (await repo.manifests.manifest(signed.digest)).manifest == signed
    assert len((await repo.referrers.referrers(subject.digest)).descriptors) == 1
    two = await push_image(repo, "two", "t")
    await origin.history(repo.name).undo(BOB, Tag("t"))
    assert (await repo.tags.resolve(Tag("t"))).descriptor.digest == signed.digest
    await origin.history(repo.name).undo(BOB, Tag("t"))
    assert (await repo.tags.resolve(Tag("t"))).descriptor.digest == two.digest, "undo of an undo"
    with pytest.raises(ManifestUnknown):
        await origin.history(repo.name).undo(BOB, Tag("never"))


async def test_history_is_compacted(origin: Repositories) -> None:
    repo = repository(origin)
    for i in range(9):
        await push_image(repo, str(i), "t")
    entries = await origin.history(repo.name).entries(Tag("t"))
    assert [each.number for each in entries] == [6, 7, 8, 9]


async def test_a_writer_that_slept_through_a_compaction_does_not_win(origin: Repositories) -> None:
    log = NumberedLog(origin.records, "x/")
    for number in range(8):
        assert await log.append(number, b"n", keep=3)
    assert not await log.append(2, b"stale", keep=3), "3 was trimmed away, so it can be created"
    assert await log.numbers() == [6, 7, 8]
    await log.purge()
    assert not await log.append(8, b"stale", keep=3)
    assert await log.append(0, b"new", keep=3)


async def test_repositories_are_listed(origin: Repositories) -> None:
    for text in ("b", "a/c/d", "a", "a/b"):
        await push_blob(repository(origin, text), b"x")
    assert [each async for each in origin.names()] == ["a", "a/b", "a/c/d", "b"]
    assert [each async for each in origin.names("a/b")] == ["a/c/d", "b"]


@pytest.mark.parametrize("said", [0, 3, 10**9])
@pytest.mark.parametrize(
    "what", ["config", "layer", "the same layer twice", "child", "subject", "artifact", "vendor's", "foreign"]
)
async def test_a_manifest_says_the_true_size_of_what_it_names(
    origin: Repositories, what: str, said: int
) -> None:
    """Caches may believe it, and clients refuse the blob for it."""
    repo = repository(origin)
    config, layer = await push_blob(repo, b"a config"), await push_blob(repo, b"a layer")
    false = {each: Descriptor(each.media_type, each.digest, said) for each in (config, layer)}
    if what == "child":
        child = await push_image(repo, "one")
        wrong = index(child, manifests=[Descriptor(child.media_type, child.digest, said).document()])
    elif what == "subject":
        subject = await push_image(repo, "one")
        wrong = image(config, layer, subject=Descriptor(subject.media_type, subject.digest, said).document())
    elif what in ("artifact", "vendor's"):
        kind = ARTIFACT if what == "artifact" else "application/vnd.example.v1+json"
        place = "blobs" if what == "artifact" else "parts"
        text = json.dumps({"mediaType": kind, "artifactType": "a/b", place: [false[layer].document()]})
        wrong = Manifest.parse(text.encode(), kind)
    elif what == "foreign":
        kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        wrong = image(config, Descriptor(kind, layer.digest, said))
    elif what == "config":
        wrong = image(false[config], layer)
    else:
        wrong = image(config, false[layer], *([layer] if "twice" in what else []))
    with pytest.raises(SizeInvalid) as refusal:
        await pushes(repo).put_manifest(ALICE, wrong, [Tag("wrong")])
    assert f"has {said} bytes; it has" in refusal.value.reason
    with pytest.raises(ManifestUnknown):
        await repo.tags.resolve(Tag("wrong"))
    await pushes(repo).put_manifest(ALICE, image(config, layer), [Tag("right")])
