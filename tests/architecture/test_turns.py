"""Which tests take turns: `tests/turns.py`."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
OF_SOME = re.compile(r"^@pytest\.mark\.alone|marks=.*mark\.alone", re.MULTILINE)


def test_whole_files_run_alone() -> None:
    """One with tests that do and tests that do not is run in the middle, where all workers wait for each of its turns:
    give those that run alone a file of their own, and mark it by `pytestmark`."""
    others = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    assert [str(path) for path in others if OF_SOME.search(path.read_text())] == []


def test_some_of_a_file_are_seen() -> None:
    assert OF_SOME.search("import x\n\n@pytest.mark.alone\ndef test_a(): ...")
    assert OF_SOME.search("pytest.param(1, marks=pytest.mark.alone)")
    assert not OF_SOME.search("pytestmark = [pytest.mark.slow, pytest.mark.alone]")
