"""What the operator is told of images: values of JSON. Sizes are in bytes, times in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import islice
from typing import Final

from registry_mesh.admin.images import Told
from registry_mesh.content.holdings.forms import Form
from registry_mesh.content.holdings.image import Image, alone, sharing
from registry_mesh.content.holdings.pins import Pin
from registry_mesh.content.holdings.preload import Meter
from registry_mesh.oci.digest import Digest

_NAMED: Final = 3
"""Images that are named of those that share with one."""


def held_image(image: Image, users: Mapping[Digest, int], pin: Pin | None, coming: Set[str]) -> Told:
    """An image that is held. `users`: how many images have each part; `coming`: digests that are on their way in."""
    return {
        "name": image.name,
        "registry": image.place.registry,
        "repository": image.place.repository,
        "tag": image.tag,
        "digest": str(image.digest),
        "size": image.size,
        "held": image.held,
        "whole": image.whole,
        "coming": any(str(part.digest) in coming for part in image.parts),
        "alone": sum(part.held for part in image.parts if users[part.digest] == 1),
        "pinned": pin is not None,
        "pinned_until": pin.until if pin is not None else None,
    }


def leaving(image: Image, others: Sequence[Image]) -> Told:
    """What evicting it frees; at most a few of `others`, which stay, are named."""
    shared = sharing(image, others)
    return {
        "name": image.name,
        "held": image.held,
        "frees": sum(part.held for part in alone([image], others).values()),
        "shared_with": dict(islice(shared.items(), _NAMED)),
        "sharing_images": len(shared),
    }


def held_form(form: Form) -> Told:
    """One of the forms that an image is held in."""
    image = form.image
    return {
        "kind": form.kind,
        "digest": str(image.digest),
        "size": image.size,
        "held": image.held,
        "whole": image.whole,
    }


def step_of(meter: Meter) -> Told:
    """How far a preload is."""
    return {
        "images": meter.images,
        "images_done": meter.images_done,
        "bytes": meter.size,
        "bytes_done": meter.size_done,
        "failed": dict(meter.failed),
    }
