"""Semantic versions in tags, and ranges of them (semver.org 2.0; ranges as node-semver and Masterminds read them).

A tag is a version when it is `[v]MAJOR[.MINOR[.PATCH]]` with an optional `-suffix`; `21` is 21.0.0. Tags cannot
hold the `+` of a build: charts and others write `_`, so after three numbers `_BUILD` may follow. As semver.org has it,
a build says nothing of which version comes first. A suffix is a pre-release: it comes before its version, and a range
takes it only where one of its own bounds is a pre-release of the same version (so `>=1.2` never brings `2.0.0-rc.1`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from typing import Final

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,17})"
_SUFFIX: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_BUILD: Final = r"[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*"
_VERSION: Final = re.compile(
    rf"v?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?(?:-({_SUFFIX}))?(?:_({_BUILD}))?"
)
_ZEROS: Final = re.compile(_VERSION.pattern.replace(_NUMBER, "[0-9]{1,18}"))
"""The same with leading zeros: `22.04`, `19.03.8`."""
_PARTIAL: Final = re.compile(
    rf"v?(?:[xX*]|({_NUMBER})(?:\.(?:[xX*]|({_NUMBER})(?:\.(?:[xX*]|({_NUMBER})"
    rf"(?:-({_SUFFIX}))?(?:[_+]{_BUILD})?))?))?)"
)
_PARTIAL_ZEROS: Final = re.compile(_PARTIAL.pattern.replace(_NUMBER, "[0-9]{1,18}"))
_HYPHEN: Final = re.compile(r"(\S+)\s+-\s+(\S+)")
_COMPARATOR: Final = re.compile(r"(>=|<=|>|<|=|\^|~)?\s*(\S+)")

_KNOWN: Final = 1 << 15
"""Tags whose versions are remembered: repositories have the same ones, and rules read them again and again."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version (semver.org 2.0.0), ordered by precedence."""

    numbers: tuple[int, int, int]
    suffix: tuple[str, ...] = ()

    @classmethod
    def parse(cls, tag: str, zeros: bool = False) -> Version | None:
        """The version that a tag spells, if it spells one; `zeros`: also with leading zeros."""
        return _parsed(tag, zeros)

    def _key(self) -> tuple[tuple[int, int, int], bool, tuple[tuple[bool, int, str], ...]]:
        """Numbers first; a pre-release before its version; numeric identifiers before words (semver.org 11)."""
        identifiers = tuple(
            (False, int(each), "") if each.isdecimal() else (True, 0, each) for each in self.suffix
        )
        return self.numbers, not self.suffix, identifiers

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers)) + (f"-{'.'.join(self.suffix)}" if self.suffix else "")

    def __lt__(self, other: Version) -> bool:
        if self.numbers != other.numbers:
            return self.numbers < other.numbers
        return self._key() < other._key()


@lru_cache(maxsize=_KNOWN)
def _parsed(tag: str, zeros: bool) -> Version | None:
    found = (_ZEROS if zeros else _VERSION).fullmatch(tag)
    if found is None:
        return None
    major, minor, patch, suffix, build = found.groups()
    if build is not None and patch is None:
        return None
    return Version((int(major), int(minor or 0), int(patch or 0)), tuple(suffix.split(".")) if suffix else ())


@dataclass(frozen=True, slots=True)
class Bounds:
    """`low <= version < high`, or with the edge taken the other way; None where there is no bound."""

    low: Version | None = None
    high: Version | None = None
    low_open: bool = False
    high_closed: bool = False

    def __contains__(self, version: Version) -> bool:
        if self.low is not None and (version < self.low or (self.low_open and version == self.low)):
            return False
        if self.high is None:
            return True
        return version < self.high or (self.high_closed and version == self.high)


class Order(enum.Enum):
    """What a suffix means to a range; the value is the word before the range."""

    RELEASES = "semver"
    """A pre-release, taken only beside a bound with a suffix of the same numbers."""
    FLAVOURS = "semver~"
    """A flavour (`1.2.3-alpine`), not looked at."""
    PLAIN = "semver+"
    """A pre-release that stands in line with all others (semver.org 11)."""


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Options joined by `||`, each a list of bounds that must all hold."""

    options: tuple[tuple[Bounds, ...], ...]
    order: Order = Order.RELEASES
    zeros: bool = False
    """Whether tags with leading zeros are versions."""

    @classmethod
    def parse(cls, text: str, order: Order = Order.RELEASES, zeros: bool = False) -> VersionRange:
        """`ValueError` says what cannot be read."""
        if hyphen := _HYPHEN.fullmatch(text.strip()):
            raise ValueError(f"write >={hyphen[1]} <={hyphen[2]}")
        if "!=" in text:
            raise ValueError("!= is not offered: write an excluding pattern, such as !1.2.3")
        options = tuple(_bounds(option, zeros) for option in text.split("||"))
        return cls(options, order, zeros)

    def accepts(self, tag: str) -> bool:
        """Whether the version that `tag` spells lies in the range."""
        return self.reads(tag) is not None

    def reads(self, tag: str) -> Version | None:
        """The version by which the range takes `tag`; None where it does not."""
        version = Version.parse(tag, self.zeros)
        if version is not None and self.order is Order.FLAVOURS:
            version = Version(version.numbers)
        if version is None or not any(self._within(version, bounds) for bounds in self.options):
            return None
        return version

    def takes_any(self) -> bool:
        """Whether there is a version in it: if so one stands at an edge, or just past it."""
        return any(
            self._within(version if self.order is not Order.FLAVOURS else Version(version.numbers), option)
            for option in self.options
            for version in _at_edges(option)
        )

    def _within(self, version: Version, option: tuple[Bounds, ...]) -> bool:
        if not all(version in bounds for bounds in option):
            return False
        if not version.suffix or self.order is Order.PLAIN:
            return True
        named = (edge for bounds in option for edge in (bounds.low, bounds.high))
        return any(edge is not None and edge.suffix and edge.numbers == version.numbers for edge in named)


def _at_edges(option: tuple[Bounds, ...]) -> Iterator[Version]:
    yield Version((0, 0, 0))
    for edge in (edge for bounds in option for edge in (bounds.low, bounds.high) if edge is not None):
        major, minor, patch = edge.numbers
        yield edge
        yield Version(edge.numbers)
        yield Version(edge.numbers, ("0",))
        yield Version(edge.numbers, (*edge.suffix, "0"))
        yield Version((major, minor, patch + 1))


def _bounds(option: str, zeros: bool) -> tuple[Bounds, ...]:
    spaced = re.sub(r"(>=|<=|>|<|=|\^|~)\s+", r"\1", option.replace(",", " ")).split()
    if not spaced:
        raise ValueError("an empty version range")
    return tuple(_comparator(each, zeros) for each in spaced)


def _comparator(text: str, zeros: bool) -> Bounds:
    found = _COMPARATOR.fullmatch(text)
    parts = (_PARTIAL_ZEROS if zeros else _PARTIAL).fullmatch(found[2]) if found else None
    if found is None or parts is None:
        raise ValueError(f"{text!r} is not a version or a comparison with one")
    given = tuple(int(each) for each in parts.groups()[:3] if each is not None)
    suffix = tuple(parts[4].split(".")) if parts[4] else ()
    return _OPERATORS[found[1] or ""](given, suffix)


Numbers = tuple[int, ...]
Suffix = tuple[str, ...]


def _floor(given: Numbers, suffix: Suffix = ()) -> Version:
    major, minor, patch = (*given, 0, 0, 0)[:3]
    return Version((major, minor, patch), suffix)


def _next(given: Numbers, kept: int) -> Version | None:
    """The first version past all that agree with `given` in the first `kept` numbers."""
    if not kept:
        return None
    return _floor((*given[: kept - 1], given[kept - 1] + 1))


_NOTHING: Final = Bounds(_floor(()), _floor(()))


def _equal(given: Numbers, suffix: Suffix) -> Bounds:
    if len(given) == 3:
        return Bounds(_floor(given, suffix), _floor(given, suffix), high_closed=True)
    return Bounds(_floor(given), _next(given, len(given))) if given else Bounds()


def _greater(given: Numbers, suffix: Suffix) -> Bounds:
    if len(given) == 3:
        return Bounds(_floor(given, suffix), low_open=True)
    above = _next(given, len(given))  # >1.2 is >=1.3
    return Bounds(above) if above else _NOTHING  # >*


def _at_most(given: Numbers, suffix: Suffix) -> Bounds:
    if len(given) == 3:
        return Bounds(None, _floor(given, suffix), high_closed=True)
    return Bounds(None, _next(given, len(given)))


def _at_least(given: Numbers, suffix: Suffix) -> Bounds:
    return Bounds(_floor(given, suffix) if given else None)  # >=* is *: 0.0.0-rc.1 too, where suffixes count


def _below(given: Numbers, suffix: Suffix) -> Bounds:
    return Bounds(None, _floor(given, suffix)) if given else _NOTHING


def _tilde(given: Numbers, suffix: Suffix) -> Bounds:
    return Bounds(_floor(given, suffix), _next(given, min(len(given), 2))) if given else Bounds()


def _caret(given: Numbers, suffix: Suffix) -> Bounds:
    """Up to the first number that is not zero: ^1.2 is <2, ^0.2 is <0.3, ^0.0.3 is <0.0.4."""
    if not given:
        return Bounds()
    kept = next((i + 1 for i, each in enumerate(given) if each), len(given))
    return Bounds(_floor(given, suffix), _next(given, kept))


_OPERATORS: Final[dict[str, Callable[[Numbers, Suffix], Bounds]]] = {
    "": _equal,
    "=": _equal,
    ">=": _at_least,
    ">": _greater,
    "<": _below,
    "<=": _at_most,
    "^": _caret,
    "~": _tilde,
}
