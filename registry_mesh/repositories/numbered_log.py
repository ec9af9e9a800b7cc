"""Create-only numbered documents: a compare-and-set without a lock server.

A log is a prefix of `ports.Records`; its entries are `<20-digit number>`, each written once by `create`, the
highest is the current one. To append after number N is to create N+1: one winner among all processes and hosts,
on a disk as in a bucket that lacks conditional overwrites.

Old entries are trimmed, which opens one hole: a writer that saw N as the highest, fell asleep, and creates N+1
after others went on to N+30 and trimmed N+1 away. It would believe that it won. Therefore a writer looks again
after its create: its predecessor must still be there, else it takes its entry back and reports a loss. Trimming
leaves at least the two highest, so an entry that did win finds its predecessor unless others went on in
the meantime; then it is reported lost, and the caller's next try is simply a later change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.records import Records

_DIGITS: Final = 20
_LOOKS: Final = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One document of a log."""

    number: int
    data: bytes = field(repr=False)


class NumberedLog:
    """The log below `prefix` (which ends in `/`)."""

    def __init__(self, records: Records, prefix: str) -> None:
        self._records = records
        self.prefix = prefix

    def key(self, number: int) -> str:
        """The record of entry `number`."""
        return f"{self.prefix}{number:0{_DIGITS}}"

    async def numbers(self) -> list[int]:
        """The numbers of all entries, ascending."""
        names = await self._records.children(self.prefix)
        return sorted(int(name) for name in names if len(name) == _DIGITS and name.isdigit())

    async def last(self) -> Entry | None:
        """The current entry."""
        for _ in range(_LOOKS):
            numbers = await self.numbers()
            if not numbers:
                return None
            data = await self._records.get(self.key(numbers[-1]))
            if data is not None:
                return Entry(numbers[-1], data)
            # Trimmed or taken back between the two looks: there is another by now.
        raise StoreBroken(f"{self.prefix}: lists an entry that cannot be read")

    async def entries(self) -> list[Entry]:
        """All entries that are still there, ascending."""
        found = [(number, await self._records.get(self.key(number))) for number in await self.numbers()]
        return [Entry(number, data) for number, data in found if data is not None]

    async def append(self, after: int, data: bytes, keep: int) -> bool:
        """Make `data` the entry after number `after` (0: the first); False where somebody else was faster.

        On success all but the `keep` (at least 2) highest entries are trimmed.
        """
        number = after + 1
        if not await self._records.create(self.key(number), data):
            return False
        numbers = await self.numbers()
        predecessor_stands = after in numbers if after else numbers[-1:] == [number]
        if not predecessor_stands:
            await self._records.delete([self.key(number)])
            return False
        stale = [each for each in numbers if each <= number - max(2, keep)]
        if stale:
            await self._records.delete([self.key(each) for each in stale])
        return True

    async def purge(self) -> None:
        """Forget the whole log. A writer that slept through it finds its predecessor gone."""
        await self._records.delete([self.key(number) for number in await self.numbers()])
