"""Globs over names of segments joined by `/`.

    *        any characters within one segment, also none
    **       any characters, across segments; as a whole leading segment (`**/x`, `a/**/x`) any number of
             segments, also none: `**/x` is x at any depth, `a/**` all below a and not a itself
    ?        one character, not `/`
    [a-z]    one of these; [!a-z] or [^a-z] one of the others, not `/`
    {a,b}    either; may be nested, may hold wildcards and `/`

There is no escape: no name and no tag can hold a character that would need one.
"""

from __future__ import annotations

from typing import Final

from registry_mesh.replication.abbreviation import expanded
from registry_mesh.replication.automaton import ANY, Either, Many, Node, One, Then, characters, mask
from registry_mesh.replication.cursor import Cursor

_SLASH: Final = mask("/")
_WITHIN: Final = One(ANY & ~_SLASH)
_ANY: Final = One(ANY)
_SEGMENTS: Final = Many(Then((Many(_WITHIN, 1), One(_SLASH))))  # `**/` where a segment begins
_MAX_NESTING: Final = 16
_WILD: Final = frozenset("*?[]{},!^\\")


def is_exact(text: str) -> bool:
    """Whether a glob matches its own text and nothing else."""
    return not _WILD.intersection(text)


def parse_glob(text: str, alphabet: str) -> Node:
    """What `text` describes; `ValueError` says what is wrong. A character that is not in `alphabet` is a fault:
    the pattern could never match."""
    parser = _Parser(text, alphabet)
    node = parser.sequence(beginning=True)
    if not parser.done:
        raise ValueError(f"{parser.peek!r} at {parser.at + 1} closes nothing")
    return node


def parse_written_out(text: str, alphabet: str) -> Node:
    """As `parse_glob`, with braces that mean exactly what the patterns written out would: what `**` is at the edge of
    one is decided after its options stand in their place."""
    if "{" not in text or "**" not in text:
        return parse_glob(text, alphabet)
    return Either(tuple(parse_glob(each, alphabet) for each in expanded(text)))


class _Parser(Cursor):
    def __init__(self, text: str, alphabet: str) -> None:
        super().__init__(text)
        self.alphabet = alphabet

    def sequence(self, *, beginning: bool) -> Node:
        """Up to the end, or to the `,` or `}` of the braces around; `beginning`: a segment begins here."""
        parts: list[Node] = []
        while not self.done and not (self.depth and self.peek in ",}") and self.peek not in "}]":
            if beginning and self.take("**/"):
                parts.append(_SEGMENTS)
                continue
            starts, beginning = beginning, self.peek == "/"
            parts.append(self.part(starts))
        return Then(tuple(parts))

    def part(self, beginning: bool) -> Node:
        if self.take("***"):
            raise ValueError("*** means nothing more than **")
        if self.take("**"):
            return Many(_ANY)
        if self.take("*"):
            return Many(_WITHIN)
        if self.take("?"):
            return _WITHIN
        if self.take("["):
            return One(self.set())
        if self.take("{"):
            return self.braces(beginning)
        character = self.peek
        self.at += 1
        return One(mask(self.known(character)))

    def known(self, character: str) -> str:
        if character not in self.alphabet:
            why = ": names are lower-case" if character.lower() in self.alphabet else ""
            raise ValueError(f"{character!r} stands in none of the names this can match{why}")
        return character

    def braces(self, beginning: bool) -> Node:
        opened = self.at
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise ValueError(f"braces nested deeper than {_MAX_NESTING}")
        options = [self.sequence(beginning=beginning)]
        while self.take(","):
            options.append(self.sequence(beginning=beginning))
        if not self.take("}"):
            raise ValueError(f"the {{ at {opened} is not closed")
        self.depth -= 1
        return Either(tuple(options))

    def set(self) -> int:
        opened = self.at
        if "]" not in self.text[opened:]:
            raise ValueError(f"the [ at {opened} is not closed")
        negative = self.take("!") or self.take("^")
        chosen = 0
        while not self.take("]"):
            first = last = self.known(self.text[self.at])
            self.at += 1
            if self.peek == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                last = self.known(self.text[self.at + 1])
                self.at += 2
            if last < first:
                raise ValueError(f"{first}-{last} is the wrong way round")
            chosen |= characters(first, last)
        if not chosen:
            raise ValueError(f"the [ ] at {opened} is empty")
        return (ANY & ~chosen if negative else chosen) & ~_SLASH
