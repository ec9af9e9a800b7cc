"""Changes to files that are not ours alone: what is foreign in them stays, and every change can be taken back."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BEGIN: Final = (
    "# >>> registry-mesh: written by `registry-mesh client-config`, taken out again with --remove >>>"
)
END: Final = "# <<< registry-mesh <<<"
BACKUP: Final = ".before-registry-mesh"


class EditRefused(Exception):
    """The file that is there cannot be merged with ours; it was left as it is."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One file below the client's directory. `apply` and `revert` take the whole text, empty where there is none,
    and give the new one; applying twice is applying once, and reverting gives what was there before."""

    path: str
    apply: Callable[[str], str]
    revert: Callable[[str], str]


def apply_edit(directory: Path, edit: Edit) -> Path | None:
    """Write the file, atomically, keeping a copy of a foreign one. The path, or None where nothing changes."""
    path = directory / edit.path
    before = _read(path)
    after = edit.apply(before)
    if after == before:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    backup = _backup(path)
    if before and edit.revert(before) == before and not backup.exists():
        _replace(backup, before, path)
    _replace(path, after, path)
    return path


def revert_edit(directory: Path, edit: Edit) -> Path | None:
    """Take our part out again; a file and a directory that then hold nothing are removed."""
    path = directory / edit.path
    before = _read(path)
    after = edit.revert(before)
    if after == before:
        return None
    if after.strip():
        _replace(path, after, path)
    else:
        path.unlink()
        if path.parent != directory and not any(path.parent.iterdir()):
            path.parent.rmdir()
    backup = _backup(path)
    if backup.exists() and _read(backup) == after:
        backup.unlink()
    return path


def _backup(path: Path) -> Path:
    return path.with_name(path.name + BACKUP)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise EditRefused(f"{path}: not a text file") from None


def _replace(path: Path, text: str, like: Path) -> None:
    """Write `path` in one step, with the mode and owner of `like` where that exists."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if like.exists():
            known = like.stat()
            Path(name).chmod(stat.S_IMODE(known.st_mode))
            os.chown(name, known.st_uid, known.st_gid)
        else:
            Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def without_block(text: str) -> str:
    """`text` without our marked block."""
    before, begin, rest = text.partition(BEGIN)
    if not begin:
        return text
    _, end, after = rest.partition(END + "\n")
    if not end:
        raise EditRefused(f"our block begins and never ends with: {END}")
    return before + after
