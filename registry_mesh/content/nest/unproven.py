"""Ranges that nothing proves: of a blob that is not here whole, from a registry that has no chunk maps.

A whole blob never completes wrong, for its last bytes wait for the digest. A range that ends before that is complete
without this proof, where no chunk map proves it.
"""

from __future__ import annotations

import enum

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Denied


class Ranges(enum.Enum):
    """What becomes of such a range."""

    UNPROVEN = "unproven"
    """It is given, and said to be unproven."""
    WHOLE_FIRST = "whole-first"
    """It waits until the whole blob is here and has its digest."""
    REFUSE = "refuse"


def refused(digest: Digest) -> Denied:
    """Return the refusal of a range of `digest`."""
    return Denied(
        "no range of a blob that is not here whole is given of this registry: nothing proves a part of it; "
        "pull it whole (registries.HOST.ranges)",
        digest=str(digest),
    )
