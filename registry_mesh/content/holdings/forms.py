"""Other forms of an image: what refers to it as its variant, and how much of that is here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from registry_mesh.content.holdings.image import Image, Looks
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.ports.place import Place
from registry_mesh.replication.companions import VARIANTS

_KINDS: Final = {type_: kind for kind, type_ in VARIANTS.items()}


@dataclass(frozen=True, slots=True)
class Form:
    """One of them; `kind` as rules name it. Of an image of which nothing is here the size is not known: 0."""

    kind: str
    image: Image


async def forms_of(looks: Looks, place: Place, referrers: Iterable[Descriptor]) -> list[Form]:
    """The variants among what refers to an image. `StoreBroken`."""
    found = [(_KINDS.get(each.artifact_type or ""), each) for each in referrers]
    return [Form(kind, await looks.image(place, "", each.digest)) for kind, each in found if kind is not None]
