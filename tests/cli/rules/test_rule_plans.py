"""`registry-mesh rules plan` and `rules diff`: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from registry_mesh.cli.main import main

A, B = (f"sha256:{letter * 64}" for letter in "ab")
RULES = """\
schema: registry-mesh/rules/2
rules:
  - {name: releases, from: h.example, repos: "atlas/**", tags: "semver: >=1 <2", age: 1d, delete: 7d}
"""
NOW = 1764400000


def listing(path: Path, **tags: object) -> str:
    lines = [
        {"schema": "registry-mesh/listing/1"},
        {"registry": "h.example", "repository": "atlas/athena", "listed_at": NOW, "tags": tags},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def rules(path: Path, text: str = RULES) -> str:
    path.write_text(text)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments])


def test_a_plan_as_text_as_json_and_as_markdown(tmp_path: Path) -> None:
    seen = {
        "1.0": {"digest": A, "since": 0, "blobs": {A: 1000, B: 1 << 20}},
        "1.1": {"digest": B, "since": NOW - 3600},
    }
    common = (
        rules(tmp_path / "r.yaml"),
        "--listing",
        listing(tmp_path / "l.jsonl", **seen),
        "--now",
        str(NOW),
    )
    text = run("plan", *common, "--node", "replica-1", "--rate", "1KiB", "--price", "1000")
    assert text.exit_code == 0, text.output
    lines = text.output.splitlines()
    assert lines[0].startswith("rules ") and "replica-1 as of 2025-11-29 07:06 UTC" in lines[0]
    assert lines[2:5] == [
        "rule      copy  move  wait  delete  refuse  to bring  freed",
        "releases     1     0     1       0       0   1.0 MiB      -",
        "all          1     0     1       0       0   1.0 MiB      -",
    ]
    assert "link 1.0 KiB/s: rule releases ends last, 2025-11-29 07:23 UTC" in lines
    assert "egress 0.0 GiB x 1000 USD = 0.98 USD" in lines
    assert f"waits: h.example/atlas/athena:1.1: h.example/atlas/athena:1.1 shows {B} since" in text.output
    one, two = (run("plan", *common, "--format", "json").output for _ in range(2))
    told = json.loads(one)
    assert one == two
    assert (told["schema"], told["totals"]["bytes"]) == ("registry-mesh/plan/1", 1000 + (1 << 20))
    assert [(s["do"], s["to"], s["new_bytes"]) for s in told["steps"]] == [
        ("copy", "h.example/atlas/athena:1.0", 1000 + (1 << 20))
    ]
    assert "| releases | 1 | 0 | 1 |" in run("plan", *common, "--format", "markdown").output


TWO = RULES + "  - {name: tools, from: h.example, repos: tools, tags: '*'}\n"


def heavy(folder: Path) -> list[str]:
    """The arguments of a plan of two rules: one brings 3 GiB, the other 1."""
    shown = {
        "atlas/athena": {"1.0": {"digest": A, "since": 0, "blobs": {A: 3 << 30}}},
        "tools": {each: {"digest": B, "since": 0, "blobs": {B: 1 << 30}} for each in ("x", "y", "z")},
    }
    lines = [
        {"schema": "registry-mesh/listing/1"},
        *({"registry": "h.example", "repository": n, "listed_at": NOW, "tags": t} for n, t in shown.items()),
    ]
    (folder / "l.jsonl").write_text("\n".join(map(json.dumps, lines)))
    link = ["--rate", "100MiB", "--price", "0.05", "--now", str(NOW), "--node", "eu-1"]
    return [rules(folder / "r.yaml", TWO), "--listing", str(folder / "l.jsonl"), *link]


def test_bytes_time_and_money_by_rule(tmp_path: Path) -> None:
    arguments = heavy(tmp_path)
    text = run("plan", *arguments)
    assert text.exit_code == 0, text.output
    assert text.output.splitlines()[-3:] == [
        "egress 4.0 GiB x 0.05 USD = 0.20 USD",
        "  releases: 3.0 GiB, 31 s of link, done 2025-11-29 07:07 UTC, 0.15 USD",
        "  tools: 1.0 GiB, 10 s of link, done 2025-11-29 07:06 UTC, 0.05 USD",
    ]
    told = json.loads(run("plan", *arguments, "--format", "json").output)
    assert [each["by_rule"] for each in told["cost"]] == [{"releases": 0.15, "tools": 0.05}]
    assert (told["by_rule"]["tools"]["bytes"], told["time"]["tools"]["seconds"]) == (1 << 30, 10.24)


def test_equal_inputs_give_equal_plans_in_another_process(tmp_path: Path) -> None:
    """Whatever the seed of hashes, the language, the zone of its clock, and the folder that it is run in."""
    arguments = ["-m", "registry_mesh", "rules", "plan", *heavy(tmp_path), "--format", "json"]
    here = run("plan", *heavy(tmp_path), "--format", "json").output
    language = {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "4242"}
    environment = os.environ | language | {"PYTHONPATH": str(Path(__file__).parents[3])}
    told = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=tmp_path, capture_output=True, check=True
    )
    assert told.stdout.decode() == here


def test_the_guard_stops_a_plan_with_its_digest(tmp_path: Path) -> None:
    held = {f"1.{i}": {"digest": A, "here": 0, "rules": ["releases"], "gone": 0} for i in range(10)}
    arguments = ("--held", listing(tmp_path / "held.jsonl", **held), "--now", str(NOW))
    result = run(
        "plan", rules(tmp_path / "r.yaml"), "--listing", listing(tmp_path / "l.jsonl", latest=A), *arguments
    )
    assert result.exit_code == 3
    said = "stopped: 10 of 10 tags of h.example (100 %) would go, the guard is 10 %; nothing was deleted."
    assert f"{said} `rules approve sha256:" in result.output


def test_a_difference(tmp_path: Path) -> None:
    seen = listing(tmp_path / "l.jsonl", **{"1.0": {"digest": A, "size": 2048, "since": 0}, "2.0": A})
    old, new = rules(tmp_path / "o.yaml"), rules(tmp_path / "n.yaml", RULES.replace("<2", "<3"))
    result = run("diff", old, new, "--listing", seen, "--now", str(NOW), "--exit-code")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "+ h.example/atlas/athena:2.0  releases  tags: semver: >=1 <3 (was semver: >=1 <2)",
        "1 of 2 references changes; 1 comes",
    ]
    gone = run("diff", new, rules(tmp_path / "x.yaml", RULES.replace(">=1 <2", ">=9 <10")), "--listing", seen)
    assert (
        "- h.example/atlas/athena:1.0  releases  tags: 1.0 is taken by none of semver: >=9 <10" in gone.output
    )
    assert "2 of 2 references change; 2 go (2.0 KiB)" in gone.output
    same = run("diff", old, old, "--listing", seen, "--exit-code", "--format", "json")
    assert (same.exit_code, json.loads(same.output)) == (0, {"tags": 2, "changes": []})


def test_a_difference_counts_what_is_held_and_what_any_listing_knows(tmp_path: Path) -> None:
    old = rules(tmp_path / "o.yaml")
    held = listing(tmp_path / "h.jsonl", **{"1.0": A})
    fixed = rules(tmp_path / "f.yaml", RULES.replace("age: 1d", 'age: 1d, fixed: "*"'))
    seen = listing(tmp_path / "l.jsonl", **{"1.0": B})
    result = run("diff", old, fixed, "--listing", seen, "--held", held, "--format", "json")
    (change,) = json.loads(result.output)["changes"]
    assert (change["kind"], change["because"]) == (
        "-",
        f"h.example/atlas/athena:1.0 is fixed: it stays at {A}, and its source says {B}",
    )
    labelled = rules(tmp_path / "n.yaml", RULES.replace("age: 1d", "labels: {tier: prod}"))
    images = [{"platform": "linux/amd64", "type": "x", "labels": {"tier": None}}]
    more = listing(tmp_path / "m.jsonl", **{"1.0": {"digest": B, "images": images}})
    for order in ((seen, more), (more, seen)):
        options = [each for file in order for each in ("--listing", file)]
        result = run("diff", old, labelled, *options)
        assert "1 goes" in result.output
        assert "labels: each image must have tier=prod" in result.output


def test_a_plan_against_a_commit_says_what_changes_by_repository(tmp_path: Path) -> None:
    folder = tmp_path / "repo" / "rules"
    folder.mkdir(parents=True)
    for each in ("init -q", "config user.email a@b.example", "config user.name a"):
        git(folder, *each.split())
    file = rules(folder / "releases.yaml", RULES.replace(", age: 1d", ""))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    rules(folder / "releases.yaml", RULES.replace(", age: 1d", "").replace(">=1 <2", ">=1.1 <3"))
    rules(folder / "more.yaml", RULES.replace("releases", "more").replace("atlas/**", "cms/**"))
    tags = {
        "1.0": {"digest": A, "size": 1 << 20},
        "1.1": {"digest": A},
        "2.0": {"digest": B, "blobs": {B: 2048}},
    }
    common = (str(folder), "--listing", listing(tmp_path / "l.jsonl", **tags), "--now", str(NOW))
    said = run("plan", *common, "--against", "HEAD")
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert lines[0] == "2 rules, 0 of 0 tests pass; 1 at HEAD."
    assert lines[2].split() == ["REPOSITORY", "TAGS", "BYTES", "TO", "COPY", "BECAUSE"]
    assert lines[3].split(maxsplit=7) == [
        "+", "h.example/atlas/athena", "+1", "+2.0", "KiB", "2.0", "KiB",
        f"{file}:3:5 tags: semver: >=1.1 <3 (was semver: >=1 <2)",
    ]  # fmt: skip
    assert lines[4].split()[:5] == ["-", "h.example/atlas/athena", "-1", "-1.0", "MiB"]
    assert "HEAD:" in lines[4] and "releases.yaml:3:5" in lines[4], "the rule of before"
    assert lines[6] == "2 of 3 references change; 1 comes (2.0 KiB), 1 goes (1.0 MiB)"
    assert lines[8].startswith("rules "), "the plan follows"
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "second")
    assert run("plan", *common, "--against", "HEAD").output.splitlines()[1] == "0 of 3 references change"
    assert run("plan", file, *common[1:], "--against", "HEAD~1").output.startswith("1 rule, ")
    for commit in ("nowhere", "--output=x", ""):
        wrong = run("plan", *common, f"--against={commit}")
        assert (wrong.exit_code, "is no commit of the repository" in wrong.output) == (2, True), wrong.output
    alone = rules(tmp_path / "alone.yaml")
    outside = run("plan", alone, *common[1:], "--against", "HEAD")
    assert (outside.exit_code, "not a git repository" in outside.output) == (2, True)
    assert run("plan", *common, "--against", "HEAD", "--format", "json").exit_code == 2


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)
