"""What is to be copied under other names, until it is known who else would write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from registry_mesh.content.snapshot.found import Findings
from registry_mesh.content.snapshot.records.made_tags import MadeTag
from registry_mesh.content.snapshot.renaming import Contested, Destination, RenamedTarget, Writer
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import Repository


@dataclass(frozen=True, slots=True)
class Pending:
    """What was found `of` a source for one repository that is made of it."""

    source: Repository
    target: RenamedTarget
    of: Place
    to: Destination
    found: Findings

    def made(self, now: float) -> Iterator[tuple[Tag, MadeTag]]:
        """The tags that are taken, by the name of each there; not those that keep their place and name."""
        for tag in self.found.made:
            memory = self.found.remembered.get(tag)
            held = memory.held_until if memory is not None else None
            for name in self.to.of(tag):
                if (self.to.place, name) != (self.of, tag):
                    rules = tuple(rule.name for rule in self.to.by(tag, name))
                    yield name, MadeTag(rules, ((self.of, tag),), now, held)

    @property
    def alive(self) -> frozenset[Tag]:
        """The names of tags that the source has and that rules follow, taken now or not."""
        return frozenset(name for tag in self.found.seen for name in self.to.of(tag))


def writers(pending: Iterable[Pending]) -> dict[tuple[Place, Tag], list[Writer]]:
    """Who writes each tag here."""
    found: dict[tuple[Place, Tag], list[Writer]] = {}
    for each in pending:
        for tag, digest in each.found.made.items():
            for name in each.to.of(tag):
                writer = Writer(each.of, tag, digest, each.to.by(tag, name), each.to.called(name))
                found.setdefault((each.to.place, name), []).append(writer)
    return found


def drop(pending: Iterable[Pending], contested: Contested) -> None:
    """Let those who lose a tag not write it."""
    for each in pending:
        for loser in contested.losers:
            if loser.source == each.of:
                each.to.lose(loser.tag, contested.to)
