"""Rule sets and contents of registries, drawn at random: every key of the language that one run obeys by itself."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any, Final

from tests.simulators.cloud import CLOUD
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.signatures import Cosign

NAMES: Final = ("a", "b", "c")
TAGS: Final = ("v1", "v2", "v3", "1.0.0", "1.1.0", "1.2.0", "2.0.0", "latest")
PLATFORMS: Final = ("linux/amd64", "linux/arm64")
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
            ("platforms", 0.3, [["linux/amd64"], list(PLATFORMS)]),
            ("types", 0.15, ["image", "chart", ["image", "!application/vnd.example*"]]),
            ("labels", 0.1, [{"tier": "prod"}, {"tier": "*"}]),
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
        an index."""
        content = Content()
        shared = [random_bytes(f"shared{i}", 20_000 + i) for i in range(3)]
        made = []
        for tag in self.sample(TAGS, self.randint(2, 5)):
            own = random_bytes(str(self.random()), self.randint(1, 140_000))
            labels = self.choice([None, None, {"tier": "prod"}])
            layers = [*self.sample(shared, self.randint(0, 2)), own]
            made.append(content.image(str(self.random()), tag, layers=layers, labels=labels))
        if self.is_so(0.6):
            content.index(dict(zip(PLATFORMS, made[:2], strict=True)), "multi")
        if signer is not None and self.is_so(0.2):
            signer.tag(content, made[0])
        return content
