"""Ports are small, so that each user names the few methods it needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "registry_mesh"
FILES = sorted(ROOT.rglob("*.py"))

MOST = 5
"""Methods and attributes that a port declares. One that joins others has those of each part."""


def ports(source: str) -> Iterator[tuple[str, int]]:
    """The protocols that `source` defines, and how many members each declares."""
    if "Protocol" not in source:
        return  # most files: they need not be parsed
    for node in ast.walk(ast.parse(source)):
        bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
        if isinstance(node, ast.ClassDef) and any(base.split("[")[0].endswith("Protocol") for base in bases):
            members = (ast.FunctionDef, ast.AsyncFunctionDef, ast.AnnAssign, ast.Assign)
            yield node.name, sum(isinstance(each, members) for each in node.body)


def test_no_port_is_large() -> None:
    sizes = {(str(path.relative_to(ROOT)), name): n for path in FILES for name, n in ports(path.read_text())}
    assert {port: size for port, size in sizes.items() if size > MOST} == {}


def test_a_large_port_is_found() -> None:
    methods = "".join(f"    def m{i}(self) -> int: ...\n" for i in range(MOST + 1))
    assert list(ports(f"class Wide(Base, typing.Protocol[T]):\n{methods}")) == [("Wide", MOST + 1)]


def test_the_ports_are_seen() -> None:
    found = {name for path in (ROOT / "ports").glob("*.py") for name, _ in ports(path.read_text())}
    assert {"Marks", "Claims", "Bytes", "Looks", "Outcome", "Reading", "Pushes", "Records"} <= found


CONTENT = {
    "BlobSource",
    "BlobStore",
    "CacheStore",
    "ManifestSource",
    "TagSource",
    "ReferrerSource",
    "RegistrySource",
    "Pushes",
    "RepositoryStore",
    "Records",
}
"""Ports that offer or keep content."""


def test_each_port_of_content_has_a_suite_that_is_run() -> None:
    tests = ROOT.parent / "tests"
    suites = {
        node.name
        for path in (tests / "suites").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    run = {
        ast.unparse(base)
        for path in tests.rglob("test_*.py")
        if "Suite" in (source := path.read_text())
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    assert {f"{port}Suite" for port in CONTENT} <= suites & run


def test_the_heart_stays_small() -> None:
    """`Fill` has parts for all that is not its readers' own."""
    assert len((ROOT / "content/fill/fill.py").read_text().splitlines()) < 250
