"""Where a list goes on: the field Link (RFC 8288), as registries write it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_BETWEEN: Final = re.compile(r"[\s,]*")
_TARGET: Final = re.compile(r"<([^>]*)>|\"([^\"<>]*)\"|([^\s;,<>\"]+)")
_PARAMETER: Final = re.compile(
    r"\s*;\s*([^\s=;,\"]*)\s*(?:=\s*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'(?=\s*(?:[;,]|$))|([^\s;,]*)))?"
)


@dataclass(frozen=True, slots=True)
class _Link:
    """`relation`: its words; None where none is stated. `bracketed`: it is written as RFC 8288 has it."""

    target: str
    relation: tuple[str, ...] | None
    bracketed: bool

    @property
    def query(self) -> str:
        return self.target.partition("#")[0].partition("?")[2]

    @property
    def leads_elsewhere(self) -> bool:
        """Whether it is beyond doubt that it is not to the next page."""
        if self.relation is not None:
            return "next" not in self.relation
        return self.bracketed and bool(self.target)


def next_query(lines: Iterable[str]) -> str | None:
    """The query of the link to the next page, as it is written; None where no link is one. `ValueError` where there is
    something that cannot be read, or no query: then it is not known whether the list goes on. Of links without a
    relation, where none is said to be to the next page, the first with a query is taken for it.

    The query alone: a registry behind a proxy names itself by hosts, schemes and prefixes that are not those by which
    it is reached, and what it is asked next is asked where it was asked before.
    """
    text = ", ".join(lines)
    links, rest = _read(text)
    named = [link for link in links if link.relation is not None and "next" in link.relation]
    unnamed = [link for link in links if link.relation is None and not rest]
    for link in named or unnamed:
        if link.query:
            return link.query
    if rest or not all(link.leads_elsewhere for link in links):
        raise ValueError(text)
    return None


def _read(text: str) -> tuple[list[_Link], str]:
    """The links, up to what cannot be read, and the rest from there."""
    found: list[_Link] = []
    at = _end(_BETWEEN, text, 0)
    while at < len(text) and (target := _TARGET.match(text, at)):
        relation, at = _relation(text, target.end())
        written = target[1] or target[2] or target[3] or ""
        found.append(_Link(written.strip(), relation, bracketed=target[1] is not None))
        following = _end(_BETWEEN, text, at)
        if following < len(text) and "," not in text[at:following]:
            break
        at = following
    return found, text[at:].strip()


def _relation(text: str, at: int) -> tuple[tuple[str, ...] | None, int]:
    """The words of the first `rel` among the parameters of a link, and where these end."""
    relation: tuple[str, ...] | None = None
    while match := _PARAMETER.match(text, at):
        at = match.end()
        if relation is None and match[1].lower() == "rel":
            value = match[2] or match[3] or (match[4] or "").strip("\"'")
            relation = tuple(value.lower().split())
    return relation, at


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
