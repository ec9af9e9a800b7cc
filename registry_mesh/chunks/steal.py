"""Decides whether a reader waits for a transfer that will reach its chunk, or has the chunk fetched apart.

Fetching apart moves bytes twice: the long stream passes the same place later and either throws the bytes away or
breaks off with some already on the wire. So it is worth it only for a long wait, and only within a budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import MIB

SKIP: Final = 4 * MIB
"""A stream reads on through a hole of at most this many bytes; a longer one ends it. About what is on the wire of
a 1 Gbit/s link of 30 ms when a stream is broken off."""


@dataclass(frozen=True, slots=True)
class StealPolicy:
    """`near` bytes or `soon` seconds ahead is waited for; at most `waste` of the blob may move twice.
    `wasted` counts what was stolen before, whether it has moved twice yet or not."""

    near: int = 8 * MIB
    soon: float = 1.0
    waste: float = 0.005

    def steal(self, ahead: int, rate: float, wanted: int, size: int, wasted: int) -> bool:
        """Whether to fetch `wanted` bytes apart that lie `ahead` bytes before a stream of `rate` bytes/s."""
        if ahead <= self.near or (rate > 0 and ahead / rate <= self.soon):
            return False
        return wasted + min(wanted, SKIP) <= size * self.waste
