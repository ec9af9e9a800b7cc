"""What every `Pushes` keeps. Subclass it and give the fixtures `repository` (nothing was pushed to it yet, and what is
pushed to it is readable by anybody) and `other`, a second one of the same registry."""

from __future__ import annotations

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import (
    BlobUnknown,
    BlobUploadUnknown,
    Conflict,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestUnknown,
    RangeInvalid,
    Unsupported,
)
from registry_mesh.ports.repositories import Repository
from tests.simulators.origins import ALICE, BOB, LAYER, image, index, plain, push_blob, push_image, pushes
from tests.suites.bytes_of import pattern, read

DATA = pattern(2 * CHUNK + 77)
DIGEST = Digest.of(DATA)
NEVER = Digest.of(b"pushed to no repository")


async def expect_no_blob(repository: Repository, digest: Digest) -> None:
    with pytest.raises(BlobUnknown):
        await repository.blobs.stat(digest)


class UploadSessionsSuite:
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    async def test_a_blob_in_several_requests(self, repository: Repository, algorithm: str) -> None:
        push, digest = pushes(repository), Digest.of(DATA, algorithm)
        upload = await push.begin(ALICE, algorithm)
        assert upload.offset == 0
        for start in range(0, len(DATA), CHUNK):
            async with push.append(ALICE, upload.id, start) as ingest:
                await ingest.write(DATA[start : start + CHUNK])
                stands = ingest.offset
            assert (await push.status(ALICE, upload.id)).offset == stands == min(start + CHUNK, len(DATA))
        await expect_no_blob(repository, digest)
        async with push.append(ALICE, upload.id, None) as ingest:
            assert (await ingest.commit(digest)).size == len(DATA)
        assert await read(repository.blobs, digest) == DATA
        with pytest.raises(BlobUploadUnknown):
            await push.status(ALICE, upload.id)

    async def test_it_goes_on_only_where_it_stands(self, repository: Repository) -> None:
        push = pushes(repository)
        upload = await push.begin(ALICE)
        async with push.append(ALICE, upload.id, 0) as ingest:
            await ingest.write(b"12345")
        for start in (0, 4, 6):
            with pytest.raises(RangeInvalid):
                async with push.append(ALICE, upload.id, start):
                    pytest.fail("it went on")
        assert (await push.status(ALICE, upload.id)).offset == 5

    async def test_it_is_its_owner_s_and_its_repository_s(
        self, repository: Repository, other: Repository
    ) -> None:
        upload = await pushes(repository).begin(ALICE)
        for push, who in ((pushes(repository), BOB), (pushes(other), ALICE)):
            with pytest.raises(BlobUploadUnknown):
                await push.status(who, upload.id)
            with pytest.raises(BlobUploadUnknown):
                async with push.append(who, upload.id, 0):
                    pytest.fail("it went on")
            with pytest.raises(BlobUploadUnknown):
                await push.cancel(who, upload.id)
        assert (await pushes(repository).status(ALICE, upload.id)).offset == 0

    async def test_cancel(self, repository: Repository) -> None:
        push = pushes(repository)
        upload = await push.begin(ALICE)
        async with push.append(ALICE, upload.id, 0) as ingest:
            await ingest.write(DATA)
        await push.cancel(ALICE, upload.id)
        with pytest.raises(BlobUploadUnknown):
            await push.status(ALICE, upload.id)
        await expect_no_blob(repository, DIGEST)

    async def test_a_wrong_digest_keeps_nothing(self, repository: Repository) -> None:
        push = pushes(repository)
        upload = await push.begin(ALICE)
        async with push.append(ALICE, upload.id, 0) as ingest:
            await ingest.write(DATA)
            with pytest.raises(DigestInvalid):
                await ingest.commit(Digest.of(b"another"))
        await expect_no_blob(repository, DIGEST)
        await expect_no_blob(repository, Digest.of(b"another"))

    async def test_no_such_session(self, repository: Repository) -> None:
        for upload in ("8f3f0c64-40c3-4a57-9a2e-4d9d4c7d9d11", "..", "", "a/b", "x" * 5000):
            with pytest.raises(BlobUploadUnknown):
                await pushes(repository).status(ALICE, upload)

    async def test_an_algorithm_that_is_not_supported(self, repository: Repository) -> None:
        with pytest.raises(DigestInvalid):
            await pushes(repository).begin(ALICE, "md5")


class BlobPushesSuite:
    async def test_in_one_request(self, repository: Repository) -> None:
        await push_blob(repository, DATA)
        assert await read(repository.blobs, DIGEST) == DATA
        await push_blob(repository, DATA, BOB)
        assert (await repository.blobs.stat(DIGEST)).size == len(DATA)

    async def test_in_one_request_with_a_wrong_digest(self, repository: Repository) -> None:
        wrong = Digest.of(b"another")
        async with pushes(repository).monolithic(ALICE, wrong, len(DATA)) as ingest:
            await ingest.write(DATA)
            with pytest.raises(DigestInvalid):
                await ingest.commit(wrong)
        await expect_no_blob(repository, wrong)
        await expect_no_blob(repository, DIGEST)

    async def test_mount(self, repository: Repository, other: Repository) -> None:
        blob = await push_blob(other, DATA)
        await expect_no_blob(repository, blob.digest)
        assert await pushes(repository).mount(BOB, blob.digest, other.name)
        assert await read(repository.blobs, blob.digest) == DATA

    async def test_mount_from_anywhere(self, repository: Repository, other: Repository) -> None:
        blob = await push_blob(other, DATA)
        assert await pushes(repository).mount(BOB, blob.digest, None)
        assert (await repository.blobs.stat(blob.digest)).size == len(DATA)

    async def test_what_is_nowhere_cannot_be_mounted(self, repository: Repository, other: Repository) -> None:
        for source in (other.name, repository.name, None):
            assert not await pushes(repository).mount(ALICE, NEVER, source)
        await expect_no_blob(repository, NEVER)


class ManifestPushesSuite:
    async def test_tags_point_at_it(self, repository: Repository) -> None:
        manifest = await push_image(repository, "one", "1", "latest")
        assert (await repository.manifests.manifest(manifest.digest)).manifest == manifest
        assert (await repository.tags.tags(10)).tags == ("1", "latest")
        for tag in ("1", "latest"):
            assert (await repository.tags.resolve(Tag(tag))).descriptor.digest == manifest.digest

    async def test_a_tag_moves(self, repository: Repository) -> None:
        await push_image(repository, "one", "1")
        second = await push_image(repository, "two", "1")
        assert (await repository.tags.resolve(Tag("1"))).descriptor.digest == second.digest

    async def test_what_it_needs_must_be_there(self, repository: Repository) -> None:
        there = await push_blob(repository, b"config")
        lacking = Descriptor(LAYER, Digest.of(b"never pushed"), 12)
        with pytest.raises(ManifestBlobUnknown):
            await pushes(repository).put_manifest(ALICE, image(there, lacking), [Tag("1")])
        with pytest.raises(ManifestBlobUnknown):
            await pushes(repository).put_manifest(ALICE, index(image(there)), [Tag("1")])
        with pytest.raises(ManifestUnknown):
            await repository.tags.resolve(Tag("1"))

    async def test_a_subject_need_not_be_there(self, repository: Repository) -> None:
        config = await push_blob(repository, b"config")
        subject = image(config)
        signature = image(config, subject=plain(subject).document())
        pushed = await pushes(repository).put_manifest(ALICE, signature, [])
        assert (pushed.digest, pushed.subject) == (signature.digest, subject.digest)
        found = (await repository.referrers.referrers(subject.digest)).descriptors
        assert [each.digest for each in found] == [signature.digest]

    async def test_conditions(self, repository: Repository) -> None:
        push, first = pushes(repository), await push_image(repository, "one", "1")
        second = await push_image(repository, "two")
        for condition in ({"if_none_match": "*"}, {"if_match": f'"{second.digest}"'}):
            with pytest.raises(Conflict):
                await push.put_manifest(ALICE, second, [Tag("1")], **condition)
        with pytest.raises(Conflict):
            await push.put_manifest(ALICE, second, [Tag("new")], if_match="*")
        assert (await repository.tags.resolve(Tag("1"))).descriptor.digest == first.digest
        await push.put_manifest(ALICE, second, [Tag("1")], if_match=f'"{first.digest}"')
        await push.put_manifest(ALICE, second, [Tag("new")], if_none_match="*")
        for tag in ("1", "new"):
            assert (await repository.tags.resolve(Tag(tag))).descriptor.digest == second.digest


class DeletesSuite:
    async def test_a_tag_alone(self, repository: Repository) -> None:
        manifest = await push_image(repository, "one", "1", "2")
        await pushes(repository).delete_tag(ALICE, Tag("1"))
        assert (await repository.tags.tags(10)).tags == ("2",)
        with pytest.raises(ManifestUnknown):
            await repository.tags.resolve(Tag("1"))
        assert (await repository.manifests.manifest(manifest.digest)).manifest == manifest

    async def test_a_manifest_and_its_tags(self, repository: Repository) -> None:
        manifest = await push_image(repository, "one", "1", "2")
        kept = await push_image(repository, "two", "3")
        await pushes(repository).delete_manifest(ALICE, manifest.digest)
        assert (await repository.tags.tags(10)).tags == ("3",)
        with pytest.raises(ManifestUnknown):
            await repository.manifests.manifest(manifest.digest)
        assert (await repository.manifests.manifest(kept.digest)).manifest == kept

    async def test_what_a_tag_needs_stays(self, repository: Repository) -> None:
        inner = await push_image(repository, "one")
        await pushes(repository).put_manifest(ALICE, index(inner), [Tag("all")])
        with pytest.raises(Unsupported):
            await pushes(repository).delete_manifest(ALICE, inner.digest)
        for blob in inner.blobs():
            with pytest.raises(Unsupported):
                await pushes(repository).delete_blob(ALICE, blob.digest)
        assert (await repository.manifests.manifest(inner.digest)).manifest == inner

    async def test_a_blob_of_this_repository_alone(self, repository: Repository, other: Repository) -> None:
        for each in (repository, other):
            await push_blob(each, DATA)
        await pushes(repository).delete_blob(ALICE, DIGEST)
        await expect_no_blob(repository, DIGEST)
        assert await read(other.blobs, DIGEST) == DATA

    async def test_what_is_not_there(self, repository: Repository) -> None:
        await push_image(repository, "one", "1")
        with pytest.raises(ManifestUnknown):
            await pushes(repository).delete_tag(ALICE, Tag("never"))
        with pytest.raises(ManifestUnknown):
            await pushes(repository).delete_manifest(ALICE, Digest.of(b"never"))
        with pytest.raises(BlobUnknown):
            await pushes(repository).delete_blob(ALICE, Digest.of(b"never"))

    async def test_a_tag_that_has_moved_meanwhile(self, repository: Repository) -> None:
        first = await push_image(repository, "one", "1")
        second = await push_image(repository, "two", "1")
        with pytest.raises(Conflict):
            await pushes(repository).delete_tag(ALICE, Tag("1"), f'"{first.digest}"')
        assert (await repository.tags.resolve(Tag("1"))).descriptor.digest == second.digest
        await pushes(repository).delete_tag(ALICE, Tag("1"), f'"{second.digest}"')


class PushesSuite(UploadSessionsSuite, BlobPushesSuite, ManifestPushesSuite, DeletesSuite):
    """All of it."""
