"""A finite automaton over ASCII words: time linear in the word, whatever the pattern.

Rule files come from people, names and tags from registries that may be hostile; a backtracking matcher lets the
two together stop a replica for hours. Here a pattern is a non-deterministic automaton, walked on all its states
at once; the sets of states met are kept, so that most steps are one dictionary lookup. Linear is not enough: what a
pattern may need is bounded, in states and in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from sys import getsizeof
from typing import Final

MAX_STATES: Final = 1_000
MAX_KEPT: Final = 3 << 20
"""Bytes of steps that one pattern remembers before it forgets them all. With what is made once it stays below 4 MiB."""
_STEP: Final = 200
"""Bytes of a remembered step besides its states: an entry of a dictionary, a key."""
_ACCEPTING: Final = 0


class TooLarge(ValueError):
    """The pattern needs more than `MAX_STATES` states."""

    def __init__(self, states: int) -> None:
        super().__init__(
            f"needs {states:,} states, {MAX_STATES:,} are allowed: fewer repeats, or several patterns"
        )


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


def states(node: Node) -> int:
    """How many states `node` needs; a count, whatever its size."""
    match node:
        case One():
            return 1
        case Then(parts):
            return sum(map(states, parts))
        case Either(options):
            return 1 + sum(map(states, options))
        case Many(part, least, most):
            each = states(part)
            return each * least + (1 + each if most is None else (1 + each) * (most - least))


_MOST_PAIRS: Final = 100_000
"""States of two automata, multiplied, up to which it is told whether they share a word: some 50 ms."""


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


class Automaton:
    """Accepts exactly the words that the node describes, from end to end.

    A set of states is a number: bit n stands for state n. The step from a set by a character is put together from
    pieces of four states; both are remembered, in at most `most` bytes.
    """

    __slots__ = ("_closures", "_kept", "_masks", "_most", "_nexts", "_pieces", "_readers", "_start", "_steps")

    def __init__(self, node: Node, most: int = MAX_KEPT) -> None:
        if (needed := 1 + states(node)) > MAX_STATES:
            raise TooLarge(needed)
        self._most = most
        self._masks: list[int] = [0]  # 0: a state that is left without reading
        self._nexts: list[tuple[int, ...]] = [()]
        start = self._build(node, _ACCEPTING)
        self._closures = self._closed()
        self._start = self._closures[start]
        # By the place of eight states: what follows the lower four of them (keys 1-15) and the upper four (16-31).
        self._pieces: list[dict[int, int]] = [{} for _ in range(len(self._masks) // 8 + 1)]
        self._readers: dict[str, int] = {}  # by character: the states that read it
        self._steps: dict[tuple[int, str], int] = {}
        self._kept = 0  # bytes, about

    def accepts(self, word: str) -> bool:
        """Whether the pattern fits the whole word."""
        if not word.isascii():
            return False
        states = self._start
        for character in word:
            if not states:
                return False
            following = self._steps.get((states, character))
            states = self._step(states, character) if following is None else following
        return bool(states >> _ACCEPTING & 1)

    def describes_any(self, alphabet: int) -> bool:
        """Whether some word over the characters of `alphabet` is accepted."""
        reached = left = self._start
        while left:
            state = (left & -left).bit_length() - 1
            left &= left - 1
            if self._masks[state] & alphabet:
                for following in self._nexts[state]:
                    fresh = self._closures[following] & ~reached
                    reached |= fresh
                    left |= fresh
        return bool(reached >> _ACCEPTING & 1)

    def is_long_beside(self, other: Automaton) -> bool:
        """Whether `shares_any` would take long, and believes."""
        return len(self._masks) * len(other._masks) > _MOST_PAIRS

    def shares_any(self, other: Automaton, alphabet: int) -> bool:
        """Whether both accept some word over the characters of `alphabet`; True where that takes long to tell."""
        if self.is_long_beside(other):
            return True
        reached = dict.fromkeys(_bits(self._start), other._start)  # by state here: the states there beside it
        left = list(reached.items())
        while left:
            state, beside = left.pop()
            both = self._masks[state] & alphabet
            follow = 0
            for there in _bits(beside):
                if both & other._masks[there]:
                    for each in other._nexts[there]:
                        follow |= other._closures[each]
            for each in self._nexts[state] if follow else ():
                for following in _bits(self._closures[each]):
                    if fresh := follow & ~reached.get(following, 0):
                        reached[following] = reached.get(following, 0) | fresh
                        left.append((following, fresh))
        return bool(reached.get(_ACCEPTING, 0) >> _ACCEPTING & 1)

    def _step(self, states: int, character: str) -> int:
        reading = states & self._reading(character)
        following = 0
        for place, byte in enumerate(reading.to_bytes(len(self._pieces), "little")):
            if not byte:
                continue
            pieces = self._pieces[place]
            if lower := byte & 15:
                piece = pieces.get(lower)
                following |= self._piece(place, lower) if piece is None else piece
            if byte > 15:
                upper = 16 | byte >> 4
                piece = pieces.get(upper)
                following |= self._piece(place, upper) if piece is None else piece
        if self._kept >= self._most:
            self._steps.clear()
            for pieces in self._pieces:
                pieces.clear()
            self._kept = 0
        self._steps[states, character] = following
        self._kept += _STEP + getsizeof(following)
        return following

    def _reading(self, character: str) -> int:
        found = self._readers.get(character)
        if found is None:
            bit = 1 << ord(character)
            found = sum(1 << state for state, mask in enumerate(self._masks) if mask & bit)
            self._readers[character] = found
        return found

    def _piece(self, place: int, which: int) -> int:
        """What follows four states: bits 0-3 of `which` say which of them, and bit 4 that they are the upper four."""
        first, found = place * 8 + (which >> 4) * 4, 0
        for state in range(first, min(first + 4, len(self._masks))):
            if which >> (state - first) & 1:
                for following in self._nexts[state]:
                    found |= self._closures[following]
        self._pieces[place][which] = found
        self._kept += _STEP + getsizeof(found)
        return found

    def _closed(self) -> list[int]:
        """Of every state, itself and all that are reached from it without reading. States mostly lead to earlier ones:
        few rounds are needed, one more for each loop in a loop."""
        found = [1 << state for state in range(len(self._masks))]
        changed = True
        while changed:
            changed = False
            for state, mask in enumerate(self._masks):
                if mask or not self._nexts[state]:
                    continue
                reached = found[state]
                for each in self._nexts[state]:
                    reached |= found[each]
                if reached != found[state]:
                    found[state], changed = reached, True
        return found

    def _add(self, read: int, nexts: tuple[int, ...]) -> int:
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
