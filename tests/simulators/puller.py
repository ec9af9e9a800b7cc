"""A client that asks each server of a list once for a blob, as a process of its own may run it."""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass

PATIENCE = 20.0
"""Seconds without a byte, after which the next server is asked."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt in vain: at which port, why, and when it ended by the machine's monotonic clock."""

    port: int
    why: str
    ended: float


def pull(path: str, ports: Sequence[int]) -> tuple[bool, list[Failed]]:
    """Whether a server gave the blob whose path ends with its sha256, and the attempts before that. A body that breaks
    off is not resumed: the next server is asked for all of it."""
    failed: list[Failed] = []
    for port in ports:
        try:
            why = _attempt(path, port)
        except (OSError, http.client.HTTPException) as fault:
            why = f"{type(fault).__name__}: {fault}"
        if not why:
            return True, failed
        failed.append(Failed(port, why, time.monotonic()))
    return False, failed


def _attempt(path: str, port: int) -> str:
    """What is wrong with the answer; empty where it is the blob."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        client.request("GET", path)
        answer = client.getresponse()
        if answer.status != 200:
            return f"{answer.status}: {answer.read(1000)!r}"
        summed, size = hashlib.sha256(), 0
        while piece := answer.read(_PIECE):
            summed.update(piece)
            size += len(piece)
        good = path.endswith(summed.hexdigest())
        return "" if good else f"{size} bytes of {answer.getheader('Content-Length')}, or wrong ones"
    finally:
        client.close()
