"""Windows, schedules, targets, what is kept, companions: each by its small grammar."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.artifact_types import fits
from registry_mesh.replication.companions import ALL, NONE, Companions
from registry_mesh.replication.decision import Verdict
from registry_mesh.replication.images import Image
from registry_mesh.replication.schedule import Cron, Interval, Manual, due
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.target import Source, from_text
from registry_mesh.replication.window import Window
from tests.replication.second import AA, BB, DAY, decisions, rules_of

HOST = "h.example"


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_window_over_midnight_belongs_to_the_day_it_begins() -> None:
    window = Window.parse("mon-fri 20:00-06:00 UTC")
    friday, saturday, monday = utc("2026-11-27T21:00"), utc("2026-11-28T05:59"), utc("2026-11-30T05:00")
    assert window.is_open(friday) and window.is_open(saturday)
    assert not window.is_open(monday) and not window.is_open(utc("2026-11-28T20:00"))
    assert window.is_open(utc("2026-11-30T20:00")) and not window.is_open(utc("2026-11-30T19:59"))


@pytest.mark.parametrize(
    "text", ["25:00-26:00 UTC", "10:00-10:00 UTC", "foo 10:00-11:00 UTC", "10-11 UTC", "10:00-11:00 Nowhere"]
)
def test_windows_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"day|window|begins|zone"):
        Window.parse(text)


@pytest.mark.parametrize(
    ("cron", "after", "next_"),
    [
        ("cron 15 3 * * * Europe/Zurich", "2026-11-29T00:00", "2026-11-29T02:15"),
        ("cron 30 2 * * * Europe/Zurich", "2027-03-28T00:00", "2027-03-28T01:00"),
        ("cron 30 2 * * * Europe/Zurich", "2027-10-30T23:00", "2027-10-31T00:30"),
        ("cron 30 2 * * * Europe/Zurich", "2027-10-31T00:30", "2027-11-01T01:30"),
        ("cron */20 * * * * UTC", "2026-11-29T00:01", "2026-11-29T00:20"),
        ("cron 0 12 * * 7 UTC", "2026-11-29T12:00", "2026-12-06T12:00"),
        ("cron 0 0 29 2 * UTC", "2026-11-29T12:00", "2028-02-29T00:00"),
    ],
)
def test_crons(cron: str, after: str, next_: str) -> None:
    assert Cron.parse(cron).next(utc(after)) == utc(next_)


def test_when_a_source_is_asked() -> None:
    assert due(Interval(60), None, 0) and due(Interval(60), 0, 60) and not due(Interval(60), 0, 59)
    assert not due(Manual(), None, 0)
    cron = Cron.parse("cron 0 12 * * * UTC")
    noon = utc("2026-11-29T12:00")
    assert due(cron, noon - 1, noon) and not due(cron, noon, noon + 60)


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("base/{base}:{tag}-cern", ("base/alma", "v9-cern")),
        ("{repo[1:]}", ("sub/alma", "v9")),
        ("{source}/{repo}", ("h.example_5000/library/sub/alma", "v9")),
        ("x:{version}", ("x", "9")),
    ],
)
def test_templates(template: str, made: tuple[str, str]) -> None:
    source = Source(RegistryName("h.example:5000"), RepositoryName("library/sub/alma"), Tag("v9"), "9")
    assert from_text(template).of(source) == made


def test_a_template_that_makes_no_name_fails_for_that_reference() -> None:
    source = Source(RegistryName(HOST), RepositoryName("alma"), Tag("9"))
    for template, why in (("{repo[1:]}", "no repository name"), ("a:{version}", "reads no version")):
        with pytest.raises(ValueError, match=why):
            from_text(template).of(source)


def test_keep_by_seen_or_younger() -> None:
    rules = rules_of(
        f'rules:\n  - {{name: n, from: {HOST}, repos: a, tags: "*", keep: {{newest: 1, by: seen, or_younger: 2d}}}}'
    )
    tags = {f"n{day}": TagFacts(AA, since=day * DAY) for day in range(10)}
    found = decisions(rules, f"{HOST}/a", tags, 9.5 * DAY)
    assert [tag for tag, each in found.items() if each.verdict is Verdict.TAKE] == ["n8", "n9"]
    assert found["n3"].because == "past newest 1"


def test_what_one_rule_keeps_stays_and_names_in_full_do_not_count() -> None:
    rules = rules_of(f"""
rules:
  - {{name: few, from: {HOST}, repos: a, tags: ["semver: *", "1.0"], keep: 1}}
  - {{name: all, from: {HOST}, repos: a, tags: "2.*"}}
""")
    found = decisions(rules, f"{HOST}/a", ["1.0", "1.5", "2.1", "2.2", "3.0", "v3.0.0"])
    assert [t for t, each in found.items() if each.verdict is Verdict.PAST] == ["1.5"]
    assert [rule.name for rule in found["2.1"].rules] == ["all"]


def test_every_guard_counts() -> None:
    rules = rules_of(f"""
rules:
  - {{name: big, from: {HOST}, repos: a, tags: "*"}}
  - {{name: small, from: {HOST}, repos: a, tags: "*", max: 1KiB}}
  - {{name: fixed, from: {HOST}, repos: a, tags: "*", fixed: "semver: *"}}
  - {{name: signed, from: {HOST}, repos: a, tags: "s*", verify: {{by: [team, other], having: [sboms]}}}}
""")
    facts = {
        "1.0": TagFacts(BB, size=10, held=AA),
        "large": TagFacts(AA, size=2048),
        "s1": TagFacts(AA, size=1, signed_by=frozenset({"stranger"}), held=BB),
        "s2": TagFacts(AA, size=1, signed_by=frozenset({"other"}), has=frozenset({"sboms"})),
        "s3": TagFacts(AA, size=1, signed_by=frozenset({"other"}), has=frozenset()),
    }
    found = decisions(rules, f"{HOST}/a", facts)
    assert {tag: each.because for tag, each in found.items()} == {
        "1.0": f"{HOST}/a:1.0 is fixed: it stays at {AA}, and its source says {BB}",
        "large": f"{HOST}/a:large has 2.0 KiB, and 1.0 KiB are allowed: not taken",
        "s1": f"a:s1 ({AA}) is not signed by team or other: not taken, s1 stays at {BB}",
        "s2": "",
        "s3": f"{HOST}/a:s3 has no sboms: not taken",
    }


def test_types_and_labels_are_asked_of_each_rule() -> None:
    assert fits(["image"], "application/vnd.oci.image.config.v1+json")
    assert fits(["!application/x.*"], "anything") and not fits(["!application/x.*"], "application/x.y")
    assert not fits(["chart"], "application/vnd.oci.image.config.v1+json")
    rules = rules_of(f"""
rules:
  - {{name: charts, from: {HOST}, repos: a, tags: "*", types: chart}}
  - {{name: prod, from: {HOST}, repos: a, tags: "*", labels: {{tier: "prod*"}}}}
""")
    helm = "application/vnd.cncf.helm.config.v1+json"
    facts = {"1": TagFacts(AA, type=helm, labels={}), "2": TagFacts(AA, type="x", labels={"tier": ("prod-1",)}),
             "3": TagFacts(AA, type="x", labels={"tier": ("dev",)})}  # fmt: skip
    found = decisions(rules, f"{HOST}/a", facts)
    taken = {t: [r.name for r in d.rules] for t, d in found.items() if d.verdict is Verdict.TAKE}
    assert taken == {"1": ["charts"], "2": ["prod"]}


def test_companions_add_up() -> None:
    signatures = Companions(frozenset({"signatures"}))
    assert signatures.takes("application/vnd.cncf.notary.signature") and not signatures.takes("text/spdx")
    assert signatures.takes_tag(Tag(f"sha256-{'a' * 64}.sig"))
    assert not signatures.takes_tag(Tag(f"sha256-{'a' * 64}.sbom"))
    assert (signatures | NONE) == signatures and (signatures | ALL) == ALL


def test_a_rule_asks_the_images_that_its_platforms_take() -> None:
    """A label that a listing has not looked for is not known, and excludes nothing."""
    rules = rules_of(f"""
rules:
  - {{name: amd, from: {HOST}, repos: a, tags: "*", platforms: linux/amd64, labels: {{tier: "prod*"}}}}
  - {{name: arm, from: {HOST}, repos: a, tags: "*", platforms: linux/arm64/v8, types: chart}}
  - {{name: all, from: {HOST}, repos: a, tags: "*", labels: {{tier: "*"}}}}
  - {{name: none, from: {HOST}, repos: a, tags: "*", platforms: linux/s390x, types: "!chart", labels: {{tier: "*"}}}}
  - {{name: team, from: {HOST}, repos: a, tags: "*", platforms: linux/arm64, labels: {{team: x}}}}
""")
    helm = "application/vnd.cncf.helm.config.v1+json"
    images = (Image("linux/amd64", "x", {"tier": "prod-1"}), Image("linux/arm64", helm, {"tier": None}))
    found = decisions(rules, f"{HOST}/a", {"1": TagFacts(AA, type="other", labels={}, images=images)})["1"]
    assert ([rule.name for rule in found.rules], found.unknown) == (["amd", "arm", "team"], ("labels",))
