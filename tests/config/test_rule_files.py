"""Rule files: what they mean, and every fault with its place."""

# ruff: noqa: E501  (a fault is one line, here as in a terminal)

from pathlib import Path

import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.rule_files import load_rules, rule_paths
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.explain import explain
from registry_mesh.replication.rules import Platform, Rules

GOOD = """\
schema: registry-mesh/rules/1
sets:
  experiments: ["atlas/**", "cms/{prod,stage}/*", "!**/scratch/**"]
rules:
  - name: releases
    from: Registry.CERN.example
    repos: "@experiments"
    tags: ["semver: >=21 <25", latest, "re: rc-[0-9]{1,3}", "!*-debug"]
    platforms: [linux/amd64, linux/arm64]
  - name: base
    from: docker.io
    repos: [library/debian, "library/alma*"]
    tags: "12"
"""


def read(tmp_path: Path, *texts: str, registries: tuple[str, ...] | None = None) -> Rules:
    paths = []
    for i, text in enumerate(texts):
        paths.append(tmp_path / f"{i}.yaml")
        paths[-1].write_text(text)
    return load_rules(paths, registries)


def faults(tmp_path: Path, *texts: str, registries: tuple[str, ...] | None = None) -> list[str]:
    with pytest.raises(ConfigInvalid) as invalid:
        read(tmp_path, *texts, registries=registries)
    return [str(finding).removeprefix(f"{tmp_path}/") for finding in invalid.value.findings]


def test_a_good_file(tmp_path: Path) -> None:
    rules = read(tmp_path, GOOD, registries=("registry.cern.example", "docker.io"))
    releases, base = rules
    assert releases.registry == "registry.cern.example"
    assert releases.platforms == {Platform("linux", "amd64"), Platform("linux", "arm64")}
    assert base.platforms is None
    cern, docker = RegistryName("registry.cern.example"), RegistryName("docker.io")
    assert selecting(rules, cern, "atlas/athena", "22.0.3") == ["releases"]
    assert selecting(rules, cern, "cms/prod/x", "rc-12") == ["releases"]
    assert selecting(rules, cern, "atlas/scratch/x", "latest") == []
    assert selecting(rules, cern, "atlas/athena", "22.0.3-debug") == []
    assert selecting(rules, docker, "atlas/athena", "latest") == []
    assert selecting(rules, docker, "library/alma9", "12") == ["base"]


def selecting(rules: Rules, registry: RegistryName, repository: str, tag: str) -> list[str]:
    """The rules that select it."""
    reasons = explain(rules, registry, RepositoryName(repository), Tag(tag))
    return [each.rule for each in reasons if each.selected]


def rule(**keys: str) -> str:
    entry = {"name": "r", "from": "docker.io", "repos": '["a"]', "tags": '["*"]'} | keys
    body = "\n    ".join(f"{key}: {value}" for key, value in entry.items() if value)
    return f"schema: registry-mesh/rules/1\nrules:\n  - {body}\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (rule(tag='["*"]'), "0.yaml:7:5: rules[0].tag: unknown key; did you mean tags?"),
        (rule(fron="x"), "0.yaml:7:5: rules[0].fron: unknown key; did you mean from?"),
        (rule(tags=""), "0.yaml:3:5: rules[0]: tags is missing; add tags:"),
        (rule(tags="[1.10]"), '0.yaml:6:12: rules[0].tags[0]: wants a text, and 1.10 is a number; put it in quotes: "1.10"'),
        (rule(tags="[]"), "0.yaml:6:11: rules[0].tags: is an empty list; fill it or leave the key out"),
        (rule(repos='["!a"]'), '0.yaml:5:12: rules[0].repos: only excludes, so it selects nothing; add what to take, such as "**"'),
        (rule(repos='["a", "B*"]'), "0.yaml:5:18: rules[0].repos[1]: 'B*': 'B' stands in none of the names this can match"),
        (rule(repos='"@nosuch"'), "0.yaml:5:12: rules[0].repos: @nosuch is no set of this file; add it under sets:"),
        (rule(repos='"!@a"'), "0.yaml:5:12: rules[0].repos: !@a: a set cannot be excluded; put the ! before patterns in the set"),
        (rule(**{"from": "quay.io"}), "0.yaml:4:11: rules[0].from: quay.io is no configured registry; configured are: docker.io"),
        (rule(**{"from": "docker.oi"}), "0.yaml:4:11: rules[0].from: docker.oi is no configured registry; did you mean docker.io?"),
        (rule(platforms="[linux]"), "0.yaml:7:17: rules[0].platforms[0]: 'linux' is not os/architecture[/variant], such as linux/arm64"),
        (rule() + "    name: again\n", "0.yaml:7:5: rules[0].name: stands twice: first on line 3; keep one"),
        (rule().replace("rules/1", "rules/3"), '0.yaml:1:9: schema: "registry-mesh/rules/3" is none of registry-mesh/rules/1, registry-mesh/rules/2'),
        (rule() + "sets: {x: [a]}\n", "0.yaml:7:8: sets.x: no rule uses this set; use it or take it out"),
        (rule(repos='"@x"') + 'sets: {x: ["@y"], y: [a]}\n', "0.yaml:7:12: sets.x[0]: @y: a set holds patterns, not sets"),
        ("- 1\n", "0.yaml:1:1: a rule file is a mapping; begin with schema: registry-mesh/rules/2"),
        ("a: [\n", "0.yaml:2:1: not YAML:"),
    ],
)  # fmt: skip
def test_faults_say_where_and_how(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(tmp_path, text, registries=("docker.io",))
    assert found[0].startswith(fault), found


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    one = rule(tags='["{"]', repos='["A"]')
    found = faults(tmp_path, one, rule(tags='["{"]'), "]")
    assert [each.split(":")[0] for each in found] == ["0.yaml", "0.yaml", "1.yaml", "1.yaml", "2.yaml"]
    assert "1.yaml:3:11: rules[0].name: r is the name of another rule" in "\n".join(found)


def test_faults_of_a_set_are_told_once(tmp_path: Path) -> None:
    text = GOOD.replace('"atlas/**"', '"Atlas/**"').replace(
        "repos: [library/debian", 'repos: ["@experiments"'
    )
    assert len(faults(tmp_path, text)) == 1


def test_the_files_of_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no rule files"):
        rule_paths(tmp_path)
    for name in ("b.yaml", "a.yml", ".hidden.yaml", "README.md"):
        (tmp_path / name).touch()
    assert [path.name for path in rule_paths(tmp_path)] == ["a.yml", "b.yaml"]
    with pytest.raises(ConfigInvalid, match="No such file"):
        rule_paths(tmp_path / "none")


def test_short_names_of_docker_hub_are_those_of_its_library(tmp_path: Path) -> None:
    text = """\
schema: registry-mesh/rules/1
rules:
  - {name: hub, from: index.docker.io, repos: [alpine, "{busybox,almalinux}"], tags: "3"}
  - {name: quay, from: "quay.io:443", repos: [alpine], tags: "3"}
"""
    rules = read(tmp_path, text, registries=("docker.io", "quay.io"))
    hub, quay = rules
    assert (hub.registry, quay.registry) == ("docker.io", "quay.io")
    for name in ("library/alpine", "library/busybox"):
        assert name in hub.repositories
    assert "alpine" in quay.repositories
