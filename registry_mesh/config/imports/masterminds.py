"""Ranges as Masterminds/semver (v3) reads them: skopeo and retagger select by them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import total_ordering
from typing import Final

from registry_mesh.config.imports.fields import NotCarried

_VERSION: Final = re.compile(
    r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
)
_TERM: Final = re.compile(
    r"(=|!=|>=|=>|<=|=<|>|<|~>|~|\^)?\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:-([0-9A-Za-z.-]+))?"
    r"(?:\+[0-9A-Za-z.-]+)?"
)
_HYPHEN: Final = re.compile(r"(\S+)\s+-\s+(\S+)")
_WILD: Final = ("x", "X", "*", None)


@total_ordering
@dataclass(frozen=True, slots=True)
class _Version:
    numbers: tuple[int, int, int]
    pre: tuple[str, ...] = ()

    def __lt__(self, other: _Version) -> bool:
        if self.numbers != other.numbers:
            return self.numbers < other.numbers
        if not self.pre or not other.pre:
            return bool(self.pre) and not other.pre
        return [_part(each) for each in self.pre] < [_part(each) for each in other.pre]


def _part(text: str) -> tuple[bool, int, str]:
    return (False, int(text), "") if text.isdecimal() else (True, 0, text)


def _version(text: str) -> _Version | None:
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    major, minor, patch, pre = found.groups()
    return _Version((int(major), int(minor or 0), int(patch or 0)), tuple(pre.split(".")) if pre else ())


@dataclass(frozen=True, slots=True)
class _Term:
    """One comparison; `minor` and `patch` say which numbers were left open."""

    sign: str
    version: _Version
    any: bool
    minor: bool
    patch: bool

    def takes(self, one: _Version, suffixes: bool) -> bool:
        if one.pre and not suffixes:
            return False
        (major, minor, _), (own_major, own_minor, _) = one.numbers, self.version.numbers
        match self.sign:
            case ">" if self.minor:
                return major > own_major
            case ">" if self.patch:
                return (major, minor) > (own_major, own_minor)
            case ">":
                return one > self.version
            case ">=" | "=>":
                return one >= self.version
            case "<":
                return one < self.version
            case "<=" | "=<" if self.minor or self.patch:
                return major < own_major or (major == own_major and (self.minor or minor <= own_minor))
            case "<=" | "=<":
                return one <= self.version
            case "^":
                return one >= self.version and self._same(one)
            case "~" | "~>":
                return self._near(one)
        return self._near(one) if self.minor or self.patch or self.any else one == self.version

    def _near(self, one: _Version) -> bool:
        if self.any:
            return True
        (major, minor, _), (own_major, own_minor, _) = one.numbers, self.version.numbers
        return one >= self.version and major == own_major and (self.minor or minor == own_minor)

    def _same(self, one: _Version) -> bool:
        """Up to the first number that is not 0."""
        own = self.version.numbers
        if self.any or own[0] or self.minor:
            return self.any or one.numbers[0] == own[0]
        if own[1] or self.patch:
            return one.numbers[:2] == own[:2]
        return one.numbers == own


def _term(found: re.Match[str]) -> _Term:
    sign, major, minor, patch, pre = found.groups()
    wild = major in _WILD
    numbers = [0 if wild or each in _WILD else int(each) for each in (major, minor, patch)]
    if minor in _WILD:
        numbers[2] = 0
    version = _Version((numbers[0], numbers[1], numbers[2]), tuple(pre.split(".")) if pre else ())
    return _Term(sign or "=", version, wild, minor in _WILD, patch in _WILD)


def as_pattern(text: str) -> str:
    """The range as a pattern of tags; `NotCarried`.

    Where a suffix in a bound admits suffixes, those of the numbers that a range ends before are not among them:
    `^1.2.0-0` takes no 2.0.0-rc.1, as here `<2.0.0-0` says.
    """
    if "!=" in text:
        raise NotCarried(f"{text}: write an excluding pattern")
    plain = _HYPHEN.sub(r">=\1 <=\2", text.strip())
    if not re.search(r"\d-[0-9A-Za-z]", plain):
        return f"semver: {plain}"
    terms = _TERM.sub(lambda found: f" {_in_line(found)}", plain)
    return f"semver+: {' '.join(terms.split())}"


def _in_line(found: re.Match[str]) -> str:
    """A term as bounds in the plain order."""
    term = _term(found)
    if term.any:
        return "*"
    if not (term.sign in ("^", "~", "~>") or term.minor or term.patch):
        return found[0]
    major, minor, patch = term.version.numbers
    low = ".".join(map(str, term.version.numbers)) + (
        f"-{'.'.join(term.version.pre)}" if term.version.pre else ""
    )
    after = f"{major + 1}.0.0-0" if term.minor else f"{major}.{minor + 1}.0-0"
    if term.sign == "^":
        after = f"{major}.{minor}.{patch + 1}-0"
        after = f"{major}.{minor + 1}.0-0" if minor or term.patch else after
        after = f"{major + 1}.0.0-0" if major or term.minor else after
    match term.sign:
        case ">":
            return f">={after}"
        case "<=" | "=<":
            return f"<{after}"
        case ">=" | "=>" | "<":
            return f"{term.sign.replace('=>', '>=')}{low}"
    return f">={low} <{after}"


def selecting(text: str) -> Callable[[str], bool]:
    """Whether a version is in the range: of the terms of one alternative, a suffix in any admits suffixes for all."""
    groups = []
    for part in text.split("||"):
        plain = _HYPHEN.sub(r">=\1 <=\2", part).replace(",", " ")
        groups.append([_term(found) for found in _TERM.finditer(plain)])

    def selects(tag: str) -> bool:
        one = _version(tag)
        return one is not None and any(
            all(each.takes(one, any(term.version.pre for term in group)) for each in group)
            for group in groups
        )

    return selects
