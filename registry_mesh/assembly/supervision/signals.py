"""Waiting for a signal, for a while.

`signal.sigtimedwait` of CPython (seen in 3.11) is none to rely on: where the process stood still until its time was
over (SIGSTOP, a paused container), it gives whatever number memory holds, which may be SIGHUP's.
"""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterable
from typing import Final

_SET_BYTES: Final = 128
"""Of a sigset_t, in glibc as in musl: an array of longs."""


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def awaited(signals: Iterable[signal.Signals], seconds: float) -> int | None:
    """The first of `signals` that is or becomes pending, which it is no more then; None after `seconds`, or a pause of
    the process. They have to be blocked."""
    bits = sum(1 << (number - 1) for number in set(signals))
    mask = (ctypes.c_ulong * (_SET_BYTES // ctypes.sizeof(ctypes.c_ulong)))(bits)
    wait = _Timespec(int(seconds), int(seconds % 1 * 1e9))
    number: int = ctypes.CDLL(None).sigtimedwait(mask, None, ctypes.byref(wait))
    return number if number > 0 else None
