"""Patterns of rule files: a glob, `re:` an expression, `semver:` a range; `!` before any of them excludes.

Always anchored: a pattern describes the whole name. What cannot match anything that exists is a fault, not a
pattern that silently selects nothing. Both editions of the language are read here; the second adds orders of versions,
versions inside a tag (`in`), both of two patterns (`&`), pins, and takes braces for an abbreviation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import NAME_LIMIT, is_name, is_tag
from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.replication.abbreviation import expanded
from registry_mesh.replication.automaton import MAX_STATES, Automaton, Node, TooLarge, mask, states
from registry_mesh.replication.finite import words
from registry_mesh.replication.glob import is_exact, parse_glob, parse_written_out
from registry_mesh.replication.regex import parse_regex
from registry_mesh.replication.subject import Subject
from registry_mesh.replication.version import Order, Version, VersionRange

MAX_LENGTH: Final = 512
_MOST_SIDES: Final = 8
_GROUP: Final = "group:"
_BRACES: Final = re.compile(r"\{[^{}]*\}|\[[^]]*\]")
_CARET: Final = re.compile(r"\^v?\d+(\.\d+)*")


class PatternFault(ValueError):
    """A pattern that cannot be read, or can never match."""


class _Nothing(ValueError):
    """A pattern that can be read and matches no name."""


@dataclass(frozen=True, slots=True)
class Read:
    """The version by which a pattern takes a tag, and in which flavour (`*-alpine`)."""

    version: Version
    flavour: str = ""
    text: str = ""
    """As it stands in the tag, without v."""


_BRACES_OF_SHELLS: Final = re.compile(r"\{\w+\.\.\w+(?:\.\.\w+)?\}")
"""How shells write several numbers."""


@dataclass(frozen=True, slots=True)
class Pin:
    """`TAG@DIGEST`, or `@DIGEST` without a tag."""

    tag: str | None
    digest: Digest


def pinned_digest(tag: str) -> Digest | None:
    """The digest that stands for itself among tags, `@DIGEST`; None where it is a tag."""
    return Digest.parse(tag[1:]) if tag.startswith("@") else None


def _unread(name: str) -> Read | None:
    return None


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
    order: Order | None = None
    """How it takes suffixes, where it looks at versions."""
    pin: Pin | None = None
    of: str = ""
    """The set it stands in."""
    states: int = 1
    """What it costs: the states that are walked for each character of a name, at most."""
    is_believed: bool = False
    """Whether it takes any name was not looked at, for it would have taken long."""
    automaton: Automaton | None = field(repr=False, compare=False, default=None)
    """What matches, where that is one."""
    matches: Callable[[str], bool] = field(repr=False, compare=False, default=lambda name: False)
    reads: Callable[[str], Read | None] = field(repr=False, compare=False, default=_unread)
    """The version by which it takes a name; None where it takes it otherwise, or not at all."""

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(
        cls, text: str, subject: Subject, edition: int = 1, *, demands_one: bool | None = None
    ) -> Pattern:
        """`edition` is the number of the language. `PatternFault` says what is wrong with `text`; that it can match no
        name is wrong where `demands_one` says so, from the second edition on by default."""
        body = text.removeprefix("!")
        negative = body is not text and body != text
        body = body.strip() if negative else body
        try:
            read = _both(body, subject) if edition > 1 else _pattern(body, subject)
            demands = edition > 1 if demands_one is None else demands_one
            if demands and not negative:
                _demand_one(read, subject)
            return replace(read, text=text, negative=negative)
        except (TooLarge, _Nothing) as fault:
            raise PatternFault(f"{text!r} {fault}") from None
        except ValueError as fault:
            raise PatternFault(f"{text!r}: {fault}") from None

    def below(self, folder: str) -> Pattern:
        """The same names in `folder`, where they are few and in none."""
        if self.names is None or any("/" in each for each in self.names):
            return self
        names = frozenset(f"{folder}/{each}" for each in self.names)
        exact = None if self.exact is None else f"{folder}/{self.exact}"
        return replace(self, exact=exact, names=names, matches=names.__contains__)


def _demand_one(read: Pattern, subject: Subject) -> None:
    """`_Nothing` where names of its characters are taken and none of them can be one."""
    is_wrong = subject is Subject.REPOSITORY and read.exact is not None and not is_name(read.exact)
    if is_wrong or (read.automaton is not None and not subject.has_one(read.automaton)):
        raise _Nothing(f"can match no {subject.noun}: {subject.said}")


def _both(body: str, subject: Subject) -> Pattern:
    """One pattern of the second edition, or several that must all match."""
    sides = body.split("&")
    if len(sides) > _MOST_SIDES:
        raise ValueError(f"at most {_MOST_SIDES} patterns are joined by &")
    parts = [_second(part.strip(" "), subject) for part in sides]
    if len(parts) == 1:
        return parts[0]
    if (together := sum(part.states for part in parts)) > MAX_STATES:
        raise TooLarge(together)
    if any(part.pin for part in parts):
        raise ValueError("a pin stands by itself")
    few = [part.names for part in parts if part.names is not None]
    names = None if not few else frozenset(n for n in few[0] if all(part.matches(n) for part in parts))
    if names is not None and not names:
        raise _Nothing(f"can match no {subject.noun}: its sides share no name")
    automata = [part.automaton for part in parts if part.automaton is not None]
    pairs = list(combinations(automata, 2))
    if not all(one.shares_any(other, mask(subject.value)) for one, other in pairs):
        raise _Nothing(f"can match no {subject.noun}: its sides share no name")
    believed = any(one.is_long_beside(other) for one, other in pairs)
    versions = [part for part in parts if part.is_version]
    every = tuple(part.matches for part in parts)

    def matches(name: str) -> bool:
        return all(each(name) for each in every)

    def reads(name: str) -> Read | None:
        return versions[0].reads(name) if versions and matches(name) else None

    order = versions[0].order if versions else None
    return Pattern(
        body,
        False,
        None,
        names,
        bool(versions),
        order,
        states=together,
        is_believed=believed,
        matches=matches,
        reads=reads,
    )


def _second(body: str, subject: Subject) -> Pattern:
    if subject is Subject.NODE and body.startswith(_GROUP) and len(body) > len(_GROUP):
        return Pattern(body, False, body, frozenset({body}), matches=body.__eq__)
    if subject is Subject.TAG and "@" in body and not body.startswith("re:"):
        return _pin(body)
    return _pattern(body, subject, 2)


def _pattern(body: str, subject: Subject, edition: int = 1) -> Pattern:
    if not body:
        raise ValueError("empty")
    if len(body) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    kind, colon, rest = body.partition(":")
    if not colon:
        return _glob(body, subject, edition)
    if kind == "re":
        return _automaton(body, _expression(rest.strip(), subject), subject, edition)
    order = next((each for each in Order if each.value == kind), None)
    if subject is Subject.TAG and order and (edition > 1 or order is not Order.PLAIN):
        return _version(body, rest.strip(), order, edition)
    if edition > 1 and (meant := _meant(kind, rest, subject)):
        raise ValueError(meant)
    also = "" if edition == 1 else ", semver+:"
    known = "re:" if subject is not Subject.TAG else f"re:, semver:{also} and semver~:"
    raise ValueError(f"{kind}: is not a kind of {subject.noun} pattern; there are globs, {known}")


def _meant(kind: str, rest: str, subject: Subject) -> str:
    """What to write for a reference, or a digest, in the place of a name."""
    if subject is Subject.TAG and kind in ("sha256", "sha512"):
        return "a digest stands behind @: @sha256:HEX, or TAG@sha256:HEX"
    if subject is Subject.REPOSITORY and "/" in rest and "@" not in kind:
        return f"names stand without their registry: write {rest.partition('/')[2]}"
    if subject is Subject.REPOSITORY and is_name(kind.partition("@")[0]):
        return f"write {kind.partition('@')[0]} alone; its tag or digest stands in tags:"
    return ""


def _expression(text: str, subject: Subject) -> Node:
    for each in text:
        if not each.isascii():
            raise ValueError(f"{each!r} stands in none of the names this can match")
    return parse_regex(text)


def _automaton(text: str, node: Node, subject: Subject, edition: int) -> Pattern:
    automaton = Automaton(node)  # first: beyond its bounds there are no words to tell
    if edition > 1 and not automaton.describes_any(mask(subject.value)):
        why = ": names are lower-case" if subject is Subject.REPOSITORY and text.lower() != text else ""
        raise _Nothing(f"can match no {subject.noun}{why}")
    return Pattern(
        text,
        False,
        names=words(node, subject.value),
        states=states(node),
        automaton=automaton,
        matches=automaton.accepts,
    )


def _demand_glob(text: str, subject: Subject) -> None:
    """`ValueError` with what is meant, where a character says that it is no glob."""
    bare = text
    while (without := _BRACES.sub("", bare)) != bare:
        bare = without
    for each in bare:
        if each not in subject.value and (meant := _meant_by(each, text, subject)):
            raise ValueError(f"{each!r} stands in none of the names this can match: {meant}")


def _meant_by(character: str, text: str, subject: Subject) -> str:
    """What to write in the place of a glob with `character`; empty where it may be one, or nothing is known."""
    if character == ",":
        return "several patterns are a list, such as [a, b]"
    if "${" in text:
        return "rules know no variables; write the value"
    if subject is Subject.TAG and (character in "<>=~" or _CARET.fullmatch(text)):
        return "a range is written semver: >=1.2"
    is_delimited = subject is Subject.TAG and character == text[0] == text[-1] == "/"
    return "a regular expression is written re: X" if character in "^$+|()\\" or is_delimited else ""


def _glob(text: str, subject: Subject, edition: int) -> Pattern:
    if subject is Subject.REPOSITORY and (text.startswith("/") or text.endswith("/") or "//" in text):
        raise ValueError("no repository name starts or ends with / or has an empty segment")
    if edition > 1 and (found := _BRACES_OF_SHELLS.search(text)):
        raise ValueError(f"{found[0]} is no range here: write the names out, such as {{1,2,3}}")
    if "@" in text:
        raise ValueError("a tag cannot be pinned to a digest by rule")
    if edition > 1:
        _demand_glob(text, subject)
    parse = parse_glob if edition == 1 else parse_written_out
    pattern = _automaton(text, parse(text, subject.value), subject, edition)
    if not is_exact(text):
        return pattern
    if len(text) > NAME_LIMIT or (subject is Subject.TAG and not is_tag(text)):
        raise ValueError(f"not a {subject.noun}, and no pattern of one")
    return Pattern(text, False, text, frozenset({text}), matches=text.__eq__)


def _version(text: str, rest: str, order: Order, edition: int) -> Pattern:
    written, inside, glob = rest.partition(" in ") if edition > 1 else (rest, "", "")
    wanted = VersionRange.parse(written.strip(), order, zeros=edition > 1)
    if edition > 1 and not wanted.takes_any():
        raise _Nothing("can match no tag: no version is in its range")
    frames = [_frame(each) for each in expanded(glob.strip())] if inside else [("", "")]

    def reads(tag: str) -> Read | None:
        for before, after in frames:
            inner = tag[len(before) : len(tag) - len(after)]
            if inner and tag == before + inner + after and (found := wanted.reads(inner)) is not None:
                return Read(found, f"{before}*{after}" if inside else "", inner.removeprefix("v"))
        return None

    def matches(tag: str) -> bool:
        return reads(tag) is not None

    return Pattern(text, False, is_version=True, order=order, matches=matches, reads=reads)


def _frame(glob: str) -> tuple[str, str]:
    """What stands before the version, and what after it."""
    before, star, after = glob.partition("*")
    if not star or not set(before + after) <= set(Subject.TAG.value):
        raise ValueError(
            f"in {glob}: the version stands where the one * is, between plain text only, such as in *-alpine"
        )
    return before, after


def _pin(body: str) -> Pattern:
    tag, _, digest = body.partition("@")
    try:
        pin = Pin(tag or None, Digest.parse(digest))
    except DigestInvalid:
        raise ValueError(f"{digest} is no digest; a pin is TAG@sha256:HEX") from None
    if not tag:
        return Pattern(body, False, body, frozenset({body}), pin=pin, matches=body.__eq__)
    if not is_tag(tag):
        raise ValueError("a pin is of one tag, without wildcards")
    return Pattern(body, False, tag, frozenset({tag}), pin=pin, matches=tag.__eq__)
