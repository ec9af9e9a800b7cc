"""The access log: lines are gathered and written by a thread."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from registry_mesh.edge.access_log import AccessLog
from registry_mesh.edge.held_lines import HeldLines
from registry_mesh.telemetry import audit
from registry_mesh.telemetry.instruments import Layout, Table
from registry_mesh.telemetry.names import AUDIT_HELD, AUDIT_LOST
from tests.eventually import SECONDS, eventually
from tests.simulators.played import played

MOST = 100_000


async def test_lines_kept_quickly_are_written_and_bounded(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    log = AccessLog(str(file))
    log.open()
    quickly = log.quickly
    quickly("one\n")
    await eventually(lambda: file.read_text() == "one\n", "the first line")
    for number in range(MOST + 7):
        quickly(f"{number}\n")
    log.look()
    log.add("one too many\n")
    await log.close()
    *lines, last = file.read_text().splitlines()
    assert lines == ["one", *map(str, range(MOST))]
    assert json.loads(last)["dropped"] == 8


@played
async def test_lines_wait_until_the_second_is_over(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    log = AccessLog(str(file))
    log.open()
    log.add("0\n")
    await asyncio.sleep(0.9)
    assert lines(file) == []
    await asyncio.sleep(0.2)
    await written(file, ["0"])
    await log.close()


@played
async def test_lines_that_come_thick_share_a_turn(tmp_path: Path) -> None:
    """The first is written at once. A thread's turn for each of a storm's logins would keep hits waiting."""
    file = tmp_path / "audit.log"
    log = AccessLog(str(file), at_once=True, awaited=math.inf)
    log.open()
    log.add("0\n")
    await written(file, ["0"])
    kept = asyncio.create_task(log.keep("1\n"))
    while not kept.done():  # by then the thread has come back
        await asyncio.sleep(0)
    for number in range(2, 6):
        log.add(f"{number}\n")
        await asyncio.sleep(0.02)
        time.sleep(0.01)  # in which a thread could write it
    assert lines(file) == ["0", "1"]
    await asyncio.sleep(0.1)
    await written(file, ["0", "1", "2", "3", "4", "5"])
    await log.close()


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """The name of a log whose disk takes nothing, until it is another file's."""
    name = tmp_path / "audit.log"
    name.symlink_to("/dev/full")
    return name


async def test_what_a_full_disk_does_not_take_is_held_and_written_later(
    full: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for it meanwhile, and the node's log says so once."""
    caplog.set_level(logging.WARNING, "registry_mesh")
    log = AccessLog(str(full), at_once=True)
    log.open()
    for number in range(50):
        log.add(f"{number}\n")
    await eventually(lambda: caplog.records, "the fault to be told")
    for number in range(50, 100):
        log.add(f"{number}\n")
    mend(full)
    log.reopen()
    await eventually(lambda: len(lines(full)) == 100, "what was held")
    assert lines(full) == [str(number) for number in range(100)]
    await eventually(lambda: len(caplog.records) == 2, "the end of it to be told")
    first, last = [each.getMessage() for each in caplog.records]
    assert "takes no lines: No space left on device" in first
    assert "is written again" in last
    await log.close()


async def test_beyond_the_bound_lines_are_counted_and_the_log_says_how_many(full: Path) -> None:
    log = AccessLog(str(full), at_once=True, lost=partial(audit.lost, "node"))
    log.open()
    for _ in range(MOST + 3):
        log.add("x\n")
    mend(full)
    log.reopen()
    await eventually(lambda: lines(full)[-1:] != ["x"] and lines(full), "the count")
    await log.close()
    *kept, last = lines(full)
    assert len(kept) == MOST
    assert json.loads(last)["event"] == "lost"
    assert json.loads(last)["reason"].startswith("3 lines were lost")


async def test_what_is_held_and_what_is_lost_are_counted(full: Path) -> None:
    table = Table(Layout(), 1)
    log = AccessLog(str(full), at_once=True, held=HeldLines(table.row(0)))
    log.open()
    for _ in range(7):
        log.add("x\n")
    await eventually(lambda: table.total(AUDIT_HELD) == 7, "what is held")
    for _ in range(MOST + 3):
        log.add("x\n")
    await eventually(lambda: table.total(AUDIT_HELD) == MOST + 7, "all that is held")
    assert table.total(AUDIT_LOST) == 3
    mend(full)
    log.reopen()
    await eventually(lambda: len(lines(full)) == MOST + 8, "all that was held, and how many are lost")
    await eventually(lambda: table.total(AUDIT_HELD) == 0, "nothing to be held any more")
    full.unlink()
    full.symlink_to("/dev/full")
    log.reopen()
    log.add("x\n")
    log.add("x\n")
    await log.close()
    assert table.total(AUDIT_LOST) == 5


async def test_who_waits_for_a_line_waits_for_no_disk_that_is_full(full: Path) -> None:
    table = Table(Layout(), 1)
    log = AccessLog(str(full), at_once=True, awaited=SECONDS, held=HeldLines(table.row(0)))
    log.open()
    for _ in range(3):
        await log.keep("x\n")
    mend(full)
    log.reopen()
    await eventually(lambda: len(lines(full)) == 3, "what was held")
    await eventually(lambda: table.total(AUDIT_HELD) == 0, "the log to know that it is written")
    await log.keep("y\n")
    assert lines(full) == ["x", "x", "x", "y"], "it is there once it was waited for"
    await log.close()


async def test_who_waits_for_a_line_does_not_wait_for_ever_for_a_disk_that_hangs(tmp_path: Path) -> None:
    """A pipe that nobody reads."""
    name = tmp_path / "audit.log"
    os.mkfifo(name)
    reading = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(str(name), at_once=True)
    log.open()
    async with asyncio.timeout(SECONDS):
        await log.keep("x" * (1 << 20) + "\n")
    os.close(reading)  # which ends the thread's writing
    await log.close()


async def test_lines_that_are_left_when_it_ends_are_told_of(
    full: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = AccessLog(str(full), at_once=True)
    log.open()
    log.add("x\n")
    await log.close()
    assert "the last lines are lost" in caplog.records[-1].getMessage()


async def test_a_line_that_is_cut_short_comes_whole_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "audit.log"
    file.write_bytes(b"-" * ((1 << 20) - 11) + b"\n")
    log = AccessLog(str(file), at_once=True)
    with no_file_above(1 << 20):
        log.open()
        log.add("first\n")
        log.add("second\n")
        await eventually(lambda: "takes no lines" in caplog.text, "the fault to be told")
    assert file.stat().st_size == 1 << 20, "as much as there is room for"
    await eventually(lambda: lines(file)[1:] == ["first", "seco", "second"], "the rest")
    await log.close()


async def written(file: Path, wanted: list[str]) -> None:
    """No time passes meanwhile, where it is played."""
    while lines(file) != wanted:
        await asyncio.sleep(0)


def mend(name: Path) -> None:
    name.unlink()
    name.touch()


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """As on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
