"""Cases in which other tools, and people, go wrong: what is selected, kept, held back and taken."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import Verdict
from registry_mesh.replication.explain import explain
from registry_mesh.replication.lint import lint
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.window import Window
from tests.replication.second import AA, BB, DAY, decisions, rules_of

HOST = "registry.cern.example"


def test_excluding_wins_wherever_it_stands() -> None:
    rules = rules_of(f"""
sets:
  lhc: ["atlas/**", "cms/{{prod,stage}}/*", "!**/scratch/**"]
rules:
  - {{name: r, from: {HOST}, repos: ["@lhc", "atlas/scratch/keepme"], tags: "*"}}
""")
    names = ["atlas/athena", "cms/prod/a", "atlas", "cms/prod/a/b", "cms/dev/a", "atlas/scratch/keepme"]
    host = RegistryName(HOST)
    taken = [name for name in names if rules.of(host, RepositoryName(name))]
    assert taken == ["atlas/athena", "cms/prod/a"]
    (reason,) = explain(rules, host, RepositoryName("atlas/scratch/keepme"), Tag("1"))
    assert reason.words == ("repos: atlas/scratch/keepme is excluded by !**/scratch/** of set lhc",)


def test_an_explanation_says_what_is_asked_of_images() -> None:
    rules = rules_of(f"""
rules:
  - {{name: r, from: {HOST}, repos: a, tags: "1", types: [image, "!x"], labels: {{tier: "prod*", a: b}}}}
  - {{name: s, from: {HOST}, repos: a, tags: "1", platforms: [linux/arm64, linux/amd64], labels: {{a: b}}}}
""")
    first, second = explain(rules, RegistryName(HOST), RepositoryName("a"), Tag("1"))
    assert first.words[2:] == (
        "types: the first image must be image, !x",
        "labels: each image must have a=b and tier=prod*",
    )
    assert second.words[2:] == (
        "platforms: linux/amd64, linux/arm64",
        "labels: each image for linux/amd64, linux/arm64 must have a=b",
    )


ETCD = ["3.4.13-0", "3.5.4-0", "3.5.6-0", "3.5.12-1", "3.6.1-0", "latest"]


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("semver: >=3.5.4-0", ["3.5.4-0"]),
        ("semver+: >=3.5.4-0", ["3.5.4-0", "3.5.6-0", "3.5.12-1", "3.6.1-0"]),
        ("semver+: >=3.5.12-0 <3.6.1", ["3.5.12-1", "3.6.1-0"]),
        ("semver+: >=3.5.12-0 <3.6.1-0", ["3.5.12-1"]),
        ("semver~: >=3.5.4", ["3.5.4-0", "3.5.6-0", "3.5.12-1", "3.6.1-0"]),
    ],
)
def test_a_suffix_has_three_meanings_and_the_word_says_which(written: str, taken: list[str]) -> None:
    rules = rules_of(f'rules:\n  - {{name: etcd, from: {HOST}, repos: etcd, tags: "{written}"}}')
    assert list(decisions(rules, f"{HOST}/etcd", ETCD)) == taken
    catalog = {(RegistryName(HOST), RepositoryName("etcd")): list(map(Tag, ETCD))}
    said = [remark.what for remark in lint(rules, catalog)]
    if written.startswith("semver:"):
        assert said == [
            "tags: 3 tags such as 3.6.1-0 have a suffix that semver: >=3.5.4-0 does not take; "
            "`semver+:` or `semver~:`?"
        ]
    else:
        assert said == []


def test_keep_counts_versions_and_each_flavour_by_itself() -> None:
    rules = rules_of(f"""
rules:
  - {{name: r, from: {HOST}, repos: a, tags: ["semver: >=3.9 in *-alpine", "semver: >=3.9"], keep: 2}}
""")
    tags = ["3.8.9", "3.9.0", "3.10.1", "3.10.2", "3.11.0-rc.1", "3.9.5-alpine", "3.10.1-alpine"]
    tags += ["3.10.2-alpine", "3.11-alpine3.20", "latest"]
    found = decisions(rules, f"{HOST}/a", tags)
    taken = [tag for tag, each in found.items() if each.verdict is Verdict.TAKE]
    assert taken == ["3.10.1", "3.10.2", "3.10.1-alpine", "3.10.2-alpine"]
    past = [tag for tag, each in found.items() if each.verdict is Verdict.PAST]
    assert past == ["3.9.0", "3.9.5-alpine"]


AGED = f"""
rules:
  - {{name: aged, from: {HOST}, repos: a, tags: "*", age: 3d}}
  - {{name: hasty, from: {HOST}, repos: a, tags: v1.2}}
"""


def test_a_value_waits_for_its_age_whatever_other_rules_say() -> None:
    rules = rules_of(AGED)
    ten = 10 * 3600.0

    def at(now: float, facts: TagFacts) -> Verdict:
        return decisions(rules, f"{HOST}/a", {"v1.2": facts}, now)["v1.2"].verdict

    first = TagFacts(AA, since=ten)
    assert at(ten, first) is Verdict.WAIT
    second = TagFacts(BB, since=DAY + ten)
    assert at(4 * DAY + ten - 1, second) is Verdict.WAIT
    assert at(4 * DAY + ten, second) is Verdict.TAKE
    moving = TagFacts(BB, since=14 * DAY, moves=9, held=AA)
    (latest,) = decisions(rules, f"{HOST}/a", {"latest": moving}, 14 * DAY + 60).values()
    assert latest.verdict is Verdict.WAIT
    assert latest.because == (
        f"{HOST}/a:latest shows {BB} since 1970-01-15 00:00 UTC: waits until 1970-01-18 00:00 UTC; "
        "it moved 9 times in 14 d"
    )


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("day", "spans"),
    [
        ("2027-03-28", [("01:00", "01:30")]),
        ("2027-10-31", [("00:30", "01:00"), ("01:30", "02:30")]),
        ("2027-06-15", [("00:30", "01:30")]),
    ],
)
def test_a_window_is_what_the_clock_on_the_wall_shows(day: str, spans: list[tuple[str, str]]) -> None:
    window = Window.parse("02:30-03:30 Europe/Zurich")
    begin = utc(f"{day}T00:00")
    open_at = [minute for minute in range(24 * 60) if window.is_open(begin + minute * 60)]
    expected = [
        minute
        for first, last in spans
        for minute in range(int(utc(f"{day}T{first}") - begin) // 60, int(utc(f"{day}T{last}") - begin) // 60)
    ]
    assert open_at == expected


def test_a_pin_takes_a_tag_only_while_it_has_that_digest() -> None:
    rule = f'rules:\n  - {{name: r, from: {HOST}, repos: alma, tags: "9@{AA}"}}'
    rules = rules_of(rule)
    assert decisions(rules, f"{HOST}/alma", {"9": TagFacts(AA)})["9"].verdict is Verdict.TAKE
    moved = decisions(rules, f"{HOST}/alma", {"9": TagFacts(BB, held=AA)})["9"]
    assert (moved.verdict, moved.because) == (
        Verdict.REFUSE,
        f"{HOST}/alma:9 is {BB} there and pinned to {AA}: not taken",
    )
    assert decisions(rules, f"{HOST}/alma", {}) == {}
    denied = rules_of(rule + f'\ndeny:\n  - {{from: {HOST}, digest: "{AA}", note: incident}}')
    found = decisions(denied, f"{HOST}/alma", {"9": TagFacts(AA)})["9"]
    assert (found.verdict, found.because) == (Verdict.DENY, f"{HOST}/alma:9 is denied: incident")
