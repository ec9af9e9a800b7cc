"""The way back: undo of a deletion or of a move, as long as the history remembers it."""

from __future__ import annotations

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.happenings import PUSH, Happening
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.origin_store import OriginStore
from registry_mesh.repositories.parts import RepositoryParts
from registry_mesh.repositories.push_policy import CREATE, Precondition, allow_move
from registry_mesh.repositories.tag_log import TagEntry


class TagHistory:
    """History and undo of one repository's tags."""

    def __init__(self, parts: RepositoryParts, store: OriginStore) -> None:
        self._parts = parts
        self._store = store
        self._lifecycle = store.lifecycle
        self._policy = store.policy

    async def entries(self, tag: Tag) -> list[TagEntry]:
        """Oldest first. `ManifestUnknown` for a tag that never was, or is forgotten."""
        entries = await self._parts.tags.history(tag)
        if not entries:
            raise ManifestUnknown("no such tag", tag=tag)
        return entries

    async def undo(self, who: Pusher, tag: Tag, to: int | None = None) -> TagEntry:
        """Point `tag` at what it pointed at before its last change, or at entry number `to`.

        A manifest that was deleted meanwhile comes back with it, within the grace. `ManifestUnknown` where there
        is nothing to go back to; `Conflict` where the tag is immutable and stands, or moved under our hands.
        """
        entries = await self.entries(tag)
        current = entries[-1]
        target = _target(entries, to)
        if target is None or target.descriptor is None:
            raise ManifestUnknown("the tag's history names nothing to go back to", tag=tag)
        await self._bring_back(target.descriptor.digest)
        at_stake = current.digest

        def decide(standing: Digest | None) -> None:
            expected = Precondition(f'"{at_stake}"') if at_stake else CREATE
            allow_move(self._policy, self._parts.name, tag, standing, target.digest, expected)

        back, at = target.descriptor, self._lifecycle.clock()
        told = Happening(
            PUSH, self._parts.name, back.digest, (tag,), back.media_type, back.size, who.subject, at
        )
        begun = await self._store.begin(told)
        await self._parts.tags.move(tag, target.descriptor, who, decide)
        await self._store.announce(told, begun)
        return target

    async def _bring_back(self, digest: Digest) -> None:
        """The manifest is on the shelf, and stays there."""
        await self._lifecycle.touch(digest)
        if await self._parts.shelf.find(digest) is not None:
            return
        if not await self._parts.shelf.restore(digest, self._lifecycle.clock()):
            raise ManifestUnknown("the manifest is collected already", digest=str(digest))


def _target(entries: list[TagEntry], to: int | None) -> TagEntry | None:
    if to is not None:
        return next((each for each in entries if each.number == to), None)
    current = entries[-1].digest
    return next((each for each in reversed(entries) if each.digest not in (None, current)), None)
