"""Policies: which subjects may do what in which repositories. Deny wins, and order never matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from registry_mesh.auth.access import PULLING, Action, Actions, Asked
from registry_mesh.auth.identity import Identity

EVERYBODY: Final = "everybody"
"""With and without a login."""
USERS: Final = "users"
"""People that logged in: robots and callers with tokens of others have rights of their own."""

ALLOWS: Final[Mapping[str, Actions]] = {
    "pull": frozenset({Action.PULL}),
    "create": frozenset({Action.PULL, Action.PUSH, Action.CREATE}),
    "tag-update": frozenset({Action.PULL, Action.PUSH, Action.TAG_UPDATE}),
    "push": frozenset({Action.PULL, Action.PUSH, Action.CREATE, Action.TAG_UPDATE}),
    "delete": frozenset({Action.PULL, Action.DELETE}),
    "admin": frozenset(Action),
}
"""What a word under `allow:` gives: clients look before they write, so that each gives pull too."""
DENIES: Final[Mapping[str, Actions]] = {
    "pull": frozenset(Action),
    "create": frozenset({Action.CREATE}),
    "tag-update": frozenset({Action.TAG_UPDATE}),
    "push": frozenset({Action.PUSH, Action.CREATE, Action.TAG_UPDATE}),
    "delete": frozenset({Action.DELETE}),
    "admin": frozenset({Action.ADMIN}),
}
"""What a word under `deny:` takes away. Without pull, nothing is left."""


class Names(Protocol):
    """Repository names that patterns select."""

    def __contains__(self, name: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One policy. `repositories` and `registries` None: all. `where`: its file and line."""

    name: str
    subjects: frozenset[str]
    repositories: Names | None = None
    registries: frozenset[str] | None = None
    allow: Actions = frozenset()
    deny: Actions = frozenset()
    where: str = ""

    def covers(self, asked: Asked) -> bool:
        """Whether it speaks of the repository."""
        if self.registries is not None and asked.registry not in self.registries:
            return False
        return self.repositories is None or asked.repository in self.repositories


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome, and the entry that brought it about; None where none spoke."""

    allowed: bool
    by: Entry | None = None


@dataclass(frozen=True, slots=True)
class Policies:
    """All entries. `groups`: members by the name of a group. `private`: registries that are fetched with credentials
    of the node, and are served to nobody but by an entry that names them."""

    entries: tuple[Entry, ...]
    groups: Mapping[str, frozenset[str]]
    private: frozenset[str] = frozenset()

    def subjects(self, identity: Identity) -> frozenset[str]:
        """All names under which an entry may mean it."""
        named = {identity.subject, EVERYBODY}
        if not identity.is_anonymous and ":" not in identity.subject:
            named.add(USERS)
        named |= {f"@{group}" for group in identity.groups}
        named |= {f"@{group}" for group, members in self.groups.items() if identity.subject in members}
        return frozenset(named)

    def judge(self, identity: Identity, asked: Asked) -> Judgement:
        """Whether an entry allows it and none denies it."""
        subjects = self.subjects(identity)
        speaking = [e for e in self.entries if e.subjects & subjects and e.covers(asked)]
        denying = _first(e for e in speaking if asked.action in e.deny)
        if denying is not None:
            return Judgement(False, denying)
        allowing = _first(e for e in speaking if asked.action in e.allow and self.may_allow(e, asked))
        return Judgement(allowing is not None, allowing)

    def may_allow(self, entry: Entry, asked: Asked) -> bool:
        """Whether what the entry allows holds for the registry: a private one has to be named."""
        return entry.registries is not None or asked.registry not in self.private

    def open_to_all(self, entry: Entry) -> Actions:
        """What the entry allows callers without a login, beside what is denied to everybody everywhere."""
        if EVERYBODY not in entry.subjects:
            return frozenset()
        everywhere = [e for e in self.entries if e.repositories is None and e.registries is None]
        denied = [e.deny for e in everywhere if EVERYBODY in e.subjects]
        return entry.allow.difference(*denied)

    def without_members(self, entry: Entry) -> list[str]:
        """Groups in the entry that nobody can be in: no file has them, and those that tokens name have a colon."""
        named = sorted(each[1:] for each in entry.subjects if each.startswith("@"))
        return [group for group in named if group not in self.groups and ":" not in group]

    def is_forgotten(self, registry: str) -> bool:
        """Whether it is private, and no entry says who may read it."""
        return registry in self.private and not any(
            Action.PULL in entry.allow and registry in (entry.registries or ()) for entry in self.entries
        )


def _first(entries: Iterable[Entry]) -> Entry | None:
    return next(iter(entries), None)


def levels(anonymous: Actions, authenticated: Actions) -> tuple[Entry, ...]:
    """The entries that two levels stand for."""
    return (
        Entry("access.anonymous", frozenset({EVERYBODY}), allow=anonymous),
        Entry("access.authenticated", frozenset({USERS}), allow=authenticated),
    )


def readers(registry: str, subjects: Iterable[str]) -> Entry:
    """The entry that a registry's line about its readers stands for."""
    return Entry(
        f"registries.{registry}.readers",
        frozenset(subjects),
        registries=frozenset({registry}),
        allow=PULLING,
    )
