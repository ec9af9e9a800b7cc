"""The folder for temporary files of one run of the tests: of its processes, and of all that they start.

What is killed leaves something there (sockets of a fork server, work of a replica on a bucket, folders of podman), and
it goes with the folder when the run ends, however that ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

ROOT = "PYTEST_DEBUG_TEMPROOT"
"""Where pytest keeps the folders of the last runs, to be looked at: not in ours."""

REMOVE = 'trap "" HUP INT TERM; cat; exec rm -rf --one-file-system "$0"'


def begin() -> subprocess.Popen[bytes]:
    """Have all temporary files made in a folder of this run. It goes when the run no more holds the other end of the
    pipe to what this gives. Names of sockets are short, so is that of the folder."""
    before = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="rm.")
    os.chmod(folder, 0o1777)  # noqa: PTH101 - as the one that it is in
    os.environ.setdefault(ROOT, before)
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None  # asked for anew
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        ["/bin/sh", "-c", REMOVE, folder],
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        cwd="/",
        start_new_session=True,
    )


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder of this run whose path is short: names of sockets have at most 108 characters, podman's run roots 50."""
    folder = next(filter(_is_made, (Path(tempfile.gettempdir(), str(number)) for number in count())))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_made(folder: Path) -> bool:
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        return False
    return True
