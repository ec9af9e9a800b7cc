"""What is legal in rules and probably not meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.artifact_types import WORDS
from registry_mesh.replication.automaton import MAX_STATES
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.rules import Rule, Rules, Selection
from registry_mesh.replication.target import Target
from registry_mesh.replication.version import Order, Version

Catalog = Mapping[tuple[RegistryName, RepositoryName], Iterable[Tag]]
_NEAR: Final = MAX_STATES // 10
_MEANT: Final = {
    **dict.fromkeys(("helm", "charts"), "charts of Helm are chart"),
    **dict.fromkeys(("images", "container", "docker", "oci"), "images of containers are image"),
    **dict.fromkeys(("apptainer", "singularity"), "images of Apptainer are sif"),
}
_TOLD: Final = 5
"""Names in one remark at most."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at, and where."""

    place: str
    rule: str
    what: str


def lint(rules: Rules, catalog: Catalog | None = None) -> list[Remark]:
    """All remarks, in the order of the rules. `catalog`: tags as sources list them, for what only they can tell."""
    found = [Remark(rule.place, rule.name, what) for rule in rules for what in _of_rule(rule)]
    found += _same_targets(rules)
    found += _within(rules)
    if catalog is not None:
        found += [Remark(r.place, r.name, what) for r in rules for what in _suffixed(r, catalog)]
    return found


def _of_rule(rule: Rule) -> Iterator[str]:
    for key, selection in (("repos", rule.repositories), ("tags", rule.tags)):
        texts = [each.text for each in selection.patterns]
        for text in dict.fromkeys(texts):
            if texts.count(text) > 1:
                yield f"{key}: {text} is said {texts.count(text)} times"
        for each in selection.patterns:
            if each.states > _NEAR:
                yield f"{key}: {each.text} needs {each.states:,} of {MAX_STATES:,} states: it costs time at every name"
            if each.is_believed:
                yield f"{key}: {each.text} is so large that it was not looked whether both sides share a name"
        if texts and {each.text for each in selection.patterns if not each.negative} <= _excluded(selection):
            yield f"{key}: what is taken is excluded as well: nothing is selected"
    for text in rule.types:
        if not {"/", "*", "?", "["} & set(text) and (bare := text.removeprefix("!")) not in WORDS:
            yield f"types: {bare} is the type of nothing: {_MEANT.get(bare, 'write image, chart, sif or a media type')}"
    yield from _hosts(rule)
    if any(each.drops_folders for each in rule.to) and _is_open(rule.repositories):
        yield "to: drops folders that repos leave open: two repositories may get one name"
    if rule.nodes is None and any(each.registry is not None for each in rule.to):
        yield "to: every replica pushes there, and moves no tag that another one put; say nodes"
    if rule.delete.gone == 0 or rule.delete.unselected == 0:
        yield "delete: 0s deletes at the first look, without a time to notice a mistake"
    if rule.labels:
        yield "labels: costs two requests a tag"


def _excluded(selection: Selection) -> set[str]:
    return {each.text.removeprefix("!") for each in selection.patterns if each.negative}


def _hosts(rule: Rule) -> Iterator[str]:
    """Registries that stand where names do."""
    for each in rule.repositories.patterns:
        rest = each.text.removeprefix(f"{rule.registry}/")
        if rest != each.text:
            yield f"repos: {each.text} begins with its registry, and names stand without that: write {rest}"
    for to in rule.to:
        host, slash, rest = to.name.partition("/")
        if to.registry is None and slash and "." in host and "{" not in host:
            instead = f"{{registry: {host}, name: {rest}}}"
            yield f"to: {to.name} is a name here, in the folder {host}; to push there write {instead}"


def _same_targets(rules: Rules) -> Iterator[Remark]:
    """Rules whose targets drop the folders of different sources, and so may make one name of two."""
    writers: defaultdict[Target, list[Rule]] = defaultdict(list)
    for rule in rules:
        for to in dict.fromkeys(rule.to):
            writers[to].append(rule)
    for rule in rules:
        for to in (each for each in rule.to if each.drops_folders and not _is_open(rule.repositories)):
            others = sorted(other.name for other in writers[to] if not _same(other, rule))
            if others:
                named = f"rule {others[0]}" if len(others) == 1 else f"rules {_first(others)}"
                what = f"to: {to.name} drops folders, and so does {named}: two repositories may get one name"
                yield Remark(rule.place, rule.name, what)


def _first(names: Sequence[str]) -> str:
    """As many of them as a person reads."""
    more = len(names) - _TOLD
    return ", ".join(names[:_TOLD]) + (f" and {more} more" if more > 0 else "")


def _is_open(selection: Selection) -> bool:
    """Whether it takes several names that differ before their last part."""
    return (
        any(
            "*" in (head := each.text.rpartition("/")[0])
            or "{" in head
            or (not each.names and "**" in each.text)
            for each in selection.patterns
            if not each.negative
        )
        or len({each.text.rpartition("/")[0] for each in selection.patterns if not each.negative}) > 1
    )


def _within(rules: Rules) -> Iterator[Remark]:
    """A rule that says what another says already, or less of it, and nothing else."""
    alike: defaultdict[object, list[tuple[int, Rule]]] = defaultdict(list)
    for i, rule in enumerate(rules):
        alike[rule.registry, _keys(rule)].append((i, rule))
    found: list[tuple[int, Remark]] = []
    for group in alike.values():
        around = _Around(group)
        found += [(i, remark) for i, rule in group if (remark := inside_of(i, rule, around.of(rule)))]
    yield from (remark for _, remark in sorted(found, key=itemgetter(0)))


def inside_of(i: int, rule: Rule, others: Iterable[tuple[int, Rule]]) -> Remark | None:
    """What to say of the rule at `i` where one of `others` says the same or more; of two that say the same, at the
    later one."""
    for j, other in others:
        if i == j or (i < j and _same(rule, other)):
            continue
        if _is_inside(rule.repositories, other.repositories) and _is_inside(rule.tags, other.tags):
            word = "says the same as" if _same(rule, other) else "is wholly inside"
            return Remark(rule.place, rule.name, f"{word} rule {other.name}")
    return None


class _Around:
    """The rules of a group by what they say of repositories, so that not each is compared with each."""

    def __init__(self, group: Iterable[tuple[int, Rule]]) -> None:
        self._by_word: defaultdict[str, list[tuple[int, Rule]]] = defaultdict(
            list
        )  # a pattern, or a name it takes
        self._open: list[tuple[int, Rule]] = []
        for each in group:
            positive = _positive(each[1])
            for word in {p.text for p in positive}.union(*(p.names or () for p in positive)):
                self._by_word[word].append(each)
            if each[1].repositories.is_open:
                self._open.append(each)

    def of(self, rule: Rule) -> list[tuple[int, Rule]]:
        """Those that may take all that `rule` takes, in their order; it is among them."""
        first = _positive(rule)[0]
        found = [*self._by_word[first.text], *self._by_word["**"], *self._by_word["*"]]
        if first.names is not None:
            found += [each for name in first.names for each in self._by_word[name]] + self._open
        return sorted({i: (i, other) for i, other in found}.values(), key=itemgetter(0))


def _positive(rule: Rule) -> list[Pattern]:
    return [each for each in rule.repositories.patterns if not each.negative]


def _same(one: Rule, other: Rule) -> bool:
    return _texts(one) == _texts(other)


def _texts(rule: Rule) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(p.text for p in rule.repositories.patterns), frozenset(
        p.text for p in rule.tags.patterns
    )


def _keys(rule: Rule) -> tuple[object, ...]:
    return (
        rule.platforms,
        rule.types,
        rule.companions,
        rule.to,
        rule.nodes,
        rule.data,
        rule.keep,
        rule.hold,
        rule.verify,
        rule.age,
        rule.fixed,
        rule.most,
    )


def _is_inside(inner: Selection, outer: Selection) -> bool:
    """Whether it can be seen that all that `inner` takes `outer` takes: by name, or by the same pattern."""
    if any(each.negative and each.text not in {p.text for p in inner.patterns} for each in outer.patterns):
        return not inner.is_open and all(name in outer for name in inner.names)
    taken = {each.text for each in outer.patterns if not each.negative}
    every = "**" in taken or ("*" in taken and all("/" not in (each.exact or "/") for each in inner.patterns))
    return all(
        every or each.text in taken or (each.names is not None and all(name in outer for name in each.names))
        for each in inner.patterns
        if not each.negative
    )


def _suffixed(rule: Rule, catalog: Catalog) -> Iterator[str]:
    """A range that leaves tags out for their suffix, though it takes their numbers."""
    for pattern in rule.tags.patterns:
        if pattern.order is not Order.RELEASES or pattern.negative:
            continue
        missed = [
            tag
            for (registry, repository), tags in catalog.items()
            if registry == rule.registry and repository in rule.repositories
            for tag in tags
            if _is_missed(pattern, tag)
        ]
        if missed:
            several = f"{len(missed)} tags" if len(missed) > 1 else "1 tag"
            have = "have" if len(missed) > 1 else "has"
            yield (
                f"tags: {several} such as {missed[-1]} {have} a suffix that {pattern} does not take; "
                "`semver+:` or `semver~:`?"
            )


def _is_missed(pattern: Pattern, tag: Tag) -> bool:
    version = Version.parse(tag, zeros=True)
    if version is None or not version.suffix or pattern.matches(tag):
        return False
    return pattern.matches(".".join(map(str, version.numbers)))
