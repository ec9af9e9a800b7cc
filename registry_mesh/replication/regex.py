"""The regular expressions that a finite automaton can decide: literals, `.`, sets, groups, `|`, `* + ? {m,n}`.

Spelled as everywhere, and always matched from end to end. Back-references, look-around, anchors and flags are
refused by name: they are what makes other engines slow, or are said already.
"""

from __future__ import annotations

import string
from typing import Final

from registry_mesh.replication.automaton import ANY, Either, Many, Node, One, Then, characters, mask
from registry_mesh.replication.cursor import Cursor

MAX_LENGTH: Final = 256
_MAX_NESTING: Final = 32
_MAX_COUNT: Final = 1_000
_DIGITS: Final = mask(string.digits)
_WORD: Final = mask(string.ascii_letters + string.digits + "_")
_CLASSES: Final = {"d": _DIGITS, "D": ANY & ~_DIGITS, "w": _WORD, "W": ANY & ~_WORD}
_QUANTIFIERS: Final[dict[str, tuple[int, int | None]]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse_regex(text: str) -> Node:
    """What `text` describes; `ValueError` says what is wrong or not offered."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    if not text.isascii():
        raise ValueError("names and tags are ASCII")
    parser = _Parser(text)
    node = parser.alternatives()
    if not parser.done:
        raise ValueError(f"the ) at {parser.at + 1} closes nothing")
    return node


class _Parser(Cursor):
    def next(self, wanted: str) -> str:
        if self.done:
            raise ValueError(f"ends where {wanted} should stand")
        self.at += 1
        return self.text[self.at - 1]

    def alternatives(self) -> Node:
        options = [self.sequence()]
        while self.take("|"):
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Either(tuple(options))

    def sequence(self) -> Node:
        parts: list[Node] = []
        while not self.done and self.peek not in "|)":
            parts.append(self.repeated(self.atom()))
        return Then(tuple(parts))

    def atom(self) -> Node:
        character = self.next("an expression")
        if character == "(":
            return self.group()
        if character == "[":
            return One(self.set())
        if character == ".":
            return One(ANY & ~mask("\n"))
        if character == "\\":
            return One(self.escape())
        if character in "^$":
            raise ValueError(f"{character} is not needed: patterns match from end to end")
        if character in "*+?{}":
            raise ValueError(f"nothing stands before the {character} at {self.at}")
        return One(mask(character))

    def group(self) -> Node:
        opened = self.at
        if self.take("?") and not self.take(":"):
            raise ValueError("groups (? are not offered: no look-around, no flags, no names")
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise ValueError(f"groups nested deeper than {_MAX_NESTING}")
        node = self.alternatives()
        if not self.take(")"):
            raise ValueError(f"the ( at {opened} is not closed")
        self.depth -= 1
        return node

    def repeated(self, node: Node) -> Node:
        if self.peek in _QUANTIFIERS and not self.done:
            least, most = _QUANTIFIERS[self.next("a quantifier")]
        elif self.take("{"):
            least, most = self.counts()
        else:
            return node
        if not self.done and self.peek in "*+?{":
            raise ValueError(f"the {self.peek} at {self.at + 1} follows a quantifier")
        return Many(node, least, most)

    def counts(self) -> tuple[int, int | None]:
        inside, closed, _ = self.text[self.at :].partition("}")
        low, comma, high = inside.partition(",")
        if not closed or not low.isdecimal() or not (high.isdecimal() or not high) or len(inside) > 9:
            raise ValueError(f"{{ at {self.at} wants {{m}}, {{m,}} or {{m,n}}")
        self.at += len(inside) + 1
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if max(least, most or 0) > _MAX_COUNT or (most is not None and most < least):
            raise ValueError(f"{{{inside}}} is the wrong way round or beyond {_MAX_COUNT}")
        return least, most

    def escape(self) -> int:
        character = self.next("an escaped character")
        if character in _CLASSES:
            return _CLASSES[character]
        if character.isalnum():
            raise ValueError(f"\\{character} is not offered (only \\d \\D \\w \\W and escaped punctuation)")
        return mask(character)

    def set(self) -> int:
        opened = self.at
        negative, chosen, first = self.take("^"), 0, True
        while first or not self.take("]"):
            if self.done:
                raise ValueError(f"the [ at {opened} is not closed")
            chosen |= self.range()
            first = False
        return ANY & ~chosen if negative else chosen

    def range(self) -> int:
        low = self.next("a character of the set")
        if low == "[":
            raise ValueError("a [ inside a set must be escaped")
        if low == "\\":
            escaped = self.text[self.at : self.at + 1]
            chosen = self.escape()
            if escaped in _CLASSES:
                return chosen
            low = escaped
        if self.peek != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return mask(low)
        self.at += 1
        high = self.next("the end of a range")
        if high == "\\":
            high = self.next("the end of a range")
            if high.isalnum():
                raise ValueError("a range ends at a character, not at a set")
        if high < low:
            raise ValueError(f"{low}-{high} is the wrong way round")
        return characters(low, high)
