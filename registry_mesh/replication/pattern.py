"""Patterns of rule files: a glob, `re:` an expression, `semver:` a range; `!` before any of them excludes.

Always anchored: a pattern describes the whole name. What cannot match anything that exists is a fault, not a
pattern that silently selects nothing.
"""

from __future__ import annotations

import enum
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.oci.reference import NAME_LIMIT, is_tag
from registry_mesh.replication.automaton import Automaton, TooLarge
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
    matches: Callable[[str], bool] = field(repr=False, compare=False, default=lambda name: False)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str, subject: Subject) -> Pattern:
        """`PatternFault` says what is wrong with `text`."""
        body = text.removeprefix("!")
        negative = body is not text and body != text
        try:
            exact, matches = _matcher(body.strip() if negative else body, subject)
        except TooLarge:
            raise PatternFault(f"{text!r}: too many alternatives or repetitions") from None
        except ValueError as fault:
            raise PatternFault(f"{text!r}: {fault}") from None
        return cls(text, negative, exact, matches)


def _matcher(body: str, subject: Subject) -> tuple[str | None, Callable[[str], bool]]:
    if not body:
        raise ValueError("empty")
    if len(body) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    kind, colon, rest = body.partition(":")
    if not colon:
        return _glob(body, subject)
    if kind == "re":
        return None, Automaton(parse_regex(rest.strip())).accepts
    if kind in ("semver", "semver~") and subject is Subject.TAG:
        return None, VersionRange.parse(rest.strip(), ignore_suffix=kind == "semver~").accepts
    known = "re:" if subject is Subject.REPOSITORY else "re:, semver: and semver~:"
    raise ValueError(f"{kind}: is not a kind of {subject.noun} pattern; there are globs, {known}")


def _glob(text: str, subject: Subject) -> tuple[str | None, Callable[[str], bool]]:
    if subject is Subject.REPOSITORY and (text.startswith("/") or text.endswith("/") or "//" in text):
        raise ValueError("no repository name starts or ends with / or has an empty segment")
    if "@" in text:
        raise ValueError("a tag cannot be pinned to a digest by rule")
    automaton = Automaton(parse_glob(text, subject.value))
    if not is_exact(text):
        return None, automaton.accepts
    if len(text) > NAME_LIMIT or (subject is Subject.TAG and not is_tag(text)):
        raise ValueError(f"not a {subject.noun}, and no pattern of one")
    return text, text.__eq__
