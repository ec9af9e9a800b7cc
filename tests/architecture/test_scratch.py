"""Where the tests keep their files: `tests/scratch.sh`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRATCH = Path(__file__).parents[1] / "scratch.sh"


def scratch(folder: Path, script: str, *before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, SCRATCH, "bash", "-c", script],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
@pytest.mark.parametrize("end", ["exit 3", "kill -9 $$"])
def test_a_file_system_of_its_own_of_which_nothing_is_left(open_folder: Path, end: str) -> None:
    done = scratch(open_folder, f"echo $TMPDIR; stat -f -c %T $TMPDIR; touch $TMPDIR/x; {end}")
    place, kind = done.stdout.split()
    assert (Path(place).parent, kind) == (open_folder, "ext2/ext3")
    assert done.returncode == (3 if end == "exit 3" else 137)
    assert list(open_folder.iterdir()) == [], "nor its image"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_mount_nothing_has_what_is_there(open_folder: Path) -> None:
    done = scratch(open_folder, "echo $TMPDIR; exit 4", "setpriv", "--reuid=64125", "--clear-groups")
    assert (done.returncode, done.stdout, done.stderr) == (4, f"{open_folder}\n", "")
