"""`registry-mesh robot`."""

from __future__ import annotations

import json
import os
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
        ("ci", "--repo", "x", "--expires", "-1d"),
        ("ci", "--repo", "x", "--expires", "never"),
        ("ci", "--repo", "x", "--expires", ""),
    ],
)
def test_what_makes_no_robot(config: Path, arguments: tuple[str, ...]) -> None:
    assert said("create", config, *arguments)[0] == 2
    assert list((config.parent / "robots").iterdir()) == []


@pytest.mark.parametrize("life", ["0", "0s", "500ms"])
def test_a_robot_that_has_ended_is_none(config: Path, life: str) -> None:
    code, text = said("create", config, "ci", "--repo", "x", "--expires", life)
    assert (code, list((config.parent / "robots").iterdir())) == (2, [])
    assert f"{life}: a robot lives for a second at least: write how long, such as 30d" in text


def test_a_pattern_that_begins_with_a_registry_is_told_of(config: Path) -> None:
    code, text = said("create", config, "ci", "--repo", "r.example/atlas/**")
    assert (code, text.splitlines()[2:]) == (
        0,
        [
            "note: robot:ci: r.example/atlas/** begins with what looks like a registry, and names stand without that: "
            "write atlas/**, with registries: r.example; where r.example is a folder, name the folder's registry there"
        ],
    )


def test_who_may_read_the_directory_may_read_a_robot_whatever_the_umask_is(config: Path) -> None:
    """Root makes robots, and the node has a user of its own: a file that it cannot read holds up all changes."""
    before = os.umask(0o077)
    try:
        said("create", config, "ci", "--repo", "x")
        (config.parent / "robots" / "ci.json").unlink()
        (config.parent / "robots").chmod(0o750)
        said("create", config, "ci", "--repo", "x")
        modes = [(config.parent / "robots" / "ci.json").stat().st_mode & 0o777]
        (config.parent / "robots" / "ci.json").unlink()
        (config.parent / "robots").rmdir()
        config.parent.chmod(0o755)
        said("create", config, "ci", "--repo", "x")
    finally:
        os.umask(before)
    made = config.parent / "robots"
    modes += [path.stat().st_mode & 0o777 for path in (made, made / "ci.json")]
    assert modes == [0o640, 0o755, 0o644]


def test_a_robot_of_a_private_registry_has_to_name_it_and_that_is_said(config: Path) -> None:
    login = config.parent / "login"
    login.write_text("user:password")
    login.chmod(0o600)
    whole = json.loads(config.read_text())
    hub = {"parents": [["https://hub.example"]], "credentials": f"file:{login}", "aliases": ["hub.old"]}
    config.write_text(json.dumps({**whole, "role": "site", "registries": {"hub.example": hub}}))
    code, text = said("create", config, "ci", "--repo", "x", "--allow", "push")
    assert (code, text.splitlines()[2:]) == (
        0,
        [
            "note: it reads nothing of hub.example, fetched with credentials of this node: "
            "revoke it, and make it with --registry hub.example",
            "note: a site takes no pushes and no deletes, whatever a robot may do",
        ],
    )
    for i, name in enumerate(("hub.example", "hub.old", "HUB.example:443")):
        code, text = said("create", config, f"ci-{i}", "--repo", "x", "--registry", name)
        assert (code, "note:" in text) == (0, False), text
        assert load_robots(config.parent / "robots")[f"ci-{i}"].file.registries == ("hub.example",)
    code, text = said("create", config, "other", "--repo", "x", "--registry", "hub.exmaple")
    assert code == 2
    assert "hub.exmaple is no registry of this node, which serves hub.example" in text
    assert not (config.parent / "robots" / "other.json").exists()


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
