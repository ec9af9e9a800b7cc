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
    """Return the scopes to ask a token for: those that a challenge states, or `own`, one or several, where it states
    none that can be used. Each is asked for reading alone, but for what `own` itself asks to change."""
    scopes, ours = stated.split(), tuple(own.split())
    if not scopes or len(stated) > LENGTH_LIMIT or len(scopes) > SCOPES_LIMIT:
        return ours
    if not all(_PLAIN.fullmatch(scope) for scope in scopes):
        return ours
    return tuple(dict.fromkeys(_bounded(scope, ours) for scope in scopes))


def _bounded(scope: str, ours: tuple[str, ...]) -> str:
    found = _RESOURCE.fullmatch(scope)
    if found is None:
        return scope
    own = {action for each in map(_RESOURCE.fullmatch, ours) if each for action in each[2].split(",")}
    changes = own & _WRITES if any(each.startswith(f"{found[1]}:") for each in ours) else frozenset()
    actions = [action for action in found[2].split(",") if action not in _WRITES or action in changes]
    return f"{found[1]}:{','.join(actions) or 'pull'}"
