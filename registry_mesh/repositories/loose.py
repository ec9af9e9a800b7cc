"""What may be collected: decides from documents that were read, touches nothing.

A manifest is referenced where a tag points or, as far as the history goes, pointed at it; where a referenced index
names it, or any other document mentions it (`oci.mentions`); where its subject is referenced; and where it was
deleted so lately that it may be brought back. A manifest whose subject was never here is kept: its publisher put it
where others look for it. A blob is referenced where a referenced manifest names it. Digests are one for all
repositories: what any repository refers to is loose in none.

What is loose goes from the top down: a digest goes only after every manifest that names it is gone, and a subject
after its referrers. So whatever manifest there is, everything it names is there too, and a push that finds a child
need not look further down.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from registry_mesh.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Names:
    """A manifest, and what it names."""

    digest: Digest
    blobs: tuple[Digest, ...] = ()
    manifests: tuple[Digest, ...] = ()
    subject: Digest | None = None
    mentions: tuple[Digest, ...] = ()
    """Manifests or blobs, here or not: hints, and layers that need not be held."""
    left_out: frozenset[Digest] = frozenset()
    """What of all these a replica's rules do not want here."""

    def children(self) -> Iterator[Digest]:
        """The manifests that the document names."""
        yield from self.blobs
        yield from self.manifests
        yield from self.mentions


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """One repository's documents.

    `roots` are what its tags point and pointed at. `deleted` were taken out and may come back; `expired` were taken
    out so long ago that they may not.
    """

    roots: frozenset[Digest]
    manifests: Mapping[Digest, Names] = field(repr=False)
    deleted: Mapping[Digest, Names] = field(default_factory=dict, repr=False)
    expired: Collection[Digest] = ()
    blobs: Collection[Digest] = field(default=(), repr=False)


def referenced(facts: RepositoryFacts) -> set[Digest]:
    """Every manifest and blob of the repository that is referenced."""
    known = {**facts.deleted, **facts.manifests}
    referrers: dict[Digest, list[Digest]] = {}
    for each in known.values():
        if each.subject is not None:
            referrers.setdefault(each.subject, []).append(each.digest)
    marked: set[Digest] = set()
    seen: set[Digest] = set()
    ahead = [*facts.roots, *facts.deleted, *_without_subject(facts)]
    while ahead:
        digest = ahead.pop()
        names = known.get(digest)
        if names is None:
            if digest in facts.blobs:  # an index may name what is no manifest: caches of builders do
                marked.add(digest)
            continue
        if digest in seen:  # (marked is another thing: a manifest may also be named as a blob)
            continue
        seen.add(digest)
        marked.add(digest)
        marked.update(names.blobs)
        ahead += names.manifests
        ahead += names.mentions
        ahead += referrers.get(digest, ())
    return marked


def by_history_alone(facts: RepositoryFacts, standing: frozenset[Digest], marked: set[Digest]) -> set[Digest]:
    """Of what is referenced (`marked`) what would be loose if tags remembered nothing and nothing came back."""
    if standing == facts.roots and not facts.deleted:
        return set()
    here = {*facts.manifests, *facts.blobs} & marked
    past = {*facts.expired, *facts.deleted}
    return here - referenced(replace(facts, roots=standing, deleted={}, expired=past))


def _without_subject(facts: RepositoryFacts) -> Iterator[Digest]:
    for each in facts.manifests.values():
        subject = each.subject
        if subject is not None and not (
            subject in facts.manifests or subject in facts.deleted or subject in facts.expired
        ):
            yield each.digest


class Order:
    """Which of the loose digests may go now. `manifests` are the loose ones among them that are there."""

    def __init__(self, loose: Iterable[Digest], manifests: Iterable[Names]) -> None:
        self._after: dict[Digest, list[Digest]] = {}
        self._before: dict[Digest, int] = dict.fromkeys(loose, 0)
        for names in manifests:
            for child in set(names.children()):
                self._demand(names.digest, child)
            if names.subject is not None:
                self._demand(names.digest, names.subject)

    def _demand(self, first: Digest, then: Digest) -> None:
        if then in self._before and first != then:
            self._after.setdefault(first, []).append(then)
            self._before[then] += 1

    def first(self) -> list[Digest]:
        """Those that nothing loose names."""
        return [digest for digest, before in self._before.items() if not before]

    def gone(self, digest: Digest) -> list[Digest]:
        """`digest` is gone: those that may go now because of it."""
        free = []
        for then in self._after.pop(digest, ()):
            self._before[then] -= 1
            if not self._before[then]:
                free.append(then)
        return free


class Step(enum.Enum):
    """What a collection does with a loose digest."""

    OBSERVE = "observe"  # note that it is loose, from now on
    WAIT = "wait"
    CONDEMN = "condemn"


@dataclass(frozen=True, slots=True)
class Looseness:
    """What is on record of a loose digest: since when it is loose, or since when somebody else removes it."""

    loose_since: float | None = None
    condemned_at: float | None = None


def next_step(record: Looseness, started: float, now: float, grace: float, stall: float) -> Step:
    """`started` is when the collection began to read: only what was loose for the whole grace before that goes, so
    that a reference made meanwhile was either seen, or its maker has touched the digest since."""
    if record.condemned_at is not None:
        return Step.CONDEMN if record.condemned_at <= now - stall else Step.WAIT
    if record.loose_since is None:
        return Step.OBSERVE
    return Step.CONDEMN if record.loose_since <= started - grace else Step.WAIT
