"""`registry-mesh explain`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.findings_page import entries
from registry_mesh.cli.main import main
from registry_mesh.findings.finding import NAMES
from registry_mesh.telemetry.alert_table import ALERTS

ROOT = Path(__file__).parents[2]


def said(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["explain", *words])
    return done.exit_code, done.output


def test_a_finding_is_told_as_the_page_has_it() -> None:
    code, text = said("parent-denied")
    assert code == 0
    first, when, *more, after, alert = text.splitlines()
    assert first == "parent-denied: broken: a job fails, or will"
    assert when.startswith("  It is so when a parent does not take")
    assert all(line.startswith("    ") for line in more), "a sentence that goes on"
    assert after.startswith("  Next: ")
    assert alert == "  Alert: RegistryMeshParentDenied, critical, after 5m"
    assert said("NODE-DOWN")[1].startswith("node-down: an alert of Prometheus alone\n")


def test_the_page_explains_every_finding_and_what_it_prints_is_plain_text() -> None:
    known = entries()
    assert list(known)[: len(NAMES)] == list(NAMES)
    assert {alert.finding for alert in ALERTS} <= set(known)
    assert all(each.when and not set("`[<|") & set(each.when + each.next) for each in known.values())


def test_a_package_that_is_built_has_the_page(tmp_path: Path) -> None:
    words = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as built:
        assert built.read("registry_mesh/findings.md") == (ROOT / "docs/findings.md").read_bytes()


def test_without_a_name_all_are_listed_and_each_can_be_asked_for() -> None:
    names = [line.split()[0] for line in said()[1].splitlines()]
    assert set(names) > set(NAMES)
    for name in names:
        code, text = said(name)
        assert code == 0 and max(map(len, text.splitlines())) <= 96


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ofline", "did you mean offline?"),
        ("xyzzy", "registry-mesh explain lists them"),
        ("r.example/app:1", "registry-mesh rules explain, or access explain"),
    ],
)
def test_what_is_none_is_refused_with_what_may_be_meant(name: str, words: str) -> None:
    code, text = said(name)
    assert code == 2 and words in text
