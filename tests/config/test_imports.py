"""Rule files of other tools: what each entry becomes, and each refusal with its sentence."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.imports.entry import Imported, Kind, configuration, differences, told, written
from registry_mesh.config.imports.spelling import alternatives, half_anchored, searched
from registry_mesh.config.imports.tools import NAMES
from registry_mesh.config.imports.tools import imported as read
from registry_mesh.config.load import parse
from registry_mesh.config.rule_files import parse_rules
from tests.config.import_cases import CASES

HOSTS = {"harbor": "harbor.example", "7": "quay.io", "hub": "docker.io"}


def imported(tool: str, text: str, file: str, registries: dict[str, str]) -> list[Imported]:
    return read(tool, text.encode(), file, registries)


def test_every_tool_has_its_case() -> None:
    assert set(CASES) == set(NAMES)


@pytest.mark.parametrize("tool", NAMES)
def test_entries_become_rules_or_are_refused_with_their_sentence(tool: str) -> None:
    text, expected = CASES[tool]
    found = imported(tool, text, "f", HOSTS)
    rules = parse_rules([("r", "\n".join(written(found)).encode())])
    assert len(rules) == sum(
        not each.startswith(("!", "deny")) and " parents: " not in each for each in expected
    )
    told = []
    for each in found:
        if each.refused:
            told.append(f"! {each.entry.refused}")
        elif each.entry.kind is Kind.PARENTS:
            told.append(each.text.replace(": {", " ", 1)[:-1])
        elif each.entry.kind is Kind.DENY:
            told.append(each.text[1:-1].replace("from: ", "deny ", 1))
        else:
            name, _, rest = each.text[1:-1].partition(", from: ")
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
    lines = list(written(imported("ducc", CASES["ducc"][0], "f", {}), "f"))
    assert lines[:3] == [
        "schema: registry-mesh/rules/2",
        "rules:",
        "  # output_format (line 2) says where a registry keeps thin images: rules name targets by to",
    ]
    assert lines[4].startswith("  # refused: f:5:6: https://registry.hub.docker.com/alma:9: said twice")


def test_what_is_of_the_whole_file_is_told_once_at_the_first_rule() -> None:
    text = "creds: [{registry: a.b, user: x}]\ndefaults: {parallel: 2}\nsync:\n"
    text += "".join(f"- {{source: a.b/{each}:1, target: c.d/{each}:1, type: image}}\n" for each in "xy")
    notes = [each for each in written(imported("regsync", text, "f", {})) if each.startswith("  #")]
    assert notes == [
        "  # creds (line 1) is not carried: logins, addresses and mirrors stand in registries.HOST",
        "  # defaults.parallel (line 2) is not carried: how registries are asked stands in the node's configuration",
    ]


def test_keys_of_zot_are_known_in_any_case() -> None:
    text = '{"extensions": {"sync": {"registries": [{"URLs": ["https://a.b"], "OnDemand": true, "TLSVerify": false}]}}}'
    (found,) = imported("zot", text, "f", {})
    assert found.text == '{name: "**", from: "a.b", repos: "**", tags: "*", data: "on-demand"}'


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
    "1.3.0",
    "1.3.0_build",
    "v1.4.0_a_b",
    "1.5.0-rc.1_b",
    "stable-1.3.0_b",
]


@pytest.mark.parametrize(
    "tool",
    [
        "ducc",
        "zot",
        "regsync",
        "skopeo",
        "image-syncer",
        "kuik",
        "osg-list",
        "renovate",
        "retagger",
        "dregsy",
    ],
)
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


def test_what_is_no_rule_becomes_a_fragment_of_the_configuration() -> None:
    found = imported("registries.conf", CASES["registries.conf"][0], "f", {})
    lines = configuration(found)
    assert lines[0] == "registries:"
    assert (
        "  # registry[0].mirror[1].insecure: taken as plain HTTP; where it speaks TLS write https:// and"
        in lines[2]
    )
    config = parse("role: site\nstore: {disk: {path: x}}\n" + "\n".join(lines), "f").config
    assert config.registries["quay.io"].parents[0] == ("https://m.example:5000/v2/quay",)
    assert config.registries["docker.io"].default


def test_what_terraform_shows_is_read() -> None:
    shown = """{"values": {"root_module": {"resources": [
      {"address": "aws_ecr_pull_through_cache_rule.q[\\"x\\"]", "type": "aws_ecr_pull_through_cache_rule", "name": "q",
       "values": {"ecr_repository_prefix": "q", "upstream_registry_url": "quay.io", "credential_arn": null, "id": "q"}}],
      "child_modules": [{"resources": [
      {"address": "harbor_replication.r", "type": "harbor_replication", "name": "r",
       "values": {"name": "r", "action": "pull", "registry_id": 7, "schedule": "manual", "filters": [{"name": "a/**"}]}}]}]}}}"""
    (one,) = imported("ecr", shown, "f", {})
    assert (
        one.text == '{name: "**", from: "quay.io", repos: "**", tags: "*", data: "on-demand", to: "q/{repo}"}'
    )
    (two,) = imported("harbor", shown, "f", HOSTS)
    assert two.text == '{name: r, from: "quay.io", repos: "a/**", tags: "*", every: manual}'


def test_what_cloud_formation_works_out_is_refused_by_name() -> None:
    text = """
Resources:
  Other: {Type: AWS::S3::Bucket, Properties: {Name: !Ref Bucket}}
  One:
    Type: AWS::ECR::PullThroughCacheRule
    Properties: {EcrRepositoryPrefix: quay, UpstreamRegistryUrl: quay.io, CredentialArn: !GetAtt Secret.Arn}
  Two:
    Type: AWS::ECR::PullThroughCacheRule
    Properties:
      EcrRepositoryPrefix: !Sub "${Stage}-hub"
      UpstreamRegistryUrl: registry-1.docker.io
"""
    one, two = imported("ecr", text, "f", {})
    assert (
        one.text
        == '{name: "**", from: "quay.io", repos: "**", tags: "*", data: "on-demand", to: "quay/{repo}"}'
    )
    said = "EcrRepositoryPrefix = !Sub ${Stage}-hub: CloudFormation works it out: write the value"
    assert told(two, "f") == f"f:10:7: Two: Resources.Two.Properties.{said}"


def test_harbors_registries_of_the_same_file_need_no_name() -> None:
    text = """
resource "harbor_registry" "hub" {
  endpoint_url = "https://hub.docker.com"  # a comment
}
resource "harbor_replication" "r" {
  name        = "r"
  action      = "pull"
  registry_id = harbor_registry.hub.registry_id
  speed       = 800
  filters {
    name = "library/{a,b}"
  }
}
"""
    (found,) = imported("harbor", text, "f", {})
    assert found.text == (
        '{name: r, from: "docker.io", repos: "library/{a,b}", tags: "*", every: manual, budget: "102400B/s"}'
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hub.docker.com", "docker.io"),
        ("https://10.0.0.5:8443", "10.0.0.5:8443"),
        ("http://registry:5000/", "registry:5000"),
        ("https://quay.io", "quay.io"),
        ("https://api.ecr.eu-west-1.amazonaws.com", "! ACCOUNT.dkr.ecr.eu-west-1.amazonaws.com"),
        ("https://x.example/artifactory", "! which host is registry up?"),
    ],
)
def test_harbors_own_answer_tells_the_hosts(url: str, host: str) -> None:
    source = f'{{"id": 3, "name": "up", "url": "{url}", "credential": {{"access_secret": "x"}}}}'
    local = '{"id": 0, "name": "Local", "url": "http://core:8080"}'
    text = f'[{{"name": "r", "src_registry": {source}, "dest_registry": {local}}}]'
    (found,) = imported("harbor", text, "f", {})
    if host.startswith("! "):
        assert host[2:] in found.entry.refused
        (named,) = imported("harbor", text, "f", {"up": "reg.example"})
        assert named.rule is not None and named.rule.registry == "reg.example"
    else:
        assert found.rule is not None and found.rule.registry == host


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://harbor.example:8443", "harbor.example:8443"),
        ("http://core:8080", ""),
        ("http://core.harbor.svc", ""),
    ],
)
def test_harbors_own_host_is_told_where_it_is_not_the_one_among_its_parts(url: str, own: str) -> None:
    local = f'{{"id": 0, "name": "Local", "url": "{url}"}}'
    target = '{"id": 5, "name": "o", "url": "https://o.example"}'
    (found,) = imported(
        "harbor", f'[{{"name": "p", "src_registry": {local}, "dest_registry": {target}}}]', "f", {}
    )
    if own:
        assert found.rule is not None and found.rule.registry == own
    else:
        assert "say --registry harbor=HOST" in found.entry.refused


def test_harbors_provider_of_terraform_tells_its_own_host() -> None:
    text = """
provider "harbor" {
  url      = "https://harbor.example"
  password = var.password
}
resource "harbor_registry" "o" {
  endpoint_url = "https://o.example:5000"
}
resource "harbor_replication" "p" {
  name        = "p"
  action      = "push"
  registry_id = harbor_registry.o.registry_id
}
"""
    (found,) = imported("harbor", text, "f", {})
    assert found.text == (
        '{name: p, from: "harbor.example", repos: "**", tags: "*", '
        'to: {registry: "o.example:5000", name: "{repo}"}, every: manual}'
    )


def test_a_range_of_a_charts_versions_says_what_to_write() -> None:
    for version in (">=1.0.0", "^1.2", "1.x", "~1.2.3", "1.0 - 2.0"):
        text = (
            f"kind: Charts\nspec: {{charts: [{{name: a, repoURL: 'oci://a.b/c', version: '{version}'}}]}}\n"
        )
        (found,) = imported("hauler", text, "f", {})
        assert f"tags: 'semver: {version}'" in found.entry.refused
    (found,) = imported("hauler", text.replace("1.0 - 2.0", "1.0.0+up1"), "f", {})
    assert found.rule is not None


def test_a_plain_number_stays_what_was_written() -> None:
    (found,) = imported("skopeo", "quay.io: {images: {a: [1.10, 007, 1e3, on]}}", "f", {})
    assert found.text == '{name: a, from: "quay.io", repos: a, tags: ["1.10", "007", "1e3", on]}'


@pytest.mark.parametrize(
    ("tool", "text", "sentence"),
    [
        ("harbor", "{", "f:2:1: not YAML: "),
        ("zot", "- 1", "f:1:1: no file of zot: it is one mapping"),
        ("regsync", "a: [", "f:2:1: not YAML: "),
        ("quay", "[1]", "f:1:1: no file of quay: it is of mappings"),
        ("regsync", "sync:\n- source: [a]\n", "f:2:3: sync[0].source: wants one text"),
        ("regsync", "sync: x\n", "f:1:1: sync: wants a list"),
        (
            "skopeo",
            "a.b:\n  images:\n    c: [1]\n    c: [2]\n",
            "f:4:5: c stands twice, first on line 3: keep one",
        ),
        (
            "registries.conf",
            '[[registry]\nlocation = "a"\n',
            "f:1:11: no file of registries.conf, not TOML: ",
        ),
        (
            "ecr",
            'resource "a" "b" {\n  x\n}\n',
            "f:2:4: not Terraform: a line end stands where = or { should",
        ),
    ],
)
def test_what_is_no_file_of_the_tool(tool: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        imported(tool, text, "f", {})
    assert str(invalid.value).startswith(sentence)
    assert "\n" not in str(invalid.value)


def test_merge_keys_are_merged() -> None:
    text = "x-base: &base {type: image, referrers: true}\nsync:\n- {<<: *base, source: 'a.b/c:1', target: 'd.e/c:1'}\n"
    (found,) = imported("regsync", text, "f", {})
    assert found.text == (
        '{name: c, from: "a.b", repos: c, tags: "1", to: {registry: "d.e", name: c, tag: "1"}}'
    )


def test_a_sample_of_oc_mirror_is_refused_by_its_name_and_place() -> None:
    text = "kind: ImageSetConfiguration\nmirror:\n  samples:\n  - {name: ruby}\n"
    (found,) = imported("oc-mirror", text, "f", {})
    assert told(found, "f") == "f:4:5: sample ruby: samples are taken by oc-mirror v1 only: name the images"


@pytest.mark.parametrize("scheme", ["ftp", "file", "s"])
def test_what_no_registry_speaks_is_no_reference(scheme: str) -> None:
    text = f"version: 1\ninput:\n- '{scheme}://a.example/b:1'\n"
    (found,) = imported("ducc", text, "f", {})
    assert f"{scheme}: is not how registries are asked" in found.entry.refused
