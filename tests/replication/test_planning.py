"""Plans as values: what would be copied, moved, deleted, and what stops that."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import Place
from registry_mesh.replication.difference import Tally, difference
from registry_mesh.replication.listing import Held, HeldPlaces, Recorded
from registry_mesh.replication.plan import Plan
from registry_mesh.replication.plan_document import digest, pieces
from registry_mesh.replication.plan_totals import Link, summary
from registry_mesh.replication.planning import Node, plan
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.weight import Weight
from tests.replication.second import AA, BB, DAY, rules_of

HOST, OWN = "h.example", RegistryName("own.example")


def sum_of(name: str) -> Digest:
    return Digest.of(name.encode())


def recorded(name: str, tags: dict[str, TagFacts], **more: object) -> Recorded:
    registry, _, repository = name.partition("/")
    place = Place(RegistryName(registry), RepositoryName(repository))
    return Recorded(place, 0.0, {Tag(tag): each for tag, each in tags.items()}, **more)  # type: ignore[arg-type]


def planned(
    rules: Rules,
    listing: list[Recorded],
    held: list[Recorded] | None = None,
    now: float = 0.0,
    **node: object,
) -> Plan:
    here = {(each.place.registry, each.place.repository): each for each in held or []}
    return plan(rules, listing, here, now, Node(**node), "sha256:0")  # type: ignore[arg-type]


TWO = """
rules:
  - {name: hub, from: docker.io, repos: "library/*", tags: "16", to: "base/{base}"%s}
  - {name: legacy, from: quay.io, repos: "centos/*", tags: "16", to: "base/{base}"}
"""


def two(first: Digest, second: Digest) -> list[Recorded]:
    return [
        recorded("docker.io/library/postgres", {"16": TagFacts(first, size=5)}),
        recorded("quay.io/centos/postgres", {"16": TagFacts(second, size=5)}),
    ]


def test_two_sources_of_one_target_are_one_copy_where_they_agree() -> None:
    found = planned(rules_of(TWO % ""), two(AA, AA), own=OWN)
    (step,) = found.steps
    assert (step.to, step.rules, step.new) == ("own.example/base/postgres:16", ("hub", "legacy"), 5)
    assert not found.stopped


def test_two_sources_that_differ_are_a_conflict_that_priority_settles() -> None:
    found = planned(rules_of(TWO % ""), two(AA, BB), own=OWN)
    assert (found.steps, found.stopped) == ([], True)
    assert found.conflicts[0].because == (
        "base/postgres:16 would be written by hub (docker.io/library/postgres:16) and legacy "
        "(quay.io/centos/postgres:16) with different digests: rename one or give one priority: high"
    )
    settled = planned(rules_of(TWO % ", priority: high"), two(AA, BB), own=OWN)
    assert [(s.digest, s.rules) for s in settled.steps] == [(str(AA), ("hub",))]
    assert not settled.stopped and settled.conflicts[0].writers[1] == "quay.io/centos/postgres:16"


def test_an_object_counts_once_and_what_is_here_not_at_all() -> None:
    shared, one, other, here = (str(sum_of(each)) for each in ("shared", "one", "other", "here"))
    listing = [
        recorded(
            f"{HOST}/a",
            {"1": TagFacts(AA), "2": TagFacts(BB)},
            weights={
                Tag("1"): Weight({shared: 100, one: 10}),
                Tag("2"): Weight({shared: 100, other: 1, here: 1000}, {"linux/arm64": frozenset({other})}),
            },
        )
    ]
    held = [recorded(f"{HOST}/z", {"9": TagFacts(AA)}, weights={Tag("9"): Weight({here: 1000})})]
    rules = rules_of(f'rules: [{{from: {HOST}, repos: a, tags: "*", platforms: linux/amd64}}]')
    found = planned(rules, listing, held)
    assert [(step.to, step.size, step.new) for step in found.steps] == [
        (f"{HOST}/a:1", 110, 110),
        (f"{HOST}/a:2", 1100, 0),
    ]
    told = summary(found, rules, Link(10.0, 2.0, "CHF"))
    assert (told.all.new, told.all.size) == (110, 1210)
    assert told.arrivals["a"].seconds == 11.0


RETIRE = f'guard: 10%\nrules: [{{name: r, from: {HOST}, repos: "**", tags: "*", delete: 7d}}]'


def held_tags(name: str, count: int, gone: dict[str, float] | None = None) -> Recorded:
    tags = {f"t{i:03}": TagFacts(sum_of(f"{name}{i}"), here=0.0) for i in range(count)}
    held = {Tag(tag): Held(("r",), (gone or {}).get(tag)) for tag in tags}
    return recorded(name, tags, held=held)


def test_an_empty_or_broken_listing_deletes_nothing() -> None:
    held = [held_tags(f"{HOST}/atlas/athena", 200)]
    empty = planned(rules_of(RETIRE), [recorded(f"{HOST}/atlas/athena", {})], held, 99 * DAY)
    assert empty.steps == empty.withheld == []
    assert empty.troubles == [
        f"{HOST} lists no tags for atlas/athena and listed 200 before: not taken as deletions"
    ]
    broken = planned(rules_of(RETIRE), [recorded(f"{HOST}/atlas/athena", {}, error="503")], held, 99 * DAY)
    assert (broken.steps, broken.troubles) == ([], [f"{HOST}/atlas/athena: 503"])
    assert planned(rules_of(RETIRE), [], held, 99 * DAY).steps == []


def test_the_guard_stops_all_deletions_of_a_registry() -> None:
    name = f"{HOST}/a"
    whole = held_tags(name, 200)
    missing = {f"t{i:03}": 0.0 for i in range(50)}
    listing = [replace(whole, tags={t: f for t, f in whole.tags.items() if t not in missing}, held={})]
    held = [held_tags(name, 200, missing)]
    early = planned(rules_of(RETIRE), listing, held, 6 * DAY)
    assert (early.steps, len(early.waiting), early.stopped) == ([], 50, False)
    found = planned(rules_of(RETIRE), listing, held, 8 * DAY)
    assert (found.steps, len(found.withheld), found.stopped) == ([], 50, True)
    assert (found.guard[0].deletes, found.guard[0].tags) == (50, 200)
    small = {f"t{i:03}": 0.0 for i in range(4)}
    listing = [recorded(name, {"other": TagFacts(AA)})]
    assert len(planned(rules_of(RETIRE), listing, [held_tags(name, 4, small)], 8 * DAY).steps) == 1 + 4


def test_what_a_vanished_rule_held_stays_held() -> None:
    night, other = Tag("n1"), Tag("n2")
    tags = {"n1": TagFacts(AA, here=0.0), "n2": TagFacts(BB, here=0.0)}
    held = [
        recorded(
            f"{HOST}/night",
            tags,
            held={night: Held(("recast",), None, 0.0, float("inf")), other: Held(("nightlies",), None, 0.0)},
        )
    ]
    listing = [recorded(f"{HOST}/night", tags)]
    gone = rules_of(f"rules: [{{name: x, from: {HOST}, repos: other, tags: '*'}}]")
    assert planned(gone, listing, held, 99 * DAY).steps == []
    default = rules_of(
        f"defaults: {{delete: 1d}}\nrules: [{{name: x, from: {HOST}, repos: other, tags: '*'}}]"
    )
    found = planned(default, listing, held, 99 * DAY)
    assert [(step.do, step.to) for step in found.steps] == [("delete", f"{HOST}/night:n2")]


@pytest.mark.parametrize("node, goes", [("here", False), ("elsewhere", True)])
def test_a_rule_of_other_nodes_alone_lets_nothing_go_here(node: str, goes: bool) -> None:
    rules = rules_of("""
defaults: {delete: {unselected: never}}
rules:
  - {name: r, from: h.example, repos: a, tags: x, nodes: elsewhere, delete: 0s}
""")
    held = recorded(
        "h.example/b", {"t": TagFacts(AA, here=0.0)}, held={Tag("t"): Held(("r",), unselected=0.0)}
    )
    steps = planned(rules, [], [held], DAY, name=node).steps
    assert [step.do for step in steps] == (["delete"] if goes else [])


def test_what_is_past_its_newest_goes_after_its_grace() -> None:
    rules = rules_of(
        f'guard: 100%\nrules: [{{name: n, from: {HOST}, repos: a, tags: "semver: *", keep: 1, delete: 1d}}]'
    )
    tags = {"1": TagFacts(AA, here=0.0), "2": TagFacts(BB, here=0.0)}
    held = [recorded(f"{HOST}/a", tags, held={Tag("1"): Held(("n",), None, 0.0), Tag("2"): Held(("n",))})]
    listing = [recorded(f"{HOST}/a", {tag: TagFacts(f.digest) for tag, f in tags.items()})]
    early, late = (planned(rules, listing, held, at * DAY) for at in (0.5, 1.5))
    assert [each.ref for each in early.waiting] == [f"{HOST}/a:1"]
    assert [(s.do, s.to, s.because) for s in late.steps] == [
        ("delete", f"{HOST}/a:1", "past newest 1; wanted by no rule since 1970-01-01 00:00 UTC")
    ]


def test_what_is_denied_goes_whatever_guards_it() -> None:
    rules = rules_of(f"""
guard: 0%
rules: [{{name: r, from: {HOST}, repos: a, tags: "9@{AA}", hold: forever}}]
deny: [{{from: {HOST}, digest: "{AA}"}}]
""")
    facts = {"9": TagFacts(AA)}
    held = [recorded(f"{HOST}/a", facts, held={Tag("9"): Held(("r",), None, None, float("inf"))})]
    found = planned(rules, [recorded(f"{HOST}/a", facts)], held)
    assert [(step.do, step.to) for step in found.steps] == [("delete", f"{HOST}/a:9")]


def test_a_copy_counts_at_the_rules_that_name_it_so_and_no_other() -> None:
    """A tag of three rules, of which one pushes it out, and two keep it here."""
    rules = rules_of("""
rules:
  - {name: out, from: h.example, repos: a, tags: "1", to: {registry: cloud.example}}
  - {name: here, from: h.example, repos: a, tags: "1"}
  - {name: too, from: h.example, repos: "*", tags: "*"}
""")
    steps = planned(rules, [recorded("h.example/a", {"1": TagFacts(AA, size=5)})]).steps
    assert [(each.do, each.to, each.rules) for each in steps] == [
        ("push", "cloud.example/a:1", ("out",)),
        ("copy", "h.example/a:1", ("here", "too")),
    ]


def test_equal_inputs_give_equal_documents_and_any_other_another() -> None:
    rules = rules_of(TWO % "")

    def document(listing: list[Recorded]) -> str:
        found = planned(rules, listing, own=OWN)
        link = Link(100.0, 0.05, "USD")
        told = summary(found, rules, link)
        text = "".join(pieces(found, told, link))
        assert json.loads(text)["digest"] == digest(found, told, link)
        return text

    assert document(two(AA, AA)) == document(two(AA, AA)[::-1])
    assert json.loads(document(two(AA, AA)))["digest"] != json.loads(document(two(BB, BB)))["digest"]


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        ('{name: r, from: h, repos: a, tags: "semver: >=1 <3"}', [("+", "h/a:2.0", "tags: semver: >=1 <3 (was semver: >=1 <2)")]),
        ('{name: r, from: h, repos: a, tags: ["semver: >=1 <2", "!1.1"]}', [("-", "h/a:1.1", "tags: 1.1 is excluded by !1.1")]),
        ('{name: r, from: h, repos: a, tags: "semver: >=1 <2", platforms: linux/arm64, age: 3d}',
         [("~", "h/a:1.0", "platforms +linux/arm64 -all; age 3d"), ("~", "h/a:1.1", "platforms +linux/arm64 -all; age 3d")]),
        ('{name: s, from: h, repos: b, tags: "1"}', [("-", "h/a:1.0", "rule r is gone"), ("-", "h/a:1.1", "rule r is gone")]),
    ],
)  # fmt: skip
def test_a_difference_names_reference_rule_and_reason(
    after: str, changes: list[tuple[str, str, str]]
) -> None:
    before = rules_of('rules: [{name: r, from: h, repos: a, tags: "semver: >=1 <2"}]')
    tags = {tag: TagFacts(AA, since=0.0) for tag in ("1.0", "1.1", "2.0", "x")}
    tally = Tally()
    found = list(
        difference(before, rules_of(f"rules:\n  - {after}"), [recorded("h/a", tags)], 9 * DAY, tally)
    )
    assert [(each.kind, each.ref, each.because) for each in found] == changes
    assert tally.tags == 4


def test_a_difference_is_told_of_the_names_that_are_taken() -> None:
    """What `max` of one rule refuses, another takes under another name: that comes and goes."""
    rules = 'rules: [{name: small, from: h.example, repos: a, tags: "*", max: 1KiB}%s]'
    other = ', {name: other, from: h.example, repos: a, tags: "*", to: b}'
    listing = [recorded(f"{HOST}/a", {"1": TagFacts(AA, size=5_000)})]
    before, after = rules_of(rules % ""), rules_of(rules % other)
    assert [(c.kind, c.ref, c.rule) for c in difference(before, after, listing, 0.0, Tally())] == [
        ("+", f"{HOST}/a:1", "other")
    ]
    assert [c.kind for c in difference(after, before, listing, 0.0, Tally())] == ["-"]
    assert [(step.do, step.to) for step in planned(after, listing).steps] == [("copy", f"{HOST}/b:1")]


def test_a_difference_counts_what_is_held() -> None:
    before = rules_of('rules: [{name: r, from: h.example, repos: a, tags: "*"}]')
    listing = [recorded(f"{HOST}/a", {"1": TagFacts(BB), "2": TagFacts(BB), "3": TagFacts(AA)})]
    here = {"1": TagFacts(AA, here=1.0), "2": TagFacts(BB, here=2.0), "3": TagFacts(AA, here=3.0)}
    place = (RegistryName(HOST), RepositoryName("a"))
    held = {place: recorded(f"{HOST}/a", here)}

    def goes(key: str, here: HeldPlaces | None) -> list[str]:
        after = rules_of(f'rules: [{{name: r, from: h.example, repos: a, tags: "*", {key}}}]')
        found = difference(before, after, listing, 9 * DAY, Tally(), here)
        return [each.ref for each in found if each.kind == "-"]

    assert goes('fixed: "*"', held) == [f"{HOST}/a:1"]
    assert goes('fixed: "*"', None) == []
    assert goes("keep: {newest: 2, by: seen}", held) == [f"{HOST}/a:2"]
    assert goes("keep: {newest: 2, by: seen}", None) == [f"{HOST}/a:3"]
