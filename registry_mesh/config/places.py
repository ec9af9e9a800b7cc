"""Whether this machine has the folders that a configuration names, and lets the node write to them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from registry_mesh.config.document import Document
from registry_mesh.config.finding import Finding, Severity
from registry_mesh.config.finding import Path as KeyPath
from registry_mesh.config.scalars import parse_size, size_text
from registry_mesh.config.stores import FOLDERS

_SQLITE: Final = b"SQLite format 3\0"
"""How a file of SQLite begins (https://www.sqlite.org/fileformat.html, section 1.3)."""
_FILES: Final[tuple[KeyPath, ...]] = (
    ("log", "access"), ("log", "audit"), ("pulls", "file"), ("webhooks", "queue"),
)  # fmt: skip
"""Keys of files that a node writes to."""


def check_places(document: Document) -> None:
    """Note what is missing. Nothing is made or opened: it may be checked while a node serves."""
    for key in FOLDERS:
        if isinstance(path := document.find(*key), str) and path:
            _lack(document, key, store_fault(Path(path)))
    for name in ("access", "audit"):
        file = document.find("log", name)
        if isinstance(file, str) and file not in ("", "-"):
            _lack(document, ("log", name), log_fault(Path(file)))
    _check_apart(document)
    for key in (("rules",), ("retention", "rules")):
        rules = document.find(*key)
        if isinstance(rules, str) and rules and not Path(rules).is_dir():
            what = "is no folder" if os.path.lexists(rules) else "there is no such folder"
            place = "" if Path(rules).is_absolute() else f"; it is looked for in {Path.cwd()}"
            document.lack(key, f"{rules}: {what}{place}", "name the folder of rule files")


def _check_apart(document: Document) -> None:
    """Report a file that is to be two things at once."""
    seen: dict[str, KeyPath] = {}
    for key in _FILES:
        file = document.find(*key)
        if isinstance(file, str) and file not in ("", "-"):
            first = seen.setdefault(os.path.realpath(file), key)
            if first != key:
                document.report(key, f"{file} is the file of {'.'.join(map(str, first))}", "name another")


def room_warnings(document: Document) -> list[Finding]:
    """Where a quota is more than the file system has."""
    found = []
    for key in FOLDERS:
        path, quota = document.find(*key), _quota(document.find(*key[:-1], "quota"))
        size = _disk_size(Path(path)) if isinstance(path, str) and path else None
        if quota is not None and size is not None and quota > size:
            at = (*key[:-1], "quota")
            what = f"{size_text(quota)}, and the file system of {path} has {size_text(size)} in all"
            cache = document.find("role") == "site"
            how = "a site keeps to what is there" if cache else "give a smaller one: the disk is full before"
            found.append(Finding(document.file, document.mark(at), at, what, how, Severity.WARNING))
    return found


def _quota(value: object) -> int | None:
    """Bytes; None for what is no size, which is told elsewhere."""
    try:
        return parse_size(value) if isinstance(value, str) else value if isinstance(value, int) else None
    except ValueError:
        return None


def _disk_size(path: Path) -> int | None:
    """Bytes of the file system of `path`; None where that cannot be told."""
    try:
        status = os.statvfs(_nearest(path))
    except OSError:
        return None
    return status.f_blocks * status.f_frsize or None


def store_fault(path: Path) -> tuple[str, str] | None:
    """What keeps a store from being kept in the folder `path`, which is made where there is none; how to mend it."""
    try:
        there = _nearest(path)
        status = there.stat()
    except FileNotFoundError:
        return (
            f"{path} leads to {there.readlink()}, which is not there",
            "mount or make that, or name another",
        )
    except OSError as fault:
        return f"{path}: {fault.strerror}", ""
    if not stat.S_ISDIR(status.st_mode):
        return f"{there} is no folder", "name a folder, or one to be made"
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        return f"{there} is mounted read-only", f"mount -o remount,rw it, or name another folder than {path}"
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        return f"{there} may not be written to by {_who()}", f"chown it, or name another folder than {path}"
    if not os.statvfs(there).f_blocks:
        return f"{there} is on no disk", "name a folder that keeps files"
    return None


def log_fault(path: Path, unit: str = "LogsDirectory=") -> tuple[str, str] | None:
    """What keeps a log from being written to the file `path`; how to mend it, in systemd by the key `unit`."""
    if path.is_dir():
        return f"{path} is a folder", "name a file"
    if not path.parent.is_dir():
        where = "" if path.is_absolute() else f"; it is looked for in {Path.cwd()}"
        return f"there is no folder {path.parent}{where}", f"make it; under systemd with {unit}"
    target, right = (path, os.W_OK) if path.exists() else (path.parent, os.W_OK | os.X_OK)
    if not os.access(target, right, effective_ids=True):
        return f"{target} may not be written to by {_who()}", f"chown it; under systemd use {unit}"
    return None


def table_fault(path: Path) -> tuple[str, str] | None:
    """What keeps a database of SQLite from being kept in the file `path`; how to mend it."""
    if (fault := log_fault(path, "StateDirectory=")) is not None:
        return fault
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    except FileNotFoundError:
        return None
    except OSError as unread:
        return f"{path}: {unread.strerror}", "let the node's user read it"
    if head and head != _SQLITE:
        return f"{path} is no database of SQLite", "name another file; one is made where there is none"
    return None


def _nearest(path: Path) -> Path:
    """The last part of `path` that exists. OSError where that cannot be told."""
    here = path.absolute()
    while True:
        try:
            here.lstat()
            return here
        except FileNotFoundError:
            here = here.parent
        except NotADirectoryError:
            here = here.parent


def _who() -> str:
    return f"user {os.geteuid()}"


def _lack(document: Document, key: KeyPath, fault: tuple[str, str] | None) -> None:
    if fault is not None:
        document.lack(key, *fault)
