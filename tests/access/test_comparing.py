"""The process that compares passwords: bounded, apart from the loop, and missed by nobody when it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bcrypt
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from registry_mesh.access.comparing import PROGRAM, WAITING, Comparing
from registry_mesh.assembly.supervision.loops import LoopName, loop_factory
from registry_mesh.oci.refusals import TooManyRequests
from registry_mesh.ports.client import CLIENT
from tests.eventually import SECONDS, eventually

HASH = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
SILENT = (sys.executable, "-c", "import sys; sys.stdin.read()")


def children() -> list[int]:
    """The processes that this one has begun and that still run these programs."""
    pids = [int(pid) for each in Path("/proc/self/task").glob("*/children") for pid in said(each).split()]
    return [pid for pid in pids if b"hashes.py" in said(Path(f"/proc/{pid}/cmdline"))]


def said(file: Path) -> bytes:
    """What a file of /proc says: nothing where its process or thread ended a moment ago."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def dies_first(folder: Path, how: str = "read line") -> Sequence[str]:
    """A program that ends without an answer, and is the real one from the second time on."""
    script = f'test -e "$0" && exec "$@"; touch "$0"; {how}; exit 1'
    return "sh", "-c", script, str(folder / "died"), *PROGRAM


async def test_the_queue_is_bounded() -> None:
    comparing = Comparing(SILENT)
    tasks = [asyncio.create_task(comparing.fits("wonder", HASH)) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests, match="many logins wait"):
        await comparing.fits("wonder", HASH)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(TooManyRequests):  # their hashes are made all the same
        await comparing.fits("wonder", HASH)


async def test_one_client_leaves_room_for_others() -> None:
    comparing = Comparing(SILENT)

    async def log_in(client: str) -> None:
        CLIENT.set(client)
        await comparing.fits("wonder", HASH)

    tasks = list[asyncio.Task[None]]()
    for client, waiting in (("one", WAITING // 2), ("two", WAITING // 4), ("three", WAITING // 8)):
        asked = [asyncio.create_task(log_in(client)) for _ in range(WAITING)]
        await asyncio.sleep(0)
        assert sum(not each.done() for each in asked) == waiting
        tasks += asked
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


ECHO = "import json, sys\nfor line in sys.stdin: print(json.loads(line)[0], 0, flush=True)"


async def test_the_clients_take_turns() -> None:
    """One that comes behind many of another waits for what is under way, and for one more."""
    comparing, answered = Comparing((sys.executable, "-c", ECHO)), list[str]()

    async def log_in(client: str) -> None:
        CLIENT.set(client)
        await comparing.fits("wonder", HASH)
        answered.append(client)

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*[log_in(client) for client in ["many"] * (WAITING // 2) + ["one", "other"]])
    assert len(answered) == WAITING // 2 + 2
    assert set(answered[1:3]) == {"one", "other"}, answered[:10]


async def test_hashes_of_several_lanes_do_not_wait_for_each_other() -> None:
    """Two of argon2id at once are a deadlock of OpenSSL's, after which nobody could log in any more."""
    comparing = Comparing()
    made = Argon2id(salt=b"0123456789abcdef", length=32, iterations=3, lanes=4, memory_cost=1 << 10)
    hashed = made.derive_phc_encoded(b"wonder")
    async with asyncio.timeout(SECONDS):
        assert all(await asyncio.gather(*[comparing.fits("wonder", hashed) for _ in range(32)]))


async def test_one_who_does_not_wait_for_the_answer_disturbs_nobody() -> None:
    comparing = Comparing()
    gone = asyncio.create_task(comparing.fits("wonder", HASH))
    await asyncio.sleep(0)
    gone.cancel()
    assert await comparing.fits("wonder", HASH)


async def test_it_goes_last() -> None:
    """So that a storm of logins takes from hits no more than is left."""
    comparing = Comparing()
    assert await comparing.fits("wonder", HASH)
    (pid,) = children()
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)


async def test_it_ends_when_nobody_logs_in_and_begins_anew() -> None:
    comparing = Comparing(idle=0.01)
    for _ in range(2):
        assert await comparing.fits("wonder", HASH)
        await eventually(lambda: not children())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("soon", [True, False])
def test_it_ends_with_the_loop(loop: LoopName, soon: bool) -> None:
    """As soon as it was begun, too."""

    async def log_in() -> None:
        compared = asyncio.create_task(Comparing().fits("wonder", HASH))
        if soon:
            await asyncio.sleep(0)
        else:
            assert await compared

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(log_in())
    assert not children()


async def test_its_end_is_told_to_those_who_wait_and_to_nobody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    comparing = Comparing(dies_first(tmp_path), rest=0.01)
    with caplog.at_level(logging.ERROR), pytest.raises(TooManyRequests, match="come again"):
        await comparing.fits("wonder", HASH)
    assert "the process that compares passwords is gone" in caplog.text
    assert await comparing.fits("wonder", HASH)
    assert not await comparing.fits("other", HASH)


async def test_a_process_that_ends_before_it_is_asked_is_missed_no_less(tmp_path: Path) -> None:
    comparing = Comparing(dies_first(tmp_path, "true"), rest=0.01)
    with pytest.raises(TooManyRequests):
        await comparing.fits("wonder", HASH)
    assert await comparing.fits("wonder", HASH)


async def test_a_program_that_cannot_be_run_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    comparing = Comparing(("/nowhere/python",), rest=0.01)
    for _ in range(2):
        with pytest.raises(TooManyRequests, match="come again"):
            await comparing.fits("wonder", HASH)
    assert caplog.records[0].__dict__["fields"] == {"why": "it cannot be run: No such file or directory"}


async def test_a_comparison_that_fails_is_no_wrong_password() -> None:
    comparing = Comparing()
    with pytest.raises(TooManyRequests, match="come again"):
        await comparing.fits("wonder", "$2b$04$neither")
    assert await comparing.fits("wonder", HASH)


def test_it_ends_with_its_worker_whatever_waits() -> None:
    """The worker may have been killed: a hash that nobody hears of is not waited for."""
    slow = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode().replace("$04$", "$18$")
    asked = "".join(json.dumps([number, "wonder", slow]) + "\n" for number in range(50))
    done = subprocess.run(PROGRAM, input=asked.encode(), capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
