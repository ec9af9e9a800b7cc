"""Where the tests keep their files: `tests/scratch.sh`."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.eventually import eventually_here

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
    assert done.returncode == (3 if end == "exit 3" else -signal.SIGKILL)
    eventually_here(lambda: list(open_folder.iterdir()) == [], "nothing to be left, nor its image")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_what_ends_it_is_told_to_the_command(open_folder: Path) -> None:
    """As by `timeout`: it has its file system until it has ended."""
    # Not `read`: a signal that comes just before it blocks is told by nothing after.
    script = "trap 'touch $TMPDIR/x && exit 5' TERM; echo here; while :; do sleep 0.1; done"
    with subprocess.Popen(
        [SCRATCH, "bash", "-c", script],
        env={**os.environ, "TMPDIR": str(open_folder)},
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"here\n"
        running.terminate()
        assert running.wait(60) == 5
    eventually_here(lambda: list(open_folder.iterdir()) == [], "nothing to be left")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_on_a_full_disk_it_is_said_and_nothing_is_left(open_folder: Path) -> None:
    script = f"""
mount -t tmpfs -o size=64k none {open_folder} && head -c 1M /dev/zero >{open_folder}/full 2>/dev/null
TMPDIR={open_folder} {SCRATCH} bash -c 'echo $TMPDIR'
for _ in $(seq 200); do [[ $(ls {open_folder}) == full ]] && break; sleep 0.1; done
ls {open_folder}
"""
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{open_folder}\nfull\n"
    assert "the tests wait for the disk" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_mount_nothing_has_what_is_there(open_folder: Path) -> None:
    done = scratch(open_folder, "echo $TMPDIR; exit 4", "setpriv", "--reuid=64125", "--clear-groups")
    assert (done.returncode, done.stdout, done.stderr) == (4, f"{open_folder}\n", "")
