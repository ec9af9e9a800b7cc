"""A finite automaton over ASCII words: time linear in the word, whatever the pattern.

Rule files come from people, names and tags from registries that may be hostile; a backtracking matcher lets the
two together stop a replica for hours. Here a pattern is a non-deterministic automaton, walked on all its states
at once; the sets of states met are kept, so that most steps are one dictionary lookup.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_STATES: Final = 4_000
_MAX_KEPT: Final = 20_000  # steps remembered before forgetting them all


class TooLarge(ValueError):
    """The pattern needs more than `MAX_STATES` states."""


@dataclass(frozen=True, slots=True)
class One:
    """One character out of a set; bit n of `mask` stands for chr(n)."""

    mask: int


@dataclass(frozen=True, slots=True)
class Then:
    """All parts, in order; the empty word where there are none."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of the options."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """`part` at least `least` and at most `most` times; None is without limit."""

    part: Node
    least: int = 0
    most: int | None = None


Node = One | Then | Either | Many


def mask(characters: Iterable[str]) -> int:
    """The set of these ASCII characters."""
    out = 0
    for character in characters:
        out |= 1 << ord(character)
    return out


def characters(first: str, last: str) -> int:
    """The set of characters from `first` to `last`, both included."""
    return (2 << ord(last)) - (1 << ord(first))


ANY: Final = (1 << 128) - 1


class Automaton:
    """Accepts exactly the words that the node describes, from end to end."""

    __slots__ = ("_accepting", "_masks", "_nexts", "_start", "_steps")

    def __init__(self, node: Node) -> None:
        self._masks: list[int] = [0]  # 0: a state that is left without reading
        self._nexts: list[tuple[int, ...]] = [()]
        self._accepting = 0
        self._start = self._closed([self._build(node, self._accepting)])
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def accepts(self, word: str) -> bool:
        """Whether the automaton accepts the whole of `text`."""
        if not word.isascii():
            return False
        states = self._start
        for character in word:
            if not states:
                return False
            following = self._steps.get((states, character))
            states = self._step(states, character) if following is None else following
        return self._accepting in states

    def _step(self, states: frozenset[int], character: str) -> frozenset[int]:
        bit = 1 << ord(character)
        following = self._closed([self._nexts[state][0] for state in states if self._masks[state] & bit])
        if len(self._steps) >= _MAX_KEPT:
            self._steps.clear()
        self._steps[states, character] = following
        return following

    def _closed(self, states: list[int]) -> frozenset[int]:
        """These and all that are reached from them without reading."""
        seen = set(states)
        while states:
            state = states.pop()
            if not self._masks[state]:
                fresh = [each for each in self._nexts[state] if each not in seen]
                seen.update(fresh)
                states.extend(fresh)
        return frozenset(seen)

    def _add(self, read: int, nexts: tuple[int, ...]) -> int:
        if len(self._masks) >= MAX_STATES:
            raise TooLarge("the pattern is too large")
        self._masks.append(read)
        self._nexts.append(nexts)
        return len(self._masks) - 1

    def _build(self, node: Node, after: int) -> int:
        """Add the states of `node`, going on at `after`; returns where it begins."""
        match node:
            case One(read):
                # A set of no characters is a dead end, not an empty word: a state with no way on.
                return self._add(read, (after,) if read else ())
            case Then(parts):
                for part in reversed(parts):
                    after = self._build(part, after)
                return after
            case Either(options):
                return self._add(0, tuple(self._build(option, after) for option in options))
            case Many(part, least, most):
                return self._build_many(part, least, most, after)

    def _build_many(self, part: Node, least: int, most: int | None, after: int) -> int:
        if most is None:
            loop = self._add(0, (after,))
            self._nexts[loop] = (self._build(part, loop), after)
            after = loop
        else:
            end = after
            for _ in range(most - least):
                after = self._add(0, (self._build(part, after), end))
        for _ in range(least):
            before, after = after, self._build(part, after)
            if after == before:  # the part is the empty word: so is any number of it
                break
        return after
