"""Rule sets and contents of registries, drawn at random: every key of the language that one run obeys by itself."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.simulators.cloud import CLOUD
from tests.simulators.images import HOST, Content, descriptor, random_bytes
from tests.simulators.signatures import Cosign

NAMES: Final = ("a", "b", "c")
TAGS: Final = ("v1", "v2", "v3", "1.0.0", "1.1.0", "1.2.0", "2.0.0", "latest")
PLATFORMS: Final = ("linux/amd64", "linux/arm64", "linux/arm/v7")
PLATFORM_LISTS: Final = (
    ["linux/amd64"],
    ["linux/amd64"],
    ["linux/amd64", "linux/arm64"],
    ["linux/arm64/v8"],
    ["linux/arm/v7", "linux/arm64"],
    ["linux/s390x"],
)
INWARD: Final = ("{repo}:{tag}-x", "m/{base}", "m/all", "{repo}:{version}", "m/{tag}", "m/{base}:newest")
OUTWARD: Final = ({"registry": CLOUD}, {"registry": CLOUD, "name": "t/{base}", "tag": "{tag}-out"})

Written = dict[str, Any]
"""A rule as its file says it."""


def seed_by(variable: str, usual: int) -> str:
    """The seed that an environment variable says: a number, `fresh` for one by chance, else the usual one."""
    said = os.environ.get(variable) or str(usual)
    return str(random.SystemRandom().randrange(1 << 32)) if said == "fresh" else said


class Draw(random.Random):
    """Draws that a seed repeats."""

    def is_so(self, share: float) -> bool:
        return self.random() < share

    def rules(self) -> dict[str, str]:
        """Files of a folder, by name."""
        found = {}
        for number in range(self.randint(1, 3)):
            rules = [self._rule(f"r{number}{i}") for i in range(self.randint(1, 3))]
            found[f"f{number}.yaml"] = self._file(rules)
        return found

    def write_rules(self, folder: Path) -> None:
        """In place of the files that are there."""
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for name, text in self.rules().items():
            (folder / name).write_text(text)

    def _file(self, rules: list[Written]) -> str:
        document: Written = {"schema": "registry-mesh/rules/2", "rules": rules}
        if self.is_so(0.8):
            document["guard"] = "100%"
        if self.is_so(0.3):
            document["defaults"] = {"delete": {"unselected": self.choice(["0s", "1h"])}}
        if self.is_so(0.15):
            what = self.choice([{"tags": "v2"}, {"repos": "p/b"}, {"tags": "1.*"}])
            document["deny"] = [{"from": HOST, "repos": "**"} | what]
        return json.dumps(document, indent=1)

    def _rule(self, name: str) -> Written:
        rule: Written = {"name": name, "from": HOST}
        rule["repos"] = self.choice(["p/**", "p/a", "p/{a,b}", "**", ["p/*", "!p/c"]])
        rule["tags"] = self.choice(
            ["*", "v*", ["*", "!v2"], "semver: *", "semver: >=1.1", "re: v[0-3]", "v1"]
        )
        kept = [2, {"newest": 1, "by": "seen"}] if str(rule["tags"]).startswith("semver") else []
        for key, share, values in self._keys(kept):
            if values and self.is_so(share):
                rule[key] = self.choice(values)
        if CLOUD in str(rule.get("to")):
            rule.pop("data", None)  # registries take manifests with their blobs alone
        return rule

    def _keys(self, kept: list[Any]) -> list[tuple[str, float, list[Any]]]:
        """Key, share of the rules that say it, and what they say."""
        return [
            ("platforms", 0.4, [*PLATFORM_LISTS]),
            ("types", 0.2, ["image", "chart", "!chart", ["image", "!application/vnd.example*"]]),
            ("labels", 0.2, [{"tier": "prod"}, {"tier": "*"}, {"tier": "*", "team": "a*"}]),
            ("max", 0.3, ["60KiB", "110KiB", "150KiB"]),
            ("with", 0.3, ["none", "all", "signatures"]),
            ("verify", 0.1, ["team"]),
            ("age", 0.15, ["30d", "0s"]),
            ("fixed", 0.2, ["v1", "*"]),
            ("to", 0.35, [*INWARD, ["{repo}", "n/{base}"], *OUTWARD, ["{repo}", OUTWARD[0]]]),
            ("nodes", 0.1, ["rep*", "elsewhere"]),
            ("data", 0.15, ["metadata"]),
            ("keep", 0.5, kept),
            ("delete", 0.5, ["0s", {"gone": "0s", "unselected": "1h"}, {"gone": "0s"}, {"unselected": "0s"}]),
            ("hold", 0.1, ["forever", "1h"]),
            ("every", 0.1, ["1h", "manual"]),
            ("when", 0.1, [["00:00-12:01 UTC", "12:00-00:01 UTC"]]),
            ("budget", 0.1, ["10GiB/d", "1GiB/s"]),
            ("priority", 0.25, ["high", "low"]),
            ("note", 0.1, ["why"]),
        ]

    def content(self, signer: Cosign | None) -> Content:
        """What is pushed to one repository: images that share layers, some signed, labelled, or of a kind of their own;
        an index of some of them, or two."""
        content = Content()
        shared = [random_bytes(f"shared{i}", 20_000 + i) for i in range(3)]
        made = []
        for tag in self.sample(TAGS, self.randint(2, 5)):
            own = random_bytes(str(self.random()), self.randint(1, 140_000))
            labels = self.choice(
                [None, {"tier": "test"}, {"tier": "prod"}, {"tier": "prod", "team": "atlas"}]
            )
            layers = [*self.sample(shared, self.randint(0, 2)), own]
            made.append(content.image(str(self.random()), tag, layers=layers, labels=labels))
        for tag in self.sample(["multi", "v4", "1.3.0"], self.choice([0, 1, 1, 2])):
            self._index(content, made, tag)
        if signer is not None and self.is_so(0.2):
            signer.tag(content, made[0])
        return content

    def _index(self, content: Content, made: list[Manifest], tag: str) -> None:
        """Of images, a chart, or an index; some with what attests them, some with annotations."""
        children = []
        for name in self.sample(PLATFORMS, self.randint(1, 3)):
            child = self._chart(content) if self.is_so(0.1) else self.choice(made)
            if self.is_so(0.1):
                child = _index_of(content, [child.descriptor.document()], {})
            os, architecture, *variant = name.split("/")
            platform = {"os": os, "architecture": architecture} | ({"variant": variant[0]} if variant else {})
            children.append(child.descriptor.document() | ({"platform": platform} if self.is_so(0.9) else {}))
            if self.is_so(0.3):
                children.append(self._proof(content, child))
        if self.is_so(0.1):  # a cache of a builder
            layer = content.blob(random_bytes(str(self.random()), 9_000))
            children = [descriptor("application/vnd.oci.image.layer.v1.tar", layer)]
        annotations = {"tier": self.choice(["prod", "test"])} if self.is_so(0.15) else {}
        _index_of(content, children, annotations, tag)

    def _proof(self, content: Content, of: Manifest) -> Written:
        """What builders write of a child into its index."""
        proof = content.image(str(self.random()), layers=[random_bytes(str(self.random()), 30_000)])
        platform = {"os": "unknown", "architecture": "unknown"}
        annotations = {"vnd.docker.reference.digest": str(of.digest)} if self.is_so(0.8) else {}
        return proof.descriptor.document() | {"platform": platform, "annotations": annotations}

    def _chart(self, content: Content) -> Manifest:
        config, layer = content.blob(b"{}"), content.blob(random_bytes(str(self.random()), 5_000))
        kind = "application/vnd.cncf.helm"
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(f"{kind}.config.v1+json", config),
            "layers": [descriptor(f"{kind}.chart.content.v1.tar+gzip", layer)],
        }
        return content.put(document, *(["chart"] if self.is_so(0.3) else []))


def _index_of(
    content: Content, children: list[Written], annotations: Mapping[str, str], *tags: str
) -> Manifest:
    document: Written = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}
    return content.put(document | ({"annotations": annotations} if annotations else {}), *tags)
