"""What is to be deleted: tags, each with what it stands for and why it goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.replication.decision import named


@dataclass(frozen=True, slots=True, order=True)
class Going:
    """A tag that is to be deleted; `guarded` False where nothing holds it."""

    place: Place
    tag: Tag
    digest: str
    because: str = field(compare=False)
    guarded: bool = field(default=True, compare=False)
    change: int | None = field(default=None, compare=False)
    """The last change of the tag when it was looked at: another node may have deleted it meanwhile, and a person have
    brought it back."""
    companion_of: str = field(default="", compare=False)
    """The tag that it goes with, where it would not go by itself."""

    def __str__(self) -> str:
        return f"{self.place}{named(self.tag)}"


def plan_digest(going: Iterable[Going]) -> str:
    """By which a person approves exactly these deletions."""
    said = json.dumps([[str(each), each.digest] for each in sorted(going)])
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"
