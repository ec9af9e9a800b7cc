"""`status`: what is shown of what a node says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from registry_mesh.cli.node.status import lines

NOW = 1_795_516_936.0  # 2026-11-24 10:42:16 UTC
PARENT = {"url": "https://ch-geneva-r1", "use": "in_use"}
TOLD: dict[str, Any] = {
    "verdict": "ch-zurich-1 serves. Two things are worth a look.",
    "role": "site",
    "version": "0.9.2",
    "uptime_seconds": 41.26 * 86400,
    "loaded": NOW - 67_100.0,
    "workers": [{}] * 4,
    "counters": {},
    "now": {
        "sent_bytes_per_second": 1_840_000_000,
        "readers": 312,
        "upstream_bytes_per_second": 236_000_000,
        "fills": 3,
        "fill_readers": 46,
    },
    "store": {"used_bytes": 41_800_000_000_000, "quota_bytes": 50_000_000_000_000},
    "scrub": {"age_seconds": 2.2 * 86400, "rotten": 0},
    "last_day": {
        "since": NOW - 23.5 * 3600,
        "pulls": 61_904,
        "failures": 41,
        "sent_bytes": 22_600_000_000_000,
        "upstream_bytes": 450_000_000_000,
        "saved_bytes": 22_200_000_000_000,
        "hit_ratio_requests": 0.992,
        "hit_ratio_bytes": 0.98,
        "money": [{"currency": "CHF", "spent": 36.0, "not_spent": 1773.2}],
    },
    "registries": {
        "registry.cern.example": {
            "cache": {"hit_ratio_requests": 0.9921},
            "parents": [
                [PARENT, {"url": "https://fr-lyon-r1", "use": "left_out"}],
                [{"url": "https://cern-origin-1", "use": "standing_by"}],
            ],
        },
        "docker.io": {
            "cache": {"hit_ratio_requests": None},
            "parents": [[{"url": "https://registry-1.docker.io", "use": "waiting"}]],
        },
    },
    "findings": [
        {
            "name": "parent-slow",
            "state": "warn",
            "sentence": "fr-lyon-r1 gives 900 kB/s where ch-geneva-r1 gives 212 MB/s.",
            "next": "nothing: it is tried again then; if it lasts for a day, its admin",
        },
        {
            "name": "throttled",
            "state": "warn",
            "sentence": "docker.io lets nobody pull.",
            "next": "give the account (registries.docker.io.credentials), or wait until 11:40",
        },
    ],
}
EVENT = {
    "side": "parent",
    "reason": "down",
    "subject": "r/a",
    "why": "no\x1b[2J answer",
    "last": NOW - 60,
    "count": 3,
}


def test_a_quota_is_shown_as_it_is_written_too() -> None:
    store = {"used_bytes": 7_410_000_000, "quota_bytes": 8 << 30}
    shown = list(lines({**TOLD, "store": store}, [], NOW))
    assert any("store  7.41 GB of 8.59 GB (8 GiB)  evicts from 8.59 GB" in line for line in shown), shown


def test_a_node_is_shown() -> None:
    assert list(lines(TOLD, [EVENT], NOW)) == [
        "▲ ch-zurich-1 serves. Two things are worth a look.                              24 Nov 10:42:16 UTC",
        "",
        "  now    1.84 GB/s to 312 readers  236 MB/s over the WAN  3 fills, 46 readers joined",
        "  24 h   22.6 TB served            450 GB over the WAN    22.2 TB saved, 1,773 CHF not spent",
        "  hits   98.0 % of bytes           99.2 % of requests     41 of 61,904 pulls failed",
        "  store  41.8 TB of 50 TB          evicts from 50 TB      read again 2 d ago, 0 rotten",
        "  node   site, 0.9.2, up 41 d 6 h  4 workers, 0 restarts  configuration of 23 Nov 16:03",
        "",
        "  registry               revision  head ends  hits    parents",
        "  registry.cern.example  plain     -          99.2 %  ● ch-geneva-r1  ▲ fr-lyon-r1  ● cern-origin-1",
        "  docker.io              plain     -          -       ▲ registry-1.docker.io",
        "",
        "▲ fr-lyon-r1 gives 900 kB/s where ch-geneva-r1 gives 212 MB/s.\n"
        "  Nothing to do: it is tried again then; if it lasts for a day, its admin",
        "▲ docker.io lets nobody pull.\n"
        "  Next: give the account (registries.docker.io.credentials), or wait until 11:40",
        "",
        "  refused and failed, the last first",
        "  10:41  r/a: no?[2J answer (parent: down, 3 times)",
    ]


def test_a_young_node_says_since_when_and_of_many_refusals_a_few() -> None:
    young = {**TOLD, "last_day": {**TOLD["last_day"], "since": NOW - 8}, "registries": {}, "findings": []}
    shown = list(lines(young, [EVENT] * 9, NOW))
    assert shown[3].startswith("  8 s    22.6 TB served")
    assert shown[-1] == "  5 more: /api/1/events"


def test_an_origin_evicts_nothing_and_a_store_may_not_have_been_read_again() -> None:
    told = {**TOLD, "role": "origin", "scrub": {"age_seconds": None, "rotten": 0}, "uptime_seconds": 4320.0}
    shown = list(lines({**told, "counters": {"worker_restarts_total": 1}, "workers": [{}]}, [], NOW))
    assert "evicts nothing" in shown[5] and shown[5].endswith("not read again yet, 0 rotten")
    assert "up 1 h 12 min" in shown[6] and "1 worker, 1 restart" in shown[6]


RUN: dict[str, Any] = {
    "phase": "copying",
    "tags": 64,
    "tags_done": 31,
    "bytes_done": 1_200_000_000,
    "bytes_left": 58_800_000_000,
    "bytes_per_second": 210_000_000,
    "eta_seconds": 280,
    "last": None,
}
LAST = {"complete": False, "failed": 3, "ended": NOW - 720.0, "held": 61, "tags": 64}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, ["1.2 GB of 60 GB brought", "210 MB/s, 5 min left", "31 of 64 tags"]),
        ({"bytes_per_second": 0, "eta_seconds": None, "last": LAST}, ["brought", "0 B/s", "31 of 64 tags"]),
        ({"phase": "listing", "last": LAST}, ["looking", "64 tags"]),
        ({"phase": "listing", "tags": 0, "last": LAST}, ["3 failed 12 min ago", "61 of 64 tags"]),
        ({"phase": "done", "last": LAST}, ["3 failed 12 min ago", "61 of 64 tags"]),
        (
            {"phase": "done", "last": {**LAST, "complete": True, "held": 64}},
            ["complete 12 min ago", "64 of 64"],
        ),
    ],
)
def test_the_run_of_the_rules_is_shown_or_the_last_one(told: dict[str, Any], said: list[str]) -> None:
    (shown,) = [each for each in lines({**TOLD, "replication": RUN | told}, [], NOW) if "  rules " in each]
    at = 0
    for each in said:
        at = shown.index(each, at)


@pytest.mark.parametrize("run", [None, {**RUN, "phase": "listing", "tags": 0}])
def test_before_the_first_run_nothing_is_said_of_rules(run: dict[str, Any] | None) -> None:
    assert not any("  rules " in each for each in lines({**TOLD, "replication": run}, [], NOW))


def test_a_node_that_does_not_answer(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(
        "role: site\nadmin: {port: 9}\nstore: {disk: {path: /tmp/x}}\n"
        'registries: {r.example: {parents: [["http://p:1"]]}}\n'
    )
    outcome = CliRunner().invoke(main, ["status", str(config)])
    assert outcome.exit_code == 3
    assert "is it running" in outcome.stderr


@pytest.mark.parametrize("command", ["status", "doctor", "parents", "ls"])
def test_files_that_became_wrong_do_not_keep_a_node_from_being_asked(command: str, tmp_path: Path) -> None:
    """Then, above all, somebody has to ask it. That no node answers here is how far the command came."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "p.yaml").write_text("schema: registry-mesh/access/1\npolices: []\n")
    config = tmp_path / "site.yaml"
    config.write_text(
        "role: site\nadmin: {port: 9}\nstore: {disk: {path: /tmp/x}}\n"
        f'registries: {{r.example: {{parents: [["http://p:1"]]}}}}\naccess: {{policies: {policies}}}\n'
    )
    outcome = CliRunner().invoke(main, [command, str(config)])
    assert outcome.exit_code == 3
    assert f"{policies}/p.yaml:2:1: polices: unknown key; did you mean policies?" in outcome.stderr
    assert "No node answers at 127.0.0.1:9" in outcome.stderr
    config.write_text("role: site\nnmae: x\n" + config.read_text().partition("\n")[2])
    assert CliRunner().invoke(main, [command, str(config)]).exit_code == 2, "it says nothing that can be used"


def test_a_plugin_of_nagios_says_one_line(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    (tmp_path / "users").write_text("bob:nothing\n")
    config.write_text(
        "role: site\nadmin: {port: 9}\nstore: {disk: {path: /tmp/x}}\n"
        f'registries: {{r.example: {{parents: [["http://p:1"]]}}}}\naccess: {{users: {tmp_path / "users"}}}\n'
    )
    outcome = CliRunner().invoke(main, ["doctor", "--check", str(config)])
    assert (outcome.exit_code, outcome.stderr) == (3, "")
    assert outcome.stdout.startswith("UNKNOWN: No node answers at 127.0.0.1:9")


IMAGE: dict[str, Any] = {
    "image": "r/a:1",
    "to": "",
    "bytes": 4_000_000_000,
    "bytes_left": 3_000_000_000,
    "bytes_per_second": 100_000_000,
    "eta_seconds": 30,
}


def test_the_images_that_a_run_brings_now_are_shown_a_few_of_them() -> None:
    images = [IMAGE, {**IMAGE, "to": "c/t/a", "eta_seconds": None}, IMAGE, IMAGE]
    run = {**RUN, "images": images, "images_in_all": 9}
    shown = list(lines({**TOLD, "replication": run}, [], NOW))
    first = next(number for number, each in enumerate(shown) if "  rules " in each) + 1
    assert shown[first : first + 4] == [
        "         r/a:1  1 GB of 4 GB, 100 MB/s, 30 s left",
        "         r/a:1 as c/t/a  1 GB of 4 GB, 100 MB/s",
        "         r/a:1  1 GB of 4 GB, 100 MB/s, 30 s left",
        "         and 6 images more",
    ]
