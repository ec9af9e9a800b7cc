"""Who may do what: the decision, from facts alone. It is asked on every request, warm hits too: that something
is held is never permission."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Protocol


class Action(enum.IntEnum):
    """What is asked; each includes those before it, where a level of rights is granted as a whole."""

    PULL = 1
    PUSH = 2
    DELETE = 3


class Level(enum.IntEnum):
    """`access: {anonymous: …}`: the highest action that needs no credentials."""

    NOTHING = 0
    PULL = Action.PULL
    PUSH = Action.PUSH
    ADMIN = Action.DELETE

    @classmethod
    def parse(cls, text: str) -> Level:
        """The level by its name in a configuration; ValueError otherwise."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError("one of nothing, pull, push, admin") from None


class Verdict(enum.Enum):
    """The outcome of a decision."""

    ALLOW = "allow"
    AUTHENTICATE = "authenticate"
    """Not without credentials, or not with these (401)."""
    DENY = "deny"
    """Not for this subject (403)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants. `repository` is empty for what belongs to no repository (`/v2/`, the listing)."""

    action: Action
    registry: str = ""
    repository: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, whom it is about, and why."""

    verdict: Verdict
    subject: str = "anonymous"
    reason: str = ""


class Policy(Protocol):
    """Decides from the `Authorization` header as it came and what is asked. Fast: called for every request."""

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        """Decide. `authorization` is None where the request has no such field. Never blocks, never raises."""
        ...

    def challenge(self, asked: Asked) -> str:
        """What `WWW-Authenticate` says with a 401."""
        ...


_ALLOWED: Final = Decision(Verdict.ALLOW)
_WITHHELD: Final = Decision(Verdict.AUTHENTICATE, reason="authentication required")


@dataclass(frozen=True, slots=True)
class AnonymousAccess:
    """The same rights for everybody, whatever credentials come along."""

    level: Level
    realm: str = "registry_mesh"

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        """Allow what the level includes."""
        if asked.action <= self.level:
            return _ALLOWED
        if self.level is Level.NOTHING:
            return _WITHHELD
        return Decision(
            Verdict.DENY, reason=f"{asked.action.name.lower()} is not allowed to anonymous clients here"
        )

    def challenge(self, asked: Asked) -> str:
        """A Basic challenge (RFC 7617)."""
        return f'Basic realm="{self.realm}", charset="UTF-8"'
