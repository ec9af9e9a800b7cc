"""Whether a store can keep what is brought, and did: one that is too small lets go of it as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.findings.words import size
from registry_mesh.oci.mentions import Mention
from registry_mesh.ports.failures import StoreFull
from registry_mesh.ports.holdings import Holdings

_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Staying:
    """Of one store. `limit`: bytes that it may hold, None: not bounded by a number; `key` of the configuration says
    it."""

    holdings: Holdings
    limit: int | None
    key: str

    def demand_fits(self, blobs: Iterable[Mention]) -> None:
        """`StoreFull` where an image of `blobs` is larger than all that the store may hold, as its manifests say: it
        names the largest, and what is missing."""
        sizes = {each.digest: each.size or 0 for each in blobs}
        whole = sum(sizes.values())
        if self.limit is None or whole <= self.limit:
            return
        largest, most = max(sizes.items(), key=lambda each: each[1])
        layer = f" (its {str(largest)[:_DIGITS]}… alone has {size(most)})" if most > self.limit else ""
        raise StoreFull(
            f"does not fit the store: it has {size(whole)}{layer}, and the store may hold {size(self.limit)}; "
            f"{size(whole - self.limit)} are missing: raise {self.key}"
        )

    async def gone(self, blobs: Sequence[Mention]) -> str:
        """Why an image of `blobs`, which were brought, is not here whole; empty: it is."""
        short = 0
        for each in blobs:
            held = await self.holdings.held(each.digest)
            short += max(0, (each.size or 1) - held)
        if not short:
            return ""
        whole = sum(each.size or 0 for each in blobs)
        room = f" {size(self.limit)}" if self.limit is not None else ""
        return (
            f"did not stay: {size(short)} of {size(whole)} are not here; the store has no room for all that was asked "
            f"for (it may hold{room}): raise {self.key}, or ask for less"
            if room
            else f"did not stay: {size(short)} of {size(whole)} are not here; the store had no room for them"
        )
