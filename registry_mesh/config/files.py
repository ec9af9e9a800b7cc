"""Files read beside a loop that serves: one on a disk that hangs holds up no request."""

from __future__ import annotations

from pathlib import Path

import aiofiles

from registry_mesh.config.finding import ConfigInvalid, Finding


async def read_file(path: str | Path) -> bytes:
    """The whole content of the file. Raises `ConfigInvalid` where it cannot be read."""
    try:
        async with aiofiles.open(path, "rb") as file:
            return await file.read()
    except OSError as fault:
        raise unreadable(path, fault) from None


def unreadable(path: str | Path, fault: OSError) -> ConfigInvalid:
    """What to raise for a file or folder that cannot be read."""
    return ConfigInvalid([Finding(str(path), None, (), fault.strerror or "unreadable")])
