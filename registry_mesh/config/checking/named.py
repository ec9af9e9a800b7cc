"""Files and folders that a configuration names and that are read to be checked."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path as File
from typing import Final

from registry_mesh.config.document import Document
from registry_mesh.config.finding import ConfigInvalid, Path

MAKE_USERS: Final = "make it: htpasswd -nB NAME >> FILE"
_NOT_DIR: Final = os.strerror(errno.ENOTDIR)
_NO_FOLDER: Final = "name the folder that it lies in"
_LET_READ: Final = "let the node's user read it"


def check_named(document: Document, path: Path, read: Callable[[str], object], make: str) -> None:
    """Report what `read` finds wrong with the file or folder that the key at `path` names, if it names one. `make`: how
    to make one that is not there. What cannot be read is reported at the key."""
    named = document.find(*path)
    if not isinstance(named, str) or not named:
        return
    try:
        read(named)
    except ConfigInvalid as invalid:
        for each in invalid.findings:
            if each.mark is None:
                how = _NO_FOLDER if each.what == _NOT_DIR else _LET_READ if File(named).exists() else make
                document.report_file(path, each.file, f"{each.file}: {each.what}", how)
            else:
                document.findings.append(each)
