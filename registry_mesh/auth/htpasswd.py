"""Files of htpasswd: a user and the hash of a password a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from registry_mesh.auth.basic import TOKEN_USER
from registry_mesh.auth.subjects import is_user

_BCRYPT: Final = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
COST: Final = 14
"""The highest cost of bcrypt that is taken: a login would take seconds."""
_ARGON2: Final = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,6}),t=([1-9]\d{0,2}),p=([1-9]\d?)\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)
"""The string form of RFC 9106's reference code."""
MEMORY: Final = 256 << 10
"""KiB that a hash of argon2id may take: one is made at a time."""
WORK: Final = 1 << 20
"""Memory in KiB times passes that are taken: a login would take seconds."""
LANES: Final = 16
"""Lanes of argon2id that are taken: each is a thread."""


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with a line, and how to mend it. Lines count from 1."""

    line: int
    what: str
    how: str


_NEITHER: Final = ("is neither bcrypt nor argon2id", "make it with: htpasswd -nB NAME")


def parse_htpasswd(text: str) -> tuple[dict[str, str], list[LineFault]]:
    """The hashes by user, and all faults. Empty lines and those that begin with # say nothing. A line ends where every
    editor shows its end; what some write before the first (a byte order mark) is none of it."""
    hashes: dict[str, str] = {}
    faults: list[LineFault] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        user, _, hashed = line.strip().partition(":")
        fault = _fault(user, hashed, hashes)
        if fault is not None:
            faults.append(LineFault(number, *fault))
        else:
            hashes[user] = hashed
    return hashes, faults


def _fault(user: str, hashed: str, known: dict[str, str]) -> tuple[str, str] | None:
    if not is_user(user):
        return "no user name", "a line is NAME:HASH; a name is of A-Z a-z 0-9 . _ @ + -"
    if user in known:
        return f"{user} stands twice", "keep one"
    if user == TOKEN_USER:
        return f"nobody can log in as {user}: who does shows a token", "give this person another name"
    what = _bcrypt_fault(hashed) if hashed.startswith("$2") else _argon2_fault(hashed)
    return (f"the hash of {user} {what[0]}", what[1]) if what is not None else None


def _bcrypt_fault(hashed: str) -> tuple[str, str] | None:
    found = _BCRYPT.fullmatch(hashed)
    if found is None:
        return _NEITHER
    if not 4 <= int(found[1]) <= COST:
        return f"has a cost of {found[1]}", f"4 to {COST} is taken, such as htpasswd -C 10"
    return None


def _argon2_fault(hashed: str) -> tuple[str, str] | None:
    found = _ARGON2.fullmatch(hashed)
    if found is None:
        return _NEITHER
    memory, passes, lanes = int(found[1]), int(found[2]), int(found[3])
    if memory > MEMORY or memory * passes > WORK or lanes > LANES or memory < 8 * lanes:
        how = f"m up to {MEMORY}, m times t up to {WORK}, p up to {LANES} is taken, such as m=65536,t=3,p=4"
        return f"takes m={memory}, t={passes}, p={lanes}", how
    return None
