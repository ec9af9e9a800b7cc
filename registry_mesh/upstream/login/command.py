"""One run of a command that prints a login."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

OUTPUT_LIMIT: Final = 1 << 20
"""Bytes that a command may print."""

GRACE: Final = 5.0
"""Seconds for a killed command to be gone."""


class CommandFailed(Exception):
    """The command gave nothing that can be used. Says why, and repeats nothing that it printed."""

    def __init__(self, why: str, printed: bytes = b"") -> None:
        super().__init__(why)
        self.printed = printed


async def output_of(command: Sequence[str], given: str, timeout: float) -> str:
    """Run `command` without a shell, hand it the line `given`, and return what it prints.

    It runs in a process group of its own, which is killed after `timeout` seconds or when the caller is cancelled.
    What it writes to standard error is thrown away: it may be a secret. `CommandFailed`.
    """
    try:
        process = await _start(command)
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else ""
        raise CommandFailed(f"cannot be run: {why or type(fault).__name__}") from None
    ended = False
    try:
        async with asyncio.timeout(timeout):
            printed = await _talk(process, given.encode() + b"\n" if given else b"")
            ended = len(printed) <= OUTPUT_LIMIT
            code = await process.wait() if ended else -signal.SIGKILL
    except TimeoutError:
        ended = False
        raise CommandFailed(f"did not end within {timeout:g} s") from None
    finally:
        if not ended or process.returncode is None:
            await _kill(process)
    if len(printed) > OUTPUT_LIMIT:
        raise CommandFailed(f"printed more than {OUTPUT_LIMIT} bytes")
    if code != 0:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise CommandFailed(f"failed ({how}): run it by hand to see why", printed)
    return printed.decode("utf-8", "replace")


async def _start(command: Sequence[str]) -> asyncio.subprocess.Process:
    """Return the running process. Where the caller is cancelled while the loop still connects its pipes, its group is
    killed here: the loop would kill the first process alone."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(OSError, ValueError):
            await _kill(await starting)
        raise


async def _talk(process: asyncio.subprocess.Process, given: bytes) -> bytes:
    """Return what the process prints until its end, or a little more than it may."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(ConnectionError, RuntimeError):  # it need not read; uvloop says so by the second
        if given:
            process.stdin.write(given)
            await process.stdin.drain()
        process.stdin.close()
    printed = b""
    while len(printed) <= OUTPUT_LIMIT and (part := await process.stdout.read(1 << 16)):
        printed += part
    return printed


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the group, also where its first process has ended already, and take what is left in its pipe: only then
    the loop knows of the end. Whatever left the group and holds the pipe is not waited for."""
    assert process.stdout is not None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            while await process.stdout.read(1 << 16):
                pass
            await process.wait()
