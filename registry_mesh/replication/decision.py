"""What becomes of each tag of a repository under all rules that select it.

What takes is a union: platforms, companions, fullness add up, and what one rule keeps stays. What guards is an
intersection: every rule's `age`, `fixed`, `max` and `verify` must be content.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial, reduce

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication import sentences
from registry_mesh.replication.artifact_types import fits
from registry_mesh.replication.companions import NONE, Companions, variants
from registry_mesh.replication.images import chosen
from registry_mesh.replication.keep import Staying, kept
from registry_mesh.replication.rules import Platforms, Rule, Rules, union
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.terms import Data, Priority
from registry_mesh.replication.wanted import is_companion


class Verdict(enum.Enum):
    """What is to be done with a tag at its source."""

    TAKE = "take"
    WAIT = "wait"
    REFUSE = "refuse"
    PAST = "past"
    """Newer ones are kept instead."""
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one tag, and why."""

    tag: Tag
    rules: tuple[Rule, ...]
    verdict: Verdict
    because: str = ""
    until: float | None = None
    """Until when it waits."""
    unknown: tuple[str, ...] = ()
    """Facts that would be needed to decide."""

    @property
    def platforms(self) -> Platforms:
        """Those of all rules together."""
        return union(rule.platforms for rule in self.rules)

    @property
    def companions(self) -> Companions:
        """Those of all rules together, and the variants that they want."""
        brought = (rule.companions | variants(rule.variants) for rule in self.rules)
        return reduce(Companions.__or__, brought, NONE)

    @property
    def variants(self) -> frozenset[str]:
        """Those of all rules together."""
        return frozenset().union(*(rule.variants for rule in self.rules))

    @property
    def data(self) -> Data:
        """The fullest."""
        return max((rule.data for rule in self.rules), key=lambda each: each.rank)

    @property
    def priority(self) -> Priority:
        """The highest."""
        return max((rule.priority for rule in self.rules), key=lambda each: each.rank)


def named(tag: str) -> str:
    """A tag behind its repository; what stands for itself, `@DIGEST`, as it is."""
    return tag if tag.startswith("@") else f":{tag}"


@dataclass(frozen=True, slots=True)
class Place:
    """A repository at its source."""

    registry: RegistryName
    repository: RepositoryName

    def ref(self, tag: str) -> str:
        """`REGISTRY/REPOSITORY:TAG`."""
        return f"{self.registry}/{self.repository}{named(tag)}"


def staying(
    place: Place, rules: Rules, of: Iterable[Rule], tags: Mapping[Tag, TagFacts], now: float
) -> Staying:
    """What of a whole listing each of the rules keeps, wherever it goes. What is denied counts for nothing, nor does
    what `types` or `labels` of the rule exclude, as far as that is known."""
    keeping = [rule for rule in of if rule.keep is not None]
    denying = partial(rules.denying, place.registry, place.repository)
    counts = [tag for tag, facts in tags.items() if not denying(tag, facts.digest)] if keeping else []
    whole = {
        rule.name: [tag for tag in counts if _selects(rule, tag) and _is_of_kind(rule, tags[tag], [])]
        for rule in keeping
    }
    return {rule.name: _stay(rule, whole.get(rule.name, []), tags, now) for rule in of}


def decide(
    place: Place,
    rules: Rules,
    of: Iterable[Rule],
    tags: Mapping[Tag, TagFacts],
    now: float,
    stay: Staying | None = None,
) -> dict[Tag, Decision]:
    """One decision for each of `tags` that some rule selects. `of` are those of `rules` that take the repository here;
    `tags` is the whole listing, for what `keep` keeps depends on it, unless `stay` tells that."""
    of = tuple(of)
    stay = stay or staying(place, rules, of, tags, now)
    by_tag: dict[Tag, list[Rule]] = {}
    for rule in of:
        for tag in (each for each in tags if _selects(rule, each)):
            by_tag.setdefault(tag, []).append(rule)
    decided = {tag: _decide(place, rules, by, tag, tags[tag], stay, now) for tag, by in by_tag.items()}
    return {tag: decision for tag, decision in decided.items() if decision is not None}


def _selects(rule: Rule, tag: Tag) -> bool:
    """Nothing signs a signature: where all has to be signed, companion tags come with what they are of alone."""
    return tag in rule.tags and not (rule.verify is not None and is_companion(tag))


def _stay(rule: Rule, tags: list[Tag], facts: Mapping[Tag, TagFacts], now: float) -> frozenset[Tag] | None:
    """None is all of them."""
    if rule.keep is None:
        return None
    seen = {tag: here for tag in tags if (here := _seen(facts[tag])) is not None}
    return kept(rule.keep, rule.tags.patterns, tags, seen, now)


def _seen(facts: TagFacts) -> float | None:
    """Since when its value has been known: the time of a version, for `keep` by `seen`."""
    return facts.since if facts.since is not None else facts.here


def _decide(
    place: Place,
    rules: Rules,
    by: list[Rule],
    tag: Tag,
    facts: TagFacts,
    stay: Staying,
    now: float,
) -> Decision | None:
    """None where what it is, or its labels, are none that a rule selects."""
    ref = place.ref(tag)
    denial = rules.denying(place.registry, place.repository, tag, facts.digest) if rules.deny else None
    if denial is not None:
        note = f": {denial.note}" if denial.note else ""
        return Decision(tag, tuple(by), Verdict.DENY, f"{ref} is denied{note}")
    unknown: list[str] = []
    taking, pinned = _taking(by, ref, tag, facts, unknown)
    if not taking:
        return None if pinned is None else Decision(tag, tuple(by), Verdict.REFUSE, pinned)
    names = [rule for rule in taking if (kept_ones := stay[rule.name]) is None or tag in kept_ones]
    if not names:
        newest = ", ".join(sorted({str(rule.keep.newest) for rule in taking if rule.keep}))
        return Decision(tag, taking, Verdict.PAST, f"past newest {newest}")
    refused = _moved(taking, ref, tag, facts)
    if refused is not None:
        return Decision(tag, taking, Verdict.REFUSE, refused)
    until = _until(taking, facts, now)
    if until is not None:
        since = facts.since if facts.since is not None else now
        because = sentences.held_back(ref, facts.digest, since, until, facts.moves)
        return Decision(tag, taking, Verdict.WAIT, because, until)
    refused = (
        _unsigned(place, taking, tag, facts, unknown)
        or _for_others(names, facts)
        or _too_large(ref, taking, names, facts, unknown)
    )
    if refused is not None:
        return Decision(tag, taking, Verdict.REFUSE, refused)
    return Decision(tag, tuple(names), Verdict.TAKE, unknown=tuple(unknown))


def _taking(
    by: list[Rule], ref: str, tag: Tag, facts: TagFacts, unknown: list[str]
) -> tuple[tuple[Rule, ...], str | None]:
    """The rules that take it as it is, and why a rule that pins it does not."""
    of_kind = [r for r in by if not (r.types or r.labels) or _is_of_kind(r, facts, unknown)]
    if not any(tag in rule.pinned for rule in of_kind):
        return tuple(of_kind), None
    pinned = [_unpinned(rule, ref, tag, facts) for rule in of_kind]
    taking = tuple(rule for rule, fault in zip(of_kind, pinned, strict=True) if fault is None)
    return taking, next((each for each in pinned if each is not None), None)


def _is_of_kind(rule: Rule, facts: TagFacts, unknown: list[str]) -> bool:
    """Whether the images that the rule's own platforms take are such as it selects; True where that is not known."""
    if rule.types:
        type = facts.type_for(rule.platforms)
        if type is None:
            unknown.append("type")
        elif not fits(rule.types, type):
            return False
    for name, glob in rule.labels:
        found = facts.values_for(rule.platforms, name)
        if found is None:
            unknown.append("labels")
        elif not _all_match(found, glob):
            return False
    return True


def _all_match(found: tuple[str | None, ...], glob: str) -> bool:
    return bool(found) and all(each is not None and fnmatchcase(each, glob) for each in found)


def _unpinned(rule: Rule, ref: str, tag: Tag, facts: TagFacts) -> str | None:
    """Why a rule does not take a tag that it pins; None where it takes it."""
    pins = [pin.digest for pin in rule.pins if pin.tag == tag]
    if not pins or facts.digest is None or facts.digest in pins:
        return None
    if any(each.matches(tag) for each in rule.tags.patterns if not each.negative and each.pin is None):
        return None
    return sentences.pinned(ref, facts.digest, pins)


def _moved(rules: tuple[Rule, ...], ref: str, tag: Tag, facts: TagFacts) -> str | None:
    """Why a tag that never moves stays where it is; None where it may be taken."""
    held, digest = facts.held, facts.digest
    if held is None or digest is None or held == digest:
        return None
    is_fixed = any(rule.fixed is not None and tag in rule.fixed for rule in rules)
    return sentences.fixed(ref, held, digest) if is_fixed else None


def _unsigned(
    place: Place, rules: tuple[Rule, ...], tag: Tag, facts: TagFacts, unknown: list[str]
) -> str | None:
    """What is lacking of signatures and companions that rules demand; None where nothing is. What is here is not asked
    for again."""
    if facts.held is not None and facts.held == facts.digest:
        return None
    for verify in (rule.verify for rule in rules if rule.verify is not None):
        if facts.signed_by is None:
            unknown.append("signed_by")
        elif not facts.signed_by & set(verify.by):
            ref = f"{place.repository}:{tag}"
            return sentences.unsigned(ref, tag, facts.digest, verify.by, facts.held, facts.signatures)
        lacking = [each for each in verify.having if facts.has is not None and each not in facts.has]
        if lacking:
            return f"{place.ref(tag)} has no {', '.join(lacking)}: not taken"
    return None


def _for_others(rules: Iterable[Rule], facts: TagFacts) -> str | None:
    """Why an index is not taken that has nothing for the platforms of `rules`; None where it has, or is not known."""
    wanted = union(rule.platforms for rule in rules)
    if wanted is None or facts.weight is None:
        return None
    if facts.images:
        has_some = next(chosen(facts.images, wanted), None) is not None
        offered = {each.platform for each in facts.images}
    else:
        has_some, offered = not facts.weight.lacks_all(wanted), {*facts.weight.platforms}
    return None if has_some else sentences.nothing_for(map(str, wanted), offered)


def _too_large(
    ref: str, rules: tuple[Rule, ...], kept_by: Iterable[Rule], facts: TagFacts, unknown: list[str]
) -> str | None:
    """Why an image is too large, for the platforms of those of the rules that keep it; None where it is not."""
    most = [rule.most for rule in rules if rule.most is not None]
    if not most:
        return None
    size = facts.size_for(union(rule.platforms for rule in kept_by))
    if size is None:
        unknown.append("size")
        return None
    return sentences.too_large(ref, size, min(most)) if size > min(most) else None


def _until(rules: tuple[Rule, ...], facts: TagFacts, now: float) -> float | None:
    """Until when it waits: every rule's `age` counts."""
    age = max(rule.age for rule in rules)
    if not age or facts.released or (facts.held is not None and facts.held == facts.digest):
        return None
    until = (facts.since if facts.since is not None else now) + age
    return until if until > now else None
