"""Rule files of other tools: what each entry becomes, and each refusal with its sentence."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.imports.entry import differences, written
from registry_mesh.config.imports.spelling import alternatives, half_anchored, searched
from registry_mesh.config.imports.tools import NAMES, imported
from registry_mesh.config.rule_files import parse_rules

A = "sha256:" + "a" * 64
HOSTS = {"harbor": "harbor.example", "7": "quay.io", "hub": "docker.io"}
CLIENTS = "where clients look: that is client-config and parents in the configuration, not a rule"

CASES = {
    "ducc": (
        f"""\
version: 1
output_format: 'https://r.example/$(image)'
input:
  - 'https://registry.hub.docker.com/library/alma:9'
  - 'https://registry.hub.docker.com/alma:9'
  - 'https://reg.example:5000/lhc/sim:v*'
  - 'https://reg.example/lhc/sim:1.*'
  - 'https://reg.example/lhc/gen@{A}'
  - 'https://reg.example/lhc/plain'
  - {{apptainer_def: 'x.def'}}
""",
        [
            'docker.io library/alma "9"',
            "! said twice: https://registry.hub.docker.com/library/alma:9 says the same",
            'reg.example:5000 lhc/sim "v*"',
            'reg.example lhc/sim "re: 1..*"',
            f'reg.example lhc/gen "@{A}"',
            "reg.example lhc/plain latest",
            "! built from a definition file; rules copy what a registry has",
        ],
    ),
    "harbor": (
        """\
[{"name": "nightly", "src_registry": {"id": 7}, "dest_namespace": "mirror", "dest_namespace_replace_count": -1,
  "trigger": {"type": "scheduled", "trigger_settings": {"cron": "0 0 2 * * *"}}, "deletion": true, "override": false,
  "filters": [{"type": "name", "value": "apps/**"}, {"type": "tag", "decoration": "excludes", "value": "*-dev"},
              {"type": "resource", "value": "image"}]},
 {"name": "out", "dest_registry": {"id": 7}, "dest_namespace_replace_count": 0, "trigger": {"type": "manual"}},
 {"name": "labelled", "src_registry": {"id": 7}, "filters": [{"type": "label", "value": "x"}]},
 {"name": "where", "src_registry": {"id": 9}}]
""",
        [
            'quay.io "apps/**" ["*", "!*-dev"] types: [image], to: "mirror/{base}", every: "cron 0 2 * * * UTC", delete: {gone: "0s"}, fixed: "*"',
            'harbor.example "**" "*" to: {registry: "quay.io", name: "{repo}"}, every: manual',
            "! Harbor's own labels are not in the image; put an annotation on it and match that",
            "! which host is registry 9? Say --registry 9=HOST",
        ],
    ),
    "zot": (
        """\
{"extensions": {"sync": {"registries": [
  {"urls": ["https://up.example:5000", "https://other.example"], "pollInterval": "6h", "content": [
    {"prefix": "/base/**", "destination": "/m", "stripPrefix": true, "tags": {"regex": "4.*", "semver": true}},
    {"prefix": "base/x", "tags": {"excludeRegex": ".*-(amd64|arm64)$"}},
    {"prefix": "none", "tags": {"regex": ""}},
    {"prefix": "te*/x", "destination": "/m", "stripPrefix": true}]},
  {"urls": ["https://lazy.example"], "onDemand": true}]}}, "storage": {"retention": {"delay": "1h"}}}
""",
        [
            'up.example:5000 [base, "base/**"] "re: .*4.* & semver+: *" every: "6h", to: "m/{repo[1:]}"',
            'up.example:5000 ["base/x", "!base", "!base/**"] ["*", "!re: .*-(amd64|arm64)"] every: "6h"',
            "! an empty tags.regex takes no tag at all",
            "! stripPrefix in the middle of a segment",
            'lazy.example "**" "*" data: "on-demand"',
            "! keep stands in the rule that brings the tags",
        ],
    ),
    "regsync": (
        """\
defaults: {interval: 60m}
sync:
  - {source: alpine, target: r.example/alpine, type: repository, tags: {allow: [latest, 'v1\\..*|x'], deny: ['.*-rc']}}
  - {source: quay.io/a/b:1, target: r.example/b:one, type: image, referrers: true, platform: linux/amd64}
  - {source: quay.io/a/c, target: r.example/c, tags: {semverRange: ['>=1.2'], allow: ['[^-]+']}}
  - {source: 'quay.io/{{ env "X" }}', target: r.example/c}
  - {source: quay.io/a/d, target: r.example/d, hooks: {pre: x}}
  - {source: quay.io/a/e, target: r.example/e, referrerSource: quay.io/a/f}
""",
        [
            'docker.io library/alpine [latest, "re: (?:v1\\\\..*|.*x)", "!re: .*-rc"] every: "60m", with: none, to: {registry: "r.example", name: alpine}',
            'quay.io a/b "1" every: "60m", platforms: "linux/amd64", to: {registry: "r.example", name: b, tag: one}',
            'quay.io a/c "semver+: >=1.2 & re: [^-]+" every: "60m", with: none, to: {registry: "r.example", name: c}',
            "! a template: rules read no environment; run `regsync config` and import what it prints",
            "! hooks: rules run nothing",
            "! companions are looked for beside their image only",
        ],
    ),
    "skopeo": (
        f"""\
quay.io:
  images: {{a/b: ["1.0", "{A}"], a/all: []}}
  images-by-tag-regex: {{a/c: '^v[0-9]+$', a/d: 'rc', a/e: '\\bx'}}
  images-by-semver: {{a/f: '>= 1.2 < 2', a/g: '>= 3.5.4-0', a/h: '1.2 - 1.4', a/i: '!= 1.0'}}
""",
        [
            f'quay.io a/b ["1.0", "@{A}"]',
            'quay.io a/all "*"',
            'quay.io a/f "semver: >= 1.2 < 2"',
            'quay.io a/g "semver+: >= 3.5.4-0"',
            'quay.io a/h "semver: >=1.2 <=1.4"',
            "! != 1.0: write an excluding pattern",
            'quay.io a/c "re: v[0-9]+"',
            'quay.io a/d "re: .*rc.*"',
            "! \\bx: \\b is not offered (only \\d \\D \\w \\W and escaped punctuation)",
        ],
    ),
    "dregsy": (
        """\
tasks:
  - name: t
    interval: 21600
    source: {registry: registry.hub.docker.com}
    target: {registry: r.example}
    mappings:
      - {from: busybox, to: mirror/busybox, platform: all, tags: [glibc, 'semver: >=1.33 <2', 'keep: latest 5']}
      - {from: busybox, to: mirror/musl, platform: linux/arm64, tags: ['regex: !.+(glibc|musl)']}
      - {from: 'regex:a/(.*)', to: b}
""",
        [
            'docker.io library/busybox [glibc, "semver+: >=1.33 <2"] every: "6h", to: {registry: "r.example", name: "mirror/busybox"}, keep: 5',
            'docker.io library/busybox ["*", "!re: .+(glibc|musl)"] every: "6h", to: {registry: "r.example", name: "mirror/musl"}, platforms: "linux/arm64"',
            "! groups of an expression; templates know folders only",
        ],
    ),
    "image-syncer": (
        f"""\
quay.io/a/b: r.example/a/b
quay.io/a/b:v1,v2: [r.example/x, s.example/y]
quay.io/a/b@{A}: r.example/z
quay.io/a/b:/^v[0-9]+$/: r.example/r
quay.io/a/b:1,2: r.example/a/b:x,y
""",
        [
            'quay.io a/b "*" to: {registry: "r.example", name: "a/b"}',
            'quay.io a/b ["v1", "v2"] to: [{registry: "r.example", name: x}, {registry: "s.example", name: y}]',
            f'quay.io a/b "@{A}" to: {{registry: "r.example", name: z}}',
            'quay.io a/b "re: v[0-9]+" to: {registry: "r.example", name: r}',
            "! several new tags for several old ones: write a rule for each",
        ],
    ),
    "oc-mirror": (
        """\
kind: ImageSetConfiguration
mirror:
  platform: {channels: [{name: stable-4.18}]}
  operators: [{catalog: 'r.example/index:v4'}]
  blockedImages: [{name: 'x.*'}]
  helm: {repositories: [{name: h, url: 'https://h', charts: [{name: c}]}]}
  additionalImages:
    - {name: 'docker://quay.io/a/b:1', targetRepo: new/b, targetTag: one}
    - {name: quay.io/a/c}
""",
        [
            "! releases are found in an update graph, which rules do not ask; let oc-mirror write mapping.txt and import that",
            "! packages are found in an update graph, which rules do not ask; let oc-mirror write mapping.txt and import that",
            "! an expression over whole references: write it as !patterns of repos or tags",
            "! a chart repository of the old kind (index.yaml): only charts in registries are taken",
            'quay.io a/b "1" to: {name: "new/b", tag: one}',
            "quay.io a/c latest",
        ],
    ),
    "hauler": (
        """\
kind: Images
spec: {images: [{name: 'ghcr.io/a/b:1', platform: linux/amd64}, {name: ghcr.io/a/c, key: c.pub}]}
---
kind: Charts
spec: {charts: [{name: c, repoURL: 'oci://ghcr.io/charts', version: 1.2.0+up1}, {name: d, repoURL: 'oci://ghcr.io/charts'}, {name: e, repoURL: 'https://x'}]}
---
kind: Files
spec: {files: [{path: 'https://x/y'}]}
""",
        [
            'ghcr.io a/b "1" platforms: "linux/amd64"',
            'ghcr.io a/c latest verify: "hauler-a-c"',
            'ghcr.io charts/c "1.2.0_up1" types: chart',
            'ghcr.io charts/d "semver: *" types: chart, keep: 1',
            "! a chart repository of the old kind (index.yaml): only charts in registries are taken",
            "! a file from the web or a disk: rules ask registries only",
        ],
    ),
    "quay": (
        """\
[{"external_reference": "quay.io/repository/a/b", "sync_interval": 86400, "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["v1*", "latest"]}},
 {"external_registry_url": "https://h.example", "external_namespace": "p", "repository_filters": ["ubuntu*"], "architecture_filter": ["amd64"]},
 {"external_reference": "quay.io/a/c", "root_rule": {"rule": "x", "rule_type": "y"}}]
""",
        [
            'quay.io a/b ["v1*", latest] every: "1d", delete: {unselected: "0s"}',
            'h.example "p/ubuntu**" "*" platforms: ["linux/amd64"], delete: {unselected: "0s"}',
            "! Quay takes rule_kind and rule_value",
        ],
    ),
    "ecr": (
        """\
resource "aws_ecr_pull_through_cache_rule" "hub" {
  ecr_repository_prefix = "docker-hub"
  upstream_registry_url = "registry-1.docker.io"
}
resource "aws_ecr_pull_through_cache_rule" "each" {
  ecr_repository_prefix = each.key
  upstream_registry_url = each.value
}
resource "aws_ecr_repository_creation_template" "t" {
  lifecycle_policy = jsonencode({})
}
""",
        [
            'docker.io "**" "*" data: "on-demand", to: "docker-hub/{repo}"',
            "! Terraform variables: run terraform show -json and import that",
            "! expiry: the cache evicts by use and quota",
        ],
    ),
    "kuik": ("apiVersion: kuik.enix.io/v1alpha1\nkind: ClusterImageSetMirror\n", [f"! {CLIENTS}"]),
    "registries.conf": ('[[registry]]\nlocation = "a"\n[[registry.mirror]]\nlocation = "b"\n[[registry]]\n', [f"! {CLIENTS}"] * 2),
}  # fmt: skip


def test_every_tool_has_its_case() -> None:
    assert set(CASES) == set(NAMES)


@pytest.mark.parametrize("tool", NAMES)
def test_entries_become_rules_or_are_refused_with_their_sentence(tool: str) -> None:
    text, expected = CASES[tool]
    found = imported(tool, text, "f", HOSTS)
    rules = parse_rules([("r", "\n".join(written(found)).encode())])
    assert len(rules) == sum(not each.startswith("!") for each in expected)
    told = []
    for each in found:
        if each.rule is None:
            told.append(f"! {each.entry.refused}")
            continue
        keys = each.text[1:-1]
        name, _, rest = keys.partition(", from: ")
        assert name.startswith("name: ")
        told.append(rest)
    spelled = [each if each.startswith("!") else _short(each) for each in told]
    assert spelled == [each if each.startswith("!") else each.replace('"', "") for each in expected]


def _short(text: str) -> str:
    for key in (", repos: ", ", tags: "):
        text = text.replace(key, " ", 1)
    head, comma, rest = text.partition(", ")
    while head.count("[") != head.count("]"):
        more, comma, rest = rest.partition(", ")
        head = f"{head}, {more}"
    return (f"{head} {rest}" if comma else head).replace('"', "")


def test_refusals_and_notes_stand_as_comments_at_their_place() -> None:
    lines = list(written(imported("ducc", CASES["ducc"][0], "f", {})))
    assert lines[:3] == [
        "schema: registry-mesh/rules/2",
        "rules:",
        "  # output_format says where a registry keeps thin images: rules name targets by to",
    ]
    assert lines[4].startswith("  # refused: https://registry.hub.docker.com/alma:9: said twice")


def test_a_plain_list_is_a_recipe_too() -> None:
    found = imported("ducc", "# comment\nalma:9\n\nhub.example/htc/x:*\n", "f", {})
    assert [str(each.rule and each.rule.registry) for each in found] == ["docker.io", "hub.example"]


TAGS = [
    "latest",
    "1.0",
    "v1.2",
    "v1.x",
    "x",
    "1-rc",
    "rc1",
    "v12",
    "1.26-glibc",
    "4.2",
    "14.1",
    "v3-amd64",
    "1..5",
    "15",
    "v1-rc",
    "3-slim",
]


@pytest.mark.parametrize("tool", ["ducc", "zot", "regsync", "skopeo", "image-syncer"])
def test_patterns_select_what_the_tool_selects(tool: str) -> None:
    found = imported(tool, CASES[tool][0], "f", HOSTS)
    assert any(each.entry.selects for each in found)
    assert list(differences(found, TAGS)) == []


def test_a_difference_is_told() -> None:
    (one,) = imported("skopeo", "quay.io: {images-by-tag-regex: {a: 'rc'}}", "f", {})
    other = type(one)(
        one.entry,
        next(
            iter(
                parse_rules(
                    [("r", b"schema: registry-mesh/rules/2\nrules: [{from: q, repos: a, tags: 'rc*'}]")]
                )
            )
        ),
        "",
    )
    assert list(differences([other], ["rc1", "1-rc"])) == ["a: only the tool takes 1-rc"]


@pytest.mark.parametrize(
    ("text", "cut"),
    [("a|b", ["a", "b"]), ("(a|b)|c", ["(a|b)", "c"]), ("[|]x|y", ["[|]x", "y"]), (r"a\|b", [r"a\|b"])],
)
def test_alternatives(text: str, cut: list[str]) -> None:
    assert alternatives(text) == cut


@pytest.mark.parametrize(
    ("text", "anywhere", "half"),
    [
        ("a", "re: .*a.*", "re: a"),
        ("^a$", "re: a", "re: a"),
        ("^a|b$", "re: (?:a.*|.*b)", "re: (?:a.*|.*b)"),
        ("a|b|c", "re: (?:.*a.*|.*b.*|.*c.*)", "re: (?:a.*|.*b.*|.*c)"),
        (r"a\$", r"re: .*a\$.*", r"re: a\$"),
    ],
)
def test_anchors(text: str, anywhere: str, half: str) -> None:
    assert (searched(text), half_anchored(text)) == (anywhere, half)


@pytest.mark.parametrize(
    ("tool", "text"), [("harbor", "{"), ("zot", "- 1"), ("regsync", "a: ["), ("quay", "[1]")]
)
def test_what_is_no_file_of_the_tool(tool: str, text: str) -> None:
    with pytest.raises(ConfigInvalid):
        imported(tool, text, "f", {})
