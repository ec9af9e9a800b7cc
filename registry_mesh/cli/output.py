"""Standard output that takes nothing: closed by who called, or a file on a disk that is full."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final

UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF})
"""Why a file takes no more (errno.h). EPIPE is none of them: who closed a pipe has read enough."""


def open_all() -> None:
    """Have something to write to where standard output or standard error was closed by who called (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (for as long as the process lives)


def is_unwritable(fault: OSError) -> bool:
    """Whether standard output is what takes no more: nothing else is written to without a name."""
    return fault.errno in UNWRITABLE and fault.filename is None


def give_up() -> None:
    """Have what is buffered go nowhere, so that the end of the process does not try again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
