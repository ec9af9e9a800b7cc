"""Alerts, dashboard and page: made from the names, and taken by promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from registry_mesh.telemetry import names
from registry_mesh.telemetry.alert_table import ALERTS, Alert
from registry_mesh.telemetry.alerts import HANDBOOK, rules, said_by
from registry_mesh.telemetry.handbook import FILES, publish
from registry_mesh.telemetry.names import METRICS, PREFIX

ROOT = Path(__file__).parents[2]
PROMTOOL = shutil.which("promtool")


@pytest.mark.parametrize("name", FILES)
def test_what_is_published_is_what_the_names_make(name: str) -> None:
    assert (ROOT / name).read_text() == FILES[name](""), "run python -m registry_mesh.telemetry.handbook ."


def test_every_finding_has_an_alert() -> None:
    assert {alert.finding for alert in ALERTS} >= set(names.FINDINGS)


def test_every_alert_leads_to_an_anchor_of_the_page_that_is_served(tmp_path: Path) -> None:
    page = (ROOT / HANDBOOK.partition("#")[0]).with_suffix(".md").read_text()
    anchors = set(re.findall(r'<a id="([a-z-]+)"></a>', page))
    assert "runbook_url" not in rules(), "where nobody said where the documentation is"
    for docs in ("https://docs.example/mesh", "https://docs.example/mesh/"):
        urls = re.findall(r'"runbook_url": "([^"]*)"', rules(docs))
        assert len(urls) == len(ALERTS)
        for url in urls:
            where, _, anchor = url.partition("#")
            assert where == docs.rstrip("/") + "/docs/findings.html"
            assert anchor in anchors, url


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_the_runbook_of_an_alert_is_a_command_that_explains_it(alert: Alert) -> None:
    runbook = said_by(alert, "")["runbook"]
    assert json.dumps(runbook) in rules()
    program, *words = runbook.split()
    done = CliRunner().invoke(main, words)
    assert (program, done.exit_code) == ("registry-mesh", 0), done.output
    assert done.output.startswith(f"{alert.finding}: ") and f"Alert: {alert.name}, " in done.output
    assert CliRunner().invoke(main, ["explain", alert.name]).output == done.output


def test_nothing_is_asked_for_that_there_is_not(tmp_path: Path) -> None:
    publish(tmp_path)
    known = {PREFIX + metric.name for metric in METRICS} | {f"{PREFIX}build_info"}
    for name in FILES:
        for found in re.findall(rf"{PREFIX}[a-z_]+", (tmp_path / name).read_text()):
            assert found.removesuffix("_bucket") in known, (name, found)
    board = json.loads((tmp_path / "deploy/grafana/registry-mesh.json").read_text())
    assert all(panel["description"] for panel in board["panels"] if panel["type"] != "row")


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here: install prometheus")
@pytest.mark.parametrize(
    ("what", "file"),
    [
        ("check", "alerts.yaml"),
        ("test", "alerts_test.yaml"),
        ("test", "alerts_samples_test.yaml"),
        ("test", "alerts_week_test.yaml"),
    ],
)
def test_promtool_takes_the_rules_and_their_tests(what: str, file: str) -> None:
    done = subprocess.run(
        [str(PROMTOOL), what, "rules", file],
        cwd=ROOT / "deploy" / "prometheus",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
