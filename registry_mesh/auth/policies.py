"""Policies: which subjects may do what in which repositories. Deny wins, and order never matters."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from registry_mesh.auth.access import Action, Actions, Asked
from registry_mesh.auth.identity import Identity

EVERYBODY: Final = "everybody"
"""With and without a login."""
USERS: Final = "users"
"""Whoever logged in."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """One policy. `registries` None: all that do not want a line of their own. `where`: file and line."""

    name: str
    subjects: frozenset[str]
    repositories: Container[str] | None = None
    """None: all."""
    registries: frozenset[str] | None = None
    allow: Actions = frozenset()
    deny: Actions = frozenset()
    where: str = ""

    def covers(self, asked: Asked, private: Container[str]) -> bool:
        """Whether it speaks of the repository. To allow, it must name a registry of `private`; to deny, it need not."""
        if self.registries is not None and asked.registry not in self.registries:
            return False
        if self.registries is None and asked.registry in private and asked.action not in self.deny:
            return False
        return self.repositories is None or not asked.repository or asked.repository in self.repositories


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome, and the entry that brought it about; None where none spoke."""

    allowed: bool
    by: Entry | None = None


@dataclass(frozen=True, slots=True)
class Policies:
    """All entries. `groups`: subjects by the name of a group. `private`: registries that are fetched with credentials
    of ours, and are served to nobody unless an entry names them."""

    entries: tuple[Entry, ...]
    groups: Mapping[str, frozenset[str]]
    private: frozenset[str] = frozenset()

    def subjects(self, identity: Identity) -> frozenset[str]:
        """All names under which an entry may mean it."""
        named = {identity.subject, EVERYBODY}
        if not identity.is_anonymous:
            named.add(USERS)
        named |= {f"@{group}" for group in identity.groups}
        named |= {f"@{group}" for group, members in self.groups.items() if identity.subject in members}
        return frozenset(named)

    def judge(self, identity: Identity, asked: Asked) -> Judgement:
        """Whether an entry allows it and none denies it."""
        subjects = self.subjects(identity)
        speaking = [e for e in self.entries if e.subjects & subjects and e.covers(asked, self.private)]
        denied = _first(speaking, asked.action, denies=True)
        if denied is not None:
            return Judgement(False, denied)
        allowed = _first(speaking, asked.action, denies=False)
        return Judgement(allowed is not None, allowed)


def _first(entries: Iterable[Entry], action: Action, *, denies: bool) -> Entry | None:
    return next((e for e in entries if action in (e.deny if denies else e.allow)), None)


def levels(anonymous: Actions, authenticated: Actions) -> tuple[Entry, ...]:
    """The entries that two levels stand for."""
    return (
        Entry("anonymous", frozenset({EVERYBODY}), allow=anonymous),
        Entry("authenticated", frozenset({USERS}), allow=authenticated),
    )
