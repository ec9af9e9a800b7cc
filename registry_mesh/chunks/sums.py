"""Sums of chunks, by the algorithm that a chunk map names.

BLAKE3 costs a quarter of sha256 where the processor has SHA instructions, and a twelfth where it has none (ADR 197).
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.oci.digest import Hasher

SUM: Final = 32
"""Bytes of a sum, by either algorithm."""


def _blake3() -> Callable[[], Hasher] | None:
    try:
        from blake3 import blake3
    except ImportError:  # a platform without a wheel and without a compiler
        return None
    return blake3


_BLAKE3: Final = _blake3()


class SumAlgorithm(enum.Enum):
    """What chunks are summed by. The value stands in chunk maps."""

    SHA256 = 1
    BLAKE3 = 2

    @property
    def usable(self) -> bool:
        """Whether this installation can compute it."""
        return self is SumAlgorithm.SHA256 or _BLAKE3 is not None

    def hasher(self) -> Hasher:
        """A fresh hasher."""
        if self is SumAlgorithm.SHA256:
            return hashlib.sha256()
        assert _BLAKE3 is not None, "only what is usable is used"
        return _BLAKE3()

    def of(self, data: bytes | bytearray | memoryview) -> bytes:
        """The sum of `data`: `SUM` bytes."""
        hasher = self.hasher()
        hasher.update(data)
        return hasher.digest()


NEWEST: Final = SumAlgorithm.BLAKE3 if SumAlgorithm.BLAKE3.usable else SumAlgorithm.SHA256
"""What new maps are made with."""


@dataclass(frozen=True, slots=True)
class ChunkSum:
    """The sum of one chunk, and what it was summed by."""

    algorithm: SumAlgorithm
    value: bytes = field(repr=False)
