"""Everything that is written down about access: replaced as one, so that no request sees half of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from registry_mesh.auth.identity import Identity
from registry_mesh.auth.policies import Policies
from registry_mesh.auth.revoked import mark
from registry_mesh.auth.robots import Robot


class TokenReader(Protocol):
    """Tells whose a token of an issuer is."""

    @property
    def name(self) -> str:
        """What stands before the issuer's subjects."""
        ...

    def verify(self, token: str, now: float) -> Identity:
        """`TokenInvalid` where it proves nothing at `now`."""
        ...


@dataclass(frozen=True, slots=True)
class Book:
    """Users, robots and policies as they are today. `hashes`: of passwords, by user."""

    policies: Policies
    hashes: Mapping[str, str] = field(repr=False, default_factory=dict)
    robots: Mapping[str, Robot] = field(default_factory=dict)
    issuers: Mapping[str, TokenReader] = field(default_factory=dict)
    """By what tokens say of who made them."""

    @property
    def marks(self) -> frozenset[str]:
        """The marks of all credentials that are good here."""
        users = [mark(kept, user) for user, kept in self.hashes.items()]
        robots = [mark(robot.secret) for robot in self.robots.values()]
        return frozenset((*users, *robots, *map(mark, self.issuers)))
