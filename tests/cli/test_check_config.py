from contextlib import chdir
from pathlib import Path

from click.testing import CliRunner

from registry_mesh.cli.main import main

CONFIG = Path(__file__).parents[2] / "config"


def test_good_files_get_a_line_each() -> None:
    paths = [str(path) for path in sorted(CONFIG.glob("*.yaml"))]
    with chdir(CONFIG.parent):  # relative paths start at the working directory
        result = CliRunner().invoke(main, ["check-config", *paths])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == len(paths) == 4
    assert (
        "site.yaml: ok: site ch-zurich-1 at http://127.0.0.1:5200, store var/site (at most 500 GiB)"
        in result.stdout
    )
    assert "registry.cern.example (default), docker.io" in result.stdout


def test_all_faults_of_all_files_and_exit_2(tmp_path: Path) -> None:
    bad, worse = tmp_path / "bad.yaml", tmp_path / "worse.yaml"
    bad.write_text("role: origin\nstore: {disk: {path: x, quotas: 1}}\nworkers: none\n")
    worse.write_text("role: [")
    result = CliRunner().invoke(main, ["check-config", str(bad), str(CONFIG / "site.yaml"), str(worse)])
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if "quota: 500 GiB, and" not in line]  # small disks
    assert lines[0] == f"{bad}:2:25: store.disk.quotas: unknown key; did you mean quota?"
    assert lines[1].startswith(f"{bad}:3:10: workers:")
    assert lines[2].startswith(f"{worse}:")
    assert len(lines) == 3
    assert result.stdout.endswith("\n3 faults in 2 files.\n")
    assert "site.yaml: ok" in result.stdout


def test_the_rule_files_of_a_replica_are_checked_with_it(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text(
        'schema: registry-mesh/rules/1\nrules:\n  - {name: a, from: other.example, repos: "**", tags: "*"}\n'
    )
    config = tmp_path / "replica.yaml"
    config.write_text(
        f"role: replica\nstore: {{disk: {{path: x}}}}\nrules: {rules}\nregistries: {{a.example: {{parents: [[http://p]]}}}}\n"
    )
    result = CliRunner().invoke(main, ["check-config", str(config)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{rules}/a.yaml:3:")
    assert "other.example is no configured registry" in result.stderr
    assert result.stdout == "1 fault in 1 file.\n"


def test_no_file_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["check-config"]).exit_code == 2
