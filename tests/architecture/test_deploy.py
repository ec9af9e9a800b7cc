"""The files people copy: units, hosts.toml, examples of configurations."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
UNIT = ROOT / "deploy" / "systemd" / "registry-mesh@.service"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_examples_pass_check_config(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    outcome = CliRunner().invoke(main, ["check-config", str(path.relative_to(ROOT))])
    assert outcome.exit_code == 0, outcome.output


def test_there_is_an_example_of_each_role() -> None:
    assert {"origin", "replica", "site"} <= {path.stem for path in CONFIGS}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/opt/registry-mesh/bin/registry-mesh", "/bin/true")
    (tmp_path / "registry-mesh@.service").write_text(text)
    outcome = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "registry-mesh@site.service"],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
    )
    ours = [line for line in outcome.stderr.splitlines() if "registry-mesh" in line]
    assert ours == []


def test_the_unit_gives_pulls_more_time_than_a_drain() -> None:
    found = re.search(r"^TimeoutStopSec=(\d+)s$", UNIT.read_text(), re.MULTILINE)
    assert found
    assert int(found[1]) > 30 + 5, "the default drain, and the supervisor's margin"


def test_hosts_toml_is_toml_and_leads_to_a_mirror() -> None:
    for path in (ROOT / "deploy" / "containerd").glob("*/hosts.toml"):
        document = tomllib.loads(path.read_text())
        assert document["server"] == f"https://{path.parent.name}"
        for host in document["host"].values():
            assert host["capabilities"] == ["pull", "resolve"], "a site takes no pushes"


def test_the_unit_leaves_what_the_stores_read() -> None:
    """Holds and upload sessions tell by /proc/sys/kernel/random/boot_id whether the machine went down."""
    assert "ProcSubset=pid" not in UNIT.read_text()
