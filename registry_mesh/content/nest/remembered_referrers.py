"""What a cache remembers of what refers to a manifest, as its parents listed it last."""

from __future__ import annotations

import json

from registry_mesh.content.nest.remembered import Entry
from registry_mesh.content.nest.remembered_tags import ROOT, component
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records


def referrers_key(place: Place, subject: Digest) -> str:
    """The record of one list."""
    return (
        f"{ROOT}{component(place.registry)}/{place.repository}/_referrers/{subject.algorithm}/{subject.hex}"
    )


async def remembered_referrers(records: Records, place: Place, subject: Digest) -> tuple[Descriptor, ...]:
    """Those of the list; none where nobody asked for it, or its record is spoiled. `StoreBroken`."""
    data = await records.get(referrers_key(place, subject))
    entry = Entry.decode(data) if data is not None else None
    if entry is None or entry.answer is None:
        return ()
    try:
        return tuple(
            Descriptor.parse(each, f"manifests[{i}]") for i, each in enumerate(json.loads(entry.answer))
        )
    except (ValueError, TypeError, Refusal):
        return ()
