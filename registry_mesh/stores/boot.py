"""Which boot of the machine this is: what was written before it went down may not be on the disk."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_PATH: Final = Path("/proc/sys/kernel/random/boot_id")
"""proc(5)."""


def boot_id() -> str:
    """As the kernel spells it; empty where it does not tell."""
    try:
        return _PATH.read_text().strip()
    except OSError:
        return ""


@cache
def boot_bytes() -> bytes:
    """The same in 16 bytes. `OSError` where the kernel does not tell."""
    return bytes.fromhex(_PATH.read_text().strip().replace("-", ""))
