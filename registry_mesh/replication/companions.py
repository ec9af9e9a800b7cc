"""Companions of an image: signatures, SBOMs, attestations, and whatever else refers to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from registry_mesh.oci.reference import Tag

WORDS: Final = ("signatures", "sboms", "attestations")
_TYPES: Final = {
    "signatures": (
        "application/vnd.dev.cosign.artifact.sig.*",
        "application/vnd.dev.cosign.simplesigning.*",
        "application/vnd.cncf.notary.signature",
        "application/vnd.dev.sigstore.bundle*",
    ),
    "sboms": (
        "application/spdx*",
        "text/spdx*",
        "application/vnd.cyclonedx*",
        "application/vnd.syft*",
        "application/vnd.dev.cosign.artifact.sbom.*",
    ),
    "attestations": (
        "application/vnd.in-toto*",
        "application/vnd.dsse*",
        "application/vnd.dev.cosign.artifact.att.*",
        "application/vnd.dev.sigstore.bundle*",
    ),
}
VARIANTS: Final = {
    "estargz": "application/vnd.registry-mesh.estargz.v1",
    "sif": "application/vnd.sylabs.sif.config.v1+json",
}
"""Other forms of an image, and the artifact type by which each is found among what refers to it."""
_TAGS: Final = {"sig": "signatures", "sbom": "sboms", "att": "attestations"}


@dataclass(frozen=True, slots=True)
class Companions:
    """Which companions are brought; `kinds` None is all of them. A kind is a word or a glob over artifact types."""

    kinds: frozenset[str] | None = None

    def takes(self, artifact_type: str) -> bool:
        """Whether a referrer of this type is brought."""
        return self.kinds is None or any(
            fnmatchcase(artifact_type, glob) for kind in self.kinds for glob in _TYPES.get(kind, (kind,))
        )

    def takes_tag(self, tag: Tag) -> bool:
        """Whether one of cosign's tags is."""
        return self.kinds is None or _TAGS.get(tag.rpartition(".")[2]) in self.kinds

    def __or__(self, other: Companions) -> Companions:
        """What both bring together."""
        if self.kinds is None or other.kinds is None:
            return ALL
        return Companions(self.kinds | other.kinds)

    @property
    def is_none(self) -> bool:
        """Whether nothing is brought."""
        return self.kinds is not None and not self.kinds


def variants(named: Iterable[str]) -> Companions:
    """Other forms of an image, which are brought as companions are."""
    return Companions(frozenset(VARIANTS[each] for each in named))


ALL: Final = Companions()
NONE: Final = Companions(frozenset())
