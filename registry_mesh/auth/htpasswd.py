"""Files of htpasswd: a user and the hash of a password a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from registry_mesh.auth.subjects import is_user

_BCRYPT: Final = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
COST: Final = 14
"""The highest cost that is taken: a login would take seconds."""


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with a line, and how to mend it. Lines count from 1."""

    line: int
    what: str
    how: str


def parse_htpasswd(text: str) -> tuple[dict[str, str], list[LineFault]]:
    """The hashes by user, and all faults. Empty lines and those that begin with # say nothing."""
    hashes: dict[str, str] = {}
    faults: list[LineFault] = []
    for number, line in enumerate(text.splitlines(), 1):
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
    found = _BCRYPT.fullmatch(hashed)
    if found is None:
        return f"the hash of {user} is not bcrypt", f"make it with: htpasswd -nB {user}"
    if not 4 <= int(found[1]) <= COST:
        return f"the hash of {user} has a cost of {found[1]}", f"4 to {COST} is taken, such as htpasswd -C 10"
    return None
