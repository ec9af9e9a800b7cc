"""A configuration as others may see it: where secrets lie, and none of them.

A configuration names its secrets (`file:PATH`, `env:NAME`). What may stand in it all the same is taken out: passwords
and paths in addresses, arguments of commands, and whatever is written where a name should be. What names lead to is
looked up, so that a text can be searched for it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import yaml

GONE: Final = "(removed)"
_NAMED: Final = ("file:", "env:")
_WORDS: Final = re.compile(r"secret|password|passwd|passphrase|token|credentials|login", re.IGNORECASE)
_COMMANDS: Final = ("command",)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_LIMIT: Final = 1 << 16
"""Bytes of a file that are looked into."""
_NAMES: Final = ("username", "user", "account", "email", "expires")
"""Keys of a login's JSON under which no secret stands."""
_SHORT: Final = 6
"""Characters of which a secret has more: what is shorter stands in any text by chance."""


def written(path: str) -> object:
    """The parsed file of a configuration, right or wrong; None where it cannot be read."""
    try:
        return yaml.safe_load(Path(path).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None


def redacted(document: object, key: str = "") -> object:
    """The parsed configuration without what only its node may know."""
    if isinstance(document, dict):
        return {name: redacted(value, str(name)) for name, value in document.items()}
    if isinstance(document, list):
        if key in _COMMANDS and document:
            return [redacted(document[0]), *([GONE] if len(document) > 1 else [])]
        return [redacted(each, key) for each in document]
    if not isinstance(document, str):
        return document
    if document.startswith(_NAMED):
        return document
    return GONE if _WORDS.search(key) and not _is_plain(document) else _URL.sub(_bare, document)


def _is_plain(text: str) -> bool:
    """Whether it is a path, an address or a word of the configuration, which may stand under any key."""
    return text.startswith(("/", "./", "http://", "https://")) or text in ("none", "never", "always")


def _bare(found: re.Match[str]) -> str:
    """An address without user, password, path and query."""
    try:
        parts = urlsplit(found[0])
    except ValueError:
        return GONE
    host = parts.netloc.rpartition("@")[2]
    user = f"{GONE}@" if "@" in parts.netloc else ""
    rest = f"/{GONE}" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{user}{host}{rest}"


def secrets_in(document: object, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The secrets that the configuration leads to, the longest first: contents of files and variables, passwords in
    addresses."""
    found = {each for text in _texts(document) for each in _secrets(text, environment)}
    return sorted(found, key=len, reverse=True)


def _texts(document: object, but_for: Collection[str] = ()) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if str(key).lower() not in but_for:
                yield from _texts(value, but_for)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value, but_for)
    elif isinstance(document, str):
        yield document


def _secrets(text: str, environment: Mapping[str, str]) -> Iterator[str]:
    kind, _, target = text.partition(":")
    if kind == "env":
        yield from _within(environment.get(target, ""))
    elif kind == "file":
        try:
            with Path(target).open("rb") as file:
                yield from _within(file.read(_LIMIT).decode(errors="ignore"))
        except OSError:
            return
    for address in _URL.findall(text):
        userinfo = address.partition("://")[2].rpartition("@")[0]
        if userinfo:
            yield from _long(userinfo, userinfo.partition(":")[2])


def _within(text: str) -> Iterator[str]:
    """What a file or a variable holds: its lines, the texts of its JSON but for names; logins in all their parts."""
    for each in (*map(str.strip, text.splitlines()), *_texts(_parsed(text), _NAMES)):
        yield from _long(each, each.partition(":")[2], base64.b64encode(each.encode()).decode())
        yield from _decoded(each)


def _decoded(text: str) -> Iterator[str]:
    """The login that `auth` of a Docker config.json holds."""
    try:
        login = base64.b64decode(text, validate=True).decode()
    except ValueError:
        return
    if ":" in login:
        yield from _long(login, login.partition(":")[2])


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _long(*texts: str) -> Iterator[str]:
    return (text for text in texts if len(text) > _SHORT)


def without(said: object, secrets: Sequence[str]) -> object:
    """What is said, a JSON value, with each secret taken out of its texts."""
    if isinstance(said, dict):
        return {_cut(str(key), secrets): without(value, secrets) for key, value in said.items()}
    if isinstance(said, list | tuple):
        return [without(each, secrets) for each in said]
    return _cut(said, secrets) if isinstance(said, str) else said


def _cut(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, GONE)
    return text
