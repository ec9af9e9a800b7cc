"""All words that a pattern describes, where they are few: `app/{img,two}` needs no list of what a registry has."""

from __future__ import annotations

from typing import Final

from registry_mesh.replication.automaton import Either, Many, Node, One, Then

LIMIT: Final = 64
"""Words of one pattern."""
SET_LIMIT: Final = 16
"""Characters of one set: `[1-3]` names somebody's choice, `?` does not."""


def words(node: Node, alphabet: str) -> frozenset[str] | None:
    """The words over `alphabet` that `node` describes; None where they are many, or without end."""
    match node:
        case One(mask):
            found = frozenset(each for each in alphabet if mask >> ord(each) & 1)
            return found if len(found) <= SET_LIMIT else None
        case Then(parts):
            return _joined([words(part, alphabet) for part in parts])
        case Either(options):
            several = [words(option, alphabet) for option in options]
            together = frozenset(word for each in several if each is not None for word in each)
            return together if None not in several and len(together) <= LIMIT else None
        case Many(part, least, most):
            return _repeated(words(part, alphabet), least, most)


def _joined(parts: list[frozenset[str] | None]) -> frozenset[str] | None:
    found: frozenset[str] | None = frozenset({""})
    for part in parts:
        if found is None or part is None or len(found) * len(part) > LIMIT:
            return None
        found = frozenset(one + other for one in found for other in part)
    return found


def _repeated(part: frozenset[str] | None, least: int, most: int | None) -> frozenset[str] | None:
    if part is None or most is None:
        return frozenset({""}) if part == frozenset({""}) else None
    found: frozenset[str] | None = _joined([part] * least)
    longer = found
    for _ in range(most - least):
        longer = _joined([longer, part])
        if longer is None or found is None or len(found | longer) > LIMIT:
            return None
        found |= longer
    return found
