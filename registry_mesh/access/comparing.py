"""The process that compares passwords with hashes (`access.hashes`), as its worker sees it.

A thread would have to take the interpreter's lock for each login. It goes last on a busy machine, and while it has the
lock and no core, the loop waits for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from registry_mesh.access.turns import Turns
from registry_mesh.oci.refusals import TooManyRequests
from registry_mesh.ports.client import CLIENT
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

WAITING: Final = 128
"""Logins that may wait for their comparison, or be compared; one more is told to come again. So is a client that has as
many of them as there is room left: one alone has half of it, and however many one sends, others are let in."""
AHEAD: Final = 4
"""Of them the process is asked at a time: twice as many as it compares at once. The others wait here, by turns."""
IDLE: Final = 60.0
"""Seconds without a login after which the process ends."""
REST: Final = 1.0
"""Seconds from the unexpected end of a process to the next."""
PROGRAM: Final = (sys.executable, "-P", str(Path(__file__).with_name("hashes.py")))
_FAILED: Final = "passwords cannot be verified right now: come again"


@dataclass(frozen=True, slots=True)
class _Question:
    answer: asyncio.Future[bool]
    client: str


class Comparing:
    """Begins the process with the first login, and ends it when none has come for a while or the loop ends."""

    def __init__(self, program: Sequence[str] = PROGRAM, idle: float = IDLE, rest: float = REST) -> None:
        self._program = program
        self._idle = idle
        self._rest = rest
        self._numbers = count()
        self._asked: dict[bytes, _Question] = {}
        """By the number that stands in the answer. Who does not wait any more still counts: the hash is made."""
        self._turns = Turns[bytes]()
        """Of these the questions that the process was not asked yet, and how many it was asked and has not answered."""
        self._under_way = 0
        self._input: asyncio.StreamWriter | None = None
        self._life: asyncio.Task[None] | None = None

    async def fits(self, password: str, hashed: str) -> bool:
        """Whether the hash is that of the password. `TooManyRequests` where too many wait, or nothing can compare."""
        client = CLIENT.get()
        if not self._has_room(client):
            raise TooManyRequests("many logins wait to be verified: come again")
        number = next(self._numbers)
        line = json.dumps([number, password, hashed]).encode() + b"\n"
        question = _Question(asyncio.get_running_loop().create_future(), client)
        self._asked[b"%d" % number] = question
        self._turns.add(client, line)
        self._feed()
        return await question.answer

    def _has_room(self, client: str) -> bool:
        room = WAITING - len(self._asked)
        return room > (sum(each.client == client for each in self._asked.values()) if client else 0)

    def _feed(self) -> None:
        """Ask the process as much as it can work on; begin it where there is none."""
        if self._input is None:
            if self._life is None or self._life.done():
                self._life = asyncio.create_task(self._live())
            return
        while self._under_way < AHEAD and (line := self._turns.take()) is not None:
            self._under_way += 1
            with suppress(ConnectionError, RuntimeError):  # it has ended, which is about to be heard
                self._input.write(line)

    async def _live(self) -> None:
        while self._asked:
            try:
                as_meant = await self._run()
            except OSError as fault:
                self._failed(f"it cannot be run: {fault.strerror or type(fault).__name__}")
                as_meant = False
            if not as_meant:
                await asyncio.sleep(self._rest)

    async def _run(self) -> bool:
        """One process, until none has asked for a while; whether that is how it ended."""
        process, ours = _begun(self._program)
        try:
            output, self._input = await asyncio.open_unix_connection(sock=ours)
            self._under_way = 0
            self._feed()
            return await self._hear(output)
        finally:
            process.kill()
            if self._input is not None:
                self._input.close()
            self._input = None
            await offload(process.wait)

    async def _hear(self, output: asyncio.StreamReader) -> bool:
        """Whether it was left alone for so long that it is to end; else it has ended by itself."""
        while True:
            try:
                async with asyncio.timeout(self._idle):
                    line = await output.readline()
            except TimeoutError:
                if not self._asked:
                    return True
                continue
            if not line:
                self._failed("it ended by itself")
                return False
            self._answered(line)

    def _answered(self, line: bytes) -> None:
        number, _, said = line.strip().partition(b" ")
        answer = self._asked.pop(number).answer
        self._under_way -= 1
        self._feed()
        if answer.done():
            return
        if said == b"?":
            answer.set_exception(TooManyRequests(_FAILED))
        else:
            answer.set_result(said == b"1")

    def _failed(self, why: str) -> None:
        """All that were asked hear of it; who comes from now on waits for the next process."""
        log.error(
            "the process that compares passwords is gone: logins are told to come again",
            extra={FIELDS: {"why": why}},
        )
        asked, self._asked = self._asked, {}
        self._turns.clear()
        for question in asked.values():
            if not question.answer.done():
                question.answer.set_exception(TooManyRequests(_FAILED))


def _begun(program: Sequence[str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process, and our end of what it reads and writes. By hand: a loop that ends while it begins a process of its
    own may wait for it for ever (asyncio of Python 3.11). A group of its own, and no session: the kernel shares the
    processor out among sessions first, whatever is nice within one (sched(7), autogroup). OSError."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            end = theirs.fileno()
            return subprocess.Popen(program, stdin=end, stdout=end, process_group=0), ours
    except OSError:
        ours.close()
        raise
