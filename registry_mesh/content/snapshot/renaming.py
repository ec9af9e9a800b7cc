"""Other names: what a rule's `to` makes of the tags of a source, in this node's own store.

Each repository that is made of a source is looked at by itself, with the rules that make it; a tag goes by its name at
the source until it is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from registry_mesh.content.snapshot.removing.passed_on import PassedOn
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.outward import PushedRepository
from registry_mesh.ports.place import Outward, Place
from registry_mesh.ports.repositories import KeptRepository, Repository, Resolved, TagPage
from registry_mesh.replication.decision import Place as DecidedPlace
from registry_mesh.replication.destinations import Destination as Made
from registry_mesh.replication.destinations import destinations as made_of
from registry_mesh.replication.rules import Rule
from registry_mesh.replication.wanted import is_companion


@dataclass(slots=True)
class Destination:
    """A repository that is made of a source: which of its rules make it, and its tags by those of the source."""

    place: Place
    _made: Made
    _taken: dict[Tag, tuple[Rule, ...]] | None = None
    _lost: set[tuple[Tag, Tag]] = field(default_factory=set)

    @property
    def rules(self) -> list[Rule]:
        """Those that make it."""
        return self._made.rules

    def of(self, tag: Tag) -> tuple[Tag, ...]:
        """The tags that a tag of the source becomes; a companion that no rule takes comes under its own name."""
        if self._taken is not None and tag not in self._taken and is_companion(tag):
            return (tag,)
        names = self._made.of(tag, (self._taken or {}).get(tag))
        return tuple(name for name in names if (tag, name) not in self._lost)

    def take(self, by: Mapping[Tag, Collection[str]]) -> None:
        """From now on a tag becomes what those of its rules say that take it, by name."""
        self._taken = {tag: tuple(r for r in self.rules if r.name in names) for tag, names in by.items()}

    def by(self, tag: Tag, name: Tag) -> tuple[Rule, ...]:
        """The rules that take a tag and give it this name."""
        return self._made.by(tag, name, (self._taken or {}).get(tag, ()))

    def lose(self, tag: Tag, called: str) -> None:
        """Somebody else writes what a tag would become."""
        self._lost |= {(tag, name) for name in self.of(tag) if self.called(name) == called}

    @property
    def names(self) -> Iterator[Tag]:
        """All that its tags become."""
        return (name for names in (self._made.names or {}).values() for name in names)

    def called(self, tag: Tag) -> str:
        """One of its tags, as people are told of it: what is pushed out with its registry."""
        return f"{self.place if self.is_outward else self.place.repository}:{tag}"

    @property
    def is_outward(self) -> bool:
        """Whether it is at another registry."""
        return isinstance(self.place, Outward)


def destinations(
    source: Place, rules: Iterable[Rule], tags: Iterable[Tag], own: RegistryName | None = None
) -> tuple[list[Destination], list[str]]:
    """The repositories that `rules` make of a source with `tags`, and what cannot be named. `own`: the registry that
    keeps what is made; None: that of the source."""
    found, unnamed = made_of(DecidedPlace(source.registry, source.repository), tuple(rules), tags, own)
    return [Destination(_place(each), each) for each in found], sorted({why for _, _, why in unnamed})


def _place(to: Made) -> Place:
    return (Outward if to.is_outward else Place)(to.registry, to.repository)


class RenamedTarget(PassedOn[KeptRepository]):
    """Implements `ports.repositories.KeptRepository`: a repository as it is made, its tags under their names at the
    source. One that becomes several is there when all of them are, and point at the same."""

    def __init__(
        self, real: KeptRepository, destination: Destination, outward: PushedRepository | None = None
    ) -> None:
        """`outward`: `real` itself, where it is at another registry."""
        super().__init__(real)
        self._outward = outward
        self._destination = destination

    @property
    def kept(self) -> Repository:
        """What is here, as it is looked for by names of the source."""
        return replace(self._real.kept, tags=_RenamedTags(self._real.kept, self._destination))

    @property
    def outward(self) -> PushedRepository | None:
        """Where what is brought is pushed to; None where it is kept here."""
        return self._outward

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        """Every tag that this one becomes."""
        for each in self._destination.of(tag):
            await self._real.tag(each, target, source)

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """Every tag that this one becomes."""
        for each in self._destination.of(tag):
            await self._real.untag(each, target, because)
        return True


@dataclass(frozen=True, slots=True)
class _RenamedTags:
    """Implements `ports.repositories.TagSource`."""

    real: Repository
    destination: Destination

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """What all of its names point at; `ManifestUnknown` where they do not, or one is not there."""
        found = [await self.real.tags.resolve(each) for each in self.destination.of(tag)]
        if len({each.descriptor.digest for each in found}) != 1:
            raise ManifestUnknown(tag=tag)
        return found[0]

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """As they are named here."""
        return await self.real.tags.tags(limit, last)


@dataclass(frozen=True, slots=True)
class Writer:
    """A tag of a source that becomes a tag here, under which rule, and what it stands for."""

    source: Place
    tag: Tag
    digest: Digest
    rules: tuple[Rule, ...]
    to: str
    """What it becomes, for people."""

    @property
    def rank(self) -> int:
        """The highest priority of its rules."""
        return max(rule.priority.rank for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Contested:
    """A tag here that several would write with different digests: who does not."""

    to: str
    losers: tuple[Writer, ...]
    writers: tuple[tuple[str, str], ...]
    """Names of rules and references."""
    stopped: bool
    """Whether none writes."""


def contested(made: Mapping[tuple[Place, Tag], Iterable[Writer]]) -> list[Contested]:
    """Of each contested tag: the higher priority writes; of equal ones with different digests none does."""
    found = []
    for several in made.values():
        writers = tuple(several)
        if len({each.digest for each in writers}) < 2:
            continue
        best = max(each.rank for each in writers)
        first = [each for each in writers if each.rank == best]
        winner = first[0].digest if len({each.digest for each in first}) == 1 else None
        losers = tuple(each for each in writers if each.digest != winner)
        said = sorted({(rule.name, f"{each.source}:{each.tag}") for each in writers for rule in each.rules})
        found.append(Contested(writers[0].to, losers, tuple(said), winner is None))
    return found
