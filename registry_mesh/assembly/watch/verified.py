"""What the last whole check of a store came to (`verify`): the node that serves it says so, too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final, Protocol

KEY: Final = "verified/last"
"""Of the record."""


class Kept(Protocol):
    """Where it is kept: records."""

    async def put(self, key: str, data: bytes) -> None:
        """Write the record."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """That `wrong` things were found, and not mended, at `at` (seconds since the epoch); `first` is one of them."""

    at: float = 0.0
    wrong: int = 0
    first: str = ""

    async def keep(self, records: Kept) -> None:
        """Write it down."""
        await records.put(KEY, json.dumps(asdict(self)).encode())

    @classmethod
    def decode(cls, data: bytes | None) -> Verified:
        """What a record says; nothing wrong where there is none, or it cannot be read."""
        try:
            told = json.loads(data or b"{}")
            return cls(float(told["at"]), int(told["wrong"]), str(told["first"]))
        except (ValueError, KeyError, TypeError):
            return cls()
