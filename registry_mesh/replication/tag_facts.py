"""What is known of a tag, by which it is decided what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from registry_mesh.oci.digest import Digest
from registry_mesh.replication.images import Image, type_of, values
from registry_mesh.replication.rules import Platforms
from registry_mesh.replication.weight import Weight


@dataclass(frozen=True, slots=True)
class TagFacts:
    """What is known of a tag; None is not known. Times in seconds since the epoch, sizes in bytes."""

    digest: Digest | None = None
    """What its source says."""
    since: float | None = None
    """Since when the source shows it."""
    moves: int = 0
    """How often it moved in 14 days."""
    size: int | None = None
    weight: Weight | None = None
    """Of what it is made, as far as that is known."""
    type: str | None = None
    labels: Mapping[str, tuple[str, ...]] | None = None
    """By name the values that its images have."""
    signed_by: frozenset[str] | None = None
    signatures: str = ""
    """What was found of signatures that do not count."""
    has: frozenset[str] | None = None
    """Kinds of companions that it has."""
    held: Digest | None = None
    """What it stands for here."""
    here: float | None = None
    """Since when the tag is here."""
    released: bool = False
    """A person let this value through before its time."""
    images: tuple[Image, ...] | None = None
    """Where they are known, `type` and `labels` are theirs."""

    def size_for(self, platforms: Platforms) -> int | None:
        """The bytes of what `platforms` need of it."""
        return self.size if self.weight is None else sum(self.weight.of(platforms).values())

    def type_for(self, platforms: Platforms) -> str | None:
        """Of the first image that `platforms` take."""
        return self.type if self.images is None else type_of(self.images, platforms)

    def values_for(self, platforms: Platforms, label: str) -> tuple[str | None, ...] | None:
        """The values that the images have which `platforms` take; None among them where one has none."""
        if self.images is not None:
            return values(self.images, platforms, label)
        return None if self.labels is None else self.labels.get(label, ())
