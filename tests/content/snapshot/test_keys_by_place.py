"""Every key of a rule at each place where rules are obeyed: the table of docs/rules.md, a cell a test.

A cell that is obeyed runs the same story with the key and without it: both must be seen to end as they should, so that
a key that is ignored fails. A cell that is refused is refused by its place, by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_mesh.assembly.runs.preloading import HEEDED, NOT_AT_SITES
from registry_mesh.assembly.runs.rules_in_force import RulesInForce
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse
from registry_mesh.config.rule_files import parse_rules
from registry_mesh.content.snapshot.records.remembered_tags import RememberedTags
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.ports.place import Place
from registry_mesh.replication.rules import Rules
from registry_mesh.stores.memory.records import MemoryRecords
from tests.content.snapshot.finding.test_verify import SIGNERS, TEAM
from tests.simulators.cloud import CLOUD
from tests.simulators.images import HOST, LAYER, Content, descriptor, random_bytes
from tests.simulators.places import OWN, PLACES, RuledPlace

DAY = 86_400.0
MONDAY = 4 * DAY
"""1970-01-05 00:00 UTC."""
ESTARGZ = "application/vnd.registry-mesh.estargz.v1"
TABLE = re.compile(r"### Which key is obeyed where\n\n(.*?)\n\n", re.DOTALL)
DOCS = Path(__file__).parents[3] / "docs" / "rules.md"


@dataclass
class Node:
    """A place whose node is called `here`, and what its source has: two images, an index, companions."""

    place: RuledPlace
    written: str = ""

    def __post_init__(self) -> None:
        content = self.content
        self.place.now = MONDAY
        self.place.signers = SIGNERS if self.place.kind != "site" else {}
        one = content.image("one", "v1", layers=[random_bytes("one", 20_000)])
        two = content.image("two", "v2", labels={"tier": "prod"})
        kids = {each: content.image(each) for each in ("linux/amd64", "linux/arm64")}
        content.index(kids, "many")
        signature = content.image("signature", subject=one)
        layer = content.blob(random_bytes("estargz", 2_000))
        variant = content.put(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": ESTARGZ,
                "config": descriptor("application/vnd.oci.empty.v1+json", content.blob(b"{}")),
                "layers": [descriptor(LAYER, layer)],
                "subject": two.descriptor.document(),
            }
        )
        self.images = {"one": one, "two": two, **kids, "signature": signature, "variant": variant}
        self.other = self.place.source["b"].image("other", "v1")

    @property
    def content(self) -> Content:
        return self.place.source["a"]

    def rules(self, *rules: str, more: str = "") -> Rules:
        """Of a node called `here`, as its role takes them."""
        kind, lines = self.place.kind, []
        for number, rule in enumerate(rules):
            rule = rule.replace("ONE", str(self.images["one"].digest))
            if "name:" not in rule.replace('name: "', ""):
                rule = f"name: r{number}, {rule}"
            if "from:" not in rule:
                rule = f"from: {HOST}, {rule}"
            if kind == "outward" and "to:" not in rule:
                rule += f', to: {{registry: {CLOUD}, name: "{{repo}}"}}'
            if kind == "site" and "nodes:" not in rule:
                rule += ", nodes: here"
            lines.append(f"  - {{{rule}}}\n")
        text = f"schema: registry-mesh/rules/2\nrules:\n{''.join(lines)}{more}"
        return parse_rules([("r.yaml", text.encode())], known_platforms=False)

    async def run(self, *rules: str, days: float = 0.0, more: str = "") -> None:
        self.place.now = MONDAY + days * DAY
        taken = self.rules(*rules, more=more)
        ours = tuple(each for each in taken if each.is_for("here"))
        await self.place.run(Rules(ours, *(getattr(taken, f) for f in Rules.__slots__ if f != "rules")))

    async def tags(self, name: str = "a") -> str:
        """Those of v1, v2 and many that are there."""
        return " ".join([tag for tag in ("v1", "v2", "many") if await self.place.digest(name, tag)])

    async def bytes_of(self, *names: str) -> str:
        """Which of these images have their layers there."""
        found = [each for each in names if await self.place.has(self.images[each].layers[0].digest)]
        return " ".join(found)

    async def v1_is(self) -> str:
        digest = await self.place.digest("a", "v1")
        return next((name for name, image in self.images.items() if image.digest == digest), "nothing")

    def move(self) -> None:
        self.images["moved"] = self.content.image("moved", "v1")


Story = Callable[[Node, str], Awaitable[str]]
"""Given the key as a rule says it (or nothing in its place), what is seen at the end."""


async def taken(node: Node, key: str) -> str:
    await node.run(f"repos: a, tags: '*'{key}")
    return await node.tags()


async def said(node: Node, key: str) -> str:
    """All of the rule is `key`."""
    await node.run(key)
    return f"{await node.tags()}/{await node.tags('b')}"


async def named(node: Node, key: str) -> str:
    await node.run(f"repos: a, tags: '*'{key}")
    return " ".join(sorted(node.place.meter.rules))


async def denied(node: Node, key: str) -> str:
    await node.run("repos: a, tags: '*'", more=key)
    return await node.tags()


async def versions(node: Node, key: str) -> str:
    await node.run(f'repos: a, tags: "semver: *"{key}')
    return await node.tags()


async def children(node: Node, key: str) -> str:
    await node.run(f"repos: a, tags: '*'{key}")
    return await node.bytes_of("linux/amd64", "linux/arm64")


async def companions(node: Node, key: str) -> str:
    await node.run(f"repos: a, tags: '*'{key}")
    return await node.bytes_of("signature", "variant")


async def layers(node: Node, key: str) -> str:
    await node.run(f"repos: a, tags: '*'{key}")
    return f"{await node.tags()}: {await node.bytes_of('one', 'two')}"


async def signed(node: Node, key: str) -> str:
    TEAM.refer(node.content, node.images["two"])
    return await taken(node, key)


async def moved(node: Node, key: str) -> str:
    await node.run(f"repos: a, tags: '*'{key}")
    node.move()
    await node.run(f"repos: a, tags: '*'{key}", days=1)
    return await node.v1_is()


async def gone(node: Node, key: str) -> str:
    """v1 is gone from its source for nine days."""
    rule = f"repos: a, tags: '*'{key}"
    await node.run(rule, more="guard: 100%\n")
    del node.content.tags[Tag("v1")]
    for day in (1, 9):
        await node.run(rule, days=day, more="guard: 100%\n")
    return await node.tags()


async def held(node: Node, key: str) -> str:
    if node.place.kind != "site":
        return await gone(node, f", delete: 7d{key}")
    await node.run(f"repos: a, tags: '*'{key}")
    known = await RememberedTags(node.place.records).of(Place(HOST, RepositoryName("a")))  # type: ignore[arg-type]
    return " ".join(tag for tag in ("v1", "v2", "many") if tag in known and known[Tag(tag)].held_until)


async def ordered(node: Node, key: str) -> str:
    """By which of two repositories bytes came first."""
    await node.run("repos: a, tags: v1, with: none", f"repos: b, tags: v1{key}")
    layers = {node.images["one"].layers[0].digest: "a", node.other.layers[0].digest: "b"}
    asked = [each.removeprefix("blob ") for each in node.place.source.asked]
    return " ".join(layers[digest] for each in asked for digest in layers if str(digest) == each)


async def renamed(node: Node, key: str) -> str:
    await node.run(f"repos: a, tags: v1{key}")
    return f"{await node.tags('a')}/{await node.tags('x/a')}"


ALL = "v1 v2 many"
STORIES: dict[str, list[tuple[Story, str, str, str, str]]] = {
    "name": [(named, ", name: nightly", "", "nightly", "r0")],
    "note": [(taken, ", note: why", "", ALL, ALL)],
    "from": [(said, "repos: a, tags: '*'", "from: else.example, repos: a, tags: '*'", f"{ALL}/", "/")],
    "repos": [(said, "repos: b, tags: '*'", "repos: '*', tags: '*'", "/v1", f"{ALL}/v1")],
    "tags": [(said, "repos: a, tags: v2", "repos: a, tags: '*'", "v2/", f"{ALL}/")],
    "pins": [
        (said, "repos: a, tags: 'v2@ONE'", "repos: a, tags: v2", "/", "v2/"),
        (said, "repos: a, tags: 'v1@ONE'", "repos: a, tags: none", "v1/", "/"),
    ],
    "deny": [(denied, f"deny: [{{from: {HOST}, repos: a, tags: v1}}]\n", "", "v2 many", ALL)],
    "types": [(taken, ", types: chart", "", "", ALL)],
    "labels": [(taken, ", labels: {tier: prod}", "", "v2", ALL)],
    "platforms": [(children, ", platforms: [linux/amd64]", "", "linux/amd64", "linux/amd64 linux/arm64")],
    "max": [(taken, ", max: 15KiB", "", "v2 many", ALL)],
    "with": [(companions, ", with: none", "", "", "signature variant")],
    "age": [(taken, ", age: 3d", "", "", ALL)],
    "keep": [(versions, ", keep: 1", "", "v2", "v1 v2")],
    "nodes": [(taken, ", nodes: elsewhere", ", nodes: he*", "", ALL)],
    "every": [(moved, ", every: 7d", "", "one", "moved")],
    "when": [(taken, ', when: "02:00-03:00 UTC"', ', when: "00:00-03:00 UTC"', "", ALL)],
    "priority": [(ordered, ", priority: high", "", "b a", "a b")],
    "verify": [(signed, ", verify: team", "", "v2", ALL)],
    "fixed": [(moved, ", fixed: '*'", "", "one", "moved")],
    "to": [(renamed, ", to: 'x/{repo}'", "", "/v1", "v1/")],
    "data": [
        (layers, ", data: metadata", "", f"{ALL}: ", f"{ALL}: one two"),
        (layers, ", data: on-demand", "", f"{ALL}: ", f"{ALL}: one two"),
    ],
    "variants": [(companions, ", with: none, variants: estargz", ", with: none", "variant", "")],
    "delete": [(gone, ", delete: 7d", "", "v2 many", ALL)],
    "hold": [(held, ", hold: forever", "", ALL, "v2 many")],
    "budget": [(taken, ", budget: 1KiB/d", "", "", ALL)],
}
"""By key: the story, what is said, what is said instead, and how it ends."""
OTHERWISE: dict[tuple[str, str], list[tuple[Story, str, str, str, str]]] = {
    ("hold", "site"): [(held, ", hold: forever", "", ALL, "")],
    ("to", "outward"): [
        (renamed, f", to: {{registry: {CLOUD}, name: 'x/{{repo}}'}}", "", "/v1", "v1/"),
    ],
}
REFUSED = {
    **{(key, "site"): (f"{{{key}}}", why) for key, why in NOT_AT_SITES.items()},
    ("data", "outward"): ("{data}", "data"),
    ("data", "origin"): ("{data}", "on-demand"),
}
ELSEWHERE = {("variants", "origin"): "tests/mesh/test_variants.py::test_an_origin_makes_what_rules_want_once"}
SPELLED = {
    "to": "to: 'x/{repo}'",
    "delete": "delete: 7d",
    "fixed": "fixed: '*'",
    "verify": "verify: team",
    "budget": "budget: 1MiB/s",
    "data": "data: on-demand",
}


def table() -> dict[tuple[str, str], str]:
    """The cells of the table in the documentation."""
    found = TABLE.search(DOCS.read_text())
    assert found is not None
    cells = {}
    for row in found[1].splitlines()[2:]:
        first, *rest = (each.strip() for each in row.strip("|").split("|"))
        keys = re.findall(r"`(\w+)`|(pins)", first)
        cells |= {
            ("".join(key), place): cell for key in keys for place, cell in zip(PLACES, rest, strict=True)
        }
    return cells


CELLS = table()
IS_OBEYED = [
    cell for cell, told in CELLS.items() if not told.startswith("refused:") and cell not in ELSEWHERE
]
IS_REFUSED = [
    cell for cell, told in CELLS.items() if told.startswith("refused") or cell == ("data", "origin")
]


def test_the_table_has_every_key_and_every_cell_has_a_test() -> None:
    assert {key for key, _ in CELLS} == {*STORIES}
    assert len(CELLS) == len(STORIES) * len(PLACES)
    for where in ELSEWHERE.values():
        path, _, name = where.partition("::")
        assert f"async def {name}" in (DOCS.parents[1] / path).read_text()


def stories(key: str, place: str) -> list[tuple[Story, str, str, str, str]]:
    told = OTHERWISE.get((key, place), STORIES[key])
    if (key, place) == ("data", "origin"):
        return told[:1]
    return [] if (key, place) == ("data", "outward") else told


@pytest.mark.parametrize(
    ("key", "place", "number"),
    [(k, p, n) for k, p in IS_OBEYED for n in range(len(stories(k, p)))],
)
async def test_what_a_key_says_is_done_and_would_not_be_without_it(key: str, place: str, number: int) -> None:
    story, says, instead, ends, else_ends = stories(key, place)[number]
    assert await story(Node(RuledPlace(place)), says) == ends
    assert await story(Node(RuledPlace(place)), instead) == else_ends


@pytest.mark.parametrize(("key", "place"), IS_REFUSED)
async def test_what_a_place_does_not_do_is_refused_by_name(key: str, place: str, tmp_path: Path) -> None:
    rule = f"from: {HOST}, repos: a, tags: '*', {SPELLED[key]}"
    if place == "site":
        rule += ", nodes: here"
    if place == "outward":
        rule += f", to: {{registry: {CLOUD}, name: a}}"
    (tmp_path / "r.yaml").write_text(f"schema: registry-mesh/rules/2\nrules:\n  - {{{rule}}}\n")
    role = place if place in ("site", "origin") else "replica"
    document = {
        "role": role,
        "name": "here",
        "store": {"disk": {"path": str(tmp_path / "store")}},
        "registries": {
            HOST: {"parents": [["http://127.0.0.1:1"]]},
            CLOUD: {"parents": [["http://127.0.0.1:1"]], "push": True},
        },
        "rules": str(tmp_path),
    } | ({"registry": OWN} if role == "origin" else {})
    config = parse(json.dumps(document), "c.yaml").config
    heeded = HEEDED if role == "site" else {*STORIES}
    reasons = NOT_AT_SITES if role == "site" else None
    told = NOT_AT_SITES[key] if place == "site" else key
    with pytest.raises(ConfigInvalid, match=re.escape(told)):
        await RulesInForce(config, MemoryRecords(), heeded, str(tmp_path), reasons=reasons).read()
