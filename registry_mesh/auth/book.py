"""Everything that is written down about access: replaced as one, so that no request sees half of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from registry_mesh.auth.policies import Policies
from registry_mesh.auth.robots import Robot


@dataclass(frozen=True, slots=True)
class Book:
    """Users, robots and policies as they are today. `hashes`: of passwords, by user."""

    policies: Policies
    hashes: Mapping[str, str] = field(repr=False, default_factory=dict)
    robots: Mapping[str, Robot] = field(default_factory=dict)
