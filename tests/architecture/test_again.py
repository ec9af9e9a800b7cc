"""What is fetched over a network is fetched again where that fails: `tests/again.sh`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

AGAIN = Path(__file__).parents[1] / "again.sh"


@pytest.mark.parametrize(("good", "code", "tries"), [(1, 0, 1), (3, 0, 3), (9, 7, 4)])
def test_a_command_is_run_until_it_does_well_or_for_the_last_time(
    tmp_path: Path, good: int, code: int, tries: int
) -> None:
    script = f'echo >>"$1"; (($(wc -l <"$1") >= {good})) || exit 7; cat'
    done = subprocess.run(
        [AGAIN, "bash", "-c", script, "bash", tmp_path / "tries"],
        env={**os.environ, "RM_PAUSES": "0 0 0"},
        input="what it is given",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, (tmp_path / "tries").read_text().count("\n")) == (code, tries)
    assert done.stdout == ("what it is given" if code == 0 else "")
