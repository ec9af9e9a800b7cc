"""What is no file of the kind that a command of `rules` reads: one sentence with its place, exit code 2, no traceback."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import json
import os
import re
import subprocess
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
    "no port": b"schema: registry-mesh/rules/2\nrules:\n  - {from: 'a.b:99999', repos: c, tags: x}\n",
    "port 0": b"schema: registry-mesh/rules/2\ndeny:\n  - {from: 'a.b:0', repos: c}\nrules: []\n",
    "no port out": b"schema: registry-mesh/rules/2\nrules:\n  - {from: a.b, repos: c, tags: x, to: {registry: 'a.b:65536'}}\n",
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_migrate_reads_what_lint_reads(encoding: str, tmp_path: Path) -> None:
    """Line ends stay as they are."""
    file = tmp_path / "rules.yaml"
    text = RULE.replace("{from", "{name: a, from").replace("\n", "\r\n")
    file.write_bytes(text.replace("/2", "/1").encode(encoding))
    assert CliRunner().invoke(main, ["rules", "lint", str(file)]).exit_code == 0
    found = CliRunner().invoke(main, ["rules", "migrate", "--write", str(file)])
    assert (found.exit_code, found.output) == (0, f"{file}: written as registry-mesh/rules/2\n")
    assert file.read_bytes() == text.encode()


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """A named pipe that nobody writes to, a rule file, a listing."""
    pipe, rules, listing = tmp_path / "pipe.yaml", tmp_path / "rules.yaml", tmp_path / "listing"
    os.mkfifo(pipe)
    rules.write_text(RULE)
    listing.write_text('{"schema": "registry-mesh/listing/1"}\n')
    return {"BROKEN": str(pipe), "RULES": str(rules), "LISTING": str(listing)}


@pytest.mark.parametrize(
    "command",
    [*COMMANDS.values(), ["plan", "RULES", "--listing", "BROKEN"], ["plan", "RULES", "--listing", "LISTING", "--held", "BROKEN"],
     ["diff", "RULES", "RULES", "--listing", "BROKEN"], ["lint", "RULES", "--catalog", "BROKEN"], ["import", "skopeo", "BROKEN"],
     ["import", "skopeo", "RULES", "--check", "BROKEN"]],
)  # fmt: skip
@pytest.mark.parametrize("what", ["pipe", "device", "folder of pipes"])
def test_a_pipe_is_no_file(command: list[str], what: str, places: dict[str, str]) -> None:
    """Who opens one waits until somebody writes; a device may never end."""
    pipe = places["BROKEN"]
    if what == "device":
        places["BROKEN"] = "/dev/zero"
    if what == "folder of pipes" and command in COMMANDS.values():
        places["BROKEN"] = str(Path(pipe).parent)
    found = CliRunner().invoke(main, ["rules", *(places.get(each, each) for each in command)])
    assert found.exit_code == 2, found.output
    told = "/dev/zero" if what == "device" else pipe
    sentence = f"{told}: a pipe, a socket or a device, which may never end; name a file\n"
    assert command[0] == "import" or sentence in found.stderr


def through_a_pipe(content: bytes) -> str:
    """A path at which they can be read once, as a shell's `<(...)` is one."""
    out, into = os.pipe()
    os.write(into, content)
    os.close(into)
    return f"/dev/fd/{out}"


def test_what_a_shell_pipes_is_read(places: dict[str, str]) -> None:
    """Each once: the digest of a plan is of what was read, and an older commit is compared over the same listing."""
    here = Path(places["RULES"]).parent
    lines = b'{"schema": "registry-mesh/listing/1"}\n{"registry": "a.b", "repository": "c", "tags": {"x": "sha256:%s"}}\n'
    Path(places["LISTING"]).write_bytes(content := lines % (b"a" * 64))
    for arguments in (["init", "-q"], ["add", "rules.yaml"], ["commit", "-qm", "x"]):
        who = ["-c", "user.name=x", "-c", "user.email=x@x"]
        subprocess.run(["git", "-C", str(here), *who, *arguments], check=True)
    Path(places["RULES"]).write_text(RULE.replace("tags: x", "tags: y"))

    def said(listing: str) -> str:
        command = ["rules", "plan", places["RULES"], "--against", "HEAD", "--now", "0", "--listing", listing]
        return CliRunner().invoke(main, command).output

    assert "1 of 1 references changes; 1 goes" in said(places["LISTING"])
    assert said(through_a_pipe(content)) == said(places["LISTING"])

    def digest(rules: str) -> str:
        command = ["rules", "plan", rules, "--now", "0", "--format", "json", "--listing", places["LISTING"]]
        return str(json.loads(CliRunner().invoke(main, command).output)["rules"]["digest"])

    assert digest(through_a_pipe(RULE.encode())) != digest(through_a_pipe(RULE.replace("x", "y").encode()))
