"""What is legal in rules and probably not meant."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import pytest

from registry_mesh.replication.lint import lint
from tests.replication.second import rules_of


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('{from: h, repos: [a, a], tags: "1"}', "repos: a is said 2 times"),
        ('{from: h, repos: "x/**", tags: "1", to: "base/{base}"}', "to: drops folders that repos leave open"),
        ('{from: h, repos: a, tags: "1", to: {registry: cloud.example}}', "to: every replica pushes there"),
        ('{from: h, repos: a, tags: "1", delete: 0s}', "delete: 0s deletes at the first look"),
        ('{from: h, repos: a, tags: "1", labels: {a: b}}', "labels: costs two requests a tag"),
        ('{from: h, repos: "re: a{1,200}", tags: "1"}', "repos: re: a{1,200} needs 399 of 1,000 states"),
        ('{name: x, from: h, repos: a, tags: "1"}\n  - {name: y, from: h, repos: a, tags: "1"}', "says the same as rule x"),
        ('{name: x, from: h, repos: "**", tags: "*"}\n  - {name: y, from: h, repos: a, tags: "1"}', "is wholly inside rule x"),
    ],
)  # fmt: skip
def test_remarks(rules: str, said: str) -> None:
    (remark,) = lint(rules_of(f"rules:\n  - {rules}"))
    assert remark.what.startswith(said)
    assert remark.place.startswith("rules.yaml:")


@pytest.mark.parametrize(
    "rules",
    [
        '{name: x, from: h, repos: "**", tags: "*", age: 3d}\n  - {name: y, from: h, repos: a, tags: "1"}',
        '{name: x, from: h, repos: ["**", "!a"], tags: "*"}\n  - {name: y, from: h, repos: a, tags: "1"}',
        '{name: x, from: g, repos: "**", tags: "*"}\n  - {name: y, from: h, repos: a, tags: "1"}',
        '{from: h, repos: "library/*", tags: "1", to: "base/{base}"}',
    ],
)
def test_what_is_meant(rules: str) -> None:
    assert lint(rules_of(f"rules:\n  - {rules}")) == []


def test_rules_that_drop_the_folders_of_different_sources_are_named_at_both() -> None:
    rule = '{{name: {}, from: h, repos: "{}/*", tags: "1", to: "base/{{base}}"}}'
    x, y = lint(rules_of(f"rules:\n  - {rule.format('x', 'library')}\n  - {rule.format('y', 'centos')}"))
    assert x.what == "to: base/{base} drops folders, and so does rule y: two repositories may get one name"
    assert (x.rule, y.rule) == ("x", "y")
