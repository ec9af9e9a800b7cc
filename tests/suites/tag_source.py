"""What every `TagSource` keeps. Subclass it and give the fixtures `tags`, `content` (what it has) and `no_tags`: the
source of a repository that there is not."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.repositories import EVERY, TagSource
from tests.suites.library import Library


class TagSourceSuite:
    async def test_resolves_each(self, tags: TagSource, content: Library) -> None:
        for tag, digest in content.tags.items():
            manifest = content.manifests[digest]
            found = await tags.resolve(tag)
            got = (found.descriptor.digest, found.descriptor.size, found.descriptor.media_type)
            assert got == (digest, len(manifest.data), manifest.media_type)
            assert found.manifest is None or found.manifest.data == manifest.data

    async def test_what_was_known_before_changes_nothing(self, tags: TagSource, content: Library) -> None:
        for tag, digest in content.tags.items():
            for known in content.manifests.values():
                assert (await tags.resolve(tag, known.descriptor)).descriptor.digest == digest

    async def test_an_unknown_tag(self, tags: TagSource) -> None:
        for _ in range(2):
            with pytest.raises(ManifestUnknown):
                await tags.resolve(Tag("never-set"))

    async def test_a_repository_that_is_not(self, no_tags: TagSource) -> None:
        with pytest.raises(NameUnknown):
            await no_tags.tags(10)
        with pytest.raises((ManifestUnknown, NameUnknown)):
            await no_tags.resolve(Tag("latest"))

    async def test_lists_all_in_ascii_order(self, tags: TagSource, content: Library) -> None:
        for limit in (EVERY, len(content.tags), len(content.tags) + 1):
            page = await tags.tags(limit)
            assert page.tags == tuple(sorted(content.tags)) and not page.more

    @pytest.mark.parametrize("limit", [1, 2, 4])
    async def test_pages_join_to_the_list(self, tags: TagSource, content: Library, limit: int) -> None:
        seen: list[Tag] = []
        more = True
        while more:
            page = await tags.tags(limit, seen[-1] if seen else "")
            assert 0 < len(page.tags) <= limit
            seen, more = [*seen, *page.tags], page.more
        assert seen == sorted(content.tags)

    @pytest.mark.parametrize("last", ["0", "1", "L", "a", "zzz"])
    async def test_goes_on_after_a_name_whether_it_is_a_tag(
        self, tags: TagSource, content: Library, last: str
    ) -> None:
        page = await tags.tags(EVERY, last)
        assert page.tags == tuple(tag for tag in sorted(content.tags) if tag > last)

    async def test_many_ask_at_once(self, tags: TagSource, content: Library) -> None:
        wanted = list(content.tags.items()) * 5
        found = await asyncio.gather(*(tags.resolve(tag) for tag, _ in wanted))
        digests: list[Digest] = [each.descriptor.digest for each in found]
        assert digests == [digest for _, digest in wanted]
