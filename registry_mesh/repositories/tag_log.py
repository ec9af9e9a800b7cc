"""The tags of one repository: what each points at, and what it pointed at before.

A tag is a numbered log: {digest, mediaType, size, at, by, from} or {deleted, at, by, from}; `from` is the digest
before. The tag's listing must not read every log, so before a tag is deleted a marker `_untagged/<tag>/<token>` is
written: it says "look at the log", never more, so that no order of crashes makes a listing wrong. Likewise
`_tagged/<digest>/<tag>` is written before a tag comes to point at a digest, and says "look whether it does".
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag, is_tag
from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.ports.documents import decode, encode
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import TagPage
from registry_mesh.repositories.keys import RepositoryKeys
from registry_mesh.repositories.numbered_log import Entry, NumberedLog
from registry_mesh.tasks.together import ask_each

_TRIES: Final = 64


@dataclass(frozen=True, slots=True)
class TagEntry:
    """One change of a tag: to `descriptor` (None: deleted) from `previous`, at `at` (seconds since the epoch)."""

    number: int
    descriptor: Descriptor | None
    at: float
    by: str
    previous: Digest | None

    @property
    def digest(self) -> Digest | None:
        """The digest that the tag pointed at, or None where it was deleted."""
        return self.descriptor.digest if self.descriptor else None


Decision = Callable[[Digest | None], None]
"""Told what the tag points at; raises where it must not be changed."""


class Moved(Exception):
    """The tag points elsewhere by now."""


def only_from(digest: Digest) -> Decision:
    """A decision that lets a tag go from `digest` alone, and raises `Moved` elsewhere."""

    def decide(current: Digest | None) -> None:
        if current != digest:
            raise Moved

    return decide


class TagLogs:
    """The tag logs of one repository. `history` entries are kept of each."""

    def __init__(
        self, records: Records, keys: RepositoryKeys, clock: Callable[[], float], history: int
    ) -> None:
        self._records = records
        self._keys = keys
        self._clock = clock
        self._keep = history

    async def current(self, tag: Tag) -> TagEntry | None:
        """The last change, be it a deletion; None for a tag that never was."""
        entry = await self._log(tag).last()
        return None if entry is None else self._parse(tag, entry)

    async def history(self, tag: Tag) -> list[TagEntry]:
        """What is remembered of the tag, oldest first."""
        return [self._parse(tag, entry) for entry in await self._log(tag).entries()]

    async def move(
        self, tag: Tag, to: Descriptor | None, who: Pusher, decide: Decision, since: int | None = None
    ) -> TagEntry | None:
        """Point `tag` at `to` (None: delete it) if `decide` lets it go from where it points: from nowhere, where the
        change of the number `since`, if one is given, is not its last.

        Compare-and-set: where others change the tag in between, `decide` is asked again about the new state.
        Gives the entry before. Nothing is written where the tag is there already.
        """
        for _ in range(_TRIES):
            before = await self.current(tag)
            standing = before.descriptor if before else None
            is_last = since is None or (before is not None and before.number == since)
            decide(standing.digest if standing and is_last else None)
            if before is not None and _same(standing, to):
                return before
            if to is None:
                marker = f"{self._keys.untagged}{tag}/{secrets.token_hex(8)}"
                await self._records.put(marker, encode({"at": self._clock()}))
            else:
                await self._records.put(f"{self._keys.tagged(to.digest)}{tag}", b"")
            document = self._document(to, who, standing)
            if await self._log(tag).append(before.number if before else 0, document, self._keep):
                return before
        raise StoreBroken(f"tag {tag} changes faster than it can be set")

    async def page(self, limit: int, last: str) -> TagPage:
        """At most `limit` tags after `last`, in ASCII order."""
        doubtful = set(await self._records.children(self._keys.untagged))
        found: list[Tag] = []
        wanted = limit + 1
        while len(found) <= limit:
            names = await self._records.children(self._keys.tags, last, wanted)
            found += await self._standing([Tag(name) for name in names if is_tag(name)], doubtful)
            if len(names) < wanted:
                break
            last, wanted = names[-1], 4 * wanted  # many are deleted: every look lists all names
        return TagPage(tuple(found[:limit]), more=len(found) > limit)

    async def pointing_at(self, digest: Digest) -> list[Tag]:
        """The tags that now point at `digest`."""
        names = await self._records.children(self._keys.tagged(digest))
        tags = [Tag(name) for name in names if is_tag(name)]
        entries = await ask_each(self.current, tags)
        return [tag for tag, entry in zip(tags, entries, strict=True) if entry and entry.digest == digest]

    async def names(self) -> list[Tag]:
        """Every tag that has a log, deleted or not."""
        return [Tag(name) for name in await self._records.children(self._keys.tags) if is_tag(name)]

    async def purge(self, tag: Tag) -> None:
        """Forget a deleted tag with its history."""
        await self._log(tag).purge()

    async def _standing(self, tags: list[Tag], doubtful: set[str]) -> list[Tag]:
        asked = [tag for tag in tags if tag in doubtful]
        entries = dict(zip(asked, await ask_each(self.current, asked), strict=True))
        return [tag for tag in tags if tag not in entries or _stands(entries[tag])]

    def _log(self, tag: Tag) -> NumberedLog:
        return NumberedLog(self._records, self._keys.tag(tag))

    def _document(self, to: Descriptor | None, who: Pusher, standing: Descriptor | None) -> bytes:
        return encode(
            {
                "digest": str(to.digest) if to else None,
                "mediaType": to.media_type if to else None,
                "size": to.size if to else None,
                "deleted": None if to else True,
                "at": self._clock(),
                "by": who.subject,
                "from": str(standing.digest) if standing else None,
            }
        )

    def _parse(self, tag: Tag, entry: Entry) -> TagEntry:
        key = self._log(tag).key(entry.number)
        document = decode(entry.data, key)
        try:
            descriptor = (
                None
                if document.get("deleted")
                else Descriptor(
                    str(document["mediaType"]), Digest.parse(document["digest"]), int(document["size"])
                )
            )
            previous = Digest.parse(document["from"]) if document.get("from") else None
            return TagEntry(
                entry.number, descriptor, float(document["at"]), str(document.get("by", "")), previous
            )
        except (KeyError, ValueError, TypeError, AttributeError, DigestInvalid):
            raise StoreBroken(f"{key} is no tag entry") from None


def _same(standing: Descriptor | None, to: Descriptor | None) -> bool:
    if standing is None or to is None:
        return standing is to
    return standing.digest == to.digest and standing.media_type == to.media_type


def _stands(entry: TagEntry | None) -> bool:
    return entry is not None and entry.descriptor is not None
