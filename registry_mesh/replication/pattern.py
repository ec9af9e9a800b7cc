"""Patterns of rule files: a glob, `re:` an expression, `semver:` a range; `!` before any of them excludes.

Always anchored: a pattern describes the whole name. What cannot match anything that exists is a fault, not a
pattern that silently selects nothing.
"""

from __future__ import annotations

import enum
import string
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from registry_mesh.oci.reference import NAME_LIMIT, is_tag
from registry_mesh.replication.automaton import Automaton, Node
from registry_mesh.replication.finite import words
from registry_mesh.replication.glob import is_exact, parse_glob
from registry_mesh.replication.regex import parse_regex
from registry_mesh.replication.version import VersionRange

MAX_LENGTH: Final = 512


class PatternFault(ValueError):
    """A pattern that cannot be read, or can never match."""


class Subject(enum.Enum):
    """What a pattern is about; the value is the characters it may hold."""

    REPOSITORY = string.ascii_lowercase + string.digits + "._-/"
    TAG = string.ascii_letters + string.digits + "._-"

    @property
    def noun(self) -> str:
        """What a person calls names of this kind."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern, as it was written; `negative` where `!` stood before it."""

    text: str
    negative: bool
    exact: str | None = None
    """The one name it matches, where it is no more than a name."""
    names: frozenset[str] | None = None
    """All names it matches, where they are few."""
    is_version: bool = False
    """Whether it looks at versions only."""
    matches: Callable[[str], bool] = field(repr=False, compare=False, default=lambda name: False)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str, subject: Subject) -> Pattern:
        """`PatternFault` says what is wrong with `text`."""
        body = text.removeprefix("!")
        negative = body is not text and body != text
        try:
            return replace(
                _pattern(body.strip() if negative else body, subject), text=text, negative=negative
            )
        except ValueError as fault:
            raise PatternFault(f"{text!r}: {fault}") from None

    def below(self, folder: str) -> Pattern:
        """The same names in `folder`, where they are few and in none."""
        if self.names is None or any("/" in each for each in self.names):
            return self
        names = frozenset(f"{folder}/{each}" for each in self.names)
        exact = None if self.exact is None else f"{folder}/{self.exact}"
        return replace(self, exact=exact, names=names, matches=names.__contains__)


def _pattern(body: str, subject: Subject) -> Pattern:
    if not body:
        raise ValueError("empty")
    if len(body) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    kind, colon, rest = body.partition(":")
    if not colon:
        return _glob(body, subject)
    if kind == "re":
        return _automaton(body, parse_regex(rest.strip()), subject)
    if kind in ("semver", "semver~") and subject is Subject.TAG:
        accepts = VersionRange.parse(rest.strip(), ignore_suffix=kind == "semver~").accepts
        return Pattern(body, False, is_version=True, matches=accepts)
    known = "re:" if subject is Subject.REPOSITORY else "re:, semver: and semver~:"
    raise ValueError(f"{kind}: is not a kind of {subject.noun} pattern; there are globs, {known}")


def _automaton(text: str, node: Node, subject: Subject) -> Pattern:
    accepts = Automaton(node).accepts  # first: beyond its bounds there are no words to tell
    return Pattern(text, False, names=words(node, subject.value), matches=accepts)


def _glob(text: str, subject: Subject) -> Pattern:
    if subject is Subject.REPOSITORY and (text.startswith("/") or text.endswith("/") or "//" in text):
        raise ValueError("no repository name starts or ends with / or has an empty segment")
    if "@" in text:
        raise ValueError("a tag cannot be pinned to a digest by rule")
    pattern = _automaton(text, parse_glob(text, subject.value), subject)
    if not is_exact(text):
        return pattern
    if len(text) > NAME_LIMIT or (subject is Subject.TAG and not is_tag(text)):
        raise ValueError(f"not a {subject.noun}, and no pattern of one")
    return Pattern(text, False, text, frozenset({text}), matches=text.__eq__)
