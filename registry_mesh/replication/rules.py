"""Rules: which tags of which repositories are wanted, and for which platforms.

A tag is selected by a rule when, in every dimension, at least one pattern takes it and no `!pattern` does; the
order of patterns and of rules never matters. Several rules select the union of what each selects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.replication.pattern import Pattern


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns of one dimension, at least one of them positive."""

    patterns: tuple[Pattern, ...]

    def __contains__(self, name: str) -> bool:
        return self.excluding(name) is None and self.taking(name) is not None

    def taking(self, name: str) -> Pattern | None:
        """The first positive pattern that matches."""
        return next((each for each in self.patterns if not each.negative and each.matches(name)), None)

    def excluding(self, name: str) -> Pattern | None:
        """The first `!pattern` that matches."""
        return next((each for each in self.patterns if each.negative and each.matches(name)), None)

    @property
    def names(self) -> frozenset[str]:
        """What it selects by patterns that match few names; all of it where it is not open."""
        few = [each.names for each in self.patterns if not each.negative and each.names is not None]
        return frozenset(name for each in few for name in each if name in self)

    @property
    def exact(self) -> frozenset[str]:
        """Those of them that are written in full."""
        named = [each.exact for each in self.patterns if not each.negative]
        return frozenset(each for each in named if each is not None and each in self)

    @property
    def is_open(self) -> bool:
        """Whether some pattern matches more names than can be told."""
        return any(each.names is None for each in self.patterns if not each.negative)


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """`os/architecture[/variant]`, as the image index spells them."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`ValueError` where it is not `os/architecture[/variant]`."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(
            part and part.isascii() and part == part.lower() for part in parts
        ):
            raise ValueError(f"{text!r} is not os/architecture[/variant], such as linux/arm64")
        return cls(*parts)

    def includes(self, stated: Mapping[str, Any]) -> bool:  # Any: JSON as it came
        """Whether a descriptor's platform is this one; without a variant, any variant is."""
        if (stated.get("os"), stated.get("architecture")) != (self.os, self.architecture):
            return False
        default = "v8" if self.architecture == "arm64" else ""
        return not self.variant or (stated.get("variant") or default) == self.variant

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


Platforms = frozenset[Platform] | None
"""The platforms wanted of an index; None is all of them."""


def union(several: Iterable[Platforms]) -> Platforms:
    """What all together want."""
    wanted: set[Platform] = set()
    for each in several:
        if each is None:
            return None
        wanted |= each
    return frozenset(wanted)


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence: from this registry, these repositories, these tags, these platforms."""

    name: str
    registry: RegistryName
    repositories: Selection
    tags: Selection
    platforms: Platforms = None


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a node."""

    rules: tuple[Rule, ...] = ()

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    @property
    def registries(self) -> tuple[RegistryName, ...]:
        """Those that rules name, in the order of their first rule."""
        return tuple(dict.fromkeys(rule.registry for rule in self.rules))

    def of(self, registry: RegistryName, repository: RepositoryName) -> tuple[Rule, ...]:
        """The rules that take something of a repository."""
        return tuple(r for r in self.rules if r.registry == registry and repository in r.repositories)
