"""`registry-mesh rules`: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from registry_mesh.cli.main import main

RULES = Path(__file__).parents[3] / "config" / "rules"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments])


def test_the_rules_we_ship_are_fine() -> None:
    result = run("lint", str(RULES))
    assert (result.exit_code, result.output) == (0, "ok: 2 rules, from registry.cern.example\n")


def test_lint_lists_the_faults_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("schema: registry-mesh/rules/1\nrule: []\n")
    (tmp_path / "b.yaml").write_text("[")
    result = run("lint", str(tmp_path))
    assert result.exit_code == 2
    assert "a.yaml:2:1: rule: unknown key; did you mean rules?" in result.output
    assert "b.yaml:2:1: not YAML" in result.output
    assert run("lint", str(tmp_path / "none.yaml")).exit_code == 2


def write(directory: Path, rule: str) -> Path:
    path = directory / "r.yaml"
    path.write_text(f"schema: registry-mesh/rules/1\nrules:\n  - {rule}\n")
    return path


def test_lint_knows_the_names_of_platforms(tmp_path: Path) -> None:
    path = write(
        tmp_path, "{name: r, from: a.example, repos: a, tags: 1, platforms: [linux/amd64, linux/arm46]}"
    )
    path.write_text(path.read_text().replace("tags: 1", 'tags: "1"'))
    result = run("lint", str(path))
    assert result.exit_code == 2
    assert "r.yaml:3:" in result.output
    assert "linux/arm46 is no platform that is known; did you mean linux/arm64?" in result.output
    assert run("explain", "a.example/a:1", str(path)).exit_code == 0, "the rule holds all the same"


def test_a_pattern_beyond_its_bounds_is_refused_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, '{name: r, from: a.example, repos: "re: (.{0,60}x){0,20}", tags: "*"}')
    result = run("lint", str(path))
    assert result.exit_code == 2
    assert "r.yaml:3:" in result.output and "2,441 states, 1,000 are allowed" in result.output


@pytest.mark.parametrize("ref", ["docker.io/alpine:3", "docker.io/library/alpine:3"])
@pytest.mark.parametrize("repos", ["alpine", "library/alpine", "{alpine,debian}"])
def test_short_names_of_docker_hub_are_those_of_its_library(tmp_path: Path, ref: str, repos: str) -> None:
    path = write(tmp_path, f'{{name: r, from: docker.io, repos: "{repos}", tags: "*"}}')
    assert run("explain", ref, str(path)).exit_code == 0


def test_explain_names_rule_and_pattern() -> None:
    result = run("explain", "registry.cern.example/atlas/athena:22.0.3", str(RULES))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"● Wanted (rule releases, {RULES}/releases.yaml:6:5).",
        "  RULE         REPOSITORY                        TAG",
        "  releases     yes  atlas/** of set experiments  yes  semver: >=21 <25  yes",
        "  base-images  no   library/{alma,debian}        not asked              no",
        "  releases: platforms: linux/amd64, linux/arm64",
    ]


def test_explain_says_what_keeps_it_out() -> None:
    result = run("explain", "registry.cern.example/atlas/scratch/x:latest", str(RULES))
    assert result.exit_code == 1
    assert result.output.splitlines()[:3] == [
        "■ Not wanted: kept out by !**/scratch/** of set experiments "
        f"(rule releases, {RULES}/releases.yaml:6:5).",
        "  RULE         REPOSITORY                              TAG",
        "  releases     no   !**/scratch/** of set experiments  not asked  no",
    ]
    assert run("explain", "other.example/a:1", str(RULES)).exit_code == 1


@pytest.mark.parametrize("ref", ["a", "a/b", "a/B:1", "a/b:", ":1", "a b/c:1"])
def test_what_is_no_reference(ref: str) -> None:
    assert run("explain", ref, str(RULES)).exit_code == 2


SECOND = """\
schema: registry-mesh/rules/2
rules:
  - {name: base, from: docker.io, repos: "library/*", tags: ["9"], age: 3d, to: "base/{base}", note: why}
  - {name: etcd, from: h.example, repos: etcd, tags: "semver: >=3.5.4-0"}
tests:
  - {given: "h.example/etcd:3.5.4-0", expect: etcd}
"""


def second(directory: Path, text: str = SECOND) -> str:
    path = directory / "r.yaml"
    path.write_text(text)
    return str(path)


def test_lint_runs_the_tests_of_the_files_and_reads_a_catalog(tmp_path: Path) -> None:
    path = second(tmp_path)
    assert run("lint", path).output == "ok: 2 rules, from docker.io, h.example\n"
    catalog = tmp_path / "listing.jsonl"
    tags = dict.fromkeys(("3.5.4-0", "3.6.1-0"), f"sha256:{'a' * 64}")
    lines = [
        {"schema": "registry-mesh/listing/1"},
        {"registry": "h.example", "repository": "etcd", "tags": tags},
    ]
    catalog.write_text("\n".join(map(json.dumps, lines)))
    said = run("lint", path, "--catalog", str(catalog))
    assert "r.yaml:4:5: look: rule etcd: tags: 1 tag such as 3.6.1-0 has a suffix" in said.output
    catalog.write_text(catalog.read_text().replace("sha256:", "md5:"))
    wrong = run("lint", path, "--catalog", str(catalog))
    assert (wrong.exit_code, "listing.jsonl:2:1: no recorded listing: " in wrong.output) == (2, True)
    second(tmp_path, SECOND.replace("expect: etcd", "expect: none"))
    failed = run("lint", path)
    assert failed.exit_code == 1
    assert "r.yaml:6:5: test of h.example/etcd:3.5.4-0: expects none, and it is etcd" in failed.output


def test_test_counts_and_explains(tmp_path: Path) -> None:
    path = second(tmp_path)
    assert run("test", path).output == "● 1 of 1 tests pass.\n"
    two = SECOND.replace("expect: etcd}", "expect: base}\n  - {given: h.example/other:1, expect: etcd}")
    result = run("test", second(tmp_path, two))
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "■ 0 of 2 tests pass.",
        f"  {path}:6:5  h.example/etcd:3.5.4-0",
        "    expected  base",
        "    is        etcd",
        f"  {path}:7:5  h.example/other:1",
        "    expected  etcd",
        f"    is        not wanted: repos: other is taken by none of etcd ({path}:4:5)",
    ]
    told = json.loads(
        run("test", second(tmp_path, SECOND.replace("expect: etcd", "expect: x")), "--format", "json").output
    )
    assert [each["why"] for each in told["failed"]] == ["expects x, and it is etcd"]


def test_explain_tells_guards_and_targets(tmp_path: Path) -> None:
    result = run("explain", "docker.io/alma:9", second(tmp_path))
    assert result.exit_code == 0
    assert result.output.splitlines()[1:] == [
        "  RULE  REPOSITORY          TAG",
        "  base  yes  library/*      yes  9     yes",
        "  etcd  is about h.example  not asked  no",
        "  base: note: why",
        "  base: age: taken after it has shown a value for 3 d",
        "  base: to docker.io/base/alma:9",
    ]
    denied = SECOND + 'deny: [{from: docker.io, repos: "library/alma", note: incident}]\n'
    result = run("explain", "docker.io/alma:9", second(tmp_path, denied))
    told = f"■ Denied: incident ({tmp_path}/r.yaml:7:8)."
    assert (result.exit_code, result.output.splitlines()[0]) == (1, told)
    result = run("explain", "h.example/etcd:latest", second(tmp_path))
    assert result.output.splitlines()[0] == "■ Not wanted: no rule takes it."
    assert result.output.splitlines()[-1] == (
        "  etcd: tag: it is no version, and semver: >=3.5.4-0 takes versions"
    )


def test_migrate_changes_the_schema_alone_and_says_what_differs(tmp_path: Path) -> None:
    path = write(tmp_path, '{name: r, from: a.example, repos: "{**,b}/x", tags: "semver: *"}  # why')
    before = path.read_text()
    shown = run("migrate", str(path))
    assert shown.exit_code == 1
    assert shown.output.splitlines() == [
        f"{path}: to be written as registry-mesh/rules/2",
        "r: {**,b}/x: braces are an abbreviation now: ** in or beside them may span folders",
        "r: tags with leading zeros, such as 22.04, are versions now",
    ]
    assert path.read_text() == before
    run("migrate", str(path), "--write")
    assert path.read_text() == before.replace("rules/1", "rules/2")
    assert run("migrate", str(path)).exit_code == 0


def test_import_writes_rules_and_tells_what_it_refuses(tmp_path: Path) -> None:
    recipe, tags = tmp_path / "recipe.yaml", tmp_path / "tags"
    recipe.write_text("input: ['https://quay.io/a/b:1.*', {apptainer_def: x}]\n")
    tags.write_text("1.0\n1x\n2\n")
    result = run("import", "ducc", str(recipe))
    assert result.exit_code == 1
    assert '  - {name: "a/b", from: "quay.io", repos: "a/b", tags: "re: 1..*"}' in result.output
    assert "built from a definition file" in result.output
    assert "2 entries: 1 rules, 1 refused" in result.output
    checked = run("import", "ducc", str(recipe), "--check", str(tags))
    assert (checked.exit_code, checked.output) == (0, "1 patterns compared over 3 tags: 0 differences\n")
    recipe.write_text("input: [")
    assert run("import", "ducc", str(recipe)).exit_code == 2


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("prod/app:1.7.0", "the registry is missing; write REGISTRY/REPOSITORY:TAG"),
        ("app:1.7.0", "the registry is missing"),
        ("registry.example/prod/app", "the tag is missing"),
        ("localhost:5000/prod/app", "the tag is missing"),
    ],
)
def test_explain_tells_which_part_of_a_reference_is_missing(ref: str, words: str) -> None:
    result = run("explain", ref, str(RULES))
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("\n", " ").split()) or words in str(result.stderr)
