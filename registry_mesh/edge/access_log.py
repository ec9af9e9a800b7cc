"""The access log and the audit log: JSON lines, gathered and written by a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from registry_mesh.edge.held_lines import HeldLines
from registry_mesh.tasks.threads import in_thread

log: Final = logging.getLogger(__name__)

_FLUSH: Final = 1.0
_REST: Final = 0.1
"""Seconds from what was written at once to what is next: lines that come thick share a thread's turn."""
_PLENTY: Final = 16_384
"""Lines that are written before the second is over."""
_TOGETHER: Final = 1024
"""Lines joined at once: a thread that joined all of them would keep the loop from running meanwhile."""
_AWAITED: Final = 1.0
"""Seconds for which `keep` waits for the disk: one that hangs is not to hold up what was changed already."""
_MOST: Final = 100_000
"""Lines held while the disk does not take them; more are counted and dropped."""
_TOLD: Final = 60.0
"""Seconds until the node's log says again that the disk takes nothing."""


def _counted(lost: int) -> str:
    return json.dumps({"time": round(time.time(), 3), "dropped": lost}) + "\n"


class AccessLog:
    """`path` is a file to append to, `-` for standard output, None for no log. `at_once`: a line does
    not wait until the second is over, but for `_REST` where others were written just before. `lost` makes the line
    that says how many were dropped. While the disk takes nothing, nobody waits: lines are held, up to a bound, and the
    node's log says so."""

    def __init__(
        self,
        path: str | None,
        at_once: bool = False,
        lost: Callable[[int], str] = _counted,
        *,
        rest: float = _REST,
        awaited: float = _AWAITED,
        held: HeldLines | None = None,
    ) -> None:
        """`rest`: seconds between two writings at once; `awaited`: for which `keep` waits for the disk. `held` is told
        of lines that the disk does not take."""
        self._path = path
        self._plenty_of, self._rest = (1, rest) if at_once else (_PLENTY, 0.0)
        self._lost = lost
        self._wait = awaited
        self._held = held
        self._in_blocks = 0
        """Lines in those, while the disk takes nothing."""
        self._awaited: list[asyncio.Future[None]] = []
        """Of those who wait for lines that are to be gathered."""
        self._written_for: list[asyncio.Future[None]] = []
        """Of those whose lines are in the blocks."""
        self._urgent = asyncio.Event()
        self._blocks: deque[memoryview] = deque()
        """What is to be written before all else; whole lines each."""
        self._failing_since = math.inf
        self._told_at = -math.inf
        self._fd = -1
        self._lines: list[str] = []
        self._dropped = 0
        self._task: asyncio.Task[None] | None = None
        self._plenty = asyncio.Event()

    def open(self) -> None:
        """Begin; OSError where the file cannot be opened."""
        if self._path is None:
            return
        if self._path == "-":
            self._fd = os.dup(1)
        else:
            self._fd = self._opened()
        self._task = asyncio.get_running_loop().create_task(self._flush_for_ever(), name="access-log")

    def reopen(self) -> None:
        """Go on in the file that has the name now, after the one before was moved away. Lines that are being written
        go to either, whole."""
        if self._task is None or self._path in (None, "-"):
            return
        try:
            new = self._opened()
        except OSError as fault:
            log.error("%s cannot be opened, going on as before: %s", self._path, fault.strerror)
            return
        os.dup2(new, self._fd, inheritable=False)
        os.close(new)

    def _opened(self) -> int:
        assert self._path is not None, "there is a file"
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    async def close(self) -> None:
        """Write what is left."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        self._write()
        if not self._blocks:
            self._gather()
            self._write()
        if self._blocks or self._lines:
            log.error("%s: the last lines are lost: the disk does not take them", self._path)
            self._lose(self._in_blocks + len(self._lines))
        self._tell_awaited()
        os.close(self._fd)
        self._fd = -1

    @property
    def kept(self) -> bool:
        """Whether lines are kept: no line need be made else."""
        return self._task is not None

    def add(self, line: str) -> None:
        """Keep a line, with its end, until it is written."""
        if self._task is None:
            return
        self._lines.append(line)
        self.look()

    async def keep(self, line: str) -> None:
        """Keep a line until it is written, and return once it is: a process that is killed then loses nothing of it.
        Return at once where the disk takes nothing, and after `awaited` where it hangs."""
        if self._task is None:
            return
        self.add(line)
        if self._failing_since < math.inf:
            return
        written = asyncio.get_running_loop().create_future()
        self._awaited.append(written)
        self.hurry()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait):
                await written

    def hurry(self) -> None:
        """Have what is kept written now, whatever was written just before."""
        self._plenty.set()
        self._urgent.set()

    @property
    def quickly(self) -> Callable[[str], object]:
        """`add`, without a look at how many lines there are: whoever has it calls `look` now and then. As good as the
        log is open when it is asked for."""
        return self._lines.append if self.kept else _nothing

    def look(self) -> None:
        """Have the lines written where there are many, and drop the last of too many."""
        count = len(self._lines)
        if count >= self._plenty_of:
            self._plenty.set()
            if count > _MOST:
                del self._lines[_MOST:]
                self._dropped += count - _MOST
                self._lose(count - _MOST)

    async def _flush_for_ever(self) -> None:
        while True:
            if self._blocks:
                await asyncio.sleep(_FLUSH)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH):
                        await self._plenty.wait()
                self._plenty.clear()
                self._gather()
            if self._blocks:
                await in_thread(self._write)
                self._tell_awaited()
                await self._pause()

    def _tell_awaited(self) -> None:
        """Those whose lines were written need not wait any more, and if the disk takes nothing nobody does."""
        failing = self._failing_since < math.inf
        for each in self._written_for:
            if not each.done():
                each.set_result(None)
        self._written_for = []
        if self._held is not None:
            self._held.hold(self._in_blocks + len(self._lines) if failing else 0)

    def _lose(self, lines: int) -> None:
        if self._held is not None:
            self._held.lose(lines)

    async def _pause(self) -> None:
        """Let more lines come, unless one is waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._rest):
                await self._urgent.wait()

    def _gather(self) -> None:
        """Have all lines written next."""
        lines = self._lines.copy()
        self._lines.clear()  # the list stays: see `quickly`
        self._urgent.clear()
        self._written_for, self._awaited = self._written_for + self._awaited, []
        if self._dropped:
            lines.append(self._lost(self._dropped))
            self._dropped = 0
        for first in range(0, len(lines), _TOGETHER):
            self._blocks.append(memoryview("".join(lines[first : first + _TOGETHER]).encode()))

    def _write(self) -> None:
        """As much as the disk takes."""
        try:
            while self._blocks:
                self._write_block()
        except OSError as fault:
            self._fails(fault)
        else:
            if self._failing_since < math.inf:
                log.warning("%s is written again, with what was held", self._path)
                self._failing_since, self._told_at = math.inf, -math.inf

    def _write_block(self) -> None:
        """The first block. A line that is cut short by a fault is ended, and comes whole the next time."""
        block, written = self._blocks[0], 0
        try:
            while written < len(block):
                written += os.write(self._fd, block[written:])
        except OSError:
            self._blocks[0] = _left(block, written)
            raise
        self._blocks.popleft()

    def _fails(self, fault: OSError) -> None:
        now = time.monotonic()
        self._failing_since = min(self._failing_since, now)
        self._in_blocks = sum(bytes(block).strip(b"\n").count(b"\n") + 1 for block in self._blocks)
        if now - self._told_at >= _TOLD:
            self._told_at = now
            log.error("%s takes no lines: %s; they are held, up to %d", self._path, fault.strerror, _MOST)


def _left(block: memoryview, written: int) -> memoryview:
    """Of lines of which so many bytes are written: those that are not whole yet."""
    whole = bytes(block[:written]).rfind(b"\n") + 1
    rest = block[whole:]
    return rest if whole == written else memoryview(b"\n" + bytes(rest))


def _nothing(line: str) -> None:
    """Keep no line."""
