"""The parents of a registry, compared with each other by what their bodies bring."""

from __future__ import annotations

from collections.abc import Sequence

from registry_mesh.content.fill.rivals import Patience, Traffic
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.parents import Parent, ParentRegistry


class ParentRivals:
    """Implements `content.fill.rivals.Rivals`."""

    def __init__(self, groups: Sequence[Sequence[ParentRegistry]], distrusted: Distrusted) -> None:
        self._parents = [each.parent for group in groups for each in group]
        self._distrusted = distrusted
        self._paces = distrusted.paces

    def rate(self, source: str, digest: Digest) -> float | None:
        """Of the fastest that is available and gave no reason to be asked later than `source`."""
        rates = [
            self._paces.rate(each.name) for each in self._parents if self._is_rival(each, source, digest)
        ]
        return max(rates, default=None)

    def _is_rival(self, parent: Parent, source: str, digest: Digest) -> bool:
        distrusted = self._distrusted
        hedges = distrusted.hedges
        beaten = hedges.was_beaten(parent.name, "blobs") or hedges.was_beaten(parent.name, "bytes")
        suspect = beaten or distrusted.is_second_best(parent, "blobs", digest)
        return parent.name != source and parent.available and not suspect

    def traffic(self, source: str) -> Traffic:
        """What comes from the parent of that name."""
        parent = self._named(source)
        if parent is None:
            return Traffic()
        return Traffic(parent.received, max(1, parent.inflight), parent.distance)

    def busy(self, source: str) -> bool:
        """Whether clients wait for that parent; without a name, for any of them."""
        return any(each.busy for each in self._parents if source in ("", each.name))

    def patience(self, source: str) -> Patience:
        """As long as its bodies usually take to begin, and an answer's head may take."""
        parent = self._named(source)
        return Patience(parent.hush, parent.late) if parent is not None else Patience()

    def _named(self, source: str) -> Parent | None:
        return next((each for each in self._parents if each.name == source), None)

    def note(self, source: str, rate: float) -> None:
        """Remember the rate."""
        self._paces.note(source, rate)

    def outdone(self, source: str, rate: float) -> None:
        """Have it asked after the others."""
        self._paces.outdo(source, rate)

    def step_back(self, source: str, digest: Digest) -> None:
        """Have it asked after the others, for that blob alone."""
        self._distrusted.put_behind(source, digest)
