"""`registry-mesh robot`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.auth.robots import digest
from registry_mesh.cli.robot import command
from registry_mesh.config.robot_files import load_robots


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "robots").mkdir()
    file = tmp_path / "origin.yaml"
    access = {"anonymous": "nothing", "robots": str(tmp_path / "robots")}
    whole = {"role": "origin", "store": {"disk": {"path": str(tmp_path / "store")}}, "access": access}
    file.write_text(json.dumps(whole))
    return file


def said(*arguments: str | Path) -> tuple[int, str]:
    outcome = CliRunner().invoke(command, [str(each) for each in arguments])
    return outcome.exit_code, outcome.output


def test_the_first_robot_makes_the_directory(config: Path) -> None:
    (config.parent / "robots").rmdir()
    assert said("create", config, "ci", "--repo", "x")[0] == 0
    assert list(load_robots(config.parent / "robots")) == ["ci"]


def test_a_robot_from_birth_to_revocation(config: Path) -> None:
    code, text = said("create", config, "ci", "--repo", "atlas/**", "--repo", "!atlas/x", "--allow", "push")
    user, secret = (line.split()[1] for line in text.splitlines())
    assert (code, user, secret.startswith("rmr_")) == (0, "robot$ci", True)
    robots = load_robots(config.parent / "robots")
    assert robots["ci"].robot.secret == digest(secret)
    assert secret not in (config.parent / "robots" / "ci.json").read_text()
    code, text = said("list", config)
    assert (code, text.startswith("ci: push in atlas/**, !atlas/x until 2")) == (0, True)
    assert said("create", config, "ci", "--repo", "x")[0] == 1
    assert said("revoke", config, "ci") == (0, "revoked ci\n")
    assert said("revoke", config, "ci")[0] == 1
    assert load_robots(config.parent / "robots") == {}
    assert list((config.parent / "robots").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("../ci", "--repo", "x"),
        ("CI", "--repo", "x"),
        ("ci",),
        ("ci", "--repo", "["),
        ("ci", "--repo", "!x"),
        ("ci", "--repo", "x", "--allow", "write"),
        ("ci", "--repo", "x", "--expires", "soon"),
        ("ci", "--repo", "x", "--expires", "99999999d"),
    ],
)
def test_what_makes_no_robot(config: Path, arguments: tuple[str, ...]) -> None:
    assert said("create", config, *arguments)[0] == 2
    assert list((config.parent / "robots").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"name": "other"}, "other is not the robot of this file"),
        ({"secret": "plain"}, "secret"),
        ({"expires": "2027-01-01"}, "2027-01-01 is no time"),
        ({"allow": ["write"]}, "allow"),
        ({"repos": ["["]}, "repos"),
        ({"more": 1}, "more: unknown key"),
        ({"schema": "registry-mesh/robot/9"}, "schema"),
    ],
)
def test_a_file_that_is_no_robot_has_its_fault(config: Path, change: dict[str, object], what: str) -> None:
    said("create", config, "ci", "--repo", "x")
    file = config.parent / "robots" / "ci.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change, indent=1))
    code, text = said("list", config)
    assert code == 2
    assert what in text
    assert text.startswith(f"{file}:")
