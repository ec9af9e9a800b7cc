"""Each YAML block of the documentation is one that the program takes as it stands: a configuration, rules, policies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import yaml
from click.testing import CliRunner

from registry_mesh.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """`where` is PAGE:LINE."""

    where: str
    text: str

    @property
    def is_kubernetes(self) -> bool:
        """Whether it is not for this program."""
        return re.search(r"^apiVersion:", self.text, re.MULTILINE) is not None


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for each in _BLOCK.finditer(text):
            line = text[: each.start()].count("\n") + 1
            found.append(Block(f"{page.name}:{line}", each[1]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What blocks name below /etc/registry-mesh, and what Kubernetes gives each pod."""
    made = tmp_path_factory.mktemp("etc")
    ca = trustme.CA()
    served = ca.issue_cert("registry.example")
    for name in ("tls.pem", "site.pem"):
        (made / name).write_bytes(b"".join(each.bytes() for each in served.cert_chain_pems))
    for name in ("tls.key", "site.key", "tokens.pem"):
        (made / name).write_bytes(served.private_key_pem.bytes())
    for name in ("nodes-ca.pem", "example-ca.pem", "ca.crt"):
        ca.cert_pem.write_to_path(str(made / name))
    (made / "users").write_text("alice:$2b$04$" + "a" * 53 + "\n")
    for name, mark in (
        ("access", "registry-mesh/access/1"),
        ("retention", "guard: "),
        ("rules", "all-but-scratch"),
    ):
        (made / name).mkdir()
        text = next(each.text for each in blocks() if mark in each.text)
        (made / name / "all.yaml").write_text(text)
    (made / "robots").mkdir()
    (made / "token").write_text("header.claims.signature")
    for each in blocks():
        for name in re.findall(r"/etc/registry-mesh/(\w[\w-]*\.(?:json|key))\b", each.text):
            if not (made / name).exists():
                (made / name).write_text('{"username": "robot", "password": "p"}')
    for each in made.iterdir():
        each.chmod(0o700 if each.is_dir() else 0o600)
    return made


@pytest.mark.parametrize(
    "block", [each for each in blocks() if not each.is_kubernetes], ids=lambda block: block.where
)
def test_the_program_takes_it(block: Block, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "block.yaml"
    given = yaml.safe_load(block.text)
    schema = given.get("schema", "")
    path.write_text(block.text)
    if schema.startswith("registry-mesh/rules/"):
        words = ["rules", "lint", str(path)]
    elif schema.startswith("registry-mesh/access/"):
        words = ["access", "lint", str(path)]
    else:
        path.write_text(whole(given, block.text, folder, tmp_path))
        words = ["check-config", str(path)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, f"{block.where}: {done.output}"


def whole(given: dict[str, object], text: str, folder: Path, scratch: Path) -> str:
    """A block as a file that is complete: of a role, with a store, and the files that it names."""
    text = text.replace("/var/run/secrets/kubernetes.io/serviceaccount", str(folder))
    text = text.replace("/etc/registry-mesh", str(folder)).replace("/var/lib/registry-mesh", str(scratch))
    text = re.sub(r"(?m)^rules: rules$", f"rules: {folder}/rules", text)
    if "role" in given:
        return text
    role = "site" if "registries" in given else "origin"
    named = "" if role == "site" or "registry" in given else "registry: registry.example\n"
    return f"role: {role}\nstore: {{disk: {{path: {scratch}/store}}}}\n{named}{text}"
