"""Keys that another tool does not have, or that a rule cannot say: refused by name and place."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import pytest

from registry_mesh.config.imports.entry import told
from registry_mesh.config.imports.tools import NAMES, imported
from tests.config.import_cases import A

HOSTS = {"7": "quay.io"}

# Each tool with a key that it does not have, or that a rule cannot say: the file, and where the key stands.
UNKNOWN = {
    "artifact-mirror": ("Artifacts:\n- SourceArtifact: a/b\n  Tags: [v1]\n  Weight: 3\n", "4:3", "Weight"),
    "dregsy": ("tasks:\n- name: t\n  source: {registry: a.b}\n  target: {registry: c.d}\n  mappings: [{from: x, sign: y}]\n", "5:24", "sign"),
    "ducc": ("version: 1\ninput:\n- image: a.b/c:1\n  keep: 3\n", "4:3", "keep"),
    "ecr": ('resource "aws_ecr_pull_through_cache_rule" "a" {\n  ecr_repository_prefix = "q"\n  upstream_registry_url = "quay.io"\n  warm = true\n}\n', "4:3", "warm"),
    "harbor": ('{"name": "x", "src_registry": {"id": 7},\n "quota": 3}', "2:2", "quota"),
    "hauler": ("kind: Images\nspec:\n  images:\n  - name: a.b/c:1\n    retries: 3\n", "5:5", "retries"),
    "hosts.toml": ('server = "https://a.b"\n[host."https://m.b"]\n  mirror = true\n', "3:3", "mirror"),
    "kpromo": (f"registries: [{{name: a.b/c, src: true}}]\nimages:\n- name: x\n  dmap: {{'{A}': [v1]}}\n  sign: true\n", "5:3", "sign"),
    "kuik": ("kind: CachedImage\nspec:\n  sourceImage: a.b/c:1\n  digest: x\n", "4:3", "digest"),
    "mirror-sets": ("kind: ImageTagMirrorSet\nspec:\n  imageTagMirrors:\n  - source: a.b\n    mirrors: [c.d]\n    weight: 3\n", "6:5", "weight"),
    "oc-mirror": ("kind: ImageSetConfiguration\nmirror:\n  additionalImages:\n  - name: a.b/c:1\n    targetrepo: d\n", "5:5", "targetrepo"),
    "ocync": ("registries: {a: {url: a.b}, c: {url: c.d}}\nmappings:\n- from: x\n  source: a\n  targets: c\n  bulk: true\n", "6:3", "bulk"),
    "quay": ('{"external_reference": "quay.io/a/b",\n "keep": 3}', "2:2", "keep"),
    "registries.conf": ('[[registry]]\nlocation = "a.b"\nweight = 3\n', "3:1", "weight"),
    "regsync": ("sync:\n- source: a.b/c\n  target: d.e/c\n  tags: {allow: [v1]}\n  delete: true\n", "5:3", "delete"),
    "retagger": ("- image: a.b/c\n  tag_or_pattern: v1\n  arch: amd64\n", "3:3", "arch"),
    "skopeo": ("a.b:\n  images: {c: [v1]}\n  images-by-digest: {c: x}\n", "3:3", "images-by-digest"),
    "zot": ('{"extensions": {"sync": {"registries": [\n{"urls": ["https://a.b"], "content": [{"prefix": "x"}],\n "sparse": true}]}}}', "3:2", "sparse"),
}  # fmt: skip


@pytest.mark.parametrize("tool", UNKNOWN)
def test_a_key_that_nobody_knows_is_refused_by_name_and_place(tool: str) -> None:
    text, place, key = UNKNOWN[tool]
    found = imported(tool, text.encode(), "f", HOSTS)
    (refused,) = [told(each, "f") for each in found if each.refused]
    assert refused.startswith(f"f:{place}: ")
    assert f"{key} is no field that is known here" in refused


def test_lists_and_free_objects_have_no_unknown_keys() -> None:
    """Of image-syncer every key is a source; of Renovate all others are the bot's, and told."""
    assert set(NAMES) - set(UNKNOWN) == {"image-syncer", "osg-list", "renovate"}


def test_a_slip_is_told_with_what_is_meant() -> None:
    (found,) = imported("oc-mirror", UNKNOWN["oc-mirror"][0].encode(), "f", {})
    assert found.entry.refused.endswith("targetRepo is meant, perhaps")
