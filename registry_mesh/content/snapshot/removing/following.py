"""What becomes of tags that are held and not wanted as they are: looked at after each run.

A tag is *gone* only where its source lists the repository's tags, not this one, and says by itself that there is none.
An error, a list that is empty where there were tags or does not end, or a repository that its source does not know is
no deletion. What is deleted, and when, `content.snapshot.removing.removing` says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown, Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.repositories import EVERY, KeptRepository, Repository
from registry_mesh.ports.unfollowed import Following, Unfollowed, Why, following, note
from registry_mesh.replication.pattern import pinned_digest
from registry_mesh.replication.wanted import is_companion


@dataclass(frozen=True, slots=True)
class Followed:
    """Looks at the repositories of one run."""

    records: KeyedRecords
    asking: Asking
    now: float

    async def look(
        self,
        place: Place,
        target: KeptRepository,
        source: Repository | None,
        listed: Collection[Tag],
        wanted: Mapping[Tag, tuple[str, ...]],
        whole: bool = True,
    ) -> Following:
        """At one repository: `listed` at its source (None: which says nothing of it), `wanted` by which rules; `whole`:
        the list is known to have come to its end. Gives what is noted of it."""
        held = await _held(target)
        before = await following(self.records, place)
        away: dict[Tag, Unfollowed] = {}
        for tag in held:
            if tag not in wanted:
                why = await self.why(source, listed, tag, whole)
                if why is Why.UNSELECTED and is_companion(tag):
                    continue  # a signature goes with its source's
                known = before.unfollowed.get(tag)
                same = known is not None and known.why is why
                away[tag] = known if known is not None and same else Unfollowed(why, self.now)
        by = {tag: wanted.get(tag) or before.wanted.get(tag, ()) for tag in (*held, *wanted)}
        told = Following({tag: names for tag, names in by.items() if names}, away)
        if told != before:
            await note(self.records, place, told)
        return told

    async def why(self, source: Repository | None, listed: Collection[Tag], tag: Tag, whole: bool) -> Why:
        """Why a held tag that is not wanted is not followed: it is asked for by itself where it is not `listed`."""
        if pinned_digest(tag) is not None:
            return Why.UNSELECTED  # a digest is gone nowhere
        if source is None or not listed:
            return Why.UNTOLD
        if tag in listed:
            return Why.UNSELECTED
        try:
            await self.asking.ask(source.registry, lambda: source.tags.resolve(tag))
        except ManifestUnknown:
            return Why.GONE if whole else Why.UNTOLD
        except (Failure, Refusal):
            return Why.UNTOLD
        return Why.UNTOLD  # a list that lags


async def _held(target: KeptRepository) -> tuple[Tag, ...]:
    try:
        return (await target.kept.tags.tags(EVERY)).tags
    except NameUnknown:
        return ()
