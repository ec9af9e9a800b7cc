"""What is legal in rules and probably not meant."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import random

import pytest

from registry_mesh.replication.lint import inside_of, lint
from tests.replication.second import rules_of


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('{from: h, repos: [a, a], tags: "1"}', "repos: a is said 2 times"),
        ('{from: h, repos: ["a/**", "!a/**"], tags: "1"}', "repos: what is taken is excluded as well: nothing is selected"),
        ('{from: h, repos: a, tags: ["*", "1", "!*", "!1"]}', "tags: what is taken is excluded as well"),
        ('{from: h, repos: a, tags: "1", types: helm}', "types: helm is the type of nothing: charts of Helm are chart"),
        ('{from: h, repos: a, tags: "1", types: ["!oci"]}', "types: oci is the type of nothing: images of containers are image"),
        ('{from: h, repos: a, tags: "1", types: wasm}', "types: wasm is the type of nothing: write image, chart, sif or a media type"),
        ('{from: h, repos: "x/**", tags: "1", to: "base/{base}"}', "to: drops folders that repos leave open"),
        ('{from: h, repos: a, tags: "1", to: {registry: cloud.example}}', "to: every replica pushes there"),
        ('{from: h.example, repos: "h.example/a/*", tags: "1"}', "repos: h.example/a/* begins with its registry, and names stand without that: write a/*"),
        ('{from: h, repos: a, tags: "1", to: "cloud.example/{repo}"}', "to: cloud.example/{repo} is a name here, in the folder cloud.example; to push there write {registry: cloud.example, name: {repo}}"),
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
        '{from: h, repos: ["a/**", "!a/b"], tags: "1", types: [chart, "!application/x*"]}',
    ],
)
def test_what_is_meant(rules: str) -> None:
    assert lint(rules_of(f"rules:\n  - {rules}")) == []


def test_rules_that_drop_the_folders_of_different_sources_are_named_at_both() -> None:
    rule = '{{name: {}, from: h, repos: "{}/*", tags: "1", to: "base/{{base}}"}}'
    x, y = lint(rules_of(f"rules:\n  - {rule.format('x', 'library')}\n  - {rule.format('y', 'centos')}"))
    assert x.what == "to: base/{base} drops folders, and so does rule y: two repositories may get one name"
    assert (x.rule, y.rule) == ("x", "y")


def test_each_rule_is_compared_with_those_alone_that_may_be_around_it() -> None:
    """Against each compared with each, over rules drawn at random."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    draw = random.Random(seed)
    repos = ["a", "b", "x/a", "{a,b}", "*", "**", "x/*", "x/**", "re: a+", "!b"]
    told = 0
    for _ in range(60):
        texts = []
        for number in range(6):
            some = draw.sample(repos, draw.randrange(1, 4))
            if all(each.startswith("!") for each in some):
                some.append("a")
            several = ", ".join(f'"{each}"' for each in some)
            texts.append(
                f'  - {{name: r{number}, from: {draw.choice("gh")}, repos: [{several}], tags: "{draw.choice("1*")}"}}'
            )
        rules = rules_of("rules:\n" + "\n".join(texts))
        found = [each for each in lint(rules) if "rule r" in each.what]
        every = list(enumerate(rules))
        each_with_each = [
            remark
            for i, rule in every
            if (remark := inside_of(i, rule, [(j, o) for j, o in every if o.registry == rule.registry]))
        ]
        assert found == each_with_each, texts
        told += len(found)
    assert told


def test_many_that_make_one_name_are_not_all_named() -> None:
    many = "\n".join(
        f'  - {{name: r{n}, from: h, repos: "x{n}/*", tags: "1", to: "b/{{base}}"}}' for n in range(9)
    )
    (first, *_) = lint(rules_of(f"rules:\n{many}"))
    assert first.what.endswith("rules r1, r2, r3, r4, r5 and 3 more: two repositories may get one name")
