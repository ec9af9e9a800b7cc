"""The folder for temporary files of one run of the tests: of its processes, and of all that they start.

What is killed leaves something there (sockets of a fork server, work of a replica on a bucket, folders of podman), and
it goes with the folder when the run ends.
"""

from __future__ import annotations

import os
import shutil
import tempfile

ROOT = "PYTEST_DEBUG_TEMPROOT"
"""Where pytest keeps the folders of the last runs, to be looked at: not in ours."""


def begin() -> str:
    """Have all temporary files made in a folder of this run; its path. Names of sockets are short, so is that."""
    before = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="rm.")
    os.chmod(folder, 0o1777)  # noqa: PTH101 - as the one that it is in
    os.environ.setdefault(ROOT, before)
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None  # asked for anew
    return folder


def end(folder: str) -> None:
    """Remove it. What still runs and writes there, or is mounted there, is left alone."""
    tempfile.tempdir = os.environ[ROOT]
    shutil.rmtree(folder, ignore_errors=True)
