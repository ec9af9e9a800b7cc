"""Where a list goes on: the field Link (RFC 8288), as registries write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

_TARGET: Final = re.compile(r"<([^>]*)>([^<]*)")
_BARE: Final = re.compile(r"\s*([^\s;,<>]+)\s*((?:;[^<>]*)?)")
_RELATION: Final = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;,]*))", re.IGNORECASE)


def next_query(lines: Iterable[str]) -> str | None:
    """The query of the link to the next page, as it is written; None where no link is one. `ValueError` where there is
    something that cannot be read, or no query: then it is not known whether the list goes on.

    The query alone: a registry behind a proxy names itself by hosts, schemes and prefixes that are not those by which
    it is reached, and what it is asked next is asked where it was asked before.
    """
    text = ", ".join(lines)
    found = False
    for target, parameters in _links(text):
        found = True
        relation = _relation(parameters)
        if relation is None or "next" in relation:
            query = target.partition("#")[0].partition("?")[2]
            if not query:
                raise ValueError(text)
            return query
    if text.strip() and not found:
        raise ValueError(text)
    return None


def _links(text: str) -> Iterator[tuple[str, str]]:
    """Each target and its parameters. One without angle brackets is told by its query."""
    if "<" in text:
        yield from ((match[1], match[2]) for match in _TARGET.finditer(text))
    elif match := _BARE.match(text):
        yield match[1], match[2]


def _relation(parameters: str) -> list[str] | None:
    match = _RELATION.search(parameters)
    return None if match is None else (match[1] or match[2] or match[3] or "").lower().split()
