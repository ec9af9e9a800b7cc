"""Public names say what they are: all of them in the rooms that others build on, nine of ten in each other one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "registry_mesh"
COMPLETE = ("ports", "oci", "replication", "auth", "chunks")
SHARE = 0.9


def public(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Public classes, functions and methods, and whether they have a docstring."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        yield prefix + node.name, ast.get_docstring(node) is not None
        if isinstance(node, ast.ClassDef):
            yield from public(node, f"{prefix}{node.name}.")


def names(room: str) -> Iterator[tuple[str, bool]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        for name, documented in public(ast.parse(path.read_text())):
            yield f"{path.relative_to(ROOT)}: {name}", documented


@pytest.mark.parametrize("room", COMPLETE)
def test_rooms_that_others_build_on_say_it_of_every_name(room: str) -> None:
    found = list(names(room))
    assert found and [name for name, documented in found if not documented] == []


@pytest.mark.parametrize("room", sorted(path.parent.name for path in ROOT.glob("*/__init__.py")))
def test_nine_of_ten_names_of_a_room_say_what_they_are(room: str) -> None:
    """A method of a port need not repeat what the port says."""
    found = list(names(room))
    silent = [name for name, documented in found if not documented]
    assert len(silent) <= (1 - SHARE) * len(found), "\n".join(silent)


def test_silence_is_seen() -> None:
    tree = ast.parse('class A:\n  """A."""\n  def b(self): ...\n  def _c(self): ...\nasync def d(): ...')
    assert list(public(tree)) == [("A", True), ("A.b", False), ("d", False)]
