"""What is no file of the kind that a command of `rules` reads: one sentence with its place, exit code 2, no traceback."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from registry_mesh.config.imports.tools import NAMES

RULE = "schema: registry-mesh/rules/2\nrules:\n  - {from: a.b, repos: c, tags: x}\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)
)

LARGE = {
    "a line of 10 MiB": b'a: "' + b"x" * (10 << 20) + b'"\n',
    "a key of 10 MiB": b"x" * (10 << 20) + b": 1\n",
    "more than is read": b"#" + b"x" * (17 << 20),
}
BROKEN = {
    "empty": b"",
    "spaces": b"  \n\n",
    "a comment": b"# nothing\n",
    "zeros": b"\0\0\0\0",
    "a program": b"\x7fELF\x02\x01\x01" + bytes(range(256)),
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "UTF-16": "sync: []\n".encode("utf-16"),
    "Latin-1": b"name: caf\xe9\n",
    "a mark alone": b"\xef\xbb\xbf",
    "a tab": b"schema: registry-mesh/rules/2\nrules:\n\t- from: a\n",
    "an alias bomb": BOMB.encode(),
    "an alias of itself": b"a: &a [*a]\n",
    "no such anchor": b"a: *nope\n",
    "a long line": b'a: "' + b"x" * (1 << 16) + b'"\n',
    "a long key": b"x" * (1 << 16) + b": 1\n",
    "doubled keys": b"sync: []\nsync: []\n",
    "merged keys": b"a: &a {x: 1}\n<<: *a\n",
    "merged with a number": b"a: {<<: 3}\n",
    "a tag of Python": b"a: !!python/object:os.system x\n",
    "a deep list": b"[" * 5000,
    "a deep mapping": b"{a: " * 3000,
    "a list of words": b"- a: b\n- b\n",
    "a sentence": b"just a text\n",
    "two documents": b"---\na: 1\n---\nb: 2\n",
    "a text that does not end": b'a: "x\n',
    "a bad escape": b'a: "\\q"\n',
    "half of a JSON": b'{"a": [1, 2',
    "another JSON": b'{"a": {"b": [1, null, true]}}',
    "TOML": b"[a]\nb = 1\n",
    "XML": b'<?xml version="1.0"?><a/>',
    "HTML": b"<html> </html>",
    "two colons": b"a: b: c\n",
    "a key that is a list": b"? [a, b]\n: c\n",
    "colours": b"a: \x1b[31mx\n",
    "a bell": b"a: \x07\n",
    "a huge number": b"a: " + b"9" * 5000 + b"\n",
    "no number": b"a: .nan\n",
    "another version of YAML": b"%YAML 3.0\n---\na: 1\n",
    "rules of another schema": b"schema: registry-mesh/rules/9\nrules: []\n",
    "a block of Terraform": b'resource "a" "b" {\n',
}  # fmt: skip


ALL_BUT_A_MAPPING = (
    "empty",
    "spaces",
    "a comment",
    "zeros",
    "a program",
    "a tab",
    "an alias bomb",
    "a deep list",
    "a sentence",
)
"""Any mapping of texts is a file of image-syncer."""


def told(arguments: list[str], name: str) -> None:
    """Hold that the command ends with 2, and says one line a fault, each with the file, line and column."""
    found = CliRunner().invoke(main, ["rules", *arguments])
    assert isinstance(found.exception, SystemExit), (name, arguments, found.exception)
    assert found.exit_code == 2, (name, arguments, found.output[:300])
    lines = found.stderr.splitlines()
    assert lines
    for line in lines:
        assert re.match(r"\S+:\d+:\d+: \S", line), (name, arguments, line[:300])
        assert len(line) < 600, (name, arguments)


@pytest.mark.parametrize("tool", NAMES)
def test_files_of_no_tool(tool: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for name, content in BROKEN.items():
        file.write_bytes(content)
        if tool == "image-syncer" and name not in ALL_BUT_A_MAPPING:
            continue
        told(["import", tool, str(file)], name)


@pytest.mark.parametrize("tool", ["harbor", "registries.conf", "ducc"])
def test_large_files_of_no_tool(tool: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for name, content in LARGE.items():
        file.write_bytes(content)
        told(["import", tool, str(file)], name)


def test_large_files_of_no_rules(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for name, content in LARGE.items():
        file.write_bytes(content)
        told(["lint", str(file)], name)


COMMANDS = {
    "lint": ["lint", "BROKEN"],
    "test": ["test", "BROKEN"],
    "explain": ["explain", "a.b/c:x", "BROKEN"],
    "plan": ["plan", "BROKEN", "--listing", "LISTING"],
    "diff": ["diff", "RULES", "BROKEN", "--listing", "LISTING"],
    "migrate": ["migrate", "BROKEN"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_files_of_no_rules(command: str, tmp_path: Path) -> None:
    broken, rules, listing = tmp_path / "broken.yaml", tmp_path / "rules.yaml", tmp_path / "listing"
    rules.write_text(RULE)
    listing.write_text('{"schema": "registry-mesh/listing/1"}\n')
    places = {"BROKEN": str(broken), "RULES": str(rules), "LISTING": str(listing)}
    for name, content in BROKEN.items():
        broken.write_bytes(content)
        told([places.get(each, each) for each in COMMANDS[command]], name)


@pytest.mark.parametrize(
    "command",
    [["plan", "RULES", "--listing", "BROKEN"], ["diff", "RULES", "RULES", "--listing", "BROKEN"], ["lint", "RULES", "--catalog", "BROKEN"]],
)  # fmt: skip
def test_files_of_no_listing(command: list[str], tmp_path: Path) -> None:
    broken, rules = tmp_path / "broken", tmp_path / "rules.yaml"
    rules.write_text(RULE)
    for name in set(BROKEN) - {"empty", "spaces"}:
        broken.write_bytes(BROKEN[name])
        told([{"BROKEN": str(broken), "RULES": str(rules)}.get(each, each) for each in command], name)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_mark_and_other_line_ends_are_read(end: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + RULE.replace("\n", end).encode())
    assert CliRunner().invoke(main, ["rules", "lint", str(file)]).exit_code == 0
    file.write_bytes(b"\xef\xbb\xbf" + "quay.io:\n  images: {a: [x]}\n".replace("\n", end).encode())
    found = CliRunner().invoke(main, ["rules", "import", "skopeo", str(file)])
    assert (found.exit_code, "1 rules" in found.stderr) == (0, True)
