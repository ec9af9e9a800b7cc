"""Whether what a parent lists as referrers refers to what was asked about.

A list is a hint; what a manifest refers to stands in it. Some registries filter nothing, and a tag that happens to have
the name of a referrers tag lists what it likes. To read each manifest of a long list costs a question each, so a sample
is read, and the rest where the sample is not as the list says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import ManifestSource
from registry_mesh.tasks.together import ask_each

SAMPLE: Final = 16
"""Manifests of a list that are read in any case."""

MOST: Final = 1_000
"""Manifests of a list that is not as it should be; what follows them is not listed."""


async def referring(
    subject: Digest, listed: Sequence[Descriptor], manifests: ManifestSource
) -> tuple[Descriptor, ...]:
    """Those of `listed` that refer to `subject`, as far as can be told: what cannot be had now is believed."""
    look = partial(_refers, subject, manifests)
    first = await ask_each(look, listed[:SAMPLE])
    if all(first):
        return tuple(listed)
    looked = [*first, *await ask_each(look, listed[SAMPLE:MOST])]
    return tuple(each for each, refers in zip(listed, looked, strict=False) if refers)


async def _refers(subject: Digest, manifests: ManifestSource, listed: Descriptor) -> bool:
    try:
        found = (await manifests.manifest(listed.digest)).manifest.subject
    except (ManifestUnknown, NameUnknown, BlobUnknown):
        return False
    except Failure:
        return True
    return found is not None and found.digest == subject
