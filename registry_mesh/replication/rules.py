"""Rules: which tags of which repositories are wanted, and for which platforms.

A tag is selected by a rule when, in every dimension, at least one pattern takes it and no `!pattern` does; the
order of patterns and of rules never matters. Several rules select the union of what each selects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.replication.budget import Budget
from registry_mesh.replication.companions import ALL, Companions
from registry_mesh.replication.keep import Keep
from registry_mesh.replication.pattern import Pattern, Pin
from registry_mesh.replication.schedule import Schedule
from registry_mesh.replication.target import Target
from registry_mesh.replication.terms import NEVER, Data, Delete, Hold, Priority, Trial, Verify
from registry_mesh.replication.window import Window


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns of one dimension, at least one of them positive."""

    patterns: tuple[Pattern, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.patterns))

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


_WITHIN: Final = " in "


@lru_cache(maxsize=4096)
def takes_platform(platforms: Platforms, name: str) -> bool:
    """Whether what is for the platform `name` (see `platform_within`) is among `platforms`; what is for none (an empty
    name) is for all."""
    if platforms is None or not name:
        return True
    return all(any(each.includes(_stated(part)) for each in platforms) for part in name.split(_WITHIN))


def _stated(name: str) -> dict[str, str]:
    os, _, rest = name.partition("/")
    architecture, _, variant = rest.partition("/")
    return {"os": os, "architecture": architecture, "variant": variant}


def platform_within(name: str, outer: str) -> str:
    """The platform of what is for `name` in an index that is for `outer` (`OS/ARCHITECTURE[/VARIANT]`, or empty: for
    all). Where they differ, both must be wanted: `NAME in OUTER`."""
    if not name or not outer or name == outer:
        return name or outer
    return f"{name}{_WITHIN}{outer}"


_SPELLED: Final = {"most": "max", "companions": "with"}
_ALWAYS: Final = frozenset({"name", "registry", "repositories", "tags", "place", "pinned"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence: from this registry, these repositories, these tags; in which form, for how long, and when.

    Of several rules that select one reference what takes is a union and what guards an intersection.
    """

    name: str
    registry: RegistryName
    repositories: Selection
    tags: Selection
    platforms: Platforms = None
    note: str = ""
    types: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    most: int | None = None
    """Bytes of an image; a larger one is refused."""
    companions: Companions = ALL
    verify: Verify | None = None
    age: float = 0.0
    """Seconds that a tag must have shown a value before it is taken."""
    fixed: Selection | None = None
    to: tuple[Target, ...] = ()
    """None: its own name."""
    nodes: Selection | None = None
    data: Data = Data.FULL
    variants: frozenset[str] = frozenset()
    keep: Keep | None = None
    delete: Delete = NEVER
    hold: Hold | None = None
    every: Schedule | None = None
    when: tuple[Window, ...] = ()
    budget: tuple[Budget, ...] = ()
    priority: Priority = Priority.NORMAL
    place: str = field(default="", compare=False)
    """`FILE:LINE:COLUMN` where it stands."""
    pinned: frozenset[str] = field(init=False, repr=False, compare=False)
    """The tags that it pins."""

    def __post_init__(self) -> None:
        tags = frozenset(pin.tag for pin in self.pins if pin.tag is not None)
        object.__setattr__(self, "pinned", tags)

    @property
    def pins(self) -> tuple[Pin, ...]:
        """What its tags are pinned to."""
        return tuple(each.pin for each in self.tags.patterns if each.pin is not None and not each.negative)

    @property
    def said(self) -> tuple[str, ...]:
        """The keys of the language that it says and that have a default, as files spell them."""
        return tuple(
            _SPELLED.get(each.name, each.name)
            for each in fields(self)
            if each.name not in _ALWAYS and getattr(self, each.name) != each.default
        )

    def is_for(self, node: str, groups: Iterable[str] = ()) -> bool:
        """Whether a node, which is in `groups`, does it."""
        if self.nodes is None:
            return True
        names = (node, *(f"group:{each}" for each in groups))
        return not any(self.nodes.excluding(each) for each in names) and any(map(self.nodes.taking, names))


@dataclass(frozen=True, slots=True)
class Denial:
    """What no rule takes and nobody serves."""

    registry: RegistryName
    repositories: Selection | None = None
    tags: Selection | None = None
    digest: Digest | None = None
    note: str = ""
    place: str = field(default="", compare=False)

    def names(self, registry: RegistryName, repository: str, tag: str, digest: Digest | None = None) -> bool:
        """Whether it is about this; by digest alone where the digest is known."""
        return (
            registry == self.registry
            and (self.repositories is None or repository in self.repositories)
            and (self.tags is None or tag in self.tags)
            and (self.digest is None or self.digest == digest)
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a folder."""

    rules: tuple[Rule, ...] = ()
    deny: tuple[Denial, ...] = ()
    guard: float = 0.1
    """The share of a registry's tags that one node may delete within a day."""
    vanished: Delete = NEVER
    """What becomes of tags whose rule is gone."""
    trials: tuple[Trial, ...] = ()

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

    def denying(
        self, registry: RegistryName, repository: str, tag: str, digest: Digest | None = None
    ) -> Denial | None:
        """What denies a reference, if anything does."""
        return next((each for each in self.deny if each.names(registry, repository, tag, digest)), None)
