"""What every `ReferrerSource` keeps. Subclass it and give the fixtures `referrers` and `content`: what it has."""

from __future__ import annotations

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.repositories import ReferrerSource
from tests.suites.library import Library


class ReferrerSourceSuite:
    @pytest.mark.parametrize("tagged", [True, False])
    async def test_gives_all_as_they_describe_themselves(
        self, referrers: ReferrerSource, content: Library, tagged: bool
    ) -> None:
        found = (await referrers.referrers(content.subject.digest, tagged)).descriptors
        assert len(found) == len(content.referrers)
        for manifest in content.referrers:
            described = [each for each in found if each.digest == manifest.digest]
            assert described == [manifest.descriptor]

    async def test_of_what_has_none(self, referrers: ReferrerSource, content: Library) -> None:
        for digest in content.manifests:
            if digest != content.subject.digest:
                assert (await referrers.referrers(digest)).descriptors == ()

    async def test_of_what_is_not_there(self, referrers: ReferrerSource) -> None:
        assert (await referrers.referrers(Digest.of(b"no such subject"))).descriptors == ()
