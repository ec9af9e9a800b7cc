"""What people look for in a configuration because other programs have it, and this one has not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from registry_mesh.config.document import Document
from registry_mesh.config.finding import Path

_KEYS: Final = {
    "include": ("files are not included", "write all into this one"),
    "includes": ("files are not included", "write all into this one"),
    "<<": ("unknown key", "keys of another mapping are not merged in: write them out"),
    "trust": ("signed catalogs are not checked by this version", "leave it out; bytes are checked all the same"),
    "socket": ("unix sockets are not offered", "name an address and a port"),
    "unix": ("unix sockets are not offered", "name an address and a port"),
}  # fmt: skip
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}|\$[A-Z_][A-Z0-9_]*\b")
_HOSTS: Final = ("listen", "admin")


def not_offered(key: str) -> tuple[str, str] | None:
    """What is wrong with an unknown key that other programs know, and what to do instead."""
    return _KEYS.get(key)


def check_offered(document: Document) -> None:
    """Report variables and unix sockets, which would be taken at their word."""
    for path, text in _texts(document.value, ()):
        if (found := _VARIABLE.search(text)) is not None:
            what = f"{found[0]}: variables are not filled in"
            document.report(path, what, "write the value; a secret is named env:NAME")
    for part in _HOSTS:
        address = document.find(part, "address")
        if isinstance(address, str) and (address.startswith("unix:") or "/" in address):
            document.report(
                (part, "address"), f'"{address}": unix sockets are not offered', "name an address"
            )


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:  # Any: a YAML value
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _texts(inner, (*path, i))
