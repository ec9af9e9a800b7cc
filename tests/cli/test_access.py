"""`registry-mesh access`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from registry_mesh.auth.access import Action
from registry_mesh.auth.policies import ALLOWS
from registry_mesh.cli.access import command

EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "access"


def said(*arguments: str | Path) -> tuple[int, str]:
    outcome = CliRunner().invoke(command, [str(each) for each in arguments])
    return outcome.exit_code, outcome.output


def test_lint() -> None:
    assert said("lint", EXAMPLE) == (0, "ok: 4 policies, 1 groups\n")


def test_lint_tells_of_a_group_that_nobody_is_in(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "schema: registry-mesh/access/1\n"
        "groups: {guests: [bob]}\n"
        "policies:\n"
        '  - {name: open, repos: "**", subjects: [everybody, "@ci:namespace:a"], allow: pull}\n'
        '  - {name: closed, repos: "x/**", subjects: ["@guests", "@gusts"], deny: pull}\n'
    )
    code, text = said("lint", file)
    assert code == 0
    assert text.splitlines() == [
        f"{file}:5: look: closed: nobody is in @gusts: no file here has it under groups:",
        "ok: 2 policies, 1 groups",
    ]


def test_lint_tells_of_patterns_that_begin_with_a_registry(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "schema: registry-mesh/access/1\n"
        "policies:\n"
        '  - {name: open, repos: ["r.example/a/**", "!localhost/b", "r.example", "v1.2/a", "*.b/a"], '
        "subjects: everybody, allow: pull}\n"
        "  - {name: named, repos: r.example/a, registries: [r.example, s.example], subjects: a, deny: pull}\n"
        "  - {name: folder, repos: r.example/a, registries: s.example, subjects: a, deny: pull}\n"
    )
    code, text = said("lint", file)
    looks = "begins with what looks like a registry, and names stand without that: write"
    folder = "is a folder, name the folder's registry there"
    assert (code, text.splitlines()) == (
        0,
        [
            f"{file}:3: look: open: r.example/a/** {looks} a/**, with registries: r.example; where r.example {folder}",
            f"{file}:3: look: open: !localhost/b {looks} !b, with registries: localhost; where localhost {folder}",
            f"{file}:4: look: named: r.example/a {looks} a, with registries: r.example; where r.example {folder}",
            "ok: 3 policies, 0 groups",
        ],
    )


def test_lint_tells_the_line_of_a_test_that_fails(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "schema: registry-mesh/access/1\n"
        "tests:\n"
        "  - {subject: bob, action: pull, repo: x, expect: deny}\n"
        "  - {subject: bob, action: pull, repo: x, expect: allow}\n"
    )
    code, text = said("lint", file)
    assert (code, text.startswith(f"{file}:4:5: tests[1]: the test expects allow, and it is deny")) == (
        2,
        True,
    )


TESTED = """schema: registry-mesh/access/1
groups: {atlas: [alice]}
policies:
  - {name: atlas pushes, repos: "atlas/**", subjects: "@atlas", allow: push}
tests:
  - {subject: alice, action: push, repo: atlas/app, expect: allow}
  - {subject: bob, groups: [atlas], action: pull, repo: atlas/app, registry: r.example, expect: deny}
  - {subject: bob, action: pull, repo: atlas/app, expect: allow}
"""


def test_tests_of_policies_say_what_is_expected_and_what_is(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(TESTED)
    node = tmp_path / "site.yaml"
    node.write_text(
        "role: site\nstore: {disk: {path: /x}}\nregistries: {r.example: {parents: [['http://127.0.0.1:1']]}}\n"
        f"access: {{policies: {tmp_path / 'policies'}}}\n"
    )
    failing = (
        "■ 1 of 3 tests pass.\n"
        "  FILE:7  bob in @atlas pull r.example/atlas/app\n"
        "    expected  deny\n"
        "    is        allow: by atlas pushes (FILE:4)\n"
        "  FILE:8  bob pull atlas/app\n"
        "    expected  allow\n"
        "    is        deny: no policy allows it\n"
    )
    assert said("test", file) == (1, failing.replace("FILE", str(file)))
    code, text = said("test", file, "--format", "json")
    told = json.loads(text)
    assert (code, told["tests"], [each["expected"] for each in told["failed"]]) == (1, 3, ["deny", "allow"])
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(TESTED)
    assert said("test", node)[1].startswith("■ 1 of 3 tests pass."), "a node's own policies"
    assert said("test", EXAMPLE)[0] == 0
    file.write_text(TESTED.replace("subject: bob, action", "subject: everybody, action"))
    assert said("test", file)[0] == 2, "no single caller"
    file.write_text(TESTED.replace("groups: [atlas]", "groups: '@atlas'"))
    assert said("test", file)[0] == 2, "it would mean nobody"
    assert said("explain", "bob", "pull", "r.example/atlas/app", EXAMPLE, "--group", "@atlas")[0] == 2
    file.write_text("schema: registry-mesh/access/1\npolicies: []\n")
    assert said("test", file) == (0, "● 0 of 0 tests pass.\n")


@pytest.mark.parametrize(
    ("subject", "action", "repository", "verdict", "line"),
    [
        (
            "alice",
            "push",
            "atlas/app",
            "● Yes: FILE:9 allow push atlas/** to @atlas.",
            "atlas pushes (FILE:9): allows it",
        ),
        (
            "alice",
            "tag-update",
            "atlas/releases/app",
            "■ No: FILE:13 deny tag-update atlas/releases/** to everybody.",
            "releases never move (FILE:13): denies it",
        ),
        (
            "bob",
            "push",
            "atlas/app",
            "■ No. No line allows it; the nearest:",
            "atlas pushes (FILE:9): is about @atlas",
        ),
        (
            "anonymous",
            "pull",
            "private/app:1",
            "■ No. No line allows it; the nearest:",
            "everything public is for everybody (FILE:5): is about other repositories",
        ),
    ],
)
def test_explain(subject: str, action: str, repository: str, verdict: str, line: str) -> None:
    asked = (subject, action, f"registry.example/{repository}", EXAMPLE)
    code, text = said("explain", *asked)
    file = str(EXAMPLE / "policies.yaml")
    assert text.splitlines()[0] == verdict.replace("FILE", file)
    assert code == (0 if "Yes" in verdict else 1)
    assert "  " + line.replace("FILE", file) in said("explain", *asked, "--all")[1].splitlines()


def test_a_denial_names_what_comes_near_and_what_to_add(tmp_path: Path) -> None:
    file = tmp_path / "cms.yaml"
    file.write_text(
        "schema: registry-mesh/access/1\n"
        "groups: {cms-analysis: [ada], cern-robots: ['robot:hc']}\n"
        "policies:\n"
        "  - {name: a, subjects: everybody, repos: 'cms/cmssw*', allow: pull}\n"
        "  - {name: b, subjects: '@cms-analysis', repos: ['cms/private*', '!cms/private/x'], allow: [pull, push]}\n"
        "  - {name: c, subjects: ada, repos: 'lhcb/*', allow: pull}\n"
    )
    code, text = said("explain", "robot:hc", "pull", "r.example/cms/private-analysis:v3", file)
    assert code == 1
    assert text.splitlines() == [
        "■ No. No line allows it; the nearest:",
        f"  {file}:5  allow pull cms/private*, !cms/private/x  for @cms-analysis; robot:hc is in @cern-robots",
        f"  {file}:4  allow pull cms/cmssw*                    does not take cms/private-analysis",
        "  Next: a policy with subjects: robot:hc, repos: cms/private-analysis, allow: pull",
    ]
    for action in Action:
        _, text = said("explain", "anonymous", action.value, "r.example/lhcb/x", file)
        word = text.rpartition("allow: ")[2].strip()
        assert action in ALLOWS[word] and (word == action.value or action.value not in ALLOWS)
    code, text = said("explain", "anonymous", "delete", "r.example/cms/x", file)
    assert text.splitlines()[0] == "■ No. No line allows it."
    assert text.splitlines()[1].endswith("repos: cms/x, allow: delete")


def test_explain_what_a_node_s_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("user:password")
    (tmp_path / "login").chmod(0o600)
    hub = {"parents": [["https://hub.example"]], "credentials": f"file:{tmp_path / 'login'}"}
    config = {
        "role": "site",
        "store": {"disk": {"path": str(tmp_path / "store")}},
        "registries": {"docker.io": hub},
    }
    node = tmp_path / "site.yaml"
    node.write_text(yaml.safe_dump(config))
    code, text = said("explain", "anonymous", "pull", "docker.io/alpine", node)
    assert code == 1
    assert text.splitlines()[1] == (
        "  access.anonymous      allow pull **  "
        "does not name docker.io, which is fetched with credentials of the node"
    )
    hub["readers"] = "everybody"
    node.write_text(yaml.safe_dump(config))
    assert said("explain", "anonymous", "pull", "docker.io/alpine", node)[0] == 0


def test_a_denial_of_a_private_registry_says_to_name_it_and_of_nobody_to_say_everybody(
    tmp_path: Path,
) -> None:
    (tmp_path / "login").write_text("user:password")
    (tmp_path / "login").chmod(0o600)
    hub = {"parents": [["https://hub.example"]], "credentials": f"file:{tmp_path / 'login'}"}
    config = {"role": "site", "store": {"disk": {"path": "/x"}}, "registries": {"docker.io": hub}}
    node = tmp_path / "site.yaml"
    node.write_text(yaml.safe_dump(config))
    code, text = said("explain", "anonymous", "pull", "docker.io/alpine", node)
    told = "a policy with subjects: everybody, registries: docker.io, repos: library/alpine, allow: pull"
    assert (code, text.splitlines()[-1]) == (1, f"  Next: {told}")
    policies = tmp_path / "policies"
    policies.mkdir()
    said_so = "{name: a, subjects: everybody, registries: docker.io, repos: library/alpine, allow: pull}"
    (policies / "p.yaml").write_text(f"schema: registry-mesh/access/1\npolicies: [{said_so}]\n")
    node.write_text(yaml.safe_dump({**config, "access": {"policies": str(policies)}}))
    assert said("explain", "anonymous", "pull", "docker.io/alpine", node)[0] == 0, "what it said helps"


PRIVATE = """schema: registry-mesh/access/1
policies:
  - {name: public, repos: ["**", "!private/**"], subjects: everybody, allow: pull}
  - {name: atlas, repos: "atlas/**", subjects: [alice, "robot:ci"], allow: push}
  - {name: releases, repos: "atlas/releases/**", subjects: everybody, deny: tag-update}
"""


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(PRIVATE)
    node = tmp_path / "origin.yaml"
    access = {"policies": str(tmp_path / "policies")}
    whole = {"role": "origin", "store": {"disk": {"path": "/x"}}, "registry": "r.example", "access": access}
    node.write_text(yaml.safe_dump(whole))
    return node


def test_a_repository_without_its_registry_is_one_of_the_nodes_own(origin: Path) -> None:
    for ref in ("private/app", "r.example/private/app", "private/app:1"):
        code, text = said("explain", "anonymous", "pull", ref, origin)
        assert (code, text.startswith("■ No. No line allows it")) == (1, True), ref
    assert said("explain", "alice", "push", "atlas/app", origin)[0] == 0
    assert said("explain", "alice", "pull", "my_team/app", origin)[0] == 0, "what no host's name can be"


def test_a_registry_is_never_guessed(origin: Path) -> None:
    code, text = said("explain", "anonymous", "pull", "private/app", origin.parent / "policies")
    assert (code, "private is no registry's name; write REGISTRY/private/app" in text) == (2, True)
    code, text = said("explain", "anonymous", "pull", "docker.io/library/alpine", origin)
    assert (code, "docker.io is no registry of this node, which serves r.example" in text) == (2, True)


def test_explain_at_a_site_means_its_default_and_its_aliases(tmp_path: Path) -> None:
    node = tmp_path / "site.yaml"
    parents = [["https://r.example"]]
    registries = {"r.example": {"parents": parents, "aliases": ["old.example"], "default": True}}
    config = {"role": "site", "store": {"disk": {"path": "/x"}}, "registries": registries}
    node.write_text(yaml.safe_dump(config))
    for ref in ("x/y", "old.example/x/y", "R.example:443/x/y"):
        assert said("explain", "anonymous", "pull", ref, node)[0] == 0, ref
    code, text = said("explain", "alice", "push", "x/y", node)
    assert (code, text.splitlines()[0]) == (
        1,
        "■ No. A site takes no pushes and no deletes, whatever its policies say.",
    )
    registries["r.example"].pop("default")
    node.write_text(yaml.safe_dump(config))
    code, text = said("explain", "anonymous", "pull", "x/y", node)
    assert (code, "write REGISTRY/x/y" in text) == (2, True), "nothing is meant without a name"


def test_a_push_that_may_not_move_tags_says_so(origin: Path) -> None:
    where = origin.parent / "policies" / "p.yaml"
    code, text = said("explain", "alice", "push", "atlas/releases/app", origin)
    assert code == 0
    assert text.splitlines()[1:] == [
        f"▲ But not to move a tag (tag-update): {where}:5 deny tag-update atlas/releases/**."
    ]
    assert len(said("explain", "alice", "push", "atlas/app", origin)[1].splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "everybody", "pull", "r.example/x", EXAMPLE),
        ("explain", "@atlas", "pull", "r.example/x", EXAMPLE),
        ("explain", "alice", "write", "r.example/x", EXAMPLE),
        ("explain", "alice", "pull", "r.example/X", EXAMPLE),
        ("explain", "alice", "pull", "r.example/x", "/nowhere.yaml"),
        ("lint", "/nowhere"),
    ],
)
def test_what_is_wrong_is_2(arguments: tuple[str | Path, ...]) -> None:
    assert said(*arguments)[0] == 2
