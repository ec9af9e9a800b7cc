"""Texts in shared memory."""

from __future__ import annotations

import os

from registry_mesh.upstream.health.texts import Texts


def test_a_text_is_what_was_written_last_and_touches_no_other() -> None:
    texts = Texts.shared(3, 8)
    texts.write(1, "longer than that")
    texts.write(1, "été")
    assert [texts.read(row) for row in range(3)] == ["", "été", ""]
    assert texts.part(1, 3).read(0) == "été"
    texts.part(1, 3).write(1, "x")
    texts.write(1, "")
    assert [texts.read(row) for row in range(3)] == ["", "", "x"]


def test_what_is_longer_is_cut_off_also_within_a_letter() -> None:
    texts = Texts.shared(2, 8)
    texts.write(0, "1234567890")
    texts.write(1, "123456é")
    assert texts.read(0) == "1234567"
    assert texts.read(1) == "123456\N{REPLACEMENT CHARACTER}"


def test_another_process_reads_it() -> None:
    texts = Texts.shared(1, 8)
    child = os.fork()
    if not child:
        texts.write(0, "theirs")
        os._exit(0)
    os.waitpid(child, 0)
    assert texts.read(0) == "theirs"
