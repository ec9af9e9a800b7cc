"""The files people copy: units, hosts.toml, examples of configurations."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
UNIT = ROOT / "deploy" / "systemd" / "registry-mesh@.service"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_examples_pass_check_config(path: Path) -> None:
    with chdir(ROOT):
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


def test_an_invalid_file_is_not_tried_for_ever_by_the_unit() -> None:
    """RestartPreventExitStatus= looks at the main process alone (systemd.service(5))."""
    unit = UNIT.read_text()
    assert "ExecStartPre=" not in unit
    assert re.search(r"^RestartPreventExitStatus=78$", unit, re.MULTILINE)


def test_the_unit_has_folders_for_what_the_page_puts_there() -> None:
    unit, page = UNIT.read_text(), (ROOT / "docs" / "operating.md").read_text()
    for folder, setting in (
        ("/var/lib/registry-mesh/site", "StateDirectory=registry-mesh/%i"),
        ("/var/log/registry-mesh/", "LogsDirectory=registry-mesh"),
    ):
        assert folder in page
        assert setting in unit


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="no systemd here")
def test_systemd_makes_the_user_of_the_unit(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    path = ROOT / "deploy" / "systemd" / "registry-mesh.sysusers.conf"
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(path)], check=True, capture_output=True)
    assert "registry-mesh:" in (tmp_path / "etc" / "passwd").read_text()
    assert "User=registry-mesh" in UNIT.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become the unit's user")
def test_the_unit_s_user_serves_with_secrets_of_its_group(open_folder: Path) -> None:
    """As systemd would start it: another user, the group of the secrets, folders that are its own."""
    user, group = 64_123, 64_124
    secret, config = open_folder / "hub.json", open_folder / "site.yaml"
    secret.write_text("robot:secret")
    os.chown(secret, 0, group)
    secret.chmod(0o640)
    for name in ("store", "log"):
        (open_folder / name).mkdir()
        os.chown(open_folder / name, user, group)
    config.write_text(
        f"role: site\nstore: {{disk: {{path: {open_folder}/store}}}}\nlog: {{access: {open_folder}/log/a.log}}\n"
        f"registries: {{r.example: {{parents: [[http://127.0.0.1:1]], credentials: 'file:{secret}'}}}}\n"
    )
    config.chmod(0o644)

    def checked(*groups: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["setpriv", f"--reuid={user}", *groups, sys.executable, "-m", "registry_mesh", "check-config", str(config)],
            capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        )  # fmt: skip

    served = checked(f"--regid={group}", "--clear-groups")
    assert served.returncode == 0, served.stderr
    refused = checked("--regid=64125", "--clear-groups")
    assert refused.returncode == 2
    assert "let the node's user read it" in refused.stderr
