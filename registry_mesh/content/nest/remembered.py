"""Small mutable answers of a source, remembered: tags, tag lists, referrers."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from registry_mesh.content.nest.asked_once import AskedOnce
from registry_mesh.content.nest.freshness import Freshness, Verdict
from registry_mesh.content.nest.race import first_done
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown, Refusal
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.cache import Locks
from registry_mesh.ports.failures import Failure, StoreBroken, StoreFull
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.tasks.flights import Flights

SOON: Final = 1.0
"""Seconds that an asker waits for the source where an older answer is held."""

AT_ONCE: Final = 0.02
"""The same while the source leaves questions unanswered."""

Fetch = Callable[[str | None], Awaitable[str]]
"""Asks the source. Is given what it said last, however old, where it said something."""


class Passing(str):
    """An answer about what may be made up: it is remembered in memory alone, so that it cannot fill the disk."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the source said (`answer` None: that there is no such thing, by the named code), and when."""

    answer: str | None
    confirmed: float  # Unix seconds
    unknown: str = ""

    def encode(self) -> bytes:
        """The entry as it lies in its record."""
        return json.dumps(
            {"answer": self.answer, "confirmed": self.confirmed, "unknown": self.unknown}
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Entry | None:
        """None for what a crash or another version left that is no entry."""
        try:
            document = json.loads(data)
            answer = document["answer"]
            if answer is not None and not isinstance(answer, str):
                return None
            return cls(answer, float(document["confirmed"]), str(document["unknown"]))
        except (ValueError, KeyError, TypeError):
            return None


class Remembered:
    """Answers by key, in memory and in `records`, so that they outlive the process and the source."""

    def __init__(
        self,
        records: KeyedRecords,
        *,
        clock: Callable[[], float] = time.time,
        alive: Callable[[], bool] = lambda: True,
        offline: Callable[[], bool] = lambda: False,
        entries: int = 20_000,
        locks: Locks | None = None,
    ) -> None:
        """`locks`: of the processes that share `records`. `alive`: whether the source answered lately; `offline`:
        whether it cannot be reached at all."""
        self._records = records
        self._once = AskedOnce(locks)
        self._offline = offline
        self._clock = clock
        self._alive = alive
        self._entries: LRUCache[str, Entry] = LRUCache(entries)
        self._flights: Flights[str, Entry] = Flights()
        self._unanswered: set[bool] = (
            set()
        )  # of long questions, of others: it left one, and has answered none since

    async def ask(
        self, key: str, freshness: Freshness, fetch: Fetch, *, long: bool = False
    ) -> tuple[str, Provenance]:
        """The answer and how fresh it is. `ManifestUnknown`, `NameUnknown`, or the source's failure.

        `long`: to fetch it may take many questions; where nothing older is held, it is given up when all who wait for
        it have left.
        """
        entry = self._entries.get(key)
        if entry is None or self._judge(entry, freshness)[1] is not Verdict.FRESH:
            entry = await self._recorded(key) or entry  # another process may have asked since
        if entry is None:
            return _told(await self._fetch(key, fetch, None, long), Provenance(hit=False))
        age, verdict = self._judge(entry, freshness)
        if verdict is Verdict.FRESH and entry.answer is None:
            raise _refusal(entry).again(freshness.negative_ttl - age)
        if verdict is Verdict.FRESH:
            return _told(entry, Provenance(age=age, fresh_for=freshness.ttl - age))
        if verdict is Verdict.STALE_NOW:
            self._flights.launch(key, lambda: self._fetched(key, fetch, entry, long))
            return _told(entry, Provenance(age=age, stale=True))
        if verdict is Verdict.OFFLINE:
            return await self._unless_offline(key, fetch, entry, age, long)
        if verdict is Verdict.EXPIRED:
            return _told(await self._fetch(key, fetch, entry, long), Provenance(hit=False))
        fetched = await self._soon(key, fetch, entry, long)
        if fetched is None:
            return _told(entry, Provenance(age=age, stale=True))
        return _told(fetched, Provenance(hit=False))

    async def _unless_offline(
        self, key: str, fetch: Fetch, entry: Entry, age: float, long: bool
    ) -> tuple[str, Provenance]:
        """What the source says; the old answer where it cannot be reached. An error that it answers is told."""
        try:
            return _told(await self._fetch(key, fetch, entry, long), Provenance(hit=False))
        except Failure:
            if not self._offline():
                raise
            return _told(entry, Provenance(age=age, stale=True))

    async def _soon(self, key: str, fetch: Fetch, known: Entry, long: bool) -> Entry | None:
        """What the source says; None where it fails, or does not answer soon. The question goes on behind the asker's
        back, and the next asker waits less as long as the source answers nothing. A long one says nothing of others: a
        list may take its time where tags are told at once."""
        flight = self._flights.launch(key, lambda: self._fetched(key, fetch, known, long))
        if not await first_done([flight], AT_ONCE if long in self._unanswered else SOON):
            self._unanswered.add(long)
            return None
        try:
            return flight.result()
        except Failure:
            return None

    def _judge(self, entry: Entry, freshness: Freshness) -> tuple[float, Verdict]:
        age = max(0.0, self._clock() - entry.confirmed)
        return age, freshness.judge(age, negative=entry.answer is None, source_known=self._alive())

    async def _recorded(self, key: str) -> Entry | None:
        """What is on record; None where it is older than what is in memory: a full store kept the old record."""
        try:
            data = await self._records.get(key)
        except StoreBroken:
            return None
        entry, held = Entry.decode(data) if data is not None else None, self._entries.get(key)
        if entry is None or (held is not None and held.confirmed > entry.confirmed):
            return None
        self._entries[key] = entry
        return entry

    async def _fetch(self, key: str, fetch: Fetch, known: Entry | None, long: bool) -> Entry:
        fly = self._flights.share if long else self._flights.join
        return await fly(key, lambda: self._fetched(key, fetch, known, long))

    async def _fetched(self, key: str, fetch: Fetch, known: Entry | None, long: bool) -> Entry:
        """What another process of the node has learned since `known`, or the source says."""

        async def newer() -> Entry | None:
            found = await self._recorded(key)
            is_news = found is not None and (known is None or found.confirmed > known.confirmed)
            return found if is_news else None

        return await self._once(key, newer, lambda: self._asked(key, fetch, known, long))

    async def _asked(self, key: str, fetch: Fetch, known: Entry | None, long: bool) -> Entry:
        try:
            entry = Entry(await fetch(known.answer if known is not None else None), self._clock())
        except (ManifestUnknown, NameUnknown) as refusal:
            entry = Entry(None, self._clock(), type(refusal).__name__)
        self._unanswered.discard(long)
        self._entries[key] = entry
        lasts = entry.answer is not None and not isinstance(entry.answer, Passing)
        if lasts or await self._known(key):
            with contextlib.suppress(StoreFull, StoreBroken):  # then it is remembered while the process lives
                await self._records.put(key, entry.encode())
        return entry

    async def _known(self, key: str) -> bool:
        """Only what once existed is worth a record that it does not: made-up names must not fill the disk."""
        try:
            return await self._records.get(key) is not None
        except StoreBroken:
            return False

    def forget(self) -> None:
        """Drop what is in memory: records may have changed under it."""
        self._entries.clear()

    async def close(self) -> None:
        """End the questions under way."""
        await self._flights.close()


def _told(entry: Entry, provenance: Provenance) -> tuple[str, Provenance]:
    if entry.answer is None:
        raise _refusal(entry)
    return entry.answer, provenance


def _refusal(entry: Entry) -> Refusal:
    return NameUnknown() if entry.unknown == "NameUnknown" else ManifestUnknown()
