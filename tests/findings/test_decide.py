"""Facts in, findings out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_mesh.findings.decide import Held, decide
from registry_mesh.findings.facts import (
    AccessFacts,
    AuditFacts,
    CareFacts,
    CertificateFacts,
    DiskFacts,
    FileFacts,
    IdleRule,
    MemoryFacts,
    NodeFacts,
    ParentFacts,
    ProgramFacts,
    PullFacts,
    RegistryFacts,
    RulesFacts,
    StoppedDeletes,
    StoreFacts,
    UnkeptFacts,
    UnservedFacts,
)
from registry_mesh.findings.finding import NAMES, Finding, State, verdict
from registry_mesh.findings.words import moment, part_of, size, span

ELSEWHERE = "to cdn.example:443: if that is right, name it in redirects"
NOW = 1_795_516_936.0  # 2026-11-24 10:42:16 UTC
SINCE = NOW - 676  # 10:31
DAY = 86400.0
UP = ParentFacts("q:1", "http://q:1", "up")
DOWN = ParentFacts("p:1", "http://p:1", "down", SINCE, "refuses connections", NOW + 12)
WELL = NodeFacts("site.yaml", NOW - DAY, (RegistryFacts("r.example", (UP,), 30 * DAY),))


def registry(*parents: ParentFacts, login: bool = False) -> NodeFacts:
    return replace(WELL, registries=(RegistryFacts("r.example", parents, 30 * DAY, login),))


def answered(at: float) -> NodeFacts:
    """Nobody answers, since then."""
    return replace(WELL, registries=(RegistryFacts("r.example", (DOWN,), 30 * DAY, answered=at),))


def failing(*parents: ParentFacts) -> NodeFacts:
    """None of them is asked, and one at least answers."""
    only = RegistryFacts("r.example", parents, grace=30 * DAY, grace_among_errors=7 * DAY)
    return replace(WELL, registries=(only,))


AWAY = "No parent of r.example answers: offline since 10:31; what is held goes on"
STOPPED = StoppedDeletes("r.example", 31, 100, 0.1, "sha256:abc")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (WELL, {}),
        (
            replace(WELL, registries=(RegistryFacts("r.example", (UP,), 30 * DAY, True, forgotten=True),)),
            {"readers-missing": "r.example is served to nobody: no line says who may read it."},
        ),
        (
            registry(DOWN, UP),
            {"parent-down": "p:1 refuses connections since 10:31; q:1 stands in."},
        ),
        (
            registry(DOWN),
            {
                "offline": f"{AWAY}, tags until 24 Dec.",
            },
        ),
        (
            failing(replace(DOWN, why="answers with a server error", lost=False), replace(DOWN, name="q:1")),
            {
                "offline": "No parent of r.example answers but with errors since 10:31; what is held goes on, "
                "tags until 1 Dec.",
            },
        ),
        (
            failing(
                replace(DOWN, lost=False), ParentFacts("q:1", "", "throttled", SINCE, "asked", lost=False)
            ),
            {
                "offline": "No parent of r.example answers but with errors since 10:31; what is held goes on, "
                "tags until 1 Dec.",
                "throttled": "r.example lets nobody pull from q:1 for now: it asked.",
            },
        ),
        (
            registry(replace(DOWN, why="its TLS certificate has expired"), UP),
            {"tls-untrusted": "p:1 cannot be trusted: its TLS certificate has expired."},
        ),
        (
            registry(replace(DOWN, why="answered 401"), UP, login=True),
            {"parent-denied": "p:1 does not take our credentials: it answered 401."},
        ),
        (
            registry(
                replace(UP, denied_since=SINCE, error="this node's login (env:X) is not taken"), login=True
            ),
            {"parent-denied": "q:1 does not take our credentials for r.example."},
        ),
        (
            registry(replace(UP, denied_since=SINCE, error="answers /v2/ with 403")),
            {"parent-denied": "q:1 gives this node nothing of r.example: it answers /v2/ with 403."},
        ),
        (
            registry(replace(UP, denied_since=SINCE, error="this node's login (env:X) is not taken")),
            {"parent-denied": "q:1 gives this node nothing of r.example: it refuses what it is asked for."},
        ),
        (
            registry(
                replace(UP, error=f"redirects to none of the registry's hosts, {ELSEWHERE}", error_at=NOW - 9)
            ),
            {
                "parent-down": "q:1 redirects to none of the registry's hosts, to cdn.example:443: "
                "this node does not follow."
            },
        ),
        (
            registry(replace(UP, error="redirects from https to http", error_at=NOW - 599)),
            {"parent-down": "q:1 redirects from https to http: this node does not follow."},
        ),
        (registry(replace(UP, error="redirects from https to http", error_at=NOW - 601)), {}),
        (
            registry(replace(UP, no_registry=404)),
            {"parent-down": "q:1 is no registry: it answers /v2/ with 404."},
        ),
        (
            registry(replace(UP, no_registry=200)),
            {"parent-down": "q:1 is no registry: it answers /v2/ with a web page."},
        ),
        (
            registry(ParentFacts("p:1", "", "throttled", SINCE, "answered 429", NOW + 3600)),
            {
                "throttled": "r.example lets nobody pull from p:1 for now: it answered 429, again at 11:42.",
            },
        ),
        (
            registry(replace(UP, cut_off=SINCE), DOWN),
            {
                "offline": "No parent of r.example reaches what is above it: offline since 10:31; "
                "what is held goes on, nothing of it is refreshed.",
                "parent-down": "p:1 refuses connections since 10:31; q:1 stands in.",
            },
        ),
        (
            registry(replace(UP, cut_off=SINCE), replace(UP, name="p:1")),
            {"parent-stale": "q:1 answers, and reaches none of its own parents of r.example; p:1 does."},
        ),
        (
            registry(DOWN, replace(DOWN, name="q:1", since=SINCE + 5)),
            {
                "own-link-down": "None of 2 parents answers since 10:31, all at once: "
                "look at this node's own link first.",
                "offline": f"{AWAY}, tags until 24 Dec.",
            },
        ),
        (
            registry(replace(UP, clock_ahead=660.4), replace(UP, name="p:1", clock_ahead=700.0)),
            {"clock-off": "This clock is 11 min ahead of all parents'."},
        ),
        (
            registry(replace(UP, clock_ahead=-3600.0)),
            {"clock-off": "This clock is 60 min behind that of q:1."},
        ),
        (registry(replace(UP, clock_ahead=660.4), replace(UP, name="p:1", clock_ahead=2.0)), {}),
        (
            registry(replace(DOWN, cut_off=SINCE), UP),
            {"parent-down": "p:1 refuses connections since 10:31; q:1 stands in."},
        ),
        (registry(replace(UP, clock_ahead=660.4), replace(UP, name="p:1", clock_ahead=-700.0)), {}),
        (
            registry(
                replace(UP, rate=2.12e8),
                replace(UP, name="p:1", rate=9e5, slow_since=SINCE, slow_until=NOW + 9),
            ),
            {"parent-slow": "p:1 gives 900 kB/s where q:1 gives 212 MB/s."},
        ),
        (
            registry(UP, replace(UP, name="p:1", rate=9e5, slow_since=SINCE, slow_until=NOW + 9)),
            {"parent-slow": "p:1 gives 900 kB/s."},
        ),
        (registry(UP, replace(UP, name="p:1", rate=9e5, slow_since=SINCE, slow_until=NOW - 9)), {}),
        (
            registry(
                replace(DOWN, why="leads back to this node, which is among its own parents", place="f:7"), UP
            ),
            {"loop": "p:1 has this node among its parents, or theirs, and this node has p:1."},
        ),
        (
            answered(NOW - 26 * DAY),
            {
                "offline": f"{AWAY}, tags until 28 Nov.",
                "grace-ending": "Tags of r.example are answered for 4 d more, then digests only.",
            },
        ),
        (
            answered(NOW - 31 * DAY),
            {
                "offline": f"{AWAY}, tags until 23 Nov.",
                "grace-ending": "Tags of r.example are answered no more.",
            },
        ),
        (
            answered(NOW - 3 * DAY),
            {"offline": f"{AWAY}, tags until 21 Dec."},
        ),
        (
            replace(WELL, pulls=PullFacts(hits=5000, hit_seconds=0.18)),
            {"hits-slow": "What is held takes 180 ms to its first byte (p99)."},
        ),
        (replace(WELL, pulls=PullFacts(hits=5000, hit_seconds=0.09)), {}),
        (replace(WELL, pulls=PullFacts(hits=5, hit_seconds=0.9)), {}),
        (
            replace(WELL, store=StoreFacts("/s", used=9, quota=10**9, evicts=True, evicted=50, refetched=26)),
            {
                "store-thrash": "52% of what was evicted within 24 h was fetched again: "
                "the store throws out what it needs."
            },
        ),
        (replace(WELL, store=StoreFacts("/s", used=90, evicts=True, evicted=50, refetched=9)), {}),
        (
            replace(
                WELL,
                store=StoreFacts(
                    "/s", used=9, quota=10**9, free=10**9, evicts=True, evicted=50, refetched=50
                ),
            ),
            {},
        ),
        (
            replace(
                WELL,
                store=StoreFacts("/s", used=9, quota=10**9, free=91, evicts=True, evicted=50, refetched=50),
            ),
            {
                "store-thrash": "100% of what was evicted within 24 h was fetched again: "
                "the store throws out what it needs."
            },
        ),
        (
            replace(WELL, store=StoreFacts("/s", used=90, quota=10**9, evicts=True, evicted=4, refetched=4)),
            {},
        ),
        (
            replace(
                WELL,
                store=StoreFacts("/s", quota=10 * 10**6),
                unkept=(UnkeptFacts("r.example/a", "sha256:1", 30 * 10**6, 3, NOW - 60, NOW),),
            ),
            {
                "store-small": "A blob of 30 MB of r.example/a is larger than the store (10 MB): "
                "each pull fetches it again."
            },
        ),
        (
            replace(
                WELL,
                store=StoreFacts("/s", quota=40 * 10**6),
                unkept=(UnkeptFacts("r.example/a", "sha256:1", 30 * 10**6, 3, NOW - 60, NOW),),
            ),
            {},
        ),
        (
            replace(WELL, audit=AuditFacts("/l/audit.log", held=1200)),
            {"audit-held": "The audit log's disk takes nothing: 1,200 lines are held."},
        ),
        (
            replace(WELL, audit=AuditFacts("/l/audit.log", held=200_000, lost=7)),
            {"audit-held": "The audit log's disk takes nothing: 200,000 lines are held, 7 are lost."},
        ),
        (
            replace(WELL, audit=AuditFacts("/l/audit.log", lost=1)),
            {"audit-held": "1 line is lost: the audit log's disk took nothing."},
        ),
        (
            replace(WELL, memory=MemoryFacts(950 * 10**6, 10**9)),
            {"memory-low": "95% of the memory limit is used."},
        ),
        (replace(WELL, memory=MemoryFacts(900 * 10**6, 10**9)), {}),
        (replace(WELL, memory=MemoryFacts(10**9)), {}),
        (
            replace(WELL, disk=DiskFacts("sdb", 700, 0.084, 0.98, 60.0)),
            {"store-slow": "The disk takes 84 ms a read; sdb is 98% busy."},
        ),
        (replace(WELL, disk=DiskFacts("sdb", 99, 0.084, 0.98, 60.0)), {}),
        (replace(WELL, disk=DiskFacts("sdb", 700, 0.049, 0.98, 60.0)), {}),
        (replace(WELL, disk=DiskFacts("sdb", 700, 0.084, 0.8, 60.0)), {}),
        (
            replace(WELL, unserved=(UnservedFacts("ghcr.io", 31, 40, NOW - 60),)),
            {"unknown-registry": "31 nodes ask for ghcr.io, which is not served here."},
        ),
        (
            replace(WELL, unserved=(UnservedFacts("ghcr.io", 1, 10, NOW - 60),)),
            {"unknown-registry": "One node asks for ghcr.io, which is not served here."},
        ),
        (replace(WELL, unserved=(UnservedFacts("ghcr.oi", 2, 9, NOW - 60),)), {}),
        (
            replace(WELL, store=StoreFacts("/s", newer_format=3, format=2)),
            {
                "format-newer": "The store was written by a newer registry-mesh (format 3; this one reads up to 2)."
            },
        ),
        (
            replace(WELL, rules=RulesFacts(ended=SINCE, idle=(IdleRule("old", "r.example", "a.yaml:3:5"),))),
            {"rule-empty": "Rule old selects nothing of r.example."},
        ),
        (
            replace(WELL, rules=RulesFacts(ended=SINCE, stopped=(STOPPED,))),
            {
                "guard-stopped": "The rules would delete 31% of the tags of r.example; the guard is 10%. "
                "Nothing was deleted."
            },
        ),
        (
            replace(WELL, pulls=PullFacts(1000, 42, ("parent: throttled", "store: full"))),
            {"pulls-fail": "4.2% of what is asked for fails, by no fault of the callers: parent: throttled."},
        ),
        (replace(WELL, pulls=PullFacts(1000, 10, ("parent: down",))), {}),
        (replace(WELL, pulls=PullFacts(9, 9, ("parent: down",))), {}),
        (
            replace(WELL, rules=RulesFacts(complete=NOW - 5 * 3600, every=3600.0)),
            {"behind": "No run of the rules was complete for 5 h; one is due every 60 min."},
        ),
        (replace(WELL, rules=RulesFacts(complete=NOW - 3 * 3600, every=3600.0)), {}),
        (replace(WELL, rules=RulesFacts(complete=NOW - 600, every=15.0)), {}),
        (
            registry(replace(UP, lies=3)),
            {"parent-lies": "q:1 sent wrong bytes 3 times in an hour; no wrong blob was kept."},
        ),
        (
            replace(WELL, store=StoreFacts("/s", fault="read-only file system", fault_since=SINCE)),
            {"store-fault": "The store cannot be written to: read-only file system."},
        ),
        (
            replace(WELL, store=StoreFacts("/s", used=96, quota=100)),
            {"store-full": "The store is 96 % full; nothing may be evicted."},
        ),
        (replace(WELL, store=StoreFacts("/s", used=96, quota=100, evicts=True)), {}),
        (replace(WELL, store=StoreFacts("/s", used=96)), {}),
        (
            replace(WELL, care=CareFacts(rotten=3, repaired=3)),
            {"rot": "3 stored chunks had rotted; 3 mended."},
        ),
        (
            replace(WELL, care=CareFacts(verified=SINCE, wrong=2, first_wrong="a: gone")),
            {"rot": "verify found 2 things wrong in the store, not mended yet."},
        ),
        (
            replace(WELL, care=CareFacts(scrubbed=NOW - 16 * DAY, scrub_every=7 * DAY)),
            {"scrub-old": "Last read again 16 d ago; scrub.every is 7 d."},
        ),
        (replace(WELL, care=CareFacts(scrub_every=7 * DAY)), {}),
        (
            replace(WELL, program=ProgramFacts(deaths=5)),
            {"workers-die": "5 processes died in 15 min."},
        ),
        (
            replace(WELL, program=ProgramFacts(loaded=NOW - DAY, refused="f:1:1: x", refused_at=NOW)),
            {"reload-failed": "The new file is not taken; that of 23 Nov 10:42 stays in force."},
        ),
        (
            replace(WELL, program=ProgramFacts(files=1024)),
            {"limits-low": "At most 1,024 open files, room for about 512 readers."},
        ),
        (
            replace(WELL, certificates=(CertificateFacts("/c.pem", NOW + 6 * DAY, "another key"),)),
            {
                "certificate-ending": "The certificate for clients ends in 6 d; "
                "the one in the file now cannot be used: another key."
            },
        ),
        (replace(WELL, certificates=(CertificateFacts("/c.pem", NOW + 60 * DAY),)), {}),
        (
            replace(WELL, certificates=(CertificateFacts("/a.pem", NOW - 6 * DAY, listener="operators"),)),
            {"certificate-ending": "The certificate for operators ended 6 d ago."},
        ),
        (
            replace(WELL, access=AccessFacts(('p.yaml:6:101: "fly" is none',), SINCE)),
            {"access-invalid": "The access files are not taken since 10:31; the old ones stay in force."},
        ),
        (
            replace(WELL, files=(FileFacts("listen.tls", ("/c.pem holds no PEM certificate",)),)),
            {
                "files-invalid": "listen.tls is not taken from its files as they are; "
                "what they said last stays in force."
            },
        ),
        (
            replace(WELL, rules=RulesFacts(("r.yaml:3:1: unknown key",), SINCE)),
            {"rules-invalid": "The rules are not taken since 10:31; the old ones stay in force."},
        ),
        (
            replace(WELL, rules=RulesFacts(tags=64, held=31, failed=2, ended=SINCE)),
            {"replication-behind": "The rules are not held whole: 31 of 64 tags, 2 failed."},
        ),
    ],
)
def test_each_fact_has_its_sentence(facts: NodeFacts, said: dict[str, str]) -> None:
    found = decide(facts, NOW)
    assert {each.name: each.sentence for each in found} == said
    assert all(each.next for each in found)
    assert all(each.name in NAMES for each in found)


def test_wrong_ranges_may_have_gone_on_only_where_ranges_are_given_unproven() -> None:
    for unproven in (True, False):
        asked = RegistryFacts("r.example", (replace(UP, lies=1),), unproven=unproven)
        (lies,) = decide(replace(WELL, registries=(asked,)), NOW)
        assert ("ranges may have gone to clients" in " ".join(lies.evidence)) == unproven


def test_a_parent_of_two_registries_is_one_finding_of_both() -> None:
    both = tuple(RegistryFacts(name, (DOWN, UP)) for name in ("r.example", "s.example"))
    (down,) = decide(replace(WELL, registries=both), NOW)
    assert down.registries == ("r.example", "s.example")


def test_a_site_is_not_told_to_replicate() -> None:
    for ahead in (True, False):
        rules = RulesFacts(tags=4, held=1, failed=3, ended=SINCE, brings_ahead=ahead)
        (behind,) = decide(replace(WELL, rules=rules), NOW)
        assert ("replicate" in behind.next, behind.hides) == (not ahead, not ahead)


@pytest.mark.parametrize(
    "parents",
    [
        (DOWN, replace(DOWN, name="p:2")),
        (DOWN, replace(DOWN, name="q:1", since=SINCE + 300)),
        (DOWN, replace(DOWN, name="q:1", why="answered 503")),
        (DOWN, replace(DOWN, name="q:1", why="leads back to this node")),
        (DOWN, UP),
    ],
    ids=["one host", "one after another", "it answers", "a loop", "one is up"],
)
def test_it_is_not_the_own_link(parents: tuple[ParentFacts, ...]) -> None:
    assert "own-link-down" not in {each.name for each in decide(registry(*parents), NOW)}


def test_the_worst_comes_first() -> None:
    facts = replace(registry(DOWN, UP), store=StoreFacts("/s", fault="full", fault_since=NOW))
    assert [each.state for each in decide(facts, NOW)] == [State.BROKEN, State.LOOK]


def test_nothing_flickers() -> None:
    held, flaw = Held(), Finding("parent-down", "x", "p")
    assert held.look([flaw], 0.0) == []
    assert [each.sentence for each in held.look([flaw], 5.0)] == ["x"]
    assert held.look([], 7.0), "a moment without it is no end"
    assert held.look([flaw], 8.0)
    assert held.look([], 17.0)
    assert held.look([], 18.0) == []
    assert held.look([flaw], 19.0) == []


def test_what_never_held_is_never_said() -> None:
    held, flaw = Held(), Finding("parent-down", "x", "p")
    for now in range(0, 60, 4):
        assert held.look([flaw], float(now)) == []
        assert held.look([], now + 2.0) == []


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([], "s serves. Nothing needs you."),
        (["parent-down"], "s serves. One thing is worth a look."),
        (["offline", "throttled", "rot"], "s serves. One thing is broken, two things are worth a look."),
        (["offline", "store-fault"], "s serves. Two things are broken."),
    ],
)
def test_the_sentence_first(findings: list[str], said: str) -> None:
    assert verdict("s", [Finding(name, "") for name in findings]) == said


def test_words() -> None:
    assert (span(41), span(660), span(1.6 * DAY), span(16 * DAY)) == ("41 s", "11 min", "38 h", "16 d")
    assert (size(41.8e12), size(999), size(0)) == ("41.8 TB", "999 B", "0 B")
    assert (moment(SINCE, NOW), moment(NOW - DAY, NOW)) == ("10:31", "23 Nov 10:42")


@pytest.mark.parametrize(
    ("fault", "subject", "step"),
    [
        ("the bucket has not answered for 5 s", "s3://b", "step by step: registry-mesh probe site.yaml"),
        (
            "read-only file system",
            "/spool",
            "dmesg, df /spool: mend the disk, or name another in the configuration",
        ),
    ],
)
def test_a_bucket_is_not_mended_as_a_disk_is(fault: str, subject: str, step: str) -> None:
    (found,) = decide(replace(WELL, store=StoreFacts("/spool", "s3://b", fault, SINCE)), NOW)
    assert (found.subject, found.next) == (subject, step)


def test_of_many_registries_that_are_missed_four_are_told_of() -> None:
    """Clients choose these names."""
    asked = tuple(UnservedFacts(f"r{i}.example", 3 + i, 20, NOW) for i in range(30))
    found = decide(replace(WELL, unserved=asked), NOW)
    assert [each.subject for each in found] == ["r29.example", "r28.example", "r27.example", "r26.example"]


@pytest.mark.parametrize(
    ("why", "next_"),
    [
        ("has expired", "its admin renews it"),
        ("is not valid yet", "this machine's clock"),
        ("is for another name", "in registries.r.example.parents, a name that is in it"),
        ("is for another address", "in registries.r.example.parents, a name that is in it"),
        ("is signed by nobody that this node trusts", "name its authority in registries.r.example.ca"),
    ],
)
def test_what_to_do_of_a_certificate_follows_its_fault(why: str, next_: str) -> None:
    facts = registry(replace(DOWN, why=f"its TLS certificate {why}"), UP)
    (found,) = decide(facts, NOW)
    assert found.next.startswith(next_)


@pytest.mark.parametrize(
    ("fault", "next_"),
    [
        ("/etc/rules/a.yaml:6:1: not YAML", "registry-mesh rules lint /etc/rules/a.yaml"),
        ("/etc/rules: there is no such folder", "registry-mesh rules lint /etc/rules"),
    ],
)
def test_the_next_step_of_a_rule_s_fault_is_a_command(fault: str, next_: str) -> None:
    (found,) = decide(replace(WELL, rules=RulesFacts((fault,), SINCE)), NOW)
    assert found.next == next_


def test_a_part_of_something_has_the_unit_once() -> None:
    assert part_of(9.8e9, 17.9e9) == "9.8 of 17.9 GB"
    assert part_of(52.4e6, 12.5e12, "of at most") == "52.4 MB of at most 12.5 TB"
    assert part_of(0, 10) == "0 of 10 B"
