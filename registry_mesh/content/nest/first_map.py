"""The first chunk map of a blob among several candidates."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.content.nest.candidates import Candidate, Told, Unknown, answering_again
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure, MapUnusable, SourceLied, SourceUnavailable
from registry_mesh.ports.parents import Parent


class FirstMap:
    """One question for the pages of a blob's map that cover `span`. `reasons`: why others are not asked at all."""

    def __init__(self, digest: Digest, span: Span | None, reasons: list[str], distrusted: Distrusted) -> None:
        self._digest = digest
        self._span = span
        self._distrusted = distrusted
        self._told = Told(reasons)
        self._all_asked = not reasons
        self._answered = False

    async def of(self, candidates: Sequence[Candidate]) -> tuple[ChunkMap, Candidate] | None:
        """The map and whose it is. None where those that can be asked say that they have none: one that has, and fails
        to tell, must not pass for one that has not. Those that were down are asked where nobody else can tell and they
        are back."""
        found = await self._asked(candidates)
        if found is None and self._knows_nothing and (again := await answering_again(self._told.down)):
            self._told.down = [each for each in self._told.down if each not in again]
            found = await self._asked(again)
        if found is None and self._knows_nothing:
            raise self._failure()
        return found

    async def _asked(self, candidates: Sequence[Candidate]) -> tuple[ChunkMap, Candidate] | None:
        ordered = sorted(candidates, key=self._rank)
        for place, candidate in enumerate(ordered):
            if not candidate.parent.available:
                self._told.down.append(candidate)
                continue
            others = any(each.parent.available for each in ordered[place + 1 :])
            try:
                async with asyncio.timeout(self._patience(candidate.parent) if others else None):
                    found = await candidate.repository.blobs.chunk_map(self._digest, self._span)
            except TimeoutError:
                self._distrusted.was_beaten(candidate.parent, "maps")
                if candidate.parent.confirmed:  # it may well have one
                    self._told.failed(candidate.parent.name, SourceUnavailable("is late with its chunk map"))
                else:
                    self._told.down.append(candidate)
                continue
            except Unknown:
                found = None
            except Failure as failure:  # a wrong map says nothing of the blob's bytes: nobody is left for it
                self._told.failed(candidate.parent.name, failure)
                continue
            if found is not None:
                return found, candidate
            self._answered = True
        return None

    def _rank(self, candidate: Candidate) -> tuple[bool, bool]:
        """Those that lied behind the others, and before them those that were late with a map."""
        parent, known = candidate.parent, self._distrusted
        late = parent.confirmed and known.is_slow(parent, "maps")
        return known.suspects(parent.name, self._digest), late

    def _patience(self, parent: Parent) -> float | None:
        """Seconds for which a parent is waited for where there are others. One that has never answered is as good as
        down when it is late, for one blob after the other; whether it has maps at all nobody knows. Any other is asked
        after the others the next time, and waited for where none of those has one."""
        if parent.confirmed:
            return parent.late
        return 0.0 if self._distrusted.is_slow(parent, "maps") else parent.late

    @property
    def _knows_nothing(self) -> bool:
        """Whether it is not so that those who could be asked have none."""
        return bool(self._told.failures) or not self._answered

    def _failure(self) -> Exception:
        failures, all_asked = self._told.failures, self._all_asked and not self._told.down
        if failures and all_asked and all(isinstance(failure, SourceLied) for failure in failures):
            return MapUnusable("; ".join(self._told.reasons))
        return self._told.together()
