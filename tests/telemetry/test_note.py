"""A text in memory that processes share."""

from __future__ import annotations

import os

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
