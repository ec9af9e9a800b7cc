"""What the documents say exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner

from registry_mesh.cli.main import COMMANDS, main
from registry_mesh.config.load import load

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
REGISTRIES = ROOT / "docs" / "registries.md"
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))


def alternatives(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every kind of value that an entry allows, however deep they are nested."""
    yield entry
    for inner in (*entry.get("anyOf", []), *entry.get("oneOf", [])):
        yield from alternatives(inner)


def schema_keys(schema: dict[str, Any], whole: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of every key that holds a value."""
    for name, entry in schema.get("properties", {}).items():
        kinds = list(alternatives(entry))
        inner = next((e for e in kinds if "$ref" in e), None)
        if inner is not None:
            target = whole["$defs"][inner["$ref"].rpartition("/")[2]]
            if "properties" in target:
                yield from schema_keys(target, whole, f"{prefix}{name}.")
                if any(e.get("type") == "string" for e in kinds):
                    yield prefix + name
                continue
        mapped = entry.get("additionalProperties")
        if isinstance(mapped, dict) and "$ref" in mapped:
            placeholder = "HOST" if name == "registries" else "NAME"
            yield f"{prefix}{name}.{placeholder}"
            target = whole["$defs"][mapped["$ref"].rpartition("/")[2]]
            yield from schema_keys(target, whole, f"{prefix}{name}.{placeholder}.")
            continue
        yield prefix + name


def test_every_key_of_the_configuration_is_described() -> None:
    whole = json.loads((ROOT / "config" / "schema" / "registry-mesh.json").read_text())
    page = (ROOT / "docs" / "configuration.md").read_text()
    described = set(re.findall(r"^\| `([a-zA-Z0-9_.]+)` \|", page, re.MULTILINE))
    assert described == set(schema_keys(whole, whole))


def test_the_readme_names_every_command_and_no_other() -> None:
    named = set(re.findall(r"registry-mesh ([a-z][a-z-]+)", README.read_text()))
    assert named == set(COMMANDS)


def test_the_readme_s_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README.read_text())) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_decisions_are_numbered_once() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md")]
    assert len(numbers) == len(set(numbers))


def test_the_readme_s_configurations_are_valid(tmp_path: Path) -> None:
    """The files of the three-tier set-up, as they stand there."""
    blocks = re.findall(r"```yaml\n# ([\w/.-]+)\n(.*?)```", README.read_text(), re.DOTALL)
    assert {name for name, _ in blocks} >= {"origin.yaml", "replica.yaml", "site.yaml", "rules/all.yaml"}
    for name, text in blocks:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with chdir(tmp_path):
        outcome = CliRunner().invoke(main, ["check-config", *(name for name, _ in blocks if "/" not in name)])
    assert outcome.exit_code == 0, outcome.output


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", REGISTRIES.read_text(), re.DOTALL))
def test_the_registries_configurations_are_valid(text: str, tmp_path: Path) -> None:
    """Each as a site's, with the files that it names beside it."""
    for name in re.findall(r"file:/etc/registry-mesh/([\w.-]+)", text):
        (tmp_path / name).write_text('{"username": "robot", "password": "p"}')
        (tmp_path / name).chmod(0o600)
    for name in re.findall(r"ca: /etc/registry-mesh/([\w.-]+)", text):
        trustme.CA().cert_pem.write_to_path(tmp_path / name)
    site = f"role: site\nstore: {{disk: {{path: {tmp_path / 'store'}}}}}\n"
    path = tmp_path / "site.yaml"
    path.write_text(site + text.replace("/etc/registry-mesh", str(tmp_path)))
    assert load(path).warnings == ()


def _named_in(page: str) -> set[tuple[str, str]]:
    return set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / page).read_text()))


@pytest.mark.parametrize(
    ("page", "at_least"),
    [("conformance.md", 50), ("registries.md", 20), ("clients.md", 5), ("security.md", 40)],
)
def test_every_test_that_a_page_names_exists(page: str, at_least: int) -> None:
    named = _named_in(page)
    assert len(named) >= at_least
    for path, name in sorted(named):
        assert re.search(rf"^\s*(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), (
            f"{path}::{name}"
        )


def test_every_test_that_the_fault_matrix_names_exists() -> None:
    page = (ROOT / "docs" / "fault-matrix.md").read_text()
    assert set(re.findall(r"`([\w/]+\.py)`", page)) <= {
        str(path.relative_to(ROOT / "tests")) for path in (ROOT / "tests").rglob("*.py")
    }
    for path, name in sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", page))):
        assert re.search(rf"\bdef {name}\(", (ROOT / "tests" / path).read_text()), f"{path}::{name}"


def test_every_row_of_the_conformance_page_names_a_test() -> None:
    page = (ROOT / "docs" / "conformance.md").read_text().partition("## Write points")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("|---")]
    for row in rows:
        assert "::test_" in row or row.rstrip(" |").endswith("| test"), row


def test_the_conformance_page_has_every_end_point() -> None:
    page = (ROOT / "docs" / "conformance.md").read_text()
    ends = [
        "1",
        "2",
        "3",
        "4a",
        "4b",
        "4c",
        "5",
        "6",
        "7a",
        "7b",
        "8a",
        "8b",
        "9",
        "10",
        "11",
        "12a",
        "12b",
        "13",
        "14",
    ]
    assert [end for end in ends if f"**end-{end}**" not in page] == []
