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
_SECRETS: Final = {
    ("password", "passwd", "token", "secret"): (
        "a secret is named, never written",
        'put it into a file, and write credentials: "file:PATH"',
    ),
    (
        "access_key",
        "access_key_id",
        "accesskey",
        "secret_key",
        "secret_access_key",
        "secretkey",
        "credentials",
    ): (
        "no key takes a login of the bucket",
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or another way of docs/s3.md",
    ),
}
"""Keys under which people write secrets, of logins and of buckets."""
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}|\$[A-Z_][A-Z0-9_]*\b")


def not_offered(key: str) -> tuple[str, str] | None:
    """What is wrong with an unknown key that other programs know, and what to do instead."""
    secrets = (words for keys, words in _SECRETS.items() if key.lower() in keys)
    return _KEYS.get(key) or next(secrets, None)


def check_offered(document: Document) -> None:
    """Report variables, which would be taken at their word."""
    for path, text in _texts(document.value, ()):
        if (found := _VARIABLE.search(text)) is not None:
            what = f"{found[0]}: variables are not filled in"
            document.report(path, what, "write the value; a secret is named env:NAME")


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:  # Any: a YAML value
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _texts(inner, (*path, i))
