"""A text in memory that processes share."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

from registry_mesh.telemetry.note import Note


def test_another_process_reads_what_is_written() -> None:
    note = Note(64)
    assert note.read() == ""
    for text in ("ein Wört", "kürzer", ""):
        child = os.fork()
        if child == 0:
            note.write(text)
            os._exit(0)
        os.waitpid(child, 0)
        assert note.read() == text


def test_what_does_not_fit_is_cut() -> None:
    note = Note(4)
    note.write("aaaü and more")
    assert note.read() == "aaa"


def test_one_that_was_killed_while_it_wrote_keeps_nobody_from_writing() -> None:
    note = Note(64)
    note.write("before")
    assert note.read() == "before"
    child = os.fork()
    if child == 0:
        sys.settrace(dies_between)
        note.write("half")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert note.read() == "before"
    note.write("after")
    assert note.read() == "after"
    note.write("again")
    assert note.read() == "again"


def dies_between(frame: FrameType, event: str, _: object) -> Any:
    """Kill the process in the midst of `Note.write`: the version says so, the sum is not written."""
    if event == "line" and frame.f_code is Note.write.__code__ and frame.f_locals["self"]._words[0] % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return dies_between
