"""Rule files of the second edition: what every key becomes, and every fault with its place."""

# ruff: noqa: E501  (a fault is one line, here as in a terminal)

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.rule_entries import json_schema
from registry_mesh.config.rule_files import parse_rules, refuse_outward, refuse_unheeded
from registry_mesh.oci.digest import Digest
from registry_mesh.replication.budget import Budget
from registry_mesh.replication.companions import Companions
from registry_mesh.replication.keep import By, Keep
from registry_mesh.replication.rules import Platform, Rules
from registry_mesh.replication.schedule import Cron, Interval, Manual
from registry_mesh.replication.target import Target
from registry_mesh.replication.terms import NEVER, Data, Delete, Hold, Priority, Verify
from registry_mesh.replication.trial import try_all

SCHEMA = Path(__file__).parents[2] / "config" / "schema" / "registry-mesh-rules.json"
AA = f"sha256:{'a' * 64}"

WHOLE = f"""\
schema: registry-mesh/rules/2
sets:
  lhc: ["atlas/**", "cms/{{prod,stage}}/*", "!**/scratch/**"]
  tier2: ["group:tier2", "!ch-test"]
defaults: {{delete: {{gone: 7d, unselected: 30d}}}}
guard: 5%
rules:
  - {{name: releases, from: registry.cern.example, repos: "@lhc", tags: ["semver: >=21 <25", "!*-debug"], verify: release-team, fixed: "semver: *"}}
  - {{name: nightlies, from: registry.cern.example, repos: "atlas/*/nightly", tags: "*", keep: {{newest: 14, by: seen, or_younger: 30d}}, when: "20:00-06:00 Europe/Zurich"}}
  - {{name: lazy, from: registry.cern.example, repos: "@lhc", tags: "semver: >=24 <25", variants: [estargz, sif], data: on-demand}}
  - {{name: tier-2, from: registry.cern.example, repos: atlas/athena, tags: "semver: ~24.0", nodes: "@tier2", budget: [20%, "500GiB/d"]}}
  - {{name: hub-base, from: docker.io, repos: "{{alma,debian}}", tags: ["9", "12@{AA}"], platforms: [linux/amd64, linux/arm64], age: 3d, to: "base/{{base}}:{{tag}}-cern", every: 6h, max: 60GiB}}
  - {{name: recast, from: registry.cern.example, repos: "recast/**", tags: "*", hold: forever, delete: never, note: for the HLT farm}}
  - {{name: cloud, from: registry.cern.example, repos: "atlas/athena", tags: "semver: >=24 <25", to: {{registry: europe-docker.pkg.dev, name: "cern/{{repo}}"}}, priority: low, with: [signatures, sboms], types: [image, "!application/x*"], labels: {{tier: "prod*"}}}}
deny:
  - {{from: docker.io, repos: "badcorp/**", note: "incident 2026-114"}}
tests:
  - {{given: "registry.cern.example/atlas/athena:22.0.3", expect: releases}}
  - {{given: "registry.cern.example/atlas/scratch/x:1", expect: none}}
"""


def read(*texts: str, registries: tuple[str, ...] | None = None) -> Rules:
    return parse_rules([(f"{i}.yaml", text.encode()) for i, text in enumerate(texts)], registries)


def faults(*texts: str, registries: tuple[str, ...] | None = None) -> list[str]:
    with pytest.raises(ConfigInvalid) as invalid:
        read(*texts, registries=registries)
    return [str(finding) for finding in invalid.value.findings]


def rule(**keys: str) -> str:
    entry = {"name": "r", "from": "docker.io", "repos": '["a/b"]', "tags": '["*"]'} | keys
    body = "\n    ".join(f"{key}: {value}" for key, value in entry.items() if value)
    return f"schema: registry-mesh/rules/2\nrules:\n  - {body}\n"


def test_every_key_becomes_a_value() -> None:
    rules = read(WHOLE)
    by = {each.name: each for each in rules}
    assert by["releases"].verify == Verify(("release-team",))
    assert by["releases"].fixed is not None and "21.0.0" in by["releases"].fixed
    assert by["releases"].delete == Delete(7 * 86400.0, 30 * 86400.0)
    assert by["nightlies"].keep == Keep(14, By.SEEN, 30 * 86400.0)
    assert [window.text for window in by["nightlies"].when] == ["20:00-06:00 Europe/Zurich"]
    assert (by["lazy"].variants, by["lazy"].data) == ({"estargz", "sif"}, Data.ON_DEMAND)
    assert by["tier-2"].budget == (Budget(0.2), Budget(None, 500 << 30, 86400.0))
    assert by["tier-2"].is_for("x", ["tier2"]) and not by["tier-2"].is_for("ch-test", ["tier2"])
    hub = by["hub-base"]
    assert hub.platforms == {Platform("linux", "amd64"), Platform("linux", "arm64")}
    assert (hub.age, hub.every, hub.most) == (3 * 86400.0, Interval(6 * 3600.0), 60 << 30)
    assert hub.to == (Target("base/{base}", "{tag}-cern"),)
    assert [pin.digest for pin in hub.pins] == [Digest.parse(AA)]
    assert "library/alma" in hub.repositories
    assert (by["recast"].hold, by["recast"].delete, by["recast"].note) == (Hold(), NEVER, "for the HLT farm")
    cloud = by["cloud"]
    assert cloud.to[0].registry == "europe-docker.pkg.dev"
    assert (cloud.priority, cloud.companions) == (
        Priority.LOW,
        Companions(frozenset({"signatures", "sboms"})),
    )
    assert (cloud.types, cloud.labels) == (("image", "!application/x*"), (("tier", "prod*"),))
    assert (rules.guard, rules.vanished) == (0.05, Delete(7 * 86400.0, 30 * 86400.0))
    assert rules.deny[0].note == "incident 2026-114"
    assert len(rules.trials) == 2
    assert try_all(rules) == []


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("manual", Manual()),
        ("1h30m", Interval(5400.0)),
        ("1y", Interval(365 * 86400.0)),
    ],
)
def test_schedules(written: str, value: object) -> None:
    assert next(iter(read(rule(every=written)))).every == value


def test_a_cron_and_a_date() -> None:
    (one,) = read(rule(every="cron 15 3 * * * Europe/Zurich", hold='"1970-01-02"'))
    assert isinstance(one.every, Cron)
    assert one.hold == Hold(math.inf, 86400.0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (rule(tag='["*"]'), "0.yaml:7:5: rules[0].tag: unknown key; did you mean tags?"),
        (rule(**{"<<": "{a: 1}"}), "0.yaml:7:5: rules[0].<<: unknown key"),
        (rule(tags="[1.10]"), '0.yaml:6:12: rules[0].tags[0]: wants a text, and 1.10 is a number; put it in quotes: "1.10"'),
        (rule(repos='["мirгог/x"]'), "0.yaml:5:13: rules[0].repos[0]: 'мirгог/x': 'м' stands in none of the names this can match"),
        (rule(repos='["re: mirгог/x"]'), "0.yaml:5:13: rules[0].repos[0]: 're: mirгог/x': 'г' stands in none of the names this can match"),
        (rule(repos='["re: Atlas/.*"]'), "0.yaml:5:13: rules[0].repos[0]: 're: Atlas/.*' can match no repository: names are lower-case"),
        (rule(repos='["re: (.{0,60}x){0,20}"]'), "0.yaml:5:13: rules[0].repos[0]: 're: (.{0,60}x){0,20}' needs 2,441 states, 1,000 are allowed: fewer repeats, or several patterns"),
        (rule(tags='["semver: 3.1.1 - 3.4.0"]'), "0.yaml:6:12: rules[0].tags[0]: 'semver: 3.1.1 - 3.4.0': write >=3.1.1 <=3.4.0"),
        (rule(keep="2"), "0.yaml:7:11: rules[0].keep: keep counts versions, and '*' reads none: say by: seen, or write semver:"),
        (rule(when='"20:00-06:00"'), "0.yaml:7:11: rules[0].when: '20:00-06:00': of which zone? Add one such as Europe/Zurich or UTC"),
        (rule(when='"20:00-06:00 Europe/Zürich"'), "0.yaml:7:11: rules[0].when: Europe/Zürich is no zone"),
        (rule(every='"cron 0 15 3 * * * UTC"'), "0.yaml:7:12: rules[0].every: 'cron 0 15 3 * * * UTC' has 6 fields; five: minutes first"),
        (rule(every='"cron 15 3 1 * 1 UTC"'), "0.yaml:7:12: rules[0].every: 'cron 15 3 1 * 1 UTC' restricts day and weekday"),
        (rule(every='"cron 15 3 * * *"'), "0.yaml:7:12: rules[0].every: 'cron 15 3 * * *': of which zone?"),
        (rule(age="soon"), "0.yaml:7:10: rules[0].age: 'soon': a duration is written like"),
        (rule(budget="20"), "0.yaml:7:13: rules[0].budget: wants a list, not a number"),
        (rule(budget='"20"'), "0.yaml:7:13: rules[0].budget: '20': a budget is written like"),
        (rule(to='"{nope}"'), "0.yaml:7:9: rules[0].to: {nope} is no word of a template"),
        (rule(**{"with": "sigs"}), "0.yaml:7:11: rules[0].with: 'sigs' is no companion"),
        (rule(data="some"), "0.yaml:7:11: rules[0].data: \"some\" is none of full, on-demand, metadata"),
        (rule(hold="often"), "0.yaml:7:11: rules[0].hold: 'often': write forever, a duration such as 30d, or a date"),
        (rule(tags='["9@sha256:aa"]'), "0.yaml:6:12: rules[0].tags[0]: '9@sha256:aa': sha256:aa is no digest"),
        (rule(tags='["semver: * in a-*-*"]'), "0.yaml:6:12: rules[0].tags[0]: 'semver: * in a-*-*': in a-*-*: the version stands where the one * is"),
        (rule(tags='["semver: >=1 & 1.10", "a & b"]'), "0.yaml:6:34: rules[0].tags[1]: 'a & b' can match no tag: its sides share no name"),
        (rule() + "guard: 10\n", "0.yaml:7:8: guard: wants a share, and 10 is a number; write 10%"),
        (rule() + 'deny: [{from: docker.io}]\n', "0.yaml:7:8: deny[0]: names nothing; say which repos, tags or digest"),
        (rule() + 'tests: [{given: nope, expect: r}]\n', "0.yaml:7:17: tests[0].given: 'nope': the registry is missing; write REGISTRY/REPOSITORY:TAG"),
        (rule() + 'tests: [{given: "nope:1", expect: r}]\n', "0.yaml:7:17: tests[0].given: 'nope:1': the registry is missing; "),
        (rule() + 'tests: [{given: h.example/a/b, expect: r}]\n', "0.yaml:7:17: tests[0].given: 'h.example/a/b': the tag is missing; "),
        (rule() + 'tests: [{given: "h.example:5000/a/b:", expect: r}]\n', "0.yaml:7:17: tests[0].given: 'h.example:5000/a/b:': the tag is missing; "),
        (rule() + f'tests: [{{given: h.example/a/b@{AA}, expect: r}}]\n', f"0.yaml:7:17: tests[0].given: 'h.example/a/b@{AA}': the tag is missing; "),
        (rule() + 'tests: [{given: "h.example/:1", expect: r}]\n', "0.yaml:7:17: tests[0].given: 'h.example/:1': the repository is missing; "),
        (rule(repos='["Atlas/x"]'), "0.yaml:5:13: rules[0].repos[0]: 'Atlas/x': 'A' stands in none of the names this can match: names are lower-case"),
        (rule(repos='["a", "b/../c"]'), "0.yaml:5:18: rules[0].repos[1]: 'b/../c' can match no repository: names are lower-case words joined by . _ __ - and /"),
        (rule(repos='["a./*"]'), "0.yaml:5:13: rules[0].repos[0]: 'a./*' can match no repository: names are lower-case words"),
        (rule(repos='["{..,_}"]'), "0.yaml:5:13: rules[0].repos[0]: '{..,_}' can match no repository: names are lower-case words"),
        (rule(repos='["re: .*[.]"]'), "0.yaml:5:13: rules[0].repos[0]: 're: .*[.]' can match no repository: names are lower-case words"),
        (rule(repos='["a:latest"]'), "0.yaml:5:13: rules[0].repos[0]: 'a:latest': write a alone; its tag or digest stands in tags:"),
        (rule(tags='["sha256:aa"]'), "0.yaml:6:12: rules[0].tags[0]: 'sha256:aa': a digest stands behind @: @sha256:HEX, or TAG@sha256:HEX"),
        (rule(tags='[".*"]'), "0.yaml:6:12: rules[0].tags[0]: '.*' can match no tag: a tag begins with a letter, a digit or _"),
        (rule(repos='["h.example:5000/a/*"]'), "0.yaml:5:13: rules[0].repos[0]: 'h.example:5000/a/*': names stand without their registry: write a/*"),
        (rule(repos='"a/**, b/**"'), "0.yaml:5:12: rules[0].repos: 'a/**, b/**': ',' stands in none of the names this can match: several patterns are a list, such as [a, b]"),
        (rule(repos='"^a/.*$"'), "0.yaml:5:12: rules[0].repos: '^a/.*$': '^' stands in none of the names this can match: a regular expression is written re: X"),
        (rule(tags='">=14"'), "0.yaml:6:11: rules[0].tags: '>=14': '>' stands in none of the names this can match: a range is written semver: >=1.2"),
        (rule(tags='"^1.2"'), "0.yaml:6:11: rules[0].tags: '^1.2': '^' stands in none of the names this can match: a range is written semver: >=1.2"),
        (rule(tags='"^v1.*"'), "0.yaml:6:11: rules[0].tags: '^v1.*': '^' stands in none of the names this can match: a regular expression is written re: X"),
        (rule(tags='"/v.*/"'), "0.yaml:6:11: rules[0].tags: '/v.*/': '/' stands in none of the names this can match: a regular expression is written re: X"),
        (rule(tags='"v1.[0-9]+"'), "0.yaml:6:11: rules[0].tags: 'v1.[0-9]+': '+' stands in none of the names this can match: a regular expression is written re: X"),
        (rule(tags='"${TAG}"'), "0.yaml:6:11: rules[0].tags: '${TAG}': '$' stands in none of the names this can match: rules know no variables; write the value"),
        (rule(every='"0 3 * * *"'), "0.yaml:7:12: rules[0].every: '0 3 * * *': write cron before it and a zone behind: cron 0 3 * * * Europe/Zurich"),
        (rule(keep="9" * 26), f"0.yaml:7:11: rules[0].keep: \"{'9' * 26}\": wants a whole number such as 14, or a mapping such as"),
        (rule(keep="many"), "0.yaml:7:11: rules[0].keep: \"many\": wants a whole number such as 14, or a mapping such as {newest: 14, by: seen}"),
        (rule(keep="[2]"), "0.yaml:7:11: rules[0].keep: [2]: wants a whole number such as 14, or a mapping such as"),
        (rule(delete="30"), "0.yaml:7:13: rules[0].delete: \"30\": wants never, a duration such as 7d, or a mapping such as"),
        (rule(verify="3"), "0.yaml:7:13: rules[0].verify: \"3\": wants the name of a key, a list of them, or a mapping such as"),
        (rule(to='"Alice/{repo}"'), "0.yaml:7:9: rules[0].to: 'Alice/{repo}': 'A' stands in no repository's name: names are lower-case"),
        (rule(to='{name: "{repo}:{tag}"}'), "0.yaml:7:9: rules[0].to: '{repo}:{tag}': ':' stands in no repository's name: a tag is written {name: NAME, tag: TAG}"),
        (rule(to='"h.example:5000/{repo}"'), "0.yaml:7:9: rules[0].to: '5000/{repo}': '/' stands in no tag: another registry is written {registry: HOST, name: NAME}"),
        (rule() + "sets: {x: [a]}\n", "0.yaml:7:8: sets.x: no rule uses this set; use it or take it out"),
        (rule() + "    name: again\n", "0.yaml:7:5: rules[0].name: stands twice: first on line 3; keep one"),
        (rule(repos='["@x"]') + 'sets: {x: ["@y"], y: [a]}\n', "0.yaml:7:12: sets.x[0]: @y: a set holds patterns, not sets"),
        (rule() + "defaults: {age: 3}\n", "0.yaml:7:17: defaults.age: wants a text, and 3 is a number"),
        (rule() + "defaults: {tags: [a]}\n", "0.yaml:7:12: defaults.tags: unknown key"),
    ],
)  # fmt: skip
def test_faults_say_where_and_how(text: str, fault: str) -> None:
    found = faults(text, registries=("docker.io",))
    assert found[0].startswith(fault), found


def test_all_faults_of_all_files_come_at_once() -> None:
    found = faults(rule(age="x", when='["1", "2"]', tags='["{"]'), rule(name="s", hold="x"), "]")
    assert [each.split(": ")[0] for each in found] == [
        "0.yaml:6:12", "0.yaml:7:10", "0.yaml:8:12", "0.yaml:8:17", "1.yaml:7:11", "2.yaml:1:1",
    ]  # fmt: skip


def test_a_folder_is_one_set_of_rules() -> None:
    one = rule(name="", repos='"@lhc"')
    other = 'schema: registry-mesh/rules/2\nsets: {lhc: ["atlas/**"]}\nguard: 3%\ndefaults: {delete: 9d}\n'
    rules = read(one, other + "rules: []\n")
    assert [each.name for each in rules] == ["@lhc"]
    assert (rules.guard, rules.vanished) == (0.03, Delete(9 * 86400.0, 9 * 86400.0))
    assert "1.yaml:2:8: sets.lhc: lhc is the name of another set: 0.yaml:6; choose another" in "\n".join(
        faults(one + 'sets: {lhc: ["cms/**"]}\n', other + "rules: []\n")
    )
    assert (
        "1.yaml:3:5: rules[0]: a/b is the name of another rule: 0.yaml:3; give one of them a name"
        in faults(rule(name=""), rule(name=""))
    )


def test_a_rule_s_own_key_replaces_the_default_whole() -> None:
    text = "defaults: {delete: {gone: 1d, unselected: 2d}, with: none}\n"
    (one,) = read(rule(delete="{gone: 5d}") + text)
    assert one.delete == Delete(5 * 86400.0, None)
    assert one.companions.is_none


def test_what_a_node_does_not_do_is_refused_whole() -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        refuse_unheeded(read(rule(age="3d", note="why")), {"note"})
    assert str(invalid.value) == "0.yaml:3:5: rule r: this node does not do age yet; take it out"
    refuse_unheeded(read(rule(note="why")), {"note"})
    refuse_unheeded(read(rule(tags=[f"1.0@sha256:{64 * '0'}"])), {"note"})


def test_a_push_to_a_registry_that_does_not_say_push_is_refused() -> None:
    rules = read(
        rule(to="{registry: cloud.example}"), rule(name="m", to="{registry: cloud.example}", data="metadata")
    )
    with pytest.raises(ConfigInvalid) as invalid:
        refuse_outward(rules, [])
    assert [str(each) for each in invalid.value.findings] == [
        "0.yaml:3:5: rule r: this node does not push to cloud.example; say registries.cloud.example.push: true in its "
        "configuration, with the address in parents",
        "1.yaml:3:5: rule m: this node does not push to cloud.example; say registries.cloud.example.push: true in its "
        "configuration, with the address in parents",
        "1.yaml:3:5: rule m: data: metadata beside a registry that is pushed to; registries take manifests with their "
        "blobs alone",
    ]
    with pytest.raises(ConfigInvalid, match="data: metadata"):
        refuse_outward(rules, ["cloud.example"])


def test_the_first_edition_keeps_its_meaning_beside_the_second() -> None:
    first = rule(name="old", repos='"{**,b}/x"').replace("rules/2", "rules/1")
    old, new = read(first, rule(repos='"{**,b}/x"'))
    assert "x" not in old.repositories and "x" in new.repositories
    assert "22.04" in next(iter(read(rule(tags='"semver: *"')))).tags
    assert "22.04" not in next(iter(read(rule(tags='"semver: *"').replace("rules/2", "rules/1")))).tags
    assert "keep: unknown key" in faults(rule(keep="2").replace("rules/2", "rules/1"))[0]


def test_the_published_schema_is_that_of_the_code_and_takes_the_whole_language() -> None:
    published = json.loads(SCHEMA.read_text())
    assert published == json_schema()
    jsonschema.validate(yaml.safe_load(WHOLE), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(rule(kept="3")), published)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("tags: 1.10", 'wants a text, and 1.10 is a number; put it in quotes: "1.10"'),
        ("tags: 1e3", 'put it in quotes: "1e3"'),
        ("tags: '1', fixed: 0o17", 'put it in quotes: "0o17"'),
        ("tags: '1', nodes: 7", 'put it in quotes: "7"'),
        ("tags: '1', budget: 0%", "nothing would ever come"),
        ("tags: '1', budget: 0MiB/d", "nothing would ever come"),
        ("tags: '1', budget: [10%, 0MiB/s]", "nothing would ever come"),
        ("tags: '1', every: cron 0 0 31 2 * UTC", "there is no such day in that month"),
        ("tags: '1', every: 'cron 0 0 31 4,6 * UTC'", "there is no such day in that month"),
        ("tags: 'v{1..3}'", "{1..3} is no range here: write the names out, such as {1,2,3}"),
        ("tags: 'v1\u00a0'", "stands in none of the names"),
        (
            "tags: '1', <<: {keep: 1}",
            "<<: unknown key; keys of another mapping are not merged in: write them out",
        ),
    ],
)
def test_what_would_mean_nothing_or_something_else_is_told(key: str, told: str) -> None:
    text = f"schema: registry-mesh/rules/2\nrules:\n  - {{from: r.example, repos: a, {key}}}\n"
    with pytest.raises(ConfigInvalid, match=re.escape(told)):
        parse_rules([("r.yaml", text.encode())])


@pytest.mark.parametrize("name", ["!b/..", "!.*", "!_*"])
def test_what_excludes_no_name_is_left_alone(name: str) -> None:
    assert read(rule(repos=f'["*", "{name}"]'))


def test_a_note_may_have_several_lines() -> None:
    (one,) = read(rule() + "    note: |\n      why:\n\n      * asked by ATLAS\n")
    assert one.note == "why:\n\n* asked by ATLAS"
    denied = read(
        rule() + "deny:\n  - from: docker.io\n    repos: b\n    note: |\n      one\n      two\n"
    ).deny
    assert [each.note for each in denied] == ["one two"]


def test_a_tab_in_the_place_of_spaces_is_told() -> None:
    text = "schema: registry-mesh/rules/2\nrules:\n\t- {from: r.example, repos: a, tags: '1'}\n"
    with pytest.raises(ConfigInvalid, match="a tab stands there; indent with spaces"):
        parse_rules([("r.yaml", text.encode())])


@pytest.mark.parametrize("every", ["cron 0 0 29 2 * UTC", "'cron 0 0 31 1,2 * UTC'", "cron 0 0 * 2 * UTC"])
def test_a_day_that_comes_now_and_then_is_one(every: str) -> None:
    text = f"schema: registry-mesh/rules/2\nrules:\n  - {{from: r.example, repos: a, tags: '1', every: {every}}}\n"
    assert len(tuple(parse_rules([("r.yaml", text.encode())]))) == 1


def test_the_configuration_of_a_node_is_no_rule_file() -> None:
    node = "role: site\nname: x\nstore: {disk: {path: x}}\n"
    for more, named in (
        ("rules: r\n", "r (rules)"),
        ("retention: {rules: keep}\n", "keep (retention.rules)"),
        ("rules: r\nretention: {rules: keep}\n", "r (rules) or keep (retention.rules)"),
        ("", "the folder that its key rules names"),
    ):
        (fault,) = faults(node + more)
        assert fault.endswith(
            f"this is the configuration of a node, and no rule file; give {named}, or the files in it"
        )


def test_what_is_left_without_quotes_or_a_sign_is_said_so() -> None:
    (fault,) = faults(rule(to="{repo}"))
    assert fault.endswith('unknown key; a template is put in quotes: "{repo}"')
    (fault,) = faults("guard: 10\n" + rule())
    assert fault == "0.yaml:1:8: guard: wants a share, and 10 is a number; write 10%"
    (fault,) = faults(rule(tags="semver: >=1"))
    assert fault.endswith('put it in quotes: "semver: >=1"')
    (fault,) = faults(rule() + "<<<<<<< HEAD\nguard: 1%\n=======\nguard: 2%\n>>>>>>> main\n")
    assert "a merge left its conflict there, line 7: keep one side" in fault
