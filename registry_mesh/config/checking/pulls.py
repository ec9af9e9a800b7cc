"""Checks of `pulls:` that no single key can make."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from registry_mesh.config.document import Document, mapping
from registry_mesh.config.places import table_fault
from registry_mesh.config.values import listed

KEY_BYTES: Final = 16
"""A key for pseudonyms has at least so many: shorter ones can all be tried."""


def check_pulls(document: Document) -> None:
    """Add what is wrong to the document's findings."""
    pulls = mapping(document.find("pulls"))
    file = pulls.get("file")
    if file is None:
        for key in ("keep", "pseudonyms", "reporters", "report"):
            if key in pulls:
                document.report(("pulls", key), f"{key} without file", "add file: FILE", key=True)
        return
    if isinstance(file, str) and file and (fault := table_fault(Path(file))) is not None:
        document.lack(("pulls", "file"), *fault)
    reporters = listed(pulls.get("reporters"))
    for each in reporters if isinstance(reporters, tuple) else ():
        if str(each).startswith("@") or each == "users":
            document.report(("pulls", "reporters"), f"{each} is no login of a node", "name each: robot:NAME")
    _check_key(document, pulls.get("pseudonyms"))


def _check_key(document: Document, file: object) -> None:
    path = ("pulls", "pseudonyms")
    if not isinstance(file, str) or not file:
        return
    try:
        if len(Path(file).read_bytes().strip()) < KEY_BYTES:
            document.report(path, f"{file}: fewer than {KEY_BYTES} bytes", f"openssl rand -hex 32 > {file}")
    except OSError as fault:
        document.report(path, f"{file}: {fault.strerror}", f"openssl rand -hex 32 > {file}")
