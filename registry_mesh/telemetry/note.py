"""A text that one process writes and others read, in memory that all of them share."""

from __future__ import annotations

import mmap
import zlib
from typing import Final

_HEAD: Final = 16
_SIZE: Final = 64 << 10


class Note:
    """Made before the fork. A reader that comes while it is written sees the text before, or none."""

    def __init__(self, size: int = _SIZE) -> None:
        self._memory = memoryview(mmap.mmap(-1, _HEAD + size))
        self._words = self._memory[:_HEAD].cast("Q")
        self._most = size
        self._seen = 0
        self._text = ""

    @property
    def room(self) -> int:
        """Bytes that a text may have."""
        return self._most

    def write(self, text: str) -> None:
        """Replace the text; what does not fit is cut. A writer that died in between has left an odd version."""
        data = text.encode()[: self._most]
        version = self._words[0] | 1
        self._words[0] = version
        self._memory[_HEAD : _HEAD + len(data)] = data
        self._words[1] = len(data) << 32 | zlib.crc32(data)
        self._words[0] = version + 1

    def read(self) -> str:
        """The text, decoded anew only where it changed."""
        version = self._words[0]
        if version != self._seen and version % 2 == 0:
            length, checksum = self._words[1] >> 32, self._words[1] & 0xFFFFFFFF
            data = bytes(self._memory[_HEAD : _HEAD + length])
            if zlib.crc32(data) == checksum:
                self._seen, self._text = version, data.decode(errors="ignore")
        return self._text
