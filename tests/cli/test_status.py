"""`status`: what is shown of what a node says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner

from registry_mesh.cli.main import main
from registry_mesh.cli.status import lines

NOW = 1_795_516_936.0  # 2026-11-24 10:42:16 UTC
TOLD: dict[str, Any] = {
    "verdict": "s serves. One thing is worth a look.",
    "role": "site",
    "version": "0.1.0",
    "uptime_seconds": 700_000.0,
    "generation": 3,
    "workers": [{}, {}],
    "store": {"used_bytes": 41_800_000_000_000, "quota_bytes": 50_000_000_000_000},
    "last_day": {
        "since": NOW - 23.5 * 3600,
        "requests": 61_904,
        "failures": 41,
        "sent_bytes": 22_600_000_000_000,
        "upstream_bytes": 450_000_000_000,
        "saved_bytes": 22_200_000_000_000,
        "hit_ratio_requests": 0.992,
        "hit_ratio_bytes": 0.98,
    },
    "registries": {
        "registry.cern.example": {
            "cache": {"hit_ratio_requests": None},
            "parents": [[{"url": "http://p:1", "state": "up"}], [{"url": "http://q:1", "state": "down"}]],
        }
    },
    "findings": [
        {"name": "parent-down", "state": "warn", "sentence": "q:1 refuses connections.", "next": "its admin"}
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


def test_a_node_is_shown() -> None:
    assert list(lines(TOLD, [EVENT], NOW)) == [
        "▲ s serves. One thing is worth a look.",
        "",
        "  24 h   22.6 TB served          450 GB over the WAN     22.2 TB saved",
        "  hits   98.0% of bytes          99.2% of requests       41 of 61,904 requests failed",
        "  store  41.8 TB of 50 TB",
        "  node   site, 0.1.0             up 8 d                  2 workers, configuration 3",
        "",
        "  registry               hits  parents",
        "  registry.cern.example  -     p:1 up, q:1 down",
        "",
        "▲ q:1 refuses connections.\n  Next: its admin",
        "",
        "  refused and failed, the last first",
        "  10:41  r/a: no?[2J answer (parent: down, 3 times)",
    ]


def test_a_young_node_says_since_when_and_of_many_refusals_a_few() -> None:
    young = {**TOLD, "last_day": {**TOLD["last_day"], "since": NOW - 7200}, "registries": {}, "findings": []}
    shown = list(lines(young, [EVENT] * 9, NOW))
    assert shown[2].startswith("  2 h    22.6 TB served")
    assert shown[-1] == "  5 more: /api/1/events"


def test_a_node_that_does_not_answer(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(
        "role: site\nadmin: {port: 9}\nstore: {disk: {path: /tmp/x}}\n"
        'registries: {r.example: {parents: [["http://p:1"]]}}\n'
    )
    outcome = CliRunner().invoke(main, ["status", str(config)])
    assert outcome.exit_code == 3
    assert "is it running" in outcome.stderr
