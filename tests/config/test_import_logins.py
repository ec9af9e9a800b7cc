"""Logins that stand inside addresses of another tool's file: the entry is carried, the login is not repeated."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.imports.entry import configuration, told, written
from registry_mesh.config.imports.logins import NOT_CARRIED, without_logins
from registry_mesh.config.imports.tools import NAMES, imported
from tests.config.import_cases import A

SECRET = "s3cr3t%40pw"
U = f"robot$me:{SECRET}@"
FILES = {
    "artifact-mirror": f"Artifacts:\n- {{SourceArtifact: 'https://{U}a.b/c', Tags: [v1]}}\n",
    "dregsy": f"tasks:\n- {{name: t, source: {{registry: '{U}a.b'}}, target: {{registry: '{U}c.d'}}, mappings: [{{from: x}}]}}\n",
    "ducc": f"version: 1\ninput:\n- 'https://{U}a.b:5000/c/d:1'\n",
    "ecr": f'resource "aws_ecr_pull_through_cache_rule" "a" {{\n  ecr_repository_prefix = "q"\n  upstream_registry_url = "{U}quay.io"\n}}\n',
    "harbor": f'[{{"name": "x", "src_registry": {{"name": "n", "url": "https://{U}a.b:8443"}}}}]',
    "hauler": f"kind: Images\nspec: {{images: [{{name: 'docker://{U}a.b/c:1'}}]}}\n---\nkind: Files\nspec: {{files: [{{path: 'https://a.b/x?token={SECRET}'}}]}}\n",
    "hosts.toml": f'server = "https://{U}a.b"\n[host."https://{U}m.b"]\n',
    "image-syncer": f"'https://{U}a.b/c/d': '{U}x.y/d'\n",
    "kpromo": f"registries: [{{name: '{U}a.b/c', src: true}}, {{name: '{U}d.e/c'}}]\nimages:\n- name: x\n  dmap: {{'{A}': [v1]}}\n",
    "kuik": f"kind: CachedImage\nspec: {{sourceImage: '{U}a.b/c:1'}}\n",
    "mirror-sets": f"kind: ImageTagMirrorSet\nspec: {{imageTagMirrors: [{{source: a.b, mirrors: ['{U}c.d/x']}}]}}\n",
    "oc-mirror": f"kind: ImageSetConfiguration\nmirror: {{additionalImages: [{{name: 'https://{U}a.b/c:1'}}]}}\n",
    "ocync": f"registries: {{a: {{url: '{U}a.b'}}, c: {{url: c.d}}}}\nmappings:\n- {{from: x, source: a, targets: c}}\n",
    "osg-list": f"https://{U}a.b/c/d:1\n",
    "quay": f'{{"external_reference": "{U}quay.io/a/b"}}',
    "registries.conf": f'[[registry]]\nlocation = "a.b"\n[[registry.mirror]]\nlocation = "{U}c.d/x"\n',
    "regsync": f"sync:\n- {{source: '{U}a.b/c', target: 'https://{U}d.e/c', type: repository}}\n",
    "retagger": f"- {{image: '{U}a.b/c', tag_or_pattern: v1}}\n",
    "skopeo": f"'{U}a.b':\n  images: {{c: [v1]}}\n",
    "zot": f'{{"extensions": {{"sync": {{"registries": [{{"urls": ["https:\\/\\/{U}a.b"], "content": [{{"prefix": "x"}}]}}]}}}}}}',
}  # fmt: skip


def test_every_tool_that_reads_addresses_has_its_file() -> None:
    assert set(NAMES) - set(FILES) == {"renovate"}, "which names packages"


@pytest.mark.parametrize("tool", FILES)
def test_the_entry_is_carried_and_the_login_is_not_repeated(tool: str) -> None:
    found = imported(tool, FILES[tool].encode(), "f", {})
    said = [*written(found, "f"), *configuration(found), *(told(each, "f") for each in found)]
    assert [each for each in said if SECRET in each or "robot" in each] == []
    assert any(NOT_CARRIED in each for each in said)
    assert any(not each.refused for each in found)


@pytest.mark.parametrize(
    "text", [f"sync:\n  - https://{U}a.b\n - {{", f"quay.io: [https://{U}a.b/c", f'{{"x": "{U}a.b",, }}']
)
def test_no_fault_of_a_file_repeats_one(text: str) -> None:
    for tool in NAMES:
        try:
            found = imported(tool, text.encode(), "f", {})
        except ConfigInvalid as invalid:
            assert SECRET not in str(invalid)
        else:
            assert not any(SECRET in told(each, "f") for each in found)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("https://u:p@a.b/c", "https://a.b/c"),
        ("https://u:p@ss@a.b/c", "https://a.b/c"),
        ("https://ghp_token@a.b", "https://a.b"),
        ("- u:p@localhost:5000/c", "- localhost:5000/c"),
        ("u:p@10.0.0.1:5000", "10.0.0.1:5000"),
        (r"https:\/\/u:p@a.b", r"https:\/\/a.b"),
    ],
)
def test_what_is_a_login(text: str, bare: str) -> None:
    assert without_logins(f"x\n{text}\n") == (f"x\n{bare}\n", (2,))


@pytest.mark.parametrize(
    "text",
    [
        f"a.b/c:1.2@{A}",
        f"docker://alpine:3@{A}",
        f"https://a.b/c@{A}",
        "# who: me@example.org",
        "schedule: '0 5 * * *'",
        "re: ^v1:.*@x",
        "a.b:5000/c",
        "https://a.b/c/*:latest",
    ],
)
def test_what_is_none(text: str) -> None:
    assert without_logins(text) == (text, ())
