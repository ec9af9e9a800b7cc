"""A parent that no longer follows a tag says so; a site believes it where nobody knows better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from registry_mesh.content.nest.candidates import Candidate
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.repositories import Repository, Resolved
from tests.simulators.source import SimulatedSource
from tests.simulators.unhurried import Unhurried

OLD = Resolved(Descriptor(OCI_MANIFEST, Digest.of(b"old"), 3), Provenance(age=60.0, stale=True))
NEW = Resolved(Descriptor(OCI_MANIFEST, Digest.of(b"new"), 3), Provenance(hit=False))


@dataclass
class Place(Unhurried):
    name: str
    available: bool = True
    reason: str = ""
    confirmed: bool = True
    load: float = 0.0
    late: float = 30.0
    distance: float = 0.0


@dataclass
class Tags:
    """Answers every tag with `says`, or raises it."""

    says: Resolved | Exception
    asked: list[Tag] = field(default_factory=list)

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        self.asked.append(tag)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def choice(*groups: Sequence[Tags]) -> Failover:
    source = SimulatedSource(name="x")

    def candidate(tags: Tags) -> Candidate:
        repository = Repository(
            RegistryName("r"), RepositoryName("a"), source, source, tags, source  # type: ignore[arg-type]
        )  # fmt: skip
        return Candidate(Place(str(id(tags))), repository)  # type: ignore[arg-type]

    return Failover([[candidate(tags) for tags in group] for group in groups], Distrusted())


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([[Tags(OLD)], [Tags(NEW)]], NEW),
        ([[Tags(OLD), Tags(NEW)]], NEW),
        ([[Tags(OLD)]], OLD),
        ([[Tags(OLD)], [Tags(SourceUnavailable("refuses connections"))]], OLD),
        ([[Tags(SourceUnavailable("slow"))], [Tags(OLD)]], OLD),
        ([[Tags(ManifestUnknown("not here"))], [Tags(NEW)]], NEW),
    ],
)
async def test_who_follows_the_tag_is_believed_first(groups: list[list[Tags]], told: Resolved) -> None:
    assert await choice(*groups).resolve(Tag("latest")) == told


async def test_what_all_are_sure_of_not_having_is_unknown() -> None:
    with pytest.raises(ManifestUnknown):
        await choice([Tags(ManifestUnknown("not here"))]).resolve(Tag("latest"))


async def test_a_fresh_answer_ends_the_search() -> None:
    second = Tags(NEW)
    assert await choice([Tags(NEW)], [second]).resolve(Tag("latest")) == NEW
    assert second.asked == []
