"""Scopes of tokens (distribution's token specification, "Token scope documentation")."""

from __future__ import annotations

import re
from typing import Final

SCOPES_LIMIT: Final = 16
LENGTH_LIMIT: Final = 2048
"""Characters of all scopes of a challenge together."""

_PLAIN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""A scope token of RFC 6749 section 3.3."""
_RESOURCE: Final = re.compile(r"(repository(?:\([^()\s]+\))?:.+):([a-z*_-]+(?:,[a-z*_-]+)*)")
_WRITES: Final = frozenset({"push", "delete", "create", "tag-update"})


def scopes_to_ask(stated: str, own: str) -> tuple[str, ...]:
    """Return the scopes to ask a token for: those that a challenge states, or `own` where it states none that can be
    used. Each is asked for reading alone: we change nothing at a parent."""
    scopes = stated.split()
    if not scopes or len(stated) > LENGTH_LIMIT or len(scopes) > SCOPES_LIMIT:
        return (own,)
    if not all(_PLAIN.fullmatch(scope) for scope in scopes):
        return (own,)
    return tuple(dict.fromkeys(map(_reading, scopes)))


def _reading(scope: str) -> str:
    found = _RESOURCE.fullmatch(scope)
    if found is None:
        return scope
    actions = [action for action in found[2].split(",") if action not in _WRITES]
    return f"{found[1]}:{','.join(actions) or 'pull'}"
